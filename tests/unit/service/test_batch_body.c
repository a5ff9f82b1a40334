/* Bodies of batches: what is taken, what is refused, and where the fault is said to be. */
#include "service/json_body.h"

#include <stdio.h>

#include <varve/options.h>

#include "service/limits.h"
#include "support.h"

#define VALUE_MAX 1000u

/* (One check at the end: a million of them take seconds.) */
static void repeat(struct buf *out, const char *text, size_t count)
{
    enum varve_status status = VARVE_OK;
    for (; count > 0 && status == VARVE_OK; count--)
        status = buf_append(out, text, strlen(text));
    ck_ok(status);
}

/* The object itself is one level. */
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
        BATCH_OBJECT, VALUE_MAX, &ops, &problem));
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
    ck_ok(json_body_parse_batch(buf_slice(&body), BATCH_OBJECT, VALUE_MAX, &ops, &problem));
    ck_assert_uint_eq(ops.count, LIMIT_BATCH_OPS);
    for (size_t i = 0; i < ops.count; i++) {
        ck_assert_uint_eq(ops.ops[i].key.data[0], (i % 32) << 2);
        ck_assert_uint_eq(ops.ops[i].value.data[0], ((i + 1) % 32) << 2);
    }
    batch_ops_deinit(&ops);
    buf_deinit(&body);
}
END_TEST

/* Of an operation, or of none: where a bracket is missing, that is a matter of opinion. */
static const char any_op[] = "/ops/";

static void ck_form_refused(const char *body, enum batch_form form, enum problem_code code,
                            const char *pointer)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    struct varve_slice copy = {0};
    uint8_t *memory = exact_copy(varve_slice_str(body), &copy);
    enum varve_status status = json_body_parse_batch(copy, form, VALUE_MAX, &ops, &problem);
    free(memory);
    ck_assert_msg(status == VARVE_INVALID, "%.200s is taken", body);
    if (pointer == any_op)
        ck_assert_msg(problem.error_count == 0 ||
                          strncmp(problem.errors[0].pointer, any_op, strlen(any_op)) == 0,
                      "%s: \"%s\"", body, problem.errors[0].pointer);
    else
        ck_assert_uint_eq(problem.error_count, pointer != NULL);
    if (pointer != NULL && pointer != any_op)
        ck_assert_msg(strcmp(problem.errors[0].pointer, pointer) == 0, "%s: \"%s\", not \"%s\"",
                      body, problem.errors[0].pointer, pointer);
    ck_assert_ptr_null(ops.ops);
    ck_problem(&problem, code, NULL);
}

static void ck_batch_refused(const char *body, enum problem_code code, const char *pointer)
{
    ck_form_refused(body, BATCH_OBJECT, code, pointer);
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

#define GET "{\"op\":\"get\",\"key\":\"a\"}"

/* What stands round the operations, which jansson does not see. */
START_TEST(batches_that_are_no_json)
{
    static const char *const bodies[] = {
        " \t\r\n",
        "{",
        "}",
        "{\"ops\"",
        "{\"ops\":",
        "{\"ops\":}",
        "{\"ops\":[",
        "{\"ops\":[" GET,
        "{\"ops\":[" GET ",",
        "{\"ops\":[" GET ",]}",
        "{\"ops\":[," GET "]}",
        "{\"ops\":[" GET GET "]}",
        "{\"ops\":[" GET " " GET "]}",
        "{\"ops\":[" GET ",," GET "]}",
        "{\"ops\":[" GET ":" GET "]}",
        "{\"ops\":[" GET "}",
        "{\"ops\":[" GET "}]",
        "{\"ops\":[" GET "]",
        "{\"ops\":[" GET "],}",
        "{,\"ops\":[" GET "]}",
        "{\"ops\":[" GET "]}x",
        "{\"ops\":[" GET "]}{}",
        "{\"ops\":[" GET "]},",
        "x{\"ops\":[" GET "]}",
        "\xef\xbb\xbf{\"ops\":[" GET "]}",
        "{ops:[" GET "]}",
        "{'ops':[" GET "]}",
        "{\"ops\"[" GET "]}",
        "{\"ops\",[" GET "]}",
        "{1:[" GET "]}",
        "{\"ops\":[" GET "],\"\\u006fps\":[]}",
        "{\"ops\":null,\"ops\":[" GET "]}",
        "{\"ops\":[" GET "],\"\xff\":1}",
        "{\"ops\":[" GET "],\"a\\x\":1}",
        "{\"ops\":[" GET ",{\"op\":\"get\",\"key\":\"a\"]]}",
        "{\"ops\":[" GET ",{\"op\":[\"get\"},\"key\":\"a\"}]}",
        "{\"ops\":[" GET ",{\"op\":\"get\",\"op\":\"get\",\"key\":\"a\"}]}",
        "{\"ops\":[" GET ",tru]}",
        "{\"ops\":[" GET ",\"]}",
        "{\"ops\":[" GET ",\"a\nb\"]}",
        "{\"ops\":[" GET ",01]}",
        "{\"ops\":[" GET ",-]}",
        "{\"ops\":[" GET ",{\"op\":\"get\",\"key\":\"\xc3\"}]}",
        "{\"ops\":[" GET ",{\"op\":\"get\",\"key\":\"\\ud800\"}]}",
        "{\"ops\":[" GET ",{\"op\":\"?\"},{]}",
        "[" GET "]",
        GET GET,
        "\"ops\"",
    };
    for (size_t i = 0; i < COUNT(bodies); i++)
        ck_batch_refused(bodies[i], PROBLEM_INVALID_JSON, any_op);
}
END_TEST

START_TEST(blanks_between)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    ck_ok(json_body_parse_batch(L(" \n{\t\"\\u006fps\" :\r\n[ " GET " ,\n" GET "\n] } "),
                                BATCH_OBJECT, VALUE_MAX, &ops, &problem));
    ck_assert_uint_eq(ops.count, 2);
    batch_ops_deinit(&ops);
}
END_TEST

