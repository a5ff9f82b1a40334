/*
 * Blocks are spread over shards by a hash of (table, offset); each shard is a hash table with its
 * own lock and its own share of the budget. Its slots are one array, probed in order, at most half
 * full, and have all that finding a block takes: a hit waits for memory once, and while it goes on
 * the block's head and the end of its data, where its readers begin, are on their way.
 *
 * A block counts its references: one of the hash table and one for each pin. References are only
 * added under the shard's lock and only to a block in the table; so one that the table alone holds
 * can be evicted under the lock, and a pin is dropped without it.
 *
 * Eviction is CLOCK in the form of a list with a second chance: new blocks come to its front; at
 * its back a block that was asked for since it came there goes to the front once more. A hit just
 * marks the block, which costs less than moving it.
 *
 * When a shard is full only one in ADMISSION_PERIOD of the blocks that are read comes in for others
 * (bimodal insertion: Qureshi and others, 2007). Where more is read than fits, at random or in a
 * loop, letting all in would buy no hits, for each drives out one just as good; what is asked for
 * again and again comes in soon all the same.
 *
 * A miss reads from the file with no lock held. Two threads may read the same block at once; the
 * first to come back puts its copy in, the other drops its own.
 */
#include "engine/block_cache.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "os/sync.h"

#define SHARD_BITS 4u
#define SHARD_COUNT (1u << SHARD_BITS)
#define SLOTS_MIN 32u /* per shard, a power of two; doubled when half of them are taken */

#define ADMISSION_PERIOD 8u

/* What the system's allocator adds to the two pieces of a block, about. */
#define BLOCK_PIECES_BYTES 32u

/* The part of the budget that stays whatever others take. */
#define FLOOR_FRACTION 4u

/* The part of the budget that open tables leave for blocks. No more: to open a table anew costs as
 * much as to read some hundred blocks. */
#define BLOCKS_FRACTION 8u

struct cached_block {
    struct cached_block *newer, *older; /* in the shard's list */
    uint64_t file_id, offset;
    uint8_t *data;
    size_t size;
    _Atomic uint32_t references;
    enum memory_kind charged; /* as; changes under the shard's lock */
    bool asked;               /* since it was last at the front; under the shard's lock */
};

struct block_slot {
    uint64_t hash;              /* of the block */
    struct cached_block *block; /* NULL: free, and the end of every probe that comes here */
    const uint8_t *data_end;    /* its last byte */
};

struct block_shard {
    struct mutex lock;
    struct block_slot *slots;
    size_t slot_count; /* a power of two */
    size_t block_count;
    size_t bytes;
    unsigned newcomers; /* that found it full */
    struct cached_block *newest, *oldest;
    uint64_t lookups, hits, evictions, block_reads, block_read_bytes;
};

struct cache_fetcher {
    struct block_fetcher base; /* first */
    struct block_cache *cache;
    bool may_wait; /* for the disk */
};

struct block_cache {
    struct cache_fetcher waiting, unwaiting;
    size_t budget_bytes, together_bytes;
    struct memory_budget *memory;
    _Atomic int64_t charged_bytes, slot_bytes;
    _Atomic uint64_t stretch_blocks, stretch_bytes; /* that passes read by themselves */
    struct block_shard shards[SHARD_COUNT];
};

static uint64_t block_hash(uint64_t file_id, uint64_t offset)
{
    return hash_mix(hash_mix(file_id) ^ offset);
}

static struct block_shard *shard_of(struct block_cache *cache, uint64_t hash)
{
    return &cache->shards[hash >> (64 - SHARD_BITS)];
}

