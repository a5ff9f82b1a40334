/*
 * At open everything but the data blocks is read and checked as a whole: footer, properties, filter
 * and index, whose handles must tile the data part without a gap. A data block is checked by its
 * crc each time it is read; the crc is bound to the table and to the place, so what passes is what
 * the writer put there. The index and the filter stay in memory, the filter on a cache line's
 * boundary.
 */
#include "format/sstable_reader.h"

#include <assert.h>
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
    uint8_t *index_memory, *filter_memory;
    struct varve_slice index, filter;
};

/* Reads a stored block, trailer included, into `ret_data` of handle.size + trailer bytes, and
 * checks it. The block must end at or before `limit`. */
static enum varve_status stored_block_read(const struct sstable_reader *reader,
                                           struct block_handle handle, uint8_t *ret_data)
{
    size_t size = (size_t)handle.size, got = 0;
    enum varve_status status = env_file_read(reader->file, handle.offset, ret_data,
                                             size + SSTABLE_BLOCK_TRAILER_BYTES, &got);
    if (status != VARVE_OK)
        return status;
    if (got != size + SSTABLE_BLOCK_TRAILER_BYTES)
        return status_raise(VARVE_CORRUPT);
    uint32_t crc = sstable_block_crc(reader->file_id, handle.offset, ret_data, size + 1);
    if (crc != crc32c_unmask(fixed32_decode(ret_data + size + 1)))
        return status_raise(VARVE_CORRUPT);
    return VARVE_OK;
}

static bool handle_fits(struct block_handle handle, uint64_t limit)
{
    return limit >= SSTABLE_BLOCK_TRAILER_BYTES &&
           handle.size <= limit - SSTABLE_BLOCK_TRAILER_BYTES &&
           handle.offset <= limit - SSTABLE_BLOCK_TRAILER_BYTES - handle.size;
}

/* As stored: the compression stands behind it. `alignment` 0: any. Caller frees with free(). */
static enum varve_status block_read(const struct sstable_reader *reader, struct block_handle handle,
                                    uint64_t limit, size_t alignment, uint8_t **ret_data)
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
    enum varve_status status = stored_block_read(reader, handle, data);
    if (status != VARVE_OK) {
        free(data);
        return status;
    }
    *ret_data = data;
    return VARVE_OK;
}

