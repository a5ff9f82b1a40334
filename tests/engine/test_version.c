/* Versions: how edits apply and which they refuse, who holds a table how long, and where a key is
 * looked for. */
#include <check.h>
#include <stdlib.h>

#include "engine/version.h"

struct drops {
    struct table_owner owner;
    uint64_t ids[8];
    size_t count;
};

static void note_drop(struct table_owner *owner, uint64_t file_id)
{
    struct drops *drops = (struct drops *)owner;
    drops->ids[drops->count++] = file_id;
}

static void set_key(struct buf *buf, const char *user_key, uint64_t sequence)
{
    ck_assert_int_eq(buf_append_slice(buf, varve_slice_str(user_key)), VARVE_OK);
    ck_assert_int_eq(buf_append_fixed64(buf, entry_tag(sequence, ENTRY_PUT)), VARVE_OK);
}

static void add(struct manifest_edit *edit, uint32_t level, uint64_t run_id, uint64_t file_id,
                const char *smallest, const char *largest)
{
    struct manifest_table table = {.level = level,
                                   .run_id = run_id,
                                   .file_id = file_id,
                                   .file_bytes = 100 * file_id,
                                   .entry_count = 7,
                                   .sequence_min = 1,
                                   .sequence_max = 9};
    set_key(&table.smallest, smallest, 9);
    set_key(&table.largest, largest, 1);
    ck_assert_int_eq(manifest_edit_add_table(edit, &table), VARVE_OK);
    manifest_table_deinit(&table);
}

static struct version *apply(struct version *base, struct manifest_edit *edit, struct drops *drops)
{
    struct version *version = NULL;
    struct varve_error error = {0};
    ck_assert_msg(version_apply(base, edit, &drops->owner, &version, &error) == VARVE_OK, "%s",
                  error.text);
    manifest_edit_deinit(edit);
    *edit = (struct manifest_edit){0};
    return version;
}

static void assert_refused(struct version *base, struct manifest_edit *edit)
{
    struct version *version = NULL;
    struct varve_error error = {0};
    ck_assert_int_eq(version_apply(base, edit, NULL, &version, &error), VARVE_CORRUPT);
    ck_assert_ptr_null(version);
    ck_assert_int_eq(error.status, VARVE_CORRUPT);
    ck_assert_int_ne(error.text[0], '\0');
    ck_assert_int_eq(version_apply(base, edit, NULL, &version, NULL), VARVE_CORRUPT);
    manifest_edit_deinit(edit);
    *edit = (struct manifest_edit){0};
}

/* Level 0: runs 5 (table 3) and 4 (table 2); level 1: run 2 (tables 11, 12, 13). */
static struct version *make_base(struct drops *drops)
{
    *drops = (struct drops){.owner.dropped = note_drop};
    struct version *empty = NULL;
    ck_assert_int_eq(version_new_empty(&empty), VARVE_OK);
    struct manifest_edit edit = {0};
    add(&edit, 1, 2, 13, "m", "p");
    add(&edit, 0, 4, 2, "a", "z");
    add(&edit, 1, 2, 11, "b", "d");
    add(&edit, 0, 5, 3, "c", "x");
    add(&edit, 1, 2, 12, "f", "k");
    struct version *version = apply(empty, &edit, drops);
    version_unref(empty);
    return version;
}

