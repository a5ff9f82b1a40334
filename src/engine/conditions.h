/*
 * engine/conditions.h: conditions of a batch, judged atomically with its commit.
 *
 * Reading keys under wal.lock could mean waiting for the disk under it. So a batch's keys are read
 * before it is queued, outside all locks; under the lock only what came later is looked up, and
 * that is in the memtables (optimistic concurrency control after Kung and Robinson, 1981).
 */
#ifndef ENGINE_CONDITIONS_H
#define ENGINE_CONDITIONS_H

#include "engine/batch.h"
#include "engine/view.h"

struct varve_db;

/* A key as a condition sees it. */
struct key_state {
    uint64_t revision;   /* 0: absent */
    uint64_t expires_at; /* 0: never */
};

struct condition {
    size_t offset; /* in conditions.bytes: revisions, then the key */
    uint32_t revision_count;
    uint32_t key_bytes;
    bool negated;
    bool held;
    struct key_state observed; /* as of conditions.sequence */
    uint64_t current;          /* revision at the judgement */
};

/* Reads the keys of all conditions on one view. VARVE_IO, VARVE_CORRUPT, VARVE_NO_MEMORY,
 * VARVE_NO_FILES; with `must_not_wait` VARVE_WOULD_BLOCK where the disk would have to be waited
 * for. */
MUST_CHECK enum varve_status conditions_observe(struct varve_db *db, struct varve_batch *batch,
                                                bool must_not_wait);

/* Judges by what was observed alone, at `now_ms`. */
bool conditions_hold_observed(struct varve_batch *batch, uint64_t now_ms);

/* Keys that earlier members of a group write. */
struct overlay {
    struct overlay_slot *slots;
    size_t slot_count; /* a power of two; 0: none yet */
    size_t used;
};
void overlay_deinit(struct overlay *overlay);
/* Adds the writes of an encoded batch, to be committed with `sequence`; the bytes are borrowed.
 * VARVE_NO_MEMORY; the overlay is then of no more use. */
MUST_CHECK enum varve_status overlay_add(struct overlay *overlay, struct varve_slice batch,
                                         uint64_t sequence);

/* Whether the memtables of `view` hold every write after the batch's keys were read. */
bool conditions_are_covered(const struct varve_batch *batch, const struct view *view,
                            uint64_t last_sequence);

/* Judges a covered batch: the overlay first, then memtables, then what was observed. */
MUST_CHECK enum varve_status conditions_judge_locked(struct varve_db *db, struct varve_batch *batch,
                                                     const struct view *view,
                                                     const struct overlay *overlay, uint64_t now_ms,
                                                     bool *ret_hold);

#endif
