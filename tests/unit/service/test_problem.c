/* Problems and their bodies. */
#include "service/problem.h"

#include <jansson.h>

#include "service/limits.h"
#include "support.h"

/* Caller frees with json_decref. */
static json_t *encode(const struct problem *problem, struct varve_slice id)
{
    struct buf out = {0};
    ck_ok(problem_encode(problem, id, &out));
    json_error_t error;
    json_t *root = json_loadb((const char *)out.data, out.size,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    ck_assert_msg(root != NULL, "%s: %.*s", error.text, (int)out.size, (const char *)out.data);
    buf_deinit(&out);
    return root;
}

static const char *text_of(const json_t *root, const char *name)
{
    const char *text = json_string_value(json_object_get(root, name));
    ck_assert_msg(text != NULL, "no %s", name);
    return text;
}

START_TEST(body)
{
    struct problem problem = {0};
    struct buf out = {0};
    ck_status(problem_set_limit(&problem, PROBLEM_VALUE_TOO_LARGE, 10, 11, "too %s", "much"),
              VARVE_TOO_LARGE);
    ck_ok(problem_encode(&problem, L("id-1"), &out));
    ck_text(buf_slice(&out),
            "{\"type\":\"/errors/value-too-large\",\"title\":\"The value is too large\","
            "\"status\":413,\"detail\":\"too much\",\"instance\":\"urn:varve:request:id-1\","
            "\"code\":\"value_too_large\",\"limit\":10,\"actual\":11}");
    problem_deinit(&problem);
    buf_deinit(&out);
}
END_TEST

START_TEST(every_code)
{
    for (enum problem_code code = 0; code < PROBLEM_COUNT; code++) {
        struct problem problem = {0};
        char type[80] = "/errors/";
        enum varve_status status = problem_set(&problem, code, "detail %d", (int)code);
        ck_assert_int_ne(status, VARVE_OK);
        json_t *root = encode(&problem, L("x"));
        ck_assert_str_eq(text_of(root, "code"), problem_code_text(code));
        strncat(type, problem_code_text(code), sizeof type - strlen(type) - 1);
        for (char *at = type + 8; *at != '\0'; at++) {
            ck_assert((*at >= 'a' && *at <= 'z') || *at == '_');
            *at = *at == '_' ? '-' : *at;
        }
        ck_assert_str_eq(text_of(root, "type"), type);
        ck_assert(strlen(text_of(root, "title")) > 0);
        ck_assert_int_eq(json_integer_value(json_object_get(root, "status")),
                         problem_http_status(&problem));
        ck_assert_int_ge(problem_http_status(&problem), 400);
        ck_assert_int_lt(problem_http_status(&problem), 600);
        json_decref(root);
        for (enum problem_code other = 0; other < code; other++)
            ck_assert_str_ne(problem_code_text(other), problem_code_text(code));
        problem_deinit(&problem);
    }
}
END_TEST

START_TEST(connections_and_retries)
{
    for (enum problem_code code = 0; code < PROBLEM_COUNT; code++) {
        struct problem problem = {0};
        (void)problem_set(&problem, code, "x");
        int http = problem_http_status(&problem);
        bool closes = http == 413 || http == 414 || http == 431 || code == PROBLEM_BAD_FRAMING ||
                      code == PROBLEM_TOO_MANY_CONNECTIONS || code == PROBLEM_DRAINING;
        ck_assert_msg(problem_closes(&problem) == closes, "%s", problem_code_text(code));
        bool retry = http == 429 ||
                     (http == 503 && code != PROBLEM_OUTCOME_UNKNOWN && code != PROBLEM_READ_ONLY);
        ck_assert_msg((problem_retry_after_s(&problem) > 0) == retry, "%s",
                      problem_code_text(code));
        problem_deinit(&problem);
    }
}
END_TEST

/* Each status of the store has the HTTP status that the public header promises. */
START_TEST(statuses_of_the_store)
{
    static const enum varve_status statuses[] = {
#define STATUS_VALUE(name, number, text, http) VARVE_##name,
        VARVE_STATUS_MAP(STATUS_VALUE)
#undef STATUS_VALUE
    };
    for (size_t i = 0; i < COUNT(statuses); i++) {
        struct problem problem = {0};
        if (statuses[i] == VARVE_OK || statuses[i] == VARVE_END)
            continue;
        ck_status(problem_set_status(&problem, statuses[i]), statuses[i]);
        ck_assert_msg(problem_http_status(&problem) == varve_status_http(statuses[i]), "%s",
                      varve_status_name(statuses[i]));
        ck_assert(problem.detail[0] != '\0');
        problem_deinit(&problem);
    }
}
END_TEST

START_TEST(errors)
{
    struct problem problem = {0};
    (void)problem_set(&problem, PROBLEM_INVALID_BODY, "x");
    for (size_t i = 1; i <= LIMIT_PROBLEM_ERRORS; i++)
        ck_assert_int_eq(problem_add_error(&problem, "/ops/3", "number %zu", i),
                         i < LIMIT_PROBLEM_ERRORS);
    ck_assert(!problem_add_error(&problem, "/ops/4", "one too many"));
    json_t *root = encode(&problem, L("x"));
    const json_t *list = json_object_get(root, "errors");
    ck_assert_uint_eq(json_array_size(list), LIMIT_PROBLEM_ERRORS);
    ck_assert_str_eq(text_of(json_array_get(list, 0), "pointer"), "/ops/3");
    ck_assert_str_eq(text_of(json_array_get(list, 1), "detail"), "number 2");
    json_decref(root);

    (void)problem_set(&problem, PROBLEM_NOT_FOUND, "another problem in the same place");
    root = encode(&problem, L("x"));
    ck_assert_ptr_null(json_object_get(root, "errors"));
    json_decref(root);
    problem_deinit(&problem);
}
END_TEST

START_TEST(hostile_texts)
{
    struct problem problem = {0};
    (void)problem_set(&problem, PROBLEM_INVALID_PARAMETER, "\"%s\"", "\xff\x01\n\\ \xc3\xa9 \xe2");
    (void)problem_add_error(&problem, "/a\xff", "\"\x02%s", "\xe2\x82");
    json_t *root = encode(&problem, L("a\"b\\ </script>"));
    ck_assert_str_eq(text_of(root, "detail"), "\"\xef\xbf\xbd\x01\n\\ \xc3\xa9 \xef\xbf\xbd\"");
    ck_assert_str_eq(text_of(root, "instance"), "urn:varve:request:a\"b\\ </script>");
    json_decref(root);
    problem_deinit(&problem);
}
END_TEST

START_TEST(long_texts_are_cut)
{
    struct problem problem = {0};
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)problem_set(&problem, PROBLEM_INVALID_REQUEST, "%s", text);
    (void)problem_add_error(&problem, text, "%s", text);
    json_t *root = encode(&problem, varve_slice(text, LIMIT_REQUEST_ID_BYTES));
    ck_assert_uint_eq(strlen(text_of(root, "detail")), sizeof problem.detail - 1);
    ck_assert_uint_eq(strlen(text_of(root, "instance")), 18 + LIMIT_REQUEST_ID_BYTES);
    json_decref(root);
    problem_deinit(&problem);
}
END_TEST

