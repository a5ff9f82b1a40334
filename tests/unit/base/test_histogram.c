/* Percentiles within a bucket's width of the truth, at every magnitude and from many threads. */
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "base/histogram.h"
#include "prng.h"
#include "run_suite.h"

static struct histogram h;

static void setup(void)
{
    memset(&h, 0, sizeof h);
}

START_TEST(empty_histogram)
{
    ck_assert_uint_eq(histogram_percentile(&h, 50), 0);
    ck_assert_uint_eq(histogram_count_up_to(&h, UINT64_MAX), 0);
}
END_TEST

START_TEST(small_values_are_exact)
{
    for (uint64_t v = 1; v <= 20; v++)
        histogram_record(&h, v);
    ck_assert_uint_eq(histogram_percentile(&h, 0), 1);
    ck_assert_uint_eq(histogram_percentile(&h, 5), 1);
    ck_assert_uint_eq(histogram_percentile(&h, 50), 10);
    ck_assert_uint_eq(histogram_percentile(&h, 51), 11);
    ck_assert_uint_eq(histogram_percentile(&h, 100), 20);
    for (uint64_t v = 0; v <= 20; v++)
        ck_assert_uint_eq(histogram_count_up_to(&h, v), v);
    ck_assert_uint_eq(h.count, 20);
    ck_assert_uint_eq(h.sum, 210);
}
END_TEST

START_TEST(percentiles_are_within_a_bucket)
{
    for (uint64_t v = 1; v <= 100000; v++)
        histogram_record(&h, v);
    static const double percents[] = {0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100};
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        double truth = percents[i] * 1000;
        double seen = (double)histogram_percentile(&h, percents[i]);
        ck_assert_double_ge(seen, truth - 0.5);
        ck_assert_double_le(seen, truth * 1.032);
    }
    for (uint64_t bound = 1; bound <= 100000; bound += 777) {
        uint64_t seen = histogram_count_up_to(&h, bound);
        ck_assert_uint_ge(seen, bound);
        ck_assert_uint_le((double)seen, (double)bound * 1.032);
    }
}
END_TEST

/* One value alone is its own every percentile, and lies at, but not below, its bucket. */
START_TEST(every_magnitude_has_its_bucket)
{
    for (unsigned shift = 0; shift < 64; shift++) {
        for (int step = -1; step <= 1; step++) {
            uint64_t v = ((uint64_t)1 << shift) + (uint64_t)step;
            setup();
            histogram_record(&h, v);
            ck_assert_uint_eq(histogram_percentile(&h, 50), v);
            ck_assert_uint_eq(histogram_count_up_to(&h, v), 1);
            ck_assert_uint_eq(histogram_count_up_to(&h, UINT64_MAX), 1);
            ck_assert_uint_eq(histogram_count_up_to(&h, v / 2), v == 0);
        }
    }
    setup();
    histogram_record(&h, UINT64_MAX);
    ck_assert_uint_eq(histogram_percentile(&h, 99), UINT64_MAX);
}
END_TEST

START_TEST(merging_adds)
{
    static struct histogram other;
    memset(&other, 0, sizeof other);
    histogram_record(&h, 1);
    histogram_record(&h, 1000);
    histogram_record(&other, 2);
    histogram_record(&other, 70000);
    histogram_merge(&h, &other);
    ck_assert_uint_eq(h.count, 4);
    ck_assert_uint_eq(h.sum, 71003);
    ck_assert_uint_eq(h.max, 70000);
    ck_assert_uint_eq(histogram_percentile(&h, 50), 2);
    ck_assert_uint_eq(histogram_percentile(&h, 100), 70000);
    ck_assert_uint_eq(other.count, 2);
}
END_TEST

#define THREADS 4
#define RECORDS 20000

static void *record_many(void *context)
{
    struct prng prng = prng_make((uint64_t)(uintptr_t)context);
    for (unsigned i = 0; i < RECORDS; i++)
        histogram_record(&h, prng_next(&prng) >> 40);
    return NULL;
}

START_TEST(nothing_is_lost_between_threads)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, record_many, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    uint64_t sum = 0, max = 0;
    for (uint64_t i = 0; i < THREADS; i++) {
        struct prng prng = prng_make(i);
        for (unsigned k = 0; k < RECORDS; k++) {
            uint64_t v = prng_next(&prng) >> 40;
            sum += v;
            max = v > max ? v : max;
        }
    }
    ck_assert_uint_eq(h.count, THREADS * RECORDS);
    ck_assert_uint_eq(h.sum, sum);
    ck_assert_uint_eq(h.max, max);
    ck_assert_uint_eq(histogram_count_up_to(&h, UINT64_MAX), THREADS * RECORDS);
}
END_TEST

static Suite *histogram_suite(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, empty_histogram);
    tcase_add_test(tcase, small_values_are_exact);
    tcase_add_test(tcase, percentiles_are_within_a_bucket);
    tcase_add_test(tcase, every_magnitude_has_its_bucket);
    tcase_add_test(tcase, merging_adds);
    tcase_add_test(tcase, nothing_is_lost_between_threads);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(histogram_suite());
}
