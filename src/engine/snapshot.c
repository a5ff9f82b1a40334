/*
 * Snapshots are taken with growing sequences and times that do not fall, so a list in order of age
 * is in order of both. The time is read before the lock is taken; `latest_ms` makes up for that.
 */
#include "engine/snapshot.h"

#include <assert.h>
#include <stdlib.h>

void snapshots_init(struct snapshots *snapshots)
{
    *snapshots = (struct snapshots){0};
    mutex_init(&snapshots->mu.lock);
}

void snapshots_deinit(struct snapshots *snapshots)
{
    assert(snapshots->mu.oldest == NULL);
    mutex_deinit(&snapshots->mu.lock);
}

enum varve_status snapshots_acquire(struct snapshots *snapshots, const _Atomic uint64_t *visible,
                                    uint64_t time_ms, struct varve_snapshot **ret_snapshot)
{
    struct varve_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return status_raise(VARVE_NO_MEMORY);

    mutex_lock(&snapshots->mu.lock);
    if (snapshots->mu.latest_ms < time_ms)
        snapshots->mu.latest_ms = time_ms;
    snapshot->time_ms = snapshots->mu.latest_ms;
    snapshot->sequence = atomic_load_explicit(visible, memory_order_acquire);
    snapshot->older = snapshots->mu.newest;
    if (snapshots->mu.newest != NULL)
        snapshots->mu.newest->newer = snapshot;
    else
        snapshots->mu.oldest = snapshot;
    snapshots->mu.newest = snapshot;
    snapshots->mu.count++;
    mutex_unlock(&snapshots->mu.lock);

    *ret_snapshot = snapshot;
    return VARVE_OK;
}

void snapshots_release(struct snapshots *snapshots, struct varve_snapshot *snapshot)
{
    mutex_lock(&snapshots->mu.lock);
    if (snapshot->older != NULL)
        snapshot->older->newer = snapshot->newer;
    else
        snapshots->mu.oldest = snapshot->newer;
    if (snapshot->newer != NULL)
        snapshot->newer->older = snapshot->older;
    else
        snapshots->mu.newest = snapshot->older;
    snapshots->mu.count--;
    mutex_unlock(&snapshots->mu.lock);
    free(snapshot);
}

struct snapshots_keep snapshots_keep(struct snapshots *snapshots, const _Atomic uint64_t *visible,
                                     uint64_t now_ms)
{
    struct snapshots_keep keep = {.time_ms = now_ms};
    mutex_lock(&snapshots->mu.lock);
    const struct varve_snapshot *oldest = snapshots->mu.oldest;
    keep.sequence =
        oldest != NULL ? oldest->sequence : atomic_load_explicit(visible, memory_order_acquire);
    if (oldest != NULL && oldest->time_ms < now_ms)
        keep.time_ms = oldest->time_ms;
    if (snapshots->mu.latest_ms < keep.time_ms)
        snapshots->mu.latest_ms = keep.time_ms;
    mutex_unlock(&snapshots->mu.lock);
    return keep;
}

uint64_t snapshots_count(struct snapshots *snapshots)
{
    mutex_lock(&snapshots->mu.lock);
    uint64_t count = snapshots->mu.count;
    mutex_unlock(&snapshots->mu.lock);
    return count;
}
