/* Merged passes against one sorted array of all entries: random moves with changes of direction,
 * children of all sizes, and children that fail. */
#include <check.h>
#include <stdlib.h>

#include "array_iterator.h"
#include "budget.h"
#include "engine/merge_iterator.h"
#include "prng.h"

#define CHILDREN_MAX 9u

struct fixture {
    struct prng prng;
    size_t count;
    struct array parts[CHILDREN_MAX];
    struct array all;
    uint64_t moves, fail_after;
    struct entry_iterator *merged;
};

/* Few keys of few letters, so that children meet in one user key and in prefixes. */
static struct varve_slice random_key(struct prng *prng, uint8_t at[12])
{
    size_t size = prng_between(prng, 1, 12);
    for (size_t i = 0; i < size; i++)
        at[i] = i < 8 ? 'a' : (uint8_t)prng_below(prng, 3);
    return varve_slice(at, size);
}

static void set_up(struct fixture *f, uint64_t seed, bool may_fail)
{
    *f = (struct fixture){.prng = prng_make(seed), .fail_after = UINT64_MAX};
    f->count = prng_between(&f->prng, 2, CHILDREN_MAX);
    size_t entries = prng_below(&f->prng, 60);
    for (uint64_t sequence = 1; sequence <= entries; sequence++) {
        uint8_t bytes[12];
        struct varve_slice key = random_key(&f->prng, bytes);
        struct varve_slice value = varve_slice(&sequence, prng_below(&f->prng, 8));
        uint64_t tag = entry_tag(sequence, ENTRY_PUT);
        array_add(&f->parts[prng_below(&f->prng, f->count)], key, tag, value);
        array_add(&f->all, key, tag, value);
    }
    struct entry_iterator *children[CHILDREN_MAX];
    for (size_t i = 0; i < f->count; i++) {
        array_sort(&f->parts[i]);
        children[i] = array_iterator_new(&f->parts[i], &f->moves, may_fail ? &f->fail_after : NULL);
    }
    array_sort(&f->all);
    ck_assert_int_eq(merge_iterator_new(children, f->count, &f->merged), VARVE_OK);
    ck_assert(!f->merged->valid);
}

static void tear_down(struct fixture *f)
{
    entry_iterator_free(f->merged);
    for (size_t i = 0; i < f->count; i++)
        array_deinit(&f->parts[i]);
    array_deinit(&f->all);
}

static void assert_stands(const struct entry_iterator *it, const struct array *all, size_t at)
{
    ck_assert_int_eq(it->status, VARVE_OK);
    ck_assert_int_eq(it->valid, at < all->count);
    if (!it->valid)
        return;
    const struct array_entry *entry = &all->entries[at];
    ck_assert_int_eq(varve_slice_compare(it->key, buf_slice(&entry->key)), 0);
    ck_assert_int_eq(varve_slice_compare(it->value, buf_slice(&entry->value)), 0);
}

/* One random move of the pass and of the index into the array (an end: any index beyond it). */
static size_t move(struct fixture *f, size_t at)
{
    struct entry_iterator *it = f->merged;
    uint64_t which = prng_below(&f->prng, 20);
    if (it->valid && which >= 4) {
        bool forward = which >= 12;
        (forward ? it->ops->next : it->ops->prev)(it);
        return forward ? at + 1 : at - 1;
    }
    if (which == 0) {
        it->ops->seek_first(it);
        return 0;
    }
    if (which == 1) {
        it->ops->seek_last(it);
        return f->all.count - 1;
    }
    uint8_t bytes[12 + ENTRY_TAG_BYTES];
    struct varve_slice key = random_key(&f->prng, bytes);
    fixed64_encode(bytes + key.size, entry_tag(prng_below(&f->prng, 62), ENTRY_KIND_SEEK));
    key.size += ENTRY_TAG_BYTES;
    it->ops->seek(it, key);
    return array_lower_bound(&f->all, key);
}

START_TEST(random_moves)
{
    const uint64_t stride = budget_choose(10, 3, 1);
    for (uint64_t seed = 1 + budget_offset(stride); seed <= 1000; seed += stride) {
        struct fixture f;
        set_up(&f, seed, false);
        size_t at = SIZE_MAX;
        for (int i = 0; i < 200; i++) {
            at = move(&f, at);
            assert_stands(f.merged, &f.all, at);
        }
        tear_down(&f);
    }
}
END_TEST

