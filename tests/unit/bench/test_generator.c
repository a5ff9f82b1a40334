/* Keys and values follow from the seed alone, and the permutation visits each number once. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "programs/bench/generator.h"
#include "programs/bench/zipfian.h"
#include "run_suite.h"

static struct value_pool pool;
static struct generator generator;

static void make_generator(size_t key_bytes, size_t value_bytes)
{
    ck_assert_int_eq(value_pool_init(&pool, value_bytes, 1), VARVE_OK);
    ck_assert_int_eq(generator_init(&generator, &pool, key_bytes, value_bytes, random_make(1, 2)),
                     VARVE_OK);
}

static void teardown(void)
{
    generator_deinit(&generator);
    value_pool_deinit(&pool);
}

START_TEST(permutation_visits_each_number_once)
{
    static const uint64_t nums[] = {1, 2, 3, 4, 5, 7, 8, 9, 100, 1000, 1023, 1024, 1025, 100003};
    for (size_t i = 0; i < sizeof nums / sizeof nums[0]; i++) {
        struct permutation permutation = permutation_make(nums[i], 7);
        uint8_t *seen = calloc(1, nums[i]);
        ck_assert_ptr_nonnull(seen);
        for (uint64_t place = 0; place < nums[i]; place++) {
            uint64_t number = permutation_at(&permutation, place);
            ck_assert_uint_lt(number, nums[i]);
            ck_assert_uint_eq(seen[number], 0);
            seen[number] = 1;
        }
        free(seen);
    }
}
END_TEST

/* Neighbours are spread as in a random order: about half of the steps go down, the mean step is
 * about a third of the range, and hardly any number keeps its place. */
START_TEST(permutation_has_no_order)
{
    enum { NUM = 100000 };
    struct permutation permutation = permutation_make(NUM, 1);
    uint64_t down = 0, kept = 0;
    double distance = 0;
    uint64_t last = permutation_at(&permutation, 0);
    for (uint64_t place = 1; place < NUM; place++) {
        uint64_t number = permutation_at(&permutation, place);
        down += number < last;
        kept += number == place;
        distance += number < last ? (double)(last - number) : (double)(number - last);
        last = number;
    }
    ck_assert_uint_gt(down, NUM * 45 / 100);
    ck_assert_uint_lt(down, NUM * 55 / 100);
    ck_assert_uint_lt(kept, 20);
    ck_assert_double_gt(distance / NUM, NUM * 0.30);
    ck_assert_double_lt(distance / NUM, NUM * 0.37);
}
END_TEST

START_TEST(permutation_depends_on_the_seed)
{
    struct permutation one = permutation_make(1000, 1), two = permutation_make(1000, 2);
    uint64_t same = 0;
    for (uint64_t place = 0; place < 1000; place++)
        same += permutation_at(&one, place) == permutation_at(&two, place);
    ck_assert_uint_lt(same, 20);
}
END_TEST

START_TEST(random_below_reaches_all_evenly)
{
    struct random random = random_make(3, 4);
    unsigned counts[10] = {0};
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t number = random_below(&random, 10);
        ck_assert_uint_lt(number, 10);
        counts[number]++;
    }
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_gt(counts[i], 850);
        ck_assert_uint_lt(counts[i], 1150);
    }
}
END_TEST

START_TEST(keys_are_padded_decimals)
{
    make_generator(16, 100);
    struct varve_slice key = generator_key(&generator, 1234567);
    ck_assert_uint_eq(key.size, 16);
    ck_assert_mem_eq(key.data, "0000000001234567", 16);
    key = generator_key(&generator, 0);
    ck_assert_mem_eq(key.data, "0000000000000000", 16);
    key = generator_missing_key(&generator, 42);
    ck_assert_uint_eq(key.size, 17);
    ck_assert_mem_eq(key.data, "0000000000000042.", 17);
    key = generator_key(&generator, 43);
    ck_assert_uint_eq(key.size, 16);
    ck_assert_mem_eq(key.data, "0000000000000043", 16);
}
END_TEST

