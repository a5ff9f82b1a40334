/*
 * engine/commit_group.h: one commit group: a list of requests that become one frame.
 */
#ifndef ENGINE_COMMIT_GROUP_H
#define ENGINE_COMMIT_GROUP_H

#include <stdbool.h>

#include <varve/db.h>

#include "engine/batch.h"
#include "os/sync.h"

/* A blocking caller, asleep on its own stack. */
enum commit_waiter_state { COMMIT_WAITER_WAITS, COMMIT_WAITER_LEADS, COMMIT_WAITER_DONE };
struct commit_waiter {
    struct mutex lock;
    struct cond wake;
    enum commit_waiter_state state;
};
void commit_waiter_init(struct commit_waiter *waiter);
void commit_waiter_deinit(struct commit_waiter *waiter);
/* After waking it with DONE, the waiter may be gone. */
void commit_waiter_wake(struct commit_waiter *waiter, enum commit_waiter_state state);
bool commit_waiter_is_done(struct commit_waiter *waiter);

/* What becomes of a member of a group. */
enum commit_verdict {
    COMMIT_ACCEPTED,
    COMMIT_CONFLICT, /* a condition does not hold: not part of the frame */
    COMMIT_REFUSED,  /* its conditions could not be judged; the request has the status */
    COMMIT_AGAIN,    /* its keys were read too long ago: to be read and queued once more */
};

/* What the engine keeps in a request's reserved words. */
struct pending {
    struct batch_sealed sealed;
    struct commit_waiter *waiter; /* NULL: asynchronous */
    enum commit_verdict verdict;
};
_Static_assert(sizeof(struct pending) <= sizeof(((struct varve_write_request *)0)->reserved),
               "a request holds what the engine needs");
static inline struct pending *pending_of(struct varve_write_request *request)
{
    return (struct pending *)(void *)request->reserved;
}

struct commit_group {
    struct varve_write_request *first; /* linked by next */
    /* of the accepted members */
    size_t count, bytes, entries, entry_bytes;
    bool sync;
    bool conditional; /* some member has conditions */
};
/* Counts one more accepted member; linking is the caller's. */
void commit_group_add(struct commit_group *group, struct varve_write_request *request,
                      bool sync_by_default);

/* From queue to visible, or to failure, under wal.lock; sets every member's status and revision. */
void commit_group_run_locked(struct varve_db *db, struct commit_group *group);

/* Hands every member back: wakes blocking ones, delivers the others, one list per receiver; those
 * to be judged again are queued again. No lock is held; members may be gone when it returns. */
void commit_group_complete(struct varve_db *db, struct commit_group *group);

/* Appends the idle mark. A failure only makes the mark missing, or the store what such a failure
 * makes it. */
void commit_mark_locked(struct varve_db *db);

#endif