static size_t block_bytes(const struct cached_block *block)
{
    return sizeof *block + block->size + BLOCK_PIECES_BYTES;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t left_of(size_t bytes, size_t taken)
{
    return bytes > taken ? bytes - taken : 0;
}

/* What others leave that have what is charged now and `more_bytes`. */
static size_t room_now(const struct block_cache *cache, size_t more_bytes)
{
    return memory_budget_cache_room(cache->memory, more_bytes);
}

/* The budget, as far as there is room. */
static size_t own_bytes_max(const struct block_cache *cache, size_t room)
{
    return larger(smaller(room, cache->budget_bytes), cache->budget_bytes / FLOOR_FRACTION);
}

bool block_cache_tables_are_over(const struct block_cache *cache, size_t more_bytes)
{
    const int64_t charged = atomic_load_explicit(&cache->charged_bytes, memory_order_relaxed);
    const size_t room = room_now(cache, more_bytes), most = own_bytes_max(cache, room);
    const size_t own = most - most / BLOCKS_FRACTION;
    const size_t beyond =
        left_of(smaller(room, cache->together_bytes), cache->budget_bytes / BLOCKS_FRACTION);
    return charged > 0 && (size_t)charged > larger(own, beyond);
}

/* What blocks may take in one shard, with `more_bytes` for others: what tables leave of the budget,
 * or an eighth of it beside tables that go beyond. */
static size_t shard_share(struct block_cache *cache, size_t more_bytes)
{
    const int64_t charged = atomic_load_explicit(&cache->charged_bytes, memory_order_relaxed) +
                            atomic_load_explicit(&cache->slot_bytes, memory_order_relaxed);
    const size_t taken = charged > 0 ? (size_t)charged : 0, room = room_now(cache, more_bytes);
    const size_t own = left_of(own_bytes_max(cache, room), taken);
    const size_t beyond = left_of(smaller(room, cache->together_bytes), taken);
    return larger(own, smaller(beyond, cache->budget_bytes / BLOCKS_FRACTION)) / SHARD_COUNT;
}

static void block_charge(struct block_cache *cache, struct cached_block *block,
                         enum memory_kind kind)
{
    memory_budget_charge(cache->memory, kind, (int64_t)block_bytes(block));
    block->charged = kind;
}

static void block_uncharge(struct block_cache *cache, const struct cached_block *block)
{
    memory_budget_charge(cache->memory, block->charged, -(int64_t)block_bytes(block));
}

static void block_unref(struct block_cache *cache, struct cached_block *block)
{
    if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) != 1)
        return;
    block_uncharge(cache, block);
    free(block->data);
    free(block);
}

static void list_push_locked(struct block_shard *shard, struct cached_block *block)
{
    block->newer = NULL;
    block->older = shard->newest;
    if (shard->newest != NULL)
        shard->newest->newer = block;
    else
        shard->oldest = block;
    shard->newest = block;
}

static void list_unlink_locked(struct block_shard *shard, struct cached_block *block)
{
    *(block->newer != NULL ? &block->newer->older : &shard->newest) = block->older;
    *(block->older != NULL ? &block->older->newer : &shard->oldest) = block->newer;
}

static size_t slot_behind(const struct block_shard *shard, size_t slot)
{
    return (slot + 1) & (shard->slot_count - 1);
}

static bool slot_is_of(const struct block_slot *slot, uint64_t hash, uint64_t file_id,
                       uint64_t offset)
{
    return slot->hash == hash && slot->block->offset == offset && slot->block->file_id == file_id;
}

/* The block's slot, or the free one where it would go. */
static struct block_slot *find_locked(struct block_shard *shard, uint64_t hash, uint64_t file_id,
                                      uint64_t offset)
{
    size_t at = hash & (shard->slot_count - 1);
    for (; shard->slots[at].block != NULL; at = slot_behind(shard, at)) {
        if (shard->slots[at].hash == hash) {
            __builtin_prefetch(shard->slots[at].data_end);
            if (slot_is_of(&shard->slots[at], hash, file_id, offset))
                break;
        }
    }
    return &shard->slots[at];
}

static void slots_charge(struct block_cache *cache, int64_t count)
{
    int64_t bytes = count * (int64_t)sizeof(struct block_slot);
    atomic_fetch_add_explicit(&cache->slot_bytes, bytes, memory_order_relaxed);
    memory_budget_charge(cache->memory, MEMORY_CACHE, bytes);
}

