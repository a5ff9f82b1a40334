/*
 * engine/db.h: the store's parts in one struct, and what they share. Internal: the public face is
 * varve/db.h. Read DESIGN.md first.
 */
#ifndef ENGINE_DB_H
#define ENGINE_DB_H

#include <stdatomic.h>

#include <varve/db.h>

#include "base/histogram.h"
#include "engine/background.h"
#include "engine/block_cache.h"
#include "engine/commit.h"
#include "engine/compaction_run.h"
#include "engine/manifest.h"
#include "engine/memory_budget.h"
#include "engine/memtable.h"
#include "engine/removal.h"
#include "engine/snapshot.h"
#include "engine/stall.h"
#include "engine/table_cache.h"
#include "engine/view.h"
#include "engine/wal.h"
#include "format/filename.h"
#include "os/env.h"
#include "os/log.h"
#include "os/thread_pool.h"

/* Relaxed counters, since open. */
struct db_counters {
    _Atomic uint64_t puts, deletes, gets, gets_found, seeks, batches, user_write_bytes;
    _Atomic uint64_t get_runs, get_blocks;
    _Atomic uint64_t wal_bytes, wal_groups, wal_syncs, wal_segments_recycled;
    _Atomic uint64_t wal_group_sizes[VARVE_GROUP_SIZES];
    _Atomic uint64_t flushes, flush_bytes;
    struct db_compaction_counters {
        _Atomic uint64_t count, bytes_read, bytes_written, us;
    } compactions[VARVE_LEVELS_MAX][COMPACTION_REASONS]; /* by output level */
    _Atomic uint64_t trivial_moves;
    _Atomic uint64_t stalls, stall_us, slowdowns, slowdown_us;
    _Atomic uint64_t early_flushes, memory_stalls;
    _Atomic uint64_t bloom_checks, bloom_useful, bloom_false_positives;
    _Atomic uint64_t iterators;
};
#define COUNT(counter, n) atomic_fetch_add_explicit(&(counter), (n), memory_order_relaxed)

/* What recovery found; written before the store is handed out. */
struct db_recovery_stats {
    uint64_t us;         /* the whole open, but for locking the directory */
    uint64_t replay_us;  /* reading the log into memtables */
    uint64_t rewrite_us; /* writing these to tables */
    uint64_t frames, entries, segments, cut_frames, cut_bytes;
};

struct varve_db {
    struct env *env;
    char dir[FILENAME_BYTES_MAX];
    struct varve_options options;
    struct log log;
    struct env_lock *lock_file;
    bool stepped;            /* background work is stepped by the caller, on one thread */
    atomic_bool interrupted; /* see varve_interrupt */
    struct table_owner table_owner;

    _Atomic uint64_t visible;       /* the newest published sequence */
    _Atomic uint64_t time_floor_ms; /* store time is never below it */
    struct snapshots snapshots;
    struct view_slot view;
    struct manifest manifest;
    struct wal_set wal;
    struct commit commit;
    struct background background;
    struct removal removal;
    struct stall stall;

    struct memory_budget memory;
    size_t write_queue_bytes; /* the option's, as far as the budget allows */
    struct thread_pool *pool;
    struct memtable_pool *memtables;
    struct block_cache *blocks;
    struct table_cache *tables;

    _Atomic int state; /* enum varve_state, for a quick look */
    struct {
        struct mutex lock;
        unsigned no_space_causes;
        char reason[256];
    } state_mu;

    /* Of the view in force, for the committer. */
    _Atomic size_t waiting_memtables, level0_runs;
    _Atomic uint64_t garbage_due_s; /* store time when its next table is garbage; 0: none will be */
    /* Of the log, for a look without its lock or the manifest's, which are held over syncs. */
    struct {
        _Atomic uint64_t first_live_segment, active_segment;
        _Atomic uint64_t sealed_bytes, full_bytes, active_bytes;
    } log_figures;
    _Atomic bool fold_pays;          /* there is something to do once the store is idle */
    _Atomic uint64_t last_commit_us; /* monotonic */

    struct compaction_board merges;
    struct buf unsettled_tables; /* file ids (fixed64); under manifest.lock */

    struct db_counters counters;
    struct histogram latencies[VARVE_LATENCY_COUNT];
    struct db_recovery_stats recovery;
};