START_TEST(runs_newest_first_tables_by_key)
{
    struct drops drops;
    struct version *version = make_base(&drops);
    const struct level *level = &version->levels[0];
    ck_assert_uint_eq(level->run_count, 2);
    ck_assert_uint_eq(level->runs[0].id, 5);
    ck_assert_uint_eq(level->runs[0].tables[0]->meta.file_id, 3);
    ck_assert_uint_eq(level->runs[1].id, 4);
    level = &version->levels[1];
    ck_assert_uint_eq(level->run_count, 1);
    ck_assert_uint_eq(level->runs[0].table_count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(level->runs[0].tables[i]->meta.file_id, 11 + i);
    ck_assert_uint_eq(version->levels[2].run_count, 0);
    ck_assert_uint_eq(version_level_bytes(version, 0), 500);
    ck_assert_uint_eq(version_level_bytes(version, 1), 3600);
    ck_assert_uint_eq(version_level_bytes(version, 6), 0);
    version_unref(version);
    ck_assert_uint_eq(drops.count, 0);
}
END_TEST

START_TEST(replaced_tables_go_with_their_last_version)
{
    struct drops drops;
    struct version *base = make_base(&drops);
    struct table *replaced = base->levels[0].runs[1].tables[0];
    struct table *kept = base->levels[1].runs[0].tables[1];
    struct manifest_edit edit = {0};
    ck_assert_int_eq(manifest_edit_remove_table(&edit, 0, 2), VARVE_OK);
    ck_assert_int_eq(manifest_edit_remove_table(&edit, 1, 11), VARVE_OK);
    add(&edit, 1, 2, 21, "a", "e");
    struct version *next = apply(base, &edit, &drops);
    ck_assert_uint_eq(next->levels[0].run_count, 1);
    ck_assert_uint_eq(next->levels[1].runs[0].tables[0]->meta.file_id, 21);
    ck_assert_ptr_eq(next->levels[1].runs[0].tables[1], kept);

    ck_assert(!replaced->obsolete);
    replaced->obsolete = true;
    version_ref(base);
    version_unref(base);
    ck_assert_uint_eq(drops.count, 0);
    version_unref(base);
    ck_assert_uint_eq(drops.count, 1);
    ck_assert_uint_eq(drops.ids[0], 2); /* 11 was not marked: its file stays */
    version_unref(next);
    ck_assert_uint_eq(drops.count, 1);
    version_unref(NULL);
}
END_TEST

/* A table may go from one level to another in one edit. */
START_TEST(moved_table)
{
    struct drops drops;
    struct version *base = make_base(&drops);
    struct manifest_edit edit = {0};
    ck_assert_int_eq(manifest_edit_remove_table(&edit, 1, 13), VARVE_OK);
    add(&edit, 2, 1, 13, "m", "p");
    struct version *next = apply(base, &edit, &drops);
    ck_assert_uint_eq(next->levels[1].runs[0].table_count, 2);
    ck_assert_uint_eq(next->levels[2].runs[0].tables[0]->meta.file_id, 13);
    ck_assert_uint_eq(next->levels[2].runs[0].tables[0]->meta.level, 2);
    version_unref(base);
    version_unref(next);
}
END_TEST

START_TEST(edits_that_do_not_fit)
{
    struct drops drops;
    struct version *base = make_base(&drops);
    struct manifest_edit edit = {0};
    ck_assert_int_eq(manifest_edit_remove_table(&edit, 1, 2), VARVE_OK); /* it is in level 0 */
    assert_refused(base, &edit);
    ck_assert_int_eq(manifest_edit_remove_table(&edit, VARVE_LEVELS_MAX, 2), VARVE_OK);
    assert_refused(base, &edit);
    ck_assert_int_eq(manifest_edit_remove_table(&edit, 0, 2), VARVE_OK);
    ck_assert_int_eq(manifest_edit_remove_table(&edit, 0, 2), VARVE_OK); /* twice */
    assert_refused(base, &edit);
    add(&edit, 3, 1, 12, "a", "b"); /* it is in level 1 */
    assert_refused(base, &edit);
    add(&edit, 3, 1, 30, "a", "b");
    add(&edit, 3, 2, 30, "a", "b"); /* twice */
    assert_refused(base, &edit);
    add(&edit, VARVE_LEVELS_MAX, 1, 30, "a", "b");
    assert_refused(base, &edit);
    add(&edit, 3, 1, 30, "b", "a");
    assert_refused(base, &edit);
    add(&edit, 3, 1, 30, "", "a"); /* no key */
    assert_refused(base, &edit);
    add(&edit, 1, 2, 30, "d", "e"); /* shares the user key d with table 11 */
    assert_refused(base, &edit);
    add(&edit, 1, 2, 30, "a", "z"); /* around all */
    assert_refused(base, &edit);
    add(&edit, 1, 2, 30, "ff", "g"); /* within 12 */
    assert_refused(base, &edit);
    add(&edit, 1, 3, 30, "a", "z"); /* a run of its own: fine */
    struct version *next = apply(base, &edit, &drops);
    ck_assert_uint_eq(next->levels[1].run_count, 2);
    ck_assert_uint_eq(next->levels[1].runs[0].id, 3);
    version_unref(next);
    version_unref(base);
}
END_TEST

START_TEST(to_edit_and_back)
{
    struct drops drops;
    struct version *base = make_base(&drops), *empty = NULL;
    struct manifest_edit edit = {0};
    ck_assert_int_eq(version_to_edit(base, &edit), VARVE_OK);
    ck_assert_uint_eq(edit.added_count, 5);
    ck_assert_int_eq(version_new_empty(&empty), VARVE_OK);
    struct version *copy = apply(empty, &edit, &drops);
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) {
        ck_assert_uint_eq(copy->levels[l].run_count, base->levels[l].run_count);
        for (size_t r = 0; r < copy->levels[l].run_count; r++) {
            const struct run *a = &copy->levels[l].runs[r], *b = &base->levels[l].runs[r];
            ck_assert_uint_eq(a->id, b->id);
            ck_assert_uint_eq(a->table_count, b->table_count);
            for (size_t t = 0; t < a->table_count; t++) {
                ck_assert_uint_eq(a->tables[t]->meta.file_id, b->tables[t]->meta.file_id);
                ck_assert_uint_eq(a->tables[t]->meta.entry_count, 7);
                ck_assert_int_eq(
                    varve_slice_compare(table_largest(a->tables[t]), table_largest(b->tables[t])),
                    0);
            }
        }
    }
    version_unref(copy);
    version_unref(empty);
    version_unref(base);
}
END_TEST

