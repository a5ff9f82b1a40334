/*
 * A tree of entries and its arena. The writer publishes an entry by linking it into the list; the
 * counters follow with relaxed stores, for they are only read to decide (is it full?) and to show.
 *
 * Most look-ups are for keys that are not here, and the way down a tree of many entries is a
 * handful of misses to find that out. So the user keys are noted in a Bloom filter in which each
 * has a few bits of one word (Putze, Sanders and Singler, 2007): one miss. The bits are set before
 * the entry is published by its sequence, so who may see the entry sees them; who may not misses
 * nothing.
 *
 * A memtable's pages cost page faults when they are touched first, so its chunks go back to the
 * pool and serve the next memtable, which takes them one by one as it grows: a memtable that ends
 * early holds no more than it fills. The charge of a chunk stays with it through the pool. Where
 * none rests, a worker makes the next one, for to fault in a large page takes as long as thousands
 * of writes: but not before a memtable has filled one, so a store that takes little holds little.
 */
#include "engine/memtable.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "engine/entry_tree.h"
#include "os/sync.h"

#define FILTER_PROBES 4u
#define FILTER_WORD_BITS_LOG2 6u

struct memtable_pool {
    size_t chunk_bytes;
    size_t keep_max;
    size_t filter_words; /* of a memtable */
    struct memory_budget *memory;
    struct thread_pool *workers; /* NULL: nobody works ahead */
    struct thread_job ahead;
    struct {
        struct mutex lock;
        struct arena_chunks chunks;
        size_t keep;      /* as many may rest now */
        bool calm;        /* and that for want of writes */
        bool works_ahead; /* the job is queued or runs */
    } mu;
};

struct memtable {
    struct memtable_pool *pool;
    uint64_t segment_id;
    _Atomic uint32_t references;
    _Atomic size_t bytes, entries;
    _Atomic uint64_t sequence_first, sequence_last;
    /* the writer's own */
    struct arena arena;
    struct entry_tree tree; /* also read by others, like the filter */
    _Atomic uint64_t *filter;
};

struct memtable_iterator {
    struct entry_iterator base;
    struct memtable *memtable;
    const struct tree_entry *entry;
};

enum varve_status memtable_pool_new(size_t chunk_bytes, size_t keep_bytes, size_t filter_bytes,
                                    struct memory_budget *memory, struct memtable_pool **ret_pool)
{
    assert(chunk_bytes > 0 && filter_bytes / sizeof(uint64_t) <= UINT32_MAX);
    struct memtable_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return status_raise(VARVE_NO_MEMORY);
    pool->chunk_bytes = chunk_bytes;
    pool->keep_max = pool->mu.keep = keep_bytes / chunk_bytes;
    pool->filter_words = filter_bytes >= sizeof(uint64_t) ? filter_bytes / sizeof(uint64_t) : 1;
    pool->memory = memory;
    mutex_init(&pool->mu.lock);
    *ret_pool = pool;
    return VARVE_OK;
}

void memtable_pool_free(struct memtable_pool *pool)
{
    if (pool == NULL)
        return;
    memtable_pool_trim(pool);
    mutex_deinit(&pool->mu.lock);
    free(pool);
}

static void pool_charge(struct memtable_pool *pool, size_t bytes_before, size_t bytes_now)
{
    memory_budget_charge(pool->memory, MEMORY_MEMTABLES,
                         (int64_t)bytes_now - (int64_t)bytes_before);
}

static void pool_free_beyond(struct memtable_pool *pool, size_t keep)
{
    struct arena surplus;
    arena_init(&surplus, pool->chunk_bytes, NULL);
    mutex_lock(&pool->mu.lock);
    while (pool->mu.chunks.count > keep)
        arena_take_chunk(&surplus, &pool->mu.chunks);
    mutex_unlock(&pool->mu.lock);
    pool_charge(pool, surplus.reserved_bytes, 0);
    arena_deinit(&surplus, NULL, 0);
}

void memtable_pool_trim(struct memtable_pool *pool)
{
    pool_free_beyond(pool, 0);
}

void memtable_pool_calm(struct memtable_pool *pool, size_t keep_bytes)
{
    const size_t keep = keep_bytes / pool->chunk_bytes;
    mutex_lock(&pool->mu.lock);
    pool->mu.calm = true;
    pool->mu.keep = keep < pool->keep_max ? keep : pool->keep_max;
    mutex_unlock(&pool->mu.lock);
    pool_free_beyond(pool, keep);
}

