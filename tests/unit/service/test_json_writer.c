/* The writer against jansson, byte for byte. */
#include "service/json_writer.h"

#include <jansson.h>
#include <math.h>

#include "support.h"

/* Takes ownership of `value`. */
static void ck_as_jansson(const struct buf *out, json_t *value)
{
    ck_assert_ptr_nonnull(value);
    char *expected = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    ck_assert_ptr_nonnull(expected);
    ck_text(buf_slice(out), expected);
    free(expected);
    json_decref(value);
}

START_TEST(every_byte_of_ascii)
{
    for (int c = 0; c < 128; c++) {
        char text[] = {'a', (char)c, 'z'};
        struct buf out = {0};
        struct json_writer w;
        json_writer_init(&w, &out);
        json_write_string(&w, varve_slice(text, sizeof text));
        ck_ok(json_writer_status(&w));
        ck_as_jansson(&out, json_stringn(text, sizeof text));
        buf_deinit(&out);
    }
}
END_TEST

START_TEST(texts)
{
    static const char *const values[] = {
        "",
        "a",
        "\"",
        "\\",
        "/",
        "\\\"\b\f\n\r\t",
        "\x1f\x20\x7f",
        "é",
        "日本",
        "😀",
        "\xe2\x80\xa8",
        "\xef\xbf\xbf",
        "\x01\x02\x03long run without escapes and one at its end\n",
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        struct buf out = {0};
        struct json_writer w;
        json_writer_init(&w, &out);
        json_write_text(&w, values[i]);
        ck_ok(json_writer_status(&w));
        ck_as_jansson(&out, json_string(values[i]));
        buf_deinit(&out);
    }
}
END_TEST

START_TEST(numbers)
{
    static const uint64_t values[] = {0, 1, 9, 10, 99, 100, 4294967296, INT64_MAX};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct buf out = {0};
        struct json_writer w;
        json_writer_init(&w, &out);
        json_write_uint(&w, values[i]);
        ck_ok(json_writer_status(&w));
        ck_as_jansson(&out, json_integer((json_int_t)values[i]));
        buf_deinit(&out);
    }
}
END_TEST

START_TEST(values_beyond_jansson)
{
    struct buf out = {0};
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_array_begin(&w);
    json_write_uint(&w, UINT64_MAX);
    json_write_double(&w, 0.1);
    json_write_double(&w, -2.5e300);
    json_write_double(&w, NAN);
    json_write_double(&w, INFINITY);
    json_write_double(&w, 3);
    json_write_array_end(&w);
    ck_ok(json_writer_status(&w));
    ck_text(buf_slice(&out), "[18446744073709551615,0.1,-2.5e+300,null,null,3]");
    buf_deinit(&out);
}
END_TEST

START_TEST(nested)
{
    struct buf out = {0};
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_object_begin(&w);
    json_write_name(&w, "empty");
    json_write_object_begin(&w);
    json_write_object_end(&w);
    json_write_name(&w, "list");
    json_write_array_begin(&w);
    json_write_array_begin(&w);
    json_write_array_end(&w);
    json_write_bool(&w, true);
    json_write_bool(&w, false);
    json_write_null(&w);
    json_write_object_begin(&w);
    json_write_name(&w, "a");
    json_write_uint(&w, 1);
    json_write_name(&w, "b");
    json_write_raw(&w, L("[1,2]"));
    json_write_object_end(&w);
    json_write_text(&w, "end");
    json_write_array_end(&w);
    json_write_name(&w, "last");
    json_write_null(&w);
    json_write_object_end(&w);
    ck_ok(json_writer_status(&w));
    ck_as_jansson(&out, json_pack("{s{}s[[]bbn{sis[ii]}s]sn}", "empty", "list", 1, 0, "a", 1, "b",
                                  1, 2, "end", "last"));
    buf_deinit(&out);
}
END_TEST

START_TEST(base64_values)
{
    struct buf out = {0};
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_array_begin(&w);
    json_write_base64(&w, L("\xfb\xff\xbf\xfe"));
    json_write_base64(&w, L(""));
    json_write_base64url(&w, L("\xfb\xff\xbf\xfe"));
    json_write_array_end(&w);
    ck_ok(json_writer_status(&w));
    ck_text(buf_slice(&out), "[\"+/+//g==\",\"\",\"-_-__g\"]");
    buf_deinit(&out);
}
END_TEST

START_TEST(lossy_bytes)
{
    struct buf out = {0};
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_bytes_lossy(&w, L("a\xff\xc3\xa9\xe2\x82\n\0\""));
    ck_ok(json_writer_status(&w));
    ck_text(buf_slice(&out), "\"a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\\n\\u0000\\\"\"");
    buf_deinit(&out);
}
END_TEST

START_TEST(resumes)
{
    struct buf out = {0};
    struct json_writer w;
    ck_ok(buf_append(&out, "[1", 2));
    json_writer_resume(&w, &out, true);
    json_write_uint(&w, 2);
    json_write_array_end(&w);
    ck_ok(json_writer_status(&w));
    ck_text(buf_slice(&out), "[1,2]");
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"every_byte_of_ascii", every_byte_of_ascii},
        {"texts", texts},
        {"numbers", numbers},
        {"values_beyond_jansson", values_beyond_jansson},
        {"nested", nested},
        {"base64_values", base64_values},
        {"lossy_bytes", lossy_bytes},
        {"resumes", resumes},
    };
    return SUPPORT_RUN("json_writer", tests);
}
