/*
 * The hot path of reads and merges. A key is put together in a buffer that never grows; a value
 * stays where it is in the block. Each entry's sizes are checked against the block and the buffer
 * before anything is touched. A restart's key lies whole in the block, so the binary search over
 * restarts compares in place.
 */
#include "format/block.h"

#define COPY_PIECE_BYTES BLOCK_KEY_SLACK_BYTES
#define LINE_BYTES 64u /* of the processor's cache */
#define WALK_PREFETCHED_BYTES 1024u
#define RESTARTS_PREFETCHED                                                                        \
    8u /* as many as a block of 4 KiB has, and what a core fetches at once */

enum varve_status block_iterator_init(struct block_iterator *it, struct varve_slice block)
{
    it->base = (struct entry_iterator){.status = VARVE_CORRUPT};
    it->data = NULL;
    it->restarts_offset = it->restart_count = it->at = it->next_at = 0;
    if (block.size < 2 * sizeof(uint32_t) || block.size > UINT32_MAX)
        return status_raise(VARVE_CORRUPT);
    uint32_t count = fixed32_decode(block.data + block.size - sizeof(uint32_t));
    size_t room = block.size - sizeof(uint32_t); /* of entries and restarts */
    if (count == 0 || count > (room - 1) / sizeof(uint32_t))
        return status_raise(VARVE_CORRUPT);
    uint32_t restarts_offset = (uint32_t)(room - (size_t)count * sizeof(uint32_t));
    if (fixed32_decode(block.data + restarts_offset) != 0)
        return status_raise(VARVE_CORRUPT);
    buf_clear(&it->key);
    enum varve_status status = buf_reserve(&it->key, BLOCK_KEY_ROOM_BYTES);
    if (status != VARVE_OK)
        return status;
    it->data = block.data;
    it->restarts_offset = restarts_offset;
    it->restart_count = count;
    it->base.status = VARVE_OK;
    return VARVE_OK;
}

void block_iterator_deinit(struct block_iterator *it)
{
    buf_deinit(&it->key);
}

static void iterator_end(struct block_iterator *it)
{
    it->base.valid = false;
    it->base.status = VARVE_OK;
}

static void iterator_fail(struct block_iterator *it)
{
    it->base.valid = false;
    it->base.status = status_raise(VARVE_CORRUPT);
}

/* The sizes of the entry at `at`; NULL unless its key and value end at or before `end`. */
static inline const uint8_t *entry_sizes(const uint8_t *at, const uint8_t *end,
                                         uint32_t *ret_shared, uint32_t *ret_own,
                                         uint32_t *ret_value)
{
    if (end - at < 3)
        return NULL;
    if ((at[0] | at[1] | at[2]) < 0x80) {
        *ret_shared = at[0];
        *ret_own = at[1];
        *ret_value = at[2];
        at += 3;
    } else {
        at = varint32_decode(at, end, ret_shared);
        if (at != NULL)
            at = varint32_decode(at, end, ret_own);
        if (at != NULL)
            at = varint32_decode(at, end, ret_value);
        if (at == NULL)
            return NULL;
    }
    return (uint64_t)*ret_own + *ret_value <= (uint64_t)(end - at) ? at : NULL;
}

/* Steps onto the entry at `offset`, whose predecessor's key stands in the buffer. */
static inline bool entry_load(struct block_iterator *it, uint32_t offset)
{
    const uint8_t *end = it->data + it->restarts_offset;
    uint32_t shared = 0, own = 0, value = 0;
    const uint8_t *at = entry_sizes(it->data + offset, end, &shared, &own, &value);
    if (at == NULL || shared > it->key.size) {
        iterator_fail(it);
        return false;
    }
    uint64_t key_bytes = (uint64_t)shared + own;
    if (key_bytes <= ENTRY_TAG_BYTES || key_bytes > ENTRY_KEY_BYTES_MAX) {
        iterator_fail(it);
        return false;
    }
    if (own <= COPY_PIECE_BYTES && end - at >= (ptrdiff_t)COPY_PIECE_BYTES)
        memcpy(it->key.data + shared, at, COPY_PIECE_BYTES);
    else
        memcpy(it->key.data + shared, at, own);
    it->key.size = (size_t)key_bytes;
    it->at = offset;
    it->next_at = (uint32_t)(at + own + value - it->data);
    it->base.key = buf_slice(&it->key);
    it->base.value = varve_slice(at + own, value);
    it->base.valid = true;
    return true;
}

