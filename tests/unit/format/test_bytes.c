/*
 * The promise about bytes: change any byte of any file, or cut it at any length, and the damage is
 * found, or the content is exactly the same; or, at the end of an unsealed log, the loss is of a
 * tail, and judged by the rule. Never a wrong value. The long budget has every byte and length; the
 * others have every so many, each time other ones.
 */
#include <stdio.h>
#include <stdlib.h>

#include "budget.h"
#include "format/filename.h"
#include "format/manifest_log.h"
#include "format/sstable_reader.h"
#include "format/wal_reader.h"
#include "small_files.h"
#include "support.h"

static const uint8_t masks[] = {0x01, 0x80, 0xff};
#define MASKS (sizeof masks / sizeof masks[0])

static size_t stride(void)
{
    return budget_choose(16, 4, 1);
}

static size_t offset(void)
{
    return budget_offset(stride());
}

struct file {
    struct tmpdir dir;
    char path[TMPDIR_PATH_BYTES + 32];
    struct env_file *file; /* open for changes */
    struct buf original;
};

static void file_init(struct file *f, const char *name)
{
    memset(f, 0, sizeof *f);
    tmpdir_make(&f->dir);
    snprintf(f->path, sizeof f->path, "%s", tmpdir_path(&f->dir, name));
}

static void file_made(struct file *f)
{
    support_file_read(f->path, &f->original);
    ck_ok(env_open(env_posix(), f->path, ENV_OPEN_WRITE, &f->file));
}

static void file_deinit(struct file *f)
{
    ck_ok(env_file_close(f->file));
    buf_deinit(&f->original);
    tmpdir_remove(&f->dir);
}

static void byte_change(struct file *f, size_t at, uint8_t mask)
{
    uint8_t byte = f->original.data[at] ^ mask;
    ck_ok(env_file_write(f->file, at, varve_slice(&byte, 1)));
}

/* ---- the log ---- */

/* What replaying tells: every frame with all it says, and how the end is judged. */
struct replay {
    enum varve_status opened, ended;
    size_t frames;
    struct buf content[SMALL_WAL_FRAMES];
    struct wal_tail tail;
};

static void replay_run(const char *path, uint64_t sealed, struct replay *r)
{
    struct wal_reader reader;
    struct wal_frame frame = {0};
    for (size_t i = 0; i < SMALL_WAL_FRAMES; i++)
        buf_clear(&r->content[i]);
    r->frames = 0;
    r->ended = VARVE_OK;
    r->opened = wal_reader_open(&reader, env_posix(), path, SMALL_WAL_SEGMENT, sealed, NULL);
    if (r->opened != VARVE_OK)
        return;
    while ((r->ended = wal_reader_next(&reader, &frame)) == VARVE_OK) {
        ck_assert_uint_lt(r->frames, SMALL_WAL_FRAMES);
        struct buf *content = &r->content[r->frames++];
        ck_ok(buf_append_format(
            content, "%llu %llu %llu %llu %u ", (unsigned long long)frame.offset,
            (unsigned long long)frame.first_sequence, (unsigned long long)frame.commit_time_ms,
            (unsigned long long)frame.synced_offset, frame.batch_count));
        ck_ok(buf_append_slice(content, frame.payload));
    }
    if (sealed == 0)
        ck_ok(wal_reader_judge(&reader, &r->tail));
    wal_reader_close(&reader);
}

static void replay_deinit(struct replay *r)
{
    for (size_t i = 0; i < SMALL_WAL_FRAMES; i++)
        buf_deinit(&r->content[i]);
}

/* The frames are the first `frames` of the right ones. */
static void ck_prefix(const struct replay *right, const struct replay *got, size_t frames)
{
    ck_ok(got->opened);
    ck_assert_uint_eq(got->frames, frames);
    for (size_t i = 0; i < frames; i++)
        ck_slice_eq(buf_slice(&got->content[i]), buf_slice(&right->content[i]));
}

