/*
 * Blocks collect in one output buffer that goes to the file in large pieces. A finished block's
 * index entry waits for the first key of the next block, so that its key can be the shortest one
 * that separates the two. Hashes of user keys are kept until the filter is built at the end.
 */
#include "format/sstable_writer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/hash.h"
#include "format/block.h"
#include "format/bloom.h"

#define WRITE_BYTES (512u << 10)
#define INDEX_RESTART_INTERVAL 1u /* a search never walks, at the price of unshared prefixes */

struct sstable_writer {
    struct env_file *file;
    struct sstable_writer_options options;
    struct sstable_properties properties;
    struct buf out;      /* not yet written */
    uint64_t out_offset; /* where it goes */
    struct compressor compressor;
    struct block_builder data, index;
    bool block_pending; /* a finished block waits for its index entry */
    struct block_handle pending;
    struct buf pending_key; /* its last key */
    struct buf separator;
    struct buf hashes; /* uint64_t each */
    uint64_t last_hash;
    size_t metered_bytes;
};

/* Tells what the buffers hold now; `more_bytes` are held beside them. */
static void memory_tell(struct sstable_writer *writer, size_t more_bytes)
{
    size_t bytes = sizeof *writer + writer->out.capacity + writer->data.data.capacity +
                   writer->index.data.capacity + writer->index.restarts.capacity +
                   writer->hashes.capacity + more_bytes;
    memory_meter_charge(writer->options.memory, (int64_t)bytes - (int64_t)writer->metered_bytes);
    writer->metered_bytes = bytes;
}

enum varve_status sstable_writer_new(struct env *env, const char *path,
                                     const struct sstable_writer_options *options,
                                     struct sstable_writer **ret_writer)
{
    assert(options->time_min_ms <= options->time_max_ms);
    struct sstable_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return status_raise(VARVE_NO_MEMORY);
    writer->options = *options;
    writer->properties = (struct sstable_properties){
        .file_id = options->file_id,
        .sequence_min = ENTRY_SEQUENCE_MAX,
        .time_min_ms = options->time_min_ms,
        .time_max_ms = options->time_max_ms,
    };
    block_builder_init(&writer->data, options->restart_interval);
    block_builder_init(&writer->index, INDEX_RESTART_INTERVAL);
    enum varve_status status =
        env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &writer->file);
    if (status != VARVE_OK) {
        sstable_writer_free(writer);
        return status;
    }
    *ret_writer = writer;
    return VARVE_OK;
}

void sstable_writer_free(struct sstable_writer *writer)
{
    if (writer == NULL)
        return;
    memory_meter_charge(writer->options.memory, -(int64_t)writer->metered_bytes);
    if (writer->file != NULL)
        (void)env_file_close(writer->file); /* an unfinished file is of no use */
    sstable_properties_deinit(&writer->properties);
    buf_deinit(&writer->out);
    compressor_deinit(&writer->compressor);
    block_builder_deinit(&writer->data);
    block_builder_deinit(&writer->index);
    buf_deinit(&writer->pending_key);
    buf_deinit(&writer->separator);
    buf_deinit(&writer->hashes);
    free(writer);
}

static enum varve_status out_write(struct sstable_writer *writer)
{
    if (writer->out.size == 0)
        return VARVE_OK;
    enum varve_status status =
        env_file_write(writer->file, writer->out_offset, buf_slice(&writer->out));
    if (status != VARVE_OK)
        return status;
    /* Else all of the table would be before the disk at once when it is synced, and whoever reads
     * meanwhile behind it. */
    env_file_will_sync(writer->file, writer->out_offset, writer->out.size);
    writer->out_offset += writer->out.size;
    buf_clear(&writer->out);
    return VARVE_OK;
}

/* Appends a stored block to the output, compressed if that pays. */
static enum varve_status block_store(struct sstable_writer *writer, struct varve_slice block,
                                     enum compression compression, struct block_handle *ret_handle)
{
    struct buf *out = &writer->out;
    enum varve_status status = buf_reserve(out, block.size + SSTABLE_BLOCK_TRAILER_BYTES);
    if (status != VARVE_OK)
        return status;
    uint64_t offset = writer->out_offset + out->size;
    uint8_t *at = out->data + out->size;
    size_t size = 0;
    status = compress_block(&writer->compressor, compression, block, at, &size);
    if (status != VARVE_OK)
        return status;
    if (size == 0) {
        compression = COMPRESSION_NONE;
        size = block.size;
        if (size != 0)
            memcpy(at, block.data, size);
    }
    at[size] = (uint8_t)compression;
    uint32_t crc = sstable_block_crc(writer->options.file_id, offset, at, size + 1);
    fixed32_encode(at + size + 1, crc32c_mask(crc));
    out->size += size + SSTABLE_BLOCK_TRAILER_BYTES;
    *ret_handle = (struct block_handle){.offset = offset, .size = size};
    return out->size >= WRITE_BYTES ? out_write(writer) : VARVE_OK;
}

