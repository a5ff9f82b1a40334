/*
 * Out of memory, everywhere: each allocation of a round of writing and reading fails in turn. It is
 * told as NO_MEMORY, nothing crashes, and no block and no file stays behind.
 *
 * The allocator is replaced by the linker (--wrap), for what is linked from our own libraries. zstd
 * allocates within itself, so its calls are made to fail as if they had found no memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "format/manifest_log.h"
#include "format/sstable_reader.h"
#include "format/sstable_writer.h"
#include "format/wal_reader.h"
#include "format/wal_writer.h"
#include "must.h"
#include "support.h"

static bool counting;
static uint64_t asked;   /* since counting began */
static uint64_t fail_at; /* 0: none */
static int64_t blocks;   /* not given back, of those that were counted */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

ZSTD_CCtx *__real_ZSTD_createCCtx(void);
ZSTD_DCtx *__real_ZSTD_createDCtx(void);
size_t __real_ZSTD_compressCCtx(ZSTD_CCtx *context, void *to, size_t room, const void *from,
                                size_t size, int level);
size_t __real_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t size);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
size_t __wrap_ZSTD_compressCCtx(ZSTD_CCtx *context, void *to, size_t room, const void *from,
                                size_t size, int level);
size_t __wrap_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t size);

static bool refuse(void)
{
    return counting && ++asked == fail_at;
}

