/*
 * What to merge next: scripts, and a store of pretence that is merged to rest.
 *
 * A script is a version and a policy as text, and the plan that must come of them, as text
 * (plan_text.h).
 *
 * The pretended store holds entries that are no more than a sequence and a kind. Random runs, in
 * any shape that stores of any options can leave, are merged as the planner says until it says
 * nothing more; each plan must keep the order of age of every key and the ranges of the output's
 * run apart, and no read may change but for what is deleted or expired.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compaction_parts.h"
#include "must.h"
#include "plan_text.h"
#include "prng.h"
#include "run_suite.h"
#include "store_rig.h"

struct script {
    const char *name, *version, *policy, *plan;
};

static void script_check(const struct script *script)
{
    char *words = must_strdup(script->policy);
    struct compaction_policy policy = plan_text_policy(words);
    struct version *version = plan_text_version(script->version);
    struct compaction_plan plan = {0};
    struct buf text = {0};
    ck_assert_int_eq(compaction_plan_make(version, &policy, &plan), VARVE_OK);
    plan_text_print(&plan, &text);
    ck_assert_msg(strcmp((const char *)text.data, script->plan) == 0,
                  "%s: \"%s\" under \"%s\" gives\n  %s\nnot\n  %s", script->name, script->version,
                  script->policy, (const char *)text.data, script->plan);
    buf_deinit(&text);
    compaction_plan_deinit(&plan);
    version_unref(version);
    free(words);
}

/* The store of pretence. */
#define SIM_KEYS 32u
#define SIM_ENTRY_BYTES 10u
#define SIM_PLANS_MAX 2000u /* far more than any version here can need */

struct sim_entry {
    uint64_t sequence; /* 0: there is none */
    enum entry_kind kind;
    uint64_t expires_s;
};
struct sim_table {
    struct sim_entry entries[SIM_KEYS];
};
struct sim {
    uint64_t seed;
    struct prng prng;
    struct version *version;
    struct compaction_policy policy;
    char cursors[VARVE_LEVELS_MAX];
    struct sim_table *tables; /* by file id */
    uint64_t file_id, run_id, sequence;
    struct sim_entry newest[SIM_KEYS];
    uint64_t plans, moves;
};

#define SIM_EXPECT(sim, plan, condition) sim_expect(sim, plan, condition, #condition, __LINE__)

