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
    ck_assert_uint_eq(problem.limit, LIMIT_JSON_VALUES);
    ck_assert_uint_eq(problem.actual, LIMIT_JSON_VALUES + 2); /* with two brackets */
    ck_problem(&problem, PROBLEM_BODY_TOO_LARGE, "JSON values");
    buf_deinit(&body);
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
    };
    return SUPPORT_RUN("json_body", tests);
}
