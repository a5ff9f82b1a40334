/*
 * engine/snapshot.h: registered moments, and what merging has to keep for them. Thread safe.
 */
#ifndef ENGINE_SNAPSHOT_H
#define ENGINE_SNAPSHOT_H

#include <stdatomic.h>

#include <varve/db.h>

#include "base/status.h"
#include "os/sync.h"

struct varve_snapshot {
    struct varve_snapshot *older, *newer;
    uint64_t sequence;
    uint64_t time_ms; /* store time at which it was taken: judges expiry */
};

struct snapshots {
    struct {
        struct mutex lock;
        struct varve_snapshot *oldest, *newest;
        uint64_t count;
        uint64_t latest_ms; /* the latest time of a snapshot, or that merging judged expiry by */
    } mu;
};

void snapshots_init(struct snapshots *snapshots);
void snapshots_deinit(struct snapshots *snapshots); /* none is left */

/* Reads `visible` and registers it under one lock. Its time is `time_ms`, or the latest that
 * snapshots_keep gave if that is later: merging may have dropped what expired until then.
 * VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status snapshots_acquire(struct snapshots *snapshots,
                                               const _Atomic uint64_t *visible, uint64_t time_ms,
                                               struct varve_snapshot **ret_snapshot);
void snapshots_release(struct snapshots *snapshots, struct varve_snapshot *snapshot);

/* What merging must keep: min(oldest snapshot, visible), and the time at which expiry may be
 * judged: the oldest snapshot's, or `now_ms` without one. Read under one lock. */
struct snapshots_keep {
    uint64_t sequence;
    uint64_t time_ms;
};
struct snapshots_keep snapshots_keep(struct snapshots *snapshots, const _Atomic uint64_t *visible,
                                     uint64_t now_ms);
uint64_t snapshots_count(struct snapshots *snapshots);

#endif
