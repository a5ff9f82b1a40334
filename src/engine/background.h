/*
 * engine/background.h: when flushes and merges run. One flush and one merge at a time, on the
 * worker pool; what fails for want of space, memory or descriptors is tried again after a while.
 */
#ifndef ENGINE_BACKGROUND_H
#define ENGINE_BACKGROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "os/sync.h"
#include "os/thread_pool.h"

struct varve_db;

struct background_job_state {
    bool queued; /* or running */
    bool again;  /* scheduled once more meanwhile */
};

struct background {
    struct {
        struct mutex lock;
        struct cond progress; /* broadcast whenever a job ended or the state changed */
        struct background_job_state flush, compaction;
        bool compaction_running;
        bool closing;                    /* no new jobs, the running merge gives up */
        enum varve_status flush_failure; /* of the last try, OK after a success */
        enum varve_status compaction_failure;
        uint64_t retry_at_us;               /* monotonic; 0: nothing waits for another try */
        uint64_t manual_asked, manual_done; /* whole-store merges */
        enum varve_status manual_status;    /* of the last that was done */
        bool fold;                          /* the store is idle: fold the tiers */
        uint64_t folded_after_us; /* 1 + the last commit's time when that was last decided */
    } mu;
    struct thread_job flush_job, compaction_job;
    struct varve_db *db;
};
void background_init(struct background *background, struct varve_db *db);
void background_deinit(struct background *background);

/* Any thread, wal.lock may be held. */
void background_schedule_flush(struct varve_db *db);
void background_schedule_compaction(struct varve_db *db);

/* Starts again what failed, once its time has come; said to be called now and then. True while
 * something still waits. */
bool background_retry(struct varve_db *db);

/* Asks for a merge of everything; gives the number to wait for in manual_done. */
uint64_t background_ask_manual(struct varve_db *db);

/* Waits until something in the background moved, at most `timeout_ms`; in a stepped store runs a
 * job. False when a stepped store has none. No lock but wal.lock may be held. */
bool background_wait(struct varve_db *db, uint64_t timeout_ms);

/* Tells whoever waits that something moved. */
void background_signal(struct varve_db *db);

/* True when the store closes: a merge in progress gives up. */
bool background_is_closing(struct varve_db *db);

/* Waits until no job is queued or running; none is started any more. */
void background_stop(struct varve_db *db);

#endif