/* Frame `bad` is broken, those behind it are not. */
static void ck_judged(const struct small_wal *wal, const struct replay *got, size_t bad)
{
    bool shown_synced = false;
    for (size_t i = bad + 1; i < SMALL_WAL_FRAMES; i++)
        shown_synced |= wal->synced[i] > wal->offsets[bad];
    ck_status(got->ended, VARVE_END);
    ck_assert_uint_eq(got->tail.offset, wal->offsets[bad]);
    ck_assert_uint_eq(got->tail.frames_dropped, SMALL_WAL_FRAMES - bad - 1);
    if (shown_synced)
        ck_assert_int_eq(got->tail.kind, WAL_TAIL_DAMAGED);
    else if (bad + 1 < SMALL_WAL_FRAMES)
        ck_assert_int_eq(got->tail.kind, WAL_TAIL_TORN);
    else
        ck_assert_int_ne(got->tail.kind, WAL_TAIL_DAMAGED);
}

static size_t frame_of(const struct small_wal *wal, uint64_t offset)
{
    size_t i = 0;
    while (wal->offsets[i + 1] <= offset)
        i++;
    return i;
}

START_TEST(log_bytes)
{
    struct file f;
    struct small_wal wal;
    struct replay right = {0}, got = {0};
    file_init(&f, "000007.wal");
    small_wal_make(f.path, &wal);
    file_made(&f);
    replay_run(f.path, 0, &right);
    ck_prefix(&right, &right, SMALL_WAL_FRAMES);
    const uint64_t end = wal.offsets[SMALL_WAL_FRAMES];
    size_t damaged = 0;
    for (size_t at = offset(); at < f.original.size; at += stride()) {
        for (size_t m = 0; m < MASKS; m++) {
            byte_change(&f, at, masks[m]);
            replay_run(f.path, 0, &got);
            if (at < WAL_HEADER_BLOCK_BYTES) {
                ck_status(got.opened, VARVE_CORRUPT);
            } else if (at >= end) {
                ck_prefix(&right, &got, SMALL_WAL_FRAMES);
                ck_assert_int_ne(got.tail.kind, WAL_TAIL_DAMAGED);
            } else {
                size_t bad = frame_of(&wal, at);
                ck_prefix(&right, &got, bad);
                ck_judged(&wal, &got, bad);
                damaged += got.tail.kind == WAL_TAIL_DAMAGED;
                replay_run(f.path, end, &got);
                ck_prefix(&right, &got, bad);
                ck_status(got.ended, VARVE_CORRUPT); /* sealed: always damage */
            }
        }
        byte_change(&f, at, 0);
    }
    ck_assert_uint_gt(damaged, 1000 / stride());
    replay_deinit(&right);
    replay_deinit(&got);
    file_deinit(&f);
}
END_TEST

START_TEST(log_cuts)
{
    struct file f;
    struct small_wal wal;
    struct replay right = {0}, got = {0};
    file_init(&f, "000007.wal");
    small_wal_make(f.path, &wal);
    file_made(&f);
    replay_run(f.path, 0, &right);
    const uint64_t end = wal.offsets[SMALL_WAL_FRAMES];
    for (uint64_t length = f.original.size - 1 - offset(); length < f.original.size;
         length -= stride()) {
        ck_ok(env_file_truncate(f.file, length));
        replay_run(f.path, 0, &got);
        if (length < WAL_HEADER_BLOCK_BYTES) {
            ck_status(got.opened, VARVE_CORRUPT);
            continue;
        }
        size_t whole = 0;
        while (whole < SMALL_WAL_FRAMES && wal.offsets[whole + 1] <= length)
            whole++;
        ck_prefix(&right, &got, whole);
        ck_status(got.ended, VARVE_END);
        bool id_shows = whole < SMALL_WAL_FRAMES &&
                        length - wal.offsets[whole] >= WAL_FRAME_SEGMENT + sizeof(uint64_t);
        ck_assert_int_eq(got.tail.kind, id_shows ? WAL_TAIL_TORN : WAL_TAIL_CLEAN);
        if (length < end) {
            replay_run(f.path, end, &got);
            ck_status(got.opened, VARVE_CORRUPT);
        }
    }
    replay_deinit(&right);
    replay_deinit(&got);
    file_deinit(&f);
}
END_TEST

/* ---- tables ---- */

