/*
 * Moments that are held: snapshots and iterators see theirs to the end, whatever is written,
 * flushed, merged or moved meanwhile; what nobody holds any more goes from the disk; and a merge
 * drops a tombstone only where it hides nothing.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crash_env.h"
#include "fault_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

struct fixture {
    struct crash_env *crash;
    struct fault_env *fault;
    struct varve_options options;
    struct varve_db *db;
};

static void fixture_init_style(struct fixture *f, enum varve_compaction style)
{
    *f = (struct fixture){.crash = crash_env_new(1)};
    f->fault = fault_env_new(crash_env_env(f->crash));
    rig_options(&f->options);
    f->options.compaction = style;
    f->options.level0_trigger = 60; /* merges come when they are asked for */
    f->options.level0_stop = 64;
    f->db = rig_open(fault_env_env(f->fault), &f->options);
}

static void fixture_init(struct fixture *f)
{
    fixture_init_style(f, VARVE_COMPACTION_TIERED);
}

static void fixture_deinit(struct fixture *f)
{
    ck_assert_int_eq(varve_close(f->db), VARVE_OK);
    ck_assert_uint_eq(fault_env_handles(f->fault), 0);
    fault_env_free(f->fault);
    crash_env_free(f->crash);
}

static void flush(struct fixture *f)
{
    ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
}

static void compact(struct fixture *f)
{
    ck_assert_int_eq(varve_compact(f->db, true), VARVE_OK);
}

static void key_delete(struct fixture *f, const char *key)
{
    ck_assert_int_eq(varve_delete(f->db, varve_slice_str(key), VARVE_SYNC_OFF, NULL), VARVE_OK);
}

static struct varve_stats stats_of(struct fixture *f)
{
    struct varve_stats stats = {0};
    varve_stats_read(f->db, &stats);
    return stats;
}

static uint64_t entries_of(struct fixture *f)
{
    struct varve_stats stats = stats_of(f);
    uint64_t entries = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        entries += stats.levels[l].entries;
    return entries;
}

/* Rewrites every key, flushes and merges, several times; some keys go. */
static void turn_over(struct fixture *f, unsigned rounds)
{
    char key[32], value[32];
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < 100; i++) {
            snprintf(key, sizeof key, "key-%03u", i);
            snprintf(value, sizeof value, "%u of round %u", i, round);
            if ((i + round) % 5 == 0)
                key_delete(f, key);
            else
                rig_put(f->db, key, value, VARVE_SYNC_OFF);
        }
        flush(f);
        if (round % 2 == 1)
            compact(f);
    }
}

START_TEST(snapshots_see_their_moment)
{
    struct fixture f;
    const struct varve_snapshot *snapshots[5] = {NULL};
    struct model models[5] = {{0}};
    fixture_init_style(&f, _i == 0 ? VARVE_COMPACTION_TIERED : VARVE_COMPACTION_LEVELED);
    for (size_t i = 0; i < 5; i++) {
        turn_over(&f, 3);
        rig_put(f.db, "unflushed", "yes", VARVE_SYNC_OFF);
        ck_assert_int_eq(varve_snapshot_acquire(f.db, &snapshots[i]), VARVE_OK);
        ck_assert_uint_eq(varve_snapshot_revision(snapshots[i]), stats_of(&f).revision);
        ck_assert_int_eq(rig_try_read(f.db, NULL, &models[i]), VARVE_OK);
    }
    turn_over(&f, 4);
    ck_assert_uint_eq(stats_of(&f).snapshots, 5);
    static const size_t order[] = {2, 0, 4, 1, 3};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = i; k < 5; k++)
            rig_expect_model(f.db, snapshots[order[k]], &models[order[k]], true);
        varve_snapshot_release(f.db, snapshots[order[i]]);
        turn_over(&f, 2);
    }
    for (size_t i = 0; i < 5; i++)
        model_deinit(&models[i]);
    fixture_deinit(&f);
}
END_TEST

