/* Bodies: what is taken, what is refused, and where the fault is said to be. */
#include "service/json_body.h"

#include <stdio.h>

#include <varve/options.h>

#include "service/limits.h"
#include "support.h"

#define VALUE_MAX 1000u

static uint64_t ttl_s; /* of the last body that was taken */

static void ck_put(struct varve_slice body, struct varve_slice value)
{
    struct problem problem = {0};
    struct buf out = {0};
    struct varve_slice copy = {0};
    uint8_t *memory = exact_copy(body, &copy);
    ck_ok(buf_append(&out, "old", 3));
    enum varve_status status = json_body_parse_put(copy, VALUE_MAX, &out, &ttl_s, &problem);
    ck_assert_msg(status == VARVE_OK, "%.*s: %s", (int)body.size, (const char *)body.data,
                  problem.detail);
    ck_bytes(buf_slice(&out), value);
    free(memory);
    buf_deinit(&out);
}

/* `pointer` NULL: the body as a whole is refused, without entries. */
static void ck_put_refused(struct varve_slice body, enum problem_code code, const char *pointer)
{
    struct problem problem = {0};
    struct buf out = {0};
    struct varve_slice copy = {0};
    uint8_t *memory = exact_copy(body, &copy);
    enum varve_status status = json_body_parse_put(copy, VALUE_MAX, &out, &ttl_s, &problem);
    ck_assert_msg(status == VARVE_INVALID, "%.*s is taken", (int)body.size,
                  (const char *)body.data);
    ck_assert_uint_eq(problem.error_count, pointer != NULL);
    if (pointer != NULL)
        ck_assert_str_eq(problem.errors[0].pointer, pointer);
    ck_assert_uint_eq(out.size, 0);
    ck_problem(&problem, code, NULL);
    free(memory);
    buf_deinit(&out);
}

START_TEST(put_bodies)
{
    ck_put(L("{\"value\":\"aGk=\"}"), L("hi"));
    ck_put(L("{\"value\":\"\"}"), L(""));
    ck_put(L("{\"value\":\"\",\"encoding\":\"utf8\"}"), L(""));
    ck_put(L("{\"encoding\":\"base64\",\"value\":\"AP8=\"}"), L("\0\xff"));
    ck_put(L("{\"value\":\"aGk=\",\"encoding\":\"utf8\"}"), L("aGk="));
    ck_put(L(" \t\r\n{ \"value\" : \"\\u0061\\ud83d\\ude00\\n\\\\\\\"\", \"encoding\" : \"utf8\" } "
             "\n"),
           L("a\xf0\x9f\x98\x80\n\\\""));
    ck_put(L("{\"\\u0076alue\":\"aGk=\"}"), L("hi"));
    ck_put(L("{\"value\":\"[[[{{{,,,\",\"encoding\":\"utf8\"}"), L("[[[{{{,,,"));
}
END_TEST

START_TEST(time_to_live)
{
    ck_put(L("{\"value\":\"\",\"ttl\":1}"), L(""));
    ck_assert_uint_eq(ttl_s, 1);
    ck_put(L("{\"ttl\":315360000,\"value\":\"\"}"), L(""));
    ck_assert_uint_eq(ttl_s, LIMIT_TTL_S);
    ck_put(L("{\"value\":\"\"}"), L(""));
    ck_assert_uint_eq(ttl_s, 0);
}
END_TEST

