/*
 * format/block_stretch.h: data blocks that lie one behind the other in a table, read in one call:
 * what a pass uses in place of its fetcher once it has shown that it goes on. Not thread safe. A
 * zeroed one is empty.
 */
#ifndef FORMAT_BLOCK_STRETCH_H
#define FORMAT_BLOCK_STRETCH_H

#include "format/sstable_reader.h"

struct block_stretch {
    uint8_t *stored;
    size_t capacity;
    size_t first, end; /* numbers of the blocks that it holds: first <= n < end */
    uint8_t *unpacked; /* the block that was taken last, unless it lies in `stored` as it is */
};

static inline bool block_stretch_holds(const struct block_stretch *stretch, size_t at)
{
    return at >= stretch->first && at < stretch->end;
}

/* Reads block `at` and as many behind it as fit into `bytes_max`, which is at least one. On failure
 * it is empty; what was taken from it is gone in any case. VARVE_IO, VARVE_CORRUPT,
 * VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status block_stretch_read(struct block_stretch *stretch,
                                                struct sstable_reader *reader, size_t at,
                                                size_t bytes_max);

/* Verifies and uncompresses a block that it holds. *ret_data is borrowed until the next one is
 * taken. VARVE_CORRUPT, VARVE_UNSUPPORTED (compression), VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status block_stretch_take(struct block_stretch *stretch,
                                                struct sstable_reader *reader, size_t at,
                                                struct varve_slice *ret_data);
void block_stretch_deinit(struct block_stretch *stretch);

#endif
