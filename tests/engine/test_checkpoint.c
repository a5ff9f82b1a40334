/*
 * Checkpoints: each holds exactly what the store held at the revision that it claims, whatever goes
 * on beside it, and neither failures nor power cuts in the middle of one do any harm.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "copy_rig.h"
#include "crash_env.h"
#include "engine/flush.h"
#include "engine/verify.h"
#include "fault_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"
#include "tmpdir.h"

#define COPY "/copy"
#define PARTIAL "/copy.partial"
#define CHANGES                                                                                    \
    (FAULT_OPEN | FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE | FAULT_MAKE_DIR | FAULT_REMOVE_DIR |  \
     FAULT_SYNC_DIR | FAULT_RENAME | FAULT_REMOVE | FAULT_LINK | FAULT_LOCK)

struct fixture {
    struct crash_env *crash;
    struct fault_env *fault;
    struct env *env;
    struct varve_options options;
    struct varve_db *db;
    struct model model;
    struct prng prng;
    uint64_t revision;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.crash = crash_env_new(1), .prng = prng_make(7)};
    f->fault = fault_env_new(crash_env_env(f->crash));
    f->env = fault_env_env(f->fault);
    rig_options(&f->options);
    f->options.memtables_max = 6;
    f->db = rig_open(f->env, &f->options);
}

static void fixture_deinit(struct fixture *f)
{
    if (f->db != NULL)
        db_abandon(f->db);
    ck_assert_uint_eq(fault_env_handles(f->fault), 0);
    model_deinit(&f->model);
    fault_env_free(f->fault);
    crash_env_free(f->crash);
}

static void fill(struct fixture *f, unsigned writes)
{
    uint8_t value[300];
    char key[32];
    for (unsigned i = 0; i < writes; i++) {
        snprintf(key, sizeof key, "key-%03u", (unsigned)prng_below(&f->prng, 400));
        struct varve_slice k = varve_slice_str(key);
        if (prng_chance(&f->prng, 15)) {
            ck_assert_int_eq(varve_delete(f->db, k, VARVE_SYNC_OFF, &f->revision), VARVE_OK);
            (void)model_delete(&f->model, k);
            continue;
        }
        prng_bytes(&f->prng, value, sizeof value);
        struct varve_slice v = varve_slice(value, prng_below(&f->prng, sizeof value));
        ck_assert_int_eq(varve_put(f->db, k, v, VARVE_SYNC_OFF, &f->revision), VARVE_OK);
        model_put(&f->model, k, v, f->revision);
    }
}

/* Switches without a flush: the memtable waits. */
static void leave_waiting(struct fixture *f)
{
    mutex_lock(&f->db->wal.lock);
    ck_assert_int_eq(commit_make_room_locked(f->db, true, NULL), VARVE_OK);
    mutex_unlock(&f->db->wal.lock);
}

/* Data everywhere: in tables of two levels, in waiting memtables, in the active one. */
static void fill_everywhere(struct fixture *f)
{
    fill(f, 600);
    ck_assert_int_eq(varve_compact(f->db, true), VARVE_OK);
    fill(f, 100);
    ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
    fill(f, 50);
    leave_waiting(f);
    fill(f, 40);
    leave_waiting(f);
    fill(f, 30);
    ck_assert_uint_eq(atomic_load(&f->db->waiting_memtables), 2);
}

START_TEST(test_holds_what_the_store_holds)
{
    struct fixture f;
    struct model then = {0};
    uint64_t revision = 0;
    fixture_init(&f);
    fill_everywhere(&f);
    ck_assert_int_eq(varve_checkpoint(f.db, COPY, &revision), VARVE_OK);
    ck_assert_uint_eq(revision, f.revision);
    ck_assert(!copy_exists(f.env, PARTIAL));
    ck_assert_uint_eq(copy_count_files(f.env, COPY, ".wal"), 3);
    ck_assert_uint_gt(copy_count_files(f.env, COPY, ".sst"), 1);
    model_clone(&f.model, &then);

    fill(&f, 300);
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    ck_assert_int_eq(store_verify(f.env, COPY, NULL, NULL, NULL, NULL), VARVE_OK);
    copy_expect(f.env, COPY, &then, revision);
    rig_expect_model(f.db, NULL, &f.model, true);
    model_deinit(&then);
    fixture_deinit(&f);
}
END_TEST