START_TEST(place_of_a_fault)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    ck_status(json_body_parse_batch(L("{\"ops\":[\n" GET ",\n  {\"op\":x}]}"), BATCH_OBJECT,
                                    VALUE_MAX, &ops, &problem),
              VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_JSON, "line 3, column 9");
    ck_status(json_body_parse_batch(L("{\"ops\":[\n" GET "\n " GET "]}"), BATCH_OBJECT, VALUE_MAX,
                                    &ops, &problem),
              VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_JSON, "line 3, column 2");
    ck_status(json_body_parse_batch(L(GET "\n\n" GET), BATCH_LINES, VALUE_MAX, &ops, &problem),
              VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_JSON, "line 2, column 1: the line is blank");
}
END_TEST

START_TEST(lines)
{
    static const char *const bodies[] = {GET "\n" GET, GET "\n" GET "\n", GET "\r\n" GET "\r\n",
                                         " " GET " \n\t" GET};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct problem problem = {0};
        struct batch_ops ops = {0};
        ck_ok(json_body_parse_batch(varve_slice_str(bodies[i]), BATCH_LINES, VALUE_MAX, &ops,
                                    &problem));
        ck_assert_uint_eq(ops.count, 2);
        ck_text(ops.ops[1].key, "a");
        batch_ops_deinit(&ops);
    }
    static const struct {
        const char *body, *pointer;
    } refused[] = {
        {"", NULL},
        {"\n", NULL},
        {GET "\n\n", "/ops/1"},
        {"\n" GET, "/ops/0"},
        {GET "\n \t\n" GET, "/ops/1"},
        {GET GET, "/ops/0"},
        {GET "," GET, "/ops/0"},
        {GET "\n{\"op\":\"get\",\n\"key\":\"a\"}", "/ops/1"},
        {GET "\n{\"op\":\"get\",\"key\":\"\n\"}", "/ops/1"},
        {GET "\nx", "/ops/1"},
    };
    for (size_t i = 0; i < COUNT(refused); i++)
        ck_form_refused(refused[i].body, BATCH_LINES, PROBLEM_INVALID_JSON, refused[i].pointer);
    ck_form_refused("[" GET "]", BATCH_LINES, PROBLEM_INVALID_BODY, "/ops/0");
    ck_form_refused(GET "\n{\"op\":\"put\",\"key\":\"a\"}", BATCH_LINES, PROBLEM_INVALID_BODY,
                    "/ops/1");
    ck_form_refused("{\"op\":\"get\",\"key\":\"a\",\"x\":1}", BATCH_LINES, PROBLEM_INVALID_BODY,
                    "/ops/0/x");
}
END_TEST

