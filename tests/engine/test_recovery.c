/*
 * What opening accepts, what it refuses, and what it leaves behind: one case for each rule in
 * "Recovery" of DESIGN.md. Damage is done to the files of a store in memory.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/coding.h"
#include "crash_env.h"
#include "fault_env.h"
#include "format/wal_reader.h"
#include "format/wal_writer.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define PATH_BYTES 64

struct fixture {
    struct crash_env *crash;
    struct env *env;
    struct varve_db *db;
    struct varve_options options;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.crash = crash_env_new(1)};
    f->env = crash_env_env(f->crash);
    rig_options(&f->options);
    f->options.wal_segments_spare = 0;
    f->db = rig_open(f->env, &f->options);
}

static void fixture_deinit(struct fixture *f)
{
    if (f->db != NULL)
        db_abandon(f->db);
    ck_assert_uint_eq(crash_env_handles(f->crash), 0);
    crash_env_free(f->crash);
}

/* The process dies. */
static void die(struct fixture *f)
{
    db_abandon(f->db);
    f->db = NULL;
}

static void shut(struct fixture *f)
{
    ck_assert_int_eq(varve_close(f->db), VARVE_OK);
    f->db = NULL;
}

static void reopen(struct fixture *f)
{
    f->db = rig_open(f->env, &f->options);
}

/* Opening gives `status`, names `name` in path or text, and changes nothing that it needs: a second
 * try says the same. */
static void expect_refused(struct fixture *f, enum varve_status status, const char *name,
                           uint64_t offset)
{
    for (int i = 0; i < 2; i++) {
        struct varve_error error = {0};
        enum varve_status got = rig_try_open(f->env, &f->options, &f->db, &error);
        ck_assert_msg(got == status, "opening gives %s (%s, %s)", varve_status_name(got),
                      error.text, error.path);
        ck_assert_int_eq(error.status, status);
        ck_assert_msg(strstr(error.path, name) != NULL || strstr(error.text, name) != NULL,
                      "%s is not named: %s, %s", name, error.path, error.text);
        if (offset != 0)
            ck_assert_uint_eq(error.offset, offset);
    }
    f->db = NULL;
}

static uint64_t active_segment(struct fixture *f)
{
    struct varve_stats stats = {0};
    varve_stats_read(f->db, &stats);
    return stats.wal_segment;
}

static const char *segment_path(uint64_t id)
{
    static char path[4][PATH_BYTES];
    static unsigned turn;
    char *at = path[turn++ % 4];
    snprintf(at, PATH_BYTES, RIG_STORE "/%06" PRIu64 ".wal", id);
    return at;
}

/* The n-th frame of a segment, from 0. */
static struct wal_frame frame_find(struct fixture *f, uint64_t segment, size_t n)
{
    struct wal_reader reader = {0};
    struct wal_frame frame = {0};
    ck_assert_int_eq(wal_reader_open(&reader, f->env, segment_path(segment), segment, 0, NULL),
                     VARVE_OK);
    for (size_t i = 0; i <= n; i++)
        ck_assert_int_eq(wal_reader_next(&reader, &frame), VARVE_OK);
    wal_reader_close(&reader);
    return frame;
}

/* Files whose path begins with `prefix` and holds `part`; the first one's path and content. */
struct search {
    const char *prefix, *part;
    size_t count;
    char path[256];
    struct buf content;
};
static void search_each(void *context, const char *path, struct varve_slice content)
{
    struct search *search = context;
    if (strncmp(path, search->prefix, strlen(search->prefix)) != 0 ||
        strstr(path, search->part) == NULL)
        return;
    if (search->count++ > 0)
        return;
    snprintf(search->path, sizeof search->path, "%s", path);
    must_ok(buf_assign(&search->content, content));
}
static size_t files_find(struct fixture *f, const char *prefix, const char *part,
                         struct search *ret)
{
    struct search search = {.prefix = prefix, .part = part};
    crash_env_each_file(f->crash, search_each, &search);
    if (ret != NULL)
        *ret = search;
    else
        buf_deinit(&search.content);
    return search.count;
}

static void file_write(struct fixture *f, const char *path, const void *data, size_t size)
{
    struct env_file *file = NULL;
    must_ok(env_open(f->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file));
    must_ok(env_file_write(file, 0, varve_slice(data, size)));
    must_ok(env_file_sync(file));
    must_ok(env_file_close(file));
}

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

