/* The model that other tests trust, against plain arrays. */
#include <check.h>
#include <string.h>

#include "model.h"
#include "prng.h"
#include "run_suite.h"

#define KEYS 256

static struct varve_slice byte_slice(const uint8_t *byte)
{
    return varve_slice(byte, 1);
}

START_TEST(model_agrees_with_an_array)
{
    struct model model = {0}, copy = {0};
    struct prng prng = prng_make(7);
    uint64_t revisions[KEYS] = {0}; /* 0: absent */
    for (uint64_t step = 1; step < 5000; step++) {
        uint8_t key = (uint8_t)prng_next(&prng);
        if (prng_chance(&prng, 60)) {
            model_put(&model, byte_slice(&key), varve_slice(&step, sizeof step), step);
            revisions[key] = step;
        } else {
            ck_assert(model_delete(&model, byte_slice(&key)) == (revisions[key] != 0));
            revisions[key] = 0;
        }
    }
    size_t at = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        uint8_t key = (uint8_t)i;
        const struct model_entry *entry = model_get(&model, byte_slice(&key));
        ck_assert((entry != NULL) == (revisions[i] != 0));
        ck_assert_uint_eq(model_seek(&model, byte_slice(&key)), at);
        if (entry == NULL)
            continue;
        ck_assert_ptr_eq(entry, model.entries[at++]);
        ck_assert_uint_eq(entry->revision, revisions[i]);
        ck_assert_uint_eq(entry->value.size, sizeof(uint64_t));
        ck_assert_mem_eq(entry->value.data, &revisions[i], sizeof(uint64_t));
    }
    ck_assert_uint_eq(at, model.count);
    model_clone(&model, &copy);
    ck_assert(model_equal(&model, &copy, true));
    model_deinit(&copy);
    model_deinit(&model);
}
END_TEST

START_TEST(models_differ_by_key_value_or_revision)
{
    struct model model = {0}, other = {0};
    struct varve_slice key = varve_slice("k", 1), value = varve_slice("v", 1);
    ck_assert(model_equal(&model, &other, true));
    model_put(&model, key, value, 1);
    ck_assert(!model_equal(&model, &other, true));
    model_put(&other, key, value, 2);
    ck_assert(!model_equal(&model, &other, true));
    ck_assert(model_equal(&model, &other, false));
    model_put(&other, key, varve_slice(NULL, 0), 1);
    ck_assert(!model_equal(&model, &other, false));
    ck_assert(model_delete(&other, key));
    model_put(&other, varve_slice("l", 1), value, 1);
    ck_assert(!model_equal(&model, &other, false));
    model_deinit(&model);
    model_deinit(&other);
}
END_TEST

START_TEST(prng_repeats_and_stays_in_range)
{
    struct prng a = prng_make(3), b = prng_make(3), c = prng_make(4);
    bool differs = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t number = prng_next(&a);
        ck_assert_uint_eq(number, prng_next(&b));
        differs |= number != prng_next(&c);
        uint64_t between = prng_between(&a, 5, 7);
        ck_assert(between >= 5 && between <= 7);
        prng_next(&b);
    }
    ck_assert(differs);
    ck_assert(!prng_chance(&a, 0));
    ck_assert(prng_chance(&a, 100));
}
END_TEST

static Suite *model_suite(void)
{
    Suite *suite = suite_create("model");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, model_agrees_with_an_array);
    tcase_add_test(tcase, models_differ_by_key_value_or_revision);
    tcase_add_test(tcase, prng_repeats_and_stays_in_range);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(model_suite());
}
