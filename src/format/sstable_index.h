/*
 * format/sstable_index.h: a table's index as it is searched: read from the index block once, when
 * the table is opened, and checked as a whole. Immutable, thread safe.
 */
#ifndef FORMAT_SSTABLE_INDEX_H
#define FORMAT_SSTABLE_INDEX_H

#include "format/sstable.h"

struct sstable_index {
    size_t count;        /* of data blocks, at least 1 */
    size_t common_bytes; /* in front of all separators' user keys: the same in all */
    uint64_t *prefixes;  /* of each separator's user key, the next 8 bytes as a number */
    uint32_t *offsets;   /* of each block, and behind the last one */
    uint64_t *far;       /* the same in place of `offsets` where the data end beyond 4 GiB */
    uint32_t *tail_ends; /* of what is left of each separator, behind `common` */
    uint8_t *common;     /* those bytes, and the tails one behind the other */
};

/* From the index block of a table with these properties, whose data blocks end at `data_end`.
 * VARVE_CORRUPT: separators that do not grow from no less than the smallest key to no less than the
 * largest, handles that do not tile the data, another count of blocks. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status sstable_index_init(struct sstable_index *index,
                                                struct varve_slice block,
                                                const struct sstable_properties *properties,
                                                uint64_t data_end);
void sstable_index_deinit(struct sstable_index *index); /* takes a zeroed one */
size_t sstable_index_memory_bytes(const struct sstable_index *index);

/* The first block whose separator is >= the internal key `target`; `count` when there is none. */
size_t sstable_index_find(const struct sstable_index *index, struct varve_slice target);

/* Whether the separator of block `at` < count has this user key. */
bool sstable_index_user_key_is(const struct sstable_index *index, size_t at,
                               struct varve_slice user_key);

/* Of block `at`, or with `count` behind the last one. */
static inline uint64_t sstable_index_offset(const struct sstable_index *index, size_t at)
{
    return index->far == NULL ? index->offsets[at] : index->far[at];
}
/* Of block `at` < count. */
static inline struct block_handle sstable_index_handle(const struct sstable_index *index, size_t at)
{
    struct block_handle handle = {.offset = sstable_index_offset(index, at)};
    handle.size = sstable_index_offset(index, at + 1) - handle.offset - SSTABLE_BLOCK_TRAILER_BYTES;
    return handle;
}

#endif
