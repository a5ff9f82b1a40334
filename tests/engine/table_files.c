/* Writes tables through the table writer, and lists their blocks by a pass that notes what it
 * fetches. */
#include "table_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/filename.h"
#include "format/sstable_writer.h"
#include "must.h"

void table_files_fill(struct array *array, size_t count, size_t value_bytes)
{
    uint8_t *value = must_calloc(1, value_bytes + 1);
    for (size_t i = 0; i < count; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "k%06u", (unsigned)i);
        memset(value, (int)(i % 251), value_bytes);
        array_add(array, varve_slice(key, (size_t)size), entry_tag(1, ENTRY_PUT),
                  varve_slice(value, value_bytes));
    }
    free(value);
    array_sort(array);
}

struct table *table_files_write(const struct tmpdir *dir, uint64_t file_id,
                                const struct array *array, size_t first, size_t count)
{
    char path[FILENAME_BYTES_MAX];
    must_ok(filename_path(path, dir->path, FILE_TABLE, file_id));
    struct sstable_writer_options options = {.file_id = file_id,
                                             .block_bytes = TABLE_FILES_BLOCK_BYTES,
                                             .restart_interval = 4,
                                             .bloom_bits_per_key = 10};
    struct sstable_writer *writer = NULL;
    must_ok(sstable_writer_new(env_posix(), path, &options, &writer));
    for (size_t i = first; i < first + count; i++)
        must_ok(sstable_writer_add(writer, buf_slice(&array->entries[i].key),
                                   buf_slice(&array->entries[i].value)));
    struct sstable_properties properties = {0};
    struct manifest_table meta = {.run_id = 1, .file_id = file_id};
    must_ok(sstable_writer_finish(writer, &properties, &meta.file_bytes));
    sstable_writer_free(writer);
    meta.smallest = properties.smallest;
    meta.largest = properties.largest;
    struct table *table = NULL;
    must_ok(table_new(&meta, NULL, &table));
    sstable_properties_deinit(&properties);
    return table;
}

struct noting_fetcher {
    struct block_fetcher base;
    struct block_handle *handles;
    size_t count;
};

static enum varve_status note_fetch(struct block_fetcher *base, struct sstable_reader *reader,
                                    struct block_handle handle, bool fill, struct block_ref *ret)
{
    struct noting_fetcher *fetcher = (struct noting_fetcher *)base;
    fetcher->handles = must_realloc(fetcher->handles, fetcher->count + 1, sizeof *fetcher->handles);
    fetcher->handles[fetcher->count++] = handle;
    uint8_t *data = NULL;
    size_t size = 0;
    enum varve_status status = sstable_reader_read_block(reader, handle, &data, &size);
    if (status == VARVE_OK)
        *ret = (struct block_ref){.data = varve_slice(data, size), .pin = data};
    return status;
}

static void note_release(struct block_fetcher *base, struct block_ref *ref)
{
    free(ref->pin);
    *ref = (struct block_ref){0};
}

struct block_handle *table_files_blocks(struct sstable_reader *reader, size_t *ret_count)
{
    struct noting_fetcher fetcher = {.base = {.fetch = note_fetch, .release = note_release}};
    struct entry_iterator *it = NULL;
    must_ok(sstable_iterator_new(reader, &fetcher.base, false, &it));
    for (it->ops->seek_first(it); it->valid; it->ops->next(it))
        ;
    must_ok(it->status);
    entry_iterator_free(it);
    *ret_count = fetcher.count;
    return fetcher.handles;
}