static void slot_fill_locked(struct block_shard *shard, const struct block_slot *slot)
{
    size_t at = slot->hash & (shard->slot_count - 1);
    while (shard->slots[at].block != NULL)
        at = slot_behind(shard, at);
    shard->slots[at] = *slot;
}

/* Makes room for one block more; false without memory for it. */
static bool grow_locked(struct block_cache *cache, struct block_shard *shard)
{
    if (shard->block_count < shard->slot_count / 2)
        return true;
    struct block_slot *old = shard->slots;
    size_t old_count = shard->slot_count;
    struct block_slot *slots = calloc(old_count * 2, sizeof *slots);
    if (slots == NULL)
        return false;
    shard->slots = slots;
    shard->slot_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].block != NULL)
            slot_fill_locked(shard, &old[i]);
    free(old);
    slots_charge(cache, (int64_t)old_count);
    return true;
}

/* Frees a slot, and moves into the gap whatever its probe would not be found behind any more. */
static void slot_empty_locked(struct block_shard *shard, struct block_slot *slot)
{
    const size_t mask = shard->slot_count - 1;
    size_t gap = (size_t)(slot - shard->slots);
    for (size_t at = slot_behind(shard, gap); shard->slots[at].block != NULL;
         at = slot_behind(shard, at)) {
        size_t from_home = (at - shard->slots[at].hash) & mask, from_gap = (at - gap) & mask;
        if (from_home >= from_gap) {
            shard->slots[gap] = shard->slots[at];
            gap = at;
        }
    }
    shard->slots[gap] = (struct block_slot){0};
}

/* Takes a block that nobody pins out of the table and drops the table's reference. */
static void remove_locked(struct block_cache *cache, struct block_shard *shard,
                          struct cached_block *block)
{
    assert(mutex_is_held(&shard->lock));
    uint64_t hash = block_hash(block->file_id, block->offset);
    struct block_slot *slot = find_locked(shard, hash, block->file_id, block->offset);
    assert(slot->block == block);
    slot_empty_locked(shard, slot);
    list_unlink_locked(shard, block);
    shard->block_count--;
    shard->bytes -= block_bytes(block);
    block_unref(cache, block);
}

/* Evicts until no more than `bytes_max` are left, or all that is left is pinned. Every block gets
 * its second chance at most once, so twice the number of blocks is enough. */
static void trim_locked(struct block_cache *cache, struct block_shard *shard, size_t bytes_max)
{
    assert(mutex_is_held(&shard->lock));
    size_t steps = 2 * shard->block_count;
    for (; shard->bytes > bytes_max && steps > 0; steps--) {
        struct cached_block *block = shard->oldest;
        bool pinned = atomic_load_explicit(&block->references, memory_order_acquire) > 1;
        if (pinned || block->asked) {
            block->asked = false;
            list_unlink_locked(shard, block);
            list_push_locked(shard, block);
            continue;
        }
        remove_locked(cache, shard, block);
        shard->evictions++;
    }
}

static void pin_locked(struct cached_block *block)
{
    atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
}

/* A pinned block, or NULL. A pass that fills nothing (a merge, a long scan) leaves the order of
 * eviction and the figures as they are. A miss is counted with the block that is read for it. */
static struct cached_block *look_up(struct block_cache *cache, uint64_t hash, uint64_t file_id,
                                    uint64_t offset, bool fill)
{
    struct block_shard *shard = shard_of(cache, hash);
    mutex_lock(&shard->lock);
    struct cached_block *block = find_locked(shard, hash, file_id, offset)->block;
    if (block != NULL)
        pin_locked(block);
    if (block != NULL && fill) {
        block->asked = true;
        shard->lookups++;
        shard->hits++;
    }
    mutex_unlock(&shard->lock);
    return block;
}

/* Whether a block may come in, which where there is more than `bytes_max` means that others go. */
static bool is_admitted_locked(struct block_shard *shard, size_t bytes_max)
{
    return shard->bytes <= bytes_max || shard->newcomers++ % ADMISSION_PERIOD == 0;
}