START_TEST(keys_tell_their_number)
{
    static const struct {
        const char *key;
        bool is_one;
        uint64_t number;
    } cases[] = {
        {"0000", true, 0},  {"0042", true, 42}, {"0999", true, 999}, {"1000", false, 0},
        {"9999", false, 0}, {"042", false, 0},  {"00042", false, 0}, {"004.", false, 0},
        {"/042", false, 0}, {"", false, 0},
    };
    const struct generator four_digits = {.key_bytes = 4};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t number = UINT64_MAX;
        bool is_one =
            generator_key_number(&four_digits, varve_slice_str(cases[i].key), 1000, &number);
        ck_assert_msg(is_one == cases[i].is_one, "%s", cases[i].key);
        ck_assert_msg(number == (is_one ? cases[i].number : UINT64_MAX), "%s", cases[i].key);
    }
}
END_TEST

START_TEST(keys_may_have_no_room_for_zeros)
{
    make_generator(3, 0);
    struct varve_slice key = generator_key(&generator, 999);
    ck_assert_uint_eq(key.size, 3);
    ck_assert_mem_eq(key.data, "999", 3);
}
END_TEST

START_TEST(values_belong_to_their_number)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 100, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        make_generator(16, sizes[i]);
        struct varve_slice value = generator_value(&generator, 77);
        ck_assert_uint_eq(value.size, sizes[i]);
        ck_assert(generator_owns_value(&generator, 77, value));
        ck_assert_int_eq(generator_owns_value(&generator, 78, value), sizes[i] == 0);
        ck_assert(!generator_owns_value(&generator, 77, varve_slice(value.data, value.size + 1)));
        teardown();
    }
}
END_TEST

/* Two generators of one seed make the same, and the bytes behind the number are not always the
 * same ones. */
START_TEST(values_follow_from_the_seed)
{
    make_generator(16, 100);
    struct generator other = {0};
    ck_assert_int_eq(generator_init(&other, &pool, 16, 100, random_make(1, 2)), VARVE_OK);
    uint8_t first[100];
    memcpy(first, generator_value(&generator, 5).data, sizeof first);
    ck_assert_mem_eq(generator_value(&other, 5).data, first, sizeof first);
    ck_assert_mem_ne(generator_value(&generator, 5).data, first, sizeof first);
    generator_deinit(&other);
}
END_TEST

START_TEST(values_are_half_repetition)
{
    make_generator(16, 100);
    ck_assert_uint_ge(pool.cuts, (size_t)1 << 19);
    size_t repeated = 0;
    for (size_t at = 0; at < pool.cuts - 64; at += 64)
        repeated += memcmp(pool.data + at, pool.data + at + 32, 32) == 0 &&
                    memcmp(pool.data + at, pool.data + at + 64, 32) != 0;
    ck_assert_uint_eq(repeated, (pool.cuts - 64 + 63) / 64);
}
END_TEST

START_TEST(sets_know_their_members)
{
    struct key_set set = {0};
    struct random random = random_make(1, 1);
    ck_assert_int_eq(key_set_init(&set, 200), VARVE_OK);
    static const uint64_t members[] = {3, 63, 64, 190};
    for (size_t i = 0; i < 4; i++) {
        key_set_add(&set, members[i]);
        key_set_add(&set, members[i]);
    }
    ck_assert_uint_eq(set.count, 4);
    unsigned counts[200] = {0};
    for (unsigned i = 0; i < 2000; i++)
        counts[key_set_draw(&set, &random)]++;
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_gt(counts[members[i]], 0);
    ck_assert_uint_eq(counts[3] + counts[63] + counts[64] + counts[190], 2000);
    key_set_clear(&set);
    ck_assert_uint_eq(set.count, 0);
    key_set_add(&set, 199);
    for (unsigned i = 0; i < 200; i++)
        ck_assert_uint_eq(key_set_draw(&set, &random), 199);
    key_set_deinit(&set);
}
END_TEST

START_TEST(full_sets_have_no_member_beyond_the_end)
{
    for (uint64_t num = 1; num < 200; num++) {
        struct key_set all = {0}, added = {0};
        ck_assert_int_eq(key_set_init(&all, num), VARVE_OK);
        ck_assert_int_eq(key_set_init(&added, num), VARVE_OK);
        key_set_add_all(&all);
        for (uint64_t number = 0; number < num; number++)
            key_set_add(&added, number);
        ck_assert_uint_eq(all.count, added.count);
        ck_assert_mem_eq(all.words, added.words, (num + 63) / 64 * 8);
        key_set_deinit(&all);
        key_set_deinit(&added);
    }
}
END_TEST

