/*
 * Pieces are found by a sweep: the tables of both levels in the order of their smallest keys; a
 * piece ends where the next table begins behind everything so far.
 */
#include "engine/compaction_parts.h"

#include <stdlib.h>

/* Tables of the least size that a merge has, on average, from one shared cut to the next. */
#define SHARED_CUT_TABLES 4u

void key_range_add(struct key_range *range, const struct table *table)
{
    struct varve_slice smallest = entry_user_key(table_smallest(table));
    struct varve_slice largest = entry_user_key(table_largest(table));
    if (range->smallest.data == NULL || varve_slice_compare(smallest, range->smallest) < 0)
        range->smallest = smallest;
    if (range->largest.data == NULL || varve_slice_compare(largest, range->largest) > 0)
        range->largest = largest;
}

bool key_range_overlaps(const struct key_range *range, const struct table *table)
{
    return range->smallest.data != NULL &&
           varve_slice_compare(entry_user_key(table_smallest(table)), range->largest) <= 0 &&
           varve_slice_compare(entry_user_key(table_largest(table)), range->smallest) >= 0;
}

bool key_ranges_are_apart(const struct key_range *a, const struct key_range *b)
{
    return varve_slice_compare(a->largest, b->smallest) < 0 ||
           varve_slice_compare(b->largest, a->smallest) < 0;
}

void key_range_widen(struct key_range *range, const struct version *version, size_t level)
{
    const struct level *from = &version->levels[level];
    struct key_range before = {0};
    do {
        before = *range;
        for (size_t r = 0; r < from->run_count; r++)
            for (size_t t = 0; t < from->runs[r].table_count; t++)
                if (key_range_overlaps(range, from->runs[r].tables[t]))
                    key_range_add(range, from->runs[r].tables[t]);
    } while (varve_slice_compare(before.smallest, range->smallest) != 0 ||
             varve_slice_compare(before.largest, range->largest) != 0);
}

bool policy_wants(const struct compaction_policy *policy, const struct table *table)
{
    return (policy->asked_sequence == 0 || table->meta.sequence_min <= policy->asked_sequence) &&
           (policy->end.size == 0 ||
            varve_slice_compare(entry_user_key(table_smallest(table)), policy->end) < 0) &&
           varve_slice_compare(entry_user_key(table_largest(table)), policy->start) >= 0;
}

bool policy_wants_all(const struct compaction_policy *policy)
{
    return policy->start.size == 0 && policy->end.size == 0 && policy->asked_sequence == 0;
}

bool compaction_runs_wanted(const struct compaction_policy *policy)
{
    for (size_t i = 0; i < policy->running_count; i++) {
        const struct compaction_plan *plan = policy->running[i];
        for (size_t s = 0; s < plan->source_count; s++)
            for (size_t t = 0; t < plan->sources[s].run.table_count; t++)
                if (policy_wants(policy, plan->sources[s].run.tables[t]))
                    return true;
    }
    return false;
}

bool level_has_wanted(const struct version *version, const struct compaction_policy *policy,
                      size_t level)
{
    for (size_t r = 0; r < version->levels[level].run_count; r++)
        for (size_t t = 0; t < version->levels[level].runs[r].table_count; t++)
            if (policy_wants(policy, version->levels[level].runs[r].tables[t]))
                return true;
    return false;
}

size_t deepest_wanted(const struct version *version, const struct compaction_policy *policy,
                      size_t from, size_t to)
{
    for (size_t l = to; l >= from && l > 0; l--)
        if (level_has_wanted(version, policy, l))
            return l;
    return 0;
}

struct key_range level0_range(const struct version *version, const struct compaction_policy *policy)
{
    struct key_range range = {0};
    for (size_t r = 0; r < version->levels[0].run_count; r++)
        for (size_t t = 0; t < version->levels[0].runs[r].table_count; t++)
            if (policy_wants(policy, version->levels[0].runs[r].tables[t]))
                key_range_add(&range, version->levels[0].runs[r].tables[t]);
    if (range.smallest.data != NULL)
        key_range_widen(&range, version, 0);
    return range;
}

struct span {
    const struct table *table;
    bool upper;
};

static int span_compare(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return varve_slice_compare(entry_user_key(table_smallest(x->table)),
                               entry_user_key(table_smallest(y->table)));
}

static size_t level_table_count(const struct version *version, size_t level)
{
    size_t count = 0;
    for (size_t r = 0; level < VARVE_LEVELS_MAX && r < version->levels[level].run_count; r++)
        count += version->levels[level].runs[r].table_count;
    return count;
}

