/*
 * engine/compaction_plan.h: which tables to merge next. A pure function of a version and a policy:
 * it reads nothing else, so a script can test it.
 */
#ifndef ENGINE_COMPACTION_PLAN_H
#define ENGINE_COMPACTION_PLAN_H

#include "engine/version.h"

struct compaction_policy {
    size_t level0_trigger;
    bool everything; /* asked for by hand: as if every trigger were met */
};

/* A part of a run that takes part, in key order. */
struct compaction_source {
    uint32_t level;
    struct run run; /* the array is the plan's, the tables are the version's */
};

struct compaction_plan {
    size_t source_count;               /* 0: nothing to do */
    struct compaction_source *sources; /* newest first */
    uint32_t output_level;
    uint64_t output_run_id; /* the run that the outputs join; 0: a new one */
    bool move;              /* nothing overlaps: the tables only change their level */
};

/* Caller frees with compaction_plan_deinit; the version must outlive it. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status compaction_plan_make(const struct version *version,
                                                  const struct compaction_policy *policy,
                                                  struct compaction_plan *ret_plan);
void compaction_plan_deinit(struct compaction_plan *plan);

/* True when a run that is older than the plan's output, and not part of it, may hold the key. */
bool compaction_older_may_hold(const struct version *version, const struct compaction_plan *plan,
                               struct varve_slice user_key);

#endif
