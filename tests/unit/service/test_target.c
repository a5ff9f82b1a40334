/* What a raw target addresses. */
#include "service/target.h"

#include <stdio.h>

#include <varve/options.h>

#include "service/limits.h"
#include "support.h"

static void ck_key(enum request_method method, struct varve_slice raw, struct varve_slice key)
{
    struct target target = {0};
    struct problem problem = {0};
    struct varve_slice copy = {0};
    uint8_t *memory = exact_copy(raw, &copy);
    enum varve_status status = target_parse(&target, method, copy, &problem);
    ck_assert_msg(status == VARVE_OK, "%.*s: %s", (int)raw.size, (const char *)raw.data,
                  problem.detail);
    ck_assert_int_eq(target.kind, TARGET_KEY);
    ck_bytes(target.key, key);
    target_deinit(&target);
    free(memory);
}

static void ck_kind(enum request_method method, const char *raw, enum target_kind kind)
{
    struct target target = {0};
    struct problem problem = {0};
    ck_ok(target_parse(&target, method, varve_slice_str(raw), &problem));
    ck_assert_msg(target.kind == kind, "%s is %d", raw, (int)target.kind);
    target_deinit(&target);
}

static void ck_refused(enum request_method method, struct varve_slice raw, enum problem_code code,
                       const char *word)
{
    struct target target = {0};
    struct problem problem = {0};
    enum varve_status status = target_parse(&target, method, raw, &problem);
    ck_assert_msg(status != VARVE_OK, "%.*s is taken", (int)raw.size, (const char *)raw.data);
    ck_problem(&problem, code, word);
    target_deinit(&target);
}

START_TEST(keys_are_bytes)
{
    static const struct {
        const char *raw, *key;
    } cases[] = {
        {"/kv/a", "a"},
        {"/kv/user/1", "user/1"},
        {"/kv//", "/"},
        {"/kv//a//b/", "/a//b/"},
        {"/kv/.", "."},
        {"/kv/..", ".."},
        {"/kv/../stats", "../stats"},
        {"/kv/a/./b/../c", "a/./b/../c"},
        {"/kv/a+b", "a+b"},
        {"/kv/a%2Bb", "a+b"},
        {"/kv/%2F", "/"},
        {"/kv/%2541", "%41"},
        {"/kv/a=b&c", "a=b&c"},
        {"/kv/%3F?raw", "?"},
        {"/kv/a#b", "a#b"},
        {"/kv/range/", "range/"},
        {"/kv/ranges", "ranges"},
        {"/kv/Range", "Range"},
        {"/kv//range", "/range"},
        {"/kv/batch/", "batch/"},
        {"/kv/kv", "kv"},
        {"/kv/a?", "a"},
        {"/kv/a?x=1?y", "a"},
        {"http://localhost:7070/kv/a", "a"},
        {"HTTPS://h/kv/http://x", "http://x"},
        {"/kv/http://h/", "http://h/"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        ck_key(METHOD_GET, varve_slice_str(cases[i].raw), varve_slice_str(cases[i].key));
        ck_key(METHOD_PUT, varve_slice_str(cases[i].raw), varve_slice_str(cases[i].key));
    }
    ck_key(METHOD_GET, L("/kv/%00"), L("\0"));
    ck_key(METHOD_DELETE, L("/kv/a%00b"), L("a\0b"));
    ck_key(METHOD_GET, L("/kv/range%00"), L("range\0"));
}
END_TEST

START_TEST(every_byte_in_every_form)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int c = 0; c < 256; c++) {
        char raw[32];
        uint8_t byte = (uint8_t)c;
        struct varve_slice key = varve_slice(&byte, 1);
        snprintf(raw, sizeof raw, "/kv/%%%02X", c);
        ck_key(METHOD_GET, varve_slice_str(raw), key);
        snprintf(raw, sizeof raw, "/kv?key=%%%02x", c);
        ck_key(METHOD_PUT, varve_slice_str(raw), key);
        snprintf(raw, sizeof raw, "/kv?key64=%c%c", digits[c >> 2], digits[(c & 3) << 4]);
        ck_key(METHOD_DELETE, varve_slice_str(raw), key);
        if (c != '%' && c != '?') {
            memcpy(raw, "/kv/", 4);
            raw[4] = (char)c;
            ck_key(METHOD_GET, varve_slice(raw, 5), key);
        }
    }
}
END_TEST

