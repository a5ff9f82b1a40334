/* Header rules: framing, Accept, Content-Type, request ids. */
#include "service/headers.h"

#include <stdio.h>

#include "support.h"

#define BODY_MAX 1000u
#define FIELDS_MAX 8

/* "Name: value" lines as a list. */
static size_t split(const char *const *lines, struct header *ret_headers)
{
    size_t count = 0;
    for (; lines[count] != NULL; count++) {
        ck_assert_uint_lt(count, FIELDS_MAX);
        const char *mark = strstr(lines[count], ": ");
        ck_assert_ptr_nonnull(mark);
        ret_headers[count].name = varve_slice(lines[count], (size_t)(mark - lines[count]));
        ret_headers[count].value = varve_slice_str(mark + 2);
    }
    return count;
}

static void ck_framing(const char *const *lines, bool needs_body, bool chunked, bool has_length,
                       uint64_t length)
{
    struct header headers[FIELDS_MAX];
    struct framing framing = {0};
    struct problem problem = {0};
    size_t count = split(lines, headers);
    ck_ok(framing_check(headers, count, needs_body, BODY_MAX, &framing, &problem));
    ck_assert_int_eq(framing.chunked, chunked);
    ck_assert_int_eq(framing.has_length, has_length);
    ck_assert_uint_eq(framing.length, length);
}

