/*
 * Merges that are asked for by hand: all of a store or a part of it, one after the other, and given
 * up when the store closes.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crash_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define LETTERS 26u
#define KEYS_A_LETTER 20u

static void options_make(struct varve_options *options, enum varve_compaction style)
{
    rig_options(options);
    options->compaction = style;
    options->level0_trigger = 60; /* merges come when they are asked for */
    options->level0_stop = 64;
    options->table_bytes = 64 << 10;
}

/* Puts some keys of the letters `from` to `to` and flushes. */
static void letters_put(struct varve_db *db, char from, char to, unsigned round)
{
    char key[16], value[2048];
    memset(value, 'v', sizeof value);
    for (char letter = from; letter <= to; letter++) {
        for (unsigned i = 0; i < KEYS_A_LETTER; i++) {
            snprintf(key, sizeof key, "%c%02u", letter, i);
            snprintf(value, sizeof value, "%s in round %u", key, round);
            ck_assert_int_eq(varve_put(db, varve_slice_str(key), varve_slice(value, sizeof value),
                                       VARVE_SYNC_OFF, NULL),
                             VARVE_OK);
        }
    }
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
}

static struct varve_stats stats_of(struct varve_db *db)
{
    struct varve_stats stats = {0};
    varve_stats_read(db, &stats);
    return stats;
}

/* Tables with keys of a letter, above the deepest level that has any table. */
static size_t tables_above(struct varve_db *db, char letter)
{
    uint64_t sequence = 0;
    struct view *view = view_slot_acquire(&db->view, &db->visible, &sequence);
    const struct version *version = view->version;
    size_t deepest = VARVE_LEVELS_MAX - 1, count = 0;
    char first[2] = {letter, 0}, end[2] = {(char)(letter + 1), 0};
    while (deepest > 0 && version->levels[deepest].run_count == 0)
        deepest--;
    for (size_t l = 0; l < deepest; l++)
        for (size_t r = 0; r < version->levels[l].run_count; r++)
            for (size_t t = 0; t < version->levels[l].runs[r].table_count; t++) {
                const struct table *table = version->levels[l].runs[r].tables[t];
                struct varve_slice smallest = entry_user_key(table_smallest(table));
                struct varve_slice largest = entry_user_key(table_largest(table));
                count += varve_slice_compare(largest, varve_slice_str(first)) >= 0 &&
                         varve_slice_compare(smallest, varve_slice_str(end)) < 0;
            }
    view_unref(view);
    return count;
}

START_TEST(a_part_is_merged_and_the_rest_stays)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    struct model model = {0};
    options_make(&options, _i == 0 ? VARVE_COMPACTION_TIERED : VARVE_COMPACTION_LEVELED);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    letters_put(db, 'a', 'z', 0);
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
    ck_assert_uint_eq(tables_above(db, 'm'), 0);
    letters_put(db, 'a', 'c', 1);
    letters_put(db, 'k', 'l', 2);
    letters_put(db, 'm', 'n', 3);
    ck_assert_int_eq(rig_try_read(db, NULL, &model), VARVE_OK);

    uint64_t read_before = stats_of(db).compaction_bytes_read;
    uint64_t all_bytes = stats_of(db).table_bytes;
    ck_assert_int_eq(varve_compact_range(db, varve_slice_str("m"), varve_slice_str("n"), true),
                     VARVE_OK);
    ck_assert_uint_eq(tables_above(db, 'm'), 0);
    ck_assert_uint_gt(tables_above(db, 'a'), 0);
    ck_assert_uint_gt(tables_above(db, 'k'), 0);
    uint64_t read = stats_of(db).compaction_bytes_read - read_before;
    ck_assert_uint_gt(read, 0);
    ck_assert_uint_lt(read, all_bytes / 2);
    rig_expect_model(db, NULL, &model, true);

    ck_assert_int_eq(varve_compact_range(db, varve_slice_str("b"), varve_slice(NULL, 0), true),
                     VARVE_OK);
    ck_assert_uint_eq(tables_above(db, 'k'), 0);
    rig_expect_model(db, NULL, &model, true);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    model_deinit(&model);
    crash_env_free(crash);
}
END_TEST