/* varve_open with another environment; with `stepped` there are no threads: work that would wait
 * for background jobs runs them on the calling thread, and db_step runs them by hand. */
MUST_CHECK enum varve_status db_open(const char *path, const struct varve_options *options,
                                     struct env *env, bool stepped, struct varve_db **ret_db,
                                     struct varve_error *ret_error);
MUST_CHECK enum varve_status db_destroy(const char *path, struct env *env,
                                        struct varve_error *ret_error);

/* Runs one background job of a stepped store; false when there is none. */
bool db_step(struct varve_db *db);

/* The two halves of varve_flush: *ret_segment_id is the last segment that goes to tables. */
MUST_CHECK enum varve_status db_flush_begin(struct varve_db *db, uint64_t *ret_segment_id);
MUST_CHECK enum varve_status db_flush_wait(struct varve_db *db, uint64_t segment_id);

/* What the commit thread does when the queue has been idle: appends the idle mark. For stepped
 * stores. */
void db_idle(struct varve_db *db);

/* Drops a store as a dying process would: nothing flushed, nothing sealed. For tests. */
void db_abandon(struct varve_db *db);

/* VARVE_CLOSED once it is interrupted. For all that a caller waits for. */
MUST_CHECK enum varve_status db_check_interrupted(struct varve_db *db);

/* The wall clock in ms, but never less than what was persisted or what this gave before: what was
 * once read as expired stays so, even if the clock is set back. */
uint64_t db_store_time_ms(struct varve_db *db);
/* Store time never falls below `time_ms` again. */
void db_store_time_raise(struct varve_db *db, uint64_t time_ms);

/* What the store is short of space for (LOG: segments and manifest); it is in NO_SPACE while any of
 * these holds. */
enum db_no_space_cause { DB_NO_SPACE_LOG = 1 << 0, DB_NO_SPACE_TABLES = 1 << 1 };

/* Enters NO_SPACE for a cause, or leaves it. `what` tells people what failed. */
void db_no_space(struct varve_db *db, enum db_no_space_cause cause, const char *what);
void db_space_back(struct varve_db *db, enum db_no_space_cause cause);

/* Takes back DB_NO_SPACE_LOG once the file system has room again, so that an idle store recovers by
 * itself. True while the store is still short of space. */
bool db_space_probe(struct varve_db *db);

/* Enters READ_ONLY, which is never left. */
void db_read_only(struct varve_db *db, enum varve_status cause, const char *what);

static inline enum varve_state db_state(struct varve_db *db)
{
    return (enum varve_state)atomic_load_explicit(&db->state, memory_order_acquire);
}

/* Fills in the next ids, makes `edit` durable and publishes what follows from it: with `flushed`
 * the oldest waiting memtable is gone. The caller holds no lock but wal.lock and wal.full.lock.
 * VARVE_NO_SPACE, VARVE_NO_MEMORY, VARVE_NO_FILES, VARVE_CORRUPT (the edit does not fit): it did
 * not happen. VARVE_OUTCOME_UNKNOWN: it may be on disk, so what it names must stay there until
 * db_manifest_repair succeeds; the store's state is already the worse one. */
MUST_CHECK enum varve_status db_install(struct varve_db *db, struct manifest_edit *edit,
                                        struct memtable *flushed);

/* Publishes a new active memtable; the one before joins the waiting ones. wal.lock is held.
 * VARVE_NO_MEMORY, VARVE_BUSY (too many wait): it did not happen. */
MUST_CHECK enum varve_status db_activate(struct varve_db *db, struct memtable *active);

/* What the committer needs to know of a view that comes into force. */
void db_shape_publish(struct varve_db *db, const struct view *view);
/* Brings what log_figures says of the manifest up to date, once the view is in force. manifest.lock
 * is held, or nobody else knows the store yet. */
void db_log_publish(struct varve_db *db);

/* Settles an edit whose outcome is not known, by a new manifest without it, and removes the tables
 * that waited for that. OK when there is none. */
MUST_CHECK enum varve_status db_manifest_repair(struct varve_db *db);

/* Removes the tables that `edit` would have added, after db_install gave `failure`; where its
 * outcome is not known, once that is settled. */
void db_outputs_drop(struct varve_db *db, const struct manifest_edit *edit,
                     enum varve_status failure);

#endif
