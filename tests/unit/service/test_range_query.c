/* What a scan asks for. */
#include "service/range_query.h"

#include <stdio.h>

#include <varve/options.h>

#include "service/limits.h"
#include "support.h"

struct asked {
    struct query query;
    struct range_query range;
    struct problem problem;
};

static enum varve_status ask_as(struct asked *asked, struct varve_slice text, enum range_form form)
{
    *asked = (struct asked){0};
    enum varve_status status = query_parse(&asked->query, text, &asked->problem);
    return status == VARVE_OK
               ? range_query_parse(&asked->range, &asked->query, form, &asked->problem)
               : status;
}

static enum varve_status ask(struct asked *asked, struct varve_slice text)
{
    return ask_as(asked, text, RANGE_PAGE);
}

static void asked_deinit(struct asked *asked)
{
    range_query_deinit(&asked->range);
    query_deinit(&asked->query);
    problem_deinit(&asked->problem);
}

static void ck_range(const char *text, struct varve_slice start, struct varve_slice end, bool none)
{
    struct asked asked;
    ck_assert_msg(ask(&asked, varve_slice_str(text)) == VARVE_OK, "%s: %s", text,
                  asked.problem.detail);
    ck_bytes(asked.range.start, start);
    ck_bytes(asked.range.end, end);
    ck_assert_int_eq(asked.range.none, none);
    asked_deinit(&asked);
}

static void ck_refused(const char *text, enum problem_code code, const char *word)
{
    struct asked asked;
    ck_assert_msg(ask(&asked, varve_slice_str(text)) == VARVE_INVALID, "%s", text);
    ck_problem(&asked.problem, code, word);
    asked_deinit(&asked);
}

START_TEST(bounds)
{
    ck_range("", L(""), L(""), false);
    ck_range("start=a", L("a"), L(""), false);
    ck_range("end=b", L(""), L("b"), false);
    ck_range("start=a&end=b", L("a"), L("b"), false);
    ck_range("end=b+c&start=%00", L("\0"), L("b c"), false);
    ck_range("start64=AP8&end64=YQ", L("\0\xff"), L("a"), false);
    ck_range("start64=YQ&end=b", L("a"), L("b"), false);
    ck_range("start=&end=", L(""), L(""), false);
    ck_range("start64=&end=b", L(""), L("b"), false);
    ck_range("start=b&end=", L("b"), L(""), false);
    ck_range("start=a&end=a", L("a"), L("a"), true);
    ck_range("start=a&end=a%00", L("a"), L("a\0"), false);
}
END_TEST

START_TEST(prefixes)
{
    ck_range("prefix=", L(""), L(""), false);
    ck_range("prefix64=", L(""), L(""), false);
    ck_range("prefix=user/", L("user/"), L("user0"), false);
    ck_range("prefix=a%00", L("a\0"), L("a\x01"), false);
    ck_range("prefix=a%ff", L("a\xff"), L("b"), false);
    ck_range("prefix=a%fe%ff%ff", L("a\xfe\xff\xff"), L("a\xff"), false);
    ck_range("prefix=%ff", L("\xff"), L(""), false);
    ck_range("prefix64=____", L("\xff\xff\xff"), L(""), false);
}
END_TEST

START_TEST(refused_bounds)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"start=b&end=a", "\"start\" is greater"},
        {"start=b&end=a&reverse=true", "\"start\" is greater"},
        {"start=a%00&end=a", "\"start\" is greater"},
        {"prefix=a&start=a", "\"prefix\" excludes"},
        {"prefix=a&end64=Yg", "\"prefix\" excludes"},
        {"prefix=&start=", "\"prefix\" excludes"},
        {"start=a&start64=YQ", "exclude each other"},
        {"end=a&end64=YQ", "exclude each other"},
        {"prefix=a&prefix64=YQ", "exclude each other"},
        {"start64=Y", "\"start64\""},
        {"end64=*", "\"end64\""},
        {"prefix64=YR", "\"prefix64\""},
        {"limit=0", "\"limit\""},
        {"limit=1001", "\"limit\""},
        {"limit=", "\"limit\""},
        {"reverse=1", "\"reverse\""},
        {"reverse", "\"reverse\""},
        {"keys_only=yes", "\"keys_only\""},
        {"encoding=hex", "\"encoding\""},
        {"colour=1", "\"colour\""},
        {"raw", "\"raw\""},
        {"key=a", "\"key\""},
        {"sync=true", "\"sync\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        ck_refused(cases[i].text, PROBLEM_INVALID_PARAMETER, cases[i].word);
}
END_TEST

START_TEST(count)
{
    struct asked asked;
    ck_ok(ask_as(&asked, L("count_only=true&prefix=a&reverse=true"), RANGE_COUNT));
    ck_bytes(asked.range.start, L("a"));
    ck_bytes(asked.range.end, L("b"));
    ck_assert_uint_eq(asked.range.limit, UINT64_MAX);
    asked_deinit(&asked);
    static const char *const refused[] = {"limit=5", "cursor=x", "cursor="};
    for (size_t i = 0; i < COUNT(refused); i++) {
        ck_assert_int_eq(ask_as(&asked, varve_slice_str(refused[i]), RANGE_COUNT), VARVE_INVALID);
        ck_problem(&asked.problem, PROBLEM_INVALID_PARAMETER, "\"count_only\" excludes");
        asked_deinit(&asked);
    }
}
END_TEST

