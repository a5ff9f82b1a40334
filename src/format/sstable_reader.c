/*
 * At open footer, properties and index are read and checked as a whole; the filter, which only
 * look-ups need, when the first of them comes. A data block is checked by its crc each time it is
 * read; the crc is bound to the table and to the place, so what passes is what the writer put
 * there. The index and the filter stay in memory, the filter on a cache line's boundary.
 */
#include "format/sstable_reader.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "format/bloom.h"
#include "format/compress.h"

struct sstable_reader {
    struct env_file *file;
    char *path;
    uint64_t file_id;
    uint64_t file_bytes;
    uint64_t data_end; /* of the data blocks */
    struct sstable_properties properties;
    struct sstable_index index;
    struct block_handle filter;     /* of size 0: the table has none */
    _Atomic(uint8_t *) filter_data; /* its bytes; NULL until they are asked for */
};

/* A block as it is stored, trailer included. */
static enum varve_status stored_block_check(const struct sstable_reader *reader,
                                            struct block_handle handle, const uint8_t *stored)
{
    size_t size = (size_t)handle.size;
    uint32_t crc = sstable_block_crc(reader->file_id, handle.offset, stored, size + 1);
    if (crc != crc32c_unmask(fixed32_decode(stored + size + 1)))
        return status_raise(VARVE_CORRUPT);
    return VARVE_OK;
}

/* Reads a stored block, trailer included, into `ret_data` of handle.size + trailer bytes, and
 * checks it. The block must end at or before `limit`. */
static enum varve_status stored_block_read(const struct sstable_reader *reader,
                                           struct block_handle handle, bool may_wait,
                                           uint8_t *ret_data)
{
    size_t bytes = (size_t)handle.size + SSTABLE_BLOCK_TRAILER_BYTES, got = 0;
    enum varve_status status =
        may_wait ? env_file_read(reader->file, handle.offset, ret_data, bytes, &got)
                 : env_file_read_cached(reader->file, handle.offset, ret_data, bytes, &got);
    if (status != VARVE_OK)
        return status;
    if (got != bytes)
        return status_raise(VARVE_CORRUPT);
    return stored_block_check(reader, handle, ret_data);
}

static bool handle_fits(struct block_handle handle, uint64_t limit)
{
    return limit >= SSTABLE_BLOCK_TRAILER_BYTES &&
           handle.size <= limit - SSTABLE_BLOCK_TRAILER_BYTES &&
           handle.offset <= limit - SSTABLE_BLOCK_TRAILER_BYTES - handle.size;
}

/* As stored: the compression stands behind it. `alignment` 0: any. Caller frees with free(). */
static enum varve_status block_read(const struct sstable_reader *reader, struct block_handle handle,
                                    uint64_t limit, size_t alignment, bool may_wait,
                                    uint8_t **ret_data)
{
    if (!handle_fits(handle, limit))
        return status_raise(VARVE_CORRUPT);
    size_t bytes = (size_t)handle.size + SSTABLE_BLOCK_TRAILER_BYTES;
    uint8_t *data = NULL;
    if (alignment == 0)
        data = malloc(bytes);
    else
        data = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (data == NULL)
        return status_raise(VARVE_NO_MEMORY);
    enum varve_status status = stored_block_read(reader, handle, may_wait, data);
    if (status != VARVE_OK) {
        free(data);
        return status;
    }
    *ret_data = data;
    return VARVE_OK;
}

static enum varve_status data_block_read(struct sstable_reader *reader, struct block_handle handle,
                                         bool may_wait, uint8_t **ret_data, size_t *ret_size)
{
    uint8_t *stored = NULL;
    enum varve_status status = block_read(reader, handle, reader->data_end, 0, may_wait, &stored);
    if (status != VARVE_OK)
        return status;
    const size_t size = (size_t)handle.size;
    if (stored[size] == COMPRESSION_NONE) {
        *ret_data = stored;
        *ret_size = size;
        return VARVE_OK;
    }
    status = uncompress_block(stored[size], varve_slice(stored, size), ret_data, ret_size);
    free(stored);
    return status;
}

enum varve_status sstable_reader_read_block(struct sstable_reader *reader,
                                            struct block_handle handle, uint8_t **ret_data,
                                            size_t *ret_size)
{
    return data_block_read(reader, handle, true, ret_data, ret_size);
}

