/*
 * What is merged with what.
 *
 * Scripts: a version in, a plan out, both as text. Then a whole tree in miniature, of twenty keys:
 * runs are flushed into it at random, every plan is carried out on sets of keys, the style, the
 * depth and the mode change as they like, and after every step each key's newest entry must be the
 * one that is found first.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "engine/compaction_plan.h"
#include "engine/merge.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define TEXT_BYTES 512

static void internal_key(struct buf *buf, char letter, uint64_t sequence)
{
    must_ok(buf_append_slice(buf, varve_slice(&letter, 1)));
    must_ok(buf_append_fixed64(buf, entry_tag(sequence, ENTRY_PUT)));
}

static void edit_add(struct manifest_edit *edit, uint32_t level, uint64_t run_id, uint64_t file_id,
                     char smallest, char largest, uint64_t entries, uint64_t tombstones,
                     uint64_t bytes)
{
    struct manifest_table table = {.level = level,
                                   .run_id = run_id,
                                   .file_id = file_id,
                                   .file_bytes = bytes,
                                   .entry_count = entries,
                                   .tombstone_count = tombstones,
                                   .sequence_min = 1,
                                   .sequence_max = 2};
    internal_key(&table.smallest, smallest, 2);
    internal_key(&table.largest, largest, 1);
    must_ok(manifest_edit_add_table(edit, &table));
    manifest_table_deinit(&table);
}

static struct version *version_step(struct version *base, struct manifest_edit *edit)
{
    struct version *version = NULL;
    struct varve_error error = {0};
    enum varve_status status = version_apply(base, edit, NULL, &version, &error);
    ck_assert_msg(status == VARVE_OK, "%s", error.text);
    version_unref(base);
    manifest_edit_deinit(edit);
    *edit = (struct manifest_edit){0};
    return version;
}

/* "level/run/file:a-k" per table, with "*4" behind it for its entries (else 4) and "!" when all of
 * them are tombstones; separated by blanks. */
static struct version *version_parse(const char *text)
{
    struct version *version = NULL;
    struct manifest_edit edit = {0};
    char token[64];
    int length = 0;
    must_ok(version_new_empty(&version));
    while (sscanf(text, "%63s%n", token, &length) == 1) {
        unsigned level = 0, run = 0, file = 0, entries = 4;
        char smallest = 0, largest = 0;
        must(sscanf(token, "%u/%u/%u:%c-%c", &level, &run, &file, &smallest, &largest) == 5);
        if (strchr(token, '*') != NULL)
            entries = (unsigned)strtoul(strchr(token, '*') + 1, NULL, 10);
        edit_add(&edit, level, run, file, smallest, largest, entries,
                 strchr(token, '!') != NULL ? entries : 0, entries * 1000);
        text += length;
    }
    return version_step(version, &edit);
}

/* "level/run:file,file ..." for each source, then "-> level/run", "move" and the reason. */
static void plan_print(const struct compaction_plan *plan, char text[TEXT_BYTES])
{
    size_t at = 0;
    if (plan->source_count == 0) {
        snprintf(text, TEXT_BYTES, "nothing");
        return;
    }
    for (size_t s = 0; s < plan->source_count; s++) {
        const struct compaction_source *source = &plan->sources[s];
        at += (size_t)snprintf(text + at, TEXT_BYTES - at, "%u/%" PRIu64 ":", source->level,
                               source->run.id);
        for (size_t t = 0; t < source->run.table_count; t++)
            at += (size_t)snprintf(text + at, TEXT_BYTES - at, "%s%" PRIu64, t > 0 ? "," : "",
                                   source->run.tables[t]->meta.file_id);
        at += (size_t)snprintf(text + at, TEXT_BYTES - at, " ");
    }
    snprintf(text + at, TEXT_BYTES - at, "-> %u/%" PRIu64 "%s %s", plan->output_level,
             plan->output_run_id, plan->move ? " move" : "", compaction_reason_name(plan->reason));
}

