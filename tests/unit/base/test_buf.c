/* A buf keeps what it holds through growth, and refuses sizes that cannot be. */
#include <check.h>
#include <string.h>

#include "base/buf.h"
#include "must.h"
#include "run_suite.h"

START_TEST(content_survives_growth)
{
    struct buf buf = {0};
    size_t moves = 0, capacity = 0;
    for (unsigned i = 0; i < 100000; i++) {
        ck_assert_int_eq(buf_append_byte(&buf, (uint8_t)(i * 31)), VARVE_OK);
        if (buf.capacity != capacity) {
            ck_assert_uint_ge(buf.capacity, capacity + capacity / 2);
            capacity = buf.capacity;
            moves++;
        }
    }
    ck_assert_uint_eq(buf.size, 100000);
    ck_assert_uint_lt(moves, 25);
    for (unsigned i = 0; i < 100000; i++)
        ck_assert_uint_eq(buf.data[i], (uint8_t)(i * 31));
    buf_clear(&buf);
    ck_assert_uint_eq(buf.size, 0);
    ck_assert_uint_eq(buf.capacity, capacity);
    buf_deinit(&buf);
    ck_assert_ptr_null(buf.data);
    ck_assert_uint_eq(buf.capacity, 0);
    buf_deinit(&buf);
    buf_deinit(NULL);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    struct buf buf = {0};
    ck_assert_int_eq(buf_reserve(&buf, SIZE_MAX), VARVE_NO_MEMORY);
    ck_assert_ptr_null(buf.data);
    must_ok(buf_append(&buf, "abc", 3));
    struct buf before = buf;
    ck_assert_int_eq(buf_reserve(&buf, SIZE_MAX), VARVE_NO_MEMORY);
    ck_assert_int_eq(buf_reserve(&buf, SIZE_MAX - 2), VARVE_NO_MEMORY);
    ck_assert_int_eq(buf_append_zeros(&buf, SIZE_MAX / 2), VARVE_NO_MEMORY);
    ck_assert_int_eq(buf_append(&buf, "", SIZE_MAX - 3), VARVE_NO_MEMORY);
    ck_assert_int_eq(buf_assign(&buf, varve_slice("", SIZE_MAX)), VARVE_NO_MEMORY);
    ck_assert_mem_eq(&buf, &before, sizeof buf);
    ck_assert_mem_eq(buf.data, "abc", 3);
    buf_deinit(&buf);
}
END_TEST

START_TEST(all_ways_to_append)
{
    struct buf buf = {0};
    must_ok(buf_append(&buf, NULL, 0));
    ck_assert_ptr_null(buf.data);
    must_ok(buf_append_slice(&buf, varve_slice("ab", 2)));
    must_ok(buf_append_byte(&buf, 'c'));
    must_ok(buf_append_zeros(&buf, 2));
    must_ok(buf_append_format(&buf, "%d-%s", 42, "x"));
    ck_assert_uint_eq(buf.size, 9);
    ck_assert_mem_eq(buf.data,
                     "abc\0\0"
                     "42-x",
                     10); /* with the NUL behind it */
    buf_deinit(&buf);
}
END_TEST

START_TEST(long_formats_fit)
{
    struct buf buf = {0};
    for (int width = 0; width < 300; width++) {
        buf_clear(&buf);
        must_ok(buf_append_format(&buf, "%*s", width, ""));
        ck_assert_uint_eq(buf.size, (size_t)width);
        ck_assert_uint_gt(buf.capacity, buf.size);
        ck_assert_int_eq(buf.data[width], 0);
    }
    buf_deinit(&buf);
}
END_TEST

START_TEST(assign_replaces)
{
    struct buf buf = {0};
    must_ok(buf_assign(&buf, varve_slice("longer text", 11)));
    must_ok(buf_assign(&buf, varve_slice("short", 5)));
    ck_assert_uint_eq(buf.size, 5);
    ck_assert_mem_eq(buf.data, "short", 5);
    must_ok(buf_assign(&buf, varve_slice(buf.data + 1, 3))); /* a part of itself */
    ck_assert_mem_eq(buf.data, "hor", 3);
    char large[1000];
    memset(large, 'l', sizeof large);
    must_ok(buf_assign(&buf, varve_slice(large, sizeof large)));
    ck_assert_uint_eq(buf.size, sizeof large);
    ck_assert_mem_eq(buf.data, large, sizeof large);
    must_ok(buf_assign(&buf, varve_slice(NULL, 0)));
    ck_assert_uint_eq(buf.size, 0);
    buf_deinit(&buf);
}
END_TEST

static Suite *buf_suite(void)
{
    Suite *suite = suite_create("buf");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, content_survives_growth);
    tcase_add_test(tcase, impossible_sizes_are_refused);
    tcase_add_test(tcase, all_ways_to_append);
    tcase_add_test(tcase, long_formats_fit);
    tcase_add_test(tcase, assign_replaces);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(buf_suite());
}