START_TEST(test_of_an_empty_store)
{
    struct fixture f;
    uint64_t revision = 1;
    fixture_init(&f);
    ck_assert_int_eq(varve_checkpoint(f.db, COPY "/", &revision), VARVE_OK);
    ck_assert_uint_eq(revision, 0);
    copy_expect(f.env, COPY, &f.model, 0);
    fixture_deinit(&f);
}
END_TEST

/* The flush of what the switch closes is done before the moment is taken. */
static void flush_at_once(void *context)
{
    struct fixture *f = context;
    bool flushed = true;
    while (flushed)
        ck_assert_int_eq(flush_oldest(f->db, &flushed), VARVE_OK);
}

START_TEST(test_without_a_live_segment)
{
    struct fixture f;
    uint64_t revision = 0;
    fixture_init(&f);
    fill(&f, 50);
    leave_waiting(&f);
    fill(&f, 20);
    /* Each seal closes its segment behind its edit: the one that waits, then the switch's. */
    const struct fault_rule rule = {.operations = FAULT_CLOSE,
                                    .pattern = "*.wal",
                                    .at = 2,
                                    .status = VARVE_OK,
                                    .hook = flush_at_once,
                                    .context = &f};
    fault_env_set_rule(f.fault, &rule);
    ck_assert_int_eq(varve_checkpoint(f.db, COPY, &revision), VARVE_OK);
    fault_env_set_rule(f.fault, NULL);
    ck_assert_uint_eq(copy_count_files(f.env, COPY, ".wal"), 0);
    ck_assert_int_eq(store_verify(f.env, COPY, NULL, NULL, NULL, NULL), VARVE_OK);
    copy_expect(f.env, COPY, &f.model, revision);
    fixture_deinit(&f);
}
END_TEST

/* Writes, flushes and merges until none of the tables of before is in the version. */
static void replace_all_tables(void *context)
{
    struct fixture *f = context;
    fill(f, 200);
    ck_assert_int_eq(varve_compact(f->db, true), VARVE_OK);
}

START_TEST(test_tables_stay_until_they_are_linked)
{
    struct fixture f;
    struct model then = {0};
    uint64_t revision = 0;
    fixture_init(&f);
    fill_everywhere(&f);
    model_clone(&f.model, &then);
    unsigned before = copy_count_files(f.env, RIG_STORE, ".sst");
    const struct fault_rule rule = {.operations = FAULT_LINK,
                                    .pattern = "*.sst",
                                    .at = 1,
                                    .status = VARVE_OK,
                                    .hook = replace_all_tables,
                                    .context = &f};
    fault_env_set_rule(f.fault, &rule);
    ck_assert_int_eq(varve_checkpoint(f.db, COPY, &revision), VARVE_OK);
    ck_assert_uint_eq(fault_env_chosen(f.fault), 1);
    fault_env_set_rule(f.fault, NULL);
    ck_assert_uint_eq(copy_count_files(f.env, COPY, ".sst"), before);
    ck_assert_uint_lt(revision, f.revision);
    copy_expect(f.env, COPY, &then, revision);
    /* They go from the store when the checkpoint has them. */
    struct varve_stats stats;
    varve_stats_read(f.db, &stats);
    ck_assert_uint_eq(copy_count_files(f.env, RIG_STORE, ".sst"), stats.tables);
    rig_expect_model(f.db, NULL, &f.model, true);
    model_deinit(&then);
    fixture_deinit(&f);
}
END_TEST

START_TEST(test_outlives_the_recycling_of_the_source)
{
    struct fixture f;
    struct model then = {0};
    struct varve_stats stats;
    uint64_t revision = 0;
    fixture_init(&f);
    fill_everywhere(&f);
    ck_assert_int_eq(varve_checkpoint(f.db, COPY, &revision), VARVE_OK);
    model_clone(&f.model, &then);
    uint64_t last_segment = f.db->wal.writer.segment_id;

    for (int i = 0; i < 12; i++) {
        fill(&f, 40);
        ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    }
    varve_stats_read(f.db, &stats);
    ck_assert_uint_gt(stats.wal_segments_recycled, 6);
    ck_assert_uint_gt(f.db->manifest.mu.state.first_live_segment, last_segment + 6);
    ck_assert_int_eq(store_verify(f.env, COPY, NULL, NULL, NULL, NULL), VARVE_OK);
    copy_expect(f.env, COPY, &then, revision);
    rig_expect_model(f.db, NULL, &f.model, true);
    model_deinit(&then);
    fixture_deinit(&f);
}
END_TEST