static struct compaction_policy policy_make(enum varve_compaction style, enum compaction_mode mode)
{
    return (struct compaction_policy){
        .style = style,
        .mode = mode,
        .level0_trigger = 3,
        .max_levels = 4,
        .level_multiplier = 4,
        .memtable_bytes = 4000,
        .table_bytes = 6000,
        .keep = {.sequence = 100, .time_ms = 1000},
    };
}

enum { TIERED = VARVE_COMPACTION_TIERED, LEVELED = VARVE_COMPACTION_LEVELED };
enum { DUE = COMPACTION_DUE, FOLD = COMPACTION_FOLD, ALL = COMPACTION_EVERYTHING };

static const struct {
    int style, mode;
    const char *version, *plan;
} scripts[] = {
    /* an empty store; below every trigger */
    {TIERED, ALL, "", "nothing"},
    {LEVELED, ALL, "", "nothing"},
    {TIERED, DUE, "0/2/2:a-k 0/1/1:a-k", "nothing"},
    {LEVELED, DUE, "0/2/2:a-k 0/1/1:a-k", "nothing"},
    /* all of level 0, newest first, and what it overlaps one down */
    {LEVELED, DUE, "0/3/3:a-k 0/2/2:b-k 0/1/1:c-k 1/9/8:a-b 1/9/9:m-p",
     "0/3:3 0/2:2 0/1:1 1/9:8 -> 1/9 level0"},
    {TIERED, DUE, "0/3/3:a-k 0/2/2:b-k 0/1/1:c-k 3/9/9:a-p*90", "0/3:3 0/2:2 0/1:1 -> 1/0 level0"},
    /* nothing overlaps: only moved, but not if something could be dropped */
    {LEVELED, DUE, "0/3/3:a-c 0/2/2:d-f 0/1/1:g-k 1/9/9:m-p",
     "0/3:3 0/2:2 0/1:1 -> 1/9 move level0"},
    {LEVELED, DUE, "0/3/3:a-c! 0/2/2:d-f 0/1/1:g-k 1/9/9:m-p", "0/3:3 0/2:2 0/1:1 -> 1/9 level0"},
    {TIERED, DUE, "0/3/3:a-c 0/2/2:d-f 0/1/1:g-k", "0/3:3 0/2:2 0/1:1 -> 3/0 move level0"},
    /* asked for everything: from the top down, until all is in one place */
    {LEVELED, ALL, "1/2/2:a-k 2/1/1:f-p", "1/2:2 2/1:1 -> 2/1 asked"},
    {LEVELED, ALL, "2/1/1:f-p", "nothing"},
    {LEVELED, ALL, "2/1/1:f-p!", "2/1:1 -> 2/1 asked"},
    {TIERED, ALL, "1/2/2:a-k 3/1/1:f-p", "1/2:2 3/1:1 -> 3/1 asked"},
    {TIERED, ALL, "3/1/1:f-p", "nothing"},
    /* a tier with enough runs over some keys goes one tier down; older runs stay older */
    {TIERED, DUE, "1/4/4:a-f 1/3/3:b-f 1/2/2:c-f 2/1/1:a-f 3/9/9:a-p*90",
     "1/4:4 1/3:3 1/2:2 -> 2/0 runs"},
    {TIERED, DUE, "1/4/4:a-f 1/3/3:b-f 1/2/2:m-p 2/1/1:a-f 3/9/9:a-p*90", "nothing"},
    /* the tiers over their share: a piece of the deepest one into the last level */
    {TIERED, DUE, "1/4/4:a-f*20 2/3/3:b-f*9 2/3/5:m-p*9 3/9/8:a-f*40 3/9/9:m-p*20",
     "2/3:5 3/9:9 -> 3/9 share"},
    /* nobody writes: two runs are enough */
    {TIERED, FOLD, "0/2/2:a-k 0/1/1:a-k 3/9/9:a-p*900", "0/2:2 0/1:1 -> 1/0 idle"},
    {TIERED, FOLD, "0/2/2:a-k 3/9/9:a-p*900", "nothing"},
    /* a level over its target gives one table on */
    {LEVELED, DUE, "1/2/2:a-f*9 1/2/3:g-k*9 2/1/1:e-h*9", "1/2:2 2/1:1 -> 2/1 size"},
};

