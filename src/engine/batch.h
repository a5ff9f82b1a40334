/*
 * engine/batch.h: what the engine does with a public batch: fold it and hand out its bytes.
 */
#ifndef ENGINE_BATCH_H
#define ENGINE_BATCH_H

#include <varve/batch.h>

#include "base/buf.h"

struct varve_batch {
    struct buf bytes; /* batch_codec.h, the count filled in by batch_seal; empty when cleared */
    size_t count;     /* operations added */
    size_t value_bytes_max; /* the largest value's size */
    size_t user_bytes;      /* keys and values as they came in */
    bool folded;            /* no key occurs twice */
    struct {
        struct buf bytes;  /* revisions and keys, in the order of the conditions */
        struct buf checks; /* of struct condition (conditions.h) */
        size_t count;
        uint64_t sequence; /* up to which the keys were last read */
        unsigned reads;    /* how often */
    } conditions;
    struct buf scratch; /* of folding, kept for the next use */
};

/* What a sealed batch asks of the log and the memtable. */
struct batch_sealed {
    struct varve_slice bytes; /* borrowed until the batch changes */
    uint32_t op_count;
    size_t entry_bytes; /* keys and values in the memtable */
};

/* Folds repeated keys to their last write and fills in the header. The batch has operations.
 * VARVE_NO_MEMORY; the batch is then as it was. */
MUST_CHECK enum varve_status batch_seal(struct varve_batch *batch, struct batch_sealed *ret_sealed);

/* A batch outside the heap: a zeroed struct is an empty one. */
void batch_deinit(struct varve_batch *batch);

#endif