static void assert_lower_bound(const struct run *run, const char *key, uint64_t sequence,
                               size_t expected)
{
    struct buf target = {0};
    set_key(&target, key, sequence);
    ck_assert_uint_eq(run_lower_bound(run, buf_slice(&target)), expected);
    buf_deinit(&target);
}

START_TEST(where_a_key_may_be)
{
    struct drops drops;
    struct version *version = make_base(&drops);
    const struct run *run = &version->levels[1].runs[0]; /* b-d, f-k, m-p */
    static const struct {
        const char *key;
        uint64_t file_id; /* 0: none */
    } cases[] = {{"a", 0},  {"b", 11}, {"c", 11}, {"d", 11}, {"da", 0}, {"e", 0},
                 {"f", 12}, {"k", 12}, {"l", 0},  {"m", 13}, {"p", 13}, {"q", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct table *table = run_find(run, varve_slice_str(cases[i].key));
        ck_assert_uint_eq(table != NULL ? table->meta.file_id : 0, cases[i].file_id);
    }
    assert_lower_bound(run, "a", 5, 0);
    assert_lower_bound(run, "d", 1, 0);
    assert_lower_bound(run, "d", 0, 1); /* older than d's oldest */
    assert_lower_bound(run, "e", 5, 1);
    assert_lower_bound(run, "p", 1, 2);
    assert_lower_bound(run, "p", 0, 3);
    version_unref(version);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("version");
    TCase *tests = tcase_create("version");
    tcase_add_test(tests, runs_newest_first_tables_by_key);
    tcase_add_test(tests, replaced_tables_go_with_their_last_version);
    tcase_add_test(tests, moved_table);
    tcase_add_test(tests, edits_that_do_not_fit);
    tcase_add_test(tests, to_edit_and_back);
    tcase_add_test(tests, where_a_key_may_be);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