static enum varve_status data_block_end(struct sstable_writer *writer)
{
    struct varve_slice block = {0};
    enum varve_status status = block_builder_finish(&writer->data, &block);
    if (status != VARVE_OK)
        return status;
    status = block_store(writer, block, writer->options.compression, &writer->pending);
    if (status != VARVE_OK)
        return status;
    struct buf key = writer->pending_key; /* swapped, not copied */
    writer->pending_key = writer->data.last_key;
    writer->data.last_key = key;
    writer->block_pending = true;
    writer->properties.data_block_count++;
    block_builder_clear(&writer->data);
    memory_tell(writer, 0);
    return VARVE_OK;
}

/* The size of the shortest prefix of one of the two that separates user keys last < next:
 * *ret_raise says that the last byte of a prefix of `last` is to be raised by one, else the prefix
 * is one of `next`. 0 when nothing shorter than `last` itself does. */
static size_t separator_size(struct varve_slice last, struct varve_slice next, bool *ret_raise)
{
    size_t same = 0;
    while (same < last.size && same < next.size && last.data[same] == next.data[same])
        same++;
    if (same + 1 >= last.size)
        return 0;
    assert(same < next.size && last.data[same] < next.data[same]);
    *ret_raise = last.data[same] + 1 < next.data[same];
    if (*ret_raise || next.size > same + 1)
        return same + 1;
    /* next is as short as can be, and only one above: raise a later byte of last */
    *ret_raise = true;
    for (size_t i = same + 1; i + 1 < last.size; i++) {
        if (last.data[i] != UINT8_MAX)
            return i + 1;
    }
    return 0;
}

/* Makes an internal key s with last <= s < next; `next` is empty behind the last block. */
static enum varve_status separator_make(struct varve_slice last, struct varve_slice next,
                                        struct buf *out)
{
    bool raise = false;
    size_t size = 0;
    struct varve_slice last_user = entry_user_key(last), next_user = {0};
    if (next.size != 0) {
        next_user = entry_user_key(next);
        if (varve_slice_compare(last_user, next_user) != 0)
            size = separator_size(last_user, next_user, &raise);
    }
    if (size == 0)
        return buf_assign(out, last);
    enum varve_status status =
        buf_assign(out, varve_slice(raise ? last_user.data : next_user.data, size));
    if (status != VARVE_OK)
        return status;
    if (raise)
        out->data[size - 1]++;
    /* greater than last's user key: before all entries that it could have */
    return buf_append_fixed64(out, entry_tag(ENTRY_SEQUENCE_MAX, ENTRY_KIND_SEEK));
}

static enum varve_status index_add_pending(struct sstable_writer *writer, struct varve_slice next)
{
    if (!writer->block_pending)
        return VARVE_OK;
    struct varve_slice last = buf_slice(&writer->pending_key);
    assert(next.size == 0 || entry_key_compare(last, next) < 0);
    enum varve_status status = separator_make(last, next, &writer->separator);
    if (status != VARVE_OK)
        return status;
    uint8_t handle[BLOCK_HANDLE_BYTES_MAX];
    size_t size = (size_t)(block_handle_encode(handle, writer->pending) - handle);
    status =
        block_builder_add(&writer->index, buf_slice(&writer->separator), varve_slice(handle, size));
    if (status != VARVE_OK)
        return status;
    writer->block_pending = false;
    return VARVE_OK;
}

/* Equal hashes set equal bits, so it does no harm that two keys with one hash are told once. */
static enum varve_status hash_add(struct sstable_writer *writer, struct varve_slice user_key)
{
    if (writer->options.bloom_bits_per_key == 0)
        return VARVE_OK;
    uint64_t hash = hash_slice(user_key);
    if (writer->hashes.size != 0 && hash == writer->last_hash)
        return VARVE_OK;
    writer->last_hash = hash;
    return buf_append_fixed64(&writer->hashes, hash);
}

static void properties_count(struct sstable_properties *properties, struct varve_slice internal_key,
                             struct varve_slice value)
{
    uint64_t tag = entry_key_tag(internal_key), sequence = entry_tag_sequence(tag);
    properties->entry_count++;
    properties->tombstone_count += entry_tag_kind(tag) == ENTRY_DELETE;
    if (entry_tag_kind(tag) == ENTRY_PUT_EXPIRING) {
        uint64_t expiry_s = fixed64_decode(value.data);
        if (properties->expiring_count++ == 0)
            properties->expiry_min_s = properties->expiry_max_s = expiry_s;
        if (expiry_s < properties->expiry_min_s)
            properties->expiry_min_s = expiry_s;
        if (expiry_s > properties->expiry_max_s)
            properties->expiry_max_s = expiry_s;
    }
    properties->raw_key_bytes += internal_key.size;
    properties->raw_value_bytes += value.size;
    if (sequence < properties->sequence_min)
        properties->sequence_min = sequence;
    if (sequence > properties->sequence_max)
        properties->sequence_max = sequence;
}

