/*
 * service/headers.h: the rules of a request's header fields, over a plain list of them. On any
 * status but VARVE_OK `ret_problem` says all. Thread safe.
 */
#ifndef SERVICE_HEADERS_H
#define SERVICE_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/status.h"
#include "service/limits.h"
#include "service/problem.h"

struct header {
    struct varve_slice name, value;
};

/* The first of that name (its case does not count); NULL if there is none. */
const struct header *header_find(const struct header *headers, size_t count, const char *name);

struct framing {
    bool chunked;
    bool has_length;
    uint64_t length;
};

/* Refuses, as bad_framing: a name that is no token, Transfer-Encoding with Content-Length or other
 * than one `chunked`, a repeated Content-Length, Transfer-Encoding, Host or Authorization, a
 * Content-Length that is not digits. Then, as 411, a request that `needs_body` and has neither
 * length nor chunks, and as 413 a Content-Length over `body_bytes_max`. */
MUST_CHECK enum varve_status framing_check(const struct header *headers, size_t count,
                                           bool needs_body, uint64_t body_bytes_max,
                                           struct framing *ret_framing,
                                           struct problem *ret_problem);

/* Chooses among `offers` (media types, the server's favourite first) by all Accept fields, with
 * q-values and ranges: the highest q, of equals the earlier offer. No Accept at all takes the
 * first. A 406 lists the offers. */
MUST_CHECK enum varve_status accept_choose(const struct header *headers, size_t count,
                                           const char *const *offers, size_t offer_count,
                                           size_t *ret_choice, struct problem *ret_problem);

/* The forms of answers and bodies. The first REPRESENTATION_KEY_COUNT are those of a key's answer,
 * in this order, for accept_choose. */
enum representation {
    REPRESENTATION_JSON,
    REPRESENTATION_RAW,
    REPRESENTATION_NDJSON,
    REPRESENTATION_COUNT
};
#define REPRESENTATION_KEY_COUNT 2
extern const char *const representation_types[REPRESENTATION_COUNT];

/* How a body is to be read, by Content-Type: none, application/json and curl's
 * application/x-www-form-urlencoded are JSON; `other` (or JSON: none) is taken too, by its own
 * type. Anything else is a 415 with a hint. Parameters such as charset are passed over. */
MUST_CHECK enum varve_status content_type_choose(const struct header *headers, size_t count,
                                                 enum representation other,
                                                 enum representation *ret_representation,
                                                 struct problem *ret_problem);

struct request_id {
    char text[LIMIT_REQUEST_ID_BYTES + 1];
    size_t size;
};

/* The client's X-Request-Id if it is 1 to LIMIT_REQUEST_ID_BYTES printable characters, else a fresh
 * one of `random` (one a process) and `serial` (one a request). */
void request_id_choose(struct request_id *ret_id, const struct header *headers, size_t count,
                       uint64_t random, uint64_t serial);

#endif
