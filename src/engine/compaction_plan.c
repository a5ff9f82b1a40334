/*
 * The policy of this version: when level 0 has enough runs, all of them are merged with what they
 * overlap of level 1, which is one run. Taking all of level 0 keeps the inputs neighbours in age.
 */
#include "engine/compaction_plan.h"

#include <stdlib.h>

#define OUTPUT_LEVEL 1u

struct key_range {
    struct varve_slice smallest, largest; /* user keys */
};

static void range_add(struct key_range *range, const struct table *table)
{
    struct varve_slice smallest = entry_user_key(table_smallest(table));
    struct varve_slice largest = entry_user_key(table_largest(table));
    if (range->smallest.data == NULL || varve_slice_compare(smallest, range->smallest) < 0)
        range->smallest = smallest;
    if (range->largest.data == NULL || varve_slice_compare(largest, range->largest) > 0)
        range->largest = largest;
}

static bool range_overlaps(const struct key_range *range, const struct table *table)
{
    return varve_slice_compare(entry_user_key(table_smallest(table)), range->largest) <= 0 &&
           varve_slice_compare(entry_user_key(table_largest(table)), range->smallest) >= 0;
}

/* Adds the tables of `run` that overlap `range` (all when NULL) as a source; none, no source. */
static enum varve_status plan_add(struct compaction_plan *plan, uint32_t level,
                                  const struct run *run, const struct key_range *range)
{
    struct compaction_source *source = &plan->sources[plan->source_count];
    struct table **tables = calloc(run->table_count, sizeof(struct table *));
    if (tables == NULL)
        return status_raise(VARVE_NO_MEMORY);
    size_t count = 0;
    for (size_t i = 0; i < run->table_count; i++)
        if (range == NULL || range_overlaps(range, run->tables[i]))
            tables[count++] = run->tables[i];
    if (count == 0) {
        free(tables);
        return VARVE_OK;
    }
    *source = (struct compaction_source){
        .level = level, .run = {.id = run->id, .table_count = count, .tables = tables}};
    plan->source_count++;
    return VARVE_OK;
}

/* No source has anything in the range of another, and nothing waits to be dropped. */
static bool plan_is_move(const struct compaction_plan *plan)
{
    for (size_t a = 0; a < plan->source_count; a++) {
        if (plan->sources[a].level == plan->output_level)
            return false;
        struct key_range range = {0};
        for (size_t t = 0; t < plan->sources[a].run.table_count; t++) {
            if (plan->sources[a].run.tables[t]->meta.tombstone_count > 0)
                return false;
            range_add(&range, plan->sources[a].run.tables[t]);
        }
        for (size_t b = a + 1; b < plan->source_count; b++)
            for (size_t t = 0; t < plan->sources[b].run.table_count; t++)
                if (range_overlaps(&range, plan->sources[b].run.tables[t]))
                    return false;
    }
    return true;
}

enum varve_status compaction_plan_make(const struct version *version,
                                       const struct compaction_policy *policy,
                                       struct compaction_plan *ret_plan)
{
    const struct level *level0 = &version->levels[0];
    const struct level *level1 = &version->levels[OUTPUT_LEVEL];
    struct compaction_plan plan = {.output_level = OUTPUT_LEVEL};
    struct key_range range = {0};
    enum varve_status status = VARVE_OK;

    size_t least = policy->everything ? 1 : policy->level0_trigger;
    if (level0->run_count < least) {
        *ret_plan = plan;
        return VARVE_OK;
    }
    plan.sources = calloc(level0->run_count + level1->run_count, sizeof *plan.sources);
    if (plan.sources == NULL)
        return status_raise(VARVE_NO_MEMORY);
    for (size_t r = 0; status == VARVE_OK && r < level0->run_count; r++) {
        status = plan_add(&plan, 0, &level0->runs[r], NULL);
        for (size_t t = 0; t < level0->runs[r].table_count; t++)
            range_add(&range, level0->runs[r].tables[t]);
    }
    for (size_t r = 0; status == VARVE_OK && r < level1->run_count; r++) {
        plan.output_run_id = level1->runs[r].id;
        status = plan_add(&plan, OUTPUT_LEVEL, &level1->runs[r], &range);
    }
    if (status != VARVE_OK) {
        compaction_plan_deinit(&plan);
        return status;
    }
    plan.move = plan_is_move(&plan);
    *ret_plan = plan;
    return VARVE_OK;
}

void compaction_plan_deinit(struct compaction_plan *plan)
{
    for (size_t i = 0; i < plan->source_count; i++)
        free(plan->sources[i].run.tables);
    free(plan->sources);
    *plan = (struct compaction_plan){0};
}

bool compaction_older_may_hold(const struct version *version, const struct compaction_plan *plan,
                               struct varve_slice user_key)
{
    for (size_t l = plan->output_level + 1; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < version->levels[l].run_count; r++)
            if (run_find(&version->levels[l].runs[r], user_key) != NULL)
                return true;
    return false;
}
