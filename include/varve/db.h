/*
 * varve/db.h: the store itself. Ordered keys and values in a directory, written through a
 * write-ahead log into a log-structured merge tree (O'Neil et al., 1996).
 *
 * Every function is thread safe, but for varve_close and varve_destroy, which must be the last
 * call. A revision is the sequence number of the commit that wrote a key: strictly growing over the
 * whole store, one for all of a batch; 0 is no commit at all.
 */
#ifndef VARVE_DB_H
#define VARVE_DB_H

#include <stdbool.h>

#include <varve/batch.h>
#include <varve/options.h>
#include <varve/slice.h>
#include <varve/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct varve_db;
struct varve_snapshot;

/* Opens the store in `path`, recovering what a crash left. `options` may be NULL (defaults).
 * `ret_error` (may be NULL) tells a person what is wrong and where. Caller frees with varve_close.
 * VARVE_LOCKED when another process has it, VARVE_NOT_FOUND without create_if_missing,
 * VARVE_EXISTS with error_if_exists, VARVE_CORRUPT, VARVE_UNSUPPORTED, VARVE_INVALID (an option),
 * VARVE_IO, VARVE_NO_SPACE, VARVE_NO_MEMORY, VARVE_NO_FILES. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_open(const char *path,
                                                        const struct varve_options *options,
                                                        struct varve_db **ret_db,
                                                        struct varve_error *ret_error);

/* Finishes queued writes, flushes, seals the log and frees `db` (takes NULL). All iterators,
 * snapshots and values must be gone. The status says whether all of it reached the disk; what was
 * acknowledged as durable is safe in any case. `db` is freed in any case. */
VARVE_API enum varve_status varve_close(struct varve_db *db);

/* Removes a store's files and its directory if nothing else is in it. VARVE_LOCKED while open. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_destroy(const char *path,
                                                           struct varve_error *ret_error);

enum varve_sync { VARVE_SYNC_DEFAULT, VARVE_SYNC_ON, VARVE_SYNC_OFF };

/* Blocking writes. They return once the write is visible and, for a synced write, on stable
 * storage. `ret_revision` may be NULL.
 * VARVE_INVALID, VARVE_TOO_LARGE: refused, nothing happened. VARVE_NO_SPACE, VARVE_READ_ONLY,
 * VARVE_BUSY (queue full or merging is far behind), VARVE_CLOSED, VARVE_NO_MEMORY, VARVE_NO_FILES:
 * did not happen.
 * VARVE_CONFLICT: a condition of the batch does not hold (see varve_batch_check_held).
 * VARVE_OUTCOME_UNKNOWN: may or may not survive a restart; not visible until then. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_put(struct varve_db *db, struct varve_slice key,
                                                       struct varve_slice value,
                                                       enum varve_sync sync,
                                                       uint64_t *ret_revision);
VARVE_API VARVE_MUST_CHECK enum varve_status varve_delete(struct varve_db *db,
                                                          struct varve_slice key,
                                                          enum varve_sync sync,
                                                          uint64_t *ret_revision);
/* A batch without operations commits nothing: its conditions, if any, are judged on one view, whose
 * revision is given. The batch is
 * borrowed until the call returns. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_write(struct varve_db *db,
                                                         struct varve_batch *batch,
                                                         enum varve_sync sync,
                                                         uint64_t *ret_revision);

/*
 * Writes without blocking. A write request is the caller's memory and takes part in the queue
 * itself; a receiver is where finished requests are handed over, a whole group's at once, so that
 * one wake-up serves many.
 */
struct varve_write_request;

struct varve_write_receiver {
    /* Takes a list of finished requests (linked by `next`), in commit order within it. Called on a
     * committing thread: it must be quick, must not block and must not call the store. */
    void (*deliver)(struct varve_write_receiver *receiver, struct varve_write_request *list);
};

struct varve_write_request {
    /* set by the caller */
    struct varve_batch *batch; /* borrowed until delivered */
    struct varve_write_receiver *receiver;
    enum varve_sync sync;
    /* set on delivery */
    enum varve_status status; /* as of varve_write */
    uint64_t revision;
    struct varve_write_request *next;
    /* the store's own, from varve_write_async to delivery */
    void *reserved[6];
};

/* A batch with conditions reads their keys before it is queued, which may wait for the disk.
 * On VARVE_OK the request belongs to the store until it is delivered, exactly once (it may be
 * before the call returns, on another thread). On any other status it was not taken: VARVE_INVALID
 * (also for a batch without operations), VARVE_TOO_LARGE, VARVE_BUSY, VARVE_CLOSED,
 * VARVE_NO_MEMORY. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_write_async(struct varve_db *db,
                                                               struct varve_write_request *request);

/* A list of requests (linked by `next`), queued in its order in one step: what an event loop has
 * gathered in one turn. It never waits for the disk. All are taken; one that varve_write_async
 * would have refused is delivered with that status, and one with conditions that cannot be read
 * without waiting with VARVE_WOULD_BLOCK: it did not happen, and goes to varve_write_async on
 * another thread. */
