/*
 * Most of a search in an index block would be waiting for memory: each step meets the offset of a
 * separator at one place, its bytes at another. Here a step meets one number in an array that is a
 * fraction of the index, and chooses without a branch. A number stands for 8 bytes of a user key,
 * taken behind what all separators have in common, so that keys which begin alike are told apart
 * all the same. Only separators with the target's own number are compared further, by what they
 * have besides: their tails. What is common is kept once, and what the number says not again, for
 * all indexes of a large store together are much memory.
 *
 *   tail: how many bytes of the user key the number stands for (1 byte, at most 8), the user key
 *         behind them, the tag (fixed64)
 *
 * Data blocks lie one behind the other, so the next block's offset gives a block's size.
 */
#include "format/sstable_index.h"

#include <stdlib.h>

#include "format/block.h"

#define PREFIX_BYTES sizeof(uint64_t)
#define TAIL_BYTES_MIN (1u + ENTRY_TAG_BYTES)
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

/* The separators while they are read, whole. */
struct separators {
    size_t count;
    uint32_t *ends;
    uint8_t *bytes;              /* internal keys one behind the other */
    size_t count_max, bytes_max; /* for which there is room */
    uint64_t data_end;           /* which no block ends beyond */
};

static struct varve_slice separator_at(const struct separators *separators, size_t at)
{
    size_t begin = at != 0 ? separators->ends[at - 1] : 0;
    return varve_slice(separators->bytes + begin, separators->ends[at] - begin);
}

static enum varve_status separators_new(struct separators *separators, uint64_t count,
                                        size_t block_bytes, uint64_t data_end)
{
    if (count == 0 || count > block_bytes / ENTRY_BYTES_MIN)
        return status_raise(VARVE_CORRUPT);
    separators->count_max = (size_t)count;
    separators->bytes_max = block_bytes;
    separators->data_end = data_end;
    separators->ends = malloc((size_t)count * sizeof *separators->ends);
    separators->bytes = malloc(block_bytes); /* each stands whole in the block */
    if (separators->ends == NULL || separators->bytes == NULL)
        return status_raise(VARVE_NO_MEMORY);
    return VARVE_OK;
}

static void separators_deinit(struct separators *separators)
{
    free(separators->ends);
    free(separators->bytes);
}

static enum varve_status offsets_new(struct sstable_index *index, uint64_t count, uint64_t data_end)
{
    if (data_end <= UINT32_MAX)
        index->offsets = malloc(((size_t)count + 1) * sizeof *index->offsets);
    else
        index->far = malloc(((size_t)count + 1) * sizeof *index->far);
    return index->offsets != NULL || index->far != NULL ? VARVE_OK : status_raise(VARVE_NO_MEMORY);
}

static void offset_set(struct sstable_index *index, size_t at, uint64_t offset)
{
    if (index->far == NULL)
        index->offsets[at] = (uint32_t)offset;
    else
        index->far[at] = offset;
}

/* Takes the next separator and handle. */
static enum varve_status entry_take(struct sstable_index *index, struct separators *separators,
                                    struct varve_slice key, struct varve_slice value)
{
    struct block_handle handle = {0};
    const size_t at = separators->count, begin = at != 0 ? separators->ends[at - 1] : 0;
    if (at == separators->count_max || key.size > separators->bytes_max - begin)
        return status_raise(VARVE_CORRUPT);
    if (!block_handle_decode(value, &handle) || handle.offset != sstable_index_offset(index, at) ||
        handle.size == 0 || handle.size > UINT64_MAX - SSTABLE_BLOCK_TRAILER_BYTES - handle.offset)
        return status_raise(VARVE_CORRUPT);
    if (at != 0 && entry_key_compare(separator_at(separators, at - 1), key) >= 0)
        return status_raise(VARVE_CORRUPT);
    const uint64_t end = handle.offset + handle.size + SSTABLE_BLOCK_TRAILER_BYTES;
    if (end > separators->data_end)
        return status_raise(VARVE_CORRUPT);
    memcpy(separators->bytes + begin, key.data, key.size);
    separators->ends[at] = (uint32_t)(begin + key.size);
    offset_set(index, at + 1, end);
    separators->count++;
    return VARVE_OK;
}

static enum varve_status entries_take(struct sstable_index *index, struct separators *separators,
                                      struct varve_slice block)
{
    struct block_iterator it = {0};
    enum varve_status status = block_iterator_init(&it, block);
    if (status == VARVE_OK)
        block_iterator_seek_first(&it);
    while (status == VARVE_OK && it.base.valid) {
        status = entry_take(index, separators, it.base.key, it.base.value);
        if (status == VARVE_OK)
            block_iterator_next(&it);
    }
    if (status == VARVE_OK)
        status = it.base.status;
    block_iterator_deinit(&it);
    return status;
}

static bool index_agrees(const struct sstable_index *index, const struct separators *separators,
                         const struct sstable_properties *properties, uint64_t data_end)
{
    return separators->count == properties->data_block_count &&
           sstable_index_offset(index, separators->count) == data_end &&
           entry_key_compare(separator_at(separators, 0), buf_slice(&properties->smallest)) >= 0 &&
           entry_key_compare(separator_at(separators, separators->count - 1),
                             buf_slice(&properties->largest)) >= 0;
}

static size_t numbered_bytes(const struct sstable_index *index, struct varve_slice user_key)
{
    const size_t behind = user_key.size - index->common_bytes;
    return behind < PREFIX_BYTES ? behind : PREFIX_BYTES;
}