static size_t spans_fill(const struct version *version, size_t level, bool upper,
                         struct span *spans)
{
    size_t count = 0;
    for (size_t r = 0; level < VARVE_LEVELS_MAX && r < version->levels[level].run_count; r++)
        for (size_t t = 0; t < version->levels[level].runs[r].table_count; t++)
            spans[count++] =
                (struct span){.table = version->levels[level].runs[r].tables[t], .upper = upper};
    return count;
}

static void piece_add(struct piece *piece, const struct span *span)
{
    key_range_add(&piece->range, span->table);
    if (!span->upper) {
        piece->lower_bytes += span->table->meta.file_bytes;
        return;
    }
    piece->upper_bytes += span->table->meta.file_bytes;
    piece->upper_tables++;
}

/* Runs of the upper level that take part: no key of the piece has more tables over it. */
static size_t piece_depth(const struct version *version, size_t upper, const struct piece *piece)
{
    size_t depth = 0;
    for (size_t r = 0; r < version->levels[upper].run_count; r++) {
        const struct run *run = &version->levels[upper].runs[r];
        bool takes_part = false;
        for (size_t t = 0; !takes_part && t < run->table_count; t++)
            takes_part = key_range_overlaps(&piece->range, run->tables[t]);
        depth += takes_part;
    }
    return depth;
}

static void piece_tell(const struct version *version, size_t upper, struct piece *piece,
                       piece_fn each, void *context)
{
    if (piece->upper_tables == 0)
        return;
    piece->upper_depth = piece_depth(version, upper, piece);
    each(context, piece);
}

enum varve_status pieces_walk(const struct version *version, size_t upper, size_t lower,
                              piece_fn each, void *context)
{
    size_t count = level_table_count(version, upper) + level_table_count(version, lower);
    struct piece piece = {0};

    if (count == 0)
        return VARVE_OK;
    struct span *spans = calloc(count, sizeof *spans);
    if (spans == NULL)
        return status_raise(VARVE_NO_MEMORY);
    size_t filled = spans_fill(version, upper, true, spans);
    filled += spans_fill(version, lower, false, spans + filled);
    qsort(spans, filled, sizeof *spans, span_compare);
    for (size_t i = 0; i < filled; i++) {
        if (piece.range.smallest.data != NULL &&
            !key_range_overlaps(&piece.range, spans[i].table)) {
            piece_tell(version, upper, &piece, each, context);
            piece = (struct piece){0};
        }
        piece_add(&piece, &spans[i]);
    }
    piece_tell(version, upper, &piece, each, context);
    free(spans);
    return VARVE_OK;
}

static enum varve_status plan_add_run(struct compaction_plan *plan, size_t level,
                                      const struct run *run, const struct key_range *range)
{
    size_t count = 0;
    for (size_t i = 0; i < run->table_count; i++)
        count += range == NULL || key_range_overlaps(range, run->tables[i]);
    if (count == 0)
        return VARVE_OK;
    struct table **tables = calloc(count, sizeof(struct table *));
    if (tables == NULL)
        return status_raise(VARVE_NO_MEMORY);
    count = 0;
    for (size_t i = 0; i < run->table_count; i++)
        if (range == NULL || key_range_overlaps(range, run->tables[i]))
            tables[count++] = run->tables[i];
    plan->sources[plan->source_count++] = (struct compaction_source){
        .level = (uint32_t)level,
        .run = {.id = run->id, .table_count = count, .tables = tables},
    };
    return VARVE_OK;
}

enum varve_status plan_add_level(struct compaction_plan *plan, const struct version *version,
                                 size_t level, const struct key_range *range)
{
    const struct level *from = &version->levels[level];
    if (from->run_count == 0)
        return VARVE_OK;
    struct compaction_source *sources =
        realloc(plan->sources, (plan->source_count + from->run_count) * sizeof *sources);
    if (sources == NULL)
        return status_raise(VARVE_NO_MEMORY);
    plan->sources = sources;
    enum varve_status status = VARVE_OK;
    for (size_t r = 0; status == VARVE_OK && r < from->run_count; r++)
        status = plan_add_run(plan, level, &from->runs[r], range);
    return status;
}

