/* Fractions of what was asked for or of what there is; each limit says whose. */
#include "engine/limits.h"

#include "os/arena.h"
#include "os/env.h"

#define MEMTABLE_CHUNKS_LEAST 8u

/* The part of a memory budget that batches in the queue may take. */
#define QUEUE_FRACTION 4u

/* What index and filter of open tables may take beyond the cache's budget. */
#define TABLES_BEYOND_BYTES ((size_t)64 << 20)

/* A quarter of the descriptors that the process may have stays for all else. */
size_t limits_open_tables(const struct varve_options *options)
{
    const size_t most = env_files_max() / 4 * 3;
    return options->open_tables_max < most ? options->open_tables_max : most;
}

size_t limits_memory_bytes(const struct varve_options *options)
{
    if (options->memory_budget_bytes != 0)
        return options->memory_budget_bytes;
    return options->memtables_max * options->memtable_bytes + options->block_cache_bytes +
           TABLES_BEYOND_BYTES + options->write_queue_bytes;
}

size_t limits_queue_bytes(const struct varve_options *options)
{
    const size_t most = options->memory_budget_bytes / QUEUE_FRACTION;
    return most != 0 && most < options->write_queue_bytes ? most : options->write_queue_bytes;
}

size_t limits_chunk_bytes(const struct varve_options *options)
{
    const size_t bytes = options->memtable_bytes / MEMTABLE_CHUNKS_LEAST;
    return bytes < ARENA_HUGE_CHUNK_BYTES ? bytes : ARENA_HUGE_CHUNK_BYTES;
}

size_t limits_resting_bytes(const struct varve_options *options, const struct memory_budget *unused)
{
    const size_t least = options->memtable_bytes, all = options->memtables_max * least;
    const size_t beside = memory_budget_cache_room(unused, options->block_cache_bytes + least);
    if (beside < least)
        return least;
    return beside < all ? beside : all;
}

size_t limits_cache_bytes(const struct varve_options *options, const struct memory_budget *unused)
{
    const size_t own = options->block_cache_bytes, most = own + TABLES_BEYOND_BYTES;
    if (options->memory_budget_bytes == 0)
        return most;
    const size_t memtables = options->memtables_max * options->memtable_bytes;
    const size_t room = memory_budget_cache_room(unused, memtables + limits_queue_bytes(options));
    if (room < own)
        return own;
    return room < most ? room : most;
}
