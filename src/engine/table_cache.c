/*
 * Open tables in a hash table of shards, each with its lock. A handle counts its references: one
 * of the shard and one for each pin. As in the block cache, references are added only under the
 * shard's lock and dropped without it; a handle that nobody pins any more and the shard has let go
 * closes its table.
 *
 * The limit is one for all shards. When it is passed, or when open tables take more of the cache's
 * budget than they may (which is looked at where it grows, not with every read), tables are closed
 * that nobody pins. This is CLOCK: a hand goes round the shards, and through the handles of each;
 * one that was asked for since the hand came by stays until the next round. So it is roughly the
 * least recently used that goes, and a hit moves nothing.
 *
 * A table is opened with no lock held. Two threads may open the same one at once; the first to come
 * back puts its handle in, the other drops its own.
 */
#include "engine/table_cache.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "format/filename.h"
#include "os/sync.h"

#define SHARD_COUNT 16u
#define BUCKET_COUNT 256u /* per shard: for 4,000 open tables about one in each */

#define CLOSED_MOST 64u /* by one that opens or releases a table */

/* So many stay open whatever they take: with fewer, every read would open what the one before it
 * has closed. */
#define OPEN_LEAST 16u

struct table_handle {
    struct table_handle *hash_next;
    struct table_handle *newer, *older; /* in the shard's list */
    struct sstable_reader *reader;
    uint64_t file_id;
    size_t charged_bytes;
    _Atomic uint32_t references;
    bool asked; /* since it was last at the front; under the shard's lock */
};

struct table_shard {
    struct mutex lock;
    size_t count;
    struct table_handle *newest, *oldest;
    struct table_handle *buckets[BUCKET_COUNT];
};

struct table_cache {
    struct env *env;
    char *dir;
    size_t open_max;
    struct block_cache *blocks;
    _Atomic size_t open_count;
    _Atomic size_t hand; /* the shard to close a table of next */
    struct table_shard shards[SHARD_COUNT];
};

static struct table_shard *shard_of(struct table_cache *cache, uint64_t hash)
{
    return &cache->shards[hash / BUCKET_COUNT % SHARD_COUNT];
}

enum varve_status table_cache_new(struct env *env, const char *dir, size_t open_max,
                                  struct block_cache *blocks, struct table_cache **ret_cache)
{
    struct table_cache *cache = calloc(1, sizeof *cache);
    char *dir_copy = strdup(dir);
    if (cache == NULL || dir_copy == NULL) {
        free(cache);
        free(dir_copy);
        return status_raise(VARVE_NO_MEMORY);
    }
    cache->env = env;
    cache->dir = dir_copy;
    cache->open_max = open_max;
    cache->blocks = blocks;
    for (size_t i = 0; i < SHARD_COUNT; i++)
        mutex_init(&cache->shards[i].lock);
    *ret_cache = cache;
    return VARVE_OK;
}

static void handle_unref(struct table_cache *cache, struct table_handle *handle)
{
    if (atomic_fetch_sub_explicit(&handle->references, 1, memory_order_acq_rel) != 1)
        return;
    block_cache_charge(cache->blocks, -(int64_t)handle->charged_bytes);
    atomic_fetch_sub_explicit(&cache->open_count, 1, memory_order_relaxed);
    sstable_reader_free(handle->reader);
    free(handle);
}

void table_cache_free(struct table_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        struct table_handle *handle = cache->shards[i].newest;
        while (handle != NULL) {
            struct table_handle *older = handle->older;
            assert(atomic_load(&handle->references) == 1);
            handle_unref(cache, handle);
            handle = older;
        }
        mutex_deinit(&cache->shards[i].lock);
    }
    assert(atomic_load(&cache->open_count) == 0);
    free(cache->dir);
    free(cache);
}

static struct table_handle **find_locked(struct table_shard *shard, uint64_t hash, uint64_t file_id)
{
    struct table_handle **link = &shard->buckets[hash % BUCKET_COUNT];
    while (*link != NULL && (*link)->file_id != file_id)
        link = &(*link)->hash_next;
    return link;
}