enum varve_status plan_cut_at_level(struct compaction_plan *plan, const struct version *version,
                                    size_t level, uint64_t bytes)
{
    const struct key_range range = plan_range(plan);
    size_t count = level_table_count(version, level), inside = 0;
    plan->cut_bytes = bytes;
    if (count == 0)
        return VARVE_OK;
    plan->cuts = calloc(count, sizeof *plan->cuts);
    if (plan->cuts == NULL)
        return status_raise(VARVE_NO_MEMORY);
    /* The last level is one run, so its tables are in key order. */
    const struct run *run = &version->levels[level].runs[0];
    for (size_t t = 0; t < run->table_count; t++) {
        plan->cuts[plan->cut_count++] = entry_user_key(table_largest(run->tables[t]));
        inside += key_range_overlaps(&range, run->tables[t]);
    }
    /* Few: what is left in front of each is a table, too, however small. */
    while (inside / (plan->cut_mask + 1) * bytes * SHARED_CUT_TABLES > plan_bytes(plan))
        plan->cut_mask = 2 * plan->cut_mask + 1;
    return VARVE_OK;
}

struct key_range plan_range(const struct compaction_plan *plan)
{
    struct key_range range = {0};
    for (size_t s = 0; s < plan->source_count; s++)
        for (size_t t = 0; t < plan->sources[s].run.table_count; t++)
            key_range_add(&range, plan->sources[s].run.tables[t]);
    return range;
}

uint64_t plan_bytes(const struct compaction_plan *plan)
{
    uint64_t bytes = 0;
    for (size_t s = 0; s < plan->source_count; s++)
        for (size_t t = 0; t < plan->sources[s].run.table_count; t++)
            bytes += plan->sources[s].run.tables[t]->meta.file_bytes;
    return bytes;
}

bool plan_is_disjoint(const struct compaction_plan *plan)
{
    for (size_t a = 0; a < plan->source_count; a++) {
        struct key_range range = {0};
        for (size_t t = 0; t < plan->sources[a].run.table_count; t++) {
            if (plan->sources[a].run.tables[t]->meta.tombstone_count > 0)
                return false;
            key_range_add(&range, plan->sources[a].run.tables[t]);
        }
        for (size_t b = a + 1; b < plan->source_count; b++)
            for (size_t t = 0; t < plan->sources[b].run.table_count; t++)
                if (key_range_overlaps(&range, plan->sources[b].run.tables[t]))
                    return false;
    }
    return true;
}

bool plan_settle(const struct compaction_policy *policy, struct compaction_plan *plan)
{
    plan->range = plan_range(plan);
    if (plan->source_count == 0) {
        compaction_plan_deinit(plan);
        return false;
    }
    for (size_t i = 0; i < policy->running_count; i++) {
        if (compaction_plans_agree(policy->running[i], plan))
            continue;
        if (policy->held_up != NULL)
            *policy->held_up = true;
        compaction_plan_deinit(plan);
        return false;
    }
    return true;
}

uint64_t level_newest_run(const struct version *version, const struct compaction_policy *policy,
                          size_t level)
{
    const struct level *to = &version->levels[level];
    uint64_t newest = to->run_count > 0 ? to->runs[0].id : 0;
    for (size_t i = 0; i < policy->running_count; i++)
        if (policy->running[i]->output_level == level && policy->running[i]->output_run_id > newest)
            newest = policy->running[i]->output_run_id;
    return newest;
}

uint64_t level_run_to_join(const struct version *version, const struct compaction_policy *policy,
                           size_t level, const struct key_range *range)
{
    const struct level *to = &version->levels[level];
    uint64_t newest = level_newest_run(version, policy, level);
    if (to->run_count == 0 || to->runs[0].id != newest)
        return newest; /* not there yet; plans for one level have ranges apart */
    for (size_t t = 0; t < to->runs[0].table_count; t++)
        if (key_range_overlaps(range, to->runs[0].tables[t]))
            return 0;
    return newest;
}

/* How many entries of a table a merge of now would drop, at least one if there is one. Expiries are
 * taken to be spread evenly. */
static uint64_t table_garbage(const struct table *table, const struct compaction_policy *policy)
{
    const struct manifest_table *meta = &table->meta;
    uint64_t now_s = policy->keep.time_ms / 1000;
    if (policy->asked_time_ms != 0 && policy->asked_time_ms / 1000 < now_s)
        now_s = policy->asked_time_ms / 1000;
    uint64_t garbage = meta->sequence_max <= policy->keep.sequence ? meta->tombstone_count : 0;

    if (meta->expiring_count == 0 || meta->expiry_min_s > now_s)
        return garbage;
    if (meta->expiry_max_s <= now_s)
        return garbage + meta->expiring_count;
    double past = (double)(now_s - meta->expiry_min_s + 1) /
                  (double)(meta->expiry_max_s - meta->expiry_min_s + 1);
    uint64_t expired = (uint64_t)(past * (double)meta->expiring_count);
    return garbage + (expired > 0 ? expired : 1);
}