bool memtable_pool_is_calm(struct memtable_pool *pool)
{
    mutex_lock(&pool->mu.lock);
    bool calm = pool->mu.calm;
    mutex_unlock(&pool->mu.lock);
    return calm;
}

static bool pool_lacks(struct memtable_pool *pool)
{
    mutex_lock(&pool->mu.lock);
    bool lacks = pool->mu.chunks.count == 0;
    mutex_unlock(&pool->mu.lock);
    return lacks;
}

/* Makes no chunk where memory is short, or one rests by now: writers make theirs then. */
static void work_ahead(struct thread_job *job)
{
    struct memtable_pool *pool =
        (struct memtable_pool *)(void *)((char *)job - offsetof(struct memtable_pool, ahead));
    struct arena_chunks made = {0};
    if (pool_lacks(pool) && !memory_budget_is_near(pool->memory, pool->chunk_bytes) &&
        arena_chunks_add(&made, pool->chunk_bytes) == VARVE_OK)
        pool_charge(pool, 0, pool->chunk_bytes);
    mutex_lock(&pool->mu.lock);
    arena_chunks_move(&pool->mu.chunks, &made);
    pool->mu.works_ahead = false;
    mutex_unlock(&pool->mu.lock);
}

void memtable_pool_work_ahead(struct memtable_pool *pool, struct thread_pool *workers)
{
    pool->workers = workers;
    pool->ahead = (struct thread_job){.run = work_ahead, .kind = THREAD_JOB_URGENT};
}

/* A chunk for the arena, if one rests. */
static void pool_take(struct memtable_pool *pool, struct arena *arena)
{
    const bool grows = arena->used_bytes > 0;
    mutex_lock(&pool->mu.lock);
    arena_take_chunk(arena, &pool->mu.chunks);
    if (grows) {
        pool->mu.calm = false;
        pool->mu.keep = pool->keep_max;
    }
    bool submit =
        pool->workers != NULL && grows && pool->mu.chunks.count == 0 && !pool->mu.works_ahead;
    if (submit)
        pool->mu.works_ahead = true;
    mutex_unlock(&pool->mu.lock);
    if (submit)
        thread_pool_submit(pool->workers, &pool->ahead);
}

static void pool_give(struct memtable_pool *pool, struct arena *arena)
{
    size_t held = arena->reserved_bytes;
    const bool is_near = memory_budget_is_near(pool->memory, 0);
    mutex_lock(&pool->mu.lock);
    size_t keep_max = is_near ? 0 : pool->mu.keep;
    size_t before = pool->mu.chunks.count;
    arena_deinit(arena, &pool->mu.chunks, before < keep_max ? keep_max - before : 0);
    size_t kept = (pool->mu.chunks.count - before) * pool->chunk_bytes;
    mutex_unlock(&pool->mu.lock);
    pool_charge(pool, held, kept);
}

static size_t entries_bytes(const struct memtable *memtable)
{
    return memtable->arena.used_bytes - memtable->pool->filter_words * sizeof *memtable->filter;
}

static enum varve_status filter_init(struct memtable *memtable, size_t words)
{
    const size_t bytes = words * sizeof *memtable->filter;
    enum varve_status status = arena_reserve(&memtable->arena, bytes);
    if (status != VARVE_OK)
        return status;
    memtable->filter = arena_alloc(&memtable->arena, bytes);
    assert(memtable->filter != NULL); /* reserved */
    memset((void *)memtable->filter, 0, bytes);
    return VARVE_OK;
}

static _Atomic uint64_t *filter_word(const struct memtable *memtable, uint64_t hash)
{
    return &memtable->filter[((hash >> 32) * memtable->pool->filter_words) >> 32];
}

static uint64_t filter_bits(uint64_t hash)
{
    uint64_t bits = 0;
    for (unsigned probe = 0; probe < FILTER_PROBES; probe++)
        bits |= UINT64_C(1) << (hash >> (probe * FILTER_WORD_BITS_LOG2) & 63);
    return bits;
}

