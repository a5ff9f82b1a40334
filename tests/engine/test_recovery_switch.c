/*
 * What may be on disk while a switch of the log is under way, and what opening makes of it: the
 * states between "going on" and "sealing" of "The switch" in DESIGN.md. Each is also judged by
 * store_verify, which must see it as opening does.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>

#include "engine/flush.h"
#include "engine/verify.h"
#include "fault_env.h"
#include "format/wal_writer.h"
#include "must.h"
#include "recovery_rig.h"
#include "run_suite.h"

/* The active segment becomes the full one, and no job runs that would seal it. */
static void go_on(struct fixture *f)
{
    uint64_t full = 0, before = active_segment(f);
    must_ok(db_flush_begin(f->db, &full));
    ck_assert_uint_eq(full, before);
    ck_assert_uint_eq(active_segment(f), before + 1);
}

/* The process dies before any job has run. */
static void die_at_once(struct fixture *f)
{
    struct crash_env *image = crash_env_cut(f->crash, 1, CRASH_CUT_ALL);
    die(f);
    crash_env_free(f->crash);
    f->crash = image;
    f->env = crash_env_env(image);
}

static void expect_verified(struct fixture *f, uint64_t problems, uint64_t unfinished)
{
    struct varve_verify_report report = {0};
    enum varve_status status = store_verify(f->env, RIG_STORE, NULL, NULL, &report, NULL);
    ck_assert_int_eq(status, problems == 0 ? VARVE_OK : VARVE_CORRUPT);
    ck_assert_uint_eq(report.problems, problems);
    ck_assert_uint_eq(report.unfinished, unfinished);
}

/* As a power cut would that loses it: the n-th frame of the segment is not valid any more. */
static void frame_spoil(struct fixture *f, uint64_t segment, size_t n)
{
    uint64_t offset = frame_find(f, segment, n).offset;
    ck_assert(crash_env_flip_byte(f->crash, segment_path(segment), offset + 50, 1));
}

START_TEST(both_segments_count)
{
    struct fixture f;
    struct varve_stats stats = {0};
    fixture_init(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    rig_put(f.db, "b", "2", VARVE_SYNC_OFF);
    go_on(&f);
    rig_put(f.db, "c", "3", VARVE_SYNC_OFF);
    rig_put(f.db, "b", "4", VARVE_SYNC_OFF);
    die_at_once(&f);
    expect_verified(&f, 0, 0);
    f.options.recovery_mode = VARVE_RECOVERY_STRICT;
    reopen(&f);
    rig_expect(f.db, "a", "1");
    rig_expect(f.db, "b", "4");
    rig_expect(f.db, "c", "3");
    varve_stats_read(f.db, &stats);
    ck_assert_uint_eq(stats.recovery_segments, 2);
    ck_assert_uint_eq(stats.recovery_cut_frames, 0);
    fixture_deinit(&f);
}
END_TEST

/* With n = 1 the full segment keeps its first frame, with 0 nothing. */
START_TEST(a_lost_end_takes_what_follows_with_it)
{
    struct fixture f;
    struct varve_stats stats = {0};
    uint64_t n = (uint64_t)_i;
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", n == 0 ? VARVE_SYNC_OFF : VARVE_SYNC_ON);
    rig_put(f.db, "b", "2", VARVE_SYNC_OFF);
    go_on(&f);
    rig_put(f.db, "c", "3", VARVE_SYNC_OFF);
    rig_put(f.db, "d", "4", VARVE_SYNC_OFF);
    die_at_once(&f);
    for (uint64_t i = 2; i-- > n;)
        frame_spoil(&f, id, i);
    uint64_t cut = frame_find(&f, id + 1, 1).end_offset - frame_find(&f, id + 1, 0).offset;
    expect_verified(&f, 0, 2);

    f.options.recovery_mode = VARVE_RECOVERY_STRICT;
    expect_refused(&f, VARVE_CORRUPT, segment_path(id), 0);
    f.options.recovery_mode = VARVE_RECOVERY_TAIL;
    reopen(&f);
    rig_expect(f.db, "a", n == 0 ? NULL : "1");
    rig_expect(f.db, "b", NULL);
    rig_expect(f.db, "c", NULL);
    rig_expect(f.db, "d", NULL);
    varve_stats_read(f.db, &stats);
    ck_assert_uint_eq(stats.recovery_cut_frames, 2); /* spoilt ones are none any more */
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", ".wal-", NULL), 2);
    char part[32];
    snprintf(part, sizeof part, "%06" PRIu64 ".wal-", id + 1);
    struct search lost = {0};
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", part, &lost), 1);
    ck_assert_uint_eq(lost.content.size, cut);
    buf_deinit(&lost.content);

    /* Revisions that somebody may have seen are not given again, and the store goes on. */
    rig_put(f.db, "e", "5", VARVE_SYNC_ON);
    die(&f);
    reopen(&f);
    rig_expect(f.db, "e", "5");
    fixture_deinit(&f);
}
END_TEST

START_TEST(a_torn_end_of_what_follows_is_cut_alone)
{
    struct fixture f;
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_OFF);
    go_on(&f);
    rig_put(f.db, "b", "2", VARVE_SYNC_OFF);
    rig_put(f.db, "c", "3", VARVE_SYNC_OFF);
    die_at_once(&f);
    frame_spoil(&f, id + 1, 1);
    expect_verified(&f, 0, 1);
    reopen(&f);
    rig_expect(f.db, "a", "1");
    rig_expect(f.db, "b", "2");
    rig_expect(f.db, "c", NULL);
    fixture_deinit(&f);
}
END_TEST

