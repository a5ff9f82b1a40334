/*
 * A pass over a table is a pass over its blocks, by their numbers in the index, and over the
 * entries of the block where it stands. One block is pinned at a time; a seek that ends in the same
 * block does not fetch it again.
 *
 * Tables are opened for random reads, so it is the pass that tells the system what it will read
 * next. Once it has gone from one block to the next it asks for some bytes more, then for twice as
 * many each time, as soon as less than half of what it last asked for lies before it. A block that
 * came from the cache asks for nothing.
 *
 * Such a pass also reads by itself, half of what it asked for in one call, where the fetcher lets
 * it: these blocks are not kept, for a long pass would only wash others out. Between two such
 * stretches it fetches one block, to see whether what comes next lies in the cache.
 */
#include <stdlib.h>

#include "format/block_stretch.h"

#define AHEAD_BYTES_FIRST ((uint64_t)32 << 10)
#define AHEAD_BYTES_MOST ((uint64_t)256 << 10)

struct sstable_iterator {
    struct entry_iterator base;
    struct sstable_reader *reader;
    struct block_fetcher *fetcher;
    bool fill;
    const struct sstable_index *index;
    size_t pinned_at;     /* the block's number; index->count: none */
    struct block_ref pin; /* without a pin: the block is the stretch's */
    struct block_stretch stretch;
    struct block_iterator data;
    struct {
        size_t next_at; /* the block that a pass forwards enters next */
        uint64_t bytes; /* asked for at a time; 0: nothing was */
        uint64_t until; /* where what was asked for ends */
    } ahead;
};

static struct sstable_iterator *of(struct entry_iterator *it)
{
    return (struct sstable_iterator *)(void *)it;
}

static void block_drop(struct sstable_iterator *it)
{
    it->fetcher->release(it->fetcher, &it->pin);
    it->pinned_at = it->index->count;
}

/* Stands on nothing: at an end, or failed. */
static void stop(struct sstable_iterator *it, enum varve_status status)
{
    block_drop(it);
    it->base.valid = false;
    it->base.status = status;
}

/* Block `at` has been entered. */
static void ahead_go_on(struct sstable_iterator *it, size_t at)
{
    const bool onwards = at != 0 && at == it->ahead.next_at;
    it->ahead.next_at = at + 1;
    if (!onwards)
        it->ahead.bytes = it->ahead.until = 0;
    const struct block_handle handle = sstable_index_handle(it->index, at);
    const uint64_t end = handle.offset + handle.size;
    if (!onwards || !it->pin.was_read || end + it->ahead.bytes / 2 < it->ahead.until)
        return;
    const uint64_t from = it->ahead.until > end ? it->ahead.until : end;
    it->ahead.bytes = it->ahead.bytes == 0 ? AHEAD_BYTES_FIRST : 2 * it->ahead.bytes;
    if (it->ahead.bytes > AHEAD_BYTES_MOST)
        it->ahead.bytes = AHEAD_BYTES_MOST;
    sstable_reader_will_read(it->reader, from, it->ahead.bytes);
    it->ahead.until = from + it->ahead.bytes;
}

/* Whether the pass may read block `at` and more behind it by itself. */
static bool may_stretch(const struct sstable_iterator *it, size_t at)
{
    return it->fetcher->account != NULL && it->pin.pin != NULL && it->pin.was_read &&
           at == it->ahead.next_at && it->ahead.bytes != 0;
}

/* When it fails the block is fetched, and fails again or does not. */
static void stretch_read(struct sstable_iterator *it, size_t at)
{
    const size_t held = it->stretch.capacity;
    enum varve_status status =
        block_stretch_read(&it->stretch, it->reader, at, (size_t)it->ahead.bytes / 2);
    const uint64_t blocks = it->stretch.end - it->stretch.first;
    const uint64_t bytes = status == VARVE_OK ? sstable_index_offset(it->index, it->stretch.end) -
                                                    sstable_index_offset(it->index, at)
                                              : 0;
    it->fetcher->account(it->fetcher, blocks, bytes, (int64_t)it->stretch.capacity - (int64_t)held);
}

static enum varve_status block_take(struct sstable_iterator *it, size_t at)
{
    if (!block_stretch_holds(&it->stretch, at))
        return it->fetcher->fetch(it->fetcher, it->reader, sstable_index_handle(it->index, at),
                                  it->fill, &it->pin);
    it->pin.was_read = true;
    return block_stretch_take(&it->stretch, it->reader, at, &it->pin.data);
}