static void ck_framing_refused(const char *const *lines, enum problem_code code)
{
    struct header headers[FIELDS_MAX];
    struct framing framing = {0};
    struct problem problem = {0};
    size_t count = split(lines, headers);
    ck_assert_msg(framing_check(headers, count, true, BODY_MAX, &framing, &problem) != VARVE_OK,
                  "%s is taken", lines[0]);
    ck_assert_int_eq(problem_closes(&problem), code != PROBLEM_LENGTH_REQUIRED);
    ck_problem(&problem, code, NULL);
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(good_framing)
{
    ck_framing(LINES("Host: a"), false, false, false, 0);
    ck_framing(LINES("Host: a", "Content-Length: 0"), true, false, true, 0);
    ck_framing(LINES("content-length: 1000"), true, false, true, 1000);
    ck_framing(LINES("Content-Length:  5\t"), true, false, true, 5);
    ck_framing(LINES("Content-Length: 0005"), true, false, true, 5);
    ck_framing(LINES("Transfer-Encoding: chunked"), true, true, false, 0);
    ck_framing(LINES("transfer-encoding:  CHUNKED"), true, true, false, 0);
    ck_framing(LINES("Accept: a", "Accept: b", "X-A!#$%&'*+-.^_`|~9z: 1"), false, false, false, 0);
}
END_TEST

START_TEST(bad_framing)
{
    const char *const *const cases[] = {
        LINES("Transfer-Encoding: chunked", "Content-Length: 4"),
        LINES("Content-Length: 0", "Transfer-Encoding: chunked"),
        LINES("content-length: 5", "X: 1", "transfer-encoding: CHUNKED"),
        LINES("Transfer-Encoding: gzip"),
        LINES("Transfer-Encoding: identity"),
        LINES("Transfer-Encoding: gzip, chunked"),
        LINES("Transfer-Encoding: chunked, chunked"),
        LINES("Transfer-Encoding: chunked;q=1"),
        LINES("Transfer-Encoding: chunked "),
        LINES("Transfer-Encoding: chunked\t"),
        LINES("Transfer-Encoding: xchunked"),
        LINES("Transfer-Encoding: chunk"),
        LINES("Transfer-Encoding: "),
        LINES("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        LINES("Content-Length: 4", "Content-Length: 4"),
        LINES("Content-Length: 4", "X: 1", "content-length: 5"),
        LINES("Host: a", "Host: a", "Content-Length: 0"),
        LINES("Host: a", "HOST: b", "Content-Length: 0"),
        LINES("Authorization: a", "authorization: a", "Content-Length: 0"),
        LINES("Content-Length: "),
        LINES("Content-Length: 4, 4"),
        LINES("Content-Length: +4"),
        LINES("Content-Length: -4"),
        LINES("Content-Length: 0x4"),
        LINES("Content-Length: 4x"),
        LINES("Content-Length: 4 4"),
        LINES("Content-Length: 4.0"),
        LINES("Content-Length: \xb2"),
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        ck_framing_refused(cases[i], PROBLEM_BAD_FRAMING);
}
END_TEST

START_TEST(names_are_tokens)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (int c = 0; c < 256; c++) {
        uint8_t name[3] = {'X', (uint8_t)c, 'Y'};
        struct header header = {varve_slice(name, 3), L("1")};
        struct framing ignored = {0};
        struct problem problem = {0};
        bool token = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c != 0 && strchr(marks, c) != NULL);
        ck_assert_msg(
            (framing_check(&header, 1, false, BODY_MAX, &ignored, &problem) == VARVE_OK) == token,
            "%02x", c);
        problem_deinit(&problem);
    }
    ck_framing_refused(LINES(": 1"), PROBLEM_BAD_FRAMING);
    ck_framing_refused(LINES("Content-Length : 4"), PROBLEM_BAD_FRAMING);
}
END_TEST

START_TEST(lengths)
{
    struct header headers[FIELDS_MAX];
    struct framing framing = {0};
    struct problem problem = {0};
    ck_framing_refused(LINES("Host: a"), PROBLEM_LENGTH_REQUIRED);
    static const char *const too_long[] = {
        "Content-Length: 1001",
        "Content-Length: 18446744073709551615",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999999999999",
    };
    for (size_t i = 0; i < COUNT(too_long); i++)
        ck_framing_refused(LINES(too_long[i]), PROBLEM_BODY_TOO_LARGE);
    size_t count = split(LINES("Content-Length: 1001"), headers);
    ck_status(framing_check(headers, count, false, BODY_MAX, &framing, &problem), VARVE_TOO_LARGE);
    ck_assert_uint_eq(problem.limit, BODY_MAX);
    ck_assert_uint_eq(problem.actual, 1001);
    problem_deinit(&problem);
}
END_TEST

/* -1: none of them. */
static int choose(const char *const *lines)
{
    struct header headers[FIELDS_MAX];
    struct problem problem = {0};
    size_t choice = 99, count = split(lines, headers);
    enum varve_status status = accept_choose(headers, count, representation_types,
                                             REPRESENTATION_COUNT, &choice, &problem);
    if (status == VARVE_OK)
        return (int)choice;
    ck_problem(&problem, PROBLEM_NOT_ACCEPTABLE, "application/json, application/octet-stream");
    return -1;
}

static void ck_accept(const char *value, int expected)
{
    char line[256];
    snprintf(line, sizeof line, "Accept: %s", value);
    int choice = choose(LINES("Host: a", line));
    ck_assert_msg(choice == expected, "%s gives %d", line, choice);
}

START_TEST(accept_json)
{
    static const char *const values[] = {
        "",
        " ",
        ",",
        "*/*",
        "application/json",
        "application/*",
        "APPLICATION/JSON",
        "Application/*;Q=0.2",
        "text/html, */*;q=0.1",
        "application/json;q=0.5",
        "text/plain,application/json",
        "application/octet-stream;q=0.1, application/json",
        "application/json; q=1.000",
        "application/json;charset=utf-8",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/octet-stream;q=0.5, */*;q=0.6",
        "*/*, application/octet-stream;q=0",
        "application/json;q=0.001",
        "text/x;a=\"b,c;q=0\", application/json",
        "application/json, application/octet-stream",
        "application/octet-stream, application/json",
    };
    for (size_t i = 0; i < COUNT(values); i++)
        ck_accept(values[i], REPRESENTATION_JSON);
    ck_assert_int_eq(choose(LINES("Host: a")), REPRESENTATION_JSON);
}
END_TEST

START_TEST(accept_raw)
{
    static const char *const values[] = {
        "application/octet-stream",
        "Application/Octet-Stream",
        "application/octet-stream;q=0.3",
        "application/json;q=0.1, application/octet-stream",
        "application/octet-stream, */*;q=0.5",
        "application/json;q=0, */*",
        "application/json;q=0, application/*",
        "text/plain, application/octet-stream",
        "application/*;q=0.5, application/json;q=0.4",
        ", ,application/octet-stream,",
    };
    for (size_t i = 0; i < COUNT(values); i++)
        ck_accept(values[i], REPRESENTATION_RAW);
    ck_assert_int_eq(choose(LINES("Accept: text/plain", "accept: application/octet-stream")),
                     REPRESENTATION_RAW);
}
END_TEST

START_TEST(accept_none)
{
    static const char *const values[] = {
        "text/plain",
        "image/*",
        "application/xml",
        "application/octet-stream;q=0",
        "application/json;q=0",
        "application/json;q=0.000",
        "application/jsonx",
        "application/jso",
        "text/*, image/png",
        "*/*;q=0",
        "application",
        "*",
        "*/json",
        "application/json;q=2",
        "application/json;q=-1",
        "application/json;q=",
        "application/json;q=0.1234",
        "application/json;q=1.1",
        "application/json;q=abc",
        "application/ json",
        "\"application/json\"",
        "application/*;q=0, text/html",
    };
    for (size_t i = 0; i < COUNT(values); i++)
        ck_accept(values[i], -1);
}
END_TEST

static void ck_type(const char *value, bool takes_raw, int expected)
{
    char line[256];
    struct header headers[FIELDS_MAX];
    struct problem problem = {0};
    enum representation representation = REPRESENTATION_COUNT;
    snprintf(line, sizeof line, "Content-Type: %s", value);
    size_t count = split(LINES("Host: a", line), headers);
    enum varve_status status =
        content_type_choose(headers, count, takes_raw ? REPRESENTATION_RAW : REPRESENTATION_JSON,
                            &representation, &problem);
    if (expected < 0) {
        ck_assert_msg(status == VARVE_INVALID, "%s", line);
        ck_problem(&problem, PROBLEM_UNSUPPORTED_MEDIA_TYPE, "application/json");
    } else {
        ck_ok(status);
        ck_assert_int_eq(representation, expected);
    }
}

START_TEST(content_types)
{
    static const char *const json[] = {
        "",
        " ",
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"utf-8\"",
        " application/json ;x=y",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
    };
    for (size_t i = 0; i < COUNT(json); i++) {
        ck_type(json[i], true, REPRESENTATION_JSON);
        ck_type(json[i], false, REPRESENTATION_JSON);
    }
    ck_type("application/octet-stream", true, REPRESENTATION_RAW);
    ck_type("APPLICATION/octet-stream; x=y", true, REPRESENTATION_RAW);
    ck_type("application/octet-stream", false, -1);
    static const char *const other[] = {
        "text/plain",      "text/json",   "application/jsonx",
        "application/xml", "application", "multipart/form-data; boundary=x",
        "application/*",   "*/*",         "application/json, text/plain"};
    for (size_t i = 0; i < COUNT(other); i++) {
        ck_type(other[i], true, -1);
        ck_type(other[i], false, -1);
    }
    enum representation representation = REPRESENTATION_COUNT;
    struct problem problem = {0};
    const struct header lines[] = {{L("Content-Type"), L("Application/X-NDJSON; charset=utf-8")}};
    ck_ok(content_type_choose(lines, 1, REPRESENTATION_NDJSON, &representation, &problem));
    ck_assert_int_eq(representation, REPRESENTATION_NDJSON);
    ck_status(content_type_choose(lines, 1, REPRESENTATION_RAW, &representation, &problem),
              VARVE_INVALID);
    ck_problem(&problem, PROBLEM_UNSUPPORTED_MEDIA_TYPE, "application/octet-stream");
    ck_ok(content_type_choose(NULL, 0, REPRESENTATION_RAW, &representation, &problem));
    ck_assert_int_eq(representation, REPRESENTATION_JSON);
}
END_TEST

START_TEST(own_request_ids)
{
    char longest[LIMIT_REQUEST_ID_BYTES + 1];
    memset(longest, '~', LIMIT_REQUEST_ID_BYTES);
    longest[LIMIT_REQUEST_ID_BYTES] = '\0';
    const char *const values[] = {"a", "0189-abc.DEF_~", "a b", "\"\\</script>", longest};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct header header = {L("x-request-id"), varve_slice_str(values[i])};
        struct request_id id = {0};
        request_id_choose(&id, &header, 1, 1, 2);
        ck_assert_str_eq(id.text, values[i]);
        ck_assert_uint_eq(id.size, strlen(values[i]));
    }
}
END_TEST

START_TEST(fresh_request_ids)
{
    char too_long[LIMIT_REQUEST_ID_BYTES + 2];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    const char *const values[] = {"", "a\x01", "\x7f", "\x80", "\xc3\xa9", "a\tb", too_long};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct header header = {L("X-Request-Id"), varve_slice_str(values[i])};
        struct request_id id = {0};
        request_id_choose(&id, &header, 1, 0xabc, 0xffffffffffffffff);
        ck_assert_str_eq(id.text, "0000000000000abcffffffffffffffff");
        ck_assert_uint_eq(id.size, 32);
    }
    struct request_id first = {0}, second = {0};
    request_id_choose(&first, NULL, 0, 1, 1);
    request_id_choose(&second, NULL, 0, 1, 2);
    ck_assert_str_ne(first.text, second.text);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"good_framing", good_framing},         {"bad_framing", bad_framing},
        {"names_are_tokens", names_are_tokens}, {"lengths", lengths},
        {"accept_json", accept_json},           {"accept_raw", accept_raw},
        {"accept_none", accept_none},           {"content_types", content_types},
        {"own_request_ids", own_request_ids},   {"fresh_request_ids", fresh_request_ids},
    };
    return SUPPORT_RUN("headers", tests);
}
