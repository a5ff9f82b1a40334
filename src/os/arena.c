/*
 * Pieces are cut from the newest chunk, `at` to `end`. A reservation that does not fit there puts a
 * chunk that can hold all of it at the front of `spare`: whichever piece first fails to fit opens
 * that chunk, and all that is still promised fits into it. So a reservation wastes no more of the
 * current chunk than one piece.
 */
#include "os/arena.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PIECE_ALIGN 8u
#define OWN_CHUNK_FRACTION 4u /* a piece larger than 1/4 chunk gets its own */

struct arena_chunk {
    struct arena_chunk *next;
    size_t bytes; /* of data */
    _Alignas(16) uint8_t data[];
};
_Static_assert(sizeof(struct arena_chunk) == ARENA_CHUNK_HEADER_BYTES, "as arena.h says");

static void chunks_push(struct arena_chunks *chunks, struct arena_chunk *chunk)
{
    chunk->next = chunks->first;
    chunks->first = chunk;
    chunks->count++;
}

static struct arena_chunk *chunks_pop(struct arena_chunks *chunks)
{
    struct arena_chunk *chunk = chunks->first;
    if (chunk != NULL) {
        chunks->first = chunk->next;
        chunks->count--;
    }
    return chunk;
}

void arena_chunks_move(struct arena_chunks *to, struct arena_chunks *from)
{
    struct arena_chunk *chunk = NULL;
    while ((chunk = chunks_pop(from)) != NULL)
        chunks_push(to, chunk);
}

void arena_chunks_deinit(struct arena_chunks *chunks)
{
    if (chunks == NULL)
        return;
    struct arena_chunk *chunk = NULL;
    while ((chunk = chunks_pop(chunks)) != NULL)
        free(chunk);
}

/* Any page of the system is at least as large. */
#define PAGE_BYTES_LEAST 4096u

/* The advice is no more than that: without it the chunk lies in small pages. */
static void *huge_pages_alloc(size_t bytes)
{
    void *memory = aligned_alloc(ARENA_HUGE_PAGE_BYTES, bytes);
    if (memory != NULL)
        madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

static struct arena_chunk *chunk_alloc(size_t bytes)
{
    if (bytes > PTRDIFF_MAX - sizeof(struct arena_chunk)) /* pointers must stay subtractable */
        return NULL;
    size_t whole = sizeof(struct arena_chunk) + bytes;
    struct arena_chunk *chunk =
        whole % ARENA_HUGE_PAGE_BYTES == 0 ? huge_pages_alloc(whole) : malloc(whole);
    if (chunk != NULL)
        chunk->bytes = bytes;
    return chunk;
}

static struct arena_chunk *chunk_new(struct arena *arena, size_t bytes)
{
    struct arena_chunk *chunk = chunk_alloc(bytes);
    if (chunk != NULL)
        arena->reserved_bytes += bytes;
    return chunk;
}

enum varve_status arena_chunks_add(struct arena_chunks *chunks, size_t chunk_bytes)
{
    struct arena_chunk *chunk = chunk_alloc(chunk_bytes);
    if (chunk == NULL)
        return status_raise(VARVE_NO_MEMORY);
    volatile uint8_t *bytes = chunk->data;
    for (size_t at = 0; at < chunk_bytes; at += PAGE_BYTES_LEAST)
        bytes[at] = 0;
    chunks_push(chunks, chunk);
    return VARVE_OK;
}

void arena_init(struct arena *arena, size_t chunk_bytes, struct arena_chunks *spare)
{
    *arena = (struct arena){.chunk_bytes = chunk_bytes};
    if (spare == NULL)
        return;
    struct arena_chunk *chunk = NULL;
    while ((chunk = chunks_pop(spare)) != NULL) {
        if (chunk->bytes != chunk_bytes) {
            free(chunk);
            continue;
        }
        chunks_push(&arena->spare, chunk);
        arena->reserved_bytes += chunk_bytes;
    }
}

static void chunk_keep_or_free(struct arena *arena, struct arena_chunk *chunk,
                               struct arena_chunks *keep, size_t *left)
{
    if (keep == NULL || *left == 0 || chunk->bytes != arena->chunk_bytes) {
        free(chunk);
        return;
    }
    chunks_push(keep, chunk);
    (*left)--;
}

void arena_deinit(struct arena *arena, struct arena_chunks *keep, size_t keep_max)
{
    if (arena == NULL)
        return;
    size_t left = keep_max;
    while (arena->chunks != NULL) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        chunk_keep_or_free(arena, chunk, keep, &left);
    }
    struct arena_chunk *chunk = NULL;
    while ((chunk = chunks_pop(&arena->spare)) != NULL)
        chunk_keep_or_free(arena, chunk, keep, &left);
    *arena = (struct arena){0};
}

