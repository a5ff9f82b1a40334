/*
 * service/scan.h: a pass over a range, however long that is: a page, a count, or the lines of a
 * stream. Scanners (threads of a pool) do it in steps, so that many passes share them. It belongs
 * to one thread at a time, but for scan_cut and scan_cut_reason, which are for any.
 */
#ifndef SERVICE_SCAN_H
#define SERVICE_SCAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/db.h>
#include <varve/iterator.h>

#include "base/buf.h"
#include "base/status.h"
#include "service/json_answer.h"
#include "service/problem.h"
#include "service/range_query.h"

/* Why a scan ends before its range does: name, label in the metrics */
#define SCAN_CUT_MAP(X)                                                                            \
    X(CLIENT_GONE, "client_gone")                                                                  \
    X(TIMED_OUT, "timeout")                                                                        \
    X(STUCK, "idle")                                                                               \
    X(DRAINED, "drain")                                                                            \
    X(FAILED, "error")

enum scan_cut {
    SCAN_RUNS, /* it does not */
#define SCAN_CUT_ENUM(name, label) SCAN_##name,
    SCAN_CUT_MAP(SCAN_CUT_ENUM)
#undef SCAN_CUT_ENUM
        SCAN_CUT_COUNT
};
const char *scan_cut_label(enum scan_cut cut);

struct scan {
    struct range_query range;        /* owned */
    struct varve_db *db;             /* borrowed */
    struct varve_iterator *iterator; /* owned; NULL before the first step and after the last */
    bool paused;                     /* the iterator is, in the middle of a move */
    size_t slots;                    /* that the service has for scans */
    bool is_slotted;                 /* it has one */
    uint64_t revision;               /* of the view, once there was an iterator */
    uint64_t count;                  /* items so far, of a count or a stream */
    struct buf last_key;         /* owned: of the last item of a page, or that may be the last */
    struct json_page page;       /* zeroed before it is begun */
    struct json_item_parts item; /* of a stream: that is too large for what room there is */
    bool in_item;
    _Atomic int cut; /* enum scan_cut */
};

/* VARVE_NO_MEMORY. Caller frees with scan_free. */
MUST_CHECK enum varve_status scan_new(struct varve_db *db, struct scan **ret_scan);
void scan_free(struct scan *scan); /* takes NULL */
/* Frees its iterator before it has come to its end. */
void scan_close(struct scan *scan);

/* Ends it at its next item or pause; the first reason stays. */
void scan_cut(struct scan *scan, enum scan_cut cut);
enum scan_cut scan_cut_reason(const struct scan *scan);
/* What a step failed with as a problem. Gives `status` back. */
enum varve_status scan_explain(const struct scan *scan, enum varve_status status,
                               struct problem *ret_problem);

/* A step passes no more than LIMIT_SCAN_STEP_HIDDEN keys that are not shown. */

/* A step of a count. VARVE_OK: there is more to do; VARVE_END: `count` is all. VARVE_CLOSED when it
 * was cut, or a failure of the store. The iterator is gone unless there is more to do. */
MUST_CHECK enum varve_status scan_count(struct scan *scan);

/* A step of a page, as scan_count: appends to `out`, always the same, which with VARVE_END holds
 * all of the page. */
MUST_CHECK enum varve_status scan_page(struct scan *scan, struct buf *out);

/* A step of a stream, as scan_count: fills `out` with lines, whose items may be cut anywhere, up to
 * LIMIT_SCAN_CHUNK_BYTES and a little more for the last line, which comes with VARVE_END.
 * VARVE_OK: it is full; VARVE_BUSY: it is not, and wants a further step. */
MUST_CHECK enum varve_status scan_fill(struct scan *scan, struct buf *out);

#endif