static void filter_add(struct memtable *memtable, uint64_t hash)
{
    _Atomic uint64_t *word = filter_word(memtable, hash);
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed) | filter_bits(hash);
    atomic_store_explicit(word, bits, memory_order_relaxed);
}

bool memtable_may_contain(const struct memtable *memtable, uint64_t hash)
{
    uint64_t bits = filter_bits(hash);
    return (atomic_load_explicit(filter_word(memtable, hash), memory_order_relaxed) & bits) == bits;
}

enum varve_status memtable_new(struct memtable_pool *pool, uint64_t segment_id,
                               struct varve_slice expected, struct memtable **ret_memtable)
{
    struct memtable *memtable = calloc(1, sizeof *memtable);
    if (memtable == NULL)
        return status_raise(VARVE_NO_MEMORY);
    memtable->pool = pool;
    arena_init(&memtable->arena, pool->chunk_bytes, NULL);
    pool_take(pool, &memtable->arena);
    size_t taken = memtable->arena.reserved_bytes;
    enum varve_status status = entry_tree_init(&memtable->tree, &memtable->arena, expected);
    if (status == VARVE_OK)
        status = filter_init(memtable, pool->filter_words);
    pool_charge(pool, taken, memtable->arena.reserved_bytes);
    if (status != VARVE_OK) {
        pool_give(pool, &memtable->arena);
        free(memtable);
        return status;
    }
    memtable->segment_id = segment_id;
    atomic_init(&memtable->references, 1);
    atomic_init(&memtable->bytes, entries_bytes(memtable));
    *ret_memtable = memtable;
    return VARVE_OK;
}

struct varve_slice memtable_expected(const struct memtable *memtable)
{
    return entry_tree_expected(&memtable->tree);
}

void memtable_ref(struct memtable *memtable)
{
    atomic_fetch_add_explicit(&memtable->references, 1, memory_order_relaxed);
}

void memtable_unref(struct memtable *memtable)
{
    if (memtable == NULL ||
        atomic_fetch_sub_explicit(&memtable->references, 1, memory_order_acq_rel) != 1)
        return;
    pool_give(memtable->pool, &memtable->arena);
    free(memtable);
}

enum varve_status memtable_reserve(struct memtable *memtable, size_t entries, size_t bytes)
{
    struct memtable_pool *pool = memtable->pool;
    struct arena *arena = &memtable->arena;
    size_t room = entry_tree_room(&memtable->tree, entries, bytes);
    if (room <= pool->chunk_bytes && arena_lacks(arena, room))
        pool_take(pool, arena);
    size_t held = arena->reserved_bytes;
    enum varve_status status = entry_tree_reserve(&memtable->tree, entries, bytes);
    pool_charge(pool, held, arena->reserved_bytes);
    return status;
}

size_t memtable_lacks(const struct memtable *memtable, size_t entries, size_t bytes)
{
    size_t room = entry_tree_room(&memtable->tree, entries, bytes);
    struct memtable_pool *pool = memtable->pool;
    if (!arena_lacks(&memtable->arena, room))
        return 0;
    if (room > pool->chunk_bytes)
        return room;
    mutex_lock(&pool->mu.lock);
    bool rests = pool->mu.chunks.count > 0;
    mutex_unlock(&pool->mu.lock);
    return rests ? 0 : pool->chunk_bytes;
}

void memtable_add(struct memtable *memtable, uint64_t sequence, const struct batch_op *op)
{
    assert(sequence > 0 && sequence <= ENTRY_SEQUENCE_MAX && op->kind <= ENTRY_KIND_MAX);
    assert(sequence >= atomic_load_explicit(&memtable->sequence_last, memory_order_relaxed));
    struct varve_slice value = op->kind != ENTRY_DELETE ? op->value : varve_slice(NULL, 0);
    const uint64_t hash = hash_slice(op->key);
    __builtin_prefetch(filter_word(memtable, hash), 1);
    const size_t held = memtable->arena.reserved_bytes;
    entry_tree_insert(&memtable->tree, op->key, entry_tag(sequence, op->kind), value);
    if (memtable->arena.reserved_bytes != held) /* the tree outgrew its room */
        pool_charge(memtable->pool, held, memtable->arena.reserved_bytes);
    filter_add(memtable, hash);

    size_t entries = atomic_load_explicit(&memtable->entries, memory_order_relaxed);
    if (entries == 0)
        atomic_store_explicit(&memtable->sequence_first, sequence, memory_order_relaxed);
    atomic_store_explicit(&memtable->sequence_last, sequence, memory_order_relaxed);
    atomic_store_explicit(&memtable->entries, entries + 1, memory_order_relaxed);
    atomic_store_explicit(&memtable->bytes, entries_bytes(memtable), memory_order_relaxed);
}