START_TEST(a_segment_beyond_the_last_must_be_empty)
{
    struct fixture f;
    fixture_init(&f);
    uint64_t id = active_segment(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    die(&f);
    struct wal_writer writer = {0};
    must_ok(wal_writer_open(&writer, f.env, segment_path(id + 1), id + 1, 1, 8192));
    wal_writer_close(&writer);
    reopen(&f); /* no frame in it: a switch that did not come to its edit */
    rig_expect(f.db, "a", "1");
    id = active_segment(&f);
    die(&f);

    must_ok(wal_writer_open(&writer, f.env, segment_path(id + 1), id + 1, 1, 8192));
    must_ok(wal_writer_begin(&writer, 100, 1));
    must_ok(wal_writer_commit(&writer));
    wal_writer_close(&writer);
    char text[32];
    snprintf(text, sizeof text, "segment %" PRIu64, id + 1);
    expect_refused(&f, VARVE_CORRUPT, text, 0);
    fixture_deinit(&f);
}
END_TEST

/* The last record of the manifest is a merge's: without it tables are named that are gone. */
START_TEST(a_cut_manifest_needs_the_files_that_it_names)
{
    struct fixture f;
    struct search manifest = {0};
    fixture_init(&f);
    for (int i = 0; i < 2; i++) {
        rig_put(f.db, "a", "1", VARVE_SYNC_ON);
        ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    }
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    die(&f);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/manifest-", "", &manifest), 1);
    ck_assert(crash_env_cut_file(f.crash, manifest.path, manifest.content.size - 3));
    expect_refused(&f, VARVE_CORRUPT, ".sst", 0);
    buf_deinit(&manifest.content);
    fixture_deinit(&f);
}
END_TEST

/* The last record is a flush's: its segment is still there, its table becomes an orphan. */
START_TEST(a_cut_manifest_sets_orphans_aside)
{
    struct fixture f;
    struct search manifest = {0}, table = {0}, lost = {0};
    fixture_init(&f);
    f.options.wal_segments_spare = 4;
    shut(&f);
    reopen(&f); /* with spares: the flushed segment stays as it is */
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    die(&f);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/", ".sst", &table), 1);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/manifest-", "", &manifest), 1);
    ck_assert(crash_env_cut_file(f.crash, manifest.path, manifest.content.size - 3));

    f.options.recovery_mode = VARVE_RECOVERY_STRICT;
    expect_refused(&f, VARVE_CORRUPT, manifest.path, 0);
    f.options.recovery_mode = VARVE_RECOVERY_TAIL;
    reopen(&f);
    rig_expect(f.db, "a", "1");
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", ".sst", &lost), 1);
    ck_assert(varve_slice_compare(buf_slice(&lost.content), buf_slice(&table.content)) == 0);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", "manifest-", NULL), 1);
    buf_deinit(&manifest.content);
    buf_deinit(&table.content);
    buf_deinit(&lost.content);
    fixture_deinit(&f);
}
END_TEST

