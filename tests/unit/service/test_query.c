/* Percent decoding and query parameters. */
#include "service/query.h"

#include <stdio.h>

#include "support.h"

static void ck_decodes(struct varve_slice raw, bool form, struct varve_slice expected)
{
    struct buf decoded = {0};
    struct varve_slice copy = {0}, result = {0};
    uint8_t *memory = exact_copy(raw, &copy);
    ck_ok(percent_decode(copy, form, &decoded, &result));
    ck_bytes(result, expected);
    free(memory);
    buf_deinit(&decoded);
}

START_TEST(every_byte_in_both_cases)
{
    for (int c = 0; c < 256; c++) {
        char upper[8], lower[8];
        uint8_t byte = (uint8_t)c;
        snprintf(upper, sizeof upper, "%%%02X", c);
        snprintf(lower, sizeof lower, "%%%02x", c);
        ck_decodes(varve_slice_str(upper), false, varve_slice(&byte, 1));
        ck_decodes(varve_slice_str(lower), true, varve_slice(&byte, 1));
    }
}
END_TEST

START_TEST(decoded_once)
{
    ck_decodes(L("%2541"), false, L("%41"));
    ck_decodes(L("%25%34%31"), false, L("%41"));
    ck_decodes(L("a+b"), false, L("a+b"));
    ck_decodes(L("a+b%2B"), false, L("a+b+"));
    ck_decodes(L("a+b%2B"), true, L("a b+"));
    ck_decodes(L(""), true, L(""));
    ck_decodes(L("%00%2F%ff/../.%2e"), false, L("\0/\xff/../.."));
}
END_TEST

START_TEST(bytes_that_stay)
{
    uint8_t raw[255];
    size_t size = 0;
    for (int c = 0; c < 256; c++) {
        if (c != '%')
            raw[size++] = (uint8_t)c;
    }
    ck_decodes(varve_slice(raw, size), false, varve_slice(raw, size));
    struct buf decoded = {0};
    struct varve_slice result = {0};
    ck_ok(percent_decode(varve_slice(raw, size), false, &decoded, &result));
    ck_assert_ptr_eq(result.data, raw); /* borrowed, not copied */
    ck_assert_uint_eq(decoded.capacity, 0);
}
END_TEST

START_TEST(bad_escapes)
{
    static const char *const texts[] = {"%",    "%4",   "a%",    "a%4",  "%4G",
                                        "%G4",  "%%41", "%4%31", "% 1",  "%+1",
                                        "%0x1", "%u00", "%-1",   "%41%", "%41%2"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (int form = 0; form < 2; form++) {
            struct buf decoded = {0};
            struct varve_slice copy = {0}, result = {0};
            uint8_t *memory = exact_copy(varve_slice_str(texts[i]), &copy);
            ck_assert_msg(percent_decode(copy, form, &decoded, &result) == VARVE_INVALID, "%s",
                          texts[i]);
            ck_assert_uint_eq(decoded.size, 0);
            free(memory);
            buf_deinit(&decoded);
        }
    }
}
END_TEST

START_TEST(parameters)
{
    struct query query = {0};
    struct problem problem = {0};
    ck_ok(query_parse(&query, L("a=1&b=&c&%64=%31+2&&e=x=y&&"), &problem));
    ck_assert_uint_eq(query.count, 5);
    ck_text(query_find(&query, "a")->value, "1");
    ck_assert(query_find(&query, "b")->has_value && query_find(&query, "b")->value.size == 0);
    ck_assert(!query_find(&query, "c")->has_value);
    ck_text(query_find(&query, "d")->value, "1 2");
    ck_text(query_find(&query, "e")->value, "x=y");
    ck_assert_ptr_null(query_find(&query, "A"));
    ck_assert_ptr_null(query_find(&query, ""));
    query_deinit(&query);

    ck_ok(query_parse(&query, L(""), &problem));
    ck_assert_uint_eq(query.count, 0);
    query_deinit(&query);
    query_deinit(&query);
}
END_TEST

static void ck_query_refused(struct varve_slice raw, const char *word)
{
    struct query query = {0};
    struct problem problem = {0};
    ck_status(query_parse(&query, raw, &problem), VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_PARAMETER, word);
    query_deinit(&query);
}

