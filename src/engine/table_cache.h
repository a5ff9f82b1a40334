/*
 * engine/table_cache.h: open tables, at most so many at a time and no more than the cache's budget
 * has room for, roughly the least recently used closed first (one in use is never closed, so the
 * limits may be passed while all are). Thread safe.
 */
#ifndef ENGINE_TABLE_CACHE_H
#define ENGINE_TABLE_CACHE_H

#include "engine/block_cache.h"
#include "engine/version.h"
#include "format/sstable_reader.h"
#include "os/env.h"

struct table_cache;
struct table_handle; /* a pinned open table */

/* `dir`, `env` and `blocks` are borrowed until the cache is freed. */
MUST_CHECK enum varve_status table_cache_new(struct env *env, const char *dir, size_t open_max,
                                             struct block_cache *blocks,
                                             struct table_cache **ret_cache);
void table_cache_free(struct table_cache *cache); /* nothing pinned any more; takes NULL */

/* The table's reader, opened if need be (outside any lock that a hit takes). Caller releases with
 * table_cache_release. As sstable_reader_open, with VARVE_NOT_FOUND turned to VARVE_CORRUPT: a
 * table that the manifest names has to be there. */
MUST_CHECK enum varve_status table_cache_acquire(struct table_cache *cache,
                                                 const struct table *table,
                                                 struct table_handle **ret_handle,
                                                 struct varve_error *ret_error);
/* The same if it is open already, which never waits for the disk; else false. */
bool table_cache_acquire_open(struct table_cache *cache, const struct table *table,
                              struct table_handle **ret_handle);
void table_cache_release(struct table_cache *cache, struct table_handle *handle);
struct sstable_reader *table_handle_reader(struct table_handle *handle);

/* Closes tables as long as they take more memory than they may, if others are to have
 * `more_bytes`. */
void table_cache_trim(struct table_cache *cache, size_t more_bytes);

/* Closes a table that is gone, when its last pin goes, and lets its blocks go, which would keep
 * others out for long. (Those of a table that was closed before are evicted in their turn.) A
 * table's id is never given again. */
void table_cache_drop(struct table_cache *cache, uint64_t file_id);

size_t table_cache_open_count(struct table_cache *cache);

/* What the blocks of its tables are fetched through: the block cache's. */
struct block_fetcher *table_cache_fetcher(struct table_cache *cache);

/* A pass over the tables of a run, opening each as it comes, keeping one pinned. `run` and what it
 * holds are borrowed until it is freed. `fill`: keep its blocks in the cache. */
MUST_CHECK enum varve_status run_iterator_new(struct table_cache *cache, const struct run *run,
                                              bool fill, struct entry_iterator **ret_iterator);

#endif
