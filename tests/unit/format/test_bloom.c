/* The filter: never a false negative, few false positives, strangers refused. */
#include "format/bloom.h"

#include <stdlib.h>

#include "base/hash.h"
#include "support.h"

#define KEYS 200000u

static uint64_t key_hash(uint64_t i)
{
    return hash_bytes(&i, sizeof i);
}

/* False positives in a filter over `count` keys, among as many others. */
static double false_rate(size_t count, size_t bits_per_key)
{
    uint64_t *hashes = malloc(count * sizeof *hashes);
    ck_assert_ptr_nonnull(hashes);
    for (size_t i = 0; i < count; i++)
        hashes[i] = key_hash(i);
    struct buf filter = {0};
    ck_ok(bloom_build(hashes, count, bits_per_key, &filter));
    struct varve_slice slice = buf_slice(&filter);
    ck_assert(bloom_is_valid(slice));
    size_t missing = 0, wrong = 0;
    for (size_t i = 0; i < count; i++)
        missing += !bloom_may_contain(slice, hashes[i]);
    ck_assert_uint_eq(missing, 0);
    for (size_t i = 0; i < KEYS; i++) {
        bloom_prefetch(slice, key_hash(count + i));
        wrong += bloom_may_contain(slice, key_hash(count + i));
    }
    buf_deinit(&filter);
    free(hashes);
    return (double)wrong / KEYS;
}

START_TEST(rate_at_ten_bits)
{
    double rate = false_rate(KEYS, 10);
    ck_assert_msg(rate <= 0.01, "%.4f", rate);
    ck_assert_msg(rate > 0.001, "%.4f", rate);
}
END_TEST

START_TEST(rates_fall_with_bits)
{
    static const struct {
        size_t bits;
        double most;
    } cases[] = {{1, 0.75}, {4, 0.17}, {7, 0.05}, {14, 0.002}, {20, 0.0004}, {32, 0.0003}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double rate = false_rate(KEYS / 4, cases[i].bits);
        ck_assert_msg(rate <= cases[i].most, "%zu bits: %.5f", cases[i].bits, rate);
    }
}
END_TEST

START_TEST(small_ones)
{
    struct buf filter = {0};
    ck_ok(bloom_build(NULL, 0, 10, &filter));
    ck_assert_uint_eq(filter.size, 66);
    ck_assert(bloom_is_valid(buf_slice(&filter)));
    ck_assert(!bloom_may_contain(buf_slice(&filter), key_hash(1)));
    buf_deinit(&filter);
    const uint64_t twice[] = {key_hash(5), key_hash(5)};
    ck_ok(bloom_build(twice, 2, 10, &filter));
    ck_assert(bloom_may_contain(buf_slice(&filter), key_hash(5)));
    ck_assert(!bloom_may_contain(buf_slice(&filter), key_hash(6)));
    buf_deinit(&filter);
}
END_TEST

START_TEST(appends)
{
    struct buf out = {0};
    const uint64_t hash = key_hash(7);
    ck_ok(buf_append_byte(&out, 'x'));
    ck_ok(bloom_build(&hash, 1, 10, &out));
    ck_assert_uint_eq(out.size, 67);
    ck_assert_uint_eq(out.data[0], 'x');
    ck_assert(bloom_may_contain(varve_slice(out.data + 1, 66), hash));
    buf_deinit(&out);
}
END_TEST

START_TEST(shapes)
{
    struct buf filter = {0};
    ck_ok(bloom_build(NULL, 0, 10, &filter));
    for (size_t size = 0; size < filter.size; size++)
        ck_assert(!bloom_is_valid(varve_slice(filter.data, size)));
    uint8_t *probes = filter.data + 64, *layout = filter.data + 65;
    *probes = 0;
    ck_assert(!bloom_is_valid(buf_slice(&filter)));
    *probes = 15;
    ck_assert(!bloom_is_valid(buf_slice(&filter)));
    *probes = 14;
    ck_assert(bloom_is_valid(buf_slice(&filter)));
    *layout = 2;
    ck_assert(!bloom_is_valid(buf_slice(&filter)));
    buf_deinit(&filter);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"rate_at_ten_bits", rate_at_ten_bits},
        {"rates_fall_with_bits", rates_fall_with_bits},
        {"small_ones", small_ones},
        {"appends", appends},
        {"shapes", shapes},
    };
    return SUPPORT_RUN("bloom", tests);
}
