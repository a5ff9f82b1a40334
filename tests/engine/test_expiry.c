/*
 * Keys that expire: absent for everyone at their second, present in what was taken before it, gone
 * from disk with the next merge, and never back.
 *
 * The clock stands still but where a test sets it. Seconds are counted from the start of the test.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define START_S 1700000000u

struct world {
    struct crash_env *crash;
    struct varve_options options;
    struct varve_db *db;
};

static void world_init(struct world *world)
{
    *world = (struct world){.crash = crash_env_new(1)};
    rig_options(&world->options);
    crash_env_set_wall_ms(world->crash, START_S * 1000ull);
    world->db = rig_open(crash_env_env(world->crash), &world->options);
}

static void world_deinit(struct world *world)
{
    ck_assert_int_eq(varve_close(world->db), VARVE_OK);
    ck_assert_uint_eq(crash_env_handles(world->crash), 0);
    crash_env_free(world->crash);
}

/* To the last millisecond in front of a second, and to its first. */
static void clock_before(struct world *world, uint64_t second)
{
    crash_env_set_wall_ms(world->crash, (START_S + second) * 1000 - 1);
}
static void clock_at(struct world *world, uint64_t second)
{
    crash_env_set_wall_ms(world->crash, (START_S + second) * 1000);
}

static void reopen(struct world *world)
{
    ck_assert_int_eq(varve_close(world->db), VARVE_OK);
    world->db = rig_open(crash_env_env(world->crash), &world->options);
}

/* The power goes; what was not synced is lost. */
static void power_cut(struct world *world)
{
    struct crash_env *image = crash_env_cut(world->crash, 1, CRASH_CUT_NONE);
    db_abandon(world->db);
    crash_env_free(world->crash);
    world->crash = image;
    world->db = rig_open(crash_env_env(world->crash), &world->options);
}

static void process_dies(struct world *world)
{
    db_abandon(world->db);
    world->db = rig_open(crash_env_env(world->crash), &world->options);
}

static void flush(struct world *world)
{
    ck_assert_int_eq(varve_flush(world->db, true), VARVE_OK);
}

static void compact(struct world *world)
{
    ck_assert_int_eq(varve_compact(world->db, true), VARVE_OK);
}

static void jobs_run(struct world *world)
{
    while (db_step(world->db))
        ;
}

static void put_until(struct world *world, const char *key, const char *value, uint64_t second)
{
    struct varve_batch *batch = NULL;
    ck_assert_int_eq(varve_batch_new(&batch), VARVE_OK);
    ck_assert_int_eq(varve_batch_put_expiring(batch, varve_slice_str(key), varve_slice_str(value),
                                              START_S + second),
                     VARVE_OK);
    ck_assert_int_eq(varve_write(world->db, batch, VARVE_SYNC_ON, NULL), VARVE_OK);
    varve_batch_free(batch);
}

static void put(struct world *world, const char *key, const char *value)
{
    rig_put(world->db, key, value, VARVE_SYNC_ON);
}

/* By get and by each way to place an iterator: the key has this value and expiry, or (NULL) is
 * absent. `second` 0: never. */
static void expect(struct world *world, const struct varve_snapshot *snapshot, const char *key,
                   const char *value, uint64_t second)
{
    const struct varve_iterator_options options = {.snapshot = snapshot};
    uint64_t expires_at = second != 0 ? START_S + second : 0;
    struct varve_slice key_slice = varve_slice_str(key);
    struct varve_value found = {0};
    struct varve_iterator *it = NULL;

    ck_assert_int_eq(varve_get(world->db, key_slice, snapshot, &found),
                     value != NULL ? VARVE_OK : VARVE_NOT_FOUND);
    if (value != NULL) {
        ck_assert(varve_slice_compare(found.data, varve_slice_str(value)) == 0);
        ck_assert_uint_eq(found.expires_at, expires_at);
    }
    varve_value_release(&found);

    ck_assert_int_eq(varve_iterator_new(world->db, &options, &it), VARVE_OK);
    for (unsigned way = 0; way < 4; way++) {
        enum varve_status status = way == 0   ? varve_iterator_seek(it, key_slice)
                                   : way == 1 ? varve_iterator_seek_for_prev(it, key_slice)
                                   : way == 2 ? varve_iterator_seek_first(it)
                                              : varve_iterator_seek_last(it);
        while (way >= 2 && status == VARVE_OK &&
               varve_slice_compare(varve_iterator_key(it), key_slice) != 0)
            status = way == 2 ? varve_iterator_next(it) : varve_iterator_prev(it);
        bool there =
            status == VARVE_OK && varve_slice_compare(varve_iterator_key(it), key_slice) == 0;
        ck_assert_msg(there == (value != NULL), "%s, way %u: %s", key, way,
                      there ? "is there" : "is absent");
        if (!there)
            continue;
        ck_assert(varve_slice_compare(varve_iterator_value(it), varve_slice_str(value)) == 0);
        ck_assert_uint_eq(varve_iterator_expires_at(it), expires_at);
    }
    varve_iterator_free(it);
}

