/*
 * Figures of small stores whose every byte is known: what was merged and why, and what the work
 * comes to beside what was asked for.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "budget.h"
#include "crash_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define KEYS 200u
#define MISSING 1000u

struct fixture {
    struct crash_env *crash;
    struct varve_options options;
    struct varve_db *db;
};

/* Merges come when they are asked for. */
static void fixture_init(struct fixture *f, size_t bloom_bits)
{
    *f = (struct fixture){.crash = crash_env_new(1)};
    rig_options(&f->options);
    f->options.level0_trigger = 60;
    f->options.level0_stop = 64;
    f->options.bloom_bits_per_key = bloom_bits;
    f->options.compression_bottom = VARVE_COMPRESSION_NONE;
    f->db = rig_open(crash_env_env(f->crash), &f->options);
}

static void fixture_deinit(struct fixture *f)
{
    ck_assert_int_eq(varve_close(f->db), VARVE_OK);
    crash_env_free(f->crash);
}

static struct varve_stats stats_of(const struct fixture *f)
{
    struct varve_stats stats = {0};
    varve_stats_read(f->db, &stats);
    return stats;
}

/* Keys of 8 bytes with values of 100, in one table. */
static void fill(struct fixture *f, char letter, unsigned count)
{
    char key[16], value[100];
    memset(value, letter, sizeof value);
    for (unsigned i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%c%07u", letter, 2 * i);
        ck_assert_int_eq(varve_put(f->db, varve_slice_str(key), varve_slice(value, sizeof value),
                                   VARVE_SYNC_OFF, NULL),
                         VARVE_OK);
    }
    ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
}

static size_t reason_find(const char *name)
{
    for (size_t r = 0; r < VARVE_COMPACTION_REASONS; r++)
        if (strcmp(varve_compaction_reason_name(r), name) == 0)
            return r;
    ck_abort_msg("no reason is called %s", name);
}

static uint64_t merges_in_all(const struct varve_stats *stats)
{
    uint64_t count = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < VARVE_COMPACTION_REASONS; r++)
            count += stats->merged[l][r].count;
    return count;
}

START_TEST(an_empty_store_has_no_figures)
{
    struct fixture f;
    fixture_init(&f, 10);
    struct varve_stats stats = stats_of(&f);
    ck_assert_uint_eq(stats.live_bytes_estimate, 0);
    ck_assert_double_eq(stats.amplification.write, 0);
    ck_assert_double_eq(stats.amplification.write_with_log, 0);
    ck_assert_double_eq(stats.amplification.runs_per_get, 0);
    ck_assert_double_eq(stats.amplification.blocks_per_get, 0);
    ck_assert_double_eq(stats.amplification.space, 0);
    ck_assert_double_eq(stats.amplification.false_positives, 0);
    fixture_deinit(&f);
}
END_TEST

START_TEST(merges_by_level_and_reason)
{
    struct fixture f;
    size_t asked = reason_find("asked");
    fixture_init(&f, 10);
    fill(&f, 'a', KEYS);
    fill(&f, 'a', KEYS);
    struct varve_stats before = stats_of(&f);
    ck_assert_uint_eq(before.flush_bytes, before.table_bytes);
    ck_assert_uint_eq(before.user_write_bytes, 2 * KEYS * 108);
    ck_assert_uint_eq(merges_in_all(&before), 0);

    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    struct varve_stats after = stats_of(&f);
    const struct varve_compaction_stats *merged = &after.merged[VARVE_LEVELS_MAX - 1][asked];
    ck_assert_uint_eq(merges_in_all(&after), 1);
    ck_assert_uint_eq(merged->count, 1);
    ck_assert_uint_eq(merged->bytes_read, before.table_bytes);
    ck_assert_uint_eq(merged->bytes_written, after.table_bytes);
    ck_assert_uint_eq(after.compactions, 1);
    ck_assert_uint_eq(after.compaction_bytes_read, merged->bytes_read);
    ck_assert_uint_eq(after.compaction_bytes_written, merged->bytes_written);
    ck_assert_uint_eq(after.trivial_moves, 0);

    double in = (double)after.user_write_bytes;
    double written = (double)(after.flush_bytes + after.table_bytes);
    ck_assert_double_eq_tol(after.amplification.write, written / in, 1e-9);
    ck_assert_double_eq_tol(after.amplification.write_with_log,
                            (written + (double)after.wal_bytes) / in, 1e-9);
    fixture_deinit(&f);
}
END_TEST