enum varve_status sstable_reader_read_cached_block(struct sstable_reader *reader,
                                                   struct block_handle handle, uint8_t **ret_data,
                                                   size_t *ret_size)
{
    return data_block_read(reader, handle, false, ret_data, ret_size);
}

enum varve_status sstable_reader_read_stored(struct sstable_reader *reader, uint64_t offset,
                                             uint8_t *ret_data, size_t size)
{
    size_t got = 0;
    if (offset > reader->data_end || size > reader->data_end - offset)
        return status_raise(VARVE_CORRUPT);
    enum varve_status status = env_file_read(reader->file, offset, ret_data, size, &got);
    return status == VARVE_OK && got != size ? status_raise(VARVE_CORRUPT) : status;
}

enum varve_status sstable_reader_unpack_block(struct sstable_reader *reader,
                                              struct block_handle handle, const uint8_t *stored,
                                              uint8_t **ret_unpacked, struct varve_slice *ret_data)
{
    const size_t size = (size_t)handle.size;
    enum varve_status status = stored_block_check(reader, handle, stored);
    if (status != VARVE_OK)
        return status;
    if (stored[size] == COMPRESSION_NONE) {
        *ret_data = varve_slice(stored, size);
        return VARVE_OK;
    }
    size_t unpacked_size = 0;
    status =
        uncompress_block(stored[size], varve_slice(stored, size), ret_unpacked, &unpacked_size);
    if (status == VARVE_OK)
        *ret_data = varve_slice(*ret_unpacked, unpacked_size);
    return status;
}

void sstable_reader_will_read(struct sstable_reader *reader, uint64_t offset, uint64_t size)
{
    if (offset >= reader->data_end)
        return;
    const uint64_t left = reader->data_end - offset;
    env_file_will_read(reader->file, offset, size < left ? size : left);
}

/* A block that is no data block. */
static enum varve_status part_read(const struct sstable_reader *reader, struct block_handle handle,
                                   size_t alignment, bool may_wait, uint8_t **ret_data)
{
    uint8_t *stored = NULL;
    enum varve_status status =
        block_read(reader, handle, reader->file_bytes, alignment, may_wait, &stored);
    if (status == VARVE_OK && stored[handle.size] != COMPRESSION_NONE)
        status = status_raise(VARVE_UNSUPPORTED);
    if (status != VARVE_OK) {
        free(stored);
        return status;
    }
    *ret_data = stored;
    return VARVE_OK;
}

enum varve_status sstable_footer_read(struct env_file *file, const char *path, uint64_t file_id,
                                      uint64_t file_bytes, struct sstable_footer *ret_footer,
                                      struct varve_error *ret_error)
{
    uint64_t size = 0;
    enum varve_status status = env_file_size(file, &size);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET,
                         "the table's size cannot be read");
    if (size != file_bytes || size < SSTABLE_FOOTER_BYTES)
        return error_set(ret_error, VARVE_CORRUPT, path, size,
                         "the table has %llu bytes in place of %llu", (unsigned long long)size,
                         (unsigned long long)file_bytes);
    const uint64_t offset = size - SSTABLE_FOOTER_BYTES;
    uint8_t bytes[SSTABLE_FOOTER_BYTES] = {0};
    size_t got = 0;
    status = env_file_read(file, offset, bytes, sizeof bytes, &got);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, offset, "the table's footer cannot be read");
    struct sstable_footer footer = {0};
    status = got == sizeof bytes ? sstable_footer_decode(bytes, size, &footer)
                                 : status_raise(VARVE_CORRUPT);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, offset, "the table's footer: %s",
                         varve_status_text(status));
    if (footer.file_id != file_id)
        return error_set(ret_error, VARVE_CORRUPT, path, offset,
                         "table %llu stands in the file of table %llu",
                         (unsigned long long)footer.file_id, (unsigned long long)file_id);
    *ret_footer = footer;
    return VARVE_OK;
}

static enum varve_status properties_read(struct sstable_reader *reader, struct block_handle handle)
{
    uint8_t *data = NULL;
    enum varve_status status = part_read(reader, handle, 0, true, &data);
    if (status != VARVE_OK)
        return status;
    status = sstable_properties_decode(varve_slice(data, (size_t)handle.size), &reader->properties);
    free(data);
    if (status == VARVE_OK && reader->properties.file_id != reader->file_id)
        status = status_raise(VARVE_CORRUPT);
    return status;
}

