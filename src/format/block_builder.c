/* Entries are appended as they come; only the last key is kept, to find what the next one shares
 * with it. */
#include <assert.h>

#include "format/block.h"

void block_builder_init(struct block_builder *builder, size_t restart_interval)
{
    assert(restart_interval >= 1);
    *builder = (struct block_builder){.restart_interval = restart_interval};
}

void block_builder_deinit(struct block_builder *builder)
{
    buf_deinit(&builder->data);
    buf_deinit(&builder->last_key);
    buf_deinit(&builder->restarts);
}

void block_builder_clear(struct block_builder *builder)
{
    buf_clear(&builder->data);
    buf_clear(&builder->last_key);
    buf_clear(&builder->restarts);
    builder->since_restart = 0;
    builder->entries = 0;
}

static size_t shared_prefix(struct varve_slice a, struct varve_slice b)
{
    size_t shorter = a.size < b.size ? a.size : b.size, i = 0;
    for (; i + sizeof(uint64_t) <= shorter; i += sizeof(uint64_t)) {
        uint64_t differ = fixed64_decode(a.data + i) ^ fixed64_decode(b.data + i);
        if (differ != 0)
            return i + (size_t)__builtin_ctzll(differ) / 8;
    }
    while (i < shorter && a.data[i] == b.data[i])
        i++;
    return i;
}

/* Keeps the key for the next one; the first `shared` bytes are there already. */
static enum varve_status last_key_set(struct block_builder *builder, struct varve_slice key,
                                      size_t shared)
{
    builder->last_key.size = shared;
    return buf_append(&builder->last_key, key.data + shared, key.size - shared);
}

enum varve_status block_builder_add(struct block_builder *builder, struct varve_slice key,
                                    struct varve_slice value)
{
    assert(key.size > ENTRY_TAG_BYTES && key.size <= ENTRY_KEY_BYTES_MAX);
    assert(builder->entries == 0 || entry_key_compare(buf_slice(&builder->last_key), key) < 0);
    const size_t entry_bytes_max = 3 * VARINT32_BYTES_MAX + key.size;
    const size_t grown_bytes = block_builder_bytes(builder) + sizeof(uint32_t) + entry_bytes_max;
    if (grown_bytes > UINT32_MAX || value.size > UINT32_MAX - grown_bytes)
        return status_raise(VARVE_TOO_LARGE);

    enum varve_status status = buf_reserve(&builder->data, entry_bytes_max + value.size);
    if (status != VARVE_OK)
        return status;
    size_t shared = shared_prefix(buf_slice(&builder->last_key), key), shared_told = shared;
    if (builder->entries == 0 || builder->since_restart == builder->restart_interval) {
        status = buf_append_fixed32(&builder->restarts, (uint32_t)builder->data.size);
        if (status != VARVE_OK)
            return status;
        shared_told = 0;
        builder->since_restart = 0;
    }
    status = last_key_set(builder, key, shared);
    if (status != VARVE_OK)
        return status;

    uint8_t *at = builder->data.data + builder->data.size;
    at = varint32_encode(at, (uint32_t)shared_told);
    at = varint32_encode(at, (uint32_t)(key.size - shared_told));
    at = varint32_encode(at, (uint32_t)value.size);
    memcpy(at, key.data + shared_told, key.size - shared_told);
    at += key.size - shared_told;
    if (value.size != 0)
        memcpy(at, value.data, value.size);
    builder->data.size = (size_t)(at + value.size - builder->data.data);
    builder->since_restart++;
    builder->entries++;
    return VARVE_OK;
}

size_t block_builder_bytes(const struct block_builder *builder)
{
    return builder->data.size + builder->restarts.size + sizeof(uint32_t);
}

enum varve_status block_builder_finish(struct block_builder *builder, struct varve_slice *ret_block)
{
    assert(builder->entries != 0);
    enum varve_status status =
        buf_reserve(&builder->data, builder->restarts.size + sizeof(uint32_t));
    if (status != VARVE_OK)
        return status;
    uint8_t *at = builder->data.data + builder->data.size;
    memcpy(at, builder->restarts.data, builder->restarts.size);
    fixed32_encode(at + builder->restarts.size,
                   (uint32_t)(builder->restarts.size / sizeof(uint32_t)));
    builder->data.size += builder->restarts.size + sizeof(uint32_t);
    *ret_block = buf_slice(&builder->data);
    return VARVE_OK;
}
