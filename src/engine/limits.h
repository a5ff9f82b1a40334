/*
 * engine/limits.h: what the parts of a store may take, as it follows from the options together. All
 * of it is settled when a store is opened. Pure but for the first. Thread safe.
 */
#ifndef ENGINE_LIMITS_H
#define ENGINE_LIMITS_H

#include <varve/options.h>

#include "engine/memory_budget.h"

/* Tables: no more than the process can have files for. */
size_t limits_open_tables(const struct varve_options *options);

/* The memory budget: where none is set, the sum of what memtables, cached blocks with open tables,
 * and the queue may take by themselves. */
size_t limits_memory_bytes(const struct varve_options *options);

/* Batches that wait in the queue. */
size_t limits_queue_bytes(const struct varve_options *options);

/* A piece of a memtable's memory. */
size_t limits_chunk_bytes(const struct varve_options *options);

/* Chunks that rest for the next memtables: all that there ever were where the cache keeps its room
 * beside them and a full memtable, but those of one memtable in any case. `unused`: the budget,
 * before anything is charged to it. */
size_t limits_resting_bytes(const struct varve_options *options,
                            const struct memory_budget *unused);

/* Cached blocks, and index and filter of open tables, together: the cache's budget and 64 MiB more,
 * or as much of these as a budget that was set leaves beside all memtables and a full queue. */
size_t limits_cache_bytes(const struct varve_options *options, const struct memory_budget *unused);

#endif
