/*
 * engine/stall.h: whether writers are held up, and by what; people are told when it begins and when
 * it is over.
 */
#ifndef ENGINE_STALL_H
#define ENGINE_STALL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <varve/db.h>

#include "engine/compaction_plan.h"
#include "os/sync.h"

struct stall {
    /* For a quick look. */
    _Atomic unsigned debt_percent;
    _Atomic int debt_cause; /* enum varve_stall_cause */
    _Atomic int stop_cause; /* why the committer waits now; else VARVE_STALL_BY_NOTHING */
    struct {
        struct mutex lock;
        bool told;         /* people know that writers are held up */
        uint64_t told_us;  /* since then */
        uint64_t quiet_us; /* nothing has held them up since; 0: something does */
        uint64_t held_us;  /* what the counters of waiting came to then */
    } mu;
};
void stall_init(struct stall *stall);
void stall_deinit(struct stall *stall);

/* How far merging is behind in a version that comes into force. Any thread, any lock of the engine
 * but leaves may be held; that goes for all of these. */
void stall_set_debt(struct varve_db *db, struct compaction_debt debt);

/* The committer waits, and goes on. */
void stall_stop(struct varve_db *db, enum varve_stall_cause cause);
void stall_go_on(struct varve_db *db);

/* Tells that it is over, once it has been for a while; said to be called now and then. True while
 * that is still to come. */
bool stall_look(struct varve_db *db);

#endif