START_TEST(what_only_a_snapshot_held_goes_with_it)
{
    struct fixture f;
    const struct varve_snapshot *snapshot = NULL;
    fixture_init(&f);
    turn_over(&f, 1);
    ck_assert_int_eq(varve_snapshot_acquire(f.db, &snapshot), VARVE_OK);
    turn_over(&f, 2);
    compact(&f);
    uint64_t held = entries_of(&f);
    ck_assert_uint_gt(held, 100);
    varve_snapshot_release(f.db, snapshot);
    rig_put(f.db, "key-000", "x", VARVE_SYNC_OFF);
    rig_put(f.db, "key-099", "x", VARVE_SYNC_OFF);
    compact(&f);
    ck_assert_uint_le(entries_of(&f), 100);
    fixture_deinit(&f);
}
END_TEST

/* An iterator of before sees what was there, though all its tables were merged or moved away. */
START_TEST(iterators_outlive_merges)
{
    struct fixture f;
    fixture_init(&f);
    for (unsigned backwards = 0; backwards < 2; backwards++) {
        struct varve_iterator *it = NULL;
        struct model model = {0};
        turn_over(&f, 3);
        rig_put(f.db, "unflushed", "yes", VARVE_SYNC_OFF);
        ck_assert_int_eq(rig_try_read(f.db, NULL, &model), VARVE_OK);
        ck_assert_int_eq(varve_iterator_new(f.db, NULL, &it), VARVE_OK);
        ck_assert_uint_eq(varve_iterator_view_revision(it), stats_of(&f).revision);
        enum varve_status status =
            backwards ? varve_iterator_seek_last(it) : varve_iterator_seek_first(it);
        for (size_t i = 0; i < model.count; i++) {
            const struct model_entry *entry = model.entries[backwards ? model.count - 1 - i : i];
            ck_assert_int_eq(status, VARVE_OK);
            ck_assert(varve_slice_compare(varve_iterator_key(it), entry->key) == 0);
            ck_assert(varve_slice_compare(varve_iterator_value(it), entry->value) == 0);
            if (i % 20 == 0)
                turn_over(&f, 2);
            status = backwards ? varve_iterator_prev(it) : varve_iterator_next(it);
        }
        ck_assert_int_eq(status, VARVE_END);
        uint64_t files = fault_env_calls(f.fault, FAULT_REMOVE);
        varve_iterator_free(it);
        ck_assert_uint_gt(fault_env_calls(f.fault, FAULT_REMOVE), files);
        model_deinit(&model);
    }
    fixture_deinit(&f);
}
END_TEST

/* A table is moved down, then merged away, all while an iterator of before the move has yet to open
 * it. */
START_TEST(a_moved_table_stays_for_those_of_before)
{
    struct fixture f;
    struct varve_iterator *it = NULL;
    fixture_init(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_OFF);
    flush(&f);
    ck_assert_int_eq(varve_iterator_new(f.db, NULL, &it), VARVE_OK);
    compact(&f);
    ck_assert_uint_eq(stats_of(&f).trivial_moves, 1);
    rig_put(f.db, "a", "2", VARVE_SYNC_OFF);
    flush(&f);
    compact(&f);
    ck_assert_int_eq(varve_iterator_seek_first(it), VARVE_OK);
    ck_assert(varve_slice_compare(varve_iterator_value(it), varve_slice_str("1")) == 0);
    varve_iterator_free(it);
    ck_assert_uint_eq(stats_of(&f).tables, 1);
    fixture_deinit(&f);
}
END_TEST