static const struct version *version_now(const struct world *world)
{
    return world->db->view.rw.view->version;
}

/* The figures of all tables, added up, as the manifest and as the tables themselves have them. */
struct counts {
    uint64_t tables, entries, tombstones, expiring, expiry_min_s, expiry_max_s;
};

static void counts_compare(struct world *world, const struct table *table)
{
    struct table_handle *handle = NULL;
    ck_assert_int_eq(table_cache_acquire(world->db->tables, table, &handle, NULL), VARVE_OK);
    const struct sstable_properties *own = sstable_reader_properties(table_handle_reader(handle));
    ck_assert_uint_eq(own->entry_count, table->meta.entry_count);
    ck_assert_uint_eq(own->tombstone_count, table->meta.tombstone_count);
    ck_assert_uint_eq(own->expiring_count, table->meta.expiring_count);
    ck_assert_uint_eq(own->expiry_min_s, table->meta.expiry_min_s);
    ck_assert_uint_eq(own->expiry_max_s, table->meta.expiry_max_s);
    table_cache_release(world->db->tables, handle);
}

static struct counts counts_read(struct world *world)
{
    struct counts counts = {0};
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < version_now(world)->levels[l].run_count; r++) {
            const struct run *run = &version_now(world)->levels[l].runs[r];
            for (size_t t = 0; t < run->table_count; t++) {
                const struct manifest_table *meta = &run->tables[t]->meta;
                counts_compare(world, run->tables[t]);
                counts.tables++;
                counts.entries += meta->entry_count;
                counts.tombstones += meta->tombstone_count;
                counts.expiring += meta->expiring_count;
                if (counts.expiry_min_s == 0 ||
                    (meta->expiring_count > 0 && meta->expiry_min_s < counts.expiry_min_s))
                    counts.expiry_min_s = meta->expiry_min_s;
                if (meta->expiry_max_s > counts.expiry_max_s)
                    counts.expiry_max_s = meta->expiry_max_s;
            }
        }
    return counts;
}

static void expect_counts(struct world *world, uint64_t tables, uint64_t entries,
                          uint64_t tombstones, uint64_t expiring)
{
    struct counts counts = counts_read(world);
    ck_assert_uint_eq(counts.tables, tables);
    ck_assert_uint_eq(counts.entries, entries);
    ck_assert_uint_eq(counts.tombstones, tombstones);
    ck_assert_uint_eq(counts.expiring, expiring);
}