/* Pins block `at`; false when there is none of that number, or it is damaged (stopped). */
static bool block_enter(struct sstable_iterator *it, size_t at)
{
    if (at >= it->index->count) {
        stop(it, VARVE_OK);
        return false;
    }
    if (it->pinned_at == at)
        return true;
    const bool stretches = !block_stretch_holds(&it->stretch, at) && may_stretch(it, at);
    block_drop(it);
    if (stretches)
        stretch_read(it, at);
    enum varve_status status = block_take(it, at);
    if (status != VARVE_OK) {
        stop(it, status);
        return false;
    }
    it->pinned_at = at;
    ahead_go_on(it, at);
    status = block_iterator_init(&it->data, it->pin.data);
    if (status != VARVE_OK) {
        stop(it, status);
        return false;
    }
    return true;
}

/* Shows the entry that the data pass stands on; false when it stands at the block's end. */
static inline bool entry_show(struct sstable_iterator *it)
{
    const struct entry_iterator *data = &it->data.base;
    if (data->valid && entry_key_is_valid(data->key)) {
        it->base.valid = true;
        it->base.status = VARVE_OK;
        it->base.key = data->key;
        it->base.value = data->value;
        return true;
    }
    if (data->valid)
        stop(it, status_raise(VARVE_CORRUPT));
    else if (data->status != VARVE_OK)
        stop(it, data->status);
    else
        return false;
    return true;
}

static void go_first_of_block(struct sstable_iterator *it, size_t at)
{
    if (!block_enter(it, at))
        return;
    block_iterator_seek_first(&it->data);
    (void)entry_show(it); /* a block has an entry or is damaged */
}

static void go_last_of_block(struct sstable_iterator *it, size_t at)
{
    if (!block_enter(it, at))
        return;
    block_iterator_seek_last(&it->data);
    (void)entry_show(it);
}

static void seek_first(struct entry_iterator *base)
{
    go_first_of_block(of(base), 0);
}

static void seek_last(struct entry_iterator *base)
{
    struct sstable_iterator *it = of(base);
    go_last_of_block(it, it->index->count - 1);
}

static void seek(struct entry_iterator *base, struct varve_slice internal_key)
{
    struct sstable_iterator *it = of(base);
    const size_t at = sstable_index_find(it->index, internal_key);
    if (!block_enter(it, at))
        return;
    block_iterator_seek(&it->data, internal_key);
    if (!entry_show(it))
        go_first_of_block(it, at + 1); /* the target lies between its last key and its separator */
}

static void next(struct entry_iterator *base)
{
    assert(base->valid);
    struct sstable_iterator *it = of(base);
    block_iterator_next(&it->data);
    if (!entry_show(it))
        go_first_of_block(it, it->pinned_at + 1);
}

static void prev(struct entry_iterator *base)
{
    assert(base->valid);
    struct sstable_iterator *it = of(base);
    block_iterator_prev(&it->data);
    if (entry_show(it))
        return;
    if (it->pinned_at == 0)
        stop(it, VARVE_OK);
    else
        go_last_of_block(it, it->pinned_at - 1);
}

static void iterator_free(struct entry_iterator *base)
{
    struct sstable_iterator *it = of(base);
    block_drop(it);
    if (it->stretch.capacity > 0)
        it->fetcher->account(it->fetcher, 0, 0, -(int64_t)it->stretch.capacity);
    block_stretch_deinit(&it->stretch);
    block_iterator_deinit(&it->data);
    free(it);
}

static const struct entry_iterator_ops sstable_iterator_ops = {
    .seek_first = seek_first,
    .seek_last = seek_last,
    .seek = seek,
    .next = next,
    .prev = prev,
    .free = iterator_free,
};

enum varve_status sstable_iterator_new(struct sstable_reader *reader, struct block_fetcher *fetcher,
                                       bool fill, struct entry_iterator **ret_iterator)
{
    struct sstable_iterator *it = calloc(1, sizeof *it);
    if (it == NULL)
        return status_raise(VARVE_NO_MEMORY);
    it->base.ops = &sstable_iterator_ops;
    it->reader = reader;
    it->fetcher = fetcher;
    it->fill = fill;
    it->index = sstable_reader_index(reader);
    it->pinned_at = it->index->count;
    *ret_iterator = &it->base;
    return VARVE_OK;
}
