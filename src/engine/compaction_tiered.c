/*
 * Level 0 collects flushed runs; when there are `level0_trigger` of them, all become one run of
 * level 1. A tier with as many runs over some keys gives these on to the next tier. When the tiers
 * together pass their share of the last level, the deepest tier, which is the oldest, is merged
 * into the last level, the piece with the greatest part of new bytes first.
 *
 * Age: of level 0 all runs are taken, of a tier and the level below it all tables over the keys of
 * the piece. So for every key what is merged is neighbours in age, and what stays above is newer.
 *
 * Tables of the tiers end where tables of the last level do, so that pieces stay apart. If a merge
 * has too little for a table between any two of these places, it ends some at places that all
 * merges share, chosen by a hash of the key: were they chosen by size alone, tables of one run
 * would lie across the ends of another's, and so on through the whole level: one piece.
 */
#include "engine/compaction_parts.h"

struct piece_choice {
    const struct version *version;
    const struct compaction_policy *policy;
    size_t tier, output;
    const struct key_range *under; /* NULL, or a piece that waits for what is older than it */
    size_t depth_least;
    bool found;
    struct piece piece;
    double score;
};

/* Pieces without a table that is wanted are none of ours. */
static bool piece_is_wanted(const struct piece_choice *choice, const struct piece *piece)
{
    const struct level *tier = &choice->version->levels[choice->tier];
    if (choice->under == NULL && policy_wants_all(choice->policy))
        return true;
    for (size_t r = 0; r < tier->run_count; r++) {
        for (size_t t = 0; t < tier->runs[r].table_count; t++) {
            const struct table *table = tier->runs[r].tables[t];
            bool wanted = choice->under != NULL ? key_range_overlaps(choice->under, table)
                                                : policy_wants(choice->policy, table);
            if (wanted && key_range_overlaps(&piece->range, table))
                return true;
        }
    }
    return false;
}

/* Pieces that a running merge has keys of are taken only if it stays above them or below. Asked of
 * pieces that are wanted. */
static bool piece_is_free(const struct piece_choice *choice, const struct piece *piece)
{
    for (size_t i = 0; i < choice->policy->running_count; i++) {
        const struct compaction_plan *running = choice->policy->running[i];
        bool above =
            running->output_level <= choice->tier && running->output_level < choice->output;
        bool below =
            choice->output <= running->sources[0].level && choice->output < running->output_level;
        if (above || below || key_ranges_are_apart(&running->range, &piece->range))
            continue;
        if (choice->policy->held_up != NULL)
            *choice->policy->held_up = true;
        return false;
    }
    return true;
}

static void piece_choose(void *context, const struct piece *piece)
{
    struct piece_choice *choice = context;
    double score = (double)piece->upper_bytes / (double)(piece->lower_bytes + 1);
    if (piece->upper_depth < choice->depth_least || (choice->found && score <= choice->score) ||
        !piece_is_wanted(choice, piece) || !piece_is_free(choice, piece))
        return;
    choice->found = true;
    choice->piece = *piece;
    choice->score = score;
}

/* How many runs a level may have before they are merged. */
static size_t runs_trigger(const struct compaction_policy *policy)
{
    return policy->mode == COMPACTION_FOLD ? COMPACTION_FOLD_TRIGGER : policy->level0_trigger;
}

/* The deepest tier below `tier` with keys of a range; 0 when none has any. */
static size_t deeper_tier(const struct version *version, const struct key_range *range, size_t tier,
                          size_t last)
{
    for (size_t l = last - 1; l > tier; l--)
        for (size_t r = 0; r < version->levels[l].run_count; r++)
            for (size_t t = 0; t < version->levels[l].runs[r].table_count; t++)
                if (key_range_overlaps(range, version->levels[l].runs[r].tables[t]))
                    return l;
    return 0;
}

/* Level 0 into the first tier, or straight into the last level where that has nothing to rewrite.
 */
static enum varve_status plan_level0(const struct version *version,
                                     const struct compaction_policy *policy, size_t last,
                                     struct compaction_plan *plan)
{
    struct key_range range = level0_range(version, policy);
    enum varve_status status = plan_add_level(plan, version, 0, &range);
    if (status != VARVE_OK)
        return status;
    bool tiers_empty = deeper_tier(version, &range, 0, last) == 0;
    uint64_t join_last = level_run_to_join(version, policy, last, &range);
    plan->reason = COMPACTION_LEVEL0;
    plan->output_bytes = policy->table_bytes;
    if (last == 1 || (tiers_empty && (version->levels[last].run_count == 0 || join_last != 0))) {
        plan->output_level = (uint32_t)last;
        plan->output_run_id = level_newest_run(version, policy, last);
        key_range_widen(&range, version, last);
        status = plan_add_level(plan, version, last, &range);
        plan->move = join_last != 0 || version->levels[last].run_count == 0;
        plan->move = plan->move && plan_is_disjoint(plan);
        (void)plan_settle(policy, plan);
        return status;
    }
    plan->output_level = 1;
    plan->output_run_id = level_run_to_join(version, policy, 1, &range);
    plan->output_bytes = policy->table_bytes * 4; /* cuts come first */
    status = plan_cut_at_level(plan, version, last, policy->table_bytes / 8);
    (void)plan_settle(policy, plan);
    return status;
}