START_TEST(refused_queries)
{
    ck_query_refused(L("a=1&a=1"), "\"a\" occurs twice");
    ck_query_refused(L("abc&b&%61bc=2"), "\"abc\" occurs twice");
    ck_query_refused(L("limit=%4"), "\"limit\" has a bad percent escape");
    ck_query_refused(L("%zz=1"), "bad percent escape");
    ck_query_refused(L("=1&=2"), "twice");
    ck_query_refused(L("a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q"), "too many");
}
END_TEST

START_TEST(unknown_parameters_are_named)
{
    static const char *const known[] = {"limit", "sync", NULL};
    struct query query = {0};
    struct problem problem = {0};
    ck_ok(query_parse(&query, L("sync=1&limit=2"), &problem));
    ck_ok(query_check_known(&query, known, &problem));
    query_deinit(&query);
    static const char *const texts[] = {"sync=1&colour=2", "colour", "%63olour=x",
                                        "limit=1&colour"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        ck_ok(query_parse(&query, varve_slice_str(texts[i]), &problem));
        ck_status(query_check_known(&query, known, &problem), VARVE_INVALID);
        ck_problem(&problem, PROBLEM_INVALID_PARAMETER, "\"colour\" is not known");
        query_deinit(&query);
    }
    static const char *const near[] = {"Limit=1", "limit%00=1", "limi=1", "limits=1", "=1"};
    for (size_t i = 0; i < COUNT(near); i++) {
        ck_ok(query_parse(&query, varve_slice_str(near[i]), &problem));
        ck_status(query_check_known(&query, known, &problem), VARVE_INVALID);
        ck_problem(&problem, PROBLEM_INVALID_PARAMETER, "not known");
        query_deinit(&query);
    }
}
END_TEST

START_TEST(bools)
{
    struct query query = {0};
    struct problem problem = {0};
    bool value = true;
    ck_ok(query_parse(&query, L("yes=true&no=false&empty=&bare&one=1&upper=TRUE&nul=true%00"),
                      &problem));
    ck_ok(query_get_bool(&query, "absent", &value, &problem));
    ck_assert(value);
    ck_ok(query_get_bool(&query, "no", &value, &problem));
    ck_assert(!value);
    ck_ok(query_get_bool(&query, "yes", &value, &problem));
    ck_assert(value);
    static const char *const bad[] = {"empty", "bare", "one", "upper", "nul"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        ck_status(query_get_bool(&query, bad[i], &value, &problem), VARVE_INVALID);
        ck_problem(&problem, PROBLEM_INVALID_PARAMETER, bad[i]);
    }
    query_deinit(&query);
}
END_TEST

static enum varve_status get_uint(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    struct query query = {0};
    struct problem problem = {0};
    ck_ok(query_parse(&query, varve_slice_str(text), &problem));
    enum varve_status status = query_get_uint(&query, "n", min, max, ret, &problem);
    if (status != VARVE_OK)
        ck_problem(&problem, PROBLEM_INVALID_PARAMETER, "\"n\"");
    query_deinit(&query);
    return status;
}

START_TEST(numbers)
{
    uint64_t value = 77;
    ck_ok(get_uint("m=1", 1, 1000, &value));
    ck_assert_uint_eq(value, 77);
    ck_ok(get_uint("n=1", 1, 1000, &value));
    ck_assert_uint_eq(value, 1);
    ck_ok(get_uint("n=%31000", 1, 1000, &value));
    ck_assert_uint_eq(value, 1000);
    ck_ok(get_uint("n=18446744073709551615", 0, UINT64_MAX, &value));
    ck_assert_uint_eq(value, UINT64_MAX);
    static const char *const bad[] = {
        "n",        "n=",
        "n=0",      "n=1001",
        "n=-1",     "n=%2B1",
        "n=+1",     "n=1+",
        "n=1.0",    "n=1e2",
        "n=0x1",    "n=1a",
        "n=1%00",   "n=18446744073709551617",
        "n=%D9%A1", "n=99999999999999999999999999",
    };
    value = 77;
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(get_uint(bad[i], 1, 1000, &value) == VARVE_INVALID, "%s", bad[i]);
    ck_assert_uint_eq(value, 77);
}
END_TEST

