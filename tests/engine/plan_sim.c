/* Entries are merged when a merge begins, and come into the version when it ends. */
#include "plan_sim.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/merge.h"
#include "must.h"
#include "plan_text.h"

#define SIM_PLANS_MAX 2000u /* far more than any version here can need */

void sim_expect(const struct sim *sim, const struct compaction_plan *plan, bool condition,
                const char *what, int line)
{
    struct buf text = {0};
    if (condition)
        return;
    if (plan != NULL)
        plan_text_print(plan, &text);
    ck_abort_msg("VARVE_SEED=%" PRIu64 ", line %d: %s; %s", sim->seed, line, what,
                 text.data != NULL ? (const char *)text.data : "");
}

/* The user keys' bytes. */
static const char sim_keys[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`";

struct varve_slice sim_key(unsigned number)
{
    return varve_slice(&sim_keys[number], 1);
}

static bool sim_is_gone(const struct sim *sim, const struct sim_entry *entry)
{
    return entry->sequence == 0 || entry->kind == ENTRY_DELETE ||
           (entry->kind == ENTRY_PUT_EXPIRING &&
            entry->expires_s <= sim->policy.keep.time_ms / 1000);
}

static void meta_count(struct manifest_table *meta, const struct sim_entry *entry)
{
    meta->entry_count++;
    meta->file_bytes += SIM_ENTRY_BYTES;
    meta->tombstone_count += entry->kind == ENTRY_DELETE;
    if (meta->sequence_max < entry->sequence)
        meta->sequence_max = entry->sequence;
    if (entry->kind != ENTRY_PUT_EXPIRING)
        return;
    if (meta->expiring_count == 0 || entry->expires_s < meta->expiry_min_s)
        meta->expiry_min_s = entry->expires_s;
    if (entry->expires_s > meta->expiry_max_s)
        meta->expiry_max_s = entry->expires_s;
    meta->expiring_count++;
}

/* Adds entries `first` to `last` as a table, unless there are none. */
static void sim_add_table(struct sim *sim, struct manifest_edit *edit, uint32_t level,
                          uint64_t run_id, const struct sim_entry *entries, unsigned first,
                          unsigned last)
{
    struct manifest_table meta = {.level = level, .run_id = run_id, .sequence_min = 1};
    meta.compression = level + 1 >= sim->policy.max_levels ? sim->policy.compression_bottom
                                                           : sim->policy.compression;
    struct sim_table table = {0};
    for (unsigned k = first; k <= last && k < SIM_KEYS; k++) {
        if (entries[k].sequence == 0)
            continue;
        table.entries[k] = entries[k];
        meta_count(&meta, &entries[k]);
        if (meta.smallest.size == 0)
            plan_text_key(&meta.smallest, sim_keys[k]);
        buf_clear(&meta.largest);
        plan_text_key(&meta.largest, sim_keys[k]);
    }
    if (meta.entry_count > 0) {
        meta.file_id = ++sim->file_id;
        sim->tables = must_realloc(sim->tables, sim->file_id + 1, sizeof *sim->tables);
        sim->tables[sim->file_id] = table;
        must_ok(manifest_edit_add_table(edit, &meta));
    }
    manifest_table_deinit(&meta);
}

static void sim_apply(struct sim *sim, const struct manifest_edit *edit,
                      const struct compaction_plan *plan)
{
    struct version *version = NULL;
    SIM_EXPECT(sim, plan, version_apply(sim->version, edit, NULL, &version, NULL) == VARVE_OK);
    version_unref(sim->version);
    sim->version = version;
}

/* What one flush might bring, into any level. */
void sim_add_run(struct sim *sim, uint32_t level)
{
    struct sim_entry entries[SIM_KEYS] = {{0}};
    struct manifest_edit edit = {0};
    unsigned percent = (unsigned)prng_between(&sim->prng, 3, 60);
    unsigned from = (unsigned)prng_below(&sim->prng, SIM_KEYS), first = 0;
    uint64_t now_s = sim->policy.keep.time_ms / 1000;

    sim->run_id++;
    for (unsigned k = prng_chance(&sim->prng, 50) ? 0 : from; k < SIM_KEYS; k++) {
        if (!prng_chance(&sim->prng, percent))
            continue;
        entries[k] = (struct sim_entry){.sequence = ++sim->sequence, .kind = ENTRY_PUT};
        if (prng_chance(&sim->prng, 25))
            entries[k].kind = ENTRY_DELETE;
        else if (prng_chance(&sim->prng, 25))
            entries[k].kind = ENTRY_PUT_EXPIRING;
        if (entries[k].kind == ENTRY_PUT_EXPIRING)
            entries[k].expires_s = now_s + prng_below(&sim->prng, 30);
        sim->newest[k] = entries[k];
    }
    for (unsigned k = 0; k < SIM_KEYS; k++)
        if (k + 1 == SIM_KEYS || (level > 0 && prng_chance(&sim->prng, 15))) {
            sim_add_table(sim, &edit, level, sim->run_id, entries, first, k);
            first = k + 1;
        }
    sim_apply(sim, &edit, NULL);
    manifest_edit_deinit(&edit);
}

static bool plan_holds(const struct compaction_plan *plan, const struct table *table)
{
    for (size_t s = 0; s < plan->source_count; s++)
        for (size_t t = 0; t < plan->sources[s].run.table_count; t++)
            if (plan->sources[s].run.tables[t] == table)
                return true;
    return false;
}

/* For one key, from new to old: first what stays above the output, then what is merged, then what
 * stays below it. */
static void check_age(const struct sim *sim, const struct compaction_plan *plan,
                      struct varve_slice key)
{
    bool merged = false, stayed_below = false;
    for (uint32_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < sim->version->levels[l].run_count; r++) {
            const struct run *run = &sim->version->levels[l].runs[r];
            const struct table *table = run_find(run, key);
            if (table == NULL)
                continue;
            bool above =
                l < plan->output_level || (l == plan->output_level && plan->output_run_id != 0 &&
                                           run->id > plan->output_run_id);
            if (plan_holds(plan, table)) {
                SIM_EXPECT(sim, plan, !stayed_below);
                merged = true;
            } else if (merged) {
                SIM_EXPECT(sim, plan, !above);
                stayed_below = true;
            } else {
                stayed_below = stayed_below || !above;
            }
        }
}

/* Tables that stay in the run that the outputs join have none of the keys between the first and the
 * last of the outputs. */
static void check_output_run(const struct sim *sim, const struct compaction_plan *plan)
{
    struct key_range range = plan_range(plan);
    const struct level *level = &sim->version->levels[plan->output_level];
    bool found = plan->output_run_id == 0 || sim->policy.running_count > 0;
    for (size_t r = 0; r < level->run_count; r++) {
        if (level->runs[r].id != plan->output_run_id)
            continue;
        found = true;
        for (size_t t = 0; !plan->move && t < level->runs[r].table_count; t++)
            SIM_EXPECT(sim, plan,
                       plan_holds(plan, level->runs[r].tables[t]) ||
                           !key_range_overlaps(&range, level->runs[r].tables[t]));
    }
    SIM_EXPECT(sim, plan, found);
}

static void plan_check(const struct sim *sim, const struct compaction_plan *plan)
{
    for (unsigned k = 0; k < SIM_KEYS; k++)
        check_age(sim, plan, sim_key(k));
    check_output_run(sim, plan);
    for (size_t s = 0; plan->move && s < plan->source_count; s++)
        SIM_EXPECT(sim, plan, plan->sources[s].level < plan->output_level);
    for (size_t c = 1; c < plan->cut_count; c++)
        SIM_EXPECT(sim, plan, varve_slice_compare(plan->cuts[c - 1], plan->cuts[c]) < 0);
}

/* The merged entry of a key: the newest one, unless nobody needs it. */
static struct sim_entry sim_merge_key(const struct sim *sim, const struct compaction_plan *plan,
                                      unsigned k)
{
    struct sim_entry entry = {0};
    for (size_t s = 0; s < plan->source_count; s++)
        for (size_t t = 0; t < plan->sources[s].run.table_count; t++) {
            uint64_t file_id = plan->sources[s].run.tables[t]->meta.file_id;
            const struct sim_entry *other = &sim->tables[file_id].entries[k];
            SIM_EXPECT(sim, plan, entry.sequence == 0 || other->sequence < entry.sequence);
            if (entry.sequence == 0)
                entry = *other;
        }
    if (entry.sequence == 0 || !sim_is_gone(sim, &entry))
        return entry;
    entry.kind = ENTRY_DELETE;
    if (entry.sequence <= sim->policy.keep.sequence &&
        !compaction_older_may_hold(sim->version, plan, sim_key(k)))
        entry = (struct sim_entry){0};
    return entry;
}

static void sim_merge_entries(struct sim *sim, const struct compaction_plan *plan,
                              struct manifest_edit *edit, uint64_t run_id)
{
    struct sim_entry entries[SIM_KEYS];
    unsigned first = 0;
    size_t cut = 0;
    uint64_t bytes = 0;
    for (unsigned k = 0; k < SIM_KEYS; k++) {
        bool passed_cut = false, always = false;
        entries[k] = sim_merge_key(sim, plan, k);
        for (; cut < plan->cut_count && varve_slice_compare(sim_key(k), plan->cuts[cut]) > 0;
             cut++) {
            passed_cut = true;
            always = always || merge_cuts_always(plan->cuts[cut], plan->cut_mask);
        }
        if (bytes >= plan->output_bytes || (passed_cut && bytes >= plan->cut_bytes) ||
            (always && bytes > 0)) {
            if (k > 0)
                sim_add_table(sim, edit, plan->output_level, run_id, entries, first, k - 1);
            first = k;
            bytes = 0;
        }
        bytes += entries[k].sequence != 0 ? SIM_ENTRY_BYTES : 0;
    }
    sim_add_table(sim, edit, plan->output_level, run_id, entries, first, SIM_KEYS - 1);
}

/* What a merge that is carried out ends with. */
static void sim_edit_make(struct sim *sim, const struct compaction_plan *plan,
                          struct manifest_edit *edit)
{
    for (size_t s = 0; s < plan->source_count; s++)
        for (size_t t = 0; t < plan->sources[s].run.table_count; t++) {
            const struct table *table = plan->sources[s].run.tables[t];
            must_ok(manifest_edit_remove_table(edit, plan->sources[s].level, table->meta.file_id));
            if (!plan->move)
                continue;
            struct manifest_table meta = table->meta; /* lent: the edit copies */
            meta.level = plan->output_level;
            meta.run_id = plan->output_run_id;
            must_ok(manifest_edit_add_table(edit, &meta));
        }
    if (!plan->move)
        sim_merge_entries(sim, plan, edit, plan->output_run_id);
}

static void sim_cursor_advance(struct sim *sim, const struct compaction_plan *plan)
{
    const struct compaction_source *source = &plan->sources[0];
    if (source->level == 0)
        return;
    sim->cursors[source->level] =
        (char)table_largest(source->run.tables[source->run.table_count - 1]).data[0];
    sim->policy.cursors[source->level] = varve_slice(&sim->cursors[source->level], 1);
}

/* Every key reads as it must. */
static void sim_check_reads(const struct sim *sim)
{
    for (unsigned k = 0; k < SIM_KEYS; k++) {
        struct sim_entry found = {0};
        for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
            for (size_t r = 0; r < sim->version->levels[l].run_count; r++) {
                const struct table *table = run_find(&sim->version->levels[l].runs[r], sim_key(k));
                if (table != NULL && found.sequence == 0)
                    found = sim->tables[table->meta.file_id].entries[k];
            }
        SIM_EXPECT(sim, NULL, sim_is_gone(sim, &found) == sim_is_gone(sim, &sim->newest[k]));
        SIM_EXPECT(sim, NULL,
                   sim_is_gone(sim, &found) || found.sequence == sim->newest[k].sequence);
    }
}

/* What was asked for by hand is in no level but the last (tiered), or in one below level 0. */
static void sim_check_asked(const struct sim *sim)
{
    size_t levels = 0;
    for (size_t l = 0; l < sim->policy.max_levels; l++) {
        bool wanted = level_has_wanted(sim->version, &sim->policy, l);
        bool deep =
            sim->policy.style == VARVE_COMPACTION_LEVELED ? l > 0 : l + 1 == sim->policy.max_levels;
        SIM_EXPECT(sim, NULL, !wanted || deep);
        levels += wanted;
    }
    SIM_EXPECT(sim, NULL, levels <= 1);
}

bool sim_merge_begin(struct sim *sim, struct sim_merge *merge)
{
    *merge = (struct sim_merge){.version = sim->version};
    must_ok(compaction_plan_make(sim->version, &sim->policy, &merge->plan));
    if (merge->plan.source_count == 0)
        return false;
    version_ref(merge->version);
    plan_check(sim, &merge->plan);
    if (merge->plan.output_run_id == 0)
        merge->plan.output_run_id = ++sim->run_id;
    sim_edit_make(sim, &merge->plan, &merge->edit);
    sim->moves += merge->plan.move;
    sim->plans++;
    return true;
}

void sim_merge_end(struct sim *sim, struct sim_merge *merge)
{
    sim_apply(sim, &merge->edit, &merge->plan);
    sim_cursor_advance(sim, &merge->plan);
    sim_check_reads(sim);
    manifest_edit_deinit(&merge->edit);
    compaction_plan_deinit(&merge->plan);
    version_unref(merge->version);
}

void sim_rest(struct sim *sim)
{
    struct sim_merge merge;
    for (size_t i = 0; sim_merge_begin(sim, &merge); i++) {
        SIM_EXPECT(sim, &merge.plan, i < SIM_PLANS_MAX);
        sim_merge_end(sim, &merge);
    }
    if (sim->policy.mode == COMPACTION_EVERYTHING)
        sim_check_asked(sim);
}

void sim_init(struct sim *sim, uint64_t seed)
{
    *sim = (struct sim){.seed = seed, .prng = prng_make(seed)};
    must_ok(version_new_empty(&sim->version));
    sim->policy.keep.time_ms = 100000;
}

void sim_deinit(struct sim *sim)
{
    version_unref(sim->version);
    free(sim->tables);
}
