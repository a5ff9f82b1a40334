/*
 * engine/commit.h: the write queue and group commit. Read "Life of a write" in DESIGN.md first; the
 * idea of one leader that commits for all who wait is LevelDB's, completions by list are ours.
 */
#ifndef ENGINE_COMMIT_H
#define ENGINE_COMMIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <varve/db.h>

#include "base/status.h"
#include "os/sync.h"

struct commit {
    struct {
        struct mutex lock;
        struct cond wake; /* the commit thread's, and of commit_stop */
        struct varve_write_request *first, **end;
        size_t bytes, leading_bytes; /* queued; of the group that is being committed */
        _Atomic size_t held_bytes;   /* both, for the memory budget */
        bool led;                    /* somebody leads; never false while the queue has members */
        bool thread_turn;            /* the commit thread has been made leader */
        bool thread_sleeps;          /* without a time-out: wake it when there is idle work */
        bool nudged;                 /* idle work came up since the thread last looked for it */
        bool closed;                 /* new requests are refused */
        bool stop;                   /* the thread ends */
    } queue;
    pthread_t thread;
    bool thread_started;
};
void commit_init(struct commit *commit);
void commit_deinit(struct commit *commit);

/* Starts the commit thread. VARVE_IO when it cannot be made. */
MUST_CHECK enum varve_status commit_start(struct varve_db *db);

/* Refuses new requests, waits until those in the queue are done, ends the thread. */
void commit_stop(struct varve_db *db);

/* Queues a request and, if `request->receiver` is NULL, blocks until it is done. As
 * varve_write_async. Without a commit thread (a stepped store) the caller leads at once. */
MUST_CHECK enum varve_status commit_submit(struct varve_db *db,
                                           struct varve_write_request *request);

/* Reads the keys of an asynchronous request's conditions once more and queues it, or delivers why
 * not. */
void commit_again(struct varve_db *db, struct varve_write_request *request);

/* As varve_write_async_list. */
void commit_submit_list(struct varve_db *db, struct varve_write_request *list);

/* Appends the idle mark if one is due and nobody leads. */
void commit_idle(struct varve_db *db);

/* Something waits for another try: keeps the commit thread looking. */
void commit_nudge(struct varve_db *db);

struct commit_group;

/* Makes room for more under wal.lock: waits for flushes, switches a full memtable, or one that has
 * to be flushed early for the memory that `group` (may be NULL) takes. VARVE_READ_ONLY,
 * VARVE_NO_SPACE, VARVE_BUSY, VARVE_NO_MEMORY, VARVE_NO_FILES. */
MUST_CHECK enum varve_status commit_make_room_locked(struct varve_db *db, bool force_switch,
                                                     const struct commit_group *group);

#endif
