/*
 * Entries are drawn in the order of their keys, as the writer of a table takes them.
 */
#include "sstable_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prng.h"

void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    tmpdir_make(&f->dir);
    f->fault = fault_env_new(env_posix());
    f->env = fault_env_env(f->fault);
    snprintf(f->path, sizeof f->path, "%s", tmpdir_path(&f->dir, "000042.sst"));
    support_fetcher_init(&f->fetcher);
    f->keys = calloc(ENTRIES_MAX, sizeof *f->keys);
    f->values = calloc(ENTRIES_MAX, sizeof *f->values);
    ck_assert(f->keys != NULL && f->values != NULL);
}

void fixture_deinit(struct fixture *f)
{
    ck_assert_uint_eq(f->fetcher.pinned, 0);
    sstable_reader_free(f->reader);
    sstable_properties_deinit(&f->written);
    ck_assert_uint_eq(fault_env_handles(f->fault), 0);
    fault_env_free(f->fault);
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        buf_deinit(&f->keys[i]);
        buf_deinit(&f->values[i]);
    }
    free(f->keys);
    free(f->values);
    tmpdir_remove(&f->dir);
}

void entries_make(struct fixture *f, size_t count, unsigned versions_max, uint64_t seed)
{
    struct prng prng = prng_make(seed);
    unsigned number = 0;
    char text[64];
    while (f->count < count) {
        number += 1 + (unsigned)prng_below(&prng, 3);
        snprintf(text, sizeof text, "user/%05u%s", number, prng_chance(&prng, 30) ? "/tail" : "");
        size_t versions = 1 + prng_below(&prng, versions_max);
        for (size_t v = 0; v < versions && f->count < count; v++, f->count++) {
            enum entry_kind kind = prng_chance(&prng, 20) ? ENTRY_DELETE : ENTRY_PUT;
            support_key(&f->keys[f->count], text, 10000 - v * 10, kind);
            uint8_t value[80];
            size_t size = kind == ENTRY_DELETE ? 0 : prng_below(&prng, sizeof value);
            prng_bytes(&prng, value, size);
            ck_ok(buf_assign(&f->values[f->count], varve_slice(value, size)));
        }
    }
}

enum varve_status table_write_compressed(struct fixture *f, size_t block_bytes, size_t bloom_bits,
                                         enum compression compression)
{
    const struct sstable_writer_options options = {.file_id = FILE_ID,
                                                   .block_bytes = block_bytes,
                                                   .restart_interval = 16,
                                                   .bloom_bits_per_key = bloom_bits,
                                                   .compression = compression,
                                                   .time_min_ms = 5,
                                                   .time_max_ms = 6};
    struct sstable_writer *writer = NULL;
    enum varve_status status = sstable_writer_new(f->env, f->path, &options, &writer);
    if (status != VARVE_OK)
        return status;
    for (size_t i = 0; i < f->count && status == VARVE_OK; i++)
        status = sstable_writer_add(writer, buf_slice(&f->keys[i]), buf_slice(&f->values[i]));
    if (status == VARVE_OK) {
        ck_assert_uint_eq(sstable_writer_entries(writer), f->count);
        ck_assert_uint_gt(sstable_writer_bytes(writer), 0);
        status = sstable_writer_finish(writer, &f->written, &f->file_bytes);
    }
    sstable_writer_free(writer);
    return status;
}

enum varve_status table_write(struct fixture *f, size_t block_bytes, size_t bloom_bits)
{
    return table_write_compressed(f, block_bytes, bloom_bits, COMPRESSION_NONE);
}

void table_open(struct fixture *f)
{
    struct varve_error error = {0};
    ck_ok(sstable_reader_open(f->env, f->path, FILE_ID, f->file_bytes, &f->reader, &error));
    ck_ok(sstable_reader_load_filter(f->reader, true, &error));
}