enum varve_status memtable_get(struct memtable *memtable, struct varve_slice target,
                               uint64_t *ret_tag, struct varve_slice *ret_value)
{
    const struct tree_entry *entry = entry_tree_seek(&memtable->tree, target);
    if (entry == NULL)
        return VARVE_NOT_FOUND;
    struct varve_slice key = tree_entry_key(entry);
    if (key.size != target.size || memcmp(key.data, target.data, key.size - ENTRY_TAG_BYTES) != 0)
        return VARVE_NOT_FOUND;
    *ret_tag = entry_key_tag(key);
    *ret_value = tree_entry_value(entry);
    return VARVE_OK;
}

static void iterator_stand_on(struct memtable_iterator *it, const struct tree_entry *entry)
{
    it->entry = entry;
    it->base.valid = entry != NULL;
    if (entry != NULL) {
        it->base.key = tree_entry_key(entry);
        it->base.value = tree_entry_value(entry);
        tree_entry_prefetch(tree_entry_next(entry)); /* while the caller works on this one */
    }
}

static void iterator_seek_first(struct entry_iterator *base)
{
    struct memtable_iterator *it = (struct memtable_iterator *)base;
    iterator_stand_on(it, entry_tree_first(&it->memtable->tree));
}

static void iterator_seek_last(struct entry_iterator *base)
{
    struct memtable_iterator *it = (struct memtable_iterator *)base;
    iterator_stand_on(it, entry_tree_last(&it->memtable->tree));
}

static void iterator_seek(struct entry_iterator *base, struct varve_slice internal_key)
{
    struct memtable_iterator *it = (struct memtable_iterator *)base;
    iterator_stand_on(it, entry_tree_seek(&it->memtable->tree, internal_key));
}

static void iterator_next(struct entry_iterator *base)
{
    struct memtable_iterator *it = (struct memtable_iterator *)base;
    assert(base->valid);
    iterator_stand_on(it, tree_entry_next(it->entry));
}

static void iterator_prev(struct entry_iterator *base)
{
    struct memtable_iterator *it = (struct memtable_iterator *)base;
    assert(base->valid);
    iterator_stand_on(it, entry_tree_prev(&it->memtable->tree, it->entry));
}

static void iterator_free(struct entry_iterator *base)
{
    struct memtable_iterator *it = (struct memtable_iterator *)base;
    memtable_unref(it->memtable);
    free(it);
}

static const struct entry_iterator_ops iterator_ops = {
    .seek_first = iterator_seek_first,
    .seek_last = iterator_seek_last,
    .seek = iterator_seek,
    .next = iterator_next,
    .prev = iterator_prev,
    .free = iterator_free,
};

enum varve_status memtable_iterator_new(struct memtable *memtable,
                                        struct entry_iterator **ret_iterator)
{
    struct memtable_iterator *it = calloc(1, sizeof *it);
    if (it == NULL)
        return status_raise(VARVE_NO_MEMORY);
    it->base.ops = &iterator_ops;
    memtable_ref(memtable);
    it->memtable = memtable;
    *ret_iterator = &it->base;
    return VARVE_OK;
}

size_t memtable_bytes(const struct memtable *memtable)
{
    return atomic_load_explicit(&memtable->bytes, memory_order_relaxed);
}

size_t memtable_entries(const struct memtable *memtable)
{
    return atomic_load_explicit(&memtable->entries, memory_order_relaxed);
}

uint64_t memtable_segment_id(const struct memtable *memtable)
{
    return memtable->segment_id;
}

void memtable_sequences(const struct memtable *memtable, uint64_t *ret_first, uint64_t *ret_last)
{
    *ret_first = atomic_load_explicit(&memtable->sequence_first, memory_order_relaxed);
    *ret_last = atomic_load_explicit(&memtable->sequence_last, memory_order_relaxed);
}
