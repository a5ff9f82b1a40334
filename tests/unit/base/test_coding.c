/* Every integer comes back, every truncation and overflow is refused, nothing reads too far. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/coding.h"
#include "must.h"
#include "run_suite.h"

/* Around every power of two. */
#define EDGES (64 * 3)
static uint64_t edge(unsigned i)
{
    return ((uint64_t)1 << (i / 3)) + i % 3 - 1;
}

/* In a piece of memory of its own size, so that a checker sees a read beyond it. */
static uint8_t *exact_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    must(copy != NULL);
    memcpy(copy, bytes, size);
    return copy;
}

START_TEST(fixed_are_little_endian)
{
    uint8_t bytes[8];
    fixed64_encode(bytes, 0x0102030405060708ull);
    ck_assert_mem_eq(bytes, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    ck_assert_uint_eq(fixed64_decode(bytes), 0x0102030405060708ull);
    fixed32_encode(bytes, 0xa1b2c3d4u);
    ck_assert_mem_eq(bytes, "\xd4\xc3\xb2\xa1", 4);
    ck_assert_uint_eq(fixed32_decode(bytes), 0xa1b2c3d4u);
}
END_TEST

START_TEST(varint64_comes_back_and_truncations_do_not)
{
    for (unsigned i = 0; i < EDGES; i++) {
        uint64_t v = edge(i), back = 0;
        uint8_t bytes[VARINT64_BYTES_MAX];
        size_t size = (size_t)(varint64_encode(bytes, v) - bytes);
        ck_assert_uint_eq(size, varint64_size(v));
        for (size_t cut = 0; cut <= size; cut++) {
            uint8_t *copy = exact_copy(bytes, cut);
            const uint8_t *end = varint64_decode(copy, copy + cut, &back);
            if (cut < size) {
                ck_assert_ptr_null(end);
            } else {
                ck_assert_ptr_eq(end, copy + cut);
                ck_assert_uint_eq(back, v);
            }
            free(copy);
        }
    }
}
END_TEST

START_TEST(varint32_comes_back_and_truncations_do_not)
{
    for (unsigned i = 0; i < EDGES / 2; i++) {
        uint32_t v = (uint32_t)edge(i), back = 0;
        uint8_t bytes[VARINT32_BYTES_MAX];
        size_t size = (size_t)(varint32_encode(bytes, v) - bytes);
        ck_assert_uint_eq(size, varint64_size(v));
        for (size_t cut = 0; cut <= size; cut++) {
            uint8_t *copy = exact_copy(bytes, cut);
            const uint8_t *end = varint32_decode(copy, copy + cut, &back);
            ck_assert_ptr_eq(end, cut < size ? NULL : copy + cut);
            free(copy);
        }
        ck_assert_uint_eq(back, v);
    }
}
END_TEST

START_TEST(varints_too_wide_are_refused)
{
    static const uint8_t max64[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    static const uint8_t over64[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
    static const uint8_t long64[] = "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00";
    static const uint8_t max32[] = "\xff\xff\xff\xff\x0f";
    static const uint8_t over32[] = "\xff\xff\xff\xff\x1f";
    static const uint8_t long32[] = "\x80\x80\x80\x80\x80\x00";
    uint64_t v64 = 0;
    uint32_t v32 = 0;
    ck_assert_ptr_eq(varint64_decode(max64, max64 + 10, &v64), max64 + 10);
    ck_assert_uint_eq(v64, UINT64_MAX);
    ck_assert_ptr_null(varint64_decode(over64, over64 + 10, &v64));
    ck_assert_ptr_null(varint64_decode(long64, long64 + 11, &v64));
    ck_assert_ptr_eq(varint32_decode(max32, max32 + 5, &v32), max32 + 5);
    ck_assert_uint_eq(v32, UINT32_MAX);
    ck_assert_ptr_null(varint32_decode(over32, over32 + 5, &v32));
    ck_assert_ptr_null(varint32_decode(long32, long32 + 6, &v32));
    ck_assert_uint_eq(v32, UINT32_MAX); /* written only on success */
}
END_TEST

START_TEST(superfluous_bytes_are_taken)
{
    uint64_t v64 = 0;
    const uint8_t bytes[] = {0x85, 0x80, 0x00};
    ck_assert_ptr_eq(varint64_decode(bytes, bytes + 3, &v64), bytes + 3);
    ck_assert_uint_eq(v64, 5);
}
END_TEST

START_TEST(slices_are_taken_from_the_front)
{
    struct buf buf = {0};
    must_ok(buf_append_fixed32(&buf, 32));
    must_ok(buf_append_fixed64(&buf, 64));
    must_ok(buf_append_byte(&buf, 8));
    must_ok(buf_append_varint(&buf, 300));
    must_ok(buf_append_prefixed(&buf, varve_slice("hello", 5)));
    must_ok(buf_append_prefixed(&buf, varve_slice(NULL, 0)));
    must_ok(buf_append(&buf, "xyz", 3));
    ck_assert_uint_eq(buf.size, 4 + 8 + 1 + 2 + 6 + 1 + 3);
    struct varve_slice in = buf_slice(&buf), bytes = {0};
    uint32_t v32 = 0;
    uint64_t v64 = 0;
    uint8_t v8 = 0;
    ck_assert(slice_take_fixed32(&in, &v32) && v32 == 32);
    ck_assert(slice_take_fixed64(&in, &v64) && v64 == 64);
    ck_assert(slice_take_byte(&in, &v8) && v8 == 8);
    ck_assert(slice_take_varint(&in, &v64) && v64 == 300);
    ck_assert(slice_take_prefixed(&in, &bytes) && bytes.size == 5);
    ck_assert_mem_eq(bytes.data, "hello", 5);
    ck_assert(slice_take_prefixed(&in, &bytes) && bytes.size == 0);
    ck_assert(slice_take_bytes(&in, 3, &bytes) && bytes.size == 3);
    ck_assert_uint_eq(in.size, 0);
    ck_assert(slice_take_bytes(&in, 0, &bytes) && bytes.size == 0);
    buf_deinit(&buf);
}
END_TEST

START_TEST(short_slices_are_left_alone)
{
    uint8_t *three = exact_copy((const uint8_t *)"\x80\x80\x80", 3);
    struct varve_slice in = varve_slice(three, 3), bytes = {0};
    uint32_t v32 = 0;
    uint64_t v64 = 0;
    ck_assert(!slice_take_fixed32(&in, &v32));
    ck_assert(!slice_take_fixed64(&in, &v64));
    ck_assert(!slice_take_varint(&in, &v64));
    ck_assert(!slice_take_prefixed(&in, &bytes));
    ck_assert(!slice_take_bytes(&in, 4, &bytes));
    ck_assert(!slice_take_bytes(&in, SIZE_MAX, &bytes));
    three[0] = 3; /* a length that reaches one too far */
    ck_assert(!slice_take_prefixed(&in, &bytes));
    ck_assert_ptr_eq(in.data, three);
    ck_assert_uint_eq(in.size, 3);
    three[0] = 2;
    ck_assert(slice_take_prefixed(&in, &bytes) && bytes.size == 2 && in.size == 0);
    free(three);
    struct varve_slice empty = {0};
    uint8_t v8 = 0;
    ck_assert(!slice_take_byte(&empty, &v8));
    ck_assert(!slice_take_varint(&empty, &v64));
    ck_assert(!slice_take_prefixed(&empty, &bytes));
}
END_TEST

static Suite *coding_suite(void)
{
    Suite *suite = suite_create("coding");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, fixed_are_little_endian);
    tcase_add_test(tcase, varint64_comes_back_and_truncations_do_not);
    tcase_add_test(tcase, varint32_comes_back_and_truncations_do_not);
    tcase_add_test(tcase, varints_too_wide_are_refused);
    tcase_add_test(tcase, superfluous_bytes_are_taken);
    tcase_add_test(tcase, slices_are_taken_from_the_front);
    tcase_add_test(tcase, short_slices_are_left_alone);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(coding_suite());
}
