/*
 * What to merge next: scripts, and a store of pretence that is merged to rest.
 *
 * A script is a version and a policy as text, and the plan that must come of them, as text
 * (plan_text.h).
 *
 * Stores of pretence (plan_sim.h) are merged to rest, and by several merges at a time that end in
 * any order.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "must.h"
#include "plan_sim.h"
#include "plan_text.h"
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

static bool sim_is_all_in_one_run(const struct sim *sim)
{
    size_t runs = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        runs += sim->version->levels[l].run_count;
    return runs <= 1;
}

/* Only a merge by hand has one. */
static void sim_pick_range(struct sim *sim)
{
    struct compaction_policy *policy = &sim->policy;
    policy->start = policy->end = (struct varve_slice){0};
    if (policy->mode == COMPACTION_EVERYTHING && prng_chance(&sim->prng, 60)) {
        unsigned first = (unsigned)prng_below(&sim->prng, SIM_KEYS - 1);
        unsigned end = (unsigned)prng_between(&sim->prng, first + 1, SIM_KEYS - 1);
        if (prng_chance(&sim->prng, 80))
            policy->start = sim_key(first);
        if (prng_chance(&sim->prng, 80))
            policy->end = sim_key(end);
    }
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
    sim_pick_range(sim);
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) /* they are not kept across an opening */
        policy->cursors[l] = (struct varve_slice){0};
}

static void sim_whole(uint64_t seed, bool any_shape, uint64_t *plans, uint64_t *moves)
{
    struct sim sim;
    sim_init(&sim, seed);
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
    sim_deinit(&sim);
}