/* Runs every job, and says how many bytes the largest merge among them has read. */
static uint64_t largest_merge(const struct fixture *f)
{
    uint64_t largest = 0, read = stats_of(f).compaction_bytes_read;
    while (db_step(f->db)) {
        uint64_t now = stats_of(f).compaction_bytes_read;
        largest = now - read > largest ? now - read : largest;
        read = now;
    }
    return largest;
}

/* Random overwrites, of which a merge has too little for a table between any two tables of the last
 * level: still no merge takes all of the store, for it needs its inputs' space again. */
START_TEST(no_merge_takes_all)
{
    enum { NUMBERS = 40000, EVERY = 100 };
    const unsigned writes = (unsigned)budget_choose(80000, 200000, 200000);
    struct fixture f = {.crash = crash_env_new(1)};
    rig_options(&f.options);
    f.db = rig_open(crash_env_env(f.crash), &f.options);
    struct prng prng = prng_make(1);
    uint64_t largest = 0;
    for (unsigned i = 0; i < NUMBERS + writes; i++) {
        char key[16], value[100] = {0};
        snprintf(key, sizeof key, "%07u", i < NUMBERS ? i : (unsigned)prng_below(&prng, NUMBERS));
        ck_assert_int_eq(varve_put(f.db, varve_slice_str(key), varve_slice(value, sizeof value),
                                   VARVE_SYNC_OFF, NULL),
                         VARVE_OK);
        if (i % EVERY == 0) {
            uint64_t bytes = largest_merge(&f);
            largest = bytes > largest ? bytes : largest;
        }
    }
    struct varve_stats stats = stats_of(&f);
    ck_assert_uint_gt(stats.compactions, writes / 222); /* 900 of 200,000 */
    ck_assert_uint_gt(stats.levels[VARVE_LEVELS_MAX - 1].tables, 10);
    ck_assert_msg(largest < stats.table_bytes / 4 * 3,
                  "a merge of %" PRIu64 " of %" PRIu64 " bytes", largest, stats.table_bytes);
    fixture_deinit(&f);
}
END_TEST

START_TEST(moves_are_no_merges)
{
    struct fixture f;
    fixture_init(&f, 10);
    fill(&f, 'a', KEYS);
    fill(&f, 'b', KEYS);
    struct varve_stats before = stats_of(&f);
    ck_assert_double_eq_tol(before.amplification.space, 1, 1e-9); /* their ranges are apart */
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    struct varve_stats after = stats_of(&f);
    ck_assert_uint_eq(after.trivial_moves, 1);
    ck_assert_uint_eq(merges_in_all(&after), 0);
    ck_assert_uint_eq(after.levels[0].tables, 0);
    ck_assert_double_eq(after.amplification.write, before.amplification.write);
    fixture_deinit(&f);
}
END_TEST

START_TEST(space)
{
    struct fixture f;
    fixture_init(&f, 10);
    fill(&f, 'a', KEYS);
    ck_assert_double_eq_tol(stats_of(&f).amplification.space, 1, 1e-9);
    fill(&f, 'a', KEYS);
    fill(&f, 'a', KEYS);
    struct varve_stats stats = stats_of(&f);
    ck_assert_uint_eq(stats.live_bytes_estimate, stats.table_bytes / 3);
    ck_assert_double_eq_tol(stats.amplification.space, 3, 0.01);
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    ck_assert_double_eq_tol(stats_of(&f).amplification.space, 1, 1e-9);

    /* A quarter of what is there is deleted: one table of tombstones beside the largest run. */
    for (unsigned i = 0; i < KEYS / 4; i++) {
        char key[16];
        snprintf(key, sizeof key, "a%07u", 2 * i);
        ck_assert_int_eq(varve_delete(f.db, varve_slice_str(key), VARVE_SYNC_OFF, NULL), VARVE_OK);
    }
    uint64_t live = stats_of(&f).live_bytes_estimate;
    ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    stats = stats_of(&f);
    ck_assert_uint_eq(stats.live_bytes_estimate, live);
    ck_assert_double_gt(stats.amplification.space, 1);
    fixture_deinit(&f);
}
END_TEST