START_TEST(scripts_of_plans)
{
    struct compaction_policy policy = policy_make((enum varve_compaction)scripts[_i].style,
                                                  (enum compaction_mode)scripts[_i].mode);
    struct version *version = version_parse(scripts[_i].version);
    struct compaction_plan plan = {0};
    char text[TEXT_BYTES];
    ck_assert_int_eq(compaction_plan_make(version, &policy, &plan), VARVE_OK);
    plan_print(&plan, text);
    ck_assert_msg(strcmp(text, scripts[_i].plan) == 0, "%s: gives %s, not %s", scripts[_i].version,
                  text, scripts[_i].plan);
    compaction_plan_deinit(&plan);
    version_unref(version);
}
END_TEST

/* Under the policy above: level 0 from 6 runs on, tiers from 24,000 bytes above 25 % of the last
 * level on, to twice that. */
static const struct {
    int style;
    const char *version;
    unsigned level0, tiers;
} debts[] = {
    {TIERED, "", 0, 0},
    {TIERED, "0/6/6:a-k 0/5/5:a-k 0/4/4:a-k 0/3/3:a-k 0/2/2:a-k 0/1/1:a-k", 0, 0},
    {TIERED, "0/7/7:a-k 0/6/6:a-k 0/5/5:a-k 0/4/4:a-k 0/3/3:a-k 0/2/2:a-k 0/1/1:a-k", 25, 0},
    {TIERED, "1/3/3:a-k*24", 0, 0},
    {TIERED, "1/3/3:a-k*18 2/2/2:a-k*18", 0, 50},
    {TIERED, "1/3/3:a-k*49 3/1/1:a-k*100", 0, 0},
    {TIERED, "1/3/3:a-k*50 2/2/2:a-k*14 3/1/1:a-k*100", 0, 30},
    {TIERED, "1/3/3:a-k*900 3/1/1:a-k*100", 0, 100},
    {LEVELED, "1/3/3:a-k*900 3/1/1:a-k*100", 0, 0},
};

START_TEST(debts_of_versions)
{
    struct compaction_policy policy =
        policy_make((enum varve_compaction)debts[_i].style, COMPACTION_DUE);
    struct version *version = version_parse(debts[_i].version);
    struct compaction_debt debt = compaction_debt_of(version, &policy, 10);
    ck_assert_msg(debt.level0_percent == debts[_i].level0 && debt.tiers_percent == debts[_i].tiers,
                  "%s: %u and %u", debts[_i].version, debt.level0_percent, debt.tiers_percent);
    version_unref(version);
}
END_TEST

/* The tree in miniature. */
#define LETTERS 20u
#define TABLES_MAX 20000u

struct cell {
    uint64_t sequence; /* 0: not in the table */
    bool tombstone;
};
struct content {
    struct cell cells[LETTERS];
};
struct tree {
    uint64_t seed;
    struct prng prng;
    struct version *version;
    struct content *tables; /* by file id */
    uint64_t next_file, next_run, sequence;
    struct cell newest[LETTERS];
    uint64_t merges, moves, dropped;
};

static void table_add(struct tree *tree, struct manifest_edit *edit, uint32_t level, uint64_t run,
                      const struct content *content)
{
    unsigned first = LETTERS, last = 0;
    uint64_t entries = 0, tombstones = 0;
    for (unsigned k = 0; k < LETTERS; k++) {
        if (content->cells[k].sequence == 0)
            continue;
        first = first == LETTERS ? k : first;
        last = k;
        entries++;
        tombstones += content->cells[k].tombstone;
    }
    if (entries == 0)
        return;
    must(tree->next_file < TABLES_MAX);
    tree->tables[tree->next_file] = *content;
    /* Now and then deep levels weigh so much that tiers gather above them. */
    uint64_t weight = level > 1 ? prng_between(&tree->prng, 1, 30) : 1;
    edit_add(edit, level, run, tree->next_file++, (char)('a' + first), (char)('a' + last), entries,
             tombstones, entries * 1000 * weight);
}

