/* UTF-8 against a second reading of RFC 3629: decode, and see whether that form was the shortest.
 */
#include "service/utf8.h"

#include "support.h"

/* Encodes `point` in `size` bytes, overlong if need be. */
static void encode(uint32_t point, size_t size, uint8_t *ret_bytes)
{
    static const uint8_t heads[] = {0, 0, 0xc0, 0xe0, 0xf0, 0xf8};
    for (size_t i = size - 1; i > 0; i--, point >>= 6)
        ret_bytes[i] = (uint8_t)(0x80 | (point & 0x3f));
    ret_bytes[0] = (uint8_t)(heads[size] | point);
}

static size_t shortest(uint32_t point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

START_TEST(every_code_point_in_every_length)
{
    for (uint32_t point = 0; point < 0x200000; point++) {
        for (size_t size = 1; size <= 4; size++) {
            static const uint32_t over[] = {0, 0x80, 0x800, 0x10000, 0x200000};
            if (point >= over[size])
                continue;
            uint8_t bytes[4];
            encode(point, size, bytes);
            bool surrogate = point >= 0xd800 && point <= 0xdfff;
            bool legal = size == shortest(point) && !surrogate && point <= 0x10ffff;
            bool valid = utf8_is_valid(varve_slice(bytes, size));
            if (valid != legal)
                ck_abort_msg("U+%04X in %zu bytes", point, size);
            if (legal && utf8_char_size(varve_slice(bytes, size)) != size)
                ck_abort_msg("length of U+%04X", point);
        }
    }
}
END_TEST

START_TEST(cut_and_stray_bytes)
{
    static const uint8_t bad[][4] = {{0x80}, {0xbf}, {0xc0}, {0xc1}, {0xf5}, {0xff}};
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert(!utf8_is_valid(varve_slice(bad[i], 1)));
    static const char *const texts[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t size = 1; size < strlen(texts[i]); size++) {
            struct varve_slice cut = {0};
            uint8_t *memory = exact_copy(varve_slice(texts[i], size), &cut);
            ck_assert(!utf8_is_valid(cut));
            ck_assert_uint_eq(utf8_char_size(cut), 0);
            free(memory);
        }
        ck_assert(utf8_is_valid(varve_slice_str(texts[i])));
    }
    ck_assert(utf8_is_valid(L("")));
    ck_assert_uint_eq(utf8_char_size(L("")), 0);
}
END_TEST

/* A bad byte at every place of a text that is otherwise skipped eight bytes at a time. */
START_TEST(bad_byte_at_every_place)
{
    for (size_t at = 0; at < 40; at++) {
        uint8_t text[40];
        memset(text, 'a', sizeof text);
        ck_assert(utf8_is_valid(varve_slice(text, sizeof text)));
        text[at] = 0xff;
        ck_assert(!utf8_is_valid(varve_slice(text, sizeof text)));
        text[at] = 0;
        ck_assert(utf8_is_valid(varve_slice(text, sizeof text)));
        ck_assert(!utf8_is_text(varve_slice(text, sizeof text)));
    }
}
END_TEST

START_TEST(text)
{
    ck_assert(utf8_is_text(L("")));
    ck_assert(utf8_is_text(L("a\x01\x7f\xc3\xa9")));
    ck_assert(!utf8_is_text(L("\0")));
    ck_assert(!utf8_is_text(L("a\0b")));
    ck_assert(!utf8_is_text(L("a\xff")));
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"every_code_point_in_every_length", every_code_point_in_every_length},
        {"cut_and_stray_bytes", cut_and_stray_bytes},
        {"bad_byte_at_every_place", bad_byte_at_every_place},
        {"text", text},
    };
    return SUPPORT_RUN("utf8", tests);
}
