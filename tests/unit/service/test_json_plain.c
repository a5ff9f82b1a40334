/* What is read without jansson, what is left to it, and that both say the same. */
#include "service/json_plain.h"

#include "support.h"

static bool reads(struct varve_slice text, struct json_members *ret_members)
{
    struct varve_slice copy = {0};
    uint8_t *memory = exact_copy(text, &copy);
    bool taken = json_plain_read(copy, true, ret_members);
    free(memory);
    return taken;
}

START_TEST(common_forms)
{
    static const char put[] = " {\"op\" : \"put\",\t\"key\":\"a/b\",\r\n\"value\":\"aGk=\","
                              "\"encoding\":\"base64\",\"ttl\":315360000} \n";
    struct json_members members = {0};
    ck_assert(json_plain_read(varve_slice_str(put), true, &members));
    ck_assert(json_member_is(&members.op, "put"));
    ck_assert(json_member_is(&members.key, "a/b"));
    ck_assert(json_member_is(&members.value, "aGk="));
    ck_assert(json_member_is(&members.encoding, "base64"));
    ck_assert_int_eq(members.ttl.kind, JSON_MEMBER_INTEGER);
    ck_assert_int_eq(members.ttl.number, 315360000);
    ck_assert(!json_member_is_given(&members.key64));

    static const char check[] = "{\"op\":\"check\",\"key64\":\"\",\"revision\":999999999999999999}";
    ck_assert(json_plain_read(varve_slice_str(check), true, &members));
    ck_assert(json_member_is(&members.key64, ""));
    ck_assert_int_eq(members.revision.number, 999999999999999999);
    ck_assert(json_member_is(&members.op, "check"));
    ck_assert(!json_member_is_given(&members.value));
}
END_TEST

START_TEST(a_put_body_has_fewer_members)
{
    struct json_members members = {0};
    ck_assert(json_plain_read(L("{\"value\":\"\",\"ttl\":0}"), false, &members));
    ck_assert(!json_plain_read(L("{\"value\":\"\",\"op\":\"put\"}"), false, &members));
    ck_assert(!json_plain_read(L("{\"value\":\"\",\"revision\":1}"), false, &members));
}
END_TEST

START_TEST(left_to_jansson)
{
    static const struct varve_slice texts[] = {
#define T(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
        T(""),
        T(" "),
        T("{"),
        T("{}"),
        T("[]"),
        T("\"value\""),
        T("{\"value\""),
        T("{\"value\":"),
        T("{\"value\":\""),
        T("{\"value\":\"a\""),
        T("{\"value\":\"a\","),
        T("{\"value\":\"a\",}"),
        T("{\"value\":\"a\"}x"),
        T("{\"value\":\"a\"}{}"),
        T("{\"value\" \"a\"}"),
        T("{value:\"a\"}"),
        T("{\"value\":\"a\" \"ttl\":1}"),
        T("{\"value\":\"a\",\"value\":\"a\"}"),
        T("{\"other\":\"a\"}"),
        T("{\"value\":\"\\u0061\"}"),
        T("{\"valu\\u0065\":\"a\"}"),
        T("{\"value\":\"a\\\"\"}"),
        T("{\"value\":\"\xc3\xa4\"}"),
        T("{\"value\":\"\xff\"}"),
        T("{\"value\":\"\0\"}"),
        T("{\"value\":\"\n\"}"),
        T("{\"value\":\"\x1f\"}"),
        T("{\"value\":null}"),
        T("{\"value\":true}"),
        T("{\"value\":[]}"),
        T("{\"value\":{}}"),
        T("{\"ttl\":-1}"),
        T("{\"ttl\":+1}"),
        T("{\"ttl\":01}"),
        T("{\"ttl\":00}"),
        T("{\"ttl\":1.0}"),
        T("{\"ttl\":1e3}"),
        T("{\"ttl\":.5}"),
        T("{\"ttl\":1000000000000000000}"),
#undef T
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct json_members members = {0};
        ck_assert_msg(!reads(texts[i], &members), "%zu: %.*s", i, (int)texts[i].size,
                      (const char *)texts[i].data);
    }
}
END_TEST

static void ck_member(const struct json_member *plain, const struct json_member *by_jansson)
{
    ck_assert_int_eq(plain->kind, by_jansson->kind);
    ck_assert_int_eq(plain->number, by_jansson->number);
    ck_bytes(plain->text, by_jansson->text);
}

/* True if it was read, and then jansson read the same. */
static bool agrees(struct varve_slice text)
{
    struct json_members plain = {0}, by_jansson = {0};
    struct problem problem = {0};
    struct json_reader reader = {.body = text, .problem = &problem};
    json_t *object = NULL;
    if (!json_plain_read(text, true, &plain))
        return false;
    ck_ok(json_reader_parse(&reader, text, &object));
    ck_assert(json_is_object(object));
    json_reader_collect(&reader, object, "", true, &by_jansson);
    ck_ok(reader.status);
    ck_member(&plain.op, &by_jansson.op);
    ck_member(&plain.key, &by_jansson.key);
    ck_member(&plain.key64, &by_jansson.key64);
    ck_member(&plain.value, &by_jansson.value);
    ck_member(&plain.encoding, &by_jansson.encoding);
    ck_member(&plain.ttl, &by_jansson.ttl);
    ck_member(&plain.revision, &by_jansson.revision);
    json_decref(object);
    problem_deinit(&problem);
    return true;
}

/* Every byte at every place of an operation, and that place gone. */
START_TEST(agrees_with_jansson)
{
    static const char good[] = "{\"op\":\"put\",\"key\":\"k~\x7f\",\"value\":\"aGk=\", \"ttl\":10}";
    size_t taken = 0;
    for (size_t at = 0; at < sizeof good - 1; at++) {
        char text[sizeof good];
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, good, sizeof good);
            text[at] = (char)byte;
            taken += agrees(varve_slice(text, sizeof good - 1));
        }
        memcpy(text, good, at);
        memcpy(text + at, good + at + 1, sizeof good - 1 - at);
        taken += agrees(varve_slice(text, sizeof good - 2));
    }
    ck_assert_uint_gt(taken, sizeof good);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"common_forms", common_forms},
        {"a_put_body_has_fewer_members", a_put_body_has_fewer_members},
        {"left_to_jansson", left_to_jansson},
        {"agrees_with_jansson", agrees_with_jansson},
    };
    return SUPPORT_RUN("json_plain", tests);
}
