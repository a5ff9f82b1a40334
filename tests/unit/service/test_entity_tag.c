/* The lists of If-Match and If-None-Match, well formed, malformed, and what they hold. */
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
        struct entity_tags tags = {0};
        ck_assert_msg(!entity_tag_is_listed(copy, "\"42\"", &listed), "%s", lists[i]);
        ck_status(entity_tags_add(&tags, copy), VARVE_INVALID);
        entity_tags_deinit(&tags);
        free(bytes);
    }
}
END_TEST

static void ck_tags(const char *list, bool any, size_t count, const uint64_t *revisions)
{
    struct entity_tags tags = {0};
    ck_ok(entity_tags_add(&tags, varve_slice_str(list)));
    ck_assert_msg(tags.given && tags.any == any, "%s", list);
    ck_assert_msg(tags.revisions.size == count * sizeof(uint64_t), "%s", list);
    if (count > 0)
        ck_assert_int_eq(memcmp(tags.revisions.data, revisions, tags.revisions.size), 0);
    entity_tags_deinit(&tags);
}

START_TEST(test_revisions)
{
    static const uint64_t revisions[] = {42, 7, UINT64_MAX};
    static const char *const none[] = {
        "\"0\"",      "\"042\"",     "W/\"42\"",
        "\"\"",       "\"42-\"",     "\"-json\"",
        "\"42-jso\"", "\"42-JSON\"", "\"42-json-utf8\"",
        "\"x42\"",    "\"+42\"",     "\"18446744073709551616\"",
        "\"0-json\"",
    };
    ck_tags("*", true, 0, NULL);
    ck_tags(" * ", true, 0, NULL);
    ck_tags("\"42\"", false, 1, revisions);
    ck_tags("\"42-json\"", false, 1, revisions);
    ck_tags("\"42-utf8\", W/\"5\", \"x\", \"7\",, \"18446744073709551615\" ,", false, 3, revisions);
    for (size_t i = 0; i < COUNT(none); i++)
        ck_tags(none[i], false, 0, NULL);
}
END_TEST

START_TEST(test_several_lists)
{
    static const struct {
        const char *first, *second;
        bool fits;
    } cases[] = {
        {"\"1\"", "\"2\"", true}, {"\"1\"", "*", false}, {"*", "\"1\"", false},
        {"*", "*", false},        {"\"1\"", "", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct entity_tags tags = {0};
        ck_ok(entity_tags_add(&tags, varve_slice_str(cases[i].first)));
        enum varve_status status = entity_tags_add(&tags, varve_slice_str(cases[i].second));
        ck_status(status, cases[i].fits ? VARVE_OK : VARVE_INVALID);
        entity_tags_deinit(&tags);
    }
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"format", test_format},
        {"listed", test_listed},
        {"malformed", test_malformed},
        {"revisions", test_revisions},
        {"several_lists", test_several_lists},
    };
    return SUPPORT_RUN("entity_tag", tests);
}
