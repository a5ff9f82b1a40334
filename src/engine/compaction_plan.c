/* The way into planning, and what the runner asks of a plan. */
#include "engine/compaction_plan.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/compaction_parts.h"

const char *compaction_reason_name(enum compaction_reason reason)
{
    static const char *const names[COMPACTION_REASONS] = {
        [COMPACTION_LEVEL0] = "level0",   [COMPACTION_RUNS] = "runs",
        [COMPACTION_SHARE] = "share",     [COMPACTION_SIZE] = "size",
        [COMPACTION_GARBAGE] = "garbage", [COMPACTION_IDLE] = "idle",
        [COMPACTION_ASKED] = "asked",
    };
    return names[reason];
}

enum varve_status compaction_plan_make(const struct version *version,
                                       const struct compaction_policy *policy,
                                       struct compaction_plan *ret_plan)
{
    struct compaction_plan plan = {0};
    enum varve_status status = policy->style == VARVE_COMPACTION_LEVELED
                                   ? compaction_plan_leveled(version, policy, &plan)
                                   : compaction_plan_tiered(version, policy, &plan);
    if (status == VARVE_OK && plan.source_count == 0)
        status = plan_garbage(version, policy, &plan);
    if (status == VARVE_OK && plan.source_count == 0 && policy->mode != COMPACTION_DUE)
        status = plan_moved(version, policy, &plan);
    if (status != VARVE_OK) {
        compaction_plan_deinit(&plan);
        return status;
    }
    assert(plan.source_count == 0 || plan.range.smallest.data != NULL);
    if (policy->mode != COMPACTION_DUE)
        plan.reason = policy->mode == COMPACTION_FOLD ? COMPACTION_IDLE : COMPACTION_ASKED;
    *ret_plan = plan;
    return VARVE_OK;
}

void compaction_plan_deinit(struct compaction_plan *plan)
{
    for (size_t i = 0; i < plan->source_count; i++)
        free(plan->sources[i].run.tables);
    free(plan->sources);
    free(plan->cuts);
    *plan = (struct compaction_plan){0};
}

static bool plan_has(const struct compaction_plan *plan, const struct table *table);

/* All that `a` takes is newer than what `b` takes, for every key, and stays above it. Outputs of
 * one level could only be told apart by their ranges. */
static bool plan_is_above(const struct compaction_plan *a, const struct compaction_plan *b)
{
    return a->output_level <= b->sources[0].level && a->output_level < b->output_level;
}

bool compaction_plans_agree(const struct compaction_plan *a, const struct compaction_plan *b)
{
    if (key_ranges_are_apart(&a->range, &b->range))
        return true;
    if (!plan_is_above(a, b) && !plan_is_above(b, a))
        return false;
    for (size_t s = 0; s < a->source_count; s++)
        for (size_t t = 0; t < a->sources[s].run.table_count; t++)
            if (plan_has(b, a->sources[s].run.tables[t]))
                return false;
    return true;
}

static bool plan_has(const struct compaction_plan *plan, const struct table *table)
{
    for (size_t s = 0; s < plan->source_count; s++)
        for (size_t t = 0; t < plan->sources[s].run.table_count; t++)
            if (plan->sources[s].run.tables[t] == table)
                return true;
    return false;
}

bool compaction_older_may_hold(const struct version *version, const struct compaction_plan *plan,
                               struct varve_slice user_key)
{
    for (size_t l = plan->output_level; l < VARVE_LEVELS_MAX; l++) {
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            const struct table *table = run_find(&version->levels[l].runs[r], user_key);
            if (table != NULL && !plan_has(plan, table))
                return true;
        }
    }
    return false;
}

/* How far `value` is on the way from `from` to `to`, in percent. */
static unsigned way_percent(uint64_t value, uint64_t from, uint64_t to)
{
    if (value <= from)
        return 0;
    return value >= to ? 100 : (unsigned)((value - from) * 100 / (to - from));
}

struct compaction_debt compaction_debt_of(const struct version *version,
                                          const struct compaction_policy *policy,
                                          size_t level0_stop)
{
    struct compaction_debt debt = {
        .level0_percent =
            way_percent(version->levels[0].run_count, 2 * policy->level0_trigger, level0_stop),
    };
    if (policy->style == VARVE_COMPACTION_LEVELED)
        return debt;

    /* The tiers' share of the last level, with room for what merges of level 0 bring meanwhile. */
    size_t last = policy->max_levels - 1;
    uint64_t tiers_bytes = 0;
    uint64_t due = version_level_bytes(version, last) / 100 * COMPACTION_TIER_SHARE_PERCENT +
                   2 * policy->level0_trigger * policy->memtable_bytes;
    for (size_t l = 1; l < last; l++)
        tiers_bytes += version_level_bytes(version, l);
    debt.tiers_percent = way_percent(tiers_bytes, due, 2 * due);
    return debt;
}
