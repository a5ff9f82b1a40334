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

/* The memory budget: where none is set, the sum of what each part may take by itself. */
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

#endif