/* Puts a block just read, with its one reference the caller's, into the table if it is worth
 * keeping and there is room. Gives back the block to use, pinned: another thread's may have been
 * there first. */
static struct cached_block *insert(struct block_cache *cache, uint64_t hash,
                                   struct cached_block *block, bool keep)
{
    struct block_shard *shard = shard_of(cache, hash);
    size_t share = shard_share(cache, 0), bytes = block_bytes(block);
    struct cached_block *use = block;
    enum memory_kind kind = MEMORY_READS;
    mutex_lock(&shard->lock);
    shard->block_reads++;
    shard->block_read_bytes += block->size;
    shard->lookups += keep;
    if (keep && bytes <= share && is_admitted_locked(shard, share - bytes)) {
        struct cached_block *found = find_locked(shard, hash, block->file_id, block->offset)->block;
        if (found != NULL) {
            pin_locked(found);
            found->asked = true;
            use = found;
        } else {
            trim_locked(cache, shard, share - bytes);
        }
        if (found == NULL && shard->bytes + bytes <= share && grow_locked(cache, shard)) {
            slot_fill_locked(shard, &(struct block_slot){
                                        .hash = hash,
                                        .block = block,
                                        .data_end = block->data + block->size - 1,
                                    });
            list_push_locked(shard, block);
            shard->block_count++;
            shard->bytes += bytes;
            atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
            kind = MEMORY_CACHE;
        }
    } else {
        trim_locked(cache, shard, share); /* which others may have made less */
    }
    block_charge(cache, block, kind);
    mutex_unlock(&shard->lock);
    if (use != block)
        block_unref(cache, block);
    return use;
}

static enum varve_status cache_fetch(struct block_fetcher *fetcher, struct sstable_reader *reader,
                                     struct block_handle handle, bool fill, struct block_ref *ret)
{
    const struct cache_fetcher *own = (struct cache_fetcher *)fetcher;
    struct block_cache *cache = own->cache;
    uint64_t file_id = sstable_reader_file_id(reader);
    uint64_t hash = block_hash(file_id, handle.offset);
    struct cached_block *block = look_up(cache, hash, file_id, handle.offset, fill);
    if (block == NULL) {
        block = calloc(1, sizeof *block);
        if (block == NULL)
            return status_raise(VARVE_NO_MEMORY);
        enum varve_status status =
            own->may_wait
                ? sstable_reader_read_block(reader, handle, &block->data, &block->size)
                : sstable_reader_read_cached_block(reader, handle, &block->data, &block->size);
        if (status != VARVE_OK) {
            free(block);
            return status;
        }
        block->file_id = file_id;
        block->offset = handle.offset;
        atomic_init(&block->references, 1);
        block = insert(cache, hash, block, fill);
        ret->was_read = true;
    }
    ret->data = varve_slice(block->data, block->size);
    ret->pin = block;
    return VARVE_OK;
}

static void cache_release(struct block_fetcher *fetcher, struct block_ref *ref)
{
    struct cache_fetcher *own = (struct cache_fetcher *)fetcher;
    if (ref->pin != NULL)
        block_unref(own->cache, ref->pin);
    *ref = (struct block_ref){0};
}

static void cache_account(struct block_fetcher *fetcher, uint64_t blocks, uint64_t bytes,
                          int64_t more_held)
{
    struct block_cache *cache = ((struct cache_fetcher *)fetcher)->cache;
    atomic_fetch_add_explicit(&cache->stretch_blocks, blocks, memory_order_relaxed);
    atomic_fetch_add_explicit(&cache->stretch_bytes, bytes, memory_order_relaxed);
    memory_budget_charge(cache->memory, MEMORY_READS, more_held);
}