VARVE_API void varve_write_async_list(struct varve_db *db, struct varve_write_request *list);

/* A value that is lent without a copy: it pins the memtable or block that holds it. Release soon.
 */
struct varve_value {
    struct varve_slice data; /* borrowed until varve_value_release */
    uint64_t revision;
    uint64_t expires_at; /* unix seconds; 0: never */
    void *reserved[3];
};

/* VARVE_NOT_FOUND is the only status that says that the key is absent. `snapshot` may be NULL
 * (now). On VARVE_OK the caller releases `ret_value` with varve_value_release. VARVE_INVALID,
 * VARVE_IO, VARVE_CORRUPT, VARVE_NO_MEMORY, VARVE_NO_FILES. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_get(struct varve_db *db, struct varve_slice key,
                                                       const struct varve_snapshot *snapshot,
                                                       struct varve_value *ret_value);
/* The same for callers that must not wait for the disk: VARVE_WOULD_BLOCK when it would have to.
 * What is in memtables, the block cache or the system's page cache does not. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_get_cached(struct varve_db *db,
                                                              struct varve_slice key,
                                                              const struct varve_snapshot *snapshot,
                                                              struct varve_value *ret_value);
VARVE_API void varve_value_release(struct varve_value *value); /* takes a zeroed one */
/* What stays in memory until the value is released: the block that it is in, or the memtables that
 * were there when it was read. Who keeps it for long does better to copy it if that is much more.
 */
VARVE_API size_t varve_value_pinned_bytes(const struct varve_value *value);

/* A fixed view of the store. Caller frees with varve_snapshot_release. VARVE_NO_MEMORY. */
VARVE_API VARVE_MUST_CHECK enum varve_status
varve_snapshot_acquire(struct varve_db *db, const struct varve_snapshot **ret_snapshot);
VARVE_API void varve_snapshot_release(struct varve_db *db, const struct varve_snapshot *snapshot);
VARVE_API uint64_t varve_snapshot_revision(const struct varve_snapshot *snapshot);

/* Starts to write the memtable out as a table; with `wait`, returns when it is done. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_flush(struct varve_db *db, bool wait);

/* Merges all of the store down as far as it goes; with `wait`, returns when it is done. Another
 * thread may close the store meanwhile: VARVE_CLOSED, and what was merged so far stays merged.
 * VARVE_BUSY: too many merges wait already. VARVE_READ_ONLY, VARVE_NO_SPACE, VARVE_NO_MEMORY,
 * VARVE_NO_FILES, VARVE_IO, VARVE_CORRUPT. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_compact(struct varve_db *db, bool wait);
/* The same for keys from `start` (inclusive) to `end` (exclusive); empty: no bound. Tables are
 * merged whole, so some keys beside these are merged along. VARVE_INVALID: `start` is not below
 * `end`, or one is longer than VARVE_KEY_BYTES_MAX. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_compact_range(struct varve_db *db,
                                                                 struct varve_slice start,
                                                                 struct varve_slice end, bool wait);

/* For a program that is about to close the store: calls of varve_flush, varve_compact and
 * varve_compact_range that wait, and copies that are being made, return VARVE_CLOSED soon, and so
 * do later ones. What they began in the background goes on, and all else works as before. */
VARVE_API void varve_interrupt(struct varve_db *db);

/* What the store accepts just now. */
enum varve_state {
    VARVE_STATE_OK,
    VARVE_STATE_NO_SPACE,  /* writes are refused until there is room again */
    VARVE_STATE_READ_ONLY, /* a write or sync failed; until the store is opened anew */
};

/* Whether writes are held up just now, and by what. */
enum varve_stall {
    VARVE_STALL_NONE,
    VARVE_STALL_SLOWED,  /* in proportion to debt_percent */
    VARVE_STALL_STOPPED, /* they wait */
};
enum varve_stall_cause {
    VARVE_STALL_BY_NOTHING,
    VARVE_STALL_BY_LEVEL0,    /* has too many runs */
    VARVE_STALL_BY_MEMTABLES, /* wait for their flush, as many as may be */
    VARVE_STALL_BY_TIERS,     /* hold too much beside the last level */
    VARVE_STALL_BY_MEMORY,    /* is short, until a memtable is flushed */
};

