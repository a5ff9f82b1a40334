/*
 * engine/compaction_parts.h: what the two styles of planning share: ranges, pieces of a version
 * that overlap nothing else, and the making of a plan. Pure.
 */
#ifndef ENGINE_COMPACTION_PARTS_H
#define ENGINE_COMPACTION_PARTS_H

#include "engine/compaction_plan.h"

void key_range_add(struct key_range *range, const struct table *table);
bool key_range_overlaps(const struct key_range *range, const struct table *table);
bool key_ranges_are_apart(const struct key_range *a, const struct key_range *b);
/* Until no table of `level` lies partly in it. In a level of one run that adds no table to those
 * that overlap it; another style or depth of before may have left several. */
void key_range_widen(struct key_range *range, const struct version *version, size_t level);

/* True for every table, but for one outside the range of a merge by hand. */
bool policy_wants(const struct compaction_policy *policy, const struct table *table);
bool policy_wants_all(const struct compaction_policy *policy);
bool level_has_wanted(const struct version *version, const struct compaction_policy *policy,
                      size_t level);
/* The deepest of the levels `from` to `to` with a table that is wanted; 0 when none has one. */
size_t deepest_wanted(const struct version *version, const struct compaction_policy *policy,
                      size_t from, size_t to);
/* What of level 0 is merged at once: from what is wanted on, whatever overlaps it, directly or
 * through others. */
struct key_range level0_range(const struct version *version,
                              const struct compaction_policy *policy);

/* Tables of an upper and a lower level that overlap each other, directly or through others, and
 * nothing else of the two levels. */
struct piece {
    struct key_range range;
    uint64_t upper_bytes, lower_bytes;
    size_t upper_tables;
    size_t upper_depth; /* most tables of the upper level over one key, or a little more */
};
typedef void (*piece_fn)(void *context, const struct piece *piece);

/* Calls `each` for every piece with tables of `upper`, in key order. `lower` may be
 * VARVE_LEVELS_MAX: none. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status pieces_walk(const struct version *version, size_t upper, size_t lower,
                                         piece_fn each, void *context);

/* Adds, newest first, the parts of a level's runs that overlap `range` (NULL: all).
 * VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status plan_add_level(struct compaction_plan *plan,
                                            const struct version *version, size_t level,
                                            const struct key_range *range);
/* Cuts behind the tables of `level`, which is one run, for a plan that has its sources: outputs of
 * `bytes` and more, and some cuts that all merges share. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status plan_cut_at_level(struct compaction_plan *plan,
                                               const struct version *version, size_t level,
                                               uint64_t bytes);
struct key_range plan_range(const struct compaction_plan *plan);
uint64_t plan_bytes(const struct compaction_plan *plan);

/* No two sources overlap, and there is nothing to drop. */
bool plan_is_disjoint(const struct compaction_plan *plan);

/* Ends the making of a plan. False when there is none, or when it may not run beside the merges
 * that run already: then it is empty again. */
bool plan_settle(const struct compaction_policy *policy, struct compaction_plan *plan);

/* The newest run of a level, 0 when there is none: one that a running merge is about to make
 * counts. */
uint64_t level_newest_run(const struct version *version, const struct compaction_policy *policy,
                          size_t level);
/* That run if it has no table in `range`, else 0 (a new one). */
uint64_t level_run_to_join(const struct version *version, const struct compaction_policy *policy,
                           size_t level, const struct key_range *range);

/* Plans to write one table of the deepest level anew, if enough of it can be dropped. */
MUST_CHECK enum varve_status plan_garbage(const struct version *version,
                                          const struct compaction_policy *policy,
                                          struct compaction_plan *plan);

/* Plans to write one table of the last level anew that has another compression than it should: one
 * that was moved there, or, when everything is asked for, any that is wanted. */
MUST_CHECK enum varve_status plan_moved(const struct version *version,
                                        const struct compaction_policy *policy,
                                        struct compaction_plan *plan);

/* The styles. As compaction_plan_make. */
MUST_CHECK enum varve_status compaction_plan_tiered(const struct version *version,
                                                    const struct compaction_policy *policy,
                                                    struct compaction_plan *plan);
MUST_CHECK enum varve_status compaction_plan_leveled(const struct version *version,
                                                     const struct compaction_policy *policy,
                                                     struct compaction_plan *plan);
/* What a level of the leveled style may hold. */
uint64_t compaction_level_target(const struct compaction_policy *policy, size_t level);

#endif