enum varve_status block_cache_new(size_t budget_bytes, size_t together_bytes,
                                  struct memory_budget *memory, struct block_cache **ret_cache)
{
    struct block_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return status_raise(VARVE_NO_MEMORY);
    const struct block_fetcher base = {
        .fetch = cache_fetch, .release = cache_release, .account = cache_account};
    cache->waiting = (struct cache_fetcher){.base = base, .cache = cache, .may_wait = true};
    cache->unwaiting = (struct cache_fetcher){.base = base, .cache = cache};
    cache->budget_bytes = budget_bytes;
    cache->together_bytes = together_bytes;
    cache->memory = memory;
    atomic_init(&cache->charged_bytes, 0);
    atomic_init(&cache->slot_bytes, 0);
    for (size_t i = 0; i < SHARD_COUNT; i++)
        mutex_init(&cache->shards[i].lock);
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        struct block_shard *shard = &cache->shards[i];
        shard->slots = calloc(SLOTS_MIN, sizeof *shard->slots);
        if (shard->slots == NULL) {
            block_cache_free(cache);
            return status_raise(VARVE_NO_MEMORY);
        }
        shard->slot_count = SLOTS_MIN;
        slots_charge(cache, SLOTS_MIN);
    }
    *ret_cache = cache;
    return VARVE_OK;
}

void block_cache_free(struct block_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        struct block_shard *shard = &cache->shards[i];
        struct cached_block *block = shard->newest;
        while (block != NULL) {
            struct cached_block *older = block->older;
            assert(atomic_load(&block->references) == 1);
            block_unref(cache, block);
            block = older;
        }
        slots_charge(cache, -(int64_t)shard->slot_count);
        free(shard->slots);
        mutex_deinit(&shard->lock);
    }
    free(cache);
}

struct block_fetcher *block_cache_fetcher(struct block_cache *cache)
{
    return &cache->waiting.base;
}

struct block_fetcher *block_cache_fetcher_unwaiting(struct block_cache *cache)
{
    return &cache->unwaiting.base;
}

void block_cache_drop(struct block_cache *cache, uint64_t file_id, uint64_t offset)
{
    const uint64_t hash = block_hash(file_id, offset);
    struct block_shard *shard = shard_of(cache, hash);
    mutex_lock(&shard->lock);
    struct cached_block *block = find_locked(shard, hash, file_id, offset)->block;
    if (block != NULL && atomic_load_explicit(&block->references, memory_order_acquire) == 1)
        remove_locked(cache, shard, block);
    mutex_unlock(&shard->lock);
}

void block_cache_trim(struct block_cache *cache, size_t more_bytes)
{
    size_t share = shard_share(cache, more_bytes);
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        mutex_lock(&cache->shards[i].lock);
        trim_locked(cache, &cache->shards[i], share);
        mutex_unlock(&cache->shards[i].lock);
    }
}

void block_cache_charge(struct block_cache *cache, int64_t bytes)
{
    atomic_fetch_add_explicit(&cache->charged_bytes, bytes, memory_order_relaxed);
    memory_budget_charge(cache->memory, MEMORY_TABLES, bytes);
    if (bytes > 0)
        block_cache_trim(cache, 0);
}

void block_cache_stats(struct block_cache *cache, struct block_cache_stats *ret_stats)
{
    const size_t room = room_now(cache, 0);
    struct block_cache_stats stats = {
        .bytes_max = larger(own_bytes_max(cache, room), smaller(room, cache->together_bytes)),
        .block_reads = atomic_load_explicit(&cache->stretch_blocks, memory_order_relaxed),
        .block_read_bytes = atomic_load_explicit(&cache->stretch_bytes, memory_order_relaxed),
    };
    int64_t charged = atomic_load_explicit(&cache->charged_bytes, memory_order_relaxed);
    stats.charged_bytes = charged > 0 ? (uint64_t)charged : 0;
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        struct block_shard *shard = &cache->shards[i];
        mutex_lock(&shard->lock);
        stats.lookups += shard->lookups;
        stats.hits += shard->hits;
        stats.evictions += shard->evictions;
        stats.bytes += shard->bytes;
        stats.block_reads += shard->block_reads;
        stats.block_read_bytes += shard->block_read_bytes;
        mutex_unlock(&shard->lock);
    }
    *ret_stats = stats;
}
