/*
 * What opening accepts of the log, what it refuses, and what it leaves behind: one case for each
 * rule in "Recovery" of DESIGN.md that is about segments, revisions and time.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/coding.h"
#include "fault_env.h"
#include "format/wal_writer.h"
#include "must.h"
#include "recovery_rig.h"
#include "run_suite.h"

START_TEST(tail_mode_cuts_a_torn_tail_and_saves_it)
{
    struct fixture f;
    struct search lost = {0};
    struct varve_stats stats = {0};
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    rig_put(f.db, "b", "2", VARVE_SYNC_OFF);
    rig_put(f.db, "c", "3", VARVE_SYNC_OFF);
    die(&f);
    struct wal_frame frame = frame_find(&f, id, 1), after = frame_find(&f, id, 2);
    ck_assert(crash_env_flip_byte(f.crash, segment_path(id), frame.offset + 50, 1));

    f.options.recovery_mode = VARVE_RECOVERY_STRICT;
    expect_refused(&f, VARVE_CORRUPT, segment_path(id), frame.offset);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", "", NULL), 0);

    f.options.recovery_mode = VARVE_RECOVERY_TAIL;
    reopen(&f);
    rig_expect(f.db, "a", "1");
    rig_expect(f.db, "b", NULL);
    rig_expect(f.db, "c", NULL);
    varve_stats_read(f.db, &stats);
    ck_assert_uint_eq(stats.recovery_cut_frames, 1);
    ck_assert_uint_eq(stats.recovery_cut_bytes, after.end_offset - frame.offset);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", ".wal-", &lost), 1);
    ck_assert_uint_eq(lost.content.size, after.end_offset - frame.offset);
    buf_deinit(&lost.content);
    fixture_deinit(&f);
}
END_TEST

START_TEST(synced_damage_is_refused)
{
    struct fixture f;
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    rig_put(f.db, "b", "2", VARVE_SYNC_ON);
    die(&f);
    uint64_t offset = frame_find(&f, id, 0).offset;
    ck_assert(crash_env_flip_byte(f.crash, segment_path(id), offset + 50, 1));
    expect_refused(&f, VARVE_CORRUPT, segment_path(id), offset);
    ck_assert(crash_env_flip_byte(f.crash, segment_path(id), offset + 50, 1));
    reopen(&f);
    rig_expect(f.db, "a", "1");
    rig_expect(f.db, "b", "2");
    fixture_deinit(&f);
}
END_TEST

/* The last frame is synced, and only an idle mark behind it can say so. */
START_TEST(the_idle_mark_shows_damage_at_the_end)
{
    for (int marked = 0; marked < 2; marked++) {
        struct fixture f;
        fixture_init(&f);
        uint64_t id = active_segment(&f);
        rig_put(f.db, "a", "1", VARVE_SYNC_ON);
        rig_put(f.db, "b", "2", VARVE_SYNC_ON);
        if (marked) {
            db_idle(f.db);
            db_idle(f.db); /* once is enough: no second mark */
            ck_assert_uint_eq(frame_find(&f, id, 2).batch_count, 0);
        }
        die(&f);
        struct wal_frame frame = frame_find(&f, id, 1);
        ck_assert(crash_env_flip_byte(f.crash, segment_path(id), frame.offset + 50, 1));
        if (marked) {
            expect_refused(&f, VARVE_CORRUPT, segment_path(id), frame.offset);
        } else {
            reopen(&f);
            rig_expect(f.db, "b", NULL);
        }
        fixture_deinit(&f);
    }
}
END_TEST

/* Cut off just behind a frame, the log would look as if it had ended there; but it is shorter than
 * any segment is made. */
START_TEST(a_segment_shorter_than_it_was_made)
{
    struct fixture f;
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    rig_put(f.db, "b", "2", VARVE_SYNC_ON);
    die(&f);
    uint64_t end = frame_find(&f, id, 0).end_offset;
    ck_assert(crash_env_cut_file(f.crash, segment_path(id), end));
    expect_refused(&f, VARVE_CORRUPT, segment_path(id), end);
    fixture_deinit(&f);
}
END_TEST

/* Small values and large ones, which recovery treats in different ways, in more than one segment
 * and more than one table. */
