/*
 * Every byte of a small store, changed; every file of it, cut to every length.
 *
 * Two stores are looked at: one that was closed, and one whose process died with frames in its log,
 * synced ones and then some that were not. Each image with one change is opened and read in full.
 * What may come of it: opening or reading fails; or the content is exactly right; or, of the store
 * that died, it is what held before a commit that the log does not show to have been synced. Never
 * another value, never a key too few or too many.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "crash_env.h"
#include "format/wal_reader.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define COMMITS_MAX 160
#define TABLE_COMMITS 60
#define LOG_COMMITS 25
#define SYNCED_COMMITS 15
#define PATH_BYTES 64

struct frame {
    uint64_t offset, end_offset, synced_offset, commits; /* commits: after it */
};

struct bytes {
    struct crash_env *crash;
    struct model at[COMMITS_MAX + 1]; /* content after so many commits */
    size_t commits;
    size_t log_from; /* commits before the log's first frame */
    char log_path[PATH_BYTES];
    struct frame frames[COMMITS_MAX];
    size_t frame_count;
    /* figures */
    uint64_t images, refused, failed_reads, right, cut;
};

static void options_make(struct varve_options *options)
{
    rig_options(options);
    options->level0_trigger = 60;
    options->level0_stop = 64;
    options->wal_segments_spare = 0;
}

static void commit(struct bytes *bytes, struct varve_db *db, struct prng *prng, bool sync)
{
    struct model *model = &bytes->at[bytes->commits + 1];
    struct varve_batch *batch = NULL;
    char key[32], value[64];
    uint64_t revision = 0;
    model_clone(&bytes->at[bytes->commits], model);
    ck_assert_int_eq(varve_batch_new(&batch), VARVE_OK);
    size_t count = prng_chance(prng, 30) ? 3 : 1;
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "key-%03u", (unsigned)prng_below(prng, 70));
        size_t size = (size_t)snprintf(value, sizeof value, "%016" PRIx64 "%s", prng_next(prng),
                                       prng_chance(prng, 30) ? "-and-some-more" : "");
        if (prng_chance(prng, 15)) {
            ck_assert_int_eq(varve_batch_delete(batch, varve_slice_str(key)), VARVE_OK);
            (void)model_delete(model, varve_slice_str(key));
        } else {
            ck_assert_int_eq(varve_batch_put(batch, varve_slice_str(key), varve_slice(value, size)),
                             VARVE_OK);
            model_put(model, varve_slice_str(key), varve_slice(value, size), 0);
        }
    }
    /* No two prefixes of the commits look alike. */
    uint64_t number = bytes->commits + 1;
    ck_assert_int_eq(
        varve_batch_put(batch, varve_slice_str("number"), varve_slice(&number, sizeof number)),
        VARVE_OK);
    model_put(model, varve_slice_str("number"), varve_slice(&number, sizeof number), 0);
    ck_assert_int_eq(varve_write(db, batch, sync ? VARVE_SYNC_ON : VARVE_SYNC_OFF, &revision),
                     VARVE_OK);
    varve_batch_free(batch);
    bytes->commits++;
}

static struct varve_db *store_make(struct bytes *bytes, struct prng *prng)
{
    struct varve_options options;
    options_make(&options);
    *bytes = (struct bytes){.crash = crash_env_new(7)};
    struct varve_db *db = rig_open(crash_env_env(bytes->crash), &options);
    for (size_t i = 0; i < TABLE_COMMITS; i++) {
        commit(bytes, db, prng, false);
        if (i == TABLE_COMMITS / 2)
            ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
        if (i == TABLE_COMMITS * 3 / 4)
            ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
    }
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    bytes->log_from = bytes->commits;
    return db;
}

/* Where the frames of the log stand, as its reader says. */
static void frames_gather(struct bytes *bytes, uint64_t segment_id)
{
    struct wal_reader reader = {0};
    struct wal_frame frame = {0};
    uint64_t commits = bytes->log_from;
    snprintf(bytes->log_path, PATH_BYTES, RIG_STORE "/%06" PRIu64 ".wal", segment_id);
    ck_assert_int_eq(
        wal_reader_open(&reader, crash_env_env(bytes->crash), bytes->log_path, segment_id, 0, NULL),
        VARVE_OK);
    while (wal_reader_next(&reader, &frame) == VARVE_OK) {
        commits += frame.batch_count;
        bytes->frames[bytes->frame_count++] = (struct frame){.offset = frame.offset,
                                                             .end_offset = frame.end_offset,
                                                             .synced_offset = frame.synced_offset,
                                                             .commits = commits};
    }
    wal_reader_close(&reader);
    ck_assert_uint_eq(commits, bytes->commits);
}

