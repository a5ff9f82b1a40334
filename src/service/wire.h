/*
 * service/wire.h: whether libmicrohttpd has understood a request header as it was sent. Its parser
 * lets some malformed ones through in ways that another party on the path may take for a different
 * request. Thread safe.
 */
#ifndef SERVICE_WIRE_H
#define SERVICE_WIRE_H

#include <stddef.h>

#include <varve/slice.h>

#include "base/status.h"
#include "service/headers.h"
#include "service/problem.h"

/* A parsed request header: all texts where they stand in libmicrohttpd's memory. Of the target,
 * which it has changed since, only the place counts. */
struct wire_header {
    const char *method, *target_at, *version;
    struct varve_slice target; /* as it was sent */
    const struct header *headers;
    size_t header_count;
    size_t size; /* of all of it, the empty line included */
};

/* Refuses as header_too_large more than LIMIT_HEADER_BYTES; as bad_framing a method that is no
 * token, a target with a space or CR, a missing Host, Transfer-Encoding in HTTP/1.0, and anything
 * that stands between the parts but what belongs there: NUL bytes, folded lines, lines that end
 * without CR, lines that were dropped. */
MUST_CHECK enum varve_status wire_check(const struct wire_header *wire,
                                        struct problem *ret_problem);

#endif