START_TEST(keys_in_the_query)
{
    ck_key(METHOD_GET, L("/kv?key=range"), L("range"));
    ck_key(METHOD_GET, L("/kv?key=batch&raw"), L("batch"));
    ck_key(METHOD_GET, L("/kv?raw&key=a+b%2B"), L("a b+"));
    ck_key(METHOD_PUT, L("/kv?key64=AP8"), L("\0\xff"));
    ck_key(METHOD_PUT, L("/kv?key64=AP8="), L("\0\xff"));
    ck_key(METHOD_HEAD, L("/kv?%6bey=a"), L("a"));
}
END_TEST

START_TEST(reserved_names)
{
    static const char *const ranges[] = {"/kv/range", "/kv/%72ange", "/kv/%72%61%6E%67%65",
                                         "/kv/range?limit=1", "http://h/kv/range"};
    for (size_t i = 0; i < COUNT(ranges); i++) {
        ck_kind(METHOD_GET, ranges[i], TARGET_RANGE);
        ck_kind(METHOD_HEAD, ranges[i], TARGET_RANGE);
        ck_key(METHOD_PUT, varve_slice_str(ranges[i]), L("range"));
        ck_key(METHOD_DELETE, varve_slice_str(ranges[i]), L("range"));
        ck_refused(METHOD_POST, varve_slice_str(ranges[i]), PROBLEM_METHOD_NOT_ALLOWED, NULL);
    }
    ck_kind(METHOD_POST, "/kv/batch", TARGET_BATCH);
    ck_kind(METHOD_POST, "/kv/%62atc%68?sync=true", TARGET_BATCH);
    ck_key(METHOD_GET, L("/kv/batch"), L("batch"));
    ck_key(METHOD_HEAD, L("/kv/batch"), L("batch"));
    ck_key(METHOD_PUT, L("/kv/%62atch"), L("batch"));
    ck_key(METHOD_DELETE, L("/kv/batch"), L("batch"));
}
END_TEST

START_TEST(other_paths)
{
    static const char *const paths[] = {
        "/", "/health", "/kvx", "/KV/a",   "/kv.", "//kv/a",      "*",
        "",  "/kv%2Fa", "x",    "/%6bv/a", "/k",   "/admin/flush"};
    for (size_t i = 0; i < COUNT(paths); i++)
        ck_kind(METHOD_OTHER, paths[i], TARGET_OTHER);
    struct target target = {0};
    struct problem problem = {0};
    ck_ok(target_parse(&target, METHOD_GET, L("/stats?format=a%62c&x"), &problem));
    ck_text(target.path, "/stats");
    ck_text(query_find(&target.query, "format")->value, "abc");
    target_deinit(&target);
    ck_ok(target_parse(&target, METHOD_GET, L("http://h?x=1"), &problem));
    ck_text(target.path, "/");
    ck_assert_ptr_nonnull(query_find(&target.query, "x"));
    target_deinit(&target);
    target_deinit(&target);
}
END_TEST

START_TEST(refused_targets)
{
    static const enum request_method methods[] = {METHOD_GET, METHOD_PUT, METHOD_DELETE};
    static const char *const keys[] = {"/kv/",      "/kv/?raw",    "/kv",        "/kv?",
                                       "/kv?raw",   "/kv?key=",    "/kv?key64=", "/kv/%",
                                       "/kv/%4",    "/kv/%zz",     "/kv/a%",     "/kv/%2",
                                       "/kv/a%4?b", "http://h/kv/"};
    static const char *const parameters[] = {"/kv?key=%",   "/kv?key=a&key64=YQ", "/kv?key=a&key=b",
                                             "/kv?key64=Y", "/kv?key64=YR",       "/kv/a?%",
                                             "/kv/a?b&b",   "/kv?key64=a/b+"};
    for (size_t m = 0; m < COUNT(methods); m++) {
        for (size_t i = 0; i < COUNT(keys); i++)
            ck_refused(methods[m], varve_slice_str(keys[i]), PROBLEM_INVALID_KEY, NULL);
        for (size_t i = 0; i < COUNT(parameters); i++)
            ck_refused(methods[m], varve_slice_str(parameters[i]), PROBLEM_INVALID_PARAMETER, NULL);
    }
}
END_TEST