START_TEST(values_of_all_sizes_come_back)
{
    static char value[8000];
    struct fixture f;
    char key[16];
    fixture_init(&f);
    uint64_t first = active_segment(&f);
    for (size_t i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "key-%03zu", i * 7 % 60);
        memset(value, 'a' + (int)(i % 26), i * 120);
        value[i * 120] = '\0';
        rig_put(f.db, key, value, VARVE_SYNC_OFF);
    }
    ck_assert_uint_gt(active_segment(&f), first);
    die(&f);
    reopen(&f);
    for (size_t i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "key-%03zu", i * 7 % 60);
        memset(value, 'a' + (int)(i % 26), i * 120);
        value[i * 120] = '\0';
        rig_expect(f.db, key, value);
    }
    struct varve_stats stats = {0};
    varve_stats_read(f.db, &stats);
    ck_assert_uint_gt(stats.recovery_segments, 1);
    ck_assert_uint_gt(stats.levels[0].tables, 1);
    fixture_deinit(&f);
}
END_TEST

/* A store that died with three live segments: two sealed, one active. */
static uint64_t three_segments(struct fixture *f)
{
    fixture_init(f);
    uint64_t first = active_segment(f);
    rig_put(f->db, "a", "1", VARVE_SYNC_OFF);
    ck_assert_int_eq(varve_flush(f->db, false), VARVE_OK);
    rig_put(f->db, "b", "2", VARVE_SYNC_OFF);
    ck_assert_int_eq(varve_flush(f->db, false), VARVE_OK);
    rig_put(f->db, "c", "3", VARVE_SYNC_ON);
    ck_assert_uint_eq(active_segment(f), first + 2);
    return first;
}

START_TEST(a_missing_segment_is_refused)
{
    for (uint64_t i = 0; i < 3; i++) {
        struct fixture f;
        uint64_t first = three_segments(&f);
        /* Stepping jobs aside, closing would flush: the process dies with the segments alive. */
        struct crash_env *image = crash_env_cut(f.crash, 1, CRASH_CUT_ALL);
        struct fixture g = {.crash = image, .env = crash_env_env(image), .options = f.options};
        char text[32];
        must_ok(env_remove(g.env, segment_path(first + i)));
        snprintf(text, sizeof text, "segment %" PRIu64, first + i);
        expect_refused(&g, VARVE_CORRUPT, text, 0);
        fixture_deinit(&g);
        fixture_deinit(&f);
    }
}
END_TEST

START_TEST(a_sealed_segment_must_be_whole)
{
    for (int cut = 0; cut < 2; cut++) {
        struct fixture f;
        uint64_t first = three_segments(&f);
        struct crash_env *image = crash_env_cut(f.crash, 1, CRASH_CUT_ALL);
        struct fixture g = {.crash = image, .env = crash_env_env(image), .options = f.options};
        struct wal_frame frame = frame_find(&g, first + 1, 0);
        if (cut)
            ck_assert(crash_env_cut_file(image, segment_path(first + 1), frame.offset + 8));
        else
            ck_assert(crash_env_flip_byte(image, segment_path(first + 1), frame.offset + 50, 1));
        expect_refused(&g, VARVE_CORRUPT, segment_path(first + 1), 0);
        fixture_deinit(&g);
        fixture_deinit(&f);
    }
}
END_TEST

START_TEST(segments_are_replayed_in_order)
{
    struct fixture f;
    three_segments(&f);
    struct crash_env *image = crash_env_cut(f.crash, 1, CRASH_CUT_NONE);
    struct fixture g = {.crash = image, .env = crash_env_env(image), .options = f.options};
    struct varve_stats stats = {0};
    reopen(&g);
    rig_expect(g.db, "a", "1");
    rig_expect(g.db, "b", "2");
    rig_expect(g.db, "c", "3");
    varve_stats_read(g.db, &stats);
    ck_assert_uint_eq(stats.recovery_segments, 3);
    ck_assert_uint_eq(stats.recovery_entries, 3);
    fixture_deinit(&g);
    fixture_deinit(&f);
}
END_TEST

