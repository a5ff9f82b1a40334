/*
 * os/arena.h: memory that is given out in small pieces and taken back all at once. Chunks can be
 * handed from one arena to the next, so that a new memtable does not fault its pages in again.
 * One thread allocates; the pieces may be read by others. Not thread safe otherwise.
 */
#ifndef OS_ARENA_H
#define OS_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct arena_chunk;

/* A chunk that fills pages of 2 MiB, header included, is laid into such pages where the system has
 * them: pieces are visited at random, and every visit to another small page costs a walk through
 * the page tables. */
#define ARENA_HUGE_PAGE_BYTES ((size_t)2 << 20)
#define ARENA_CHUNK_HEADER_BYTES 16u
#define ARENA_HUGE_CHUNK_BYTES (ARENA_HUGE_PAGE_BYTES - ARENA_CHUNK_HEADER_BYTES)

/* Chunks at rest. The owner guards it. A zeroed one is empty. */
struct arena_chunks {
    struct arena_chunk *first;
    size_t count;
};
void arena_chunks_deinit(struct arena_chunks *chunks);
/* One more, of that size, with its pages touched already. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status arena_chunks_add(struct arena_chunks *chunks, size_t chunk_bytes);
void arena_chunks_move(struct arena_chunks *to, struct arena_chunks *from); /* all of them */

struct arena {
    struct arena_chunk *chunks; /* newest first */
    uint8_t *at, *end;
    size_t chunk_bytes;
    size_t used_bytes;     /* given out, padding included */
    size_t reserved_bytes; /* held from the system, spare chunks included */
    size_t promised_bytes; /* of the last reservation, not yet given out */
    struct arena_chunks spare;
};

/* Takes ownership of the chunks in `spare` (may be NULL) and empties it; chunks of another size
 * than `chunk_bytes` are freed. */
void arena_init(struct arena *arena, size_t chunk_bytes, struct arena_chunks *spare);

/* Frees all, or puts up to `keep_max` chunks of the regular size into `keep` (may be NULL). */
void arena_deinit(struct arena *arena, struct arena_chunks *keep, size_t keep_max);

/* Makes sure that pieces of `size` bytes in all (each rounded up to 8) can be had without asking
 * the system, so that what follows cannot fail. Only the last reservation counts.
 * VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status arena_reserve(struct arena *arena, size_t size);

/* Whether such a reservation would have to ask the system. */
bool arena_lacks(const struct arena *arena, size_t size);

/* Takes one chunk of the regular size over from `from`, if there is one. */
void arena_take_chunk(struct arena *arena, struct arena_chunks *from);

/* Aligned to 8. NULL when out of memory. What was reserved is used first; a piece larger than a
 * quarter of a chunk that is not reserved gets a chunk of its own. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same for a piece that nobody has reserved, while all that is promised stays so. */
void *arena_alloc_beside(struct arena *arena, size_t size);

#endif