START_TEST(a_value_outlives_its_key)
{
    struct fixture f;
    struct varve_value in_memory = {0}, in_table = {0};
    fixture_init(&f);
    rig_put(f.db, "t", "of a table", VARVE_SYNC_OFF);
    flush(&f);
    rig_put(f.db, "m", "of a memtable", VARVE_SYNC_OFF);
    ck_assert_int_eq(varve_get(f.db, varve_slice_str("t"), NULL, &in_table), VARVE_OK);
    ck_assert_int_eq(varve_get(f.db, varve_slice_str("m"), NULL, &in_memory), VARVE_OK);
    key_delete(&f, "t");
    key_delete(&f, "m");
    compact(&f);
    turn_over(&f, 4);
    ck_assert(varve_slice_compare(in_table.data, varve_slice_str("of a table")) == 0);
    ck_assert(varve_slice_compare(in_memory.data, varve_slice_str("of a memtable")) == 0);
    varve_value_release(&in_table);
    varve_value_release(&in_memory);
    rig_expect(f.db, "t", NULL);
    fixture_deinit(&f);
}
END_TEST

/* A tombstone stays while an older table may hold its key, and goes with it. */
START_TEST(tombstones_go_when_nothing_is_below)
{
    struct fixture f;
    fixture_init(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_OFF);
    rig_put(f.db, "b", "1", VARVE_SYNC_OFF);
    flush(&f);
    key_delete(&f, "a");
    flush(&f);
    ck_assert_uint_eq(entries_of(&f), 3);
    rig_expect(f.db, "a", NULL);
    compact(&f);
    ck_assert_uint_eq(entries_of(&f), 1);
    rig_expect(f.db, "a", NULL);
    rig_expect(f.db, "b", "1");
    key_delete(&f, "b");
    compact(&f);
    ck_assert_uint_eq(entries_of(&f), 0);
    ck_assert_uint_eq(stats_of(&f).tables, 0);
    rig_expect(f.db, "b", NULL);
    fixture_deinit(&f);
}
END_TEST

/* The store closes in the middle of a merge: it gives up, and nothing is missing or left over. */
static void close_begins(void *context)
{
    struct varve_db *db = context;
    mutex_lock(&db->background.mu.lock);
    db->background.mu.closing = true;
    mutex_unlock(&db->background.mu.lock);
}

START_TEST(a_merge_gives_up_when_the_store_closes)
{
    struct fixture f;
    struct model model = {0};
    char key[32];
    fixture_init(&f);
    for (unsigned run = 0; run < 3; run++) {
        for (unsigned i = 0; i < 3000; i++) {
            snprintf(key, sizeof key, "key-%05u", i);
            rig_put(f.db, key, run == 0 ? "0" : "1", VARVE_SYNC_OFF);
        }
        flush(&f);
    }
    ck_assert_int_eq(rig_try_read(f.db, NULL, &model), VARVE_OK);
    uint64_t tables = stats_of(&f).tables;
    const struct fault_rule rule = {.operations = FAULT_READ,
                                    .pattern = "*.sst",
                                    .at = 1,
                                    .status = VARVE_OK,
                                    .hook = close_begins,
                                    .context = f.db};
    fault_env_set_rule(f.fault, &rule);
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_CLOSED);
    fault_env_set_rule(f.fault, NULL);
    ck_assert_uint_eq(stats_of(&f).tables, tables);
    ck_assert_uint_eq(stats_of(&f).compactions, 0);
    (void)varve_close(f.db);
    f.db = rig_open(fault_env_env(f.fault), &f.options);
    rig_expect_model(f.db, NULL, &model, true);
    model_deinit(&model);
    fixture_deinit(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-snapshot");
    TCase *moments = tcase_create("moments");
    tcase_set_timeout(moments, 0);
    tcase_add_loop_test(moments, snapshots_see_their_moment, 0, 2);
    tcase_add_test(moments, what_only_a_snapshot_held_goes_with_it);
    tcase_add_test(moments, iterators_outlive_merges);
    tcase_add_test(moments, a_moved_table_stays_for_those_of_before);
    tcase_add_test(moments, a_value_outlives_its_key);
    tcase_add_test(moments, tombstones_go_when_nothing_is_below);
    tcase_add_test(moments, a_merge_gives_up_when_the_store_closes);
    suite_add_tcase(suite, moments);
    return run_suite(suite);
}
