/*
 * service/query.h: percent decoding and query parameters. Decoded bytes live in a store of bytes
 * that never moves once it is made; what needs no decoding is borrowed from the raw text. On any
 * status but VARVE_OK `ret_problem` says all. Not thread safe.
 */
#ifndef SERVICE_QUERY_H
#define SERVICE_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"
#include "service/limits.h"
#include "service/problem.h"

struct query_param {
    struct varve_slice name, value;
    bool has_value; /* there was a '=' */
    bool is_bytes;  /* query_get_bytes has put what the base64url stood for into value */
};

struct query {
    struct query_param params[LIMIT_QUERY_PARAMS];
    size_t count;
    struct buf decoded; /* owned; has room for all that can be decoded */
};
void query_deinit(struct query *query); /* takes a zeroed one */

/* Decodes %XX once (and '+' as a space if `form`). The slice is `raw` itself where there is nothing
 * to decode, else it is appended to `decoded`, which moves unless it had room for raw.size bytes.
 * VARVE_INVALID for a bad escape, VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status percent_decode(struct varve_slice raw, bool form, struct buf *decoded,
                                            struct varve_slice *ret);

/* Splits and form-decodes what stands behind the '?'. Borrows `raw` until query_deinit. A parameter
 * that occurs twice is refused, empty ones (`a=1&&b=2`) are passed over. `query` is zeroed
 * before. */
MUST_CHECK enum varve_status query_parse(struct query *query, struct varve_slice raw,
                                         struct problem *ret_problem);

/* NULL if it is not there. Borrowed until query_deinit. */
const struct query_param *query_find(const struct query *query, const char *name);

/* Refuses any parameter that is not in `names`, a list that ends with NULL. */
MUST_CHECK enum varve_status query_check_known(const struct query *query, const char *const *names,
                                               struct problem *ret_problem);

/* Each leaves `*ret_…` alone where the parameter is not there. */
MUST_CHECK enum varve_status query_get_bool(const struct query *query, const char *name,
                                            bool *ret_value, struct problem *ret_problem);
MUST_CHECK enum varve_status query_get_uint(const struct query *query, const char *name,
                                            uint64_t min, uint64_t max, uint64_t *ret_value,
                                            struct problem *ret_problem);
/* A parameter without a value, such as `raw`. */
MUST_CHECK enum varve_status query_get_flag(const struct query *query, const char *name,
                                            bool *ret_set, struct problem *ret_problem);
/* `encoding=base64|utf8` */
MUST_CHECK enum varve_status query_get_encoding(const struct query *query, const char *name,
                                                bool *ret_utf8, struct problem *ret_problem);
/* Bytes that come as `name` or, in base64url, as `name64`; not as both. */
MUST_CHECK enum varve_status query_get_bytes(struct query *query, const char *name,
                                             const char *name64, struct varve_slice *ret_bytes,
                                             bool *ret_given, struct problem *ret_problem);
/* The same for a bound, no longer than a key. */
MUST_CHECK enum varve_status query_get_bound(struct query *query, const char *name,
                                             const char *name64, struct varve_slice *ret_bound,
                                             bool *ret_given, struct problem *ret_problem);

#endif
