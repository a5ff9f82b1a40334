/*
 * service/target.h: what a raw request target addresses. A path under /kv/ is decoded exactly once
 * and taken as it is: no '.', '..' or '//' is resolved in it. On any status but VARVE_OK
 * `ret_problem` says all. Not thread safe.
 */
#ifndef SERVICE_TARGET_H
#define SERVICE_TARGET_H

#include <stdbool.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"
#include "service/problem.h"
#include "service/query.h"

enum request_method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_POST,
    METHOD_OTHER, /* also HTTP's OPTIONS, TRACE, PATCH, CONNECT */
};
enum request_method request_method_parse(const char *text); /* case counts */

enum target_kind {
    TARGET_OTHER, /* not under /kv: see path */
    TARGET_KEY,
    TARGET_RANGE, /* GET|HEAD /kv/range */
    TARGET_BATCH, /* POST /kv/batch */
};

struct target {
    enum target_kind kind;
    struct varve_slice path; /* as sent, without the query */
    struct varve_slice key;  /* TARGET_KEY: 1 to VARVE_KEY_BYTES_MAX bytes */
    struct query query;      /* `key` and `key64` included */
    bool key_from_query;     /* the path was /kv itself */
    struct buf decoded;      /* owned */
};

/* Borrows `raw`, the target as it stood in the request line, until target_deinit. Refuses one that
 * is too long, a bad escape, a key that is empty or too long, a method that a /kv path does not
 * take (with the problem's `allow`), and `/kv` without exactly one of `key` and `key64`. `target`
 * is zeroed before; deinit it in any case. */
MUST_CHECK enum varve_status target_parse(struct target *target, enum request_method method,
                                          struct varve_slice raw, struct problem *ret_problem);
void target_deinit(struct target *target); /* takes a zeroed one */

/* As query_check_known, but `key` and `key64` are known where the target was /kv itself. */
MUST_CHECK enum varve_status target_check_params(const struct target *target,
                                                 const char *const *names,
                                                 struct problem *ret_problem);

#endif
