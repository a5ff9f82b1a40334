/*
 * varve/options.h: what a store is opened with.
 *
 * Fill a struct with varve_options_init and change what should differ. varve_open copies it; the
 * caller keeps ownership and may drop it at once.
 */
#ifndef VARVE_OPTIONS_H
#define VARVE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits that no option changes. */
#define VARVE_KEY_BYTES_MAX 4096u
#define VARVE_VALUE_BYTES_MAX (64u << 20)
#define VARVE_LEVELS_MAX 7u
#define VARVE_COMPACTION_WORKERS_MAX 63u

enum varve_recovery_mode {
    VARVE_RECOVERY_TAIL,          /* cut a tail that was not shown to be synced (default) */
    VARVE_RECOVERY_STRICT,        /* refuse any anomaly */
    VARVE_RECOVERY_POINT_IN_TIME, /* stop at the first damage; not supported yet, open refuses it */
    VARVE_RECOVERY_SALVAGE,       /* skip damage; not supported yet, open refuses it */
};

enum varve_compaction {
    VARVE_COMPACTION_TIERED,  /* runs of like size above a last level that is one run (default) */
    VARVE_COMPACTION_LEVELED, /* one run a level, each level_multiplier times the one above */
};

enum varve_compression {
    VARVE_COMPRESSION_NONE,
    VARVE_COMPRESSION_LZ4,
    VARVE_COMPRESSION_ZSTD, /* smaller, and several times slower */
};

enum varve_log_level { VARVE_LOG_ERROR, VARVE_LOG_WARNING, VARVE_LOG_INFO, VARVE_LOG_DEBUG };

/* Called from any thread, also from several at once; must not call back into the store.
 * `text` is borrowed until the call returns, one line without a line break. */
typedef void (*varve_log_fn)(void *context, enum varve_log_level level, const char *text);

struct varve_options {
    bool create_if_missing; /* default true */
    bool error_if_exists;   /* default false */
    bool sync_writes;       /* durability of writes that do not say; default true */
    enum varve_recovery_mode recovery_mode;

    size_t memtable_bytes;     /* 64 KiB to 4 GiB; default 64 MiB */
    size_t memtable_entries;   /* 1,000 to 1e9; default 500,000 */
    size_t memtables_max;      /* active and waiting for flush together, 2 to 64; default 4 */
    size_t group_bytes;        /* a commit group's cap, 4 KiB to 64 MiB; default 1 MiB */
    size_t wal_segments_spare; /* old WAL segments kept for reuse, 0 to 64; default 4 */
    size_t write_queue_bytes;  /* encoded batches waiting for commit; default 256 MiB */
    size_t batch_bytes_max;    /* one encoded batch; default 64 MiB */
    size_t value_bytes_max;    /* one value, up to VARVE_VALUE_BYTES_MAX; default 16 MiB */

    size_t block_bytes;            /* data block target, 1 KiB to 1 MiB; default 4 KiB */
    size_t block_restart_interval; /* keys per restart point, 1 to 256; default 16 */
    size_t bloom_bits_per_key;     /* at least, 0 (none) to 32; default 10 */
    size_t table_bytes;            /* output table target, 64 KiB to 4 GiB; default 64 MiB */
    /* Data blocks, and index and filter of open tables; default 256 MiB. The latter may take up to
     * 64 MiB more, as far as a memory_budget_bytes that is set leaves them beside all memtables and
     * a full queue; an eighth of block_cache_bytes is left for data blocks then. */
    size_t block_cache_bytes;
    /* All that the store holds in memory, 4 MiB to 1 TiB, at least block_cache_bytes and two of
     * memtable_bytes. At 90 % the block cache gives way and the largest memtable is flushed early;
     * beyond it writes wait for a flush. 0 (default): the sum of what memtables, block cache with
     * those 64 MiB, and write queue may take by themselves. */
    size_t memory_budget_bytes;
    /* Tables kept open, 16 to 100,000; default 4,000. Fewer where they would take more than three
     * quarters of the file descriptors that the process may have when the store is opened, or where
     * index and filter take more than there is for them: about 2 bytes a short key with values of
     * 100 bytes, 6 with values of 1,000. A read of one that is not open reads all of these anew. */
    size_t open_tables_max;

    /* Of data blocks, kept where it saves an eighth. What comes to the last level without a merge,
     * as ordered loads do, gets its compression when nobody writes. */
    enum varve_compression compression;        /* levels above the last one; default none */
    enum varve_compression compression_bottom; /* the last level; default lz4 */

    enum varve_compaction compaction;
    size_t level0_trigger; /* runs of level 0 or of a tier that start a merge, 2 to 64; default 4 */
    size_t level0_stop;    /* level-0 runs at which writes wait, > trigger; default 24 */
    size_t max_levels;     /* 2 to VARVE_LEVELS_MAX; default 7 */
    size_t level_multiplier;   /* 2 to 100; default 10 */
    size_t compaction_workers; /* merges at the same time, 1 to 63; default 1; below the callers'
                                * priority (nice 5). Flushes and the log have a worker each. */

    varve_log_fn log; /* may be NULL */
    void *log_context;
};

/* Sets every field to its default. */
VARVE_API void varve_options_init(struct varve_options *options);

/* VARVE_INVALID names the option in `ret_error` (may be NULL). Thread safe. */
VARVE_API VARVE_MUST_CHECK enum varve_status
varve_options_check(const struct varve_options *options, struct varve_error *ret_error);

#ifdef __cplusplus
}
#endif
#endif