/* A failed child makes the whole fail, until a seek finds all children well again. */
START_TEST(failing_children)
{
    size_t failures = 0;
    const uint64_t stride = budget_choose(5, 1, 1);
    for (uint64_t seed = 1 + budget_offset(stride); seed <= 500; seed += stride) {
        struct fixture f;
        set_up(&f, seed, true);
        size_t at = SIZE_MAX;
        f.fail_after = prng_below(&f.prng, 100);
        bool failed = false;
        for (int i = 0; i < 100; i++) {
            at = move(&f, at);
            if (f.fail_after == 0 || failed) {
                /* nothing valid is shown while it fails */
                if (f.merged->status == VARVE_IO) {
                    ck_assert(!f.merged->valid);
                    failures++;
                    failed = true;
                    f.fail_after = UINT64_MAX;
                    f.merged->ops->seek_first(f.merged);
                    at = 0;
                }
            }
            assert_stands(f.merged, &f.all, at);
        }
        tear_down(&f);
    }
    ck_assert_uint_gt(failures, 300 / stride);
}
END_TEST

/* A failed seek of any one child, also while all others stand on entries. */
START_TEST(each_child_failing_a_seek)
{
    struct array parts[5] = {{0}};
    struct entry_iterator *children[5];
    uint64_t fail_after[5];
    for (size_t i = 0; i < 5; i++) {
        char key = (char)('a' + i);
        array_add(&parts[i], varve_slice(&key, 1), entry_tag(1, ENTRY_PUT), varve_slice(NULL, 0));
        fail_after[i] = UINT64_MAX;
        children[i] = array_iterator_new(&parts[i], NULL, &fail_after[i]);
    }
    struct entry_iterator *it = NULL;
    ck_assert_int_eq(merge_iterator_new(children, 5, &it), VARVE_OK);
    for (size_t i = 0; i < 5; i++) {
        fail_after[i] = 0;
        it->ops->seek_first(it);
        ck_assert(!it->valid);
        ck_assert_int_eq(it->status, VARVE_IO);
        fail_after[i] = 0;
        it->ops->seek_last(it);
        ck_assert_int_eq(it->status, VARVE_IO);
        fail_after[i] = UINT64_MAX;
        it->ops->seek_last(it);
        ck_assert(it->valid);
        ck_assert_int_eq(it->status, VARVE_OK);
    }
    entry_iterator_free(it);
    for (size_t i = 0; i < 5; i++)
        array_deinit(&parts[i]);
}
END_TEST

START_TEST(none_and_one)
{
    struct entry_iterator *it = NULL;
    ck_assert_int_eq(merge_iterator_new(NULL, 0, &it), VARVE_OK);
    it->ops->seek_first(it);
    ck_assert(!it->valid);
    ck_assert_int_eq(it->status, VARVE_OK);
    entry_iterator_free(it);

    struct array array = {0};
    struct entry_iterator *child = array_iterator_new(&array, NULL, NULL);
    ck_assert_int_eq(merge_iterator_new(&child, 1, &it), VARVE_OK);
    ck_assert_ptr_eq(it, child);
    entry_iterator_free(it);
}
END_TEST

/* A pass forward moves each child once an entry. */
START_TEST(forward_moves_once)
{
    struct fixture f;
    set_up(&f, 11, false);
    f.moves = 0;
    size_t entries = 0;
    for (f.merged->ops->seek_first(f.merged); f.merged->valid; f.merged->ops->next(f.merged))
        entries++;
    ck_assert_uint_eq(entries, f.all.count);
    ck_assert_uint_eq(f.moves, f.all.count + f.count);
    tear_down(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merge_iterator");
    TCase *tests = tcase_create("merge_iterator");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, random_moves);
    tcase_add_test(tests, failing_children);
    tcase_add_test(tests, each_child_failing_a_seek);
    tcase_add_test(tests, none_and_one);
    tcase_add_test(tests, forward_moves_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