START_TEST(put_bodies_that_are_no_json)
{
    static const struct varve_slice bodies[] = {
#define B(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
        B(""),
        B(" \n\t\r"),
        B("\0"),
        B("{"),
        B("}"),
        B("{\"value\""),
        B("{\"value\":"),
        B("{\"value\":\""),
        B("{\"value\":\"\\"),
        B("{\"value\":\"\\\""),
        B("{\"value\":\"\"},"),
        B("{\"value\":\"\"}{}"),
        B("{\"value\":\"\"} x"),
        B("{\"value\":\"\"}\0"),
        B("{\"value\":\"\",}"),
        B("{'value':''}"),
        B("{value:\"\"}"),
        B("{\"value\":\"\n\"}"),
        B("{\"value\":\"\0\"}"),
        B("{\"value\":\"\"/**/}"),
        B("{\"value\":NaN}"),
        B("{\"value\":01}"),
        B("\xef\xbb\xbf{\"value\":\"\"}"),
        B("{\"value\":\"\",\"value\":\"\"}"),
        B("{\"value\":\"\",\"\\u0076alue\":\"\"}"),
        B("{\"value\":\"\xff\",\"encoding\":\"utf8\"}"),
        B("{\"value\":\"\xc0\x80\",\"encoding\":\"utf8\"}"),
        B("{\"value\":\"\xed\xa0\x80\",\"encoding\":\"utf8\"}"),
        B("{\"value\":\"\xe2\x82\"}"),
        B("{\"val\xff\":\"\"}"),
        B("{\"value\":\"\\ud800\",\"encoding\":\"utf8\"}"),
        B("{\"value\":\"\\udc00\",\"encoding\":\"utf8\"}"),
        B("{\"value\":\"\\ud800\\ud800\",\"encoding\":\"utf8\"}"),
        B("{\"value\":\"\\x41\"}"),
        B("{\"value\":99999999999999999999}"),
        B("[]"),
        B("\"aGk=\""),
        B("null"),
        B("1"),
        B("[{\"value\":\"\"}]"),
#undef B
    };
    for (size_t i = 0; i < COUNT(bodies); i++)
        ck_put_refused(bodies[i], PROBLEM_INVALID_JSON, NULL);
}
END_TEST