START_TEST(sets_grow)
{
    struct key_set set = {0};
    ck_assert_int_eq(key_set_init(&set, 10), VARVE_OK);
    key_set_add_all(&set);
    ck_assert_int_eq(key_set_grow(&set, 1000), VARVE_OK);
    ck_assert_uint_eq(set.num, 1000);
    ck_assert_uint_eq(set.count, 10);
    ck_assert_uint_eq(key_set_from(&set, 10), 0);
    key_set_add(&set, 999);
    ck_assert_uint_eq(key_set_from(&set, 10), 999);
    key_set_clear(&set);
    ck_assert_uint_eq(set.num, 10);
    ck_assert_uint_eq(set.count, 0);
    ck_assert_int_eq(key_set_grow(&set, 1000), VARVE_OK);
    key_set_add(&set, 5);
    ck_assert_uint_eq(key_set_from(&set, 10), 5);
    key_set_deinit(&set);
}
END_TEST

START_TEST(long_sums_are_near_enough)
{
    double sum = 0;
    uint64_t i = 1;
    for (; i <= 200000; i++) {
        sum += pow((double)i, -ZIPFIAN_SKEW);
        if (i == 1 || i == 2 || i == 9999 || i == 10000 || i == 10001 || i == 200000)
            ck_assert_double_eq_tol(zipfian_zeta(i), sum, sum * 1e-8);
    }
}
END_TEST

/* The first two ranks come as often as they should, those behind nearly; half of all draws fall to
 * few ranks, and the last ones are reached. */
START_TEST(few_ranks_are_drawn_often)
{
    enum { RANKS = 1000, DRAWS = 200000 };
    static unsigned counts[RANKS];
    struct zipfian zipfian = zipfian_make(RANKS);
    struct random random = random_make(1, 1);
    memset(counts, 0, sizeof counts);
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t rank = zipfian_draw(&zipfian, &random);
        ck_assert_uint_lt(rank, RANKS);
        counts[rank]++;
    }
    double zeta = zipfian_zeta(RANKS);
    double seen = 0;
    for (unsigned rank = 0; rank < RANKS; rank++) {
        seen += counts[rank];
        double wanted = DRAWS * zipfian_zeta(rank + 1) / zeta;
        ck_assert_double_eq_tol(seen, wanted, rank < 2 ? DRAWS * 0.005 : DRAWS * 0.03);
    }
    ck_assert_uint_gt(counts[0], counts[1] * 3 / 2);
    ck_assert_uint_gt(counts[RANKS - 1] + counts[RANKS - 2] + counts[RANKS - 3], 0);
}
END_TEST

START_TEST(few_numbers_have_ranks_too)
{
    struct random random = random_make(1, 1);
    for (uint64_t num = 1; num <= 5; num++) {
        struct zipfian zipfian = zipfian_make(num);
        unsigned counts[5] = {0};
        for (unsigned i = 0; i < 1000; i++) {
            uint64_t rank = zipfian_draw(&zipfian, &random);
            ck_assert_uint_lt(rank, num);
            counts[rank]++;
        }
        for (uint64_t rank = 0; rank < num; rank++)
            ck_assert_uint_gt(counts[rank], 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench-generator");
    TCase *tcase = tcase_create("generator");
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, permutation_visits_each_number_once);
    tcase_add_test(tcase, permutation_has_no_order);
    tcase_add_test(tcase, permutation_depends_on_the_seed);
    tcase_add_test(tcase, random_below_reaches_all_evenly);
    tcase_add_test(tcase, keys_are_padded_decimals);
    tcase_add_test(tcase, keys_tell_their_number);
    tcase_add_test(tcase, keys_may_have_no_room_for_zeros);
    tcase_add_test(tcase, values_belong_to_their_number);
    tcase_add_test(tcase, values_follow_from_the_seed);
    tcase_add_test(tcase, values_are_half_repetition);
    tcase_add_test(tcase, sets_know_their_members);
    tcase_add_test(tcase, full_sets_have_no_member_beyond_the_end);
    tcase_add_test(tcase, sets_grow);
    tcase_add_test(tcase, long_sums_are_near_enough);
    tcase_add_test(tcase, few_ranks_are_drawn_often);
    tcase_add_test(tcase, few_numbers_have_ranks_too);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