static void list_push_locked(struct table_shard *shard, struct table_handle *handle)
{
    handle->newer = NULL;
    handle->older = shard->newest;
    if (shard->newest != NULL)
        shard->newest->newer = handle;
    else
        shard->oldest = handle;
    shard->newest = handle;
}

static void list_unlink_locked(struct table_shard *shard, struct table_handle *handle)
{
    *(handle->newer != NULL ? &handle->newer->older : &shard->newest) = handle->older;
    *(handle->older != NULL ? &handle->older->newer : &shard->oldest) = handle->newer;
}

static void pin_locked(struct table_handle *handle)
{
    atomic_fetch_add_explicit(&handle->references, 1, memory_order_relaxed);
    handle->asked = true;
}

/* Takes the handle out of its shard; the shard's reference is the caller's to drop, unlocked. */
static void remove_locked(struct table_shard *shard, struct table_handle *handle)
{
    assert(mutex_is_held(&shard->lock));
    struct table_handle **link = find_locked(shard, hash_mix(handle->file_id), handle->file_id);
    assert(*link == handle);
    *link = handle->hash_next;
    list_unlink_locked(shard, handle);
    shard->count--;
}

/* Looks at each handle of the shard once. Takes the first out that nobody pins and nobody asked for
 * since it was last looked at; NULL when there is none. */
static struct table_handle *evict_locked(struct table_shard *shard)
{
    assert(mutex_is_held(&shard->lock));
    for (size_t steps = shard->count; steps > 0; steps--) {
        struct table_handle *handle = shard->oldest;
        bool pinned = atomic_load_explicit(&handle->references, memory_order_acquire) > 1;
        if (!pinned && !handle->asked) {
            remove_locked(shard, handle);
            return handle;
        }
        handle->asked = false;
        list_unlink_locked(shard, handle);
        list_push_locked(shard, handle);
    }
    return NULL;
}

static bool are_too_many(struct table_cache *cache)
{
    const size_t open = atomic_load_explicit(&cache->open_count, memory_order_relaxed);
    return open > cache->open_max;
}

static bool are_too_large(struct table_cache *cache, size_t more_bytes)
{
    const size_t open = atomic_load_explicit(&cache->open_count, memory_order_relaxed);
    return open > OPEN_LEAST && block_cache_tables_are_over(cache->blocks, more_bytes);
}

/* Closes one; false when all are pinned: after two rounds of the shards without one. */
static bool close_one(struct table_cache *cache)
{
    for (size_t tries = 2 * SHARD_COUNT; tries > 0; tries--) {
        size_t at = atomic_fetch_add_explicit(&cache->hand, 1, memory_order_relaxed);
        struct table_shard *shard = &cache->shards[at % SHARD_COUNT];
        mutex_lock(&shard->lock);
        struct table_handle *handle = evict_locked(shard);
        mutex_unlock(&shard->lock);
        if (handle == NULL)
            continue;
        handle_unref(cache, handle);
        return true;
    }
    return false;
}

/* No more than a few at a time, for others may wait for the caller. */
static void close_some(struct table_cache *cache, bool for_memory)
{
    for (size_t left = CLOSED_MOST; left > 0; left--) {
        if (!are_too_many(cache) && !(for_memory && are_too_large(cache, 0)))
            return;
        if (!close_one(cache))
            return;
    }
}

/* As many as it takes: the caller would flush a memtable otherwise, which costs more. */
void table_cache_trim(struct table_cache *cache, size_t more_bytes)
{
    while (are_too_large(cache, more_bytes) && close_one(cache)) {
    }
}