static enum varve_status index_read(struct sstable_reader *reader, struct block_handle handle)
{
    uint8_t *block = NULL;
    enum varve_status status = part_read(reader, handle, 0, true, &block);
    if (status != VARVE_OK)
        return status;
    status = sstable_index_init(&reader->index, varve_slice(block, (size_t)handle.size),
                                &reader->properties, reader->data_end);
    free(block);
    return status;
}

static enum varve_status part_failed(const struct sstable_reader *reader, enum varve_status status,
                                     struct block_handle handle, const char *part,
                                     struct varve_error *ret_error)
{
    return error_set(ret_error, status, reader->path, handle.offset, "the table's %s: %s", part,
                     varve_status_text(status));
}

static enum varve_status parts_read(struct sstable_reader *reader, struct varve_error *ret_error)
{
    struct sstable_footer footer = {0};
    enum varve_status status = sstable_footer_read(reader->file, reader->path, reader->file_id,
                                                   reader->file_bytes, &footer, ret_error);
    if (status != VARVE_OK)
        return status;
    reader->data_end = footer.filter.offset;
    reader->filter = footer.filter;
    status = properties_read(reader, footer.properties);
    if (status != VARVE_OK)
        return part_failed(reader, status, footer.properties, "properties", ret_error);
    status = index_read(reader, footer.index);
    if (status != VARVE_OK)
        return part_failed(reader, status, footer.index, "index", ret_error);
    return VARVE_OK;
}

enum varve_status sstable_reader_load_filter(struct sstable_reader *reader, bool may_wait,
                                             struct varve_error *ret_error)
{
    if (reader->filter.size == 0 ||
        atomic_load_explicit(&reader->filter_data, memory_order_acquire) != NULL)
        return VARVE_OK;
    uint8_t *data = NULL, *none = NULL;
    enum varve_status status = part_read(reader, reader->filter, BLOOM_LINE_BYTES, may_wait, &data);
    if (status == VARVE_OK && !bloom_is_valid(varve_slice(data, (size_t)reader->filter.size)))
        status = status_raise(VARVE_CORRUPT);
    if (status == VARVE_WOULD_BLOCK)
        return status;
    if (status != VARVE_OK) {
        free(data);
        return part_failed(reader, status, reader->filter, "filter", ret_error);
    }
    if (!atomic_compare_exchange_strong_explicit(&reader->filter_data, &none, data,
                                                 memory_order_acq_rel, memory_order_acquire))
        free(data); /* another thread was here first */
    return VARVE_OK;
}

enum varve_status sstable_reader_open(struct env *env, const char *path, uint64_t file_id,
                                      uint64_t file_bytes, struct sstable_reader **ret_reader,
                                      struct varve_error *ret_error)
{
    struct sstable_reader *reader = calloc(1, sizeof *reader);
    char *path_copy = strdup(path);
    enum varve_status status = VARVE_OK;
    if (reader == NULL || path_copy == NULL) {
        status =
            error_set(ret_error, VARVE_NO_MEMORY, path, STATUS_NO_OFFSET, "no memory to open it");
        free(path_copy);
        free(reader);
        return status;
    }
    *reader =
        (struct sstable_reader){.path = path_copy, .file_id = file_id, .file_bytes = file_bytes};
    status = env_open(env, path, ENV_OPEN_READ | ENV_OPEN_RANDOM, &reader->file);
    if (status != VARVE_OK)
        status = error_set(ret_error, status, path, STATUS_NO_OFFSET, "the table cannot be opened");
    else
        status = parts_read(reader, ret_error);
    if (status != VARVE_OK) {
        sstable_reader_free(reader);
        return status;
    }
    *ret_reader = reader;
    return VARVE_OK;
}

void sstable_reader_free(struct sstable_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->file != NULL)
        (void)env_file_close(reader->file); /* only read from */
    sstable_properties_deinit(&reader->properties);
    sstable_index_deinit(&reader->index);
    free(atomic_load_explicit(&reader->filter_data, memory_order_relaxed));
    free(reader->path);
    free(reader);
}

const struct sstable_properties *sstable_reader_properties(const struct sstable_reader *reader)
{
    return &reader->properties;
}

uint64_t sstable_reader_file_id(const struct sstable_reader *reader)
{
    return reader->file_id;
}

