/*
 * format/block.h: a sorted block of entries with shared key prefixes and restart points, as the
 * data and index blocks of a table (after LevelDB's block format).
 *
 *   block:  entries, then restart offsets (fixed32 each), then their count (fixed32, >= 1)
 *   entry:  shared key bytes, own key bytes, value bytes (varints), key's own bytes, value
 * Every restart_interval-th entry is a restart: it shares nothing. Keys are internal keys.
 */
#ifndef FORMAT_BLOCK_H
#define FORMAT_BLOCK_H

#include "base/buf.h"
#include "format/entry.h"

struct block_builder {
    struct buf data, last_key, restarts;
    size_t restart_interval;
    size_t since_restart;
    size_t entries;
};
void block_builder_init(struct block_builder *builder, size_t restart_interval);
void block_builder_deinit(struct block_builder *builder);
void block_builder_clear(struct block_builder *builder);
/* Keys in strictly growing order. */
MUST_CHECK enum varve_status block_builder_add(struct block_builder *builder,
                                               struct varve_slice key, struct varve_slice value);
size_t block_builder_bytes(const struct block_builder *builder); /* as finished */
/* Borrowed until the builder changes; clear it before the next block. */
MUST_CHECK enum varve_status block_builder_finish(struct block_builder *builder,
                                                  struct varve_slice *ret_block);

/* A pass over one block's bytes, which outlive it. Damage found on the way is VARVE_CORRUPT. */
struct block_iterator {
    struct entry_iterator base; /* value points into the block and lives as long as it */
    const uint8_t *data;
    uint32_t restarts_offset, restart_count;
    uint32_t at, next_at; /* offsets of this entry and of the one behind it */
    uint32_t restart;     /* index of the restart at or before `at` */
    struct buf key;       /* room for ENTRY_KEY_BYTES_MAX is reserved at init */
};
/* VARVE_CORRUPT (shape), VARVE_NO_MEMORY. Re-init without deinit keeps the key buffer. */
MUST_CHECK enum varve_status block_iterator_init(struct block_iterator *it,
                                                 struct varve_slice block);
void block_iterator_deinit(struct block_iterator *it);
void block_iterator_seek_first(struct block_iterator *it);
void block_iterator_seek_last(struct block_iterator *it);
void block_iterator_seek(struct block_iterator *it, struct varve_slice internal_key);
void block_iterator_next(struct block_iterator *it);
void block_iterator_prev(struct block_iterator *it);

#endif