START_TEST(segments_further_beyond_must_be_empty)
{
    struct fixture f;
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    die(&f);
    struct wal_writer writer = {0};
    must_ok(wal_writer_open(&writer, f.env, segment_path(id + 1), id + 1, 1, 8192));
    wal_writer_close(&writer);
    reopen(&f); /* no frame in it: made ahead */
    rig_expect(f.db, "a", "1");
    id = active_segment(&f);
    die(&f);

    must_ok(wal_writer_open(&writer, f.env, segment_path(id + 2), id + 2, 1, 8192));
    must_ok(wal_writer_begin(&writer, 100, 1));
    must_ok(wal_writer_commit(&writer));
    wal_writer_close(&writer);
    char text[32];
    snprintf(text, sizeof text, "segment %" PRIu64, id + 2);
    expect_refused(&f, VARVE_CORRUPT, text, 0);
    fixture_deinit(&f);
}
END_TEST

START_TEST(store_time_does_not_go_back)
{
    for (int clean = 0; clean < 2; clean++) {
        struct crash_env *crash = crash_env_new(1);
        struct fault_env *fault = fault_env_new(crash_env_env(crash));
        struct env *env = fault_env_env(fault);
        struct varve_db *db = rig_open(env, NULL);
        fault_env_set_wall_offset_ms(fault, 3600000);
        uint64_t then = db_store_time_ms(db);
        rig_put(db, "a", "1", VARVE_SYNC_ON);
        fault_env_set_wall_offset_ms(fault, -3600000);
        ck_assert_uint_ge(db_store_time_ms(db), then);
        if (clean)
            ck_assert_int_eq(varve_close(db), VARVE_OK);
        else
            db_abandon(db);
        for (int i = 0; i < 2; i++) {
            db = rig_open(env, NULL);
            ck_assert_uint_ge(db_store_time_ms(db), then);
            db_abandon(db);
        }
        fault_env_set_wall_offset_ms(fault, 7200000);
        db = rig_open(env, NULL);
        ck_assert_uint_gt(db_store_time_ms(db), then);
        db_abandon(db);
        fault_env_free(fault);
        crash_env_free(crash);
    }
}
END_TEST

/* A checkpoint may hold the segment by another name: its content must not change. */
START_TEST(a_linked_segment_is_not_recycled)
{
    struct fixture f;
    struct search before = {0}, after = {0};
    struct varve_stats stats = {0};
    fixture_init(&f);
    f.options.wal_segments_spare = 4;
    shut(&f);
    reopen(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "precious", VARVE_SYNC_ON);
    must_ok(env_link(f.env, segment_path(id), "/checkpoint.wal"));
    ck_assert_uint_eq(files_find(&f, "/checkpoint.wal", "", &before), 1);
    for (int i = 0; i < 6; i++) {
        rig_put(f.db, "b", "2", VARVE_SYNC_ON);
        ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    }
    varve_stats_read(f.db, &stats);
    ck_assert_uint_gt(stats.wal_segments_recycled, 0);
    ck_assert_uint_eq(files_find(&f, "/checkpoint.wal", "", &after), 1);
    /* Its own frames went on until the switch; what was there stays. */
    struct wal_reader reader = {0};
    struct wal_frame frame = {0};
    ck_assert_int_eq(wal_reader_open(&reader, f.env, "/checkpoint.wal", id, 0, NULL), VARVE_OK);
    ck_assert_int_eq(wal_reader_next(&reader, &frame), VARVE_OK);
    wal_reader_close(&reader);
    ck_assert_uint_eq(after.content.size, before.content.size);
    ck_assert_int_eq(env_info(f.env, segment_path(id), &(struct env_file_info){0}),
                     VARVE_NOT_FOUND);
    buf_deinit(&before.content);
    buf_deinit(&after.content);
    fixture_deinit(&f);
}
END_TEST