START_TEST(flags_and_encodings)
{
    struct query query = {0};
    struct problem problem = {0};
    bool set = false, utf8 = false;
    ck_ok(query_parse(&query, L("raw&other=&third=1&e=utf8&f=base64&g=hex&h"), &problem));
    ck_ok(query_get_flag(&query, "absent", &set, &problem));
    ck_assert(!set);
    ck_ok(query_get_flag(&query, "raw", &set, &problem));
    ck_assert(set);
    ck_ok(query_get_flag(&query, "other", &set, &problem));
    ck_status(query_get_flag(&query, "third", &set, &problem), VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_PARAMETER, "third");
    ck_ok(query_get_encoding(&query, "e", &utf8, &problem));
    ck_assert(utf8);
    ck_ok(query_get_encoding(&query, "absent", &utf8, &problem));
    ck_assert(utf8);
    ck_ok(query_get_encoding(&query, "f", &utf8, &problem));
    ck_assert(!utf8);
    ck_status(query_get_encoding(&query, "g", &utf8, &problem), VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_PARAMETER, "\"g\"");
    ck_status(query_get_encoding(&query, "h", &utf8, &problem), VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INVALID_PARAMETER, "\"h\"");
    query_deinit(&query);
}
END_TEST

/* As many base64 parameters as there can be, each read twice: no slice moves. */
START_TEST(bytes)
{
    struct query query = {0};
    struct problem problem = {0};
    struct varve_slice values[LIMIT_QUERY_PARAMS];
    struct varve_slice plain = {0};
    bool given = false;
    ck_ok(
        query_parse(&query,
                    L("a=%4100&b64=QQ&c64=QUI&d64=QUJD&e64=&f64=QQ==&g64=QQ%3D%3D&h64=-_-_&i64=QQ&"
                      "j64=QQ&k64=QQ&l64=QQ&m64=QQ&n64=QQ&o64=QQ&p64=QQ"),
                    &problem));
    ck_ok(query_get_bytes(&query, "a", "a64", &plain, &given, &problem));
    ck_assert(given);
    for (int turn = 0; turn < 2; turn++) {
        for (char c = 'b'; c <= 'p'; c++) {
            char name[2] = {c, 0}, name64[4] = {c, '6', '4', 0};
            given = false;
            ck_ok(query_get_bytes(&query, name, name64, &values[c - 'a'], &given, &problem));
            ck_assert(given);
        }
    }
    ck_text(plain, "A00");
    ck_text(values[1], "A");
    ck_text(values[2], "AB");
    ck_text(values[3], "ABC");
    ck_text(values[4], "");
    ck_text(values[5], "A");
    ck_text(values[6], "A");
    ck_text(values[7], "\xfb\xff\xbf");
    for (int i = 8; i < 16; i++)
        ck_text(values[i], "A");
    given = false;
    ck_ok(query_get_bytes(&query, "x", "x64", &plain, &given, &problem));
    ck_assert(!given);
    query_deinit(&query);
}
END_TEST

START_TEST(refused_bytes)
{
    static const struct {
        const char *query, *word;
    } cases[] = {
        {"k=a&k64=YQ", "exclude"}, {"k64=YQ&k=", "exclude"},    {"k64=Y", "\"k64\""},
        {"k64=YR", "\"k64\""},     {"k64=YQ%0A", "\"k64\""},    {"k64=a%2Bb", "\"k64\""},
        {"k64=a+b", "\"k64\""},    {"k64=YQ==YQ==", "\"k64\""}, {"k64=YQ=", "\"k64\""},
        {"k64=%00", "\"k64\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct query query = {0};
        struct problem problem = {0};
        struct varve_slice value = {0};
        bool given = false;
        ck_ok(query_parse(&query, varve_slice_str(cases[i].query), &problem));
        ck_assert_msg(query_get_bytes(&query, "k", "k64", &value, &given, &problem) ==
                          VARVE_INVALID,
                      "%s", cases[i].query);
        ck_problem(&problem, PROBLEM_INVALID_PARAMETER, cases[i].word);
        query_deinit(&query);
    }
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"every_byte_in_both_cases", every_byte_in_both_cases},
        {"decoded_once", decoded_once},
        {"bytes_that_stay", bytes_that_stay},
        {"bad_escapes", bad_escapes},
        {"parameters", parameters},
        {"refused_queries", refused_queries},
        {"unknown_parameters_are_named", unknown_parameters_are_named},
        {"bools", bools},
        {"numbers", numbers},
        {"flags_and_encodings", flags_and_encodings},
        {"bytes", bytes},
        {"refused_bytes", refused_bytes},
    };
    return SUPPORT_RUN("query", tests);
}
