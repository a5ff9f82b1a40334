/*
 * format/block.h: a sorted block of entries with shared key prefixes and restart points, as the
 * data and index blocks of a table (after LevelDB's block format).
 *
 *   block:  entries, then restart offsets (fixed32 each), then their count (fixed32, >= 1)
 *   entry:  shared key bytes, own key bytes, value bytes (varints), key's own bytes, value
 * Every restart_interval-th entry is a restart: it shares nothing. A block holds at least one
 * entry and less than 4 GiB. Keys are internal keys, or in index blocks separators of their form
 * with any kind.
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
/* Keys in strictly growing order (asserted). VARVE_TOO_LARGE when the block would pass 4 GiB,
 * VARVE_NO_MEMORY: the builder is then of no use but to be cleared. */
MUST_CHECK enum varve_status block_builder_add(struct block_builder *builder,
                                               struct varve_slice key, struct varve_slice value);
size_t block_builder_bytes(const struct block_builder *builder); /* as finished */
/* At least one entry. Borrowed until the builder changes; clear it before the next block. */
MUST_CHECK enum varve_status block_builder_finish(struct block_builder *builder,
                                                  struct varve_slice *ret_block);

/* A pass over one block's bytes, which outlive it. Damage found on the way is VARVE_CORRUPT; it
 * checks sizes and bounds, not the kinds of keys and not their order. It is made to be embedded:
 * base.ops stays NULL, the functions below are called directly. */
struct block_iterator {
    struct entry_iterator base; /* value points into the block and lives as long as it */
    const uint8_t *data;
    uint32_t restarts_offset, restart_count;
    uint32_t at, next_at; /* offsets of this entry and of the one behind it */
    struct buf key;       /* room for BLOCK_KEY_ROOM_BYTES is reserved at init */
};
/* Copies of short keys are done in whole pieces, which may reach so far behind the key. */
#define BLOCK_KEY_SLACK_BYTES 16u
#define BLOCK_KEY_ROOM_BYTES (ENTRY_KEY_BYTES_MAX + BLOCK_KEY_SLACK_BYTES)

/* VARVE_CORRUPT (shape), VARVE_NO_MEMORY. Re-init without deinit keeps the key buffer. */
MUST_CHECK enum varve_status block_iterator_init(struct block_iterator *it,
                                                 struct varve_slice block);
void block_iterator_deinit(struct block_iterator *it);
void block_iterator_seek_first(struct block_iterator *it);
void block_iterator_seek_last(struct block_iterator *it);
void block_iterator_seek(struct block_iterator *it, struct varve_slice internal_key);
void block_iterator_next(struct block_iterator *it);
void block_iterator_prev(struct block_iterator *it);

/* For a short pass: a zeroed iterator uses the caller's memory for its key instead of its own,
 * BLOCK_KEY_ROOM_BYTES long. Then it takes no memory at all and is not deinit'ed. */
static inline void block_iterator_lend_key_room(struct block_iterator *it, uint8_t *room)
{
    it->key = (struct buf){.data = room, .capacity = BLOCK_KEY_ROOM_BYTES};
}

#endif