START_TEST(allow)
{
    struct problem problem = {0};
    (void)problem_set(&problem, PROBLEM_METHOD_NOT_ALLOWED, "x");
    problem.allow = "GET, HEAD";
    json_t *root = encode(&problem, L("x"));
    ck_assert_str_eq(text_of(root, "allow"), "GET, HEAD");
    json_decref(root);
    problem_deinit(&problem);
}
END_TEST

START_TEST(conditions)
{
    struct problem problem = {0};
    (void)problem_set(&problem, PROBLEM_PRECONDITION_FAILED, "x");
    problem.has_current_revision = true;
    json_t *root = encode(&problem, L("x"));
    ck_assert_int_eq(json_integer_value(json_object_get(root, "current_revision")), 0);
    ck_assert(json_is_integer(json_object_get(root, "current_revision")));
    ck_assert_ptr_null(json_object_get(root, "failed_ops"));
    json_decref(root);

    (void)problem_set(&problem, PROBLEM_PRECONDITION_FAILED, "x");
    for (size_t i = 0; i < LIMIT_BATCH_OPS; i++)
        ck_ok(problem_add_failed_op(&problem, i, 2 * i));
    root = encode(&problem, L("x"));
    ck_assert_ptr_null(json_object_get(root, "current_revision"));
    const json_t *list = json_object_get(root, "failed_ops");
    ck_assert_uint_eq(json_array_size(list), LIMIT_BATCH_OPS);
    const json_t *last = json_array_get(list, LIMIT_BATCH_OPS - 1);
    ck_assert_uint_eq(json_object_size(last), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(last, "index")), LIMIT_BATCH_OPS - 1);
    ck_assert_int_eq(json_integer_value(json_object_get(last, "current_revision")),
                     2 * (LIMIT_BATCH_OPS - 1));
    json_decref(root);
    problem_deinit(&problem);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"body", body},
        {"every_code", every_code},
        {"connections_and_retries", connections_and_retries},
        {"statuses_of_the_store", statuses_of_the_store},
        {"errors", errors},
        {"hostile_texts", hostile_texts},
        {"long_texts_are_cut", long_texts_are_cut},
        {"allow", allow},
        {"conditions", conditions},
    };
    return SUPPORT_RUN("problem", tests);
}