START_TEST(batches_take_expiries)
{
    struct world world;
    struct varve_batch *batch = NULL;
    uint8_t key[VARVE_KEY_BYTES_MAX + 1];
    struct varve_slice value = varve_slice_str("value");
    world_init(&world);
    memset(key, 'k', sizeof key);
    ck_assert_int_eq(varve_batch_new(&batch), VARVE_OK);
    ck_assert_int_eq(varve_batch_put_expiring(batch, varve_slice(NULL, 0), value, START_S + 9),
                     VARVE_INVALID);
    ck_assert_int_eq(varve_batch_put_expiring(batch, varve_slice(key, sizeof key), value, START_S),
                     VARVE_TOO_LARGE);
    ck_assert_uint_eq(varve_batch_count(batch), 0);
    /* The last write of a key stays, whatever its kind. */
    static const char *const keys[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++) {
        struct varve_slice name = varve_slice_str(keys[i]);
        if (i == 0)
            ck_assert_int_eq(varve_batch_put(batch, name, value), VARVE_OK);
        if (i == 3)
            ck_assert_int_eq(varve_batch_delete(batch, name), VARVE_OK);
        ck_assert_int_eq(varve_batch_put_expiring(batch, name, value, START_S + 9), VARVE_OK);
        if (i == 1)
            ck_assert_int_eq(varve_batch_put(batch, name, value), VARVE_OK);
        if (i == 2)
            ck_assert_int_eq(varve_batch_delete(batch, name), VARVE_OK);
    }
    /* The empty value, and the limit of values, which the expiry does not count for. */
    world.options.value_bytes_max = 5;
    reopen(&world);
    ck_assert_int_eq(
        varve_batch_put_expiring(batch, varve_slice_str("e"), varve_slice(NULL, 0), START_S + 9),
        VARVE_OK);
    ck_assert_int_eq(varve_write(world.db, batch, VARVE_SYNC_ON, NULL), VARVE_OK);
    expect(&world, NULL, "a", "value", 9);
    expect(&world, NULL, "b", "value", 0);
    expect(&world, NULL, "c", NULL, 0);
    expect(&world, NULL, "d", "value", 9);
    expect(&world, NULL, "e", "", 9);
    clock_at(&world, 9);
    expect(&world, NULL, "a", NULL, 0);
    expect(&world, NULL, "b", "value", 0);
    expect(&world, NULL, "d", NULL, 0);
    expect(&world, NULL, "e", NULL, 0);
    varve_batch_clear(batch);
    ck_assert_int_eq(varve_batch_put_expiring(batch, varve_slice_str("e"),
                                              varve_slice_str("123456"), START_S + 20),
                     VARVE_OK);
    ck_assert_int_eq(varve_write(world.db, batch, VARVE_SYNC_ON, NULL), VARVE_TOO_LARGE);
    varve_batch_free(batch);
    world_deinit(&world);
}
END_TEST

/* What happens to a store between a write and a read. */
enum move { STAY, FLUSH, COMPACT, REOPEN, DIE, CUT, MOVES };
static void move(struct world *world, enum move how)
{
    switch (how) {
    case STAY:
    case MOVES:
        break;
    case FLUSH:
        flush(world);
        break;
    case COMPACT:
        compact(world);
        break;
    case REOPEN:
        reopen(world);
        break;
    case DIE:
        process_dies(world);
        break;
    case CUT:
        power_cut(world);
        break;
    }
}

/* The extremes are seconds like others. */
START_TEST(absent_at_the_second)
{
    struct world world;
    world_init(&world);
    put(&world, "a", "always");
    put_until(&world, "k", "value", 10);
    put_until(&world, "past", "value", 0);
    put_until(&world, "late", "value", UINT64_MAX - START_S);
    put(&world, "z", "always");
    move(&world, (enum move)_i);
    clock_before(&world, 10);
    expect(&world, NULL, "k", "value", 10);
    expect(&world, NULL, "past", NULL, 0);
    clock_at(&world, 10);
    expect(&world, NULL, "k", NULL, 0);
    expect(&world, NULL, "late", "value", UINT64_MAX - START_S);
    expect(&world, NULL, "a", "always", 0);
    expect(&world, NULL, "z", "always", 0);
    world_deinit(&world);
}
END_TEST

START_TEST(present_in_what_was_taken_before)
{
    struct world world;
    const struct varve_snapshot *early = NULL, *late = NULL;
    struct varve_iterator *it = NULL;
    world_init(&world);
    put_until(&world, "k", "value", 10);
    clock_before(&world, 10);
    ck_assert_int_eq(varve_snapshot_acquire(world.db, &early), VARVE_OK);
    ck_assert_int_eq(varve_iterator_new(world.db, NULL, &it), VARVE_OK);
    clock_at(&world, 10);
    ck_assert_int_eq(varve_snapshot_acquire(world.db, &late), VARVE_OK);
    for (unsigned i = 0; i < 3; i++) {
        expect(&world, early, "k", "value", 10);
        expect(&world, late, "k", NULL, 0);
        expect(&world, NULL, "k", NULL, 0);
        ck_assert_int_eq(varve_iterator_seek_first(it), VARVE_OK);
        ck_assert_uint_eq(varve_iterator_expires_at(it), START_S + 10);
        if (i == 0)
            flush(&world);
        else
            compact(&world);
    }
    expect_counts(&world, 1, 1, 0, 1);
    varve_iterator_free(it);
    varve_snapshot_release(world.db, early);
    compact(&world);
    expect(&world, late, "k", NULL, 0);
    expect_counts(&world, 0, 0, 0, 0);
    varve_snapshot_release(world.db, late);
    world_deinit(&world);
}
END_TEST