/* Classes of commit groups: of 1 batch, of 2, of 3 and 4, of 5 to 8 …; the last has all above. */
#define VARVE_GROUP_SIZES 12

struct varve_level_stats {
    uint64_t runs, tables, bytes, entries;
};

/* Why a merge was made: "level0", "runs", "share", "size", "garbage", "idle", "asked". */
#define VARVE_COMPACTION_REASONS 7u
VARVE_API const char *varve_compaction_reason_name(size_t reason); /* below the number above */

struct varve_compaction_stats {
    uint64_t count, bytes_read, bytes_written, us;
};

/* What the work of the store comes to, beside what was asked of it; 0 while nothing was. */
struct varve_amplification {
    double write;           /* bytes that flushes and merges wrote, for each that came in */
    double write_with_log;  /* the log's besides */
    double runs_per_get;    /* whose filters or tables a get asked, memtables apart */
    double blocks_per_get;  /* data blocks that a get searched, cached or not */
    double space;           /* bytes of tables, for each of live_bytes_estimate */
    double false_positives; /* filters that let through, of those asked for keys not in the table */
};

/* Counters since open unless it says otherwise; a consistent enough picture, not an atomic one. */
struct varve_stats {
    enum varve_state state;
    char state_reason[256]; /* empty when OK */

    uint64_t revision; /* the newest visible one */
    uint64_t puts, deletes, gets, gets_found, seeks, batches;
    uint64_t user_write_bytes; /* keys and values as they came in */

    uint64_t memtable_bytes, memtable_entries, memtables; /* now, active and waiting */

    uint64_t wal_bytes, wal_groups, wal_syncs, wal_segment; /* written, groups, syncs, active id */
    uint64_t wal_group_sizes[VARVE_GROUP_SIZES];
    uint64_t wal_live_bytes; /* now, in live segments */
    uint64_t wal_segments_recycled;

    struct varve_level_stats levels[VARVE_LEVELS_MAX]; /* now */
    uint64_t table_bytes, tables, tables_open;         /* now */
    /* Now. The largest run has each key once; what other runs have of its range is taken to be
     * written anew, so that this is rather too little. Tables outside its range count whole,
     * deleted and expired entries of no table do. */
    uint64_t live_bytes_estimate;

    uint64_t flushes, flush_bytes;
    uint64_t compactions, compaction_bytes_read, compaction_bytes_written, compactions_running;
    uint64_t trivial_moves; /* merges that only changed the tables' level */
    /* By output level and reason, moves apart. */
    struct varve_compaction_stats merged[VARVE_LEVELS_MAX][VARVE_COMPACTION_REASONS];

    uint64_t stalls, stall_us;       /* writes that had to wait for the background */
    uint64_t slowdowns, slowdown_us; /* commit groups that were held up in proportion to debt */
    enum varve_stall stall;
    enum varve_stall_cause stall_cause;
    uint64_t debt_percent; /* how far merging is behind, now; 100: writes wait */

    /* Memory, now: the budget, what counts against it, and that by kind. */
    uint64_t memory_budget_bytes, memory_used_bytes;
    uint64_t memory_memtable_bytes; /* chunks of memtables: in use, held by readers, at rest */
    uint64_t memory_cache_bytes;    /* blocks that are kept */
    uint64_t memory_table_bytes;    /* index and filter of open tables */
    uint64_t memory_read_bytes;     /* blocks in use that are not kept */
    uint64_t memory_writer_bytes;   /* tables being written */
    uint64_t memory_queue_bytes;    /* batches that wait for their commit */
    uint64_t early_flushes;         /* memtables flushed before they were full, for memory */
    uint64_t memory_stalls;         /* of the stalls: those that waited for memory */

    uint64_t get_runs, get_blocks; /* that gets asked and searched, see varve_amplification */
    uint64_t bloom_checks, bloom_useful, bloom_false_positives;
    uint64_t cache_lookups, cache_hits;
    uint64_t cache_bytes, cache_bytes_max; /* blocks with open tables; what these may take now */
    uint64_t block_reads, block_read_bytes;

    uint64_t snapshots, iterators; /* now */

    struct varve_amplification amplification;

    /* of the last open; the whole of it, and of that: reading the log, writing it to tables */
    uint64_t recovery_us, recovery_replay_us, recovery_rewrite_us;
    uint64_t recovery_frames, recovery_entries, recovery_segments;
    uint64_t recovery_cut_frames; /* valid frames that a cut tail dropped */
    uint64_t recovery_cut_bytes;
};
VARVE_API void varve_stats_read(struct varve_db *db, struct varve_stats *ret_stats);

