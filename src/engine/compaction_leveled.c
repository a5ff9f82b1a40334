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

static enum varve_status plan_level0(const struct version *version,
                                     const struct compaction_policy *policy,
                                     struct compaction_plan *plan)
{
    struct key_range range = level0_range(version, policy);
    enum varve_status status = plan_add_level(plan, version, 0, &range);
    if (status != VARVE_OK)
        return status;
    key_range_widen(&range, version, 1);
    plan->output_level = 1;
    return plan_add_level(plan, version, 1, &range);
}

/* The first table behind the level's cursor, all that are wanted when everything is asked for. */
static struct key_range level_take(const struct version *version,
                                   const struct compaction_policy *policy, size_t level)
{
    const struct run *run = &version->levels[level].runs[0];
    struct key_range range = {0};
    size_t first = 0;

    if (policy->mode == COMPACTION_EVERYTHING) {
        const struct level *from = &version->levels[level];
        for (size_t r = 0; r < from->run_count; r++)
            for (size_t t = 0; t < from->runs[r].table_count; t++)
                if (policy_wants(policy, from->runs[r].tables[t]))
                    key_range_add(&range, from->runs[r].tables[t]);
        return range;
    }
    while (first < run->table_count &&
           varve_slice_compare(entry_user_key(table_largest(run->tables[first])),
                               policy->cursors[level]) <= 0)
        first++;
    key_range_add(&range, run->tables[first < run->table_count ? first : 0]);
    return range;
}

static enum varve_status plan_level(const struct version *version,
                                    const struct compaction_policy *policy, size_t level,
                                    struct compaction_plan *plan)
{
    struct key_range range = level_take(version, policy, level);
    key_range_widen(&range, version, level);
    enum varve_status status = plan_add_level(plan, version, level, &range);
    key_range_widen(&range, version, level + 1);
    if (status == VARVE_OK)
        status = plan_add_level(plan, version, level + 1, &range);
    plan->output_level = (uint32_t)level + 1;
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
                                 const struct compaction_policy *policy)
{
    size_t deepest = deepest_wanted(version, policy, 1, policy->max_levels - 1);
    for (size_t l = 0; l < deepest || l == 0; l++)
        if (level_has_wanted(version, policy, l))
            return l;
    return policy->max_levels;
}

/* The level to be merged one down; max_levels when none has to be. */
static size_t level_choose(const struct version *version, const struct compaction_policy *policy)
{
    size_t chosen = policy->max_levels;
    double best = 1.0;
    if (policy->mode == COMPACTION_EVERYTHING)
        return level_choose_asked(version, policy);
    for (size_t l = 0; l + 1 < policy->max_levels; l++) {
        if (version->levels[l].run_count == 0)
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
    size_t level = level_choose(version, policy);
    if (level == policy->max_levels)
        return VARVE_OK;
    enum varve_status status =
        level == 0 ? plan_level0(version, policy, plan) : plan_level(version, policy, level, plan);
    if (status != VARVE_OK)
        return status;
    const struct level *output = &version->levels[plan->output_level];
    plan->output_run_id = output->run_count > 0 ? output->runs[0].id : 0;
    plan->output_bytes = policy->table_bytes;
    plan->reason = level == 0 ? COMPACTION_LEVEL0 : COMPACTION_SIZE;
    plan->move = plan_is_disjoint(plan);
    for (size_t s = 0; s < plan->source_count; s++)
        plan->move = plan->move && plan->sources[s].level != plan->output_level;
    return VARVE_OK;
}