static size_t tail_bytes(const struct sstable_index *index, struct varve_slice user_key)
{
    return TAIL_BYTES_MIN + user_key.size - index->common_bytes - numbered_bytes(index, user_key);
}

static uint8_t *tail_encode(const struct sstable_index *index, struct varve_slice separator,
                            uint8_t *at)
{
    const struct varve_slice user_key = entry_user_key(separator);
    const size_t numbered = numbered_bytes(index, user_key);
    const size_t told = index->common_bytes + numbered;
    *at++ = (uint8_t)numbered;
    memcpy(at, separator.data + told, separator.size - told);
    return at + separator.size - told;
}

/* Makes what is searched from what was read. */
static enum varve_status index_pack(struct sstable_index *index,
                                    const struct separators *separators)
{
    const size_t count = separators->count;
    const struct varve_slice first = entry_user_key(separator_at(separators, 0));
    const struct varve_slice last = entry_user_key(separator_at(separators, count - 1));
    size_t bytes = 0;
    index->common_bytes = common_size(first, last); /* all others are between the two */
    for (size_t i = 0; i < count; i++)
        bytes += tail_bytes(index, entry_user_key(separator_at(separators, i)));
    index->prefixes = malloc(count * sizeof *index->prefixes);
    index->tail_ends = malloc(count * sizeof *index->tail_ends);
    index->common = malloc(index->common_bytes + bytes);
    if (index->prefixes == NULL || index->tail_ends == NULL || index->common == NULL)
        return status_raise(VARVE_NO_MEMORY);
    if (index->common_bytes != 0)
        memcpy(index->common, first.data, index->common_bytes);
    uint8_t *const tails = index->common + index->common_bytes, *at = tails;
    for (size_t i = 0; i < count; i++) {
        const struct varve_slice separator = separator_at(separators, i);
        index->prefixes[i] = prefix_of(entry_user_key(separator), index->common_bytes);
        at = tail_encode(index, separator, at);
        index->tail_ends[i] = (uint32_t)(at - tails);
    }
    index->count = count;
    return VARVE_OK;
}

enum varve_status sstable_index_init(struct sstable_index *index, struct varve_slice block,
                                     const struct sstable_properties *properties, uint64_t data_end)
{
    struct sstable_index made = {0};
    struct separators separators = {0};
    const uint64_t count = properties->data_block_count;
    enum varve_status status = separators_new(&separators, count, block.size, data_end);
    if (status == VARVE_OK)
        status = offsets_new(&made, count, data_end);
    if (status == VARVE_OK)
        offset_set(&made, 0, 0);
    if (status == VARVE_OK)
        status = entries_take(&made, &separators, block);
    if (status == VARVE_OK && !index_agrees(&made, &separators, properties, data_end))
        status = status_raise(VARVE_CORRUPT);
    if (status == VARVE_OK)
        status = index_pack(&made, &separators);
    separators_deinit(&separators);
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
    free(index->far);
    free(index->tail_ends);
    free(index->common);
    *index = (struct sstable_index){0};
}

size_t sstable_index_memory_bytes(const struct sstable_index *index)
{
    const size_t offset_bytes = index->far == NULL ? sizeof *index->offsets : sizeof *index->far;
    return index->count * (sizeof *index->prefixes + offset_bytes + sizeof *index->tail_ends) +
           offset_bytes + index->common_bytes + index->tail_ends[index->count - 1];
}

static struct varve_slice tail_at(const struct sstable_index *index, size_t at)
{
    size_t begin = at != 0 ? index->tail_ends[at - 1] : 0;
    return varve_slice(index->common + index->common_bytes + begin, index->tail_ends[at] - begin);
}

/* How the user key of separator `at` compares with one that begins with what all have in common and
 * has the same number. Where the number stands for fewer bytes of one, that one ends in it, and the
 * other has zeros there. */
static int tail_compare(const struct sstable_index *index, size_t at, struct varve_slice user_key)
{
    const struct varve_slice tail = tail_at(index, at);
    const size_t numbered = numbered_bytes(index, user_key);
    if (tail.data[0] != numbered)
        return tail.data[0] < numbered ? -1 : 1;
    const size_t told = index->common_bytes + numbered;
    return varve_slice_compare(varve_slice(tail.data + 1, tail.size - TAIL_BYTES_MIN),
                               varve_slice(user_key.data + told, user_key.size - told));
}

static bool separator_is_before(const struct sstable_index *index, size_t at,
                                struct varve_slice target)
{
    const int order = tail_compare(index, at, entry_user_key(target));
    const struct varve_slice tail = tail_at(index, at);
    return order != 0 ? order < 0
                      : fixed64_decode(tail.data + tail.size - ENTRY_TAG_BYTES) >
                            entry_key_tag(target); /* newer ones come first */
}

bool sstable_index_user_key_is(const struct sstable_index *index, size_t at,
                               struct varve_slice user_key)
{
    const size_t common = index->common_bytes;
    return user_key.size >= common && memcmp(user_key.data, index->common, common) == 0 &&
           index->prefixes[at] == prefix_of(user_key, common) &&
           tail_compare(index, at, user_key) == 0;
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
        memcmp(user_key.data, index->common, user_key.size < common ? user_key.size : common);
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
        if (separator_is_before(index, middle, target))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
