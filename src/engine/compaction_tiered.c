/*
 * Level 0 collects flushed runs; when there are `level0_trigger` of them, all become one run of
 * level 1. A tier with as many runs over some keys gives these on to the next tier. When the tiers
 * together pass their share of the last level, the deepest tier, which is the oldest, is merged
 * into the last level, the piece with the greatest part of new bytes first.
 *
 * Age: of level 0 all runs are taken, of a tier and the level below it all tables over the keys of
 * the piece. So for every key what is merged is neighbours in age, and what stays above is newer.
 */
#include "engine/compaction_parts.h"

struct piece_choice {
    bool found;
    struct piece piece;
    double score;
    size_t depth_least;
};

static void piece_choose(void *context, const struct piece *piece)
{
    struct piece_choice *choice = context;
    double score = (double)piece->upper_bytes / (double)(piece->lower_bytes + 1);
    if (piece->upper_depth < choice->depth_least || (choice->found && score <= choice->score))
        return;
    choice->found = true;
    choice->piece = *piece;
    choice->score = score;
}

/* How many runs a level may have before they are merged. */
static size_t runs_trigger(const struct compaction_policy *policy)
{
    switch (policy->mode) {
    case COMPACTION_EVERYTHING:
        return 1;
    case COMPACTION_FOLD:
        return COMPACTION_FOLD_TRIGGER;
    case COMPACTION_DUE:
        break;
    }
    return policy->level0_trigger;
}

static size_t deepest_tier(const struct version *version, size_t last)
{
    for (size_t l = last - 1; l > 0; l--)
        if (version->levels[l].run_count > 0)
            return l;
    return 0;
}

/* Level 0 into the first tier, or straight into the last level where that has nothing to rewrite.
 */
static enum varve_status plan_level0(const struct version *version,
                                     const struct compaction_policy *policy, size_t last,
                                     struct compaction_plan *plan)
{
    enum varve_status status = plan_add_level(plan, version, 0, NULL);
    if (status != VARVE_OK)
        return status;
    struct key_range range = plan_range(plan);
    bool tiers_empty = deepest_tier(version, last) == 0;
    uint64_t join_last = level_run_to_join(version, last, &range);
    plan->reason = COMPACTION_LEVEL0;
    plan->output_bytes = policy->table_bytes;
    if (last == 1 || (tiers_empty && (version->levels[last].run_count == 0 || join_last != 0))) {
        plan->output_level = (uint32_t)last;
        plan->output_run_id =
            version->levels[last].run_count > 0 ? version->levels[last].runs[0].id : 0;
        key_range_widen(&range, version, last);
        status = plan_add_level(plan, version, last, &range);
        plan->move = join_last != 0 || version->levels[last].run_count == 0;
        plan->move = plan->move && plan_is_disjoint(plan);
        return status;
    }
    plan->output_level = 1;
    plan->output_run_id = level_run_to_join(version, 1, &range);
    plan->output_bytes = policy->table_bytes * 4; /* cuts come first */
    plan->cut_bytes = policy->table_bytes / 8;
    return plan_cut_at_level(plan, version, last);
}

/* A piece of `tier` goes one level down, or into the last level with what it overlaps there. */
static enum varve_status plan_piece(const struct version *version,
                                    const struct compaction_policy *policy, size_t tier,
                                    size_t output, size_t last, size_t depth_least,
                                    struct compaction_plan *plan)
{
    struct piece_choice choice = {.depth_least = depth_least};
    size_t lower = output == last ? last : VARVE_LEVELS_MAX;
    enum varve_status status = pieces_walk(version, tier, lower, piece_choose, &choice);
    if (status != VARVE_OK || !choice.found)
        return status;
    status = plan_add_level(plan, version, tier, &choice.piece.range);
    if (status == VARVE_OK && output == last)
        status = plan_add_level(plan, version, last, &choice.piece.range);
    if (status != VARVE_OK)
        return status;
    plan->output_level = (uint32_t)output;
    plan->output_bytes = policy->table_bytes;
    if (output == last) {
        /* Equal parts rather than full tables and a remainder. */
        uint64_t bytes = plan_bytes(plan);
        uint64_t tables = (bytes + policy->table_bytes - 1) / policy->table_bytes;
        plan->output_bytes = bytes / (tables > 0 ? tables : 1) + 1;
        plan->output_run_id =
            version->levels[last].run_count > 0 ? version->levels[last].runs[0].id : 0;
        plan->move = choice.piece.lower_bytes == 0 && plan_is_disjoint(plan);
        return VARVE_OK;
    }
    plan->output_run_id = level_run_to_join(version, output, &choice.piece.range);
    plan->output_bytes = policy->table_bytes * 4;
    plan->cut_bytes = policy->table_bytes / 8;
    return plan_cut_at_level(plan, version, last);
}

static enum varve_status plan_fold(const struct version *version,
                                   const struct compaction_policy *policy, size_t last,
                                   struct compaction_plan *plan)
{
    for (size_t tier = 1; tier < last; tier++) {
        if (version->levels[tier].run_count < runs_trigger(policy))
            continue;
        enum varve_status status =
            plan_piece(version, policy, tier, tier + 1, last, runs_trigger(policy), plan);
        plan->reason = COMPACTION_RUNS;
        if (status != VARVE_OK || plan->source_count > 0)
            return status;
    }
    return VARVE_OK;
}

enum varve_status compaction_plan_tiered(const struct version *version,
                                         const struct compaction_policy *policy,
                                         struct compaction_plan *plan)
{
    size_t last = policy->max_levels - 1;
    size_t runs = version->levels[0].run_count;
    size_t trigger = runs_trigger(policy);
    uint64_t percent = policy->mode == COMPACTION_FOLD ? COMPACTION_FOLD_SHARE_PERCENT
                                                       : COMPACTION_TIER_SHARE_PERCENT;
    uint64_t tiers_bytes = 0;
    for (size_t l = 1; l < last; l++)
        tiers_bytes += version_level_bytes(version, l);
    uint64_t share = version_level_bytes(version, last) / 100 * percent;
    size_t deepest = deepest_tier(version, last);
    bool over = deepest > 0 && (policy->mode == COMPACTION_EVERYTHING || tiers_bytes >= share);

    /* Writes wait for level 0, so it goes first, unless the tiers are far over their share. */
    if (runs >= trigger && (!over || tiers_bytes < share + share / 2 || runs >= 2 * trigger))
        return plan_level0(version, policy, last, plan);
    if (over) {
        plan->reason = COMPACTION_SHARE;
        return plan_piece(version, policy, deepest, last, last, 1, plan);
    }
    return plan_fold(version, policy, last, plan);
}