START_TEST(a_manifest_damaged_in_the_middle_is_refused)
{
    struct fixture f;
    struct search manifest = {0};
    fixture_init(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    die(&f);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/manifest-", "", &manifest), 1);
    ck_assert(crash_env_flip_byte(f.crash, manifest.path, 28 + 17, 1));
    expect_refused(&f, VARVE_CORRUPT, manifest.path, 28);
    must_ok(env_remove(f.env, manifest.path));
    expect_refused(&f, VARVE_CORRUPT, manifest.path, 0);
    buf_deinit(&manifest.content);
    fixture_deinit(&f);
}
END_TEST

START_TEST(current_missing_beside_data_is_refused)
{
    struct fixture f;
    fixture_init(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    die(&f);
    struct crash_env *whole = crash_env_clone(f.crash);
    must_ok(env_remove(f.env, RIG_STORE "/CURRENT"));
    expect_refused(&f, VARVE_CORRUPT, "CURRENT", 0);
    fixture_deinit(&f);

    f = (struct fixture){.crash = whole, .env = crash_env_env(whole), .options = f.options};
    file_write(&f, RIG_STORE "/CURRENT", "manifest-000001\n", 16);
    expect_refused(&f, VARVE_CORRUPT, "CURRENT", 0);
    fixture_deinit(&f);
}
END_TEST

/* The power goes at each moment of the making of a store: the next opening makes it. */
START_TEST(an_interrupted_creation_is_taken_up_again)
{
    uint64_t cuts = 0;
    for (uint64_t k = 0;; k++) {
        struct crash_env *crash = crash_env_new(k);
        struct varve_db *db = NULL;
        struct varve_error error = {0};
        crash_env_set_cut_after(crash, k);
        enum varve_status status = rig_try_open(crash_env_env(crash), NULL, &db, &error);
        bool done = !crash_env_is_cut(crash);
        if (status == VARVE_OK)
            db_abandon(db);
        for (int mode = CRASH_CUT_NONE; mode <= CRASH_CUT_RANDOM; mode++) {
            struct crash_env *image = crash_env_cut(crash, k, (enum crash_cut)mode);
            db = rig_open(crash_env_env(image), NULL);
            rig_put(db, "a", "1", VARVE_SYNC_ON);
            ck_assert_int_eq(varve_close(db), VARVE_OK);
            db = rig_open(crash_env_env(image), NULL);
            rig_expect(db, "a", "1");
            db_abandon(db);
            crash_env_free(image);
            cuts++;
        }
        crash_env_free(crash);
        if (done)
            break;
    }
    ck_assert_uint_gt(cuts, 24);
}
END_TEST

/* Two tables with the same keys, other values. */
static void two_tables(struct fixture *f, struct search tables[2])
{
    fixture_init(f);
    rig_put(f->db, "a", "1", VARVE_SYNC_ON);
    ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
    ck_assert_uint_eq(files_find(f, RIG_STORE "/", ".sst", &tables[0]), 1);
    rig_put(f->db, "a", "2", VARVE_SYNC_ON);
    shut(f);
    ck_assert_uint_eq(files_find(f, RIG_STORE "/", ".sst", NULL), 2);
    /* The newer one has another name. */
    for (int id = 1; id < 20; id++) {
        char name[16];
        struct search found = {0};
        snprintf(name, sizeof name, "/%06d.sst", id);
        if (strstr(tables[0].path, name) == NULL &&
            files_find(f, RIG_STORE "/", name, &found) == 1) {
            tables[1] = found;
            return;
        }
        buf_deinit(&found.content);
    }
    ck_abort_msg("no second table");
}

START_TEST(tables_must_be_the_right_ones)
{
    for (int what = 0; what < 4; what++) {
        struct fixture f;
        struct search tables[2] = {0};
        two_tables(&f, tables);
        switch (what) {
        case 0:
            must_ok(env_remove(f.env, tables[1].path));
            break;
        case 1: /* exchanged */
            file_write(&f, tables[1].path, tables[0].content.data, tables[0].content.size);
            break;
        case 2:
            ck_assert(crash_env_cut_file(f.crash, tables[1].path, tables[1].content.size - 1));
            break;
        default:
            must_ok(buf_append_zeros(&tables[1].content, 8));
            file_write(&f, tables[1].path, tables[1].content.data, tables[1].content.size);
            break;
        }
        expect_refused(&f, VARVE_CORRUPT, tables[1].path, 0);
        buf_deinit(&tables[0].content);
        buf_deinit(&tables[1].content);
        fixture_deinit(&f);
    }
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
    tcase_add_test(rules, a_missing_segment_is_refused);
    tcase_add_test(rules, a_sealed_segment_must_be_whole);
    tcase_add_test(rules, segments_are_replayed_in_order);
    tcase_add_test(rules, a_segment_beyond_the_last_must_be_empty);
    tcase_add_test(rules, a_cut_manifest_needs_the_files_that_it_names);
    tcase_add_test(rules, a_cut_manifest_sets_orphans_aside);
    tcase_add_test(rules, a_manifest_damaged_in_the_middle_is_refused);
    tcase_add_test(rules, current_missing_beside_data_is_refused);
    tcase_add_test(rules, an_interrupted_creation_is_taken_up_again);
    tcase_add_test(rules, tables_must_be_the_right_ones);
    tcase_add_test(rules, store_time_does_not_go_back);
    tcase_add_test(rules, a_linked_segment_is_not_recycled);
    tcase_add_test(rules, a_forged_frame_in_a_value_is_not_replayed);
    tcase_add_test(rules, revisions_are_never_used_again);
    tcase_add_test(rules, revisions_run_on_after_a_close);
    suite_add_tcase(suite, rules);
    return run_suite(suite);
}
