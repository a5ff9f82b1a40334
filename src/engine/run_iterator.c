/*
 * A run's tables one after the other. Only the table that the pass stands in is open for it; one
 * is opened when the pass comes to it, and its blocks are read by its own iterator. Which table a
 * seek goes to is found from the key ranges that the version knows.
 */
#include <assert.h>
#include <stdlib.h>

#include "engine/table_cache.h"

struct run_iterator {
    struct entry_iterator base;
    struct table_cache *cache;
    const struct run *run;
    bool fill;
    size_t at; /* index of the table that is open */
    struct table_handle *handle;
    struct entry_iterator *child; /* NULL: none is open */
};

static void run_close_table(struct run_iterator *it)
{
    entry_iterator_free(it->child);
    it->child = NULL;
    if (it->handle != NULL)
        table_cache_release(it->cache, it->handle);
    it->handle = NULL;
}

/* Opens table `at`, unless it is open. */
static enum varve_status run_open_table(struct run_iterator *it, size_t at)
{
    if (it->child != NULL && it->at == at)
        return VARVE_OK;
    run_close_table(it);
    enum varve_status status =
        table_cache_acquire(it->cache, it->run->tables[at], &it->handle, NULL);
    if (status != VARVE_OK)
        return status;
    it->at = at;
    status = sstable_iterator_new(table_handle_reader(it->handle), table_cache_fetcher(it->cache),
                                  it->fill, &it->child);
    if (status != VARVE_OK)
        run_close_table(it);
    return status;
}

/* Shows where the child stands. */
static void run_show(struct run_iterator *it)
{
    it->base.valid = it->child->valid;
    it->base.status = it->child->status;
    it->base.key = it->child->key;
    it->base.value = it->child->value;
}

static void run_end(struct run_iterator *it, enum varve_status status)
{
    it->base.valid = false;
    it->base.status = status;
}

/* While the child is at its end, goes on with the first entry of the next table. */
static void run_settle_forward(struct run_iterator *it)
{
    while (!it->child->valid && it->child->status == VARVE_OK) {
        if (it->at + 1 == it->run->table_count) {
            run_end(it, VARVE_OK);
            return;
        }
        enum varve_status status = run_open_table(it, it->at + 1);
        if (status != VARVE_OK) {
            run_end(it, status);
            return;
        }
        it->child->ops->seek_first(it->child);
    }
    run_show(it);
}

/* While the child is at its end, goes on with the last entry of the table before. */
static void run_settle_backward(struct run_iterator *it)
{
    while (!it->child->valid && it->child->status == VARVE_OK) {
        if (it->at == 0) {
            run_end(it, VARVE_OK);
            return;
        }
        enum varve_status status = run_open_table(it, it->at - 1);
        if (status != VARVE_OK) {
            run_end(it, status);
            return;
        }
        it->child->ops->seek_last(it->child);
    }
    run_show(it);
}

/* Opens table `at` to seek in it. False: there is none, or it fails. */
static bool run_begin(struct run_iterator *it, size_t at)
{
    enum varve_status status = VARVE_OK;
    if (at < it->run->table_count) {
        status = run_open_table(it, at);
        if (status == VARVE_OK)
            return true;
    }
    run_end(it, status);
    return false;
}

static void run_seek_first(struct entry_iterator *base)
{
    struct run_iterator *it = (struct run_iterator *)base;
    if (!run_begin(it, 0))
        return;
    it->child->ops->seek_first(it->child);
    run_settle_forward(it);
}

static void run_seek_last(struct entry_iterator *base)
{
    struct run_iterator *it = (struct run_iterator *)base;
    size_t count = it->run->table_count;
    if (!run_begin(it, count > 0 ? count - 1 : 0))
        return;
    it->child->ops->seek_last(it->child);
    run_settle_backward(it);
}

static void run_seek(struct entry_iterator *base, struct varve_slice internal_key)
{
    struct run_iterator *it = (struct run_iterator *)base;
    if (!run_begin(it, run_lower_bound(it->run, internal_key)))
        return;
    it->child->ops->seek(it->child, internal_key);
    run_settle_forward(it);
}

static void run_next(struct entry_iterator *base)
{
    struct run_iterator *it = (struct run_iterator *)base;
    assert(base->valid);
    it->child->ops->next(it->child);
    if (it->child->valid)
        run_show(it);
    else
        run_settle_forward(it);
}

static void run_prev(struct entry_iterator *base)
{
    struct run_iterator *it = (struct run_iterator *)base;
    assert(base->valid);
    it->child->ops->prev(it->child);
    if (it->child->valid)
        run_show(it);
    else
        run_settle_backward(it);
}

static void run_free(struct entry_iterator *base)
{
    struct run_iterator *it = (struct run_iterator *)base;
    run_close_table(it);
    free(it);
}

static const struct entry_iterator_ops run_ops = {
    .seek_first = run_seek_first,
    .seek_last = run_seek_last,
    .seek = run_seek,
    .next = run_next,
    .prev = run_prev,
    .free = run_free,
};

enum varve_status run_iterator_new(struct table_cache *cache, const struct run *run, bool fill,
                                   struct entry_iterator **ret_iterator)
{
    struct run_iterator *it = calloc(1, sizeof *it);
    if (it == NULL)
        return status_raise(VARVE_NO_MEMORY);
    it->base.ops = &run_ops;
    it->cache = cache;
    it->run = run;
    it->fill = fill;
    *ret_iterator = &it->base;
    return VARVE_OK;
}