bool arena_lacks(const struct arena *arena, size_t size)
{
    return size > (size_t)(arena->end - arena->at) &&
           (arena->spare.first == NULL || size > arena->spare.first->bytes);
}

void arena_take_chunk(struct arena *arena, struct arena_chunks *from)
{
    if (from->first == NULL || from->first->bytes != arena->chunk_bytes)
        return;
    chunks_push(&arena->spare, chunks_pop(from));
    arena->reserved_bytes += arena->chunk_bytes;
}

enum varve_status arena_reserve(struct arena *arena, size_t size)
{
    arena->promised_bytes = size;
    if (!arena_lacks(arena, size))
        return VARVE_OK;
    size_t bytes = size > arena->chunk_bytes ? size : arena->chunk_bytes;
    struct arena_chunk *chunk = chunk_new(arena, bytes);
    if (chunk == NULL) {
        arena->promised_bytes = 0;
        return status_raise(VARVE_NO_MEMORY);
    }
    chunks_push(&arena->spare, chunk);
    return VARVE_OK;
}

/* Makes a chunk that holds `size` the one that pieces are cut from. */
static bool arena_open_chunk(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = NULL;
    if (arena->spare.first != NULL && size <= arena->spare.first->bytes)
        chunk = chunks_pop(&arena->spare);
    else
        chunk = chunk_new(arena, size > arena->chunk_bytes ? size : arena->chunk_bytes);
    if (chunk == NULL)
        return false;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->at = chunk->data;
    arena->end = chunk->data + chunk->bytes;
    return true;
}

/* A chunk of its own goes behind the one that pieces are cut from, which stays in use. */
static void *arena_alloc_own(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = chunk_new(arena, size);
    if (chunk == NULL)
        return NULL;
    struct arena_chunk **link = arena->chunks != NULL ? &arena->chunks->next : &arena->chunks;
    chunk->next = *link;
    *link = chunk;
    arena->used_bytes += size;
    return chunk->data;
}

static size_t piece_bytes(size_t size)
{
    return size == 0 ? PIECE_ALIGN : (size + PIECE_ALIGN - 1) & ~(size_t)(PIECE_ALIGN - 1);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - PIECE_ALIGN)
        return NULL;
    size = piece_bytes(size);
    bool promised = size <= arena->promised_bytes;
    if (size > (size_t)(arena->end - arena->at)) {
        if (!promised && size > arena->chunk_bytes / OWN_CHUNK_FRACTION)
            return arena_alloc_own(arena, size);
        if (!arena_open_chunk(arena, size))
            return NULL;
    }
    if (promised)
        arena->promised_bytes -= size;
    void *piece = arena->at;
    arena->at += size;
    arena->used_bytes += size;
    return piece;
}

void *arena_alloc_beside(struct arena *arena, size_t size)
{
    const size_t promised = arena->promised_bytes;
    if (size > SIZE_MAX - PIECE_ALIGN - promised)
        return NULL;
    size = piece_bytes(size);
    /* What is promised stays where it is, if it could only move to a chunk as large as itself. */
    if (promised + size > arena->chunk_bytes && arena_lacks(arena, promised + size))
        return arena_alloc_own(arena, size);
    void *piece = NULL;
    if (arena_reserve(arena, promised + size) == VARVE_OK)
        piece = arena_alloc(arena, size);
    arena->promised_bytes = promised;
    return piece;
}
