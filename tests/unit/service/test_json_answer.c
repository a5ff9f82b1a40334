/* The JSON answers, byte for byte. */
#include "service/json_answer.h"

#include <jansson.h>

#include "service/limits.h"
#include "support.h"

#define AT(number) ((struct json_stamp){.revision = (number)})

START_TEST(items)
{
    static const struct {
        struct varve_slice key, value;
        enum value_encoding encoding;
        const char *json;
    } cases[] = {
        {{(const uint8_t *)"user/1", 6},
         {(const uint8_t *)"hi", 2},
         VALUE_BASE64,
         "{\"key\":\"user/1\",\"value\":\"aGk=\",\"encoding\":\"base64\",\"revision\":42}"},
        {{(const uint8_t *)"k", 1},
         {(const uint8_t *)"hi\"", 3},
         VALUE_UTF8,
         "{\"key\":\"k\",\"value\":\"hi\\\"\",\"encoding\":\"utf8\",\"revision\":42}"},
        {{(const uint8_t *)"k", 1},
         {(const uint8_t *)"\xff", 1},
         VALUE_UTF8,
         "{\"key\":\"k\",\"value\":\"/w==\",\"encoding\":\"base64\",\"revision\":42}"},
        {{(const uint8_t *)"k", 1},
         {(const uint8_t *)"a\0", 2},
         VALUE_UTF8,
         "{\"key\":\"k\",\"value\":\"YQA=\",\"encoding\":\"base64\",\"revision\":42}"},
        {{(const uint8_t *)"\0\xff", 2},
         {NULL, 0},
         VALUE_BASE64,
         "{\"key64\":\"AP8\",\"value\":\"\",\"encoding\":\"base64\",\"revision\":42}"},
        {{(const uint8_t *)"k", 1},
         {NULL, 0},
         VALUE_UTF8,
         "{\"key\":\"k\",\"value\":\"\",\"encoding\":\"utf8\",\"revision\":42}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out = {0};
        ck_ok(json_answer_item(&out, cases[i].key, cases[i].value, cases[i].encoding, AT(42)));
        ck_text(buf_slice(&out), cases[i].json);
        buf_deinit(&out);
    }
}
END_TEST

/* Each byte as a key: as text exactly where it is ASCII other than NUL. */
START_TEST(every_byte_as_key)
{
    for (int c = 0; c < 256; c++) {
        uint8_t key[1] = {(uint8_t)c};
        struct buf out = {0};
        ck_ok(json_answer_key(&out, varve_slice(key, 1), AT(7)));
        json_t *root = json_loadb((const char *)out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_ptr_nonnull(root);
        ck_assert_uint_eq(json_object_size(root), 2);
        ck_assert_int_eq(json_integer_value(json_object_get(root, "revision")), 7);
        const json_t *text = json_object_get(root, "key"), *bytes = json_object_get(root, "key64");
        if (c != 0 && c < 128) {
            ck_assert_uint_eq(json_string_length(text), 1);
            ck_assert_int_eq(json_string_value(text)[0], c);
        } else {
            ck_assert_uint_eq(json_string_length(bytes), 2);
        }
        json_decref(root);
        buf_deinit(&out);
    }
}
END_TEST

START_TEST(pages)
{
    struct buf out = {0};
    struct json_page page;
    ck_ok(json_page_begin(&page, &out));
    ck_ok(json_page_end(&page, L(""), 9));
    ck_text(buf_slice(&out), "{\"items\":[],\"count\":0,\"truncated\":false,\"revision\":9}");
    buf_clear(&out);
    ck_ok(json_page_begin(&page, &out));
    ck_ok(json_page_add(&page, L("a"), L("1"), VALUE_BASE64, AT(3)));
    ck_ok(json_page_add_key(&page, L("b"), AT(4)));
    ck_ok(json_page_end(&page, L("CURSOR"), 9));
    ck_text(buf_slice(&out),
            "{\"items\":[{\"key\":\"a\",\"value\":\"MQ==\",\"encoding\":\"base64\",\"revision\":3},"
            "{\"key\":\"b\",\"revision\":4}],\"count\":2,\"truncated\":true,"
            "\"next_cursor\":\"CURSOR\",\"revision\":9}");
    buf_deinit(&out);
}
END_TEST

START_TEST(page_ends_at_its_bytes)
{
    struct buf out = {0}, big = {0};
    struct json_page page;
    ck_ok(buf_append_zeros(&big, LIMIT_RANGE_PAGE_BYTES + 1));
    ck_ok(json_page_begin(&page, &out));
    ck_ok(json_page_add(&page, L("a"), buf_slice(&big), VALUE_BASE64,
                        AT(3))); /* the first one fits */
    size_t size = out.size;
    ck_status(json_page_add(&page, L("b"), L(""), VALUE_BASE64, AT(3)), VARVE_END);
    ck_status(json_page_add_key(&page, L("b"), AT(3)), VARVE_END);
    ck_status(json_page_add(&page, L("b"), buf_slice(&big), VALUE_BASE64, AT(3)), VARVE_END);
    ck_assert_uint_eq(out.size, size);
    ck_assert_uint_eq(page.count, 1);

    /* 1 MiB is 1.4 MB as base64: two fit, the third does not, and a small one still does. */
    buf_clear(&out);
    ck_ok(json_page_begin(&page, &out));
    struct varve_slice mib = varve_slice(big.data, 1 << 20);
    ck_ok(json_page_add(&page, L("a"), mib, VALUE_BASE64, AT(3)));
    ck_ok(json_page_add(&page, L("b"), mib, VALUE_BASE64, AT(3)));
    ck_status(json_page_add(&page, L("c"), mib, VALUE_BASE64, AT(3)), VARVE_END);
    ck_ok(json_page_add(&page, L("d"), L("x"), VALUE_BASE64, AT(3)));
    ck_ok(json_page_end(&page, L(""), 9));
    json_t *root = json_loadb((const char *)out.data, out.size, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "items")), 3);
    json_decref(root);
    buf_deinit(&out);
    buf_deinit(&big);
}
END_TEST