const char *sstable_reader_path(const struct sstable_reader *reader)
{
    return reader->path;
}

size_t sstable_reader_memory_bytes(const struct sstable_reader *reader)
{
    return sizeof *reader + strlen(reader->path) + 1 + sstable_index_memory_bytes(&reader->index) +
           (size_t)reader->filter.size + SSTABLE_BLOCK_TRAILER_BYTES +
           reader->properties.smallest.capacity + reader->properties.largest.capacity;
}

const struct sstable_index *sstable_reader_index(const struct sstable_reader *reader)
{
    return &reader->index;
}

bool sstable_reader_has_filter(const struct sstable_reader *reader)
{
    return reader->filter.size != 0;
}

static struct varve_slice loaded_filter(const struct sstable_reader *reader)
{
    const uint8_t *data = atomic_load_explicit(&reader->filter_data, memory_order_acquire);
    assert(data != NULL);
    return varve_slice(data, (size_t)reader->filter.size);
}

bool sstable_reader_may_contain(const struct sstable_reader *reader, uint64_t hash)
{
    return reader->filter.size == 0 || bloom_may_contain(loaded_filter(reader), hash);
}

void sstable_reader_prefetch_filter(const struct sstable_reader *reader, uint64_t hash)
{
    if (reader->filter.size != 0)
        bloom_prefetch(loaded_filter(reader), hash);
}

/* The entry where the block's pass stands, if it is one of the target's user key. */
static enum varve_status found_take(const struct block_iterator *data, struct varve_slice target,
                                    uint64_t *ret_tag, struct varve_slice *ret_value)
{
    if (!data->base.valid)
        return status_failed(data->base.status) ? data->base.status : VARVE_NOT_FOUND;
    if (!entry_key_is_valid(data->base.key))
        return status_raise(VARVE_CORRUPT);
    if (varve_slice_compare(entry_user_key(data->base.key), entry_user_key(target)) != 0)
        return VARVE_NOT_FOUND;
    *ret_tag = entry_key_tag(data->base.key);
    *ret_value = data->base.value;
    return VARVE_OK;
}

/* Looks for the target in block `at`. *ret_behind: all of the block lies before the target. The
 * block is pinned only on OK. */
static enum varve_status block_get(struct sstable_reader *reader, struct block_fetcher *fetcher,
                                   size_t at, struct varve_slice target, bool fill,
                                   bool *ret_behind, uint64_t *ret_tag,
                                   struct varve_slice *ret_value, struct block_ref *ret_pin)
{
    struct block_ref pin = {0};
    enum varve_status status =
        fetcher->fetch(fetcher, reader, sstable_index_handle(&reader->index, at), fill, &pin);
    if (status != VARVE_OK)
        return status;
    uint8_t key_room[BLOCK_KEY_ROOM_BYTES];
    struct block_iterator data = {0};
    block_iterator_lend_key_room(&data, key_room);
    status = block_iterator_init(&data, pin.data);
    if (status == VARVE_OK) {
        block_iterator_seek(&data, target);
        *ret_behind = !data.base.valid && data.base.status == VARVE_OK;
        status = found_take(&data, target, ret_tag, ret_value);
    }
    if (status == VARVE_OK)
        *ret_pin = pin;
    else
        fetcher->release(fetcher, &pin);
    return status;
}

enum varve_status sstable_reader_get(struct sstable_reader *reader, struct block_fetcher *fetcher,
                                     struct varve_slice target, bool fill, uint64_t *ret_tag,
                                     struct varve_slice *ret_value, struct block_ref *ret_pin)
{
    const struct sstable_index *index = &reader->index;
    const size_t at = sstable_index_find(index, target);
    if (at == index->count)
        return VARVE_NOT_FOUND;
    bool behind = false;
    enum varve_status status =
        block_get(reader, fetcher, at, target, fill, &behind, ret_tag, ret_value, ret_pin);
    if (!behind)
        return status;
    /* The target lies between this block's last key and its separator. The next block begins above
     * the separator: with the target's user key only if the separator has that one too. */
    if (at + 1 == index->count || !sstable_index_user_key_is(index, at, entry_user_key(target)))
        return VARVE_NOT_FOUND;
    return block_get(reader, fetcher, at + 1, target, fill, &behind, ret_tag, ret_value, ret_pin);
}