static void sim_expect(const struct sim *sim, const struct compaction_plan *plan, bool condition,
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

static struct varve_slice sim_key(unsigned number)
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
static void sim_add_run(struct sim *sim, uint32_t level)
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
    bool found = plan->output_run_id == 0;
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

static void sim_merge(struct sim *sim, const struct compaction_plan *plan,
                      struct manifest_edit *edit, uint64_t run_id)
{
    struct sim_entry entries[SIM_KEYS];
    unsigned first = 0;
    size_t cut = 0;
    uint64_t bytes = 0;
    for (unsigned k = 0; k < SIM_KEYS; k++) {
        bool passed_cut = false;
        entries[k] = sim_merge_key(sim, plan, k);
        for (; cut < plan->cut_count && varve_slice_compare(sim_key(k), plan->cuts[cut]) > 0; cut++)
            passed_cut = true;
        if (bytes >= plan->output_bytes || (passed_cut && bytes >= plan->cut_bytes)) {
            if (k > 0)
                sim_add_table(sim, edit, plan->output_level, run_id, entries, first, k - 1);
            first = k;
            bytes = 0;
        }
        bytes += entries[k].sequence != 0 ? SIM_ENTRY_BYTES : 0;
    }
    sim_add_table(sim, edit, plan->output_level, run_id, entries, first, SIM_KEYS - 1);
}

static void sim_carry_out(struct sim *sim, const struct compaction_plan *plan)
{
    struct manifest_edit edit = {0};
    uint64_t run_id = plan->output_run_id != 0 ? plan->output_run_id : ++sim->run_id;
    for (size_t s = 0; s < plan->source_count; s++)
        for (size_t t = 0; t < plan->sources[s].run.table_count; t++) {
            const struct table *table = plan->sources[s].run.tables[t];
            must_ok(manifest_edit_remove_table(&edit, plan->sources[s].level, table->meta.file_id));
            if (!plan->move)
                continue;
            struct manifest_table meta = table->meta; /* lent: the edit copies */
            meta.level = plan->output_level;
            meta.run_id = run_id;
            must_ok(manifest_edit_add_table(&edit, &meta));
        }
    if (!plan->move)
        sim_merge(sim, plan, &edit, run_id);
    const struct compaction_source *source = &plan->sources[0];
    uint32_t level = source->level;
    char cursor = (char)table_largest(source->run.tables[source->run.table_count - 1]).data[0];
    sim_apply(sim, &edit, plan);
    manifest_edit_deinit(&edit);
    sim->cursors[level] = cursor;
    if (level > 0)
        sim->policy.cursors[level] = varve_slice(&sim->cursors[level], 1);
    sim->moves += plan->move;
    sim->plans++;
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

static bool sim_is_all_in_one_run(const struct sim *sim)
{
    size_t runs = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        runs += sim->version->levels[l].run_count;
    return runs <= 1;
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

/* Merges until nothing is left to merge. */
static void sim_rest(struct sim *sim)
{
    for (size_t i = 0;; i++) {
        struct compaction_plan plan = {0};
        must_ok(compaction_plan_make(sim->version, &sim->policy, &plan));
        SIM_EXPECT(sim, &plan, i < SIM_PLANS_MAX);
        bool rests = plan.source_count == 0;
        if (!rests) {
            plan_check(sim, &plan);
            sim_carry_out(sim, &plan);
            sim_check_reads(sim);
        }
        compaction_plan_deinit(&plan);
        if (rests)
            break;
    }
    if (sim->policy.mode == COMPACTION_EVERYTHING)
        sim_check_asked(sim);
}

static void sim_pick_policy(struct sim *sim)
{
    struct compaction_policy *policy = &sim->policy;
    policy->style =
        prng_chance(&sim->prng, 50) ? VARVE_COMPACTION_TIERED : VARVE_COMPACTION_LEVELED;
    policy->level0_trigger = prng_between(&sim->prng, 2, 5);
    policy->max_levels = prng_between(&sim->prng, 2, VARVE_LEVELS_MAX);
    policy->level_multiplier = prng_between(&sim->prng, 2, 4);
    policy->memtable_bytes = SIM_ENTRY_BYTES * prng_between(&sim->prng, 1, 8);
    policy->table_bytes = SIM_ENTRY_BYTES * prng_between(&sim->prng, 1, 12);
    policy->mode = (enum compaction_mode)prng_below(&sim->prng, COMPACTION_EVERYTHING + 1);
    policy->keep.sequence =
        prng_chance(&sim->prng, 70) ? UINT64_MAX : prng_below(&sim->prng, sim->sequence + 1);
    policy->compression_bottom = prng_chance(&sim->prng, 50) ? COMPRESSION_LZ4 : COMPRESSION_NONE;
    policy->start = policy->end = (struct varve_slice){0};
    if (policy->mode == COMPACTION_EVERYTHING && prng_chance(&sim->prng, 60)) {
        unsigned first = (unsigned)prng_below(&sim->prng, SIM_KEYS - 1);
        unsigned end = (unsigned)prng_between(&sim->prng, first + 1, SIM_KEYS - 1);
        if (prng_chance(&sim->prng, 80))
            policy->start = sim_key(first);
        if (prng_chance(&sim->prng, 80))
            policy->end = sim_key(end);
    }
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) /* they are not kept across an opening */
        policy->cursors[l] = (struct varve_slice){0};
}

static void sim_whole(uint64_t seed, bool any_shape, uint64_t *plans, uint64_t *moves)
{
    struct sim sim = {.seed = seed, .prng = prng_make(seed)};
    must_ok(version_new_empty(&sim.version));
    sim.policy.keep.time_ms = 100000;
    sim_pick_policy(&sim);
    for (uint32_t l = VARVE_LEVELS_MAX; any_shape && l-- > 0;)
        for (uint64_t runs = prng_below(&sim.prng, 4); runs > 0; runs--)
            sim_add_run(&sim, l);
    for (unsigned round = 0; round < 12; round++) {
        for (uint64_t runs = prng_below(&sim.prng, 6); runs > 0; runs--)
            sim_add_run(&sim, 0);
        sim.policy.keep.time_ms += 1000 * prng_below(&sim.prng, 8);
        if (prng_chance(&sim.prng, 25))
            sim_pick_policy(&sim);
        sim_rest(&sim);
        if (!any_shape && sim.policy.mode == COMPACTION_EVERYTHING && round == 0 &&
            policy_wants_all(&sim.policy))
            SIM_EXPECT(&sim, NULL, sim_is_all_in_one_run(&sim));
    }
    *plans += sim.plans;
    *moves += sim.moves;
    version_unref(sim.version);
    free(sim.tables);
}

static void sims(bool any_shape)
{
    uint64_t seed = rig_number("VARVE_SEED", 20240229), plans = 0, moves = 0;
    unsigned count = rig_budget_is_long() ? 20000 : 400;
    for (unsigned i = 0; i < count; i++)
        sim_whole(seed + i, any_shape, &plans, &moves);
    printf("%u stores from seed %" PRIu64 ", %" PRIu64 " plans, %" PRIu64 " moves\n", count, seed,
           plans, moves);
    ck_assert_uint_gt(plans, 10 * count);
    ck_assert_uint_gt(moves, 0);
}

START_TEST(stores_of_any_history)
{
    sims(false);
}
END_TEST

START_TEST(stores_of_any_shape)
{
    sims(true);
}
END_TEST

static const struct script scripts[] = {
    {"an empty store", "", "", "nothing"},
    {"below the trigger", "L0 r3 a-f:64 | r2 a-f:64 | r1 a-f:64", "", "nothing"},
    {"level 0 goes straight into an empty last level",
     "L0 r4 a-f:64 | r3 c-d:64 | r2 a-f:64 | r1 a-b:64", "",
     "level0: L0 r4 a-f | L0 r3 c-d | L0 r2 a-f | L0 r1 a-b -> L6 new 64"},
    {"level 0 joins a last level beside it", "L0 r4 e-f:64 | r3 e-e:64 | L6 r1 a-c:64", "trigger=2",
     "level0: L0 r4 e-f | L0 r3 e-e -> L6 r1 64"},
    {"disjoint runs of level 0 only move", "L0 r4 a-b:64 | r3 e-f:64 | L6 r1 g-h:64", "trigger=2",
     "level0 move: L0 r4 a-b | L0 r3 e-f -> L6 r1 64"},
    {"but for tombstones", "L0 r4 a-b:64(t1) | r3 e-f:64 | L6 r1 g-h:64", "trigger=2",
     "level0: L0 r4 a-b | L0 r3 e-f -> L6 r1 64"},
    {"and not around a table of the last level", "L0 r4 a-b:64 | r3 e-f:64 | L6 r1 c-d:64",
     "trigger=2", "level0: L0 r4 a-b | L0 r3 e-f -> L1 new 256 cuts d 8"},
    {"level 0 into the first tier, cut like the last level",
     "L0 r4 a-f:64 | r3 a-f:64 | L6 r1 a-c:640 d-f:640", "trigger=2",
     "level0: L0 r4 a-f | L0 r3 a-f -> L1 new 256 cuts cf 8"},
    {"a tier's newest run is joined where it has none of the keys",
     "L0 r9 a-b:64 | r8 a-b:64 | L1 r5 e-f:64 | r4 a-b:64 | L6 r1 a-c:640 d-f:640", "trigger=2",
     "level0: L0 r9 a-b | L0 r8 a-b -> L1 r5 256 cuts cf 8"},
    {"and a new one made where it has",
     "L0 r9 a-e:64 | r8 a-b:64 | L1 r5 e-f:64 | L6 r1 a-c:640 d-f:640", "trigger=2",
     "level0: L0 r9 a-e | L0 r8 a-b -> L1 new 256 cuts cf 8"},
    {"two levels only", "L0 r9 b-c:64 | r8 c-c:64 | L1 r5 a-b:64 d-f:64", "trigger=2 levels=2",
     "level0: L0 r9 b-c | L0 r8 c-c | L1 r5 a-b -> L1 r5 64"},
    {"two levels only, and the last of several runs",
     "L0 r9 b-b:64 | r8 b-b:64 | L1 r5 c-d:64 | r4 b-c:64", "trigger=2 levels=2",
     "level0: L0 r9 b-b | L0 r8 b-b | L1 r5 c-d | L1 r4 b-c -> L1 r5 64"},
    {"below the tiers' share", "L1 r5 a-f:34 | L6 r1 a-f:100", "", "nothing"},
    {"the tiers' share", "L1 r5 a-f:35 | L6 r1 a-f:100", "",
     "share: L1 r5 a-f | L6 r1 a-f -> L6 r1 46"},
    {"the piece with the most new bytes first", "L1 r5 a-b:10 e-f:40 | L6 r1 a-c:100 d-f:30", "",
     "share: L1 r5 e-f | L6 r1 d-f -> L6 r1 36"},
    {"and with the least old bytes", "L1 r5 a-b:30 e-f:30 | L6 r1 a-c:50 d-f:60", "",
     "share: L1 r5 a-b | L6 r1 a-c -> L6 r1 41"},
    {"a piece takes what overlaps it through others",
     "L1 r5 a-c:40 | r4 c-e:40 | L6 r1 a-b:20 d-f:20 g-h:50", "",
     "share: L1 r5 a-c | L1 r4 c-e | L6 r1 a-b d-f -> L6 r1 61"},
    {"the deepest tier is the oldest", "L1 r6 a-f:64 | L2 r5 a-f:64 | L6 r1 a-f:64", "",
     "share: L2 r5 a-f | L6 r1 a-f -> L6 r1 65"},
    {"a piece that overlaps nothing moves", "L1 r6 a-b:64 | L6 r1 c-f:64", "",
     "share move: L1 r6 a-b -> L6 r1 65"},
    {"outputs of equal parts", "L1 r6 a-f:40 | L6 r1 a-c:60 d-f:60", "",
     "share: L1 r6 a-f | L6 r1 a-c d-f -> L6 r1 54"},
    {"level 0 before the share", "L0 r8 a-f:64 | r7 a-f:64 | L1 r6 a-f:40 | L6 r1 a-f:100",
     "trigger=2", "level0: L0 r8 a-f | L0 r7 a-f -> L1 new 256 cuts f 8"},
    {"but not when the tiers are far above it",
     "L0 r8 a-f:64 | r7 a-f:64 | L1 r6 a-f:60 | L6 r1 a-f:100", "trigger=2",
     "share: L1 r6 a-f | L6 r1 a-f -> L6 r1 54"},
    {"unless level 0 is far above, too",
     "L0 r9 a-f:64 | r8 a-f:64 | r7 a-f:64 | r5 a-f:64 | L1 r6 a-f:60 | L6 r1 a-f:100", "trigger=2",
     "level0: L0 r9 a-f | L0 r8 a-f | L0 r7 a-f | L0 r5 a-f -> L1 new 256 cuts f 8"},
    {"a tier of many runs goes one down",
     "L1 r8 a-c:10 | r7 a-b:10 | r6 e-f:10 | L6 r1 a-c:640 d-f:640", "trigger=2",
     "runs: L1 r8 a-c | L1 r7 a-b -> L2 new 256 cuts cf 8"},
    {"only where that many lie over one another",
     "L1 r8 a-b:10 | r7 c-d:10 | L6 r1 a-c:640 d-f:640", "trigger=2", "nothing"},
    {"when idle, two runs are enough", "L1 r8 a-c:10 | r7 a-b:10 | L6 r1 a-c:640 d-f:640", "fold",
     "idle: L1 r8 a-c | L1 r7 a-b -> L2 new 256 cuts cf 8"},
    {"when idle, two runs of level 0, too", "L0 r8 a-c:10 | r7 a-b:10 | L6 r1 a-f:640", "fold",
     "idle: L0 r8 a-c | L0 r7 a-b -> L1 new 256 cuts f 8"},
    {"when idle, one run stays", "L0 r8 a-c:10 | L1 r7 a-b:10 | L6 r1 a-f:640", "fold", "nothing"},
    {"when idle, a smaller share", "L1 r7 a-b:32 | L6 r1 a-f:640", "fold",
     "idle: L1 r7 a-b | L6 r1 a-f -> L6 r1 62"},
    {"everything: level 0", "L0 r8 a-c:10 | L6 r1 a-f:640", "everything",
     "asked: L0 r8 a-c -> L1 new 256 cuts f 8"},
    {"everything: a tier", "L1 r8 a-c:10 | L6 r1 a-f:640", "everything",
     "asked: L1 r8 a-c | L6 r1 a-f -> L6 r1 60"},
    {"everything: at rest", "L6 r1 a-f:640", "everything", "nothing"},
    {"everything: a single tombstone", "L6 r1 a-c:64 d-f:64(t1)", "everything",
     "asked: L6 r1 d-f -> L6 r1 128"},
    {"a part: only what has its keys", "L1 r8 a-b:10 c-d:10 e-f:10 | L6 r1 a-b:64 c-d:64 e-f:64",
     "everything from=c to=e", "asked: L1 r8 c-d | L6 r1 c-d -> L6 r1 38"},
    {"a part: its end is not in it", "L1 r8 a-b:10 e-f:10 | L6 r1 a-b:64 e-f:64",
     "everything from=c to=e", "nothing"},
    {"a part: its beginning is", "L1 r8 a-c:10 e-f:10 | L6 r1 a-b:64 e-f:64",
     "everything from=c to=e", "asked: L1 r8 a-c | L6 r1 a-b -> L6 r1 38"},
    {"a part without an end", "L1 r8 a-c:10 e-f:10 | L6 r1 a-b:64 e-f:64", "everything from=e",
     "asked: L1 r8 e-f | L6 r1 e-f -> L6 r1 38"},
    {"a part without a beginning", "L1 r8 a-c:10 e-f:10 | L6 r1 a-b:64 e-f:64", "everything to=e",
     "asked: L1 r8 a-c | L6 r1 a-b -> L6 r1 38"},
    {"a part of level 0, with what lies over it there",
     "L0 r9 d-f:64 | r8 c-d:64 | r7 a-b:64 | L6 r1 a-f:640", "everything from=c to=d",
     "asked: L0 r9 d-f | L0 r8 c-d -> L1 new 256 cuts f 8"},
    {"a part that waits for a deeper tier", "L1 r8 b-e:10 | L3 r5 d-e:10 | L6 r1 a-f:64",
     "everything from=b to=c", "asked: L3 r5 d-e | L6 r1 a-f -> L6 r1 38"},
    {"a part: garbage", "L6 r1 a-c:64(t4) d-f:64(t5)", "everything from=a to=b",
     "asked: L6 r1 a-c -> L6 r1 128"},
    {"leveled: a part", "L1 r5 a-b:1 d-e:1 | L2 r4 a-e:1 | L3 r3 a-e:1",
     "leveled everything from=d to=e", "asked: L1 r5 d-e | L2 r4 a-e -> L2 r4 64"},
    {"leveled: a part, at rest", "L1 r5 a-b:1 | L2 r4 a-c:1 | L3 r3 d-e:1",
     "leveled everything from=d to=e", "nothing"},
    {"what was moved into the last level is left alone", "L6 r1 a-c:64 d-f:64(z)", "bottom=lz4",
     "nothing"},
    {"until the store is idle", "L6 r1 a-c:64(z) d-f:64", "fold bottom=lz4",
     "idle: L6 r1 d-f -> L6 r1 128"},
    {"or everything is asked for", "L6 r1 a-c:64 d-f:64(z)", "everything bottom=lz4",
     "asked: L6 r1 a-c -> L6 r1 128"},
    {"or a part with it", "L6 r1 a-c:64 d-f:64", "everything bottom=lz4 from=d",
     "asked: L6 r1 d-f -> L6 r1 128"},
    {"another compression of before is no move", "L6 r1 a-c:64(zs)", "fold bottom=lz4", "nothing"},
    {"but is written anew by hand", "L6 r1 a-c:64(zs)", "everything bottom=lz4",
     "asked: L6 r1 a-c -> L6 r1 128"},
    {"what folds goes first", "L1 r7 a-b:32 | L6 r1 a-f:640", "fold bottom=lz4",
     "idle: L1 r7 a-b | L6 r1 a-f -> L6 r1 62"},
    {"garbage: half of a table", "L6 r1 a-c:64(t4) d-f:64(t5)", "",
     "garbage: L6 r1 d-f -> L6 r1 128"},
    {"garbage that a snapshot needs", "L6 r1 d-f:64(t5,s70)", "keep=69", "nothing"},
    {"all of it expired", "L6 r1 d-f:64(x5@10..20)", "now_ms=20000",
     "garbage: L6 r1 d-f -> L6 r1 128"},
    {"half of it expired", "L6 r1 d-f:64(x10@11..20)", "now_ms=15000",
     "garbage: L6 r1 d-f -> L6 r1 128"},
    {"less than half of it expired", "L6 r1 d-f:64(x10@11..20)", "now_ms=14999", "nothing"},
    {"everything: a single expired entry", "L6 r1 d-f:64(x5@10..1000000)",
     "now_ms=10000 everything", "asked: L6 r1 d-f -> L6 r1 128"},
    {"garbage above the deepest level stays", "L1 r2 a-b:10(t9) | L6 r1 a-f:640", "", "nothing"},

    {"leveled: below the trigger", "L0 r3 a-f:64 | r2 a-f:64 | r1 a-f:64", "leveled", "nothing"},
    {"leveled: level 0 with what it overlaps",
     "L0 r9 b-c:64 | r8 c-d:64 | L1 r5 a-b:10 d-e:10 f-g:10", "leveled trigger=2",
     "level0: L0 r9 b-c | L0 r8 c-d | L1 r5 a-b d-e -> L1 r5 64"},
    {"leveled: level 0 moves", "L0 r9 b-c:64 | r8 d-e:64 | L1 r5 f-g:64", "leveled trigger=2",
     "level0 move: L0 r9 b-c | L0 r8 d-e -> L1 r5 64"},
    {"leveled: level 1 within its size", "L1 r5 a-b:64 c-d:63 | L2 r4 a-d:64", "leveled trigger=2",
     "nothing"},
    {"leveled: level 1 at its size", "L1 r5 a-b:64 c-d:64 | L2 r4 a-d:64", "leveled trigger=2",
     "size: L1 r5 a-b | L2 r4 a-d -> L2 r4 64"},
    {"leveled: behind the cursor", "L1 r5 a-b:64 c-d:64 | L2 r4 a-d:64",
     "leveled trigger=2 cursor1=b", "size: L1 r5 c-d | L2 r4 a-d -> L2 r4 64"},
    {"leveled: from the beginning again", "L1 r5 a-b:64 c-d:64 | L2 r4 a-d:64",
     "leveled trigger=2 cursor1=d", "size: L1 r5 a-b | L2 r4 a-d -> L2 r4 64"},
    {"leveled: a table moves", "L1 r5 a-b:64 c-d:64 | L2 r4 d-e:64", "leveled trigger=2",
     "size move: L1 r5 a-b -> L2 r4 64"},
    {"leveled: level 2 is larger by the multiplier", "L2 r4 a-e:1279", "leveled trigger=2",
     "nothing"},
    {"leveled: the most overfull level first", "L1 r5 a-b:130 | L2 r4 a-e:2560",
     "leveled trigger=2", "size move: L2 r4 a-e -> L3 new 64"},
    {"leveled: the last level has no size", "L2 r4 a-e:99999", "leveled trigger=2 levels=3",
     "nothing"},
    {"leveled: everything goes from the top", "L0 r9 a-b:1 | L1 r5 a-b:1 | L2 r4 a-e:1",
     "leveled everything", "asked: L0 r9 a-b | L1 r5 a-b -> L1 r5 64"},
    {"leveled: everything, to the deepest", "L1 r5 a-b:1 d-e:1 | L2 r4 a-e:1", "leveled everything",
     "asked: L1 r5 a-b d-e | L2 r4 a-e -> L2 r4 64"},
    {"leveled: everything, at rest", "L2 r4 a-e:1", "leveled everything", "nothing"},
    {"leveled: several runs of a tiered store",
     "L1 r5 a-b:64 | r4 b-c:64 | r3 e-f:64 | L2 r2 c-d:64 | r1 d-e:64", "leveled trigger=2",
     "size: L1 r5 a-b | L1 r4 b-c | L2 r2 c-d | L2 r1 d-e -> L2 r2 64"},
    {"leveled: garbage", "L2 r1 a-c:64(t4) d-f:64(t5)", "leveled",
     "garbage: L2 r1 d-f -> L2 r1 128"},
};

START_TEST(all_scripts)
{
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        script_check(&scripts[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("planner");
    TCase *tests = tcase_create("planner");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, all_scripts);
    tcase_add_test(tests, stores_of_any_history);
    tcase_add_test(tests, stores_of_any_shape);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