static void get_missing(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        struct varve_value value = {0};
        snprintf(key, sizeof key, "a%07u", 2 * (i % (KEYS - 1)) + 1);
        snprintf(key + 8, sizeof key - 8, "%u", i);
        ck_assert_int_eq(varve_get(f->db, varve_slice_str(key), NULL, &value), VARVE_NOT_FOUND);
    }
}

START_TEST(runs_and_blocks_of_a_get)
{
    struct fixture f;
    fixture_init(&f, 0); /* no filters: each table is searched */
    fill(&f, 'a', KEYS);
    fill(&f, 'a', KEYS);
    fill(&f, 'a', KEYS);
    get_missing(&f, 50);
    struct varve_stats stats = stats_of(&f);
    ck_assert_uint_eq(stats.gets, 50);
    ck_assert_uint_eq(stats.get_runs, 150);
    ck_assert_uint_eq(stats.get_blocks, 150);
    ck_assert_double_eq_tol(stats.amplification.runs_per_get, 3, 1e-9);
    ck_assert_double_eq_tol(stats.amplification.blocks_per_get, 3, 1e-9);
    rig_expect(f.db, "a", NULL); /* in no table's range */
    ck_assert_uint_eq(stats_of(&f).get_runs, 150);
    struct varve_value value = {0};
    ck_assert_int_eq(varve_get(f.db, varve_slice_str("a0000000"), NULL, &value), VARVE_OK);
    varve_value_release(&value);
    ck_assert_uint_eq(stats_of(&f).get_runs, 151); /* the newest has it */
    ck_assert_uint_eq(stats_of(&f).get_blocks, 151);
    fixture_deinit(&f);
}
END_TEST

START_TEST(filters_spare_blocks)
{
    struct fixture f;
    size_t bits = _i == 0 ? 10 : 1;
    fixture_init(&f, bits);
    fill(&f, 'a', KEYS);
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    get_missing(&f, MISSING);
    struct varve_stats stats = stats_of(&f);
    ck_assert_uint_eq(stats.get_runs, MISSING);
    ck_assert_uint_eq(stats.bloom_checks, MISSING);
    ck_assert_uint_eq(stats.bloom_useful + stats.bloom_false_positives, MISSING);
    ck_assert_uint_eq(stats.get_blocks, stats.bloom_false_positives);
    ck_assert_double_eq_tol(stats.amplification.false_positives,
                            (double)stats.bloom_false_positives / MISSING, 1e-9);
    if (bits == 10)
        ck_assert_double_lt(stats.amplification.false_positives, 0.03);
    fixture_deinit(&f);
}
END_TEST

/* Stores whose writes are held up, and whose clock a test turns on. */
struct stall_fixture {
    struct crash_env *crash;
    struct env_ops ops;
    struct varve_options options;
    struct varve_db *db;
    char told[512]; /* lines about it, one behind the other */
};
static uint64_t clock_us;

static uint64_t clock_read(struct env *env)
{
    (void)env;
    return clock_us;
}

static void note_line(void *context, enum varve_log_level level, const char *text)
{
    struct stall_fixture *f = context;
    size_t used = strlen(f->told);
    (void)level;
    if (strncmp(text, "writes are ", 11) == 0)
        snprintf(f->told + used, sizeof f->told - used, "%s\n", text + 11);
}

static void stall_fixture_init(struct stall_fixture *f, size_t trigger, size_t stop)
{
    *f = (struct stall_fixture){.crash = crash_env_new(1)};
    struct env *env = crash_env_env(f->crash);
    f->ops = *env->ops;
    f->ops.mono_us = clock_read;
    env->ops = &f->ops;
    clock_us = 1000000;
    rig_options(&f->options);
    f->options.level0_trigger = trigger;
    f->options.level0_stop = stop;
    f->options.log = note_line;
    f->options.log_context = f;
    f->db = rig_open(env, &f->options);
}

static void stall_fixture_deinit(struct stall_fixture *f)
{
    ck_assert_int_eq(varve_close(f->db), VARVE_OK);
    crash_env_free(f->crash);
}