START_TEST(stream)
{
    struct asked asked;
    ck_ok(ask_as(&asked, L("reverse=true"), RANGE_STREAM));
    ck_assert_uint_eq(asked.range.limit, UINT64_MAX);
    asked_deinit(&asked);
    ck_ok(ask_as(&asked, L("limit=1000000"), RANGE_STREAM));
    ck_assert_uint_eq(asked.range.limit, 1000000);
    asked_deinit(&asked);
    ck_assert_int_eq(ask_as(&asked, L("limit=0"), RANGE_STREAM), VARVE_INVALID);
    ck_problem(&asked.problem, PROBLEM_INVALID_PARAMETER, "\"limit\"");
    asked_deinit(&asked);
}
END_TEST

START_TEST(bound_lengths)
{
    static const char *const names[] = {"start", "end", "prefix"};
    char text[VARVE_KEY_BYTES_MAX + 64];
    for (size_t i = 0; i < COUNT(names); i++) {
        struct asked asked;
        snprintf(text, sizeof text, "%s=%0*d", names[i], (int)VARVE_KEY_BYTES_MAX, 0);
        ck_ok(ask(&asked, varve_slice_str(text)));
        asked_deinit(&asked);
        snprintf(text, sizeof text, "%s=%0*d", names[i], (int)VARVE_KEY_BYTES_MAX + 1, 0);
        ck_refused(text, PROBLEM_INVALID_PARAMETER, names[i]);
    }
}
END_TEST

START_TEST(page)
{
    struct asked asked;
    ck_ok(ask(&asked, L("")));
    ck_assert_uint_eq(asked.range.limit, LIMIT_RANGE_ITEMS_DEFAULT);
    ck_assert(!asked.range.reverse && !asked.range.keys_only && !asked.range.utf8);
    asked_deinit(&asked);
    ck_ok(ask(&asked, L("limit=1000&reverse=true&keys_only=true&encoding=utf8")));
    ck_assert_uint_eq(asked.range.limit, LIMIT_RANGE_ITEMS_MAX);
    ck_assert(asked.range.reverse && asked.range.keys_only && asked.range.utf8);
    asked_deinit(&asked);
    ck_ok(ask(&asked, L("limit=1&reverse=false&keys_only=false&encoding=base64")));
    ck_assert_uint_eq(asked.range.limit, 1);
    ck_assert(!asked.range.reverse && !asked.range.keys_only && !asked.range.utf8);
    asked_deinit(&asked);
    asked_deinit(&asked);
}
END_TEST

/* Asks for a first page with `first`, then with its cursor behind `last_key` and `more`. */
static enum varve_status resume(struct asked *asked, const char *first, struct varve_slice last_key,
                                const char *more)
{
    struct buf text = {0};
    ck_ok(ask(asked, varve_slice_str(first)));
    ck_ok(buf_append_format(&text, "%s&cursor=", more));
    ck_ok(range_query_next_cursor(&asked->range, last_key, &text));
    asked_deinit(asked);
    struct varve_slice copy = {0};
    static uint8_t *kept; /* what the slices of the answer borrow, until the next call */
    free(kept);
    kept = exact_copy(buf_slice(&text), &copy);
    buf_deinit(&text);
    return ask(asked, copy);
}

static void ck_resumes(const char *first, struct varve_slice last_key, const char *more,
                       struct varve_slice start, struct varve_slice end)
{
    struct asked asked;
    ck_assert_msg(resume(&asked, first, last_key, more) == VARVE_OK, "%s, %s: %s", first, more,
                  asked.problem.detail);
    ck_bytes(asked.range.start, start);
    ck_bytes(asked.range.end, end);
    ck_assert(!asked.range.none);
    ck_assert_int_eq(asked.range.reverse, strstr(first, "reverse=true") != NULL);
    asked_deinit(&asked);
}

