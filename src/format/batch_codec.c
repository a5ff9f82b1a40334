/*
 * A batch is decoded where it lies: an operation's key and value are slices of it. Every length is
 * checked against what is left before it is used, by base/coding.h.
 */
#include "format/batch_codec.h"

#include <varve/options.h>

#define EXPIRY_BYTES 8u
#define VALUE_BYTES_MAX (VARVE_VALUE_BYTES_MAX + EXPIRY_BYTES)
#define OP_BYTES_MIN 3u /* kind, length of the key, one byte of key */

size_t batch_op_encoded_size(const struct batch_op *op)
{
    size_t size = 1 + varint64_size(op->key.size) + op->key.size;
    if (op->kind != ENTRY_DELETE)
        size += varint64_size(op->value.size) + op->value.size;
    return size;
}

static uint8_t *prefixed_encode(uint8_t *at, struct varve_slice s)
{
    at = varint64_encode(at, s.size);
    if (s.size != 0)
        memcpy(at, s.data, s.size);
    return at + s.size;
}

enum varve_status batch_op_encode(struct buf *buf, const struct batch_op *op)
{
    size_t size = batch_op_encoded_size(op);
    enum varve_status status = buf_reserve(buf, size);
    if (status != VARVE_OK)
        return status;
    uint8_t *at = buf->data + buf->size;
    *at++ = (uint8_t)op->kind;
    at = prefixed_encode(at, op->key);
    if (op->kind != ENTRY_DELETE)
        at = prefixed_encode(at, op->value);
    buf->size += size;
    assert(at == buf->data + buf->size);
    return VARVE_OK;
}

enum varve_status batch_reader_init(struct batch_reader *reader, struct varve_slice batch)
{
    uint32_t count = 0;
    if (!slice_take_fixed32(&batch, &count) || count == 0 || count > batch.size / OP_BYTES_MIN)
        return status_raise(VARVE_CORRUPT);
    *reader = (struct batch_reader){.rest = batch, .count = count};
    return VARVE_OK;
}

static bool op_take(struct varve_slice *in, struct batch_op *ret_op)
{
    uint8_t kind = 0;
    struct batch_op op = {0};
    if (!slice_take_byte(in, &kind) || kind > ENTRY_KIND_MAX || !slice_take_prefixed(in, &op.key))
        return false;
    if (op.key.size == 0 || op.key.size > VARVE_KEY_BYTES_MAX)
        return false;
    op.kind = (enum entry_kind)kind;
    if (op.kind != ENTRY_DELETE &&
        (!slice_take_prefixed(in, &op.value) || op.value.size > VALUE_BYTES_MAX))
        return false;
    if (op.kind == ENTRY_PUT_EXPIRING && op.value.size < EXPIRY_BYTES)
        return false;
    *ret_op = op;
    return true;
}

enum varve_status batch_reader_next(struct batch_reader *reader, struct batch_op *ret_op)
{
    if (reader->at == reader->count)
        return reader->rest.size == 0 ? VARVE_END : status_raise(VARVE_CORRUPT);
    if (!op_take(&reader->rest, ret_op))
        return status_raise(VARVE_CORRUPT);
    reader->at++;
    return VARVE_OK;
}