/* Nothing of it goes on then; but it is there, and nothing of it is lost without a word. */
START_TEST(a_torn_beginning_of_what_follows_is_cut)
{
    struct fixture f;
    struct varve_stats stats = {0};
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_OFF);
    go_on(&f);
    rig_put(f.db, "b", "2", VARVE_SYNC_OFF);
    rig_put(f.db, "c", "3", VARVE_SYNC_OFF);
    die_at_once(&f);
    uint64_t offset = frame_find(&f, id + 1, 0).offset;
    frame_spoil(&f, id + 1, 0);
    expect_verified(&f, 0, 1);
    f.options.recovery_mode = VARVE_RECOVERY_STRICT;
    expect_refused(&f, VARVE_CORRUPT, segment_path(id + 1), offset);
    f.options.recovery_mode = VARVE_RECOVERY_TAIL;
    reopen(&f);
    rig_expect(f.db, "a", "1");
    rig_expect(f.db, "b", NULL);
    rig_expect(f.db, "c", NULL);
    varve_stats_read(f.db, &stats);
    ck_assert_uint_eq(stats.recovery_cut_frames, 1);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", ".wal-", NULL), 1);
    fixture_deinit(&f);
}
END_TEST

/* What a manifest that lost the seal's record leaves: its last segment is not sealed, and the one
 * behind it says that it had been synced. */
START_TEST(a_synced_segment_beyond_is_refused)
{
    struct fixture f;
    struct search manifest = {0};
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_OFF);
    go_on(&f);
    ck_assert_uint_eq(files_find(&f, RIG_STORE, "manifest", &manifest), 1);
    rig_put(f.db, "b", "2", VARVE_SYNC_ON);
    db_idle(f.db); /* says that b was synced */
    die_at_once(&f);
    file_write(&f, manifest.path, manifest.content.data, manifest.content.size);
    buf_deinit(&manifest.content);
    expect_verified(&f, 1, 0);
    expect_refused(&f, VARVE_CORRUPT, segment_path(id + 1), 0);
    fixture_deinit(&f);
}
END_TEST

START_TEST(nothing_may_follow_a_sealed_end)
{
    struct fixture f;
    struct wal_writer writer = {0};
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    uint64_t sequence = atomic_load(&f.db->visible);
    shut(&f);
    id = id + 1; /* closing flushes, so it switched */
    must_ok(wal_writer_open(&writer, f.env, segment_path(id + 1), id + 1, 1, WAL_BYTES_LEAST));
    must_ok(wal_writer_begin(&writer, sequence + 1, 1));
    must_ok(wal_writer_commit(&writer));
    wal_writer_close(&writer);
    expect_verified(&f, 1, 0);
    expect_refused(&f, VARVE_CORRUPT, "lost a record", 0);
    fixture_deinit(&f);
}
END_TEST

