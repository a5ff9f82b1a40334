/*
 * Between two steps the iterator stands on the next item. It is made and freed by scanners too,
 * for both may touch the disk.
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

/* After the last step. */
static enum varve_status end(struct scan *scan, enum varve_status status)
{
    varve_iterator_free(scan->iterator);
    scan->iterator = NULL;
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