static void tree_flush(struct tree *tree)
{
    struct content content = {0};
    struct manifest_edit edit = {0};
    unsigned first = (unsigned)prng_below(&tree->prng, LETTERS);
    unsigned last = (unsigned)prng_between(&tree->prng, first, LETTERS - 1);
    for (unsigned k = first; k <= last; k++) {
        if (!prng_chance(&tree->prng, 60))
            continue;
        content.cells[k] =
            (struct cell){.sequence = ++tree->sequence, .tombstone = prng_chance(&tree->prng, 30)};
        tree->newest[k] = content.cells[k];
    }
    table_add(tree, &edit, 0, tree->next_run++, &content);
    tree->version = version_step(tree->version, &edit);
}

/* The first entry that a look-up meets. */
static struct cell tree_find(const struct tree *tree, unsigned key)
{
    char letter = (char)('a' + key);
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < tree->version->levels[l].run_count; r++) {
            const struct table *table =
                run_find(&tree->version->levels[l].runs[r], varve_slice(&letter, 1));
            if (table != NULL && tree->tables[table->meta.file_id].cells[key].sequence != 0)
                return tree->tables[table->meta.file_id].cells[key];
        }
    return (struct cell){0};
}

static void tree_verify(const struct tree *tree, const char *what)
{
    for (unsigned k = 0; k < LETTERS; k++) {
        struct cell found = tree_find(tree, k), newest = tree->newest[k];
        bool right = found.sequence == newest.sequence || (newest.tombstone && found.sequence == 0);
        ck_assert_msg(right, "seed %" PRIu64 ", %s: key %c gives %" PRIu64 ", not %" PRIu64,
                      tree->seed, what, 'a' + (int)k, found.sequence, newest.sequence);
    }
}

static bool passes_cut(const struct compaction_plan *plan, uint64_t bytes, unsigned before,
                       unsigned key)
{
    char a = (char)('a' + before), b = (char)('a' + key);
    for (size_t c = 0; c < plan->cut_count; c++)
        if (varve_slice_compare(varve_slice(&a, 1), plan->cuts[c]) <= 0 &&
            varve_slice_compare(varve_slice(&b, 1), plan->cuts[c]) > 0 &&
            (bytes >= plan->cut_bytes || merge_cuts_always(plan->cuts[c], plan->cut_mask)))
            return true;
    return false;
}

/* What a merge of the sources holds, in tables as the plan wants them. */
static void merge_carry_out(struct tree *tree, const struct compaction_plan *plan, uint64_t run,
                            struct manifest_edit *edit)
{
    struct content out = {0};
    uint64_t bytes = 0;
    unsigned before = 0;
    for (unsigned k = 0; k < LETTERS; k++) {
        struct cell best = {0};
        char letter = (char)('a' + k);
        for (size_t s = 0; s < plan->source_count; s++)
            for (size_t t = 0; t < plan->sources[s].run.table_count; t++) {
                struct cell cell =
                    tree->tables[plan->sources[s].run.tables[t]->meta.file_id].cells[k];
                if (cell.sequence > best.sequence)
                    best = cell;
            }
        if (best.tombstone &&
            !compaction_older_may_hold(tree->version, plan, varve_slice(&letter, 1))) {
            tree->dropped++;
            continue;
        }
        if (best.sequence == 0)
            continue;
        if (bytes >= plan->output_bytes || (bytes > 0 && passes_cut(plan, bytes, before, k))) {
            table_add(tree, edit, plan->output_level, run, &out);
            out = (struct content){0};
            bytes = 0;
        }
        out.cells[k] = best;
        before = k;
        bytes += 1000;
    }
    table_add(tree, edit, plan->output_level, run, &out);
}

