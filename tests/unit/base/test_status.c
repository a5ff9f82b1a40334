/* Every status has a name, a text and an HTTP status; errors carry what a person needs. And the
 * hash, which is part of the format on disk, stays what it is. */
#include <check.h>
#include <string.h>

#include "base/hash.h"
#include "base/status.h"
#include "run_suite.h"

START_TEST(every_status_is_described)
{
#define CHECK_STATUS(name, number, text, http)                                                     \
    ck_assert_int_eq(VARVE_##name, number);                                                        \
    ck_assert_str_eq(varve_status_name(VARVE_##name), #name);                                      \
    ck_assert_str_eq(varve_status_text(VARVE_##name), text);                                       \
    ck_assert_int_eq(varve_status_http(VARVE_##name), http);
    VARVE_STATUS_MAP(CHECK_STATUS)
#undef CHECK_STATUS
    ck_assert_str_eq(varve_status_name((enum varve_status)99), "UNKNOWN");
    ck_assert_str_eq(varve_status_text((enum varve_status)99), "unknown status");
    ck_assert_int_eq(varve_status_http((enum varve_status)99), 500);
    ck_assert(status_failed(VARVE_IO));
    ck_assert(!status_failed(VARVE_OK) && !status_failed(VARVE_NOT_FOUND));
}
END_TEST

START_TEST(errors_are_filled)
{
    struct varve_error error = {0};
    ck_assert_int_eq(error_set(&error, VARVE_CORRUPT, "a/b", 17, "bad %s", "block"), VARVE_CORRUPT);
    ck_assert_int_eq(error.status, VARVE_CORRUPT);
    ck_assert_uint_eq(error.offset, 17);
    ck_assert_str_eq(error.path, "a/b");
    ck_assert_str_eq(error.text, "bad block");
    ck_assert_int_eq(error_set(&error, VARVE_IO, NULL, STATUS_NO_OFFSET, "%600s", "x"), VARVE_IO);
    ck_assert_str_eq(error.path, "");
    ck_assert_uint_eq(strlen(error.text), sizeof error.text - 1);
    ck_assert_int_eq(error_set(NULL, VARVE_IO, NULL, 0, "x"), VARVE_IO);
    ck_assert_int_eq(status_raise(VARVE_BUSY), VARVE_BUSY);
}
END_TEST

/* XXH3's value for no bytes at all is published; the others were computed once, with libxxhash. */
START_TEST(hash_is_xxh3)
{
    ck_assert_uint_eq(hash_bytes("", 0), 0x2d06800538d394c2ull);
    ck_assert_uint_eq(hash_slice(varve_slice("varve", 5)), hash_bytes("varve", 5));
    ck_assert_uint_eq(hash_bytes("varve", 5), 0xc64e3d9268dd4f6full);
    ck_assert_uint_ne(hash_bytes("varve", 5), hash_bytes("varvf", 5));
}
END_TEST

START_TEST(mix_spreads_bits)
{
    ck_assert_uint_eq(hash_mix(0), 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t changed = hash_mix(12345) ^ hash_mix(12345 ^ ((uint64_t)1 << bit));
        int count = __builtin_popcountll(changed);
        ck_assert(count > 12 && count < 52);
    }
}
END_TEST

static Suite *status_suite(void)
{
    Suite *suite = suite_create("status");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, every_status_is_described);
    tcase_add_test(tcase, errors_are_filled);
    tcase_add_test(tcase, hash_is_xxh3);
    tcase_add_test(tcase, mix_spreads_bits);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(status_suite());
}
