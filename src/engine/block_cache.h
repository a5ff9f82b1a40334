/*
 * engine/block_cache.h: verified data blocks in memory, in shards, within one byte budget that the
 * index and filter blocks of open tables are charged to as well. These may go beyond it by what
 * block_cache_new is told; an eighth of it is left for blocks then. Pinned blocks stay. Thread
 * safe.
 */
#ifndef ENGINE_BLOCK_CACHE_H
#define ENGINE_BLOCK_CACHE_H

#include "engine/memory_budget.h"
#include "format/sstable_reader.h"

struct block_cache;

struct block_cache_stats {
    uint64_t lookups, hits, evictions;
    uint64_t bytes, charged_bytes;          /* now: blocks, charges */
    uint64_t bytes_max;                     /* what both may take now, as far as others leave it */
    uint64_t block_reads, block_read_bytes; /* from files */
};

/* `together_bytes` >= `budget_bytes`: what blocks and open tables may take where these go beyond
 * the budget. All of it is charged to `memory`, borrowed until the cache is freed, and gives way to
 * what else is charged there, down to a quarter of `budget_bytes`. */
MUST_CHECK enum varve_status block_cache_new(size_t budget_bytes, size_t together_bytes,
                                             struct memory_budget *memory,
                                             struct block_cache **ret_cache);
void block_cache_free(struct block_cache *cache); /* nothing pinned any more; takes NULL */

/* What table readers fetch through. Borrowed until the cache is freed. A block that the budget has
 * no room for is still served, and freed on release. */
struct block_fetcher *block_cache_fetcher(struct block_cache *cache);

/* The same for callers that must not wait for the disk: VARVE_WOULD_BLOCK instead. What either has
 * fetched, either may release. */
struct block_fetcher *block_cache_fetcher_unwaiting(struct block_cache *cache);

/* Lets go of a block that nobody will ask for any more; one that is pinned goes in its turn. */
void block_cache_drop(struct block_cache *cache, uint64_t file_id, uint64_t offset);

/* Evicts what is beyond the budget, or beyond what others leave that are to have `more_bytes`. */
void block_cache_trim(struct block_cache *cache, size_t more_bytes);

/* Whether the tables that are open take more than they may, if others are to have `more_bytes`. */
bool block_cache_tables_are_over(const struct block_cache *cache, size_t more_bytes);

/* Memory of open tables that counts against the budget (may be negative to give back). */
void block_cache_charge(struct block_cache *cache, int64_t bytes);

void block_cache_stats(struct block_cache *cache, struct block_cache_stats *ret_stats);

#endif