/* The value goes with the first merge, the key only once no older run can hold it. */
START_TEST(key_goes_by_the_rule_of_tombstones)
{
    struct world world;
    world_init(&world);
    world.options.level0_trigger = 2;
    reopen(&world);
    put(&world, "k", "older");
    for (char key[2] = "a"; key[0] < 'z'; key[0]++)
        put(&world, key, "much more than the tiers' share of the last level");
    compact(&world);
    expect_counts(&world, 1, 25, 0, 0);
    put_until(&world, "k", "value", 10);
    flush(&world);
    expect_counts(&world, 2, 26, 0, 1);
    clock_at(&world, 10);
    put(&world, "l", "newer");
    flush(&world);
    ck_assert_uint_eq(version_now(&world)->levels[0].run_count, 2);
    while (version_now(&world)->levels[0].run_count > 0) /* into a tier: below is the key still */
        ck_assert(db_step(world.db));
    ck_assert_uint_eq(version_now(&world)->levels[1].run_count, 1);
    expect_counts(&world, 2, 27, 1, 0);
    expect(&world, NULL, "k", NULL, 0);
    reopen(&world);
    expect(&world, NULL, "k", NULL, 0);
    compact(&world);
    expect_counts(&world, 1, 24, 0, 0);
    expect(&world, NULL, "k", NULL, 0);
    expect(&world, NULL, "l", "newer", 0);
    world_deinit(&world);
}
END_TEST

/* A flush makes a tombstone of what has expired meanwhile, and never leaves it out. */
START_TEST(flush_keeps_a_tombstone)
{
    struct world world;
    world_init(&world);
    put(&world, "k", "older");
    compact(&world);
    put_until(&world, "k", "value", 10);
    clock_at(&world, 10);
    flush(&world);
    expect_counts(&world, 2, 2, 1, 0);
    expect(&world, NULL, "k", NULL, 0);
    compact(&world);
    expect_counts(&world, 0, 0, 0, 0);
    world_deinit(&world);
}
END_TEST

/* Of 100 keys of the last level, the i-th expires at second i + 1. */
static void garbage_fill(struct world *world)
{
    char key[8];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%03u", i);
        put_until(world, key, "value", i + 1);
    }
    compact(world);
    expect_counts(world, 1, 100, 0, 100);
}

static uint64_t garbage_merges(struct world *world)
{
    uint64_t count = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        count += world->db->counters.compactions[l][COMPACTION_GARBAGE].count;
    return count;
}

START_TEST(mostly_expired_tables_are_written_anew)
{
    struct world world;
    const struct varve_snapshot *snapshot = NULL;
    world_init(&world);
    garbage_fill(&world);
    clock_at(&world, 49);
    background_schedule_compaction(world.db);
    jobs_run(&world);
    ck_assert_uint_eq(garbage_merges(&world), 0);
    expect_counts(&world, 1, 100, 0, 100);

    ck_assert_int_eq(varve_snapshot_acquire(world.db, &snapshot), VARVE_OK);
    clock_at(&world, 50);
    background_schedule_compaction(world.db);
    jobs_run(&world);
    ck_assert_uint_eq(garbage_merges(&world), 0); /* the snapshot may still read them */
    expect(&world, snapshot, "k049", "value", 50);
    varve_snapshot_release(world.db, snapshot);

    background_schedule_compaction(world.db);
    jobs_run(&world);
    ck_assert_uint_eq(garbage_merges(&world), 1);
    expect_counts(&world, 1, 50, 0, 50);
    ck_assert_uint_eq(counts_read(&world).expiry_min_s, START_S + 51);
    ck_assert_uint_eq(counts_read(&world).expiry_max_s, START_S + 100);
    expect(&world, NULL, "k049", NULL, 0);
    expect(&world, NULL, "k050", "value", 51);

    clock_at(&world, 100);
    reopen(&world); /* an opening looks for what is due */
    jobs_run(&world);
    ck_assert_uint_eq(garbage_merges(&world), 1);
    expect_counts(&world, 0, 0, 0, 0);
    world_deinit(&world);
}
END_TEST