/* Unix milliseconds by which expiry is judged: the wall clock's, but never less than any that the
 * store has gone by before, in this process or an earlier one. */
VARVE_API uint64_t varve_store_time_ms(struct varve_db *db);

/* Latency distributions since open, for the operations that the store itself times. */
enum varve_latency {
    VARVE_LATENCY_SYNC,
    VARVE_LATENCY_GROUP, /* a whole commit group, append to publish */
    VARVE_LATENCY_FLUSH,
    VARVE_LATENCY_COMPACTION,
    VARVE_LATENCY_COUNT
};
struct varve_latency_stats {
    uint64_t count, sum_us, p50_us, p95_us, p99_us, p999_us, max_us;
};
VARVE_API void varve_latency_read(struct varve_db *db, enum varve_latency which,
                                  struct varve_latency_stats *ret_stats);

/* Upper bounds of microseconds in, cumulative counts out: the buckets of a Prometheus histogram. */
VARVE_API void varve_latency_buckets(struct varve_db *db, enum varve_latency which,
                                     const uint64_t *bounds_us, size_t count,
                                     uint64_t *ret_cumulative);

/*
 * Copies of a store, made while it is in use. In all of this `path` is a directory that is made
 * (VARVE_EXISTS if it is there; its parent has to be) and has its name only when it is whole; until
 * then it is called `path`.partial (VARVE_LOCKED while another call makes it), and what a crash
 * left of one is cleared away by the next. `ret_error` may be NULL.
 */

/* Makes a store of its own that holds exactly what this one held at *ret_revision (may be NULL).
 * Files that never change are shared by hard links, or copied to another file system. Writers are
 * held up for the switch to a new log segment. It opens with varve_open.
 * VARVE_EXISTS, VARVE_LOCKED, VARVE_NOT_FOUND (no parent), VARVE_READ_ONLY, VARVE_NO_SPACE,
 * VARVE_BUSY, VARVE_OUTCOME_UNKNOWN (of the switch), VARVE_CLOSED (see varve_interrupt), VARVE_IO,
 * VARVE_NO_FILES, VARVE_NO_MEMORY. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_checkpoint(struct varve_db *db, const char *path,
                                                              uint64_t *ret_revision);

struct varve_backup_info {
    uint64_t revision, store_time_ms; /* what the backup holds, and as of when */
    uint64_t files, bytes;
};

/* A checkpoint that was checked block by block, with a list of its files and their checksums. As
 * varve_checkpoint, and VARVE_CORRUPT when the store is found damaged. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_backup_create(struct varve_db *db,
                                                                 const char *path,
                                                                 struct varve_backup_info *ret_info,
                                                                 struct varve_error *ret_error);

/* Checks every file against the list, then the whole as varve_verify does. Changes nothing.
 * VARVE_CORRUPT: not a backup, an unfinished one, or a damaged one; `ret_error` names the file.
 * VARVE_NOT_FOUND: no such directory. VARVE_LOCKED: it is open as a store. VARVE_UNSUPPORTED, ...
 */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_backup_verify(const char *path,
                                                                 struct varve_backup_info *ret_info,
                                                                 struct varve_error *ret_error);

/* Copies a backup to a new store, checking each file against the list on the way. As
 * varve_backup_verify, and VARVE_EXISTS and the like for `store_path`. */
VARVE_API VARVE_MUST_CHECK enum varve_status
varve_backup_restore(const char *backup_path, const char *store_path,
                     struct varve_backup_info *ret_info, struct varve_error *ret_error);

struct varve_verify_report {
    uint64_t revision; /* the newest commit that was seen */
    uint64_t tables, blocks, entries, table_bytes;
    uint64_t segments, frames;
    uint64_t problems;   /* damage */
    uint64_t unfinished; /* ends of manifest and log that a crash left and the next open cuts */
};
/* Called once for each thing found; `found` is borrowed until it returns. */
typedef void (*varve_verify_fn)(void *context, const struct varve_error *found, bool is_damage);

/* Reads all of a closed store, every block and every frame, and changes nothing. `each` may be
 * NULL. VARVE_CORRUPT: damaged; `ret_error` has the first problem, the report all counts.
 * VARVE_NOT_FOUND: no store. VARVE_LOCKED: it is open. After another failure it is not known
 * whether it is sound. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_verify(const char *path, varve_verify_fn each,
                                                          void *context,
                                                          struct varve_verify_report *ret_report,
                                                          struct varve_error *ret_error);

/* The library's version, "1.2.3"; the newest on-disk format that it reads and writes. */
VARVE_API const char *varve_version(void);
VARVE_API unsigned varve_format_version(void);

#ifdef __cplusplus
}
#endif
#endif