START_TEST(batch_results)
{
    struct json_results results = {0};
    struct buf out = {0};
    ck_ok(json_results_finish(&results, 60, &out));
    ck_text(buf_slice(&out), "{\"revision\":60,\"results\":[]}");
    buf_clear(&out);
    ck_ok(json_results_add_put(&results));
    ck_ok(json_results_add_get(&results, L("hi"), VALUE_UTF8, AT(JSON_REVISION_OF_BATCH)));
    ck_ok(json_results_add_missing(&results));
    ck_ok(json_results_add_get(&results, L("hi"), VALUE_BASE64, AT(12)));
    ck_ok(json_results_add_delete(&results));
    ck_ok(json_results_add_get(&results, L(""), VALUE_BASE64, AT(JSON_REVISION_OF_BATCH)));
    ck_ok(json_results_finish(&results, UINT64_MAX, &out));
    ck_text(buf_slice(&out),
            "{\"revision\":18446744073709551615,\"results\":[{\"op\":\"put\"},"
            "{\"op\":\"get\",\"found\":true,\"value\":\"hi\",\"encoding\":\"utf8\","
            "\"revision\":18446744073709551615},{\"op\":\"get\",\"found\":false},"
            "{\"op\":\"get\",\"found\":true,\"value\":\"aGk=\",\"encoding\":\"base64\","
            "\"revision\":12},{\"op\":\"delete\"},{\"op\":\"get\",\"found\":true,\"value\":\"\","
            "\"encoding\":\"base64\",\"revision\":18446744073709551615}]}");
    json_results_deinit(&results);
    buf_deinit(&out);
}
END_TEST

START_TEST(what_expires)
{
    const struct json_stamp stamp = {.revision = 3, .expires_at = 1900000000};
    struct json_results results = {0};
    struct json_page page;
    struct buf out = {0};
    ck_ok(json_answer_item(&out, L("a"), L(""), VALUE_UTF8, stamp));
    ck_text(buf_slice(&out), "{\"key\":\"a\",\"value\":\"\",\"encoding\":\"utf8\",\"revision\":3,"
                             "\"expires_at\":1900000000}");
    buf_clear(&out);
    ck_ok(json_page_begin(&page, &out));
    ck_ok(json_page_add_key(&page, L("a"), stamp));
    ck_ok(json_page_end(&page, L(""), 9));
    ck_text(buf_slice(&out),
            "{\"items\":[{\"key\":\"a\",\"revision\":3,\"expires_at\":1900000000}],"
            "\"count\":1,\"truncated\":false,\"revision\":9}");
    buf_clear(&out);
    ck_ok(json_results_add_check(&results));
    ck_ok(json_results_add_get(&results, L(""), VALUE_UTF8, stamp));
    ck_ok(json_results_add_get(
        &results, L(""), VALUE_UTF8,
        (struct json_stamp){.revision = JSON_REVISION_OF_BATCH, .expires_at = 1900000001}));
    ck_ok(json_results_finish(&results, 60, &out));
    ck_assert_uint_le(out.size, json_results_bytes_max(&results));
    ck_text(buf_slice(&out),
            "{\"revision\":60,\"results\":[{\"op\":\"check\"},"
            "{\"op\":\"get\",\"found\":true,\"value\":\"\",\"encoding\":\"utf8\",\"revision\":3,"
            "\"expires_at\":1900000000},"
            "{\"op\":\"get\",\"found\":true,\"value\":\"\",\"encoding\":\"utf8\",\"revision\":60,"
            "\"expires_at\":1900000001}]}");
    json_results_deinit(&results);
    buf_deinit(&out);
}
END_TEST

START_TEST(batch_answer_has_a_limit)
{
    struct json_results results = {0};
    struct buf value = {0}, out = {0};
    ck_ok(buf_append_zeros(&value, 1 << 20));
    enum varve_status status = VARVE_OK;
    size_t count = 0;
    for (; status == VARVE_OK; count++) {
        buf_clear(&out);
        ck_ok(json_results_finish(&results, UINT64_MAX, &out));
        ck_assert_uint_le(out.size, LIMIT_BATCH_ANSWER_BYTES);
        status = json_results_add_get(&results, buf_slice(&value), VALUE_BASE64,
                                      AT(JSON_REVISION_OF_BATCH));
    }
    ck_status(status, VARVE_TOO_LARGE);
    ck_assert_uint_eq(count, 24); /* 23 x 1.4 MB fit into 32 MiB */
    ck_ok(buf_append_zeros(&value, LIMIT_BATCH_ANSWER_BYTES));
    ck_status(json_results_add_get(&results, buf_slice(&value), VALUE_BASE64, AT(1)),
              VARVE_TOO_LARGE);
    json_results_deinit(&results);
    buf_deinit(&value);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"items", items},
        {"every_byte_as_key", every_byte_as_key},
        {"pages", pages},
        {"page_ends_at_its_bytes", page_ends_at_its_bytes},
        {"batch_results", batch_results},
        {"what_expires", what_expires},
        {"batch_answer_has_a_limit", batch_answer_has_a_limit},
    };
    return SUPPORT_RUN("json_answer", tests);
}