/* Durable is durable, whichever segment it went to and whatever was not durable before it. */
START_TEST(a_durable_write_seals_first)
{
    struct fixture f;
    fixture_init(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_OFF);
    go_on(&f);
    rig_put(f.db, "b", "2", VARVE_SYNC_OFF);
    rig_put(f.db, "c", "3", VARVE_SYNC_ON);
    struct crash_env *image = crash_env_cut(f.crash, 1, CRASH_CUT_NONE);
    struct varve_db *db = rig_open(crash_env_env(image), &f.options);
    rig_expect(db, "a", "1");
    rig_expect(db, "b", "2");
    rig_expect(db, "c", "3");
    db_abandon(db);
    crash_env_free(image);
    fixture_deinit(&f);
}
END_TEST

/* The work after a switch makes the next segment, which a crash leaves without a frame. */
START_TEST(the_next_segment_is_made_ahead)
{
    struct fixture f;
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_OFF);
    go_on(&f);
    ck_assert_uint_eq(files_find(&f, segment_path(id + 2), "", NULL), 0);
    wal_work(f.db);
    ck_assert_uint_eq(files_find(&f, segment_path(id + 2), "", NULL), 1);
    uint64_t operations = crash_env_operations(f.crash);
    rig_put(f.db, "b", "2", VARVE_SYNC_OFF);
    uint64_t put = crash_env_operations(f.crash) - operations;
    go_on(&f);
    rig_put(f.db, "c", "3", VARVE_SYNC_OFF);
    /* The switch itself did nothing on disk. */
    ck_assert_uint_eq(crash_env_operations(f.crash) - operations, 2 * put);
    wal_work(f.db);
    die_at_once(&f);
    expect_verified(&f, 0, 0);
    reopen(&f);
    rig_expect(f.db, "a", "1");
    rig_expect(f.db, "b", "2");
    rig_expect(f.db, "c", "3");
    fixture_deinit(&f);
}
END_TEST

static enum varve_status try_put(struct varve_db *db, const char *key)
{
    return varve_put(db, varve_slice_str(key), varve_slice_str("value"), VARVE_SYNC_OFF, NULL);
}

/* Whatever the sync says, the store is read-only and says so. */
START_TEST(a_failed_sync_of_the_full_segment)
{
    struct crash_env *crash = crash_env_new(1);
    struct fault_env *fault = fault_env_new(crash_env_env(crash));
    struct varve_db *db = rig_open(fault_env_env(fault), NULL);
    uint64_t full = 0;
    must_ok(try_put(db, "a"));
    must_ok(db_flush_begin(db, &full));
    must_ok(try_put(db, "b"));
    const struct fault_rule rule = {
        .operations = FAULT_SYNC, .pattern = "*.wal", .at = 1, .status = VARVE_NO_SPACE};
    fault_env_set_rule(fault, &rule);
    ck_assert_int_eq(
        varve_put(db, varve_slice_str("c"), varve_slice_str("value"), VARVE_SYNC_ON, NULL),
        VARVE_READ_ONLY);
    ck_assert_int_eq(try_put(db, "d"), VARVE_READ_ONLY);
    ck_assert_int_eq(db_state(db), VARVE_STATE_READ_ONLY);
    rig_expect(db, "b", "value");
    rig_expect(db, "c", NULL);
    db_abandon(db);
    fault_env_free(fault);
    crash_env_free(crash);
}
END_TEST

/* The disk is full in the middle of a frame, and for the manifest, too: until a seal says where the
 * segment ends, no other frame is written. */
