/*
 * service/range_query.h: what a scan asks for: bounds, direction, how much, and where to go on. On
 * any status but VARVE_OK `ret_problem` says all. Not thread safe.
 */
#ifndef SERVICE_RANGE_QUERY_H
#define SERVICE_RANGE_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"
#include "service/problem.h"
#include "service/query.h"

/* What becomes of the keys; it decides what `limit` may be. */
enum range_form {
    RANGE_PAGE,
    RANGE_STREAM, /* all of it, unless a limit is given, which may be any */
    RANGE_COUNT,  /* one number: no limit, no cursor */
};

struct range_query {
    /* What is left of the range: with a cursor, narrowed to what lies behind its last key. */
    struct varve_slice start; /* inclusive; empty: no bound */
    struct varve_slice end;   /* exclusive; empty: no bound */
    bool none;                /* empty whatever the store holds: look at no key */
    bool reverse;
    bool keys_only;
    bool utf8;
    uint64_t limit;
    uint64_t behind_hash;           /* for the next cursor */
    struct buf bound, cursor_bytes; /* owned: what slices may point to */
};

/* Reads all of it, the cursor included, and refuses parameters that a scan does not know. The
 * slices are borrowed until `query` or `ret_range` is deinited. `ret_range` is zeroed before;
 * deinit it in any case. */
MUST_CHECK enum varve_status range_query_parse(struct range_query *ret_range, struct query *query,
                                               enum range_form form, struct problem *ret_problem);
void range_query_deinit(struct range_query *range); /* takes a zeroed one */

/* Appends the cursor of the page behind `last_key`. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status range_query_next_cursor(const struct range_query *range,
                                                     struct varve_slice last_key, struct buf *out);

#endif