enum varve_status sstable_reader_read_block(struct sstable_reader *reader,
                                            struct block_handle handle, uint8_t **ret_data,
                                            size_t *ret_size)
{
    uint8_t *stored = NULL;
    enum varve_status status = block_read(reader, handle, reader->data_end, 0, &stored);
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

/* A block that is no data block. */
static enum varve_status part_read(const struct sstable_reader *reader, struct block_handle handle,
                                   size_t alignment, uint8_t **ret_data)
{
    uint8_t *stored = NULL;
    enum varve_status status = block_read(reader, handle, reader->file_bytes, alignment, &stored);
    if (status == VARVE_OK && stored[handle.size] != COMPRESSION_NONE)
        status = status_raise(VARVE_UNSUPPORTED);
    if (status != VARVE_OK) {
        free(stored);
        return status;
    }
    *ret_data = stored;
    return VARVE_OK;
}

static enum varve_status footer_read(struct sstable_reader *reader,
                                     struct sstable_footer *ret_footer,
                                     struct varve_error *ret_error)
{
    uint64_t size = 0;
    enum varve_status status = env_file_size(reader->file, &size);
    if (status != VARVE_OK)
        return error_set(ret_error, status, reader->path, STATUS_NO_OFFSET,
                         "the table's size cannot be read");
    if (size != reader->file_bytes || size < SSTABLE_FOOTER_BYTES)
        return error_set(ret_error, VARVE_CORRUPT, reader->path, size,
                         "the table has %llu bytes in place of %llu", (unsigned long long)size,
                         (unsigned long long)reader->file_bytes);
    const uint64_t offset = size - SSTABLE_FOOTER_BYTES;
    uint8_t bytes[SSTABLE_FOOTER_BYTES] = {0};
    size_t got = 0;
    status = env_file_read(reader->file, offset, bytes, sizeof bytes, &got);
    if (status != VARVE_OK)
        return error_set(ret_error, status, reader->path, offset,
                         "the table's footer cannot be read");
    status = got == sizeof bytes ? sstable_footer_decode(bytes, size, ret_footer)
                                 : status_raise(VARVE_CORRUPT);
    if (status != VARVE_OK)
        return error_set(ret_error, status, reader->path, offset, "the table's footer: %s",
                         varve_status_text(status));
    if (ret_footer->file_id != reader->file_id)
        return error_set(ret_error, VARVE_CORRUPT, reader->path, offset,
                         "table %llu stands in the file of table %llu",
                         (unsigned long long)ret_footer->file_id,
                         (unsigned long long)reader->file_id);
    return VARVE_OK;
}

static enum varve_status properties_read(struct sstable_reader *reader, struct block_handle handle)
{
    uint8_t *data = NULL;
    enum varve_status status = part_read(reader, handle, 0, &data);
    if (status != VARVE_OK)
        return status;
    status = sstable_properties_decode(varve_slice(data, (size_t)handle.size), &reader->properties);
    free(data);
    if (status == VARVE_OK && reader->properties.file_id != reader->file_id)
        status = status_raise(VARVE_CORRUPT);
    return status;
}

static enum varve_status filter_read(struct sstable_reader *reader, struct block_handle handle)
{
    enum varve_status status = part_read(reader, handle, BLOOM_LINE_BYTES, &reader->filter_memory);
    if (status != VARVE_OK)
        return status;
    reader->filter = varve_slice(reader->filter_memory, (size_t)handle.size);
    if (handle.size != 0 && !bloom_is_valid(reader->filter))
        return status_raise(VARVE_CORRUPT);
    return VARVE_OK;
}

/* What the walk over the index has seen so far. */
struct index_walk {
    uint64_t blocks;
    uint64_t end; /* of the last data block */
    struct buf last_key;
};

static enum varve_status index_walk_entry(struct index_walk *walk, struct varve_slice key,
                                          struct varve_slice value)
{
    struct block_handle handle = {0};
    if (!block_handle_decode(value, &handle) || handle.offset != walk->end ||
        !handle_fits(handle, UINT64_MAX) || handle.size == 0)
        return status_raise(VARVE_CORRUPT);
    if (walk->blocks != 0 && entry_key_compare(buf_slice(&walk->last_key), key) >= 0)
        return status_raise(VARVE_CORRUPT);
    walk->end += handle.size + SSTABLE_BLOCK_TRAILER_BYTES;
    walk->blocks++;
    return buf_assign(&walk->last_key, key);
}

/* Keys grow, from no less than the smallest key to no less than the largest; handles tile the data
 * part. */
static enum varve_status index_check(const struct sstable_reader *reader)
{
    const struct sstable_properties *properties = &reader->properties;
    struct index_walk walk = {0};
    struct block_iterator it = {0};
    enum varve_status status = block_iterator_init(&it, reader->index);
    if (status != VARVE_OK)
        goto out;
    for (block_iterator_seek_first(&it); it.base.valid; block_iterator_next(&it)) {
        if (walk.blocks == 0 &&
            entry_key_compare(it.base.key, buf_slice(&properties->smallest)) < 0)
            status = status_raise(VARVE_CORRUPT);
        else
            status = index_walk_entry(&walk, it.base.key, it.base.value);
        if (status != VARVE_OK)
            goto out;
    }
    status = it.base.status;
    if (status != VARVE_OK)
        goto out;
    if (walk.blocks != properties->data_block_count || walk.end != reader->data_end ||
        entry_key_compare(buf_slice(&walk.last_key), buf_slice(&properties->largest)) < 0)
        status = status_raise(VARVE_CORRUPT);
out:
    block_iterator_deinit(&it);
    buf_deinit(&walk.last_key);
    return status;
}

static enum varve_status index_read(struct sstable_reader *reader, struct block_handle handle)
{
    enum varve_status status = part_read(reader, handle, 0, &reader->index_memory);
    if (status != VARVE_OK)
        return status;
    reader->index = varve_slice(reader->index_memory, (size_t)handle.size);
    return index_check(reader);
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
    enum varve_status status = footer_read(reader, &footer, ret_error);
    if (status != VARVE_OK)
        return status;
    reader->data_end = footer.filter.offset;
    status = properties_read(reader, footer.properties);
    if (status != VARVE_OK)
        return part_failed(reader, status, footer.properties, "properties", ret_error);
    status = filter_read(reader, footer.filter);
    if (status != VARVE_OK)
        return part_failed(reader, status, footer.filter, "filter", ret_error);
    status = index_read(reader, footer.index);
    if (status != VARVE_OK)
        return part_failed(reader, status, footer.index, "index", ret_error);
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
    free(reader->index_memory);
    free(reader->filter_memory);
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
    return sizeof *reader + strlen(reader->path) + 1 + reader->index.size + reader->filter.size +
           2 * SSTABLE_BLOCK_TRAILER_BYTES + reader->properties.smallest.capacity +
           reader->properties.largest.capacity;
}

struct varve_slice sstable_reader_index(const struct sstable_reader *reader)
{
    return reader->index;
}

bool sstable_reader_has_filter(const struct sstable_reader *reader)
{
    return reader->filter.size != 0;
}

bool sstable_reader_may_contain(const struct sstable_reader *reader, uint64_t hash)
{
    return reader->filter.size == 0 || bloom_may_contain(reader->filter, hash);
}

void sstable_reader_prefetch_filter(const struct sstable_reader *reader, uint64_t hash)
{
    if (reader->filter.size != 0)
        bloom_prefetch(reader->filter, hash);
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

/* Looks for the target in the block that the index pass stands on. *ret_behind: all of the block
 * lies before the target. The block is pinned only on OK. */
static enum varve_status block_get(struct sstable_reader *reader, struct block_fetcher *fetcher,
                                   const struct block_iterator *index, struct varve_slice target,
                                   bool fill, bool *ret_behind, uint64_t *ret_tag,
                                   struct varve_slice *ret_value, struct block_ref *ret_pin)
{
    struct block_handle handle = {0};
    if (!block_handle_decode(index->base.value, &handle))
        return status_raise(VARVE_CORRUPT);
    struct block_ref pin = {0};
    enum varve_status status = fetcher->fetch(fetcher, reader, handle, fill, &pin);
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
    uint8_t key_room[BLOCK_KEY_ROOM_BYTES];
    struct block_iterator index = {0};
    block_iterator_lend_key_room(&index, key_room);
    enum varve_status status = block_iterator_init(&index, reader->index);
    if (status != VARVE_OK)
        return status;
    block_iterator_seek(&index, target);
    if (!index.base.valid)
        return status_failed(index.base.status) ? index.base.status : VARVE_NOT_FOUND;
    bool behind = false;
    status = block_get(reader, fetcher, &index, target, fill, &behind, ret_tag, ret_value, ret_pin);
    if (!behind)
        return status;
    /* The target lies between this block's last key and its separator. The next block begins above
     * the separator: with the target's user key only if the separator has that one too. */
    if (varve_slice_compare(entry_user_key(index.base.key), entry_user_key(target)) != 0)
        return VARVE_NOT_FOUND;
    block_iterator_next(&index);
    if (!index.base.valid)
        return status_failed(index.base.status) ? index.base.status : VARVE_NOT_FOUND;
    return block_get(reader, fetcher, &index, target, fill, &behind, ret_tag, ret_value, ret_pin);
}