/* All entries of a table as bytes, and what a few gets say. The status is the first failure's. */
static enum varve_status table_content(const char *path, uint64_t file_bytes, struct buf *ret)
{
    struct support_fetcher fetcher;
    struct sstable_reader *reader = NULL;
    struct entry_iterator *it = NULL;
    struct buf key = {0};
    support_fetcher_init(&fetcher);
    buf_clear(ret);
    enum varve_status status =
        sstable_reader_open(env_posix(), path, SMALL_TABLE_ID, file_bytes, &reader, NULL);
    if (status == VARVE_OK)
        status = sstable_reader_load_filter(reader, true, NULL);
    if (status != VARVE_OK) {
        sstable_reader_free(reader);
        return status;
    }
    ck_ok(sstable_iterator_new(reader, &fetcher.base, true, &it));
    for (it->ops->seek_first(it); it->valid; it->ops->next(it)) {
        ck_ok(buf_append_prefixed(ret, it->key));
        ck_ok(buf_append_prefixed(ret, it->value));
    }
    status = it->status;
    entry_iterator_free(it);
    for (unsigned i = 0; i < SMALL_TABLE_ENTRIES / 2; i += 7) {
        char text[16];
        uint64_t tag = 0;
        struct varve_slice value = {0};
        struct block_ref pin = {0};
        snprintf(text, sizeof text, "key/%04u", i);
        support_key(&key, text, 1000, ENTRY_KIND_SEEK);
        enum varve_status got =
            sstable_reader_get(reader, &fetcher.base, buf_slice(&key), true, &tag, &value, &pin);
        ck_assert_int_ne(got, VARVE_NOT_FOUND); /* never an absent key */
        if (got == VARVE_OK) {
            char right[16];
            snprintf(right, sizeof right, "value %u", 2 * i);
            bool deleted = 2 * i % 5 == 4;
            ck_assert_uint_eq(entry_tag_sequence(tag), 100 - 2 * i);
            ck_slice_eq(value, varve_slice_str(deleted ? "" : right));
        }
        fetcher.base.release(&fetcher.base, &pin);
    }
    ck_assert_uint_eq(fetcher.pinned, 0);
    buf_deinit(&key);
    sstable_reader_free(reader);
    return status;
}

/* Gives the table's size. */
static uint64_t table_bytes_and_cuts(enum compression compression)
{
    struct file f;
    uint64_t file_bytes = 0;
    struct buf right = {0}, got = {0};
    file_init(&f, "000042.sst");
    small_table_make(f.path, compression, &file_bytes);
    file_made(&f);
    ck_ok(table_content(f.path, file_bytes, &right));
    for (size_t at = offset(); at < f.original.size; at += stride()) {
        for (size_t m = 0; m < MASKS; m++) {
            byte_change(&f, at, masks[m]);
            ck_status(table_content(f.path, file_bytes, &got), VARVE_CORRUPT);
        }
        byte_change(&f, at, 0);
    }
    ck_ok(table_content(f.path, file_bytes, &got));
    ck_slice_eq(buf_slice(&right), buf_slice(&got));
    for (size_t length = f.original.size - 1 - offset(); length < f.original.size;
         length -= stride()) {
        ck_ok(env_file_truncate(f.file, length));
        ck_status(table_content(f.path, file_bytes, &got), VARVE_CORRUPT);
        /* even where the manifest's word for the size were as wrong */
        ck_status(table_content(f.path, length, &got), VARVE_CORRUPT);
    }
    buf_deinit(&right);
    buf_deinit(&got);
    file_deinit(&f);
    return file_bytes;
}

START_TEST(plain_table)
{
    (void)table_bytes_and_cuts(COMPRESSION_NONE);
}
END_TEST

START_TEST(compressed_tables)
{
    struct tmpdir dir;
    uint64_t plain_bytes = 0;
    tmpdir_make(&dir);
    small_table_make(tmpdir_path(&dir, "plain"), COMPRESSION_NONE, &plain_bytes);
    tmpdir_remove(&dir);
    ck_assert_uint_lt(table_bytes_and_cuts(COMPRESSION_LZ4), plain_bytes);
    ck_assert_uint_lt(table_bytes_and_cuts(COMPRESSION_ZSTD), plain_bytes);
}
END_TEST

/* ---- manifests ---- */

struct edits {
    size_t count;
    struct buf content[SMALL_MANIFEST_EDITS];
    uint64_t bad_offset;
    bool valid_follows;
};

static enum varve_status edit_keep(void *context, const struct manifest_edit *edit)
{
    struct edits *edits = context;
    ck_assert_uint_lt(edits->count, SMALL_MANIFEST_EDITS);
    return manifest_edit_encode(edit, &edits->content[edits->count++]);
}

