/*
 * service/base64.h: base64 as of RFC 4648, strict both ways. The standard alphabet (section 4) is
 * padded; the URL alphabet (section 5) is written without padding and read with or without it.
 * Neither takes white space, line breaks, or bits set behind the last byte. Thread safe.
 */
#ifndef SERVICE_BASE64_H
#define SERVICE_BASE64_H

#include <stddef.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"

/* The length of the encoded text. */
static inline size_t base64_encoded_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Append the text of `bytes`. VARVE_NO_MEMORY; `out` is then as it was. */
MUST_CHECK enum varve_status base64_encode(struct varve_slice bytes, struct buf *out);
MUST_CHECK enum varve_status base64url_encode(struct varve_slice bytes, struct buf *out);

/* Append the bytes of `text`; they reserve BASE64_DECODE_SLACK bytes more than they append.
 * VARVE_INVALID, VARVE_NO_MEMORY; `out` is then as it was. */
#define BASE64_DECODE_SLACK 4
MUST_CHECK enum varve_status base64_decode(struct varve_slice text, struct buf *out);
MUST_CHECK enum varve_status base64url_decode(struct varve_slice text, struct buf *out);

#endif
