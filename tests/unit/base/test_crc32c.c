/* The published vectors, and the hardware form against the portable one. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "prng.h"
#include "run_suite.h"

#define SAMPLE_BYTES 20000

static uint8_t sample[SAMPLE_BYTES];

static void fill_sample(void)
{
    struct prng prng = prng_make(11);
    prng_bytes(&prng, sample, sizeof sample);
}

static void check_vector(const void *data, size_t size, uint32_t crc)
{
    ck_assert_uint_eq(crc32c_extend(0, data, size), crc);
    ck_assert_uint_eq(crc32c_extend_software(0, data, size), crc);
}

/* RFC 3720, appendix B.4, and the customary check value. */
START_TEST(known_vectors)
{
    uint8_t bytes[32];
    check_vector("", 0, 0);
    check_vector("123456789", 9, 0xe3069283);
    check_vector("a", 1, 0xc1d04330);
    memset(bytes, 0, sizeof bytes);
    check_vector(bytes, sizeof bytes, 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    check_vector(bytes, sizeof bytes, 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    check_vector(bytes, sizeof bytes, 0x46dd794e);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(31 - i);
    check_vector(bytes, sizeof bytes, 0x113fdb5c);
}
END_TEST

START_TEST(both_forms_agree_at_every_alignment_and_length)
{
    fill_sample();
    for (size_t size = 0; size < 1100; size++) {
        for (size_t offset = 0; offset < 8; offset++)
            ck_assert_uint_eq(crc32c_extend((uint32_t)size, sample + offset, size),
                              crc32c_extend_software((uint32_t)size, sample + offset, size));
    }
    for (size_t size = 4000; size < SAMPLE_BYTES - 8; size += 61) {
        size_t offset = size % 8;
        ck_assert_uint_eq(crc32c_extend(0, sample + offset, size),
                          crc32c_extend_software(0, sample + offset, size));
    }
}
END_TEST

START_TEST(pieces_give_the_crc_of_the_whole)
{
    fill_sample();
    uint32_t whole = crc32c_extend(0, sample, sizeof sample);
    for (size_t cut = 0; cut < sizeof sample; cut += 173) {
        uint32_t crc = crc32c_extend(0, sample, cut);
        ck_assert_uint_eq(crc32c_extend(crc, sample + cut, sizeof sample - cut), whole);
    }
}
END_TEST

START_TEST(every_bit_counts)
{
    fill_sample();
    uint32_t crc = crc32c_extend(0, sample, 5000);
    for (size_t bit = 0; bit < 5000 * 8; bit += 37) {
        sample[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ck_assert_uint_ne(crc32c_extend(0, sample, 5000), crc);
        sample[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}
END_TEST

START_TEST(mask_is_undone)
{
    uint32_t crc = crc32c_extend(0, "varve", 5);
    ck_assert_uint_ne(crc32c_mask(crc), crc);
    ck_assert_uint_eq(crc32c_unmask(crc32c_mask(crc)), crc);
    ck_assert_uint_eq(crc32c_unmask(crc32c_mask(0)), 0);
}
END_TEST

/* Last, as it cannot be undone. */
START_TEST(software_serves_on_demand)
{
    fill_sample();
    uint32_t before = crc32c_extend(0, sample, sizeof sample);
    crc32c_use_software();
    ck_assert_uint_eq(crc32c_extend(0, sample, sizeof sample), before);
}
END_TEST

static Suite *crc32c_suite(void)
{
    Suite *suite = suite_create("crc32c");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, known_vectors);
    tcase_add_test(tcase, both_forms_agree_at_every_alignment_and_length);
    tcase_add_test(tcase, pieces_give_the_crc_of_the_whole);
    tcase_add_test(tcase, every_bit_counts);
    tcase_add_test(tcase, mask_is_undone);
    tcase_add_test(tcase, software_serves_on_demand);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(crc32c_suite());
}
