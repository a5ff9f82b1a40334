/*
 * Between two steps the iterator stands on the next item, or has paused on its way there, for there
 * may be any number of deleted keys. It is made and freed by scanners too, for both may touch the
 * disk. While a large item goes out in parts, it stands on that.
 *
 * Whether a page or a limited stream is followed by more shows only when the iterator stands on the
 * first item that is left out. So the key of the last item is copied before the iterator leaves it.
 */
#include "service/scan.h"

#include <stdlib.h>

#include "service/limits.h"

static const char *const cut_labels[] = {
#define SCAN_CUT_LABEL(name, label) [SCAN_##name] = (label),
    SCAN_CUT_MAP(SCAN_CUT_LABEL)
#undef SCAN_CUT_LABEL
};

const char *scan_cut_label(enum scan_cut cut)
{
    return cut_labels[cut];
}

enum varve_status scan_new(struct varve_db *db, struct scan **ret_scan)
{
    struct scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL)
        return status_raise(VARVE_NO_MEMORY);
    scan->db = db;
    *ret_scan = scan;
    return VARVE_OK;
}

void scan_free(struct scan *scan)
{
    if (scan == NULL)
        return;
    varve_iterator_free(scan->iterator);
    range_query_deinit(&scan->range);
    buf_deinit(&scan->last_key);
    free(scan);
}

void scan_cut(struct scan *scan, enum scan_cut cut)
{
    int runs = SCAN_RUNS;
    atomic_compare_exchange_strong_explicit(&scan->cut, &runs, cut, memory_order_relaxed,
                                            memory_order_relaxed);
}

enum scan_cut scan_cut_reason(const struct scan *scan)
{
    return (enum scan_cut)atomic_load_explicit(&scan->cut, memory_order_relaxed);
}

enum varve_status scan_explain(const struct scan *scan, enum varve_status status,
                               struct problem *ret_problem)
{
    if (status == VARVE_CLOSED && scan_cut_reason(scan) == SCAN_TIMED_OUT)
        (void)problem_set(ret_problem, PROBLEM_BUSY, "the scan took longer than it may");
    else
        (void)problem_set_status(ret_problem, status);
    return status;
}

/* What a move of the iterator gave. */
static enum varve_status moved(struct scan *scan, enum varve_status status)
{
    scan->paused = status == VARVE_BUSY;
    return status;
}

/* What is read once does not displace what is read often; a page may be asked for again. */
static enum varve_status begin(struct scan *scan, bool is_page)
{
    const struct range_query *range = &scan->range;
    struct varve_iterator_options options = {
        .start = range->start,
        .end = range->end,
        .fill_cache = is_page,
        .hidden_max = LIMIT_SCAN_STEP_HIDDEN,
    };
    enum varve_status status = varve_iterator_new(scan->db, &options, &scan->iterator);
    if (status != VARVE_OK)
        return status;
    scan->revision = varve_iterator_view_revision(scan->iterator);
    if (range->none)
        return VARVE_END;
    return moved(scan, range->reverse ? varve_iterator_seek_last(scan->iterator)
                                      : varve_iterator_seek_first(scan->iterator));
}

/* The beginning of a step: on an item, or VARVE_END, or VARVE_BUSY when that takes a further one.
 */
static enum varve_status stand(struct scan *scan, bool is_page)
{
    if (scan_cut_reason(scan) != SCAN_RUNS)
        return VARVE_CLOSED;
    if (scan->iterator == NULL)
        return begin(scan, is_page);
    return scan->paused ? moved(scan, varve_iterator_resume(scan->iterator)) : VARVE_OK;
}

static enum varve_status move_on(struct scan *scan)
{
    if (scan_cut_reason(scan) != SCAN_RUNS)
        return VARVE_CLOSED;
    return moved(scan, scan->range.reverse ? varve_iterator_prev(scan->iterator)
                                           : varve_iterator_next(scan->iterator));
}

void scan_close(struct scan *scan)
{
    varve_iterator_free(scan->iterator);
    scan->iterator = NULL;
}

/* After the last step. */
static enum varve_status end(struct scan *scan, enum varve_status status)
{
    scan_close(scan);
    return status;
}

enum varve_status scan_count(struct scan *scan)
{
    enum varve_status status = stand(scan, false);
    for (size_t i = 0; status == VARVE_OK && i < LIMIT_SCAN_STEP_ITEMS; i++) {
        scan->count++;
        status = move_on(scan);
    }
    if (status == VARVE_OK || status == VARVE_BUSY)
        return VARVE_OK;
    return end(scan, status);
}

static struct json_stamp stamp_of(const struct varve_iterator *iterator)
{
    return (struct json_stamp){
        .revision = varve_iterator_revision(iterator),
        .expires_at = varve_iterator_expires_at(iterator),
    };
}

static enum varve_status add_part(struct scan *scan, struct buf *out, size_t room)
{
    enum varve_status status = json_item_parts_write(&scan->item, out, room);
    scan->in_item = !scan->item.complete;
    return status;
}

