/*
 * service/cursor.h: the text that leads from one page of a scan to the next. Opaque and stateless:
 * base64url over a version, the direction, the last key, the bound that is still ahead, a hash of
 * the bound behind, and a checksum. (Both bounds in full would not fit into a request target.)
 * It guards against mistakes, not against forgers: a forged one reads nothing that `start` and
 * `end` would not. Thread safe.
 */
#ifndef SERVICE_CURSOR_H
#define SERVICE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"

/* No cursor is longer: two keys, version, flags, lengths, hash, checksum, as base64url. */
#define CURSOR_TEXT_BYTES_MAX 10947u

struct cursor {
    bool reverse;
    struct varve_slice last_key; /* the next page begins strictly behind it */
    struct varve_slice ahead;    /* `end`, or `start` if reverse; empty: no bound */
    uint64_t behind_hash;        /* cursor_bound_hash of the other one */
};

uint64_t cursor_bound_hash(struct varve_slice bound);

/* Appends the text. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status cursor_encode(const struct cursor *cursor, struct buf *out);

/* Decodes into `storage`, whose content it replaces and to which the slices then point.
 * VARVE_INVALID for anything that cursor_encode did not write (also a key that is empty or too
 * long), VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status cursor_decode(struct varve_slice text, struct buf *storage,
                                           struct cursor *ret_cursor);

#endif