/* The deepest level that has tables; 0 also when none has. */
static size_t deepest_level(const struct version *version)
{
    size_t deepest = VARVE_LEVELS_MAX - 1;
    while (deepest > 0 && version->levels[deepest].run_count == 0)
        deepest--;
    return deepest;
}

uint64_t compaction_garbage_due_s(const struct version *version)
{
    size_t deepest = deepest_level(version);
    uint64_t due_s = 0;
    if (deepest == 0)
        return 0;
    const struct run *run = &version->levels[deepest].runs[0];
    for (size_t t = 0; t < run->table_count; t++) {
        const struct manifest_table *meta = &run->tables[t]->meta;
        bool much = meta->expiring_count * 100 >= meta->entry_count * COMPACTION_GARBAGE_PERCENT;
        if (meta->expiring_count > 0 && much && (due_s == 0 || meta->expiry_max_s < due_s))
            due_s = meta->expiry_max_s;
    }
    return due_s;
}

/* One table of a level, with what overlaps it there, is written anew, unless it is being merged. */
static enum varve_status plan_rewrite(const struct version *version,
                                      const struct compaction_policy *policy, size_t level,
                                      const struct table *table, struct compaction_plan *plan)
{
    struct key_range range = {0};
    key_range_add(&range, table);
    key_range_widen(&range, version, level);
    plan->output_level = (uint32_t)level;
    plan->output_run_id = version->levels[level].runs[0].id;
    plan->output_bytes = policy->table_bytes * 2; /* it shrinks: not to be cut in two */
    enum varve_status status = plan_add_level(plan, version, level, &range);
    if (status == VARVE_OK)
        (void)plan_settle(policy, plan);
    return status;
}

enum varve_status plan_garbage(const struct version *version,
                               const struct compaction_policy *policy, struct compaction_plan *plan)
{
    size_t deepest = deepest_level(version);
    if (deepest == 0)
        return VARVE_OK;
    const struct run *run = &version->levels[deepest].runs[0];
    for (size_t t = 0; t < run->table_count; t++) {
        uint64_t garbage = table_garbage(run->tables[t], policy);
        uint64_t least = policy->mode == COMPACTION_EVERYTHING
                             ? 1
                             : run->tables[t]->meta.entry_count * COMPACTION_GARBAGE_PERCENT / 100;
        if (garbage < (least > 0 ? least : 1) || !policy_wants(policy, run->tables[t]))
            continue;
        enum varve_status status = plan_rewrite(version, policy, deepest, run->tables[t], plan);
        if (status != VARVE_OK || plan->source_count > 0) {
            plan->reason = COMPACTION_GARBAGE;
            return status;
        }
    }
    return VARVE_OK;
}

static bool table_was_moved(const struct table *table, const struct compaction_policy *policy)
{
    return table->meta.compression == policy->compression &&
           policy->compression != policy->compression_bottom;
}

bool compaction_has_moved(const struct version *version, const struct compaction_policy *policy)
{
    const struct level *last = &version->levels[policy->max_levels - 1];
    for (size_t r = 0; r < last->run_count; r++)
        for (size_t t = 0; t < last->runs[r].table_count; t++)
            if (table_was_moved(last->runs[r].tables[t], policy))
                return true;
    return false;
}

enum varve_status plan_moved(const struct version *version, const struct compaction_policy *policy,
                             struct compaction_plan *plan)
{
    const struct level *last = &version->levels[policy->max_levels - 1];
    bool any = policy->mode == COMPACTION_EVERYTHING;
    for (size_t r = 0; r < last->run_count; r++) {
        for (size_t t = 0; t < last->runs[r].table_count; t++) {
            const struct table *table = last->runs[r].tables[t];
            bool moved = any ? table->meta.compression != policy->compression_bottom &&
                                   policy_wants(policy, table)
                             : table_was_moved(table, policy);
            if (!moved)
                continue;
            enum varve_status status =
                plan_rewrite(version, policy, policy->max_levels - 1, table, plan);
            if (status != VARVE_OK || plan->source_count > 0)
                return status;
        }
    }
    return VARVE_OK;
}
