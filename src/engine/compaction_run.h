/*
 * engine/compaction_run.h: carries out one planned merge.
 */
#ifndef ENGINE_COMPACTION_RUN_H
#define ENGINE_COMPACTION_RUN_H

#include <stdbool.h>

#include "base/status.h"
#include "engine/compaction_plan.h"

struct varve_db;

/* What the options ask of planning, without the cursors, which only the merging job may read. */
void compaction_policy_fill(struct varve_db *db, enum compaction_mode mode,
                            struct compaction_policy *policy);

/* What to look for; the keys only where the mode is COMPACTION_EVERYTHING, borrowed. */
struct compaction_task {
    enum compaction_mode mode;
    struct varve_slice start, end;
};

/* Plans on the version in force and merges, if there is anything to merge. On failure the inputs
 * stay as they are. VARVE_CLOSED: given up, the store closes. VARVE_CORRUPT: an input is damaged.
 * On VARVE_IO the store is read-only. */
MUST_CHECK enum varve_status compaction_once(struct varve_db *db,
                                             const struct compaction_task *task, bool *ret_merged);

#endif