/* A piece of `tier` goes into the last level with what it overlaps there. Where a part of the store
 * is merged by hand, a deeper tier may still hold some of its keys: that goes first. */
static enum varve_status plan_into_last(const struct version *version,
                                        const struct compaction_policy *policy, size_t tier,
                                        size_t last, size_t depth_least,
                                        struct compaction_plan *plan)
{
    struct piece_choice choice = {.version = version,
                                  .policy = policy,
                                  .tier = tier,
                                  .output = last,
                                  .depth_least = depth_least};
    struct key_range under = {0};
    for (size_t deeper = tier; deeper != 0;) {
        enum varve_status status = pieces_walk(version, deeper, last, piece_choose, &choice);
        if (status != VARVE_OK || !choice.found)
            return status;
        under = choice.piece.range;
        tier = deeper;
        deeper = deeper_tier(version, &under, tier, last);
        if (deeper != 0)
            choice = (struct piece_choice){.version = version,
                                           .policy = policy,
                                           .tier = deeper,
                                           .output = last,
                                           .under = &under};
    }
    enum varve_status status = plan_add_level(plan, version, tier, &under);
    if (status == VARVE_OK)
        status = plan_add_level(plan, version, last, &under);
    if (status != VARVE_OK)
        return status;
    /* Equal parts rather than full tables and a remainder. */
    uint64_t bytes = plan_bytes(plan);
    uint64_t tables = (bytes + policy->table_bytes - 1) / policy->table_bytes;
    plan->output_level = (uint32_t)last;
    plan->output_bytes = bytes / (tables > 0 ? tables : 1) + 1;
    plan->output_run_id = level_newest_run(version, policy, last);
    plan->move = choice.piece.lower_bytes == 0 && plan_is_disjoint(plan);
    (void)plan_settle(policy, plan);
    return VARVE_OK;
}

/* A piece of `tier` becomes a run of the next tier, or a part of one. */
static enum varve_status plan_down(const struct version *version,
                                   const struct compaction_policy *policy, size_t tier, size_t last,
                                   size_t depth_least, struct compaction_plan *plan)
{
    struct piece_choice choice = {.version = version,
                                  .policy = policy,
                                  .tier = tier,
                                  .output = tier + 1,
                                  .depth_least = depth_least};
    enum varve_status status = pieces_walk(version, tier, VARVE_LEVELS_MAX, piece_choose, &choice);
    if (status != VARVE_OK || !choice.found)
        return status;
    status = plan_add_level(plan, version, tier, &choice.piece.range);
    if (status != VARVE_OK)
        return status;
    plan->output_level = (uint32_t)tier + 1;
    plan->output_run_id = level_run_to_join(version, policy, tier + 1, &choice.piece.range);
    plan->output_bytes = policy->table_bytes * 4;
    status = plan_cut_at_level(plan, version, last, policy->table_bytes / 8);
    (void)plan_settle(policy, plan);
    return status;
}

static enum varve_status plan_fold(const struct version *version,
                                   const struct compaction_policy *policy, size_t last,
                                   struct compaction_plan *plan)
{
    for (size_t tier = 1; tier < last; tier++) {
        size_t runs = runs_trigger(policy);
        if (version->levels[tier].run_count < runs)
            continue;
        enum varve_status status = tier + 1 == last
                                       ? plan_into_last(version, policy, tier, last, runs, plan)
                                       : plan_down(version, policy, tier, last, runs, plan);
        plan->reason = COMPACTION_RUNS;
        if (status != VARVE_OK || plan->source_count > 0)
            return status;
    }
    return VARVE_OK;
}

/* Asked for by hand: downwards, until only the last level has any of it. */
static enum varve_status plan_asked(const struct version *version,
                                    const struct compaction_policy *policy, size_t last,
                                    struct compaction_plan *plan)
{
    enum varve_status status = VARVE_OK;
    if (level_has_wanted(version, policy, 0))
        status = plan_level0(version, policy, last, plan);
    size_t tier = deepest_wanted(version, policy, 1, last - 1);
    if (status == VARVE_OK && plan->source_count == 0 && tier != 0)
        status = plan_into_last(version, policy, tier, last, 1, plan);
    return status;
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
    if (policy->mode == COMPACTION_EVERYTHING)
        return plan_asked(version, policy, last, plan);
    uint64_t tiers_bytes = 0;
    for (size_t l = 1; l < last; l++)
        tiers_bytes += version_level_bytes(version, l);
    uint64_t share = version_level_bytes(version, last) / 100 * percent;
    size_t deepest = deepest_wanted(version, policy, 1, last - 1);
    bool over = deepest > 0 && tiers_bytes >= share;

    /* Writes wait for level 0, so it goes first, unless the tiers are far over their share. */
    bool level0_first = !over || tiers_bytes < share + share / 2 || runs >= 2 * trigger;
    enum varve_status status = VARVE_OK;
    if (runs >= trigger && level0_first)
        status = plan_level0(version, policy, last, plan);
    if (status == VARVE_OK && plan->source_count == 0 && over) {
        status = plan_into_last(version, policy, deepest, last, 1, plan);
        plan->reason = COMPACTION_SHARE;
    }
    if (status == VARVE_OK && plan->source_count == 0 && runs >= trigger && !level0_first)
        status = plan_level0(version, policy, last, plan);
    if (status == VARVE_OK && plan->source_count == 0 && !over)
        status = plan_fold(version, policy, last, plan);
    return status;
}