/* A value holds a whole frame of the segment's former life, and the frame round it is torn. */
START_TEST(a_forged_frame_in_a_value_is_not_replayed)
{
    struct fixture f;
    struct search segment = {0};
    fixture_init(&f);
    f.options.wal_segments_spare = 4;
    shut(&f);
    reopen(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "forged", "yes", VARVE_SYNC_ON);
    struct wal_frame old = frame_find(&f, id, 0);
    ck_assert_uint_eq(files_find(&f, segment_path(id), "", &segment), 1);
    ck_assert_int_eq(varve_delete(f.db, varve_slice_str("forged"), VARVE_SYNC_ON, NULL), VARVE_OK);
    ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);

    uint64_t next = active_segment(&f);
    /* The segment's id and a high sequence, as an attacker who knows all but the salt has them. */
    uint8_t *frame = segment.content.data + old.offset;
    size_t size = (size_t)(old.end_offset - old.offset);
    fixed64_encode(frame + WAL_FRAME_SEGMENT, next);
    fixed64_encode(frame + WAL_FRAME_SEQUENCE, 1 << 30);
    struct buf value = {0};
    for (size_t shift = 0; shift < 8; shift++) {
        must_ok(buf_append_zeros(&value, 1));
        must_ok(buf_append_slice(&value, varve_slice(frame, size)));
    }
    ck_assert_int_eq(varve_put(f.db, varve_slice_str("v"), buf_slice(&value), VARVE_SYNC_OFF, NULL),
                     VARVE_OK);
    die(&f);
    struct wal_frame outer = frame_find(&f, next, 0);
    ck_assert(crash_env_flip_byte(f.crash, segment_path(next), outer.offset + 1, 1));
    reopen(&f);
    rig_expect(f.db, "forged", NULL);
    rig_expect(f.db, "v", NULL);
    buf_deinit(&value);
    buf_deinit(&segment.content);
    fixture_deinit(&f);
}
END_TEST

/* Frames that a power cut took may have been seen: their numbers are not given again. */
START_TEST(revisions_are_never_used_again)
{
    struct fixture f;
    uint64_t seen = 0, revision = 0;
    fixture_init(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    for (int i = 0; i < 900; i++)
        ck_assert_int_eq(
            varve_put(f.db, varve_slice_str("b"), varve_slice_str("2"), VARVE_SYNC_OFF, &seen),
            VARVE_OK);
    for (int i = 0; i < 3; i++) {
        struct crash_env *image = crash_env_cut(f.crash, 1, CRASH_CUT_NONE);
        fixture_deinit(&f);
        f = (struct fixture){.crash = image, .env = crash_env_env(image)};
        rig_options(&f.options);
        reopen(&f);
        if (i == 0)
            rig_expect(f.db, "b", NULL);
        ck_assert_int_eq(
            varve_put(f.db, varve_slice_str("c"), varve_slice_str("3"), VARVE_SYNC_OFF, &revision),
            VARVE_OK);
        ck_assert_uint_gt(revision, seen);
        seen = revision;
    }
    fixture_deinit(&f);
}
END_TEST

/* After a clean end no number is left out. */
START_TEST(revisions_run_on_after_a_close)
{
    struct fixture f;
    uint64_t before = 0, after = 0;
    fixture_init(&f);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(
            varve_put(f.db, varve_slice_str("b"), varve_slice_str("2"), VARVE_SYNC_OFF, &before),
            VARVE_OK);
        shut(&f);
        reopen(&f);
        ck_assert_int_eq(
            varve_put(f.db, varve_slice_str("b"), varve_slice_str("2"), VARVE_SYNC_OFF, &after),
            VARVE_OK);
        ck_assert_uint_eq(after, before + 1);
    }
    fixture_deinit(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-recovery");
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, tail_mode_cuts_a_torn_tail_and_saves_it);
    tcase_add_test(rules, synced_damage_is_refused);
    tcase_add_test(rules, the_idle_mark_shows_damage_at_the_end);
    tcase_add_test(rules, a_segment_shorter_than_it_was_made);
    tcase_add_test(rules, values_of_all_sizes_come_back);
    tcase_add_test(rules, a_missing_segment_is_refused);
    tcase_add_test(rules, a_sealed_segment_must_be_whole);
    tcase_add_test(rules, segments_are_replayed_in_order);
    tcase_add_test(rules, segments_further_beyond_must_be_empty);
    tcase_add_test(rules, store_time_does_not_go_back);
    tcase_add_test(rules, a_linked_segment_is_not_recycled);
    tcase_add_test(rules, a_forged_frame_in_a_value_is_not_replayed);
    tcase_add_test(rules, revisions_are_never_used_again);
    tcase_add_test(rules, revisions_run_on_after_a_close);
    suite_add_tcase(suite, rules);
    return run_suite(suite);
}
