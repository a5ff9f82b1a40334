/*
 * Most of a search in an index block would be waiting for memory: each step meets the offset of a
 * separator at one place, its bytes at another. Here a step meets one number in an array that is a
 * fraction of the index, and chooses without a branch. A number stands for 8 bytes of a user key,
 * taken behind what all separators have in common, so that keys which begin alike are told apart
 * all the same. Only separators with the target's own number are compared as keys.
 *
 * Data blocks lie one behind the other, so the next block's offset gives a block's size.
 */
#include "format/sstable_index.h"

#include <stdlib.h>

#include "format/block.h"

#define PREFIX_BYTES sizeof(uint64_t)
#define ENTRY_BYTES_MIN (3u + 1u + ENTRY_TAG_BYTES + 2u) /* three sizes, a key, a handle */

static inline uint64_t big_endian(const uint8_t *at)
{
    uint64_t bytes = 0;
    memcpy(&bytes, at, sizeof bytes);
    return __builtin_bswap64(bytes);
}

/* The 8 bytes behind `skipped` ones, zeros behind the key's end: of two keys with different
 * prefixes the one with the smaller prefix is the smaller. */
static inline uint64_t prefix_of(struct varve_slice user_key, size_t skipped)
{
    const size_t size = user_key.size - skipped;
    if (size >= PREFIX_BYTES)
        return big_endian(user_key.data + skipped);
    if (size != 0 && user_key.size >= PREFIX_BYTES) /* its last 8 bytes, less those in front */
        return big_endian(user_key.data + user_key.size - PREFIX_BYTES)
               << 8 * (PREFIX_BYTES - size);
    uint8_t padded[PREFIX_BYTES] = {0};
    for (size_t i = 0; i < size; i++)
        padded[i] = user_key.data[skipped + i];
    return big_endian(padded);
}

static size_t common_size(struct varve_slice a, struct varve_slice b)
{
    size_t same = 0;
    while (same < a.size && same < b.size && a.data[same] == b.data[same])
        same++;
    return same;
}

static enum varve_status arrays_new(struct sstable_index *index, uint64_t count, size_t block_bytes)
{
    if (count == 0 || count > block_bytes / ENTRY_BYTES_MIN)
        return status_raise(VARVE_CORRUPT);
    index->prefixes = malloc((size_t)count * sizeof *index->prefixes);
    index->offsets = malloc(((size_t)count + 1) * sizeof *index->offsets);
    index->separator_ends = malloc((size_t)count * sizeof *index->separator_ends);
    index->separators = malloc(block_bytes); /* each stands whole in the block */
    if (index->prefixes == NULL || index->offsets == NULL || index->separator_ends == NULL ||
        index->separators == NULL)
        return status_raise(VARVE_NO_MEMORY);
    index->offsets[0] = 0;
    return VARVE_OK;
}

/* Takes the next separator and handle; there is room for `count_max` and for `bytes_max` bytes of
 * separators. */
static enum varve_status entry_take(struct sstable_index *index, struct varve_slice key,
                                    struct varve_slice value, uint64_t count_max, size_t bytes_max)
{
    struct block_handle handle = {0};
    const size_t at = index->count, begin = at != 0 ? index->separator_ends[at - 1] : 0;
    if (at == count_max || key.size > bytes_max - begin)
        return status_raise(VARVE_CORRUPT);
    if (!block_handle_decode(value, &handle) || handle.offset != index->offsets[at] ||
        handle.size == 0 || handle.size > UINT64_MAX - SSTABLE_BLOCK_TRAILER_BYTES - handle.offset)
        return status_raise(VARVE_CORRUPT);
    if (at != 0 && entry_key_compare(sstable_index_separator(index, at - 1), key) >= 0)
        return status_raise(VARVE_CORRUPT);
    memcpy(index->separators + begin, key.data, key.size);
    index->separator_ends[at] = (uint32_t)(begin + key.size);
    index->offsets[at + 1] = handle.offset + handle.size + SSTABLE_BLOCK_TRAILER_BYTES;
    index->count++;
    return VARVE_OK;
}