START_TEST(cursors)
{
    ck_resumes("", L("k"), "", L("k\0"), L(""));
    ck_resumes("start=a&end=z", L("k"), "", L("k\0"), L("z"));
    ck_resumes("start=a&end=z", L("k"), "start=a", L("k\0"), L("z"));
    ck_resumes("start=a&end=z", L("k"), "end64=eg", L("k\0"), L("z"));
    ck_resumes("start=a&end=z", L("k"), "start=a&end=z&reverse=false", L("k\0"), L("z"));
    ck_resumes("start=a&end=z&reverse=true", L("k"), "", L("a"), L("k"));
    ck_resumes("start=a&end=z&reverse=true", L("k"), "start=a&end=z&reverse=true", L("a"), L("k"));
    ck_resumes("prefix=user/", L("user/1"), "", L("user/1\0"), L("user0"));
    ck_resumes("prefix=user/", L("user/1"), "prefix=user/", L("user/1\0"), L("user0"));
    ck_resumes("prefix=user/", L("user/1"), "start=user/&end=user0", L("user/1\0"), L("user0"));
    ck_resumes("prefix=user/&reverse=true", L("user/1"), "prefix=user/", L("user/"), L("user/1"));
    ck_resumes("prefix=%ff&reverse=true", L("\xff\xff"), "prefix=%ff", L("\xff"), L("\xff\xff"));
    ck_resumes("", L("k"), "start=&end=", L("k\0"), L(""));
    ck_resumes("", L("k"), "limit=5&keys_only=true&encoding=utf8", L("k\0"), L(""));
}
END_TEST

START_TEST(cursors_of_another_query)
{
    static const struct {
        const char *first, *more;
    } cases[] = {
        {"start=a&end=z", "start=b"},
        {"start=a&end=z", "end=y"},
        {"start=a&end=z", "start="},
        {"start=a&end=z", "end="},
        {"start=a&end=z", "reverse=true"},
        {"start=a&end=z", "prefix=a"},
        {"start=a&end=z", "prefix="},
        {"start=a&end=z&reverse=true", "start=b"},
        {"start=a&end=z&reverse=true", "end=y"},
        {"start=a&end=z&reverse=true", "reverse=false"},
        {"", "start=a"},
        {"", "end=z"},
        {"prefix=k", "prefix=k1"},
        {"prefix=k", "start=k"
                     "&end=m"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        ck_assert_msg(resume(&asked, cases[i].first, L("k"), cases[i].more) == VARVE_INVALID,
                      "%s, %s", cases[i].first, cases[i].more);
        ck_problem(&asked.problem, PROBLEM_INVALID_CURSOR, NULL);
        asked_deinit(&asked);
    }
}
END_TEST

START_TEST(cursors_that_are_none)
{
    static const char *const texts[] = {"cursor=",       "cursor",      "cursor=x",  "cursor=AAAA",
                                        "cursor=%00%00", "cursor=null", "cursor=%20"};
    for (size_t i = 0; i < COUNT(texts); i++)
        ck_refused(texts[i], PROBLEM_INVALID_CURSOR, NULL);
}
END_TEST

/* The page behind the second is that of the first's query still. */
START_TEST(cursor_of_a_cursor)
{
    struct asked asked;
    struct buf text = {0};
    ck_ok(resume(&asked, "start=a&end=z", L("k"), ""));
    ck_ok(buf_append_format(&text, "start=a&end=z&cursor="));
    ck_ok(range_query_next_cursor(&asked.range, L("m"), &text));
    asked_deinit(&asked);
    ck_ok(ask(&asked, buf_slice(&text)));
    ck_bytes(asked.range.start, L("m\0"));
    ck_bytes(asked.range.end, L("z"));
    asked_deinit(&asked);
    buf_deinit(&text);
}
END_TEST

START_TEST(behind_the_longest_keys)
{
    uint8_t key[VARVE_KEY_BYTES_MAX];
    struct asked asked;
    memset(key, 'k', sizeof key);
    ck_ok(resume(&asked, "", varve_slice(key, sizeof key), ""));
    key[sizeof key - 1]++;
    ck_bytes(asked.range.start, varve_slice(key, sizeof key));
    asked_deinit(&asked);

    memset(key + 1, 0xff, sizeof key - 1);
    ck_ok(resume(&asked, "", varve_slice(key, sizeof key), ""));
    ck_text(asked.range.start, "l");
    asked_deinit(&asked);

    memset(key, 0xff, sizeof key);
    ck_ok(resume(&asked, "", varve_slice(key, sizeof key), ""));
    ck_assert(asked.range.none);
    asked_deinit(&asked);
    ck_ok(resume(&asked, "reverse=true", varve_slice(key, sizeof key), ""));
    ck_assert(!asked.range.none);
    ck_bytes(asked.range.end, varve_slice(key, sizeof key));
    asked_deinit(&asked);

    ck_ok(resume(&asked, "start=a&end=k%00", L("k"), ""));
    ck_assert(asked.range.none);
    asked_deinit(&asked);
    ck_ok(resume(&asked, "start=a&end=b&reverse=true", L("a"), ""));
    ck_assert(asked.range.none);
    asked_deinit(&asked);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"bounds", bounds},
        {"prefixes", prefixes},
        {"refused_bounds", refused_bounds},
        {"count", count},
        {"stream", stream},
        {"bound_lengths", bound_lengths},
        {"page", page},
        {"cursors", cursors},
        {"cursors_of_another_query", cursors_of_another_query},
        {"cursors_that_are_none", cursors_that_are_none},
        {"cursor_of_a_cursor", cursor_of_a_cursor},
        {"behind_the_longest_keys", behind_the_longest_keys},
    };
    return SUPPORT_RUN("range_query", tests);
}
