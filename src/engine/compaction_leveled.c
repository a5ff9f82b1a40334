/*
 * The level that is most over its target gives one table on, the one behind where the last merge
 * out of that level ended, so that all keys take their turn.
 */
#include "engine/compaction_parts.h"

uint64_t compaction_level_target(const struct compaction_policy *policy, size_t level)
{
    uint64_t target = policy->memtable_bytes * policy->level0_trigger;
    for (size_t l = 1; l < level; l++) {
        if (target > UINT64_MAX / policy->level_multiplier)
            return UINT64_MAX;
        target *= policy->level_multiplier;
    }
    return target;
}

/* What all plans of this style have in common; empties one that may not run now. */
static void plan_finish(const struct version *version, const struct compaction_policy *policy,
                        size_t level, struct compaction_plan *plan)
{
    plan->output_level = (uint32_t)level + 1;
    plan->output_run_id = level_newest_run(version, policy, level + 1);
    plan->output_bytes = policy->table_bytes;
    plan->reason = level == 0 ? COMPACTION_LEVEL0 : COMPACTION_SIZE;
    plan->move = plan_is_disjoint(plan);
    for (size_t s = 0; s < plan->source_count; s++)
        plan->move = plan->move && plan->sources[s].level != plan->output_level;
    (void)plan_settle(policy, plan);
}

/* The tables of a level in `range`, and what they overlap one level down. */
static enum varve_status plan_down(const struct version *version,
                                   const struct compaction_policy *policy, size_t level,
                                   struct key_range range, struct compaction_plan *plan)
{
    key_range_widen(&range, version, level);
    enum varve_status status = plan_add_level(plan, version, level, &range);
    key_range_widen(&range, version, level + 1);
    if (status == VARVE_OK)
        status = plan_add_level(plan, version, level + 1, &range);
    if (status == VARVE_OK)
        plan_finish(version, policy, level, plan);
    return status;
}

/* The first wanted table of a run behind the level's cursor that may be merged now. */
static enum varve_status plan_next_of_run(const struct version *version,
                                          const struct compaction_policy *policy, size_t level,
                                          const struct run *run, struct compaction_plan *plan)
{
    size_t first = 0;
    while (first < run->table_count &&
           varve_slice_compare(entry_user_key(table_largest(run->tables[first])),
                               policy->cursors[level]) <= 0)
        first++;
    for (size_t i = 0; i < run->table_count; i++) {
        const struct table *table = run->tables[(first + i) % run->table_count];
        struct key_range range = {0};
        if (!policy_wants(policy, table))
            continue;
        key_range_add(&range, table);
        enum varve_status status = plan_down(version, policy, level, range, plan);
        if (status != VARVE_OK || plan->source_count > 0)
            return status;
    }
    return VARVE_OK;
}

/* One table, so that no merge needs room for a whole level beside it. */
static enum varve_status plan_next_table(const struct version *version,
                                         const struct compaction_policy *policy, size_t level,
                                         struct compaction_plan *plan)
{
    const struct level *from = &version->levels[level];
    enum varve_status status = VARVE_OK;
    for (size_t r = 0; r < from->run_count && status == VARVE_OK && plan->source_count == 0; r++)
        status = plan_next_of_run(version, policy, level, &from->runs[r], plan);
    return status;
}

static double level_score(const struct version *version, const struct compaction_policy *policy,
                          size_t level)
{
    if (level == 0)
        return (double)version->levels[0].run_count / (double)policy->level0_trigger;
    return (double)version_level_bytes(version, level) /
           (double)compaction_level_target(policy, level);
}

/* Asked for everything: downwards, until only the deepest level has any of it. */
static size_t level_choose_asked(const struct version *version,
                                 const struct compaction_policy *policy, const bool *passed)
{
    size_t deepest = deepest_wanted(version, policy, 1, policy->max_levels - 1);
    for (size_t l = 0; l < deepest || l == 0; l++)
        if (!passed[l] && level_has_wanted(version, policy, l))
            return l;
    return policy->max_levels;
}

/* The level to be merged one down, but for those passed over; max_levels when none has to be. */
static size_t level_choose(const struct version *version, const struct compaction_policy *policy,
                           const bool *passed)
{
    size_t chosen = policy->max_levels;
    double best = 1.0;
    if (policy->mode == COMPACTION_EVERYTHING)
        return level_choose_asked(version, policy, passed);
    for (size_t l = 0; l + 1 < policy->max_levels; l++) {
        if (version->levels[l].run_count == 0 || passed[l])
            continue;
        double score = level_score(version, policy, l);
        if (score >= best && (chosen == policy->max_levels || score > best)) {
            best = score;
            chosen = l;
        }
    }
    return chosen;
}

enum varve_status compaction_plan_leveled(const struct version *version,
                                          const struct compaction_policy *policy,
                                          struct compaction_plan *plan)
{
    bool passed[VARVE_LEVELS_MAX] = {false};
    enum varve_status status = VARVE_OK;
    while (status == VARVE_OK && plan->source_count == 0) {
        size_t level = level_choose(version, policy, passed);
        if (level == policy->max_levels)
            return VARVE_OK;
        passed[level] = true;
        if (level == 0)
            status = plan_down(version, policy, 0, level0_range(version, policy), plan);
        else
            status = plan_next_table(version, policy, level, plan);
    }
    return status;
}