/* Whether a store that holds `commits` may come of bytes changed or missing at `offset` of the log,
 * the frames from `behind` on being whole. */
static bool cut_is_right(const struct bytes *bytes, uint64_t offset, uint64_t behind,
                         uint64_t commits)
{
    uint64_t before = bytes->log_from, shown = 0, place = 0;
    size_t i = 0;
    for (; i < bytes->frame_count && bytes->frames[i].end_offset <= offset; i++)
        before = bytes->frames[i].commits;
    if (i == bytes->frame_count)
        return false;
    place = bytes->frames[i].offset;
    for (size_t f = 0; f < bytes->frame_count; f++)
        if ((f < i || bytes->frames[f].offset >= behind) && bytes->frames[f].synced_offset > shown)
            shown = bytes->frames[f].synced_offset;
    return commits == before && shown <= place;
}

static void figure_open(struct bytes *bytes, struct varve_db *db, const char *path, uint64_t offset,
                        uint64_t behind, const char *what)
{
    struct model found = {0};
    enum varve_status status = rig_try_read(db, NULL, &found);
    const struct model *full = &bytes->at[bytes->commits];
    if (status != VARVE_OK) {
        bytes->failed_reads++;
        ck_assert_msg(status == VARVE_CORRUPT || status == VARVE_UNSUPPORTED,
                      "%s at %" PRIu64 " %s: reading gives %s", path, offset, what,
                      varve_status_name(status));
    } else if (model_equal(&found, full, false)) {
        bytes->right++;
    } else {
        const struct model_entry *entry = model_get(&found, varve_slice_str("number"));
        uint64_t commits = 0;
        if (entry != NULL && entry->value.size == sizeof commits)
            memcpy(&commits, entry->value.data, sizeof commits);
        ck_assert_msg(strcmp(path, bytes->log_path) == 0 && commits <= bytes->commits &&
                          cut_is_right(bytes, offset, behind, commits),
                      "%s at %" PRIu64 " %s: %" PRIu64 " commits are left", path, offset, what,
                      commits);
        ck_assert_msg(model_equal(&found, &bytes->at[commits], false),
                      "%s at %" PRIu64 " %s: wrong content", path, offset, what);
        bytes->cut++;
    }
    model_deinit(&found);
}

static void image_try(struct bytes *bytes, struct crash_env *image, const char *path,
                      uint64_t offset, uint64_t behind, const char *what)
{
    struct varve_options options;
    struct varve_error error = {0};
    struct varve_db *db = NULL;
    options_make(&options);
    enum varve_status status = rig_try_open(crash_env_env(image), &options, &db, &error);
    bytes->images++;
    if (status == VARVE_OK) {
        figure_open(bytes, db, path, offset, behind, what);
        db_abandon(db);
    } else {
        bytes->refused++;
        ck_assert_msg((status == VARVE_CORRUPT || status == VARVE_UNSUPPORTED) &&
                          error.text[0] != '\0' && error.path[0] != '\0',
                      "%s at %" PRIu64 " %s: opening gives %s (%s)", path, offset, what,
                      varve_status_name(status), error.text);
    }
    ck_assert_uint_eq(crash_env_handles(image), 0);
}

struct file {
    char path[PATH_BYTES];
    uint64_t bytes, used; /* used: up to the last byte that is not zero */
};
struct files {
    struct file at[32];
    size_t count;
};

static void file_note(void *context, const char *path, struct varve_slice content)
{
    struct files *files = context;
    if (strstr(path, "LOCK") != NULL)
        return;
    struct file *file = &files->at[files->count++];
    ck_assert_uint_le(files->count, 32);
    snprintf(file->path, sizeof file->path, "%s", path);
    file->bytes = file->used = content.size;
    while (file->used > 0 && content.data[file->used - 1] == 0)
        file->used--;
}