enum varve_status sstable_writer_add(struct sstable_writer *writer, struct varve_slice internal_key,
                                     struct varve_slice value)
{
    assert(entry_key_is_valid(internal_key));
    assert(entry_tag_kind(entry_key_tag(internal_key)) != ENTRY_PUT_EXPIRING ||
           value.size >= ENTRY_EXPIRY_BYTES);
    enum varve_status status = index_add_pending(writer, internal_key);
    if (status != VARVE_OK)
        return status;
    if (writer->properties.entry_count == 0) {
        status = buf_assign(&writer->properties.smallest, internal_key);
        if (status != VARVE_OK)
            return status;
    }
    status = hash_add(writer, entry_user_key(internal_key));
    if (status != VARVE_OK)
        return status;
    status = block_builder_add(&writer->data, internal_key, value);
    if (status != VARVE_OK)
        return status;
    properties_count(&writer->properties, internal_key, value);
    if (block_builder_bytes(&writer->data) < writer->options.block_bytes)
        return VARVE_OK;
    return data_block_end(writer);
}

uint64_t sstable_writer_bytes(const struct sstable_writer *writer)
{
    uint64_t bytes = writer->out_offset + writer->out.size;
    if (writer->data.entries != 0)
        bytes += block_builder_bytes(&writer->data) + SSTABLE_BLOCK_TRAILER_BYTES;
    return bytes;
}

uint64_t sstable_writer_entries(const struct sstable_writer *writer)
{
    return writer->properties.entry_count;
}

static enum varve_status filter_store(struct sstable_writer *writer,
                                      struct block_handle *ret_handle)
{
    struct buf filter = {0};
    enum varve_status status = VARVE_OK;
    if (writer->options.bloom_bits_per_key != 0)
        status = bloom_build((const uint64_t *)(const void *)writer->hashes.data,
                             writer->hashes.size / sizeof(uint64_t),
                             writer->options.bloom_bits_per_key, &filter);
    memory_tell(writer, filter.capacity);
    if (status == VARVE_OK)
        status = block_store(writer, buf_slice(&filter), COMPRESSION_NONE, ret_handle);
    buf_deinit(&filter);
    return status;
}

static enum varve_status properties_store(struct sstable_writer *writer,
                                          struct block_handle *ret_handle)
{
    struct buf properties = {0};
    enum varve_status status = sstable_properties_encode(&writer->properties, &properties);
    if (status == VARVE_OK)
        status = block_store(writer, buf_slice(&properties), COMPRESSION_NONE, ret_handle);
    buf_deinit(&properties);
    return status;
}

/* Everything behind the data blocks. */
static enum varve_status meta_store(struct sstable_writer *writer)
{
    struct sstable_footer footer = {.file_id = writer->options.file_id};
    struct varve_slice index = {0};
    enum varve_status status = filter_store(writer, &footer.filter);
    if (status != VARVE_OK)
        return status;
    status = block_builder_finish(&writer->index, &index);
    if (status != VARVE_OK)
        return status;
    status = block_store(writer, index, COMPRESSION_NONE, &footer.index);
    if (status != VARVE_OK)
        return status;
    status = properties_store(writer, &footer.properties);
    if (status != VARVE_OK)
        return status;
    uint8_t bytes[SSTABLE_FOOTER_BYTES];
    sstable_footer_encode(bytes, &footer);
    return buf_append(&writer->out, bytes, sizeof bytes);
}

enum varve_status sstable_writer_finish(struct sstable_writer *writer,
                                        struct sstable_properties *ret_properties,
                                        uint64_t *ret_file_bytes)
{
    assert(writer->properties.entry_count != 0);
    enum varve_status status = VARVE_OK;
    if (writer->data.entries != 0)
        status = data_block_end(writer);
    if (status != VARVE_OK)
        return status;
    status = buf_assign(&writer->properties.largest, buf_slice(&writer->pending_key));
    if (status != VARVE_OK)
        return status;
    status = index_add_pending(writer, (struct varve_slice){0});
    if (status != VARVE_OK)
        return status;
    status = meta_store(writer);
    if (status != VARVE_OK)
        return status;
    status = out_write(writer);
    if (status != VARVE_OK)
        return status;
    status = env_file_sync(writer->file);
    if (status != VARVE_OK)
        return status;
    status = env_file_close(writer->file);
    writer->file = NULL;
    if (status != VARVE_OK)
        return status;
    *ret_file_bytes = writer->out_offset;
    *ret_properties = writer->properties;
    writer->properties = (struct sstable_properties){0};
    return VARVE_OK;
}