static void *given(void *memory)
{
    blocks += counting && memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : given(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : given(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (refuse())
        return NULL;
    void *grown = __real_realloc(memory, size);
    return memory == NULL ? given(grown) : grown;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return refuse() ? NULL : given(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *text)
{
    char *copy = __wrap_malloc(strlen(text) + 1);
    return copy != NULL ? strcpy(copy, text) : NULL;
}

void __wrap_free(void *memory)
{
    blocks -= counting && memory != NULL;
    __real_free(memory);
}

ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
    return refuse() ? NULL : __real_ZSTD_createCCtx();
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
    return refuse() ? NULL : __real_ZSTD_createDCtx();
}

size_t __wrap_ZSTD_compressCCtx(ZSTD_CCtx *context, void *to, size_t room, const void *from,
                                size_t size, int level)
{
    if (refuse())
        return (size_t)-ZSTD_error_memory_allocation;
    return __real_ZSTD_compressCCtx(context, to, room, from, size, level);
}

size_t __wrap_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t size)
{
    if (refuse())
        return (size_t)-ZSTD_error_memory_allocation;
    return __real_ZSTD_decompressDCtx(context, to, room, from, size);
}

/* Runs `round` with its first, second, ... allocation failing, until it gets through. */
static void each_allocation(enum varve_status (*round)(const struct tmpdir *dir))
{
    for (uint64_t at = 1;; at++) {
        struct tmpdir dir;
        tmpdir_make(&dir);
        asked = 0;
        blocks = 0;
        fail_at = at;
        counting = true;
        enum varve_status status = round(&dir);
        counting = false;
        tmpdir_remove(&dir);
        ck_assert_int_eq(blocks, 0);
        if (asked < at) {
            ck_ok(status);
            ck_assert_uint_gt(at, 5);
            break;
        }
        ck_status(status, VARVE_NO_MEMORY);
    }
}

static enum varve_status wal_write(const char *path)
{
    static const uint8_t batch[3000];
    struct wal_writer writer = {0};
    enum varve_status status = wal_writer_open(&writer, env_posix(), path, 1, 0, 8192);
    if (status != VARVE_OK)
        return status;
    for (uint64_t i = 1; i < 5 && status == VARVE_OK; i++) {
        status = wal_writer_begin(&writer, i, 0);
        if (status == VARVE_OK)
            status = wal_writer_add(&writer, varve_slice(batch, i * 700));
        if (status == VARVE_OK)
            status = wal_writer_commit(&writer);
    }
    must(!writer.damaged);
    wal_writer_close(&writer);
    return status;
}

static enum varve_status wal_round(const struct tmpdir *dir)
{
    const char *path = tmpdir_path(dir, "000001.wal");
    struct wal_reader reader;
    struct wal_frame frame;
    struct wal_tail tail;
    enum varve_status status = wal_write(path);
    if (status != VARVE_OK)
        return status;
    status = wal_reader_open(&reader, env_posix(), path, 1, 0, NULL);
    while (status == VARVE_OK)
        status = wal_reader_next(&reader, &frame);
    if (status == VARVE_END)
        status = wal_reader_judge(&reader, &tail);
    wal_reader_close(&reader);
    return status;
}

static enum varve_status table_write(const char *path, enum compression compression,
                                     uint64_t *ret_file_bytes)
{
    const struct sstable_writer_options options = {.file_id = 1,
                                                   .block_bytes = 300,
                                                   .restart_interval = 4,
                                                   .bloom_bits_per_key = 10,
                                                   .compression = compression};
    struct sstable_writer *writer = NULL;
    struct sstable_properties properties = {0};
    uint8_t key[20] = {0};
    enum varve_status status = sstable_writer_new(env_posix(), path, &options, &writer);
    for (unsigned i = 0; i < 200 && status == VARVE_OK; i++) {
        snprintf((char *)key, 12, "key/%06u", i);
        fixed64_encode(key + 12, entry_tag(1, ENTRY_PUT));
        status = sstable_writer_add(writer, varve_slice(key, sizeof key), varve_slice_str("value"));
    }
    if (status == VARVE_OK)
        status = sstable_writer_finish(writer, &properties, ret_file_bytes);
    sstable_properties_deinit(&properties);
    sstable_writer_free(writer);
    return status;
}

static enum varve_status table_pass(const struct tmpdir *dir, enum compression compression)
{
    const char *path = tmpdir_path(dir, "000001.sst");
    uint64_t file_bytes = 0;
    struct support_fetcher fetcher;
    struct sstable_reader *reader = NULL;
    struct entry_iterator *it = NULL;
    support_fetcher_init(&fetcher);
    enum varve_status status = table_write(path, compression, &file_bytes);
    if (status == VARVE_OK)
        status = sstable_reader_open(env_posix(), path, 1, file_bytes, &reader, NULL);
    if (status == VARVE_OK)
        status = sstable_reader_load_filter(reader, true, NULL);
    if (status == VARVE_OK)
        status = sstable_iterator_new(reader, &fetcher.base, true, &it);
    if (status == VARVE_OK) {
        for (it->ops->seek_first(it); it->valid;)
            it->ops->next(it);
        status = it->status;
    }
    entry_iterator_free(it);
    sstable_reader_free(reader);
    return status;
}

static enum varve_status table_round(const struct tmpdir *dir)
{
    return table_pass(dir, COMPRESSION_NONE);
}

static enum varve_status lz4_table_round(const struct tmpdir *dir)
{
    return table_pass(dir, COMPRESSION_LZ4);
}

static enum varve_status zstd_table_round(const struct tmpdir *dir)
{
    return table_pass(dir, COMPRESSION_ZSTD);
}

static enum varve_status edit_drop(void *context, const struct manifest_edit *edit)
{
    return VARVE_OK;
}

static enum varve_status manifest_round(const struct tmpdir *dir)
{
    static uint8_t smallest[] = "a\0\0\0\0\0\0\0", largest[] = "b\0\0\0\0\0\0\0";
    const struct manifest_table table = {
        .file_id = 1, .smallest = {smallest, 9, 9}, .largest = {largest, 9, 9}};
    const char *path = tmpdir_path(dir, "manifest-000001");
    struct manifest_writer writer = {0};
    struct manifest_edit edit = {0};
    uint64_t bad_offset = 0;
    bool valid_follows = false;
    enum varve_status status = manifest_writer_create(&writer, env_posix(), path, 1);
    for (uint64_t i = 1; i < 6 && status == VARVE_OK; i++) {
        status = manifest_edit_add_table(&edit, &table);
        if (status == VARVE_OK)
            status = manifest_edit_remove_table(&edit, 1, i);
        if (status == VARVE_OK)
            status = manifest_edit_add_sealed(&edit, i, 4096);
        if (status == VARVE_OK)
            status = manifest_writer_append(&writer, &edit, false);
        must(!writer.failed);
    }
    manifest_edit_deinit(&edit);
    manifest_writer_close(&writer);
    if (status != VARVE_OK)
        return status;
    return manifest_read(env_posix(), path, 1, edit_drop, NULL, &bad_offset, &valid_follows, NULL);
}

START_TEST(log_memory)
{
    each_allocation(wal_round);
}
END_TEST

START_TEST(table_memory)
{
    each_allocation(table_round);
    each_allocation(lz4_table_round);
    each_allocation(zstd_table_round);
}
END_TEST

START_TEST(manifest_memory)
{
    each_allocation(manifest_round);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"log", log_memory}, {"table", table_memory}, {"manifest", manifest_memory}};
    return SUPPORT_RUN("allocation", tests);
}