START_TEST(nothing_is_written_behind_a_torn_frame)
{
    struct crash_env *crash = crash_env_new(1);
    struct fault_env *fault = fault_env_new(crash_env_env(crash));
    struct varve_options options;
    uint64_t full = 0;
    rig_options(&options);
    options.recovery_mode = VARVE_RECOVERY_STRICT;
    struct varve_db *db = rig_open(fault_env_env(fault), &options);
    must_ok(try_put(db, "a"));
    must_ok(db_flush_begin(db, &full));
    wal_work(db); /* the next segment is there: the switch will need no space */
    must_ok(try_put(db, "b"));

    const struct fault_rule rule = {.operations = FAULT_WRITE,
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_NO_SPACE,
                                    .short_write = true};
    fault_env_set_rule(fault, &rule);
    ck_assert_int_eq(try_put(db, "c"), VARVE_OUTCOME_UNKNOWN);
    ck_assert_int_eq(try_put(db, "d"), VARVE_NO_SPACE);
    fault_env_set_rule(fault, NULL);
    must_ok(try_put(db, "e"));

    struct crash_env *image = crash_env_cut(crash, 1, CRASH_CUT_ALL);
    db_abandon(db);
    fault_env_free(fault);
    crash_env_free(crash);
    db = rig_open(crash_env_env(image), &options);
    rig_expect(db, "a", "value");
    rig_expect(db, "b", "value");
    rig_expect(db, "c", NULL);
    rig_expect(db, "d", NULL);
    rig_expect(db, "e", "value");
    db_abandon(db);
    crash_env_free(image);
}
END_TEST

static void go_on_meanwhile(void *context)
{
    struct varve_db *db = context;
    uint64_t full = 0;
    must_ok(db_flush_begin(db, &full));
    must_ok(try_put(db, "c"));
}

/* While a flush waits for its edit to be durable, the writers go on to another memtable and
 * segment; the flush publishes its table beside them. */
START_TEST(a_switch_does_not_wait_for_an_edit)
{
    struct crash_env *crash = crash_env_new(1);
    struct fault_env *fault = fault_env_new(crash_env_env(crash));
    struct varve_db *db = rig_open(fault_env_env(fault), NULL);
    uint64_t full = 0;
    bool flushed = false;
    must_ok(try_put(db, "a"));
    must_ok(db_flush_begin(db, &full));
    wal_work(db);
    must_ok(try_put(db, "b"));
    const struct fault_rule rule = {.operations = FAULT_SYNC,
                                    .pattern = "manifest-*",
                                    .at = 1,
                                    .status = VARVE_OK,
                                    .hook = go_on_meanwhile,
                                    .context = db};
    fault_env_set_rule(fault, &rule);
    must_ok(flush_oldest(db, &flushed));
    ck_assert(flushed);
    ck_assert_uint_eq(fault_env_chosen(fault), 1);
    fault_env_set_rule(fault, NULL);

    struct varve_stats stats = {0};
    varve_stats_read(db, &stats);
    ck_assert_uint_eq(stats.wal_segment, full + 2);
    ck_assert_uint_eq(atomic_load(&db->waiting_memtables), 1);
    ck_assert_uint_eq(stats.levels[0].runs, 1);
    for (const char *key = "abc"; *key != '\0'; key++)
        rig_expect(db, (const char[]){*key, '\0'}, "value");
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    fault_env_free(fault);
    crash_env_free(crash);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-recovery_switch");
    TCase *tests = tcase_create("between going on and sealing");
    tcase_add_test(tests, both_segments_count);
    tcase_add_loop_test(tests, a_lost_end_takes_what_follows_with_it, 0, 2);
    tcase_add_test(tests, a_torn_end_of_what_follows_is_cut_alone);
    tcase_add_test(tests, a_torn_beginning_of_what_follows_is_cut);
    tcase_add_test(tests, a_synced_segment_beyond_is_refused);
    tcase_add_test(tests, nothing_may_follow_a_sealed_end);
    tcase_add_test(tests, a_durable_write_seals_first);
    tcase_add_test(tests, the_next_segment_is_made_ahead);
    tcase_add_test(tests, a_failed_sync_of_the_full_segment);
    tcase_add_test(tests, nothing_is_written_behind_a_torn_frame);
    tcase_add_test(tests, a_switch_does_not_wait_for_an_edit);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