static enum varve_status open_handle(struct table_cache *cache, const struct table *table,
                                     struct table_handle **ret_handle,
                                     struct varve_error *ret_error)
{
    char path[FILENAME_BYTES_MAX];
    uint64_t file_id = table->meta.file_id;
    enum varve_status status = filename_path(path, cache->dir, FILE_TABLE, file_id);
    if (status != VARVE_OK)
        return error_set(ret_error, status, cache->dir, STATUS_NO_OFFSET, "the path is too long");
    struct table_handle *handle = calloc(1, sizeof *handle);
    if (handle == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, path, STATUS_NO_OFFSET, "out of memory");
    status = sstable_reader_open(cache->env, path, file_id, table->meta.file_bytes, &handle->reader,
                                 ret_error);
    if (status != VARVE_OK) {
        free(handle);
        if (status == VARVE_NOT_FOUND)
            return error_set(ret_error, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                             "the manifest names this table, but it is missing");
        return status;
    }
    handle->file_id = file_id;
    handle->charged_bytes = sstable_reader_memory_bytes(handle->reader);
    atomic_init(&handle->references, 1);
    atomic_fetch_add_explicit(&cache->open_count, 1, memory_order_relaxed);
    block_cache_charge(cache->blocks, (int64_t)handle->charged_bytes);
    *ret_handle = handle;
    return VARVE_OK;
}

bool table_cache_acquire_open(struct table_cache *cache, const struct table *table,
                              struct table_handle **ret_handle)
{
    uint64_t file_id = table->meta.file_id, hash = hash_mix(file_id);
    struct table_shard *shard = shard_of(cache, hash);
    mutex_lock(&shard->lock);
    struct table_handle *handle = *find_locked(shard, hash, file_id);
    if (handle != NULL)
        pin_locked(handle);
    mutex_unlock(&shard->lock);
    if (handle != NULL)
        *ret_handle = handle;
    return handle != NULL;
}

enum varve_status table_cache_acquire(struct table_cache *cache, const struct table *table,
                                      struct table_handle **ret_handle,
                                      struct varve_error *ret_error)
{
    if (table_cache_acquire_open(cache, table, ret_handle))
        return VARVE_OK;

    uint64_t file_id = table->meta.file_id, hash = hash_mix(file_id);
    struct table_shard *shard = shard_of(cache, hash);

    struct table_handle *opened = NULL;
    enum varve_status status = open_handle(cache, table, &opened, ret_error);
    if (status != VARVE_OK)
        return status;
    mutex_lock(&shard->lock);
    struct table_handle **link = find_locked(shard, hash, file_id);
    struct table_handle *handle = *link;
    if (handle == NULL) {
        handle = opened;
        *link = handle;
        list_push_locked(shard, handle);
        shard->count++;
        atomic_fetch_add_explicit(&handle->references, 1, memory_order_relaxed);
    } else {
        pin_locked(handle);
    }
    mutex_unlock(&shard->lock);
    if (handle != opened)
        handle_unref(cache, opened);
    close_some(cache, true);
    *ret_handle = handle;
    return VARVE_OK;
}

void table_cache_release(struct table_cache *cache, struct table_handle *handle)
{
    handle_unref(cache, handle);
    close_some(cache, false); /* it may have been open beyond the limit */
}

struct sstable_reader *table_handle_reader(struct table_handle *handle)
{
    return handle->reader;
}

static void blocks_drop(struct table_cache *cache, const struct table_handle *handle)
{
    const struct sstable_index *index = sstable_reader_index(handle->reader);
    for (size_t at = 0; at < index->count; at++)
        block_cache_drop(cache->blocks, handle->file_id, sstable_index_offset(index, at));
}

void table_cache_drop(struct table_cache *cache, uint64_t file_id)
{
    uint64_t hash = hash_mix(file_id);
    struct table_shard *shard = shard_of(cache, hash);
    mutex_lock(&shard->lock);
    struct table_handle *handle = *find_locked(shard, hash, file_id);
    if (handle != NULL)
        remove_locked(shard, handle);
    mutex_unlock(&shard->lock);
    if (handle == NULL)
        return;
    blocks_drop(cache, handle);
    handle_unref(cache, handle);
}

size_t table_cache_open_count(struct table_cache *cache)
{
    return atomic_load_explicit(&cache->open_count, memory_order_relaxed);
}

struct block_fetcher *table_cache_fetcher(struct table_cache *cache)
{
    return block_cache_fetcher(cache->blocks);
}