/* What a crash leaves is for the next open to mend, and is told from damage. */
START_TEST(test_verifying_tells_a_crash_from_damage)
{
    struct fixture f;
    struct varve_verify_report report = {0};
    struct varve_error error = {0};
    char path[FILENAME_BYTES_MAX];
    fixture_init(&f);
    fill_everywhere(&f);
    leave_waiting(&f);
    rig_put(f.db, "last", "write", VARVE_SYNC_OFF);
    uint64_t segment = f.db->wal.writer.segment_id, end = f.db->wal.writer.offset;
    db_abandon(f.db); /* which lets the flush under way end */
    f.db = NULL;
    uint64_t first = segment - 2;
    struct env *env = crash_env_env(f.crash);
    ck_assert_int_eq(store_verify(env, RIG_STORE, NULL, NULL, &report, NULL), VARVE_OK);
    ck_assert_uint_eq(report.revision, f.revision + 1);
    ck_assert_uint_eq(report.segments, 3);
    ck_assert_uint_eq(report.unfinished, 0);

    must_ok(filename_path(path, RIG_STORE, FILE_WAL, segment));
    ck_assert(crash_env_flip_byte(f.crash, path, end - 8, 1));
    ck_assert_int_eq(store_verify(env, RIG_STORE, NULL, NULL, &report, NULL), VARVE_OK);
    ck_assert_uint_eq(report.revision, f.revision);
    ck_assert_uint_eq(report.unfinished, 1);

    /* In a sealed segment, and where one is missing, it is damage; all of it is counted. */
    must_ok(filename_path(path, RIG_STORE, FILE_WAL, first));
    ck_assert(crash_env_flip_byte(f.crash, path, 5000, 1));
    ck_assert_int_eq(store_verify(env, RIG_STORE, NULL, NULL, &report, &error), VARVE_CORRUPT);
    ck_assert_str_eq(error.path, path);
    ck_assert_uint_eq(report.problems, 1);
    must_ok(filename_path(path, RIG_STORE, FILE_WAL, first + 1));
    must_ok(env_remove(env, path));
    ck_assert_int_eq(store_verify(env, RIG_STORE, NULL, NULL, &report, NULL), VARVE_CORRUPT);
    ck_assert_uint_eq(report.problems, 2);

    must_ok(env_remove(env, RIG_STORE "/CURRENT"));
    ck_assert_int_eq(store_verify(env, RIG_STORE, NULL, NULL, &report, NULL), VARVE_CORRUPT);
    must_ok(env_make_dir(env, "/empty"));
    ck_assert_int_eq(store_verify(env, "/empty", NULL, NULL, NULL, NULL), VARVE_NOT_FOUND);
    fixture_deinit(&f);
}
END_TEST

static void checkpoint_refused(struct fixture *f, const char *path, enum varve_status expected)
{
    uint64_t revision = 77;
    ck_assert_int_eq(varve_checkpoint(f->db, path, &revision), expected);
    ck_assert_uint_eq(revision, 77);
}

START_TEST(test_refuses_a_name_that_is_taken)
{
    struct fixture f;
    struct env_lock *lock = NULL;
    struct env_file *file = NULL;
    fixture_init(&f);
    fill(&f, 10);
    ck_assert_int_eq(varve_checkpoint(f.db, COPY, NULL), VARVE_OK);
    checkpoint_refused(&f, COPY, VARVE_EXISTS);
    checkpoint_refused(&f, RIG_STORE, VARVE_EXISTS);
    checkpoint_refused(&f, "", VARVE_INVALID);
    checkpoint_refused(&f, "/nowhere/copy", VARVE_NOT_FOUND);

    /* Somebody else is making it. */
    must_ok(env_make_dir(f.env, "/other.partial"));
    must_ok(env_lock_file(f.env, "/other.partial/LOCK", &lock));
    checkpoint_refused(&f, "/other", VARVE_LOCKED);
    ck_assert(copy_exists(f.env, "/other.partial/LOCK"));
    env_unlock_file(f.env, lock);

    /* A crash left it: cleared away and used. But not what is not ours. */
    must_ok(env_open(f.env, "/other.partial/000007.sst", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file));
    must_ok(env_file_close(file));
    must_ok(env_open(f.env, "/other.partial/letter", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file));
    must_ok(env_file_close(file));
    checkpoint_refused(&f, "/other", VARVE_EXISTS);
    ck_assert(copy_exists(f.env, "/other.partial/letter"));
    must_ok(env_remove(f.env, "/other.partial/letter"));
    ck_assert_int_eq(varve_checkpoint(f.db, "/other", NULL), VARVE_OK);
    ck_assert(!copy_exists(f.env, "/other/000007.sst"));
    copy_expect(f.env, "/other", &f.model, f.revision);
    fixture_deinit(&f);
}
END_TEST

