/* Cursors: they come back as they were, and altered ones do not. */
#include "service/cursor.h"

#include <varve/options.h>

#include "service/limits.h"
#include "support.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void ck_comes_back(const struct cursor *cursor)
{
    struct buf text = {0}, storage = {0};
    struct cursor back = {0};
    ck_ok(cursor_encode(cursor, &text));
    ck_assert_uint_le(text.size, CURSOR_TEXT_BYTES_MAX);
    for (size_t i = 0; i < text.size; i++)
        ck_assert_ptr_nonnull(memchr(alphabet, text.data[i], sizeof alphabet - 1));
    ck_ok(buf_append(&storage, "old", 3));
    ck_ok(cursor_decode(buf_slice(&text), &storage, &back));
    ck_assert_int_eq(back.reverse, cursor->reverse);
    ck_bytes(back.last_key, cursor->last_key);
    ck_bytes(back.ahead, cursor->ahead);
    ck_assert_uint_eq(back.behind_hash, cursor->behind_hash);
    buf_deinit(&text);
    buf_deinit(&storage);
}

START_TEST(comes_back)
{
    for (int reverse = 0; reverse < 2; reverse++) {
        struct cursor cursor = {.reverse = reverse, .last_key = L("a")};
        ck_comes_back(&cursor);
        cursor.ahead = L("\0\xff");
        cursor.behind_hash = cursor_bound_hash(L("x"));
        ck_comes_back(&cursor);
        for (int c = 0; c < 256; c++) {
            uint8_t byte = (uint8_t)c;
            cursor.last_key = cursor.ahead = varve_slice(&byte, 1);
            ck_comes_back(&cursor);
        }
    }
    ck_assert_uint_ne(cursor_bound_hash(L("")), cursor_bound_hash(L("\0")));
}
END_TEST

START_TEST(longest)
{
    uint8_t key[VARVE_KEY_BYTES_MAX + 1];
    memset(key, 0xff, sizeof key);
    struct cursor cursor = {.last_key = varve_slice(key, VARVE_KEY_BYTES_MAX),
                            .ahead = varve_slice(key, VARVE_KEY_BYTES_MAX),
                            .behind_hash = UINT64_MAX};
    struct buf text = {0}, storage = {0};
    struct cursor back = {0};
    ck_comes_back(&cursor);
    ck_ok(cursor_encode(&cursor, &text));
    ck_assert_uint_eq(text.size, CURSOR_TEXT_BYTES_MAX);
    ck_assert_uint_lt(text.size, LIMIT_TARGET_BYTES);

    const struct cursor bad[] = {
        {.last_key = varve_slice(key, sizeof key)},
        {.last_key = L("a"), .ahead = varve_slice(key, sizeof key)},
        {.last_key = L("")},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        buf_clear(&text);
        ck_ok(cursor_encode(&bad[i], &text));
        ck_status(cursor_decode(buf_slice(&text), &storage, &back), VARVE_INVALID);
    }
    buf_deinit(&text);
    buf_deinit(&storage);
}
END_TEST

/* Every character replaced by every other one. */
START_TEST(altered)
{
    struct cursor cursor = {.last_key = L("user/1"), .ahead = L("user0"), .behind_hash = 42};
    struct cursor back = {0};
    struct buf text = {0}, storage = {0};
    ck_ok(cursor_encode(&cursor, &text));
    for (size_t at = 0; at < text.size; at++) {
        uint8_t old = text.data[at];
        for (int c = 0; c < 256; c++) {
            text.data[at] = (uint8_t)c;
            if (c != old && cursor_decode(buf_slice(&text), &storage, &back) != VARVE_INVALID)
                ck_abort_msg("%c for %c at %zu is taken", c, old, at);
        }
        text.data[at] = old;
    }
    ck_ok(cursor_decode(buf_slice(&text), &storage, &back));
    buf_deinit(&text);
    buf_deinit(&storage);
}
END_TEST

START_TEST(cut_or_lengthened)
{
    struct buf text = {0}, storage = {0};
    struct cursor back = {0};
    /* Keys of several lengths, so that the text ends in each of the ways that base64 has. */
    for (size_t size = 1; size <= 4; size++) {
        struct cursor cursor = {.last_key = varve_slice("abcd", size)};
        buf_clear(&text);
        ck_ok(cursor_encode(&cursor, &text));
        for (size_t length = 0; length < text.size; length++)
            ck_status(cursor_decode(varve_slice(text.data, length), &storage, &back),
                      VARVE_INVALID);
        static const char *const tails[] = {"A", "AA", "AAA", "AAAA", "=", "==", " ", "\n", "."};
        for (size_t i = 0; i < COUNT(tails); i++) {
            size_t before = text.size;
            ck_ok(buf_append(&text, tails[i], strlen(tails[i])));
            ck_status(cursor_decode(buf_slice(&text), &storage, &back), VARVE_INVALID);
            text.size = before;
        }
        ck_ok(cursor_decode(buf_slice(&text), &storage, &back));
    }
    ck_status(cursor_decode(L("AAAA"), &storage, &back), VARVE_INVALID);
    ck_status(cursor_decode(L("AAAAAA"), &storage, &back), VARVE_INVALID);
    buf_deinit(&text);
    buf_deinit(&storage);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"comes_back", comes_back},
        {"longest", longest},
        {"altered", altered},
        {"cut_or_lengthened", cut_or_lengthened},
    };
    return SUPPORT_RUN("cursor", tests);
}