START_TEST(put_bodies_that_are_refused)
{
    static const struct {
        const char *body, *pointer;
    } cases[] = {
        {"{}", ""},
        {"{\"encoding\":\"utf8\"}", ""},
        {"{\"value\":null}", "/value"},
        {"{\"value\":1}", "/value"},
        {"{\"value\":[]}", "/value"},
        {"{\"value\":{}}", "/value"},
        {"{\"value\":true,\"encoding\":\"utf8\"}", "/value"},
        {"{\"value\":\"aGk\"}", "/value"},
        {"{\"value\":\"aGl=\"}", "/value"},
        {"{\"value\":\"aG k=\"}", "/value"},
        {"{\"value\":\"aGk=\\n\"}", "/value"},
        {"{\"value\":\"-_-_\"}", "/value"},
        {"{\"value\":\"\\u0000\"}", "/value"},
        {"{\"value\":\"a\\u0000\",\"encoding\":\"utf8\"}", "/value"},
        {"{\"value\":\"\",\"encoding\":\"hex\"}", "/encoding"},
        {"{\"value\":\"\",\"encoding\":\"UTF8\"}", "/encoding"},
        {"{\"value\":\"\",\"encoding\":\"utf8\\u0000\"}", "/encoding"},
        {"{\"value\":\"\",\"encoding\":null}", "/encoding"},
        {"{\"value\":\"\",\"colour\":1}", "/colour"},
        {"{\"value\":\"\",\"\":1}", "/"},
        {"{\"value\":\"\",\"a/b~c\":1}", "/a~1b~0c"},
        {"{\"value\":\"\",\"key\":\"a\"}", "/key"},
        {"{\"value\":\"\",\"revision\":1}", "/revision"},
        {"{\"value\":\"\",\"ttl\":0}", "/ttl"},
        {"{\"value\":\"\",\"ttl\":-1}", "/ttl"},
        {"{\"value\":\"\",\"ttl\":315360001}", "/ttl"},
        {"{\"value\":\"\",\"ttl\":1.0}", "/ttl"},
        {"{\"value\":\"\",\"ttl\":true}", "/ttl"},
        {"{\"value\":\"\",\"ttl\":null}", "/ttl"},
        {"{\"value\":\"\",\"ttl\":\"1\"}", "/ttl"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        ck_put_refused(varve_slice_str(cases[i].body), PROBLEM_INVALID_BODY, cases[i].pointer);
}
END_TEST

START_TEST(unknown_member_is_named)
{
    struct problem problem = {0};
    struct buf out = {0};
    struct buf body = {0};
    ck_status(
        json_body_parse_put(L("{\"value\":\"\",\"colour\":1}"), VALUE_MAX, &out, &ttl_s, &problem),
        VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_BODY, "colour");
    /* A very long name, and one of bytes that grow when they are escaped, are cut. */
    ck_ok(buf_append(&body, "{\"", 2));
    for (int i = 0; i < 5000; i++)
        ck_ok(buf_append(&body, "~/", 2));
    ck_ok(buf_append_format(&body, "\":1,\"value\":\"\"}"));
    ck_status(json_body_parse_put(buf_slice(&body), VALUE_MAX, &out, &ttl_s, &problem),
              VARVE_INVALID);
    ck_assert_uint_lt(strlen(problem.errors[0].pointer), sizeof problem.errors[0].pointer);
    ck_problem(&problem, PROBLEM_INVALID_BODY, NULL);
    buf_deinit(&body);
}
END_TEST

START_TEST(value_limit)
{
    for (size_t size = VALUE_MAX - 1; size <= VALUE_MAX + 2; size++) {
        struct problem problem = {0};
        struct buf body = {0}, out = {0};
        ck_ok(buf_append_format(&body, "{\"encoding\":\"utf8\",\"value\":\"%*s\"}", (int)size, ""));
        enum varve_status status =
            json_body_parse_put(buf_slice(&body), VALUE_MAX, &out, &ttl_s, &problem);
        if (size <= VALUE_MAX) {
            ck_ok(status);
            ck_assert_uint_eq(out.size, size);
        } else {
            ck_status(status, VARVE_TOO_LARGE);
            ck_assert(problem.has_limit && problem.has_actual);
            ck_assert_uint_eq(problem.limit, VALUE_MAX);
            ck_assert_uint_eq(problem.actual, size);
            ck_problem(&problem, PROBLEM_VALUE_TOO_LARGE, NULL);
        }
        buf_deinit(&body);
        buf_deinit(&out);
    }
}
END_TEST

/* (One check at the end: a million of them take seconds.) */
static void repeat(struct buf *out, const char *text, size_t count)
{
    enum varve_status status = VARVE_OK;
    for (; count > 0 && status == VARVE_OK; count--)
        status = buf_append(out, text, strlen(text));
    ck_ok(status);
}

/* The object itself is one level. */
START_TEST(depth)
{
    struct problem problem = {0};
    struct buf body = {0}, out = {0};
    ck_ok(buf_append_format(&body, "{\"value\":"));
    repeat(&body, "[", LIMIT_JSON_DEPTH - 1);
    repeat(&body, "]", LIMIT_JSON_DEPTH - 1);
    ck_ok(buf_append_byte(&body, '}'));
    ck_put_refused(buf_slice(&body), PROBLEM_INVALID_BODY, "/value");

    buf_clear(&body);
    ck_ok(buf_append_format(&body, "{\"value\":"));
    repeat(&body, "[", LIMIT_JSON_DEPTH);
    repeat(&body, "]", LIMIT_JSON_DEPTH);
    ck_ok(buf_append_byte(&body, '}'));
    ck_status(json_body_parse_put(buf_slice(&body), VALUE_MAX, &out, &ttl_s, &problem),
              VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_JSON, "64 levels");

    static const char *const openings[] = {"[", "{\"a\":", "[{\"\\\"[\":"};
    for (size_t i = 0; i < COUNT(openings); i++) {
        buf_clear(&body);
        repeat(&body, openings[i], 1000000);
        ck_status(json_body_parse_put(buf_slice(&body), VALUE_MAX, &out, &ttl_s, &problem),
                  VARVE_INVALID);
        ck_problem(&problem, PROBLEM_INVALID_JSON, "64 levels");
    }
    /* Those in a string do not count, wherever it seems to end. */
    buf_clear(&body);
    ck_ok(buf_append_format(&body, "{\"encoding\":\"utf8\",\"value\":\"\\\\\\\""));
    repeat(&body, "[", 2 * LIMIT_JSON_DEPTH);
    ck_ok(buf_append_format(&body, "\"}"));
    ck_ok(json_body_parse_put(buf_slice(&body), VALUE_MAX, &out, &ttl_s, &problem));
    ck_assert_uint_eq(out.size, 2 + 2 * LIMIT_JSON_DEPTH);
    buf_deinit(&out);
    /* Closed ones do not count either. */
    buf_clear(&body);
    ck_ok(buf_append_format(&body, "{\"value\":["));
    repeat(&body, "[],", 1000);
    ck_ok(buf_append_format(&body, "\"\\\\\",\"\\\"[\",\"\"]}"));
    ck_put_refused(buf_slice(&body), PROBLEM_INVALID_BODY, "/value");
    buf_deinit(&body);
}
END_TEST

START_TEST(number_of_values)
{
    struct problem problem = {0};
    struct buf body = {0}, out = {0};
    ck_ok(buf_append_format(&body, "{\"value\":[0"));
    repeat(&body, ",0", LIMIT_JSON_VALUES);
    ck_ok(buf_append_format(&body, "]}"));
    ck_status(json_body_parse_put(buf_slice(&body), VALUE_MAX, &out, &ttl_s, &problem),
              VARVE_TOO_LARGE);
    ck_problem(&problem, PROBLEM_BATCH_TOO_LARGE, "JSON values");
    buf_deinit(&body);
}
END_TEST

START_TEST(batch)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    ck_ok(json_body_parse_batch(
        L("{\"ops\":[{\"op\":\"put\",\"key\":\"a\",\"value\":\"aGk=\"},"
          "{\"value\":\"\xc3\xa9\",\"encoding\":\"utf8\",\"key64\":\"AP8\",\"op\":\"put\"},"
          "{\"op\":\"delete\",\"key64\":\"YQ\"},{\"op\":\"get\",\"key\":\"\\u00e9\"},"
          "{\"op\":\"get\",\"key\":\"a\",\"encoding\":\"utf8\"},"
          "{\"op\":\"put\",\"key\":\"e\",\"value\":\"\"},"
          "{\"op\":\"put\",\"key\":\"f\",\"value\":\"\",\"ttl\":60},"
          "{\"op\":\"check\",\"key\":\"a\",\"revision\":9223372036854775807},"
          "{\"op\":\"check\",\"key64\":\"YQ\",\"revision\":0}]}"),
        VALUE_MAX, &ops, &problem));
    ck_assert_uint_eq(ops.count, 9);
    ck_assert_uint_eq(ops.ops[5].ttl_s, 0);
    ck_assert_uint_eq(ops.ops[6].ttl_s, 60);
    ck_assert_int_eq(ops.ops[7].kind, BATCH_CHECK);
    ck_assert_uint_eq(ops.ops[7].revision, INT64_MAX);
    ck_text(ops.ops[8].key, "a");
    ck_assert_uint_eq(ops.ops[8].revision, 0);
    ck_assert_int_eq(ops.ops[0].kind, BATCH_PUT);
    ck_text(ops.ops[0].key, "a");
    ck_text(ops.ops[0].value, "hi");
    ck_bytes(ops.ops[1].key, L("\0\xff"));
    ck_text(ops.ops[1].value, "\xc3\xa9");
    ck_assert_int_eq(ops.ops[2].kind, BATCH_DELETE);
    ck_text(ops.ops[2].key, "a");
    ck_assert_int_eq(ops.ops[3].kind, BATCH_GET);
    ck_text(ops.ops[3].key, "\xc3\xa9");
    ck_assert(!ops.ops[3].utf8 && ops.ops[4].utf8);
    ck_assert_uint_eq(ops.ops[5].value.size, 0);
    batch_ops_deinit(&ops);
    batch_ops_deinit(&ops);
}
END_TEST

/* One byte of base64 in each of many operations: none of the decoded slices moves. */
START_TEST(slices_stay)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    struct buf body = {0};
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
    ck_ok(buf_append_format(&body, "{\"ops\":["));
    for (size_t i = 0; i < LIMIT_BATCH_OPS; i++)
        ck_ok(buf_append_format(&body, "%s{\"op\":\"put\",\"key64\":\"%cA\",\"value\":\"%cA==\"}",
                                i > 0 ? "," : "", digits[i % 32], digits[(i + 1) % 32]));
    ck_ok(buf_append_format(&body, "]}"));
    ck_ok(json_body_parse_batch(buf_slice(&body), VALUE_MAX, &ops, &problem));
    ck_assert_uint_eq(ops.count, LIMIT_BATCH_OPS);
    for (size_t i = 0; i < ops.count; i++) {
        ck_assert_uint_eq(ops.ops[i].key.data[0], (i % 32) << 2);
        ck_assert_uint_eq(ops.ops[i].value.data[0], ((i + 1) % 32) << 2);
    }
    batch_ops_deinit(&ops);
    buf_deinit(&body);
}
END_TEST

