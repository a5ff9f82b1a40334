/*
 * base/coding.h: integers as bytes. Fixed ones are little-endian; varints are LEB128, canonical or
 * not is not told apart, at most 5 and 10 bytes. Decoders never read beyond the slice.
 */
#ifndef BASE_CODING_H
#define BASE_CODING_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

#define VARINT32_BYTES_MAX 5
#define VARINT64_BYTES_MAX 10

static inline void fixed32_encode(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}
static inline void fixed64_encode(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, sizeof v);
}
static inline uint32_t fixed32_decode(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline uint64_t fixed64_decode(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "varve's formats are little-endian");

/* Each writes at `at` (room for the maximum is the caller's business) and gives the end. */
uint8_t *varint32_encode(uint8_t *at, uint32_t v);
uint8_t *varint64_encode(uint8_t *at, uint64_t v);
size_t varint64_size(uint64_t v);

MUST_CHECK enum varve_status buf_append_fixed32(struct buf *buf, uint32_t v);
MUST_CHECK enum varve_status buf_append_fixed64(struct buf *buf, uint64_t v);
MUST_CHECK enum varve_status buf_append_varint(struct buf *buf, uint64_t v);
/* varint length, then the bytes */
MUST_CHECK enum varve_status buf_append_prefixed(struct buf *buf, struct varve_slice s);

/* Pointer forms for hot loops: NULL when malformed or beyond `end`. */
const uint8_t *varint32_decode(const uint8_t *at, const uint8_t *end, uint32_t *ret_v);
const uint8_t *varint64_decode(const uint8_t *at, const uint8_t *end, uint64_t *ret_v);

/* Slice forms: take from the front of `*in`. False, and nothing taken, when malformed or short. */
bool slice_take_fixed32(struct varve_slice *in, uint32_t *ret_v);
bool slice_take_fixed64(struct varve_slice *in, uint64_t *ret_v);
bool slice_take_byte(struct varve_slice *in, uint8_t *ret_v);
bool slice_take_varint(struct varve_slice *in, uint64_t *ret_v);
bool slice_take_bytes(struct varve_slice *in, size_t size, struct varve_slice *ret);
bool slice_take_prefixed(struct varve_slice *in, struct varve_slice *ret);

#endif