START_TEST(an_idle_store_drops_what_time_has_made_garbage)
{
    struct world world;
    world_init(&world);
    garbage_fill(&world);
    jobs_run(&world);
    clock_before(&world, 100);
    db_idle(world.db);
    jobs_run(&world);
    ck_assert_uint_eq(garbage_merges(&world), 0); /* the last of the table's keys still lives */
    clock_at(&world, 100);
    db_idle(world.db);
    jobs_run(&world);
    ck_assert_uint_eq(garbage_merges(&world), 1);
    expect_counts(&world, 0, 0, 0, 0);
    world_deinit(&world);
}
END_TEST

START_TEST(clock_set_back)
{
    struct world world;
    const struct varve_snapshot *snapshot = NULL;
    world_init(&world);
    put(&world, "k", "older");
    compact(&world);
    put_until(&world, "k", "value", 10);
    put_until(&world, "l", "value", 20);
    if (_i % 2 == 1)
        flush(&world);
    clock_at(&world, 10);
    expect(&world, NULL, "k", NULL, 0);
    clock_at(&world, 0);
    expect(&world, NULL, "k", NULL, 0); /* it was seen to be absent */
    ck_assert_int_eq(varve_snapshot_acquire(world.db, &snapshot), VARVE_OK);
    expect(&world, snapshot, "k", NULL, 0);
    varve_snapshot_release(world.db, snapshot);
    put(&world, "other", "value"); /* its frame holds the time */
    move(&world, (enum move)(_i / 2));
    expect(&world, NULL, "k", NULL, 0);
    expect(&world, NULL, "l", "value", 20);
    compact(&world);
    expect(&world, NULL, "k", NULL, 0);
    expect_counts(&world, 1, 2, 0, 1);
    clock_at(&world, 11);
    expect(&world, NULL, "k", NULL, 0);
    expect(&world, NULL, "l", "value", 20);
    world_deinit(&world);
}
END_TEST

/* Each merge that judged expiry has its time in the manifest, with nothing written after it. */
START_TEST(clock_set_back_after_a_merge)
{
    struct world world;
    world_init(&world);
    put_until(&world, "k", "value", 10);
    put_until(&world, "l", "value", 20);
    flush(&world);
    clock_at(&world, 10);
    compact(&world);
    expect_counts(&world, 1, 1, 0, 1);
    clock_at(&world, 0);
    power_cut(&world);
    ck_assert_uint_eq(db_store_time_ms(world.db), (START_S + 10) * 1000ull);
    expect(&world, NULL, "k", NULL, 0);
    expect(&world, NULL, "l", "value", 20);
    world_deinit(&world);
}
END_TEST

/* Two writes of a key, with every fate in between and behind. */
START_TEST(one_put_over_another)
{
    for (unsigned i = 0; i < MOVES * MOVES; i++) {
        struct world world;
        world_init(&world);
        put_until(&world, "expiring first", "1", 10);
        put(&world, "expiring last", "1");
        put_until(&world, "longer", "1", 10);
        put_until(&world, "shorter", "1", 20);
        move(&world, (enum move)(i % MOVES));
        put(&world, "expiring first", "2");
        put_until(&world, "expiring last", "2", 10);
        put_until(&world, "longer", "2", 20);
        put_until(&world, "shorter", "2", 10);
        move(&world, (enum move)(i / MOVES));
        expect(&world, NULL, "expiring first", "2", 0);
        expect(&world, NULL, "expiring last", "2", 10);
        clock_at(&world, 10);
        for (unsigned m = 0; m < MOVES; m++) {
            expect(&world, NULL, "expiring first", "2", 0);
            expect(&world, NULL, "expiring last", NULL, 0);
            expect(&world, NULL, "longer", "2", 20);
            expect(&world, NULL, "shorter", NULL, 0);
            move(&world, (enum move)m);
        }
        expect_counts(&world, 1, 2, 0, 1);
        world_deinit(&world);
    }
}
END_TEST

