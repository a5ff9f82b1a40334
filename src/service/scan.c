/*
 * Between two steps the iterator stands on the next item. It is made and freed by scanners too,
 * for both may touch the disk. While a large item goes out in parts, it stands on that.
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

/* Stands on the first item, or VARVE_END. What is read once does not displace what is read often.
 */
static enum varve_status begin(struct scan *scan)
{
    const struct range_query *range = &scan->range;
    struct varve_iterator_options options = {.start = range->start, .end = range->end};
    enum varve_status status = varve_iterator_new(scan->db, &options, &scan->iterator);
    if (status != VARVE_OK)
        return status;
    scan->revision = varve_iterator_view_revision(scan->iterator);
    if (range->none)
        return VARVE_END;
    return range->reverse ? varve_iterator_seek_last(scan->iterator)
                          : varve_iterator_seek_first(scan->iterator);
}

static enum varve_status move_on(struct scan *scan)
{
    if (scan_cut_reason(scan) != SCAN_RUNS)
        return VARVE_CLOSED;
    return scan->range.reverse ? varve_iterator_prev(scan->iterator)
                               : varve_iterator_next(scan->iterator);
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
    enum varve_status status = scan->iterator == NULL ? begin(scan) : VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < LIMIT_SCAN_STEP_ITEMS; i++) {
        scan->count++;
        status = move_on(scan);
    }
    return status == VARVE_OK ? status : end(scan, status);
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

/* To the next item, or VARVE_END; then `cursor` is empty unless the limit is why. */
static enum varve_status leave_item(struct scan *scan, struct buf *cursor)
{
    struct buf last_key = {0};
    enum varve_status status = VARVE_OK;
    bool is_last = ++scan->count == scan->range.limit;
    if (is_last)
        status = buf_assign(&last_key, varve_iterator_key(scan->iterator));
    if (status == VARVE_OK)
        status = move_on(scan);
    if (status == VARVE_OK && is_last) {
        status = range_query_next_cursor(&scan->range, buf_slice(&last_key), cursor);
        if (status == VARVE_OK)
            status = VARVE_END;
    }
    buf_deinit(&last_key);
    return status;
}

enum varve_status scan_fill(struct scan *scan, struct buf *out)
{
    struct buf cursor = {0};
    bool full = false;
    enum varve_status status = buf_reserve(out, LIMIT_SCAN_CHUNK_BYTES);
    if (status == VARVE_OK && scan->iterator == NULL)
        status = begin(scan);
    while (status == VARVE_OK) {
        status = add_item(scan, out, &full);
        if (full)
            break;
        if (status == VARVE_OK)
            status = leave_item(scan, &cursor);
    }
    if (status == VARVE_END) {
        status = json_answer_stream_end(out, scan->count, scan->revision, buf_slice(&cursor));
        if (status == VARVE_OK)
            status = buf_append_byte(out, '\n');
        if (status == VARVE_OK)
            status = VARVE_END;
    }
    buf_deinit(&cursor);
    return status == VARVE_OK ? status : end(scan, status);
}