static void sims(bool any_shape)
{
    uint64_t seed = rig_number("VARVE_SEED", 20240229), plans = 0, moves = 0;
    unsigned count = (unsigned)budget_choose(30, 200, 20000);
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

/* Several at a time. */
#define SIM_MERGES 3u

struct walk {
    struct sim sim;
    struct sim_merge merges[SIM_MERGES];
    const struct compaction_plan *running[SIM_MERGES];
    uint64_t beside, over_one_another; /* begun while others ran; and over keys of one of them */
};

static void walk_begin(struct walk *walk)
{
    struct sim *sim = &walk->sim;
    size_t count = sim->policy.running_count;
    if (count == SIM_MERGES)
        return;
    uint64_t mode = prng_below(&sim->prng, 10);
    sim->policy.mode = mode < 7   ? COMPACTION_DUE
                       : mode < 9 ? COMPACTION_FOLD
                                  : COMPACTION_EVERYTHING;
    sim_pick_range(sim);
    if (!sim_merge_begin(sim, &walk->merges[count]))
        return;
    const struct compaction_plan *plan = &walk->merges[count].plan;
    bool over = false;
    for (size_t i = 0; i < count; i++)
        over = over || !key_ranges_are_apart(&walk->merges[i].plan.range, &plan->range);
    walk->beside += count > 0;
    walk->over_one_another += over;
    walk->running[count] = plan;
    sim->policy.running_count++;
}

static void walk_end(struct walk *walk)
{
    struct sim *sim = &walk->sim;
    size_t count = sim->policy.running_count;
    if (count == 0)
        return;
    size_t i = prng_below(&sim->prng, count);
    sim_merge_end(sim, &walk->merges[i]);
    walk->merges[i] = walk->merges[count - 1];
    sim->policy.running_count--;
}

static void walk_run(uint64_t seed, struct walk *total)
{
    struct walk walk = {0};
    struct sim *sim = &walk.sim;
    sim_init(sim, seed);
    sim_pick_policy(sim);
    for (unsigned step = 0; step < 150; step++) {
        sim->policy.running = walk.running;
        uint64_t roll = prng_below(&sim->prng, 100);
        if (roll < 35)
            sim_add_run(sim, 0);
        else if (roll < 75)
            walk_begin(&walk);
        else
            walk_end(&walk);
        sim->policy.keep.time_ms += 100 * prng_below(&sim->prng, 8);
    }
    while (sim->policy.running_count > 0)
        walk_end(&walk);
    sim_rest(sim);
    total->beside += walk.beside;
    total->over_one_another += walk.over_one_another;
    sim_deinit(sim);
}

START_TEST(several_at_a_time)
{
    uint64_t seed = rig_number("VARVE_SEED", 20240301);
    unsigned count = (unsigned)budget_choose(60, 400, 20000);
    struct walk total = {0};
    for (unsigned i = 0; i < count; i++)
        walk_run(seed + i, &total);
    printf("%u walks from seed %" PRIu64 ", %" PRIu64 " merges begun beside others, %" PRIu64
           " over keys of one\n",
           count, seed, total.beside, total.over_one_another);
    ck_assert_uint_gt(total.beside, count);
    ck_assert_uint_gt(total.over_one_another, count / 10);
}
END_TEST

/* What may run beside the plan that comes first. */
static const struct script beside[] = {
    {"level 0 beside a piece below it", "L0 r9 a-f:64 | r8 a-f:64 | L1 r6 a-f:60 | L6 r1 a-f:100",
     "trigger=2",
     "share: L1 r6 a-f | L6 r1 a-f -> L6 r1 54; "
     "level0: L0 r9 a-f | L0 r8 a-f -> L1 new 256 cuts f 8"},
    {"two pieces", "L1 r5 a-b:30 e-f:30 | L6 r1 a-c:50 d-f:60", "",
     "share: L1 r5 a-b | L6 r1 a-c -> L6 r1 41; share: L1 r5 e-f | L6 r1 d-f -> L6 r1 46"},
    {"not the same piece", "L1 r5 a-b:30 | L6 r1 a-c:50", "",
     "share: L1 r5 a-b | L6 r1 a-c -> L6 r1 41; nothing"},
    {"not level 0 twice", "L0 r4 a-b:64 | r3 e-f:64 | L6 r1 c-d:64", "trigger=2",
     "level0: L0 r4 a-b | L0 r3 e-f -> L1 new 256 cuts d 8; nothing"},
    {"two tables of garbage", "L6 r1 a-c:64(t5) d-f:64(t5)", "",
     "garbage: L6 r1 a-c -> L6 r1 128; garbage: L6 r1 d-f -> L6 r1 128"},
    {"one new run of two merges", "L1 r5 a-b:30 e-f:30", "",
     "share move: L1 r5 a-b -> L6 new 31; share move: L1 r5 e-f -> L6 r100 31"},
    {"leveled: two tables", "L1 r5 a-b:64 c-d:64 | L2 r4 a-b:64 c-d:64", "leveled trigger=2",
     "size: L1 r5 a-b | L2 r4 a-b -> L2 r4 64; size: L1 r5 c-d | L2 r4 c-d -> L2 r4 64"},
    {"leveled: not over one table below", "L1 r5 a-b:64 c-d:64 | L2 r4 a-d:64", "leveled trigger=2",
     "size: L1 r5 a-b | L2 r4 a-d -> L2 r4 64; nothing"},
    {"leveled: two levels", "L1 r5 a-b:260 | L2 r4 a-b:640 c-d:1920 | L3 r3 c-d:64",
     "leveled trigger=2",
     "size: L1 r5 a-b | L2 r4 a-b -> L2 r4 64; size: L2 r4 c-d | L3 r3 c-d -> L3 r3 64"},
};

static void beside_check(const struct script *script)
{
    char *words = must_strdup(script->policy);
    struct compaction_policy policy = plan_text_policy(words);
    struct version *version = plan_text_version(script->version);
    struct compaction_plan first = {0}, second = {0};
    const struct compaction_plan *running[] = {&first};
    struct buf text = {0};
    ck_assert_int_eq(compaction_plan_make(version, &policy, &first), VARVE_OK);
    plan_text_print(&first, &text);
    if (first.output_run_id == 0)
        first.output_run_id = 100;
    policy.running = running;
    policy.running_count = 1;
    ck_assert_int_eq(compaction_plan_make(version, &policy, &second), VARVE_OK);
    must_ok(buf_append_format(&text, "; "));
    plan_text_print(&second, &text);
    ck_assert_msg(strcmp((const char *)text.data, script->plan) == 0,
                  "%s: \"%s\" under \"%s\" gives\n  %s\nnot\n  %s", script->name, script->version,
                  script->policy, (const char *)text.data, script->plan);
    buf_deinit(&text);
    compaction_plan_deinit(&first);
    compaction_plan_deinit(&second);
    version_unref(version);
    free(words);
}

START_TEST(side_by_side)
{
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++)
        beside_check(&beside[i]);
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
    {"below the tiers' share", "L1 r5 a-f:24 | L6 r1 a-f:100", "", "nothing"},
    {"the tiers' share", "L1 r5 a-f:25 | L6 r1 a-f:100", "",
     "share: L1 r5 a-f | L6 r1 a-f -> L6 r1 63"},
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
    {"level 0 before the share", "L0 r8 a-f:64 | r7 a-f:64 | L1 r6 a-f:30 | L6 r1 a-f:100",
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
     "asked: L1 r5 a-b | L2 r4 a-e -> L2 r4 64"},
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
    tcase_add_test(tests, side_by_side);
    tcase_add_test(tests, several_at_a_time);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