static void ck_batch_refused(const char *body, enum problem_code code, const char *pointer)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    enum varve_status status =
        json_body_parse_batch(varve_slice_str(body), VALUE_MAX, &ops, &problem);
    ck_assert_msg(status == VARVE_INVALID, "%.200s is taken", body);
    ck_assert_uint_eq(problem.error_count, pointer != NULL);
    if (pointer != NULL)
        ck_assert_msg(strcmp(problem.errors[0].pointer, pointer) == 0, "%s: \"%s\", not \"%s\"",
                      body, problem.errors[0].pointer, pointer);
    ck_assert_ptr_null(ops.ops);
    ck_problem(&problem, code, NULL);
}

START_TEST(batches_that_are_refused)
{
    static const struct {
        const char *body, *pointer;
    } cases[] = {
        {"{}", ""},
        {"{\"ops\":[]}", "/ops"},
        {"{\"ops\":{}}", "/ops"},
        {"{\"ops\":null}", "/ops"},
        {"{\"ops\":[{\"op\":\"get\",\"key\":\"a\"}],\"colour\":1}", "/colour"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        ck_batch_refused(cases[i].body, PROBLEM_INVALID_BODY, cases[i].pointer);
    ck_batch_refused("", PROBLEM_INVALID_JSON, NULL);
    ck_batch_refused("[]", PROBLEM_INVALID_JSON, NULL);
    ck_batch_refused("{\"ops\":[],\"ops\":[]}", PROBLEM_INVALID_JSON, NULL);
}
END_TEST

/* Each stands behind a good operation. */
START_TEST(ops_that_are_refused)
{
    static const struct {
        const char *op, *pointer;
    } cases[] = {
        {"null", "/ops/1"},
        {"1", "/ops/1"},
        {"[]", "/ops/1"},
        {"{}", "/ops/1"},
        {"{\"key\":\"a\",\"value\":\"\"}", "/ops/1"},
        {"{\"op\":\"PUT\",\"key\":\"a\",\"value\":\"\"}", "/ops/1/op"},
        {"{\"op\":null,\"key\":\"a\",\"value\":\"\"}", "/ops/1/op"},
        {"{\"op\":\"check\",\"key\":\"a\"}", "/ops/1"},
        {"{\"op\":\"check\",\"revision\":1}", "/ops/1"},
        {"{\"op\":\"check\",\"key\":\"a\",\"revision\":-1}", "/ops/1/revision"},
        {"{\"op\":\"check\",\"key\":\"a\",\"revision\":1.0}", "/ops/1/revision"},
        {"{\"op\":\"check\",\"key\":\"a\",\"revision\":\"1\"}", "/ops/1/revision"},
        {"{\"op\":\"check\",\"key\":\"a\",\"revision\":1,\"ttl\":1}", "/ops/1/ttl"},
        {"{\"op\":\"put\",\"key\":\"a\",\"value\":\"\",\"revision\":1}", "/ops/1/revision"},
        {"{\"op\":\"get\",\"key\":\"a\",\"ttl\":1}", "/ops/1/ttl"},
        {"{\"op\":\"delete\",\"key\":\"a\",\"ttl\":1}", "/ops/1/ttl"},
        {"{\"op\":\"put\\u0000\",\"key\":\"a\",\"value\":\"\"}", "/ops/1/op"},
        {"{\"op\":\"put\",\"value\":\"\"}", "/ops/1"},
        {"{\"op\":\"get\",\"key\":\"a\",\"key64\":\"YQ\"}", "/ops/1"},
        {"{\"op\":\"put\",\"key\":\"a\"}", "/ops/1"},
        {"{\"op\":\"put\",\"key\":\"\",\"value\":\"\"}", "/ops/1/key"},
        {"{\"op\":\"get\",\"key\":1}", "/ops/1/key"},
        {"{\"op\":\"get\",\"key\":null}", "/ops/1/key"},
        {"{\"op\":\"get\",\"key\":\"a\\u0000\"}", "/ops/1/key"},
        {"{\"op\":\"get\",\"key64\":\"\"}", "/ops/1/key64"},
        {"{\"op\":\"get\",\"key64\":\"Y\"}", "/ops/1/key64"},
        {"{\"op\":\"get\",\"key64\":\"YR\"}", "/ops/1/key64"},
        {"{\"op\":\"get\",\"key64\":\"YQ==\"}", "/ops/1/key64"},
        {"{\"op\":\"get\",\"key64\":\"a+b/\"}", "/ops/1/key64"},
        {"{\"op\":\"get\",\"key64\":[]}", "/ops/1/key64"},
        {"{\"op\":\"put\",\"key\":\"a\",\"value\":\"a\"}", "/ops/1/value"},
        {"{\"op\":\"put\",\"key\":\"a\",\"value\":null}", "/ops/1/value"},
        {"{\"op\":\"put\",\"key\":\"a\",\"value\":\"\",\"encoding\":\"x\"}", "/ops/1/encoding"},
        {"{\"op\":\"put\",\"key\":\"a\",\"value\":\"\",\"ttl\":0}", "/ops/1/ttl"},
        {"{\"op\":\"delete\",\"key\":\"a\",\"value\":\"\"}", "/ops/1/value"},
        {"{\"op\":\"delete\",\"key\":\"a\",\"encoding\":\"utf8\"}", "/ops/1/encoding"},
        {"{\"op\":\"get\",\"key\":\"a\",\"value\":\"\"}", "/ops/1/value"},
        {"{\"op\":\"get\",\"key\":\"a\",\"encoding\":\"x\"}", "/ops/1/encoding"},
        {"{\"op\":\"get\",\"key\":\"a\",\"revision\":1}", "/ops/1/revision"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"ops\":[{\"op\":\"get\",\"key\":\"a\"},%s]}", cases[i].op);
        ck_batch_refused(body, PROBLEM_INVALID_BODY, cases[i].pointer);
    }
}
END_TEST

START_TEST(key_length)
{
    for (size_t size = VARVE_KEY_BYTES_MAX; size <= VARVE_KEY_BYTES_MAX + 1; size++) {
        struct problem problem = {0};
        struct batch_ops ops = {0};
        struct buf body = {0};
        ck_ok(buf_append_format(&body, "{\"ops\":[{\"op\":\"get\",\"key\":\"%*s\"}]}", (int)size,
                                ""));
        enum varve_status status =
            json_body_parse_batch(buf_slice(&body), VALUE_MAX, &ops, &problem);
        if (size <= VARVE_KEY_BYTES_MAX) {
            ck_ok(status);
            ck_assert_uint_eq(ops.ops[0].key.size, size);
        } else {
            ck_status(status, VARVE_INVALID);
            ck_assert_str_eq(problem.errors[0].pointer, "/ops/0/key");
            ck_problem(&problem, PROBLEM_INVALID_BODY, "4096");
        }
        batch_ops_deinit(&ops);
        buf_deinit(&body);
    }
}
END_TEST

START_TEST(all_errors_are_collected_up_to_a_limit)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    ck_status(json_body_parse_batch(
                  L("{\"ops\":[{\"op\":\"put\",\"key\":\"\",\"value\":\"?\"},{\"op\":\"get\"},"
                    "{\"op\":\"get\",\"key\":\"fine\"},{\"op\":\"get\",\"key\":1,\"x\":1}]}"),
                  VALUE_MAX, &ops, &problem),
              VARVE_INVALID);
    static const char *const pointers[] = {"/ops/0/key", "/ops/0/value", "/ops/1", "/ops/3/x",
                                           "/ops/3/key"};
    ck_assert_uint_eq(problem.error_count, COUNT(pointers));
    for (size_t i = 0; i < COUNT(pointers); i++)
        ck_assert_str_eq(problem.errors[i].pointer, pointers[i]);
    ck_problem(&problem, PROBLEM_INVALID_BODY, "/ops/0/key");

    struct buf body = {0};
    ck_ok(buf_append_format(&body, "{\"ops\":[0"));
    repeat(&body, ",0", 1000);
    ck_ok(buf_append_format(&body, "]}"));
    ck_status(json_body_parse_batch(buf_slice(&body), VALUE_MAX, &ops, &problem), VARVE_INVALID);
    ck_assert_uint_eq(problem.error_count, LIMIT_PROBLEM_ERRORS);
    ck_problem(&problem, PROBLEM_INVALID_BODY, NULL);
    buf_deinit(&body);
}
END_TEST

START_TEST(batch_limits)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    struct buf body = {0};
    ck_ok(buf_append_format(&body, "{\"ops\":[{\"op\":\"get\",\"key\":\"a\"}"));
    repeat(&body, ",{\"op\":\"get\",\"key\":\"a\"}", LIMIT_BATCH_OPS);
    ck_ok(buf_append_format(&body, "]}"));
    ck_status(json_body_parse_batch(buf_slice(&body), VALUE_MAX, &ops, &problem), VARVE_TOO_LARGE);
    ck_assert_uint_eq(problem.limit, LIMIT_BATCH_OPS);
    ck_assert_uint_eq(problem.actual, LIMIT_BATCH_OPS + 1);
    ck_problem(&problem, PROBLEM_BATCH_TOO_LARGE, NULL);

    /* A value that is too large outweighs what is merely wrong. */
    buf_clear(&body);
    ck_ok(buf_append_format(&body,
                            "{\"ops\":[0,{\"op\":\"put\",\"key\":\"a\",\"encoding\":\"utf8\","
                            "\"value\":\"%*s\"},0]}",
                            (int)VALUE_MAX + 1, ""));
    ck_status(json_body_parse_batch(buf_slice(&body), VALUE_MAX, &ops, &problem), VARVE_TOO_LARGE);
    ck_assert_uint_eq(problem.error_count, 0);
    ck_problem(&problem, PROBLEM_VALUE_TOO_LARGE, "/ops/1");
    buf_deinit(&body);
}
END_TEST