START_TEST(counts_are_right)
{
    struct world world;
    world_init(&world);
    put(&world, "a", "value");
    put_until(&world, "b", "value", 30);
    put_until(&world, "c", "value", 20);
    put_until(&world, "d", "value", 40);
    ck_assert_int_eq(varve_delete(world.db, varve_slice_str("e"), VARVE_SYNC_ON, NULL), VARVE_OK);
    flush(&world);
    for (unsigned i = 0; i < 3; i++) {
        struct counts counts = counts_read(&world);
        expect_counts(&world, 1, 5, 1, 3);
        ck_assert_uint_eq(counts.expiry_min_s, START_S + 20);
        ck_assert_uint_eq(counts.expiry_max_s, START_S + 40);
        move(&world, i == 0 ? REOPEN : CUT);
    }
    clock_at(&world, 20);
    compact(&world);
    struct counts counts = counts_read(&world);
    expect_counts(&world, 1, 3, 0, 2);
    ck_assert_uint_eq(counts.expiry_min_s, START_S + 30);
    clock_at(&world, 40);
    compact(&world);
    expect_counts(&world, 1, 1, 0, 0);
    ck_assert_uint_eq(counts_read(&world).expiry_max_s, 0);
    world_deinit(&world);
}
END_TEST

/* Many keys, each with a second of its own, as time passes. */
START_TEST(many_keys)
{
    uint64_t keys = rig_budget_is_long() ? 1000000 : 20000, alive = 0;
    struct world world;
    struct varve_batch *batch = NULL;
    struct varve_stats stats = {0};
    struct varve_iterator *it = NULL;
    char key[16];
    world_init(&world);
    ck_assert_int_eq(varve_batch_new(&batch), VARVE_OK);
    for (uint64_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "%08" PRIu64, i * 7919 % keys);
        ck_assert_int_eq(varve_batch_put_expiring(batch, varve_slice_str(key), varve_slice_str(key),
                                                  START_S + 1 + i % 100),
                         VARVE_OK);
        if (varve_batch_count(batch) < 500)
            continue;
        ck_assert_int_eq(varve_write(world.db, batch, VARVE_SYNC_OFF, NULL), VARVE_OK);
        varve_batch_clear(batch);
    }
    for (uint64_t second = 0; second <= 100; second += 25) {
        clock_at(&world, second);
        for (unsigned merged = 0; merged < 2; merged++) {
            alive = 0;
            ck_assert_int_eq(varve_iterator_new(world.db, NULL, &it), VARVE_OK);
            enum varve_status status = varve_iterator_seek_first(it);
            for (; status == VARVE_OK; status = varve_iterator_next(it), alive++)
                ck_assert_uint_gt(varve_iterator_expires_at(it), START_S + second);
            ck_assert_int_eq(status, VARVE_END);
            varve_iterator_free(it);
            ck_assert_uint_eq(alive, keys / 100 * (100 - second));
            compact(&world);
        }
        varve_stats_read(world.db, &stats);
        uint64_t entries = 0;
        for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
            entries += stats.levels[l].entries;
        ck_assert_uint_eq(entries, alive);
    }
    ck_assert_uint_eq(stats.table_bytes, 0);
    varve_batch_free(batch);
    world_deinit(&world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expiry");
    TCase *tests = tcase_create("expiry");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, batches_take_expiries);
    tcase_add_loop_test(tests, absent_at_the_second, 0, MOVES);
    tcase_add_test(tests, present_in_what_was_taken_before);
    tcase_add_test(tests, key_goes_by_the_rule_of_tombstones);
    tcase_add_test(tests, flush_keeps_a_tombstone);
    tcase_add_test(tests, mostly_expired_tables_are_written_anew);
    tcase_add_test(tests, an_idle_store_drops_what_time_has_made_garbage);
    tcase_add_loop_test(tests, clock_set_back, 0, 2 * MOVES);
    tcase_add_test(tests, clock_set_back_after_a_merge);
    tcase_add_test(tests, one_put_over_another);
    tcase_add_test(tests, counts_are_right);
    tcase_add_test(tests, many_keys);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
