/*
 * Nearly every body that is written by a program has this form, and a tree of it costs three times
 * all else that a PUT does here. Whatever is not sure to be what jansson would make of it is left
 * to jansson, so there is nothing to refuse here and nothing to explain.
 */
#include "service/json_plain.h"

#include <string.h>

#include "service/json_cursor.h"

#define NUMBER_DIGITS_MAX 18u /* cannot overflow */

static bool is_plain(struct varve_slice text)
{
    bool plain = true;
    for (size_t i = 0; i < text.size; i++)
        plain &= text.data[i] >= 0x20 && text.data[i] < 0x80 && text.data[i] != '\\';
    return plain;
}

/* Up to the next quote, which ends it as there is no backslash in it. */
static bool take_string(struct json_cursor *cursor, struct varve_slice *ret_text)
{
    if (!json_take(cursor, '"'))
        return false;
    size_t rest = (size_t)(cursor->end - cursor->at);
    const uint8_t *quote = rest > 0 ? memchr(cursor->at, '"', rest) : NULL;
    if (quote == NULL)
        return false;
    struct varve_slice text = varve_slice(cursor->at, (size_t)(quote - cursor->at));
    cursor->at = quote + 1;
    *ret_text = text;
    return is_plain(text);
}

/* What stands behind it is the caller's to look at: a fraction is refused there. */
static bool take_number(struct json_cursor *cursor, int64_t *ret_number)
{
    const uint8_t *from = cursor->at;
    int64_t number = 0;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9' &&
           cursor->at - from < (ptrdiff_t)NUMBER_DIGITS_MAX)
        number = number * 10 + (*cursor->at++ - '0');
    *ret_number = number;
    return cursor->at > from && (*from != '0' || cursor->at - from == 1);
}

static bool take_value(struct json_cursor *cursor, struct json_member *ret_member)
{
    struct json_member member = {.kind = JSON_MEMBER_STRING};
    json_skip_blanks(cursor);
    bool taken = cursor->at < cursor->end;
    if (taken && *cursor->at == '"') {
        taken = take_string(cursor, &member.text);
    } else if (taken) {
        member.kind = JSON_MEMBER_INTEGER;
        taken = take_number(cursor, &member.number);
    }
    *ret_member = member;
    return taken;
}

static bool take_member(struct json_cursor *cursor, bool is_operation, struct json_members *members)
{
    struct varve_slice name = {0};
    if (!take_string(cursor, &name) || !json_take(cursor, ':'))
        return false;
    struct json_member *member = json_members_find(members, name, is_operation);
    return member != NULL && member->kind == JSON_MEMBER_ABSENT && take_value(cursor, member);
}

bool json_plain_read(struct varve_slice text, bool is_operation, struct json_members *ret_members)
{
    struct json_cursor cursor = {text.data, text.data + text.size};
    struct json_members members = {0};
    if (!json_take(&cursor, '{'))
        return false;
    do {
        if (!take_member(&cursor, is_operation, &members))
            return false;
    } while (json_take(&cursor, ','));
    if (!json_take(&cursor, '}'))
        return false;
    json_skip_blanks(&cursor);
    if (cursor.at < cursor.end)
        return false;
    *ret_members = members;
    return true;
}