/* A good body cut at every length, and with each byte replaced, is taken or refused in order. */
START_TEST(damaged_bodies)
{
    struct varve_slice body =
        L("{\"ops\":[{\"op\":\"put\",\"key64\":\"AP8\",\"value\":\"aGk=\",\"encoding\":\"base64\"},"
          "{\"op\":\"get\",\"key\":\"\\u00e9\\n\"}]}");
    for (size_t size = 0; size < body.size; size++) {
        struct problem problem = {0};
        struct batch_ops ops = {0};
        struct varve_slice cut = {0};
        uint8_t *memory = exact_copy(varve_slice(body.data, size), &cut);
        ck_status(json_body_parse_batch(cut, VALUE_MAX, &ops, &problem), VARVE_INVALID);
        ck_problem(&problem, PROBLEM_INVALID_JSON, NULL);
        free(memory);
    }
    for (size_t at = 0; at < body.size; at++) {
        for (int c = 0; c < 256; c++) {
            struct problem problem = {0};
            struct batch_ops ops = {0};
            struct varve_slice changed = {0};
            uint8_t *memory = exact_copy(body, &changed);
            memory[at] = (uint8_t)c;
            enum varve_status status = json_body_parse_batch(changed, VALUE_MAX, &ops, &problem);
            ck_assert(status == VARVE_OK || status == VARVE_INVALID);
            ck_assert_int_eq(status == VARVE_OK, ops.count == 2);
            ck_assert_int_eq(status == VARVE_OK, problem.detail[0] == '\0');
            batch_ops_deinit(&ops);
            problem_deinit(&problem);
            free(memory);
        }
    }
}
END_TEST

int main(void)
{
    json_body_setup();
    const struct test_entry tests[] = {
        {"put_bodies", put_bodies},
        {"time_to_live", time_to_live},
        {"put_bodies_that_are_no_json", put_bodies_that_are_no_json},
        {"put_bodies_that_are_refused", put_bodies_that_are_refused},
        {"unknown_member_is_named", unknown_member_is_named},
        {"value_limit", value_limit},
        {"depth", depth},
        {"number_of_values", number_of_values},
        {"batch", batch},
        {"slices_stay", slices_stay},
        {"batches_that_are_refused", batches_that_are_refused},
        {"ops_that_are_refused", ops_that_are_refused},
        {"key_length", key_length},
        {"all_errors_are_collected_up_to_a_limit", all_errors_are_collected_up_to_a_limit},
        {"batch_limits", batch_limits},
        {"damaged_bodies", damaged_bodies},
    };
    return SUPPORT_RUN("json_body", tests);
}
