/* A buf grows by half at least, so that n appended bytes cost O(n) copies. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAPACITY_MIN 64u
#define BUF_CAPACITY_MAX ((size_t)PTRDIFF_MAX) /* so that pointers can be subtracted */

void buf_deinit(struct buf *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    *buf = (struct buf){0};
}

enum varve_status buf_reserve(struct buf *buf, size_t more)
{
    if (more <= buf->capacity - buf->size)
        return VARVE_OK;
    if (more > BUF_CAPACITY_MAX - buf->size)
        return status_raise(VARVE_NO_MEMORY);
    size_t capacity = buf->size + more;
    size_t grown =
        buf->capacity < BUF_CAPACITY_MAX / 2 ? buf->capacity + buf->capacity / 2 : BUF_CAPACITY_MAX;
    if (capacity < grown)
        capacity = grown;
    if (capacity < BUF_CAPACITY_MIN)
        capacity = BUF_CAPACITY_MIN;
    uint8_t *data = realloc(buf->data, capacity);
    if (data == NULL)
        return status_raise(VARVE_NO_MEMORY);
    buf->data = data;
    buf->capacity = capacity;
    return VARVE_OK;
}

enum varve_status buf_append(struct buf *buf, const void *data, size_t size)
{
    enum varve_status status = buf_reserve(buf, size);
    if (status != VARVE_OK)
        return status;
    if (size != 0)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    return VARVE_OK;
}

enum varve_status buf_append_slice(struct buf *buf, struct varve_slice slice)
{
    return buf_append(buf, slice.data, slice.size);
}

enum varve_status buf_append_byte(struct buf *buf, uint8_t byte)
{
    return buf_append(buf, &byte, 1);
}

enum varve_status buf_append_zeros(struct buf *buf, size_t size)
{
    enum varve_status status = buf_reserve(buf, size);
    if (status != VARVE_OK)
        return status;
    if (size != 0)
        memset(buf->data + buf->size, 0, size);
    buf->size += size;
    return VARVE_OK;
}

/* Measures first: the text is formatted twice, which is fine for what people read. */
enum varve_status buf_append_format(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return status_raise(VARVE_INVALID);
    enum varve_status status = buf_reserve(buf, (size_t)length + 1);
    if (status != VARVE_OK)
        return status;
    va_start(args, format);
    vsnprintf((char *)buf->data + buf->size, (size_t)length + 1, format, args);
    va_end(args);
    buf->size += (size_t)length;
    return VARVE_OK;
}

enum varve_status buf_assign(struct buf *buf, struct varve_slice slice)
{
    if (slice.size > buf->capacity) {
        enum varve_status status = buf_reserve(buf, slice.size - buf->size);
        if (status != VARVE_OK)
            return status;
    }
    if (slice.size != 0)
        memmove(buf->data, slice.data, slice.size);
    buf->size = slice.size;
    return VARVE_OK;
}
