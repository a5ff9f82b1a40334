/*
 * engine/background.h: when flushes and merges run, on the worker pool: one flush at a time, one
 * worker for what the log is owed after a switch, and beside them as many merges as there are
 * workers for them. What fails for want of space, memory or
 * descriptors is tried again after a while.
 */
#ifndef ENGINE_BACKGROUND_H
#define ENGINE_BACKGROUND_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/options.h>

#include "base/buf.h"
#include "os/sync.h"
#include "os/thread_pool.h"

struct varve_db;

struct background_job_state {
    bool queued; /* or running */
    bool again;  /* scheduled once more meanwhile */
};

/* So many merges that were asked for by hand may wait. */
#define BACKGROUND_MANUAL_MAX 64u

/* A merge that was asked for by hand; belongs to the queue and to those who wait for it. */
struct manual_merge {
    struct manual_merge *next;
    unsigned references;
    struct buf start, end; /* user keys, the end excluded; empty: no bound */
    /* What came later is none of it: under writes it would never end. */
    uint64_t sequence, time_ms;
    uint64_t segment_id; /* of the log; up to it all has to be flushed before */
    bool begun, done;
    enum varve_status status; /* once done */
};

/* A job that looks for a merge and carries it out. */
struct compaction_slot {
    struct thread_job job;
    struct varve_db *db;
    enum { COMPACTION_SLOT_IDLE, COMPACTION_SLOT_QUEUED, COMPACTION_SLOT_BUSY } state;
};

struct background {
    struct {
        struct mutex lock;
        struct cond progress; /* broadcast whenever a job ended or the state changed */
        struct background_job_state flush, log;
        struct compaction_slot compactions[VARVE_COMPACTION_WORKERS_MAX];
        size_t compactions_running;
        bool compaction_again;           /* asked for while all slots were busy */
        bool closing;                    /* no new jobs, the running merge gives up */
        enum varve_status flush_failure; /* of the last try, OK after a success */
        enum varve_status compaction_failure;
        uint64_t retry_at_us;        /* monotonic; 0: nothing waits for another try */
        struct manual_merge *manual; /* in the order in which they were asked for */
        bool manual_passed;          /* the last look was for what is due, before the manual one */
        unsigned waiters;            /* threads in background_merge_range */
        bool fold;                   /* the store is idle: fold the tiers */
        uint64_t folded_after_us;    /* 1 + the last commit's time when that was last decided */
    } mu;
    struct thread_job flush_job, log_job;
    size_t slot_count; /* of mu.compactions */
    struct varve_db *db;
};
void background_init(struct background *background, struct varve_db *db);
void background_deinit(struct background *background);

/* Any thread, wal.lock may be held. */
void background_schedule_flush(struct varve_db *db);
void background_schedule_log(struct varve_db *db); /* wal_work; not tried again */
void background_schedule_compaction(struct varve_db *db);

/* Starts again what failed, once its time has come, and what the passing of time asks for; said to
 * be called now and then. True while something still waits. */
bool background_retry(struct varve_db *db);
/* The first part of it alone; wal.lock may be held. */
bool background_retry_due(struct varve_db *db);

/* Flushes, then merges everything between two keys; an empty one is no bound. With `wait`, returns
 * when that is done. A store may close meanwhile: VARVE_CLOSED. VARVE_BUSY: too many wait. As
 * varve_compact_range otherwise. */
MUST_CHECK enum varve_status background_merge_range(struct varve_db *db, struct varve_slice start,
                                                    struct varve_slice end, bool wait);

/* Waits until something in the background moved, at most `timeout_ms`; in a stepped store runs a
 * job. False when a stepped store has none. No lock but wal.lock may be held. */
bool background_wait(struct varve_db *db, uint64_t timeout_ms);

/* Tells whoever waits that something moved. */
void background_signal(struct varve_db *db);

/* True when the store closes: a merge in progress gives up. */
bool background_is_closing(struct varve_db *db);

/* Waits until no job is queued or running and nobody waits for one; none is started any more. */
void background_stop(struct varve_db *db);

#endif