static void file_flip(struct bytes *bytes, const struct file *file, uint64_t stride)
{
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    uint64_t end = file->used + 16 < file->bytes ? file->used + 16 : file->bytes;
    for (uint64_t offset = 0; offset < end; offset++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            char what[32];
            if ((offset * sizeof masks + m) % stride != budget_offset(stride))
                continue;
            struct crash_env *image = crash_env_clone(bytes->crash);
            snprintf(what, sizeof what, "XOR %02x", masks[m]);
            ck_assert(crash_env_flip_byte(image, file->path, offset, masks[m]));
            uint64_t behind = UINT64_MAX;
            for (size_t f = bytes->frame_count; f-- > 0 && bytes->frames[f].offset > offset;)
                behind = bytes->frames[f].offset;
            image_try(bytes, image, file->path, offset, behind, what);
            crash_env_free(image);
        }
    }
}

static void file_cut(struct bytes *bytes, const struct file *file, uint64_t stride)
{
    uint64_t end = file->used + 16 < file->bytes ? file->used + 16 : file->bytes;
    for (uint64_t left = budget_offset(stride); left < end; left += stride) {
        struct crash_env *image = crash_env_clone(bytes->crash);
        ck_assert(crash_env_cut_file(image, file->path, left));
        image_try(bytes, image, file->path, left, UINT64_MAX, "cut");
        crash_env_free(image);
    }
}

static void bytes_try_all(struct bytes *bytes)
{
    struct files files = {0};
    uint64_t total = 0;
    crash_env_each_file(bytes->crash, file_note, &files);
    for (size_t i = 0; i < files.count; i++)
        total += files.at[i].used;
    uint64_t stride =
        rig_budget_is_long() ? 1 : rig_number("VARVE_BYTES_STRIDE", budget_choose(20, 4, 1));
    uint64_t small_stride = (stride + 3) / 4;
    for (size_t i = 0; i < files.count; i++) {
        struct bytes before = *bytes;
        bool is_small = files.at[i].used < 300;
        file_flip(bytes, &files.at[i], is_small ? small_stride : stride);
        file_cut(bytes, &files.at[i], is_small ? small_stride : stride);
        printf("%-24s %6" PRIu64 " bytes: %6" PRIu64 " images, %6" PRIu64 " refused, %6" PRIu64
               " failed reads, %5" PRIu64 " right, %5" PRIu64 " cut\n",
               files.at[i].path, files.at[i].used, bytes->images - before.images,
               bytes->refused - before.refused, bytes->failed_reads - before.failed_reads,
               bytes->right - before.right, bytes->cut - before.cut);
    }
    ck_assert_uint_gt(total, 3000);
    ck_assert_uint_gt(bytes->refused, 400 / (3 + stride));
    ck_assert_uint_gt(bytes->failed_reads, 400 / stride);
}

static void bytes_deinit(struct bytes *bytes)
{
    for (size_t i = 0; i <= COMMITS_MAX; i++)
        model_deinit(&bytes->at[i]);
    crash_env_free(bytes->crash);
}

static void bytes_expect_whole(struct bytes *bytes)
{
    struct crash_env *image = crash_env_clone(bytes->crash);
    image_try(bytes, image, "", 0, 0, "whole");
    ck_assert_uint_eq(bytes->right, 1);
    crash_env_free(image);
}

START_TEST(a_closed_store)
{
    struct bytes bytes;
    struct prng prng = prng_make(11);
    struct varve_db *db = store_make(&bytes, &prng);
    for (size_t i = 0; i < 5; i++)
        commit(&bytes, db, &prng, i == 2);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    bytes_expect_whole(&bytes);
    bytes_try_all(&bytes);
    ck_assert_uint_eq(bytes.cut, 0);
    bytes_deinit(&bytes);
}
END_TEST

START_TEST(a_store_that_died)
{
    struct bytes bytes;
    struct prng prng = prng_make(12);
    struct varve_db *db = store_make(&bytes, &prng);
    for (size_t i = 0; i < LOG_COMMITS; i++)
        commit(&bytes, db, &prng, i < SYNCED_COMMITS && i % 3 == 0);
    struct varve_stats stats = {0};
    varve_stats_read(db, &stats);
    db_abandon(db);
    frames_gather(&bytes, stats.wal_segment);
    bytes_expect_whole(&bytes);
    bytes_try_all(&bytes);
    ck_assert_uint_gt(bytes.cut, budget_choose(10, 50, 50));
    bytes_deinit(&bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-bytes");
    TCase *stores = tcase_create("stores");
    tcase_set_timeout(stores, 0);
    tcase_add_test(stores, a_closed_store);
    tcase_add_test(stores, a_store_that_died);
    suite_add_tcase(suite, stores);
    return run_suite(suite);
}
