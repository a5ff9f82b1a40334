/* The lists of If-None-Match, well formed, malformed, and what they hold. */
#include "support.h"

#include "service/entity_tag.h"

START_TEST(test_format)
{
    char text[ENTITY_TAG_BYTES];
    entity_tag_format(42, ENTITY_RAW, text);
    ck_assert_str_eq(text, "\"42\"");
    entity_tag_format(42, ENTITY_JSON, text);
    ck_assert_str_eq(text, "\"42-json\"");
    entity_tag_format(UINT64_MAX, ENTITY_UTF8, text);
    ck_assert_str_eq(text, "\"18446744073709551615-utf8\"");
}
END_TEST

START_TEST(test_listed)
{
    static const struct {
        const char *list;
        bool listed;
    } cases[] = {
        {"\"42\"", true},        {"W/\"42\"", true},           {"*", true},
        {" * ", true},           {"\"1\", \"42\"", true},      {"\"1\",\"42\",", true},
        {", ,\"42\"", true},     {"\"a,b\"\t,\t\"42\"", true}, {"\"43\"", false},
        {"\"42-json\"", false},  {"\"4\", \"2\"", false},      {"\"\"", false},
        {"\"\xc3\xa9\"", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool listed = !cases[i].listed;
        ck_assert_msg(entity_tag_is_listed(varve_slice_str(cases[i].list), "\"42\"", &listed), "%s",
                      cases[i].list);
        ck_assert_msg(listed == cases[i].listed, "%s", cases[i].list);
    }
}
END_TEST

START_TEST(test_malformed)
{
    static const char *const lists[] = {
        "",         " ",         ",",         "42",       "\"42",    "42\"",    "w/\"42\"",
        "W/42",     "W/ \"42\"", "W/",        "\"42\" x", "\"4 2\"", "\"42\"*", "\"42\" \"43\"",
        "*, \"4\"", "\"42\", x", "\"4\x7f\"", "\"42\";a",
    };
    for (size_t i = 0; i < COUNT(lists); i++) {
        bool listed = true;
        struct varve_slice copy = {0};
        uint8_t *bytes = exact_copy(varve_slice_str(lists[i]), &copy);
        ck_assert_msg(!entity_tag_is_listed(copy, "\"42\"", &listed), "%s", lists[i]);
        free(bytes);
    }
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"format", test_format},
        {"listed", test_listed},
        {"malformed", test_malformed},
    };
    return SUPPORT_RUN("entity_tag", tests);
}
