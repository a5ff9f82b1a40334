/*
 * Varints, seven bits a byte, lowest first, the top bit set on all but the last. A decoder refuses
 * what runs over the end and what has bits beyond its width.
 */
#include "base/coding.h"

#define VARINT_MORE 0x80u
#define VARINT_BITS 7

uint8_t *varint64_encode(uint8_t *at, uint64_t v)
{
    while (v >= VARINT_MORE) {
        *at++ = (uint8_t)(v | VARINT_MORE);
        v >>= VARINT_BITS;
    }
    *at++ = (uint8_t)v;
    return at;
}

uint8_t *varint32_encode(uint8_t *at, uint32_t v)
{
    return varint64_encode(at, v);
}

size_t varint64_size(uint64_t v)
{
    size_t bits = 64 - (size_t)__builtin_clzll(v | 1);
    return (bits + VARINT_BITS - 1) / VARINT_BITS;
}

enum varve_status buf_append_fixed32(struct buf *buf, uint32_t v)
{
    return buf_append(buf, &v, sizeof v);
}

enum varve_status buf_append_fixed64(struct buf *buf, uint64_t v)
{
    return buf_append(buf, &v, sizeof v);
}

enum varve_status buf_append_varint(struct buf *buf, uint64_t v)
{
    uint8_t bytes[VARINT64_BYTES_MAX];
    return buf_append(buf, bytes, (size_t)(varint64_encode(bytes, v) - bytes));
}

/* Reserves for both first, so that a failure leaves the buf as it was. */
enum varve_status buf_append_prefixed(struct buf *buf, struct varve_slice s)
{
    if (s.size > SIZE_MAX - VARINT64_BYTES_MAX)
        return status_raise(VARVE_NO_MEMORY);
    enum varve_status status = buf_reserve(buf, VARINT64_BYTES_MAX + s.size);
    if (status != VARVE_OK)
        return status;
    buf->size = (size_t)(varint64_encode(buf->data + buf->size, s.size) - buf->data);
    return buf_append_slice(buf, s);
}

const uint8_t *varint64_decode(const uint8_t *at, const uint8_t *end, uint64_t *ret_v)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += VARINT_BITS) {
        if (at >= end)
            return NULL;
        uint64_t byte = *at++;
        uint64_t bits = byte & (VARINT_MORE - 1);
        if ((bits << shift) >> shift != bits)
            return NULL;
        v |= bits << shift;
        if (byte < VARINT_MORE) {
            *ret_v = v;
            return at;
        }
    }
    return NULL;
}

const uint8_t *varint32_decode(const uint8_t *at, const uint8_t *end, uint32_t *ret_v)
{
    if (at < end && *at < VARINT_MORE) {
        *ret_v = *at;
        return at + 1;
    }
    uint64_t v = 0;
    const uint8_t *limit = end - at > VARINT32_BYTES_MAX ? at + VARINT32_BYTES_MAX : end;
    const uint8_t *after = varint64_decode(at, limit, &v);
    if (after == NULL || v > UINT32_MAX)
        return NULL;
    *ret_v = (uint32_t)v;
    return after;
}

bool slice_take_bytes(struct varve_slice *in, size_t size, struct varve_slice *ret)
{
    if (size > in->size)
        return false;
    *ret = varve_slice(in->data, size);
    if (size != 0)
        *in = varve_slice(in->data + size, in->size - size);
    return true;
}

bool slice_take_fixed32(struct varve_slice *in, uint32_t *ret_v)
{
    struct varve_slice bytes = {0};
    if (!slice_take_bytes(in, sizeof *ret_v, &bytes))
        return false;
    *ret_v = fixed32_decode(bytes.data);
    return true;
}

bool slice_take_fixed64(struct varve_slice *in, uint64_t *ret_v)
{
    struct varve_slice bytes = {0};
    if (!slice_take_bytes(in, sizeof *ret_v, &bytes))
        return false;
    *ret_v = fixed64_decode(bytes.data);
    return true;
}

bool slice_take_byte(struct varve_slice *in, uint8_t *ret_v)
{
    struct varve_slice bytes = {0};
    if (!slice_take_bytes(in, 1, &bytes))
        return false;
    *ret_v = bytes.data[0];
    return true;
}

bool slice_take_varint(struct varve_slice *in, uint64_t *ret_v)
{
    if (in->size == 0)
        return false;
    const uint8_t *end = in->data + in->size;
    const uint8_t *at = varint64_decode(in->data, end, ret_v);
    if (at == NULL)
        return false;
    *in = varve_slice(at, (size_t)(end - at));
    return true;
}

bool slice_take_prefixed(struct varve_slice *in, struct varve_slice *ret)
{
    struct varve_slice rest = *in;
    uint64_t size = 0;
    if (!slice_take_varint(&rest, &size) || size > rest.size)
        return false;
    *in = rest;
    return slice_take_bytes(in, (size_t)size, ret);
}
