/* Edits folded at once give what they give one by one, or are refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/manifest_fold.h"
#include "prng.h"
#include "run_suite.h"

#define TABLES 24
#define EDITS 400

/* Two states of the same edits, and where each table is: its level, or -1. */
struct pair {
    struct manifest_state folded, applied;
    struct manifest_fold fold;
    int level[TABLES];
};

static void pair_init(struct pair *pair)
{
    *pair = (struct pair){0};
    ck_assert_int_eq(manifest_state_init(&pair->folded), VARVE_OK);
    ck_assert_int_eq(manifest_state_init(&pair->applied), VARVE_OK);
    pair->fold.state = &pair->folded;
    for (size_t i = 0; i < TABLES; i++)
        pair->level[i] = -1;
}

static void pair_deinit(struct pair *pair)
{
    manifest_fold_deinit(&pair->fold);
    manifest_state_deinit(&pair->folded);
    manifest_state_deinit(&pair->applied);
}

/* Table `at` has a range of its own, so that it fits into any run. */
static void add(struct manifest_edit *edit, uint32_t level, size_t at)
{
    char key[8];
    struct manifest_table table = {.level = level,
                                   .run_id = 1 + at % 3,
                                   .file_id = at + 1,
                                   .file_bytes = 1000 + at,
                                   .entry_count = 1,
                                   .sequence_min = 1,
                                   .sequence_max = 9};
    snprintf(key, sizeof key, "k%03zu", at);
    ck_assert_int_eq(buf_append_slice(&table.smallest, varve_slice_str(key)), VARVE_OK);
    ck_assert_int_eq(buf_append_fixed64(&table.smallest, entry_tag(9, ENTRY_PUT)), VARVE_OK);
    ck_assert_int_eq(buf_assign(&table.largest, buf_slice(&table.smallest)), VARVE_OK);
    ck_assert_int_eq(manifest_edit_add_table(edit, &table), VARVE_OK);
    manifest_table_deinit(&table);
}

static void take_out(struct manifest_edit *edit, uint32_t level, size_t at)
{
    ck_assert_int_eq(manifest_edit_remove_table(edit, level, at + 1), VARVE_OK);
}

static void pair_edit(struct pair *pair, struct manifest_edit *edit)
{
    struct version *version = NULL;
    ck_assert_int_eq(manifest_fold_edit(&pair->fold, edit), VARVE_OK);
    ck_assert_int_eq(manifest_state_prepare(&pair->applied, edit, NULL, &version, NULL), VARVE_OK);
    manifest_state_apply(&pair->applied, edit, version);
    manifest_edit_deinit(edit);
    *edit = (struct manifest_edit){0};
}

static void assert_same(const struct pair *pair)
{
    struct buf bytes[2] = {{0}, {0}};
    const struct manifest_state *states[2] = {&pair->folded, &pair->applied};
    for (size_t i = 0; i < 2; i++) {
        struct manifest_edit edit = {0};
        ck_assert_int_eq(manifest_state_to_edit(states[i], 100, &edit), VARVE_OK);
        ck_assert_int_eq(manifest_edit_encode(&edit, &bytes[i]), VARVE_OK);
        manifest_edit_deinit(&edit);
    }
    ck_assert_int_eq(varve_slice_compare(buf_slice(&bytes[0]), buf_slice(&bytes[1])), 0);
    buf_deinit(&bytes[0]);
    buf_deinit(&bytes[1]);
}

START_TEST(the_same_as_one_by_one)
{
    struct pair pair;
    struct manifest_edit edit = {0};
    struct prng prng = prng_make(5);
    size_t moves = 0;
    pair_init(&pair);
    for (size_t e = 0; e < EDITS; e++) {
        edit.has_last_sequence = edit.has_last_segment = true;
        edit.last_sequence = edit.last_segment = e + 1;
        for (size_t at = 0; at < TABLES; at++) {
            int before = pair.level[at];
            if (!prng_chance(&prng, 20))
                continue;
            pair.level[at] = prng_chance(&prng, 40) ? -1 : (int)prng_below(&prng, 4);
            if (before >= 0)
                take_out(&edit, (uint32_t)before, at);
            if (pair.level[at] >= 0)
                add(&edit, (uint32_t)pair.level[at], at);
            moves += before >= 0 && pair.level[at] >= 0;
        }
        pair_edit(&pair, &edit);
    }
    ck_assert_uint_gt(moves, 100);
    ck_assert_int_eq(manifest_fold_end(&pair.fold, NULL), VARVE_OK);
    assert_same(&pair);
    pair_deinit(&pair);
}
END_TEST

/* Each of these is refused in the end, with words. */
START_TEST(edits_that_do_not_fit)
{
    for (int what = 0; what < 5; what++) {
        struct pair pair;
        struct varve_error error = {0};
        struct manifest_edit edit = {0};
        pair_init(&pair);
        add(&edit, 1, 4);
        pair_edit(&pair, &edit);
        switch (what) {
        case 0: /* removed, but not there */
            take_out(&edit, 1, 5);
            break;
        case 1: /* removed from another level */
            take_out(&edit, 2, 4);
            break;
        case 2: /* removed twice */
            take_out(&edit, 1, 4);
            take_out(&edit, 1, 4);
            break;
        case 3: /* added, but there */
            add(&edit, 2, 4);
            break;
        default: /* overlapping what is there */
            add(&edit, 1, 4);
            edit.added[0].file_id = 9;
            break;
        }
        ck_assert_int_eq(manifest_fold_edit(&pair.fold, &edit), VARVE_OK);
        ck_assert_int_eq(manifest_fold_end(&pair.fold, &error), VARVE_CORRUPT);
        ck_assert_int_ne(error.text[0], '\0');
        manifest_edit_deinit(&edit);
        pair_deinit(&pair);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-manifest-fold");
    TCase *tests = tcase_create("manifest-fold");
    tcase_add_test(tests, the_same_as_one_by_one);
    tcase_add_test(tests, edits_that_do_not_fit);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