static uint32_t restart_offset(const struct block_iterator *it, uint32_t restart)
{
    return fixed32_decode(it->data + it->restarts_offset + (size_t)restart * sizeof(uint32_t));
}

/* Steps onto the entry of a restart. */
static bool restart_load(struct block_iterator *it, uint32_t restart)
{
    it->base.status = VARVE_OK;
    uint32_t offset = restart_offset(it, restart);
    if (offset >= it->restarts_offset) {
        iterator_fail(it);
        return false;
    }
    it->key.size = 0; /* it must share nothing */
    return entry_load(it, offset);
}

/* The key of a restart, in place; false when damaged. */
static bool restart_key(const struct block_iterator *it, uint32_t restart,
                        struct varve_slice *ret_key)
{
    uint32_t offset = restart_offset(it, restart);
    if (offset >= it->restarts_offset)
        return false;
    uint32_t shared = 0, own = 0, value = 0;
    const uint8_t *at =
        entry_sizes(it->data + offset, it->data + it->restarts_offset, &shared, &own, &value);
    if (at == NULL || shared != 0 || own <= ENTRY_TAG_BYTES || own > ENTRY_KEY_BYTES_MAX)
        return false;
    *ret_key = varve_slice(at, own);
    return true;
}

static inline void next_load(struct block_iterator *it)
{
    if (it->next_at >= it->restarts_offset)
        iterator_end(it);
    else
        (void)entry_load(it, it->next_at);
}

void block_iterator_next(struct block_iterator *it)
{
    assert(it->base.valid);
    next_load(it);
}

void block_iterator_seek_first(struct block_iterator *it)
{
    (void)restart_load(it, 0);
}

/* From the restart where it stands to the last entry that begins before `limit`. */
static void forward_to(struct block_iterator *it, uint32_t limit)
{
    while (it->base.valid && it->next_at < limit)
        (void)entry_load(it, it->next_at);
}

void block_iterator_seek_last(struct block_iterator *it)
{
    if (restart_load(it, it->restart_count - 1))
        forward_to(it, it->restarts_offset);
}

/* The binary search and the walk behind it would wait for each restart's key in turn. */
static void restarts_prefetch(const struct block_iterator *it)
{
    if (it->restart_count > RESTARTS_PREFETCHED)
        return;
    for (uint32_t restart = 0; restart < it->restart_count; restart++) {
        uint32_t offset = restart_offset(it, restart);
        if (offset < it->restarts_offset)
            __builtin_prefetch(it->data + offset);
    }
}

/* What lies behind a restart is walked through in steps too long for the processor to foresee. */
static void walk_prefetch(const struct block_iterator *it)
{
    if (!it->base.valid)
        return;
    size_t left = it->restarts_offset - it->at;
    size_t size = left < WALK_PREFETCHED_BYTES ? left : WALK_PREFETCHED_BYTES;
    for (size_t ahead = LINE_BYTES; ahead < size; ahead += LINE_BYTES)
        __builtin_prefetch(it->data + it->at + ahead);
}

void block_iterator_seek(struct block_iterator *it, struct varve_slice internal_key)
{
    restarts_prefetch(it);
    /* the last restart whose key is below the target, else the first */
    uint32_t low = 0, high = it->restart_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        struct varve_slice key = {0};
        if (!restart_key(it, middle, &key)) {
            iterator_fail(it);
            return;
        }
        if (entry_key_compare(key, internal_key) < 0)
            low = middle;
        else
            high = middle - 1;
    }
    (void)restart_load(it, low);
    walk_prefetch(it);
    while (it->base.valid && entry_key_compare(it->base.key, internal_key) < 0)
        next_load(it);
}

void block_iterator_prev(struct block_iterator *it)
{
    assert(it->base.valid);
    const uint32_t here = it->at;
    if (here == 0) {
        iterator_end(it);
        return;
    }
    /* the last restart before this entry */
    uint32_t low = 0, high = it->restart_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (restart_offset(it, middle) < here)
            low = middle;
        else
            high = middle - 1;
    }
    if (restart_load(it, low))
        forward_to(it, here);
}