START_TEST(methods)
{
    static const struct {
        const char *raw, *allow;
        enum request_method method;
    } cases[] = {
        {"/kv/a", "GET, HEAD, PUT, DELETE", METHOD_POST},
        {"/kv/a", "GET, HEAD, PUT, DELETE", METHOD_OTHER},
        {"/kv?key=a", "GET, HEAD, PUT, DELETE", METHOD_POST},
        {"/kv/range", "GET, HEAD, PUT, DELETE", METHOD_OTHER},
        {"/kv/batch", "GET, HEAD, PUT, DELETE, POST", METHOD_OTHER},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct target target = {0};
        struct problem problem = {0};
        ck_status(target_parse(&target, cases[i].method, varve_slice_str(cases[i].raw), &problem),
                  VARVE_INVALID);
        ck_assert_str_eq(problem.allow, cases[i].allow);
        ck_problem(&problem, PROBLEM_METHOD_NOT_ALLOWED, cases[i].allow);
        target_deinit(&target);
    }
    ck_assert_int_eq(request_method_parse("GET"), METHOD_GET);
    ck_assert_int_eq(request_method_parse("HEAD"), METHOD_HEAD);
    ck_assert_int_eq(request_method_parse("PUT"), METHOD_PUT);
    ck_assert_int_eq(request_method_parse("DELETE"), METHOD_DELETE);
    ck_assert_int_eq(request_method_parse("POST"), METHOD_POST);
    static const char *const others[] = {"get", "Get", "PATCH", "OPTIONS", "", "GETS", "PUT "};
    for (size_t i = 0; i < COUNT(others); i++)
        ck_assert_int_eq(request_method_parse(others[i]), METHOD_OTHER);
}
END_TEST

START_TEST(lengths)
{
    struct buf raw = {0};
    uint8_t key[VARVE_KEY_BYTES_MAX];
    memset(key, 0xfe, sizeof key);
    ck_ok(buf_append(&raw, "/kv/", 4));
    for (size_t i = 0; i < VARVE_KEY_BYTES_MAX; i++)
        ck_ok(buf_append(&raw, "%fe", 3));
    ck_key(METHOD_GET, buf_slice(&raw), varve_slice(key, sizeof key));
    ck_ok(buf_append(&raw, "x", 1));
    ck_refused(METHOD_GET, buf_slice(&raw), PROBLEM_INVALID_KEY, "4096");

    while (raw.size < LIMIT_TARGET_BYTES)
        ck_ok(buf_append_byte(&raw, 'x'));
    ck_refused(METHOD_GET, buf_slice(&raw), PROBLEM_INVALID_KEY, "4096");
    ck_ok(buf_append_byte(&raw, 'x'));
    ck_refused(METHOD_GET, buf_slice(&raw), PROBLEM_TARGET_TOO_LONG, NULL);
    buf_deinit(&raw);
}
END_TEST

START_TEST(known_parameters)
{
    static const char *const names[] = {"raw", "encoding", NULL};
    static const struct {
        const char *raw;
        enum varve_status status;
    } cases[] = {
        {"/kv/a", VARVE_OK},
        {"/kv/a?raw", VARVE_OK},
        {"/kv?key=a&raw", VARVE_OK},
        {"/kv?key64=YQ&encoding=utf8", VARVE_OK},
        {"/kv/a?key=b", VARVE_INVALID},
        {"/kv/a?key64=YQ", VARVE_INVALID},
        {"/kv?key=a&x", VARVE_INVALID},
        {"/health?key=a", VARVE_INVALID},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct target target = {0};
        struct problem problem = {0};
        ck_ok(target_parse(&target, METHOD_GET, varve_slice_str(cases[i].raw), &problem));
        ck_status(target_check_params(&target, names, &problem), cases[i].status);
        problem_deinit(&problem);
        target_deinit(&target);
    }
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"keys_are_bytes", keys_are_bytes},
        {"every_byte_in_every_form", every_byte_in_every_form},
        {"keys_in_the_query", keys_in_the_query},
        {"reserved_names", reserved_names},
        {"other_paths", other_paths},
        {"refused_targets", refused_targets},
        {"methods", methods},
        {"lengths", lengths},
        {"known_parameters", known_parameters},
    };
    return SUPPORT_RUN("target", tests);
}