START_TEST(test_copies_where_it_cannot_link)
{
    struct fixture f;
    struct model then = {0};
    struct env_file_info info = {0};
    uint64_t revision = 0;
    const struct fault_rule rule = {
        .operations = FAULT_LINK, .at = 1, .for_good = true, .status = VARVE_UNSUPPORTED};
    fixture_init(&f);
    fill_everywhere(&f);
    fault_env_set_rule(f.fault, &rule);
    ck_assert_int_eq(varve_checkpoint(f.db, COPY, &revision), VARVE_OK);
    fault_env_set_rule(f.fault, NULL);
    model_clone(&f.model, &then);
    char path[FILENAME_BYTES_MAX];
    const struct level *level = &f.db->manifest.mu.state.version->levels[0];
    ck_assert_uint_gt(level->run_count, 0);
    must_ok(filename_path(path, COPY, FILE_TABLE, level->runs[0].tables[0]->meta.file_id));
    must_ok(env_info(f.env, path, &info));
    ck_assert_uint_eq(info.link_count, 1);

    fill(&f, 200);
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    ck_assert_int_eq(store_verify(f.env, COPY, NULL, NULL, NULL, NULL), VARVE_OK);
    copy_expect(f.env, COPY, &then, revision);
    model_deinit(&then);
    fixture_deinit(&f);
}
END_TEST

/* Each call in turn fails once: nothing of the checkpoint is left, and the store goes on, or is
 * read-only when its own log was hit. */
static bool fail_call(uint64_t at, enum varve_status failure)
{
    struct fixture f;
    const struct fault_rule rule = {.operations = CHANGES, .at = at, .status = failure};
    fixture_init(&f);
    fill_everywhere(&f);
    fault_env_set_rule(f.fault, &rule);
    enum varve_status status = varve_checkpoint(f.db, COPY, NULL);
    bool reached = fault_env_chosen(f.fault) > 0;
    fault_env_set_rule(f.fault, NULL);

    if (status == VARVE_OK) {
        copy_expect(f.env, COPY, &f.model, f.revision);
    } else {
        ck_assert_msg(!copy_exists(f.env, COPY) && !copy_exists(f.env, PARTIAL),
                      "call %" PRIu64 ": something is left", at);
        if (db_state(f.db) == VARVE_STATE_OK)
            ck_assert_int_eq(varve_checkpoint(f.db, COPY, NULL), VARVE_OK);
    }
    rig_expect_model(f.db, NULL, &f.model, true);
    db_abandon(f.db);
    f.db = rig_open(f.env, &f.options);
    rig_expect_model(f.db, NULL, &f.model, true);
    fixture_deinit(&f);
    return reached;
}

START_TEST(test_a_failure_leaves_nothing)
{
    const enum varve_status failures[] = {VARVE_IO, VARVE_NO_SPACE};
    const uint64_t stride = budget_choose(6, 1, 1);
    uint64_t at = 1 + budget_offset(stride);
    while (fail_call(at, failures[_i]))
        at += stride;
    ck_assert_uint_gt(at, 20);
}
END_TEST

/* What is looked at after a power cut. */
struct cut_check {
    struct fixture *f;
    struct prng prng;
    uint64_t revision, images, found;
};

static void image_store_expect(struct fixture *f, struct env *env)
{
    struct varve_db *db = rig_open(env, &f->options);
    rig_expect_model(db, NULL, &f->model, true);
    db_abandon(db);
}

/* A directory that may be anything, but no store other than the whole one. */
static void image_partial_expect(struct cut_check *check, struct env *env)
{
    struct varve_options options = check->f->options;
    struct varve_db *db = NULL;
    options.create_if_missing = false;
    if (db_open(PARTIAL, &options, env, true, &db, NULL) != VARVE_OK)
        return;
    rig_expect_model(db, NULL, &check->f->model, true);
    db_abandon(db);
}