/* Sets `ret_full` if it is not all there: the rest, or all of it, is for the next chunk. */
static enum varve_status add_item(struct scan *scan, struct buf *out, bool *ret_full)
{
    const struct range_query *range = &scan->range;
    size_t room = LIMIT_SCAN_CHUNK_BYTES > out->size ? LIMIT_SCAN_CHUNK_BYTES - out->size : 0;
    enum value_encoding encoding = range->utf8 ? VALUE_UTF8 : VALUE_BASE64;
    struct varve_slice key = varve_iterator_key(scan->iterator);
    struct varve_slice value =
        range->keys_only ? (struct varve_slice){0} : varve_iterator_value(scan->iterator);
    struct json_stamp stamp = stamp_of(scan->iterator);
    size_t bytes_max = json_answer_item_bytes_max(key, value, encoding);
    enum varve_status status = VARVE_OK;
    if (!scan->in_item && bytes_max <= room) {
        status = range->keys_only ? json_answer_key(out, key, stamp)
                                  : json_answer_item(out, key, value, encoding, stamp);
    } else if (!scan->in_item && bytes_max <= LIMIT_SCAN_CHUNK_BYTES) {
        *ret_full = true;
    } else if (room < JSON_ITEM_PART_BYTES_MIN) {
        *ret_full = true;
    } else {
        if (!scan->in_item)
            json_item_parts_init(&scan->item, key, value, encoding, stamp);
        status = add_part(scan, out, room);
        *ret_full = scan->in_item;
    }
    return status == VARVE_OK && !*ret_full ? buf_append_byte(out, '\n') : status;
}

/* To the next item, or VARVE_END. */
static enum varve_status leave_item(struct scan *scan)
{
    enum varve_status status = VARVE_OK;
    if (++scan->count == scan->range.limit)
        status = buf_assign(&scan->last_key, varve_iterator_key(scan->iterator));
    return status == VARVE_OK ? move_on(scan) : status;
}

/* Appends the cursor of what follows behind the last item. */
static enum varve_status next_cursor(const struct scan *scan, struct buf *out)
{
    return range_query_next_cursor(&scan->range, buf_slice(&scan->last_key), out);
}

static enum varve_status end_stream(const struct scan *scan, bool has_more, struct buf *out)
{
    struct buf cursor = {0};
    enum varve_status status = has_more ? next_cursor(scan, &cursor) : VARVE_OK;
    if (status == VARVE_OK)
        status = json_answer_stream_end(out, scan->count, scan->revision, buf_slice(&cursor));
    if (status == VARVE_OK)
        status = buf_append_byte(out, '\n');
    buf_deinit(&cursor);
    return status == VARVE_OK ? VARVE_END : status;
}

enum varve_status scan_fill(struct scan *scan, struct buf *out)
{
    bool full = false, has_more = false;
    enum varve_status status = VARVE_OK;
    if (out->size < LIMIT_SCAN_CHUNK_BYTES)
        status = buf_reserve(out, LIMIT_SCAN_CHUNK_BYTES - out->size);
    if (status == VARVE_OK)
        status = stand(scan, false);
    while (status == VARVE_OK && !full && !has_more) {
        has_more = scan->count == scan->range.limit;
        if (!has_more)
            status = add_item(scan, out, &full);
        if (status == VARVE_OK && !full && !has_more)
            status = leave_item(scan);
    }
    if (status == VARVE_END || has_more)
        status = end_stream(scan, has_more, out);
    return status == VARVE_OK || status == VARVE_BUSY ? status : end(scan, status);
}

/* VARVE_END: it does not fit. */
static enum varve_status add_page_item(struct scan *scan)
{
    const struct range_query *range = &scan->range;
    struct varve_slice key = varve_iterator_key(scan->iterator);
    struct json_stamp stamp = stamp_of(scan->iterator);
    if (range->keys_only)
        return json_page_add_key(&scan->page, key, stamp);
    return json_page_add(&scan->page, key, varve_iterator_value(scan->iterator),
                         range->utf8 ? VALUE_UTF8 : VALUE_BASE64, stamp);
}

static enum varve_status end_page(struct scan *scan, bool has_more)
{
    struct buf cursor = {0};
    enum varve_status status = has_more ? next_cursor(scan, &cursor) : VARVE_OK;
    if (status == VARVE_OK)
        status = json_page_end(&scan->page, buf_slice(&cursor), scan->revision);
    buf_deinit(&cursor);
    return status == VARVE_OK ? VARVE_END : status;
}

enum varve_status scan_page(struct scan *scan, struct buf *out)
{
    bool has_more = false;
    enum varve_status status =
        scan->page.out == NULL ? json_page_begin(&scan->page, out) : VARVE_OK;
    if (status == VARVE_OK)
        status = stand(scan, true);
    while (status == VARVE_OK && !has_more) {
        enum varve_status added =
            scan->page.count < scan->range.limit ? add_page_item(scan) : VARVE_END;
        has_more = added == VARVE_END;
        status = has_more ? VARVE_OK : added;
        if (status == VARVE_OK && !has_more)
            status = buf_assign(&scan->last_key, varve_iterator_key(scan->iterator));
        if (status == VARVE_OK && !has_more)
            status = move_on(scan);
    }
    if (status == VARVE_BUSY)
        return VARVE_OK;
    if (status == VARVE_OK || status == VARVE_END)
        status = end_page(scan, has_more);
    return end(scan, status);
}