START_TEST(limits_of_lines)
{
    struct problem problem = {0};
    struct batch_ops ops = {0};
    struct buf body = {0};
    repeat(&body, GET "\n", LIMIT_BATCH_OPS);
    ck_ok(json_body_parse_batch(buf_slice(&body), BATCH_LINES, VALUE_MAX, &ops, &problem));
    ck_assert_uint_eq(ops.count, LIMIT_BATCH_OPS);
    batch_ops_deinit(&ops);
    ck_ok(buf_append_format(&body, "x"));
    ck_status(json_body_parse_batch(buf_slice(&body), BATCH_LINES, VALUE_MAX, &ops, &problem),
              VARVE_TOO_LARGE);
    ck_assert_uint_eq(problem.actual, LIMIT_BATCH_OPS + 1);
    ck_problem(&problem, PROBLEM_BATCH_TOO_LARGE, NULL);

    /* A quote that one line lacks does not hide the levels of the next. */
    buf_clear(&body);
    ck_ok(buf_append_format(&body, "{\"op\":\"?\"}\n{\"op\":"));
    repeat(&body, "[", LIMIT_JSON_DEPTH);
    ck_status(json_body_parse_batch(buf_slice(&body), BATCH_LINES, VALUE_MAX, &ops, &problem),
              VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_JSON, "64 levels");

    buf_clear(&body);
    for (size_t line = 0; line < 2; line++) {
        ck_ok(buf_append_format(&body, "{\"op\":[0"));
        repeat(&body, ",0", LIMIT_JSON_VALUES * 2 / 3);
        ck_ok(buf_append_format(&body, "]}\n"));
    }
    ck_status(json_body_parse_batch(buf_slice(&body), BATCH_LINES, VALUE_MAX, &ops, &problem),
              VARVE_TOO_LARGE);
    ck_problem(&problem, PROBLEM_BATCH_TOO_LARGE, "JSON values");
    buf_deinit(&body);
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
            json_body_parse_batch(buf_slice(&body), BATCH_OBJECT, VALUE_MAX, &ops, &problem);
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
                  BATCH_OBJECT, VALUE_MAX, &ops, &problem),
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
    ck_status(json_body_parse_batch(buf_slice(&body), BATCH_OBJECT, VALUE_MAX, &ops, &problem),
              VARVE_INVALID);
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
    ck_status(json_body_parse_batch(buf_slice(&body), BATCH_OBJECT, VALUE_MAX, &ops, &problem),
              VARVE_TOO_LARGE);
    ck_assert_uint_eq(problem.limit, LIMIT_BATCH_OPS);
    ck_assert_uint_eq(problem.actual, LIMIT_BATCH_OPS + 1);
    ck_problem(&problem, PROBLEM_BATCH_TOO_LARGE, NULL);

    /* A value that is too large outweighs what is merely wrong. */
    buf_clear(&body);
    ck_ok(buf_append_format(&body,
                            "{\"ops\":[0,{\"op\":\"put\",\"key\":\"a\",\"encoding\":\"utf8\","
                            "\"value\":\"%*s\"},0]}",
                            (int)VALUE_MAX + 1, ""));
    ck_status(json_body_parse_batch(buf_slice(&body), BATCH_OBJECT, VALUE_MAX, &ops, &problem),
              VARVE_TOO_LARGE);
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
        ck_status(json_body_parse_batch(cut, BATCH_OBJECT, VALUE_MAX, &ops, &problem),
                  VARVE_INVALID);
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
            enum varve_status status =
                json_body_parse_batch(changed, BATCH_OBJECT, VALUE_MAX, &ops, &problem);
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
        {"batch", batch},
        {"slices_stay", slices_stay},
        {"batches_that_are_refused", batches_that_are_refused},
        {"batches_that_are_no_json", batches_that_are_no_json},
        {"blanks_between", blanks_between},
        {"place_of_a_fault", place_of_a_fault},
        {"lines", lines},
        {"limits_of_lines", limits_of_lines},
        {"ops_that_are_refused", ops_that_are_refused},
        {"key_length", key_length},
        {"all_errors_are_collected_up_to_a_limit", all_errors_are_collected_up_to_a_limit},
        {"batch_limits", batch_limits},
        {"damaged_bodies", damaged_bodies},
    };
    return SUPPORT_RUN("batch_body", tests);
}