START_TEST(what_is_no_range_is_refused)
{
    static const uint8_t long_key[VARVE_KEY_BYTES_MAX + 1];
    struct crash_env *crash = crash_env_new(1);
    struct varve_db *db = rig_open(crash_env_env(crash), NULL);
    struct varve_slice none = varve_slice(NULL, 0), a = varve_slice_str("a");
    struct varve_slice b = varve_slice_str("b"), too_long = varve_slice(long_key, sizeof long_key);
    ck_assert_int_eq(varve_compact_range(db, b, a, true), VARVE_INVALID);
    ck_assert_int_eq(varve_compact_range(db, a, a, true), VARVE_INVALID);
    ck_assert_int_eq(varve_compact_range(db, too_long, none, true), VARVE_INVALID);
    ck_assert_int_eq(varve_compact_range(db, none, too_long, true), VARVE_INVALID);
    ck_assert_int_eq(varve_compact_range(db, none, none, true), VARVE_OK);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

START_TEST(only_so_many_wait)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options, VARVE_COMPACTION_TIERED);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    char key[16];
    letters_put(db, 'a', 'z', 0);
    for (unsigned i = 0; i < BACKGROUND_MANUAL_MAX; i++) {
        snprintf(key, sizeof key, "c%02u", i);
        ck_assert_int_eq(varve_compact_range(db, varve_slice_str(key), varve_slice_str("x"), false),
                         VARVE_OK);
    }
    ck_assert_int_eq(varve_compact(db, false), VARVE_BUSY);
    /* The same one again is the one that waits. */
    ck_assert_int_eq(varve_compact_range(db, varve_slice_str(key), varve_slice_str("x"), false),
                     VARVE_OK);
    while (db_step(db)) {
    }
    ck_assert_uint_eq(tables_above(db, 'm'), 0);
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
    ck_assert_int_eq(varve_compact_range(db, varve_slice_str("a"), varve_slice_str("b"), false),
                     VARVE_OK);
    ck_assert_int_eq(varve_close(db), VARVE_OK); /* with one that nobody came to */
    ck_assert_uint_eq(crash_env_handles(crash), 0);
    crash_env_free(crash);
}
END_TEST

/* A store whose first merge ends only when the store closes, or is let go. */
struct closing_store {
    struct varve_db *_Atomic db;
    atomic_bool merged, let_go;
};

static void hold_first_merge(void *context, enum varve_log_level level, const char *text)
{
    struct closing_store *store = context;
    (void)level;
    if (strncmp(text, "merged ", 7) != 0 || atomic_exchange(&store->merged, true))
        return;
    while (!background_is_closing(atomic_load(&store->db)) && !atomic_load(&store->let_go))
        sched_yield();
}

static void *compact_and_wait(void *context)
{
    struct closing_store *store = context;
    enum varve_status *ret_status = must_calloc(1, sizeof *ret_status);
    *ret_status = varve_compact_range(atomic_load(&store->db), varve_slice_str("b"),
                                      varve_slice_str("y"), true);
    return ret_status;
}

/* The first merge does not end before a second has been made. */
struct pair {
    atomic_uint merged;
    atomic_bool together;
};
#define PAIR_WAIT_S 120

static void hold_for_second(void *context, enum varve_log_level level, const char *text)
{
    struct pair *pair = context;
    time_t deadline = time(NULL) + PAIR_WAIT_S;
    (void)level;
    if (strncmp(text, "merged ", 7) != 0 || atomic_fetch_add(&pair->merged, 1) > 0)
        return;
    while (atomic_load(&pair->merged) < 2 && time(NULL) < deadline)
        sched_yield();
    atomic_store(&pair->together, atomic_load(&pair->merged) >= 2);
}

/* Until the look for merges that an opening asks for is over. */
static void wait_for_rest(struct varve_db *db)
{
    for (bool rests = false; !rests; sched_yield()) {
        mutex_lock(&db->background.mu.lock);
        rests = true;
        for (size_t i = 0; i < db->background.slot_count; i++)
            rests = rests && db->background.mu.compactions[i].state == COMPACTION_SLOT_IDLE;
        mutex_unlock(&db->background.mu.lock);
    }
}

START_TEST(two_run_together)
{
    struct pair pair = {0};
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    struct varve_db *db = NULL;
    struct model model = {0};
    /* Two pieces of the first tier over the last level. */
    options_make(&options, VARVE_COMPACTION_TIERED);
    options.compression_bottom = VARVE_COMPRESSION_NONE;
    options.level0_trigger = 2;
    db = rig_open(crash_env_env(crash), &options);
    letters_put(db, 'a', 'z', 0);
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
    letters_put(db, 'a', 'b', 1);
    letters_put(db, 'm', 'n', 2);
    while (db_step(db)) {
    }
    ck_assert_uint_eq(stats_of(db).levels[0].runs, 0);
    ck_assert_uint_ge(stats_of(db).levels[1].tables, 2);
    ck_assert_int_eq(rig_try_read(db, NULL, &model), VARVE_OK);
    ck_assert_int_eq(varve_close(db), VARVE_OK);

    options.compaction_workers = 2;
    options.log = hold_for_second;
    options.log_context = &pair;
    must_ok(db_open(RIG_STORE, &options, crash_env_env(crash), false, &db, NULL));
    wait_for_rest(db);
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
    ck_assert(atomic_load(&pair.together));
    rig_expect_model(db, NULL, &model, true);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    model_deinit(&model);
    crash_env_free(crash);
}
END_TEST

static void run_merges(struct varve_db *db)
{
    for (char letter = 'a'; letter < 'z'; letter++) {
        char from[2] = {letter, 0}, to[2] = {(char)(letter + 1), 0};
        ck_assert_int_eq(
            varve_compact_range(db, varve_slice_str(from), varve_slice_str(to), letter % 4 == 0),
            VARVE_OK);
    }
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
}