static enum varve_status edits_read(const char *path, struct edits *edits)
{
    for (size_t i = 0; i < SMALL_MANIFEST_EDITS; i++)
        buf_clear(&edits->content[i]);
    edits->count = 0;
    return manifest_read(env_posix(), path, SMALL_MANIFEST_ID, edit_keep, edits, &edits->bad_offset,
                         &edits->valid_follows, NULL);
}

static void ck_edits(const struct edits *right, const struct edits *got, size_t count)
{
    ck_assert_uint_eq(got->count, count);
    for (size_t i = 0; i < count; i++)
        ck_slice_eq(buf_slice(&got->content[i]), buf_slice(&right->content[i]));
}

static void edits_deinit(struct edits *edits)
{
    for (size_t i = 0; i < SMALL_MANIFEST_EDITS; i++)
        buf_deinit(&edits->content[i]);
}

START_TEST(manifest_bytes_and_cuts)
{
    struct file f;
    uint64_t offsets[SMALL_MANIFEST_EDITS + 1];
    struct edits right = {0}, got = {0};
    file_init(&f, "manifest-000012");
    small_manifest_make(f.path, offsets);
    file_made(&f);
    ck_ok(edits_read(f.path, &right));
    ck_assert_uint_eq(right.count, SMALL_MANIFEST_EDITS);
    ck_assert_uint_eq(right.bad_offset, UINT64_MAX);
    for (size_t at = offset(); at < f.original.size; at += stride()) {
        for (size_t m = 0; m < MASKS; m++) {
            byte_change(&f, at, masks[m]);
            enum varve_status status = edits_read(f.path, &got);
            if (at < MANIFEST_HEADER_BYTES) {
                ck_status(status, VARVE_CORRUPT);
                continue;
            }
            size_t bad = 0;
            while (offsets[bad + 1] <= at)
                bad++;
            ck_ok(status);
            ck_edits(&right, &got, bad);
            ck_assert_uint_eq(got.bad_offset, offsets[bad]);
            ck_assert_int_eq(got.valid_follows, bad + 1 < SMALL_MANIFEST_EDITS);
        }
        byte_change(&f, at, 0);
    }
    for (size_t length = f.original.size - 1 - offset(); length < f.original.size;
         length -= stride()) {
        ck_ok(env_file_truncate(f.file, length));
        enum varve_status status = edits_read(f.path, &got);
        if (length < MANIFEST_HEADER_BYTES) {
            ck_status(status, VARVE_CORRUPT);
            continue;
        }
        size_t whole = 0;
        while (offsets[whole + 1] <= length)
            whole++;
        ck_ok(status);
        ck_edits(&right, &got, whole);
        ck_assert_uint_eq(got.bad_offset, offsets[whole] == length ? UINT64_MAX : offsets[whole]);
        ck_assert(!got.valid_follows);
    }
    edits_deinit(&right);
    edits_deinit(&got);
    file_deinit(&f);
}
END_TEST

START_TEST(current_bytes_and_cuts)
{
    char text[CURRENT_BYTES_MAX];
    size_t size = current_encode(text, SMALL_MANIFEST_ID);
    uint64_t id = 0;
    for (size_t at = 0; at < size; at++) {
        for (unsigned mask = 1; mask < 256; mask++) {
            text[at] = (char)(text[at] ^ (int)mask);
            ck_status(current_decode(text, size, &id), VARVE_CORRUPT);
            text[at] = (char)(text[at] ^ (int)mask);
        }
        ck_status(current_decode(text, at, &id), VARVE_CORRUPT);
    }
    ck_ok(current_decode(text, size, &id));
    ck_assert_uint_eq(id, SMALL_MANIFEST_ID);
    text[size] = '\n';
    ck_status(current_decode(text, size + 1, &id), VARVE_CORRUPT);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"log_bytes", log_bytes},
        {"log_cuts", log_cuts},
        {"plain_table", plain_table},
        {"compressed_tables", compressed_tables},
        {"manifest_bytes_and_cuts", manifest_bytes_and_cuts},
        {"current_bytes_and_cuts", current_bytes_and_cuts},
    };
    return SUPPORT_RUN("bytes", tests);
}