static enum varve_status entries_take(struct sstable_index *index, struct varve_slice block,
                                      uint64_t count_max)
{
    struct block_iterator it = {0};
    enum varve_status status = block_iterator_init(&it, block);
    if (status == VARVE_OK)
        block_iterator_seek_first(&it);
    while (status == VARVE_OK && it.base.valid) {
        status = entry_take(index, it.base.key, it.base.value, count_max, block.size);
        if (status == VARVE_OK)
            block_iterator_next(&it);
    }
    if (status == VARVE_OK)
        status = it.base.status;
    block_iterator_deinit(&it);
    return status;
}

static bool index_agrees(const struct sstable_index *index,
                         const struct sstable_properties *properties, uint64_t data_end)
{
    return index->count == properties->data_block_count &&
           index->offsets[index->count] == data_end &&
           entry_key_compare(sstable_index_separator(index, 0), buf_slice(&properties->smallest)) >=
               0 &&
           entry_key_compare(sstable_index_separator(index, index->count - 1),
                             buf_slice(&properties->largest)) >= 0;
}

/* Gives back the room that the separators did not need, and makes the prefixes. */
static enum varve_status index_settle(struct sstable_index *index)
{
    struct varve_slice first = entry_user_key(sstable_index_separator(index, 0));
    struct varve_slice last = entry_user_key(sstable_index_separator(index, index->count - 1));
    index->common_bytes = common_size(first, last); /* all others are between the two */
    for (size_t i = 0; i < index->count; i++)
        index->prefixes[i] =
            prefix_of(entry_user_key(sstable_index_separator(index, i)), index->common_bytes);
    uint8_t *fitting = realloc(index->separators, index->separator_ends[index->count - 1]);
    if (fitting == NULL)
        return status_raise(VARVE_NO_MEMORY);
    index->separators = fitting;
    return VARVE_OK;
}

enum varve_status sstable_index_init(struct sstable_index *index, struct varve_slice block,
                                     const struct sstable_properties *properties, uint64_t data_end)
{
    struct sstable_index made = {0};
    enum varve_status status = arrays_new(&made, properties->data_block_count, block.size);
    if (status == VARVE_OK)
        status = entries_take(&made, block, properties->data_block_count);
    if (status == VARVE_OK && !index_agrees(&made, properties, data_end))
        status = status_raise(VARVE_CORRUPT);
    if (status == VARVE_OK)
        status = index_settle(&made);
    if (status == VARVE_OK)
        *index = made;
    else
        sstable_index_deinit(&made);
    return status;
}

void sstable_index_deinit(struct sstable_index *index)
{
    free(index->prefixes);
    free(index->offsets);
    free(index->separator_ends);
    free(index->separators);
    *index = (struct sstable_index){0};
}

size_t sstable_index_memory_bytes(const struct sstable_index *index)
{
    return index->count *
               (sizeof *index->prefixes + sizeof *index->offsets + sizeof *index->separator_ends) +
           sizeof *index->offsets + index->separator_ends[index->count - 1];
}

/* The first of the numbers from `begin` to `end` that is >= `prefix`; `end` when none is. */
static inline size_t prefix_lower_bound(const uint64_t *prefixes, size_t begin, size_t end,
                                        uint64_t prefix)
{
    const uint64_t *at = prefixes + begin;
    for (size_t left = end - begin; left != 0;) {
        size_t half = (left + 1) / 2;
        at += at[half - 1] < prefix ? half : 0;
        left -= half;
    }
    return (size_t)(at - prefixes);
}

size_t sstable_index_find(const struct sstable_index *index, struct varve_slice target)
{
    const struct varve_slice user_key = entry_user_key(target);
    const size_t common = index->common_bytes;
    int order =
        memcmp(user_key.data, index->separators, user_key.size < common ? user_key.size : common);
    if (order != 0)
        return order < 0 ? 0 : index->count;
    if (user_key.size < common)
        return 0;
    const uint64_t prefix = prefix_of(user_key, common);
    size_t low = prefix_lower_bound(index->prefixes, 0, index->count, prefix);
    if (low == index->count || index->prefixes[low] != prefix)
        return low;
    size_t high = prefix == UINT64_MAX
                      ? index->count
                      : prefix_lower_bound(index->prefixes, low, index->count, prefix + 1);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_key_compare(sstable_index_separator(index, middle), target) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