static void expect_stall(struct stall_fixture *f, enum varve_stall stall,
                         enum varve_stall_cause cause, unsigned debt_percent)
{
    struct varve_stats stats = {0};
    varve_stats_read(f->db, &stats);
    ck_assert_int_eq(stats.stall, stall);
    ck_assert_int_eq(stats.stall_cause, cause);
    ck_assert_uint_eq(stats.debt_percent, debt_percent);
}

/* Another run of level 0, which no merge takes away. */
static void run_add(struct stall_fixture *f)
{
    rig_put(f->db, "key", "value", VARVE_SYNC_OFF);
    ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
}

START_TEST(level_0_slows_writes)
{
    struct stall_fixture f;
    stall_fixture_init(&f, 4, 28); /* debt from 8 to 28 runs */
    for (unsigned i = 0; i < 8; i++)
        run_add(&f);
    expect_stall(&f, VARVE_STALL_NONE, VARVE_STALL_BY_NOTHING, 0);
    run_add(&f);
    expect_stall(&f, VARVE_STALL_SLOWED, VARVE_STALL_BY_LEVEL0, 5);
    ck_assert_str_eq(f.told, ""); /* too little to be told */
    run_add(&f);
    run_add(&f);
    expect_stall(&f, VARVE_STALL_SLOWED, VARVE_STALL_BY_LEVEL0, 15);
    ck_assert_str_eq(f.told, "slowed down: level 0 has many runs\n"); /* once */

    /* Over, but not for long enough to be told, and begun again. */
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    expect_stall(&f, VARVE_STALL_NONE, VARVE_STALL_BY_NOTHING, 0);
    clock_us += 4999999;
    db_idle(f.db);
    for (unsigned i = 0; i < 10; i++)
        run_add(&f);
    expect_stall(&f, VARVE_STALL_SLOWED, VARVE_STALL_BY_LEVEL0, 10);
    clock_us += 60000000;
    db_idle(f.db);
    ck_assert_str_eq(f.told, "slowed down: level 0 has many runs\n");

    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    clock_us += 5000000;
    db_idle(f.db);
    ck_assert_str_eq(f.told, "slowed down: level 0 has many runs\n"
                             "not held up any more: it took 64999 ms, of which they waited 0\n");
    stall_fixture_deinit(&f);
}
END_TEST

/* While a job is run for a writer that waits, it is seen to wait. */
static struct stall_fixture *waiting;

static void note_waiting(void *context, enum varve_log_level level, const char *text)
{
    note_line(context, level, text);
    if (strncmp(text, "writes are waiting", 18) == 0)
        expect_stall(waiting, VARVE_STALL_STOPPED, VARVE_STALL_BY_MEMTABLES, 0);
}

START_TEST(memtables_stop_writes)
{
    struct stall_fixture f;
    static char value[60 << 10];
    stall_fixture_init(&f, 60, 1000);
    ck_assert_int_eq(varve_close(f.db), VARVE_OK);
    f.options.memtables_max = 2;
    f.options.log = note_waiting;
    f.db = rig_open(crash_env_env(f.crash), &f.options);
    waiting = &f;
    while (f.told[0] == '\0')
        ck_assert_int_eq(varve_put(f.db, varve_slice_str("key"), varve_slice(value, sizeof value),
                                   VARVE_SYNC_OFF, NULL),
                         VARVE_OK);
    ck_assert_str_eq(f.told, "waiting: memtables wait for their flush\n");
    expect_stall(&f, VARVE_STALL_NONE, VARVE_STALL_BY_NOTHING, 0);
    stall_fixture_deinit(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-stats");
    TCase *tests = tcase_create("stats");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, an_empty_store_has_no_figures);
    tcase_add_test(tests, merges_by_level_and_reason);
    tcase_add_test(tests, no_merge_takes_all);
    tcase_add_test(tests, moves_are_no_merges);
    tcase_add_test(tests, space);
    tcase_add_test(tests, runs_and_blocks_of_a_get);
    tcase_add_loop_test(tests, filters_spare_blocks, 0, 2);
    tcase_add_test(tests, level_0_slows_writes);
    tcase_add_test(tests, memtables_stop_writes);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
