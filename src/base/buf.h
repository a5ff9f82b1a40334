/*
 * base/buf.h: a growing run of bytes that owns its memory. Not thread safe.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/status.h"

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

/* A zeroed struct is an empty buf. */
void buf_deinit(struct buf *buf);
static inline void buf_clear(struct buf *buf)
{
    buf->size = 0;
}

/* Makes room for `more` bytes behind `size`, growing at least by half. VARVE_NO_MEMORY; the buf is
 * then as it was. */
MUST_CHECK enum varve_status buf_reserve(struct buf *buf, size_t more);
MUST_CHECK enum varve_status buf_append(struct buf *buf, const void *data, size_t size);
MUST_CHECK enum varve_status buf_append_slice(struct buf *buf, struct varve_slice slice);
MUST_CHECK enum varve_status buf_append_byte(struct buf *buf, uint8_t byte);
MUST_CHECK enum varve_status buf_append_zeros(struct buf *buf, size_t size);
MUST_CHECK enum varve_status buf_append_format(struct buf *buf, const char *format, ...)
    PRINTF_LIKE(2, 3); /* no terminating NUL is counted in size, but one stands behind it */

/* Replaces the content. */
MUST_CHECK enum varve_status buf_assign(struct buf *buf, struct varve_slice slice);

/* Borrowed until the buf changes. */
static inline struct varve_slice buf_slice(const struct buf *buf)
{
    return varve_slice(buf->data, buf->size);
}

#endif
