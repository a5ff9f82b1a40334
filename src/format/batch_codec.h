/*
 * format/batch_codec.h: a batch as bytes, the unit that is logged, replayed and (later) replicated.
 *
 *   batch: op count (fixed32, >= 1), then that many operations
 *   operation: kind (1 byte, enum entry_kind), key (varint length, bytes),
 *              value (varint length, bytes; absent for ENTRY_DELETE)
 * It holds no sequence number: that is given when it is applied.
 */
#ifndef FORMAT_BATCH_CODEC_H
#define FORMAT_BATCH_CODEC_H

#include "base/buf.h"
#include "format/entry.h"

#define BATCH_HEADER_BYTES 4u

struct batch_op {
    enum entry_kind kind;
    struct varve_slice key;
    struct varve_slice value; /* with the 8 bytes of expiry for ENTRY_PUT_EXPIRING */
};

/* Appends one operation. VARVE_NO_MEMORY; the buf is then as it was. */
MUST_CHECK enum varve_status batch_op_encode(struct buf *buf, const struct batch_op *op);
size_t batch_op_encoded_size(const struct batch_op *op);

/* A pass over an encoded batch. */
struct batch_reader {
    struct varve_slice rest;
    uint32_t count;
    uint32_t at; /* operations read so far */
};
/* VARVE_CORRUPT when the header is short or the count is 0. `batch` is borrowed. */
MUST_CHECK enum varve_status batch_reader_init(struct batch_reader *reader,
                                               struct varve_slice batch);
/* OK, END after the last operation if nothing follows it, CORRUPT (bounds, kinds, key lengths of 0
 * or over VARVE_KEY_BYTES_MAX, values over VARVE_VALUE_BYTES_MAX + 8, expiring values under 8). */
MUST_CHECK enum varve_status batch_reader_next(struct batch_reader *reader,
                                               struct batch_op *ret_op);

#endif