/* Merges of parts and of all, by three workers, while the store is written to. */
START_TEST(many_by_several_workers)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    struct varve_db *db = NULL;
    struct model model = {0};
    options_make(&options, _i == 0 ? VARVE_COMPACTION_TIERED : VARVE_COMPACTION_LEVELED);
    options.level0_trigger = 3;
    options.compaction_workers = 3;
    must_ok(db_open(RIG_STORE, &options, crash_env_env(crash), false, &db, NULL));
    for (unsigned round = 0; round < 4; round++) {
        letters_put(db, 'a', 'z', round);
        run_merges(db);
        letters_put(db, (char)('a' + 3 * round), (char)('g' + 3 * round), 10 + round);
    }
    ck_assert_int_eq(rig_try_read(db, NULL, &model), VARVE_OK);
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
    ck_assert_uint_eq(stats_of(db).levels[0].runs, 0);
    wait_for_rest(db); /* a worker may still be looking for more */
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    db = rig_open(crash_env_env(crash), &options);
    rig_expect_model(db, NULL, &model, true);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    ck_assert_uint_eq(crash_env_handles(crash), 0);
    model_deinit(&model);
    crash_env_free(crash);
}
END_TEST

/* Two callers wait for the merge of a store that holds `ret_model`. */
static void merge_begin(struct closing_store *store, struct crash_env *crash,
                        struct model *ret_model, pthread_t threads[2])
{
    struct varve_options options;
    struct varve_db *db = NULL;
    options_make(&options, VARVE_COMPACTION_TIERED);
    db = rig_open(crash_env_env(crash), &options);
    letters_put(db, 'a', 'z', 0);
    letters_put(db, 'f', 'p', 1);
    ck_assert_int_eq(rig_try_read(db, NULL, ret_model), VARVE_OK);
    ck_assert_int_eq(varve_close(db), VARVE_OK);

    options.log = hold_first_merge;
    options.log_context = store;
    must_ok(db_open(RIG_STORE, &options, crash_env_env(crash), false, &db, NULL));
    atomic_store(&store->db, db);
    for (size_t i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, compact_and_wait, store) == 0);
    while (!atomic_load(&store->merged))
        sched_yield();
}

static void expect_closed(pthread_t threads[2])
{
    for (size_t i = 0; i < 2; i++) {
        void *status = NULL;
        must(pthread_join(threads[i], &status) == 0);
        ck_assert_int_eq(*(enum varve_status *)status, VARVE_CLOSED);
        free(status);
    }
}

/* Nobody waits any more, but the store goes on, and so does the merge. */
START_TEST(interrupting_ends_the_waits)
{
    struct closing_store store = {.let_go = false};
    struct crash_env *crash = crash_env_new(1);
    struct model model = {0};
    pthread_t threads[2];
    merge_begin(&store, crash, &model, threads);
    struct varve_db *db = atomic_load(&store.db);
    varve_interrupt(db);
    expect_closed(threads);
    ck_assert_int_eq(varve_compact(db, true), VARVE_CLOSED);
    ck_assert_int_eq(varve_backup_create(db, "/backup", NULL, NULL), VARVE_CLOSED);
    ck_assert_int_eq(varve_compact(db, false), VARVE_OK);
    rig_put(db, "later", "v", VARVE_SYNC_ON);
    atomic_store(&store.let_go, true);
    ck_assert_int_eq(varve_close(db), VARVE_OK);

    db = rig_open(crash_env_env(crash), NULL);
    rig_expect(db, "later", "v");
    ck_assert_int_eq(varve_delete(db, varve_slice_str("later"), VARVE_SYNC_ON, NULL), VARVE_OK);
    rig_expect_model(db, NULL, &model, true);
    ck_assert_int_eq(varve_backup_create(db, "/backup", NULL, NULL), VARVE_OK);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    model_deinit(&model);
    crash_env_free(crash);
}
END_TEST

START_TEST(closing_gives_them_up)
{
    struct closing_store store = {.let_go = false};
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    struct model model = {0};
    pthread_t threads[2];
    options_make(&options, VARVE_COMPACTION_TIERED);
    merge_begin(&store, crash, &model, threads);
    struct varve_db *db = atomic_load(&store.db);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    expect_closed(threads);
    db = rig_open(crash_env_env(crash), &options);
    rig_expect_model(db, NULL, &model, true);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    model_deinit(&model);
    crash_env_free(crash);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-manual");
    TCase *tests = tcase_create("manual");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, a_part_is_merged_and_the_rest_stays, 0, 2);
    tcase_add_test(tests, what_is_no_range_is_refused);
    tcase_add_test(tests, only_so_many_wait);
    tcase_add_test(tests, two_run_together);
    tcase_add_loop_test(tests, many_by_several_workers, 0, 2);
    tcase_add_test(tests, closing_gives_them_up);
    tcase_add_test(tests, interrupting_ends_the_waits);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