static bool tree_merge(struct tree *tree, const struct compaction_policy *policy)
{
    struct compaction_plan plan = {0};
    struct manifest_edit edit = {0};
    char text[TEXT_BYTES];
    ck_assert_int_eq(compaction_plan_make(tree->version, policy, &plan), VARVE_OK);
    bool any = plan.source_count > 0;
    plan_print(&plan, text);
    if (any) {
        uint64_t run = plan.output_run_id != 0 ? plan.output_run_id : tree->next_run++;
        if (!plan.move)
            merge_carry_out(tree, &plan, run, &edit);
        for (size_t s = 0; s < plan.source_count; s++)
            for (size_t t = 0; t < plan.sources[s].run.table_count; t++) {
                struct manifest_table table = plan.sources[s].run.tables[t]->meta;
                must_ok(manifest_edit_remove_table(&edit, plan.sources[s].level, table.file_id));
                table.level = plan.output_level;
                table.run_id = run;
                if (plan.move)
                    must_ok(manifest_edit_add_table(&edit, &table));
            }
        tree->merges++;
        tree->moves += plan.move;
    }
    /* The plan borrows from the version. */
    struct version *base = tree->version;
    version_ref(base);
    struct version *next = NULL;
    struct varve_error error = {0};
    enum varve_status status = version_apply(base, &edit, NULL, &next, &error);
    ck_assert_msg(status == VARVE_OK, "seed %" PRIu64 ", %s: %s", tree->seed, text, error.text);
    manifest_edit_deinit(&edit);
    compaction_plan_deinit(&plan);
    version_unref(base);
    version_unref(tree->version);
    tree->version = next;
    tree_verify(tree, text);
    return any;
}

static void tree_policy(struct tree *tree, struct compaction_policy *policy)
{
    *policy = policy_make(prng_chance(&tree->prng, 50) ? VARVE_COMPACTION_TIERED
                                                       : VARVE_COMPACTION_LEVELED,
                          COMPACTION_DUE);
    policy->max_levels = prng_between(&tree->prng, 2, VARVE_LEVELS_MAX);
    policy->level0_trigger = prng_between(&tree->prng, 2, 4);
    policy->level_multiplier = prng_between(&tree->prng, 2, 4);
    policy->table_bytes = prng_between(&tree->prng, 1, 8) * 1000;
    policy->keep.sequence = UINT64_MAX >> 8;
}

static void tree_run(uint64_t seed, bool changes, struct tree *total)
{
    struct tree tree = {.seed = seed, .prng = prng_make(seed), .next_file = 1, .next_run = 1};
    struct compaction_policy policy;
    must_ok(version_new_empty(&tree.version));
    tree.tables = must_calloc(TABLES_MAX, sizeof *tree.tables);
    tree_policy(&tree, &policy);
    for (unsigned step = 0; step < 150; step++) {
        tree_flush(&tree);
        tree_verify(&tree, "flush");
        uint64_t roll = prng_below(&tree.prng, 100);
        policy.mode = roll < 80   ? COMPACTION_DUE
                      : roll < 95 ? COMPACTION_FOLD
                                  : COMPACTION_EVERYTHING;
        if (changes && prng_chance(&tree.prng, 3))
            tree_policy(&tree, &policy);
        unsigned rounds = 0;
        while (prng_chance(&tree.prng, 90) && tree_merge(&tree, &policy))
            ck_assert_msg(++rounds < 500, "seed %" PRIu64 ": merging never ends", seed);
    }
    total->merges += tree.merges;
    total->moves += tree.moves;
    total->dropped += tree.dropped;
    version_unref(tree.version);
    free(tree.tables);
}

START_TEST(trees_in_miniature)
{
    uint64_t seed = rig_number("VARVE_SEED", 1), runs = budget_choose(20, 60, 20000);
    struct tree total = {0};
    for (uint64_t i = 0; i < runs; i++)
        tree_run(seed + i, _i == 1, &total);
    printf("%" PRIu64 " merges, %" PRIu64 " moves, %" PRIu64 " tombstones dropped\n", total.merges,
           total.moves, total.dropped);
    ck_assert_uint_gt(total.merges, 1000);
    ck_assert_uint_gt(total.moves, 10);
    ck_assert_uint_gt(total.dropped, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-compaction");
    TCase *plans = tcase_create("plans");
    tcase_set_timeout(plans, 0);
    tcase_add_loop_test(plans, scripts_of_plans, 0, sizeof scripts / sizeof scripts[0]);
    tcase_add_loop_test(plans, debts_of_versions, 0, sizeof debts / sizeof debts[0]);
    tcase_add_loop_test(plans, trees_in_miniature, 0, 2);
    suite_add_tcase(suite, plans);
    return run_suite(suite);
}