static void image_check(struct cut_check *check, enum crash_cut mode, bool must_be_there)
{
    struct fixture *f = check->f;
    struct crash_env *image = crash_env_cut(f->crash, prng_next(&check->prng), mode);
    struct env *env = crash_env_env(image);
    check->images++;
    bool there = copy_exists(env, COPY);
    ck_assert(there || !must_be_there);
    if (there) {
        check->found++;
        ck_assert_int_eq(store_verify(env, COPY, NULL, NULL, NULL, NULL), VARVE_OK);
        copy_expect(env, COPY, &f->model, check->revision);
    }
    image_store_expect(f, env);
    if (check->images % 2 == 0) {
        image_partial_expect(check, env);
    } else if (!there) {
        struct varve_db *db = rig_open(env, &f->options);
        ck_assert_int_eq(varve_checkpoint(db, COPY, NULL), VARVE_OK);
        db_abandon(db);
        ck_assert(!copy_exists(env, PARTIAL));
        ck_assert_int_eq(store_verify(env, COPY, NULL, NULL, NULL, NULL), VARVE_OK);
    }
    crash_env_free(image);
}

static void cut_hook(void *context)
{
    struct cut_check *check = context;
    image_check(check, CRASH_CUT_NONE, false);
    image_check(check, CRASH_CUT_ALL, false);
    for (uint64_t i = budget_choose(2, 3, 3); i > 0; i--)
        image_check(check, CRASH_CUT_RANDOM, false);
}

START_TEST(test_power_cuts)
{
    struct fixture f;
    fixture_init(&f);
    fill_everywhere(&f);
    rig_put(f.db, "last", "durable", VARVE_SYNC_ON);
    model_put(&f.model, varve_slice_str("last"), varve_slice_str("durable"), ++f.revision);
    struct cut_check check = {.f = &f, .prng = prng_make(5), .revision = f.revision};
    const struct fault_rule rule = {.operations = CHANGES,
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_OK,
                                    .hook = cut_hook,
                                    .context = &check};
    fault_env_set_rule(f.fault, &rule);
    ck_assert_int_eq(varve_checkpoint(f.db, COPY, NULL), VARVE_OK);
    fault_env_set_rule(f.fault, NULL);
    image_check(&check, CRASH_CUT_NONE, true);
    image_check(&check, CRASH_CUT_RANDOM, true);
    ck_assert_uint_gt(check.images, 100);
    ck_assert_uint_gt(check.found, 2);
    fixture_deinit(&f);
}
END_TEST

#define LOAD_CHECKPOINTS 10

START_TEST(test_under_load)
{
    struct tmpdir dir;
    struct varve_options options;
    struct varve_db *db = NULL;
    struct varve_stats stats;
    uint64_t revisions[LOAD_CHECKPOINTS] = {0};
    char path[LOAD_CHECKPOINTS][TMPDIR_PATH_BYTES + 16];

    tmpdir_make(&dir);
    rig_options(&options);
    must_ok(varve_open(tmpdir_path(&dir, "store"), &options, &db, NULL));
    struct copy_load *load = copy_load_start(db, 11);
    for (int i = 0; i < LOAD_CHECKPOINTS; i++) {
        snprintf(path[i], sizeof path[i], "%s/copy-%d", dir.path, i);
        copy_load_advance(load, 700);
        ck_assert_int_eq(varve_checkpoint(db, path[i], &revisions[i]), VARVE_OK);
    }
    copy_load_advance(load, 3000);
    copy_load_stop(load);
    varve_stats_read(db, &stats);
    ck_assert_uint_gt(stats.flushes, 10);
    for (int i = 0; i < LOAD_CHECKPOINTS; i++) {
        struct model model = {0};
        ck_assert(i == 0 || revisions[i] > revisions[i - 1]);
        copy_load_model(load, revisions[i], &model);
        ck_assert_int_eq(varve_verify(path[i], NULL, NULL, NULL, NULL), VARVE_OK);
        copy_expect(env_posix(), path[i], &model, revisions[i]);
        model_deinit(&model);
    }
    copy_load_free(load);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    tmpdir_remove(&dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tests = tcase_create("checkpoint");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, test_holds_what_the_store_holds);
    tcase_add_test(tests, test_of_an_empty_store);
    tcase_add_test(tests, test_without_a_live_segment);
    tcase_add_test(tests, test_tables_stay_until_they_are_linked);
    tcase_add_test(tests, test_outlives_the_recycling_of_the_source);
    tcase_add_test(tests, test_verifying_tells_a_crash_from_damage);
    tcase_add_test(tests, test_refuses_a_name_that_is_taken);
    tcase_add_test(tests, test_copies_where_it_cannot_link);
    tcase_add_loop_test(tests, test_a_failure_leaves_nothing, 0, 2);
    tcase_add_test(tests, test_power_cuts);
    tcase_add_test(tests, test_under_load);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
