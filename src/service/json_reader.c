/*
 * jansson calls itself for every level and allocates for every value, so levels and values are
 * counted before it sees a text. Then it parses that strictly. NUL characters are let through by
 * jansson, so that the complaint can say where they are.
 */
#include "service/json_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/base64.h"
#include "service/limits.h"

#define POINTER_BYTES sizeof(((struct problem_error *)0)->pointer)

const uint8_t *json_string_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = at;
    while (at < end) {
        const uint8_t *quote = memchr(at, '"', (size_t)(end - at));
        if (quote == NULL)
            return end;
        const uint8_t *before = quote;
        while (before > from && before[-1] == '\\')
            before--;
        if ((quote - before) % 2 == 0)
            return quote;
        at = from = quote + 1;
    }
    return end;
}

enum varve_status json_reader_check_shape(struct json_reader *reader, struct varve_slice text)
{
    const uint8_t *end = text.data + text.size;
    size_t depth = 0;
    for (const uint8_t *at = text.data; at < end; at++) {
        switch (*at) {
        case '"':
            at = json_string_end(at + 1, end);
            break;
        case '{':
        case '[':
            reader->value_count++;
            if (++depth > LIMIT_JSON_DEPTH)
                return problem_set(reader->problem, PROBLEM_INVALID_JSON,
                                   "the body has more than %u levels", LIMIT_JSON_DEPTH);
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            break;
        case ',':
            reader->value_count++;
            break;
        default:
            break;
        }
    }
    if (reader->value_count > LIMIT_JSON_VALUES)
        return problem_set_limit(reader->problem, reader->too_many, LIMIT_JSON_VALUES,
                                 reader->value_count, "the body has more than %u JSON values",
                                 LIMIT_JSON_VALUES);
    return VARVE_OK;
}

bool json_is_blank(struct varve_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr(" \t\r\n", text.data[i]) == NULL || text.data[i] == '\0')
            return false;
    }
    return true;
}

void json_reader_complain(struct json_reader *reader, const char *parent, const char *member,
                          const char *format, ...)
{
    char pointer[POINTER_BYTES];
    size_t at = (size_t)snprintf(pointer, sizeof pointer, "%s%s", parent, member ? "/" : "");
    for (; member != NULL && *member != '\0' && at + 2 < sizeof pointer; member++) {
        bool escaped = *member == '~' || *member == '/'; /* RFC 6901 */
        if (escaped)
            pointer[at++] = '~';
        pointer[at++] = (char)(!escaped ? *member : *member == '~' ? '0' : '1');
    }
    pointer[at] = '\0';

    char detail[sizeof reader->problem->errors->detail];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (reader->status == VARVE_OK)
        reader->status = problem_set(reader->problem, PROBLEM_INVALID_BODY, "%s: %s",
                                     pointer[0] != '\0' ? pointer : "the body", detail);
    reader->full = !problem_add_error(reader->problem, pointer, "%s", detail);
}

void json_reader_fail(struct json_reader *reader, enum varve_status status)
{
    reader->status = problem_set_status(reader->problem, status);
    reader->full = true;
}

static void complain_too_large(struct json_reader *reader, const char *parent, size_t actual)
{
    reader->status = problem_set_limit(
        reader->problem, PROBLEM_VALUE_TOO_LARGE, reader->value_bytes_max, actual,
        "%s/value: the value is larger than %zu bytes", parent, reader->value_bytes_max);
    reader->full = true;
}

/* Line and column of a place in the body, counted from 1, in bytes. */
static void find_place(const struct json_reader *reader, const uint8_t *at, size_t *ret_line,
                       size_t *ret_column)
{
    const uint8_t *line = reader->body.data;
    *ret_line = 1;
    for (const uint8_t *c = line; c < at; c++) {
        if (*c == '\n') {
            line = c + 1;
            ++*ret_line;
        }
    }
    *ret_column = (size_t)(at - line) + 1;
}

enum varve_status json_reader_refuse(struct json_reader *reader, const uint8_t *at,
                                     const char *detail)
{
    size_t line = 0, column = 0;
    find_place(reader, at, &line, &column);
    reader->full = true;
    reader->status = problem_set(reader->problem, PROBLEM_INVALID_JSON, "line %zu, column %zu: %s",
                                 line, column, detail);
    if (reader->pointer != NULL)
        (void)problem_add_error(reader->problem, reader->pointer, "%s", detail);
    return reader->status;
}

enum varve_status json_reader_parse(struct json_reader *reader, struct varve_slice text,
                                    json_t **ret_value)
{
    json_error_t error = {0};
    json_t *value = json_loadb((const char *)text.data, text.size,
                               JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (value == NULL && json_error_code(&error) == json_error_out_of_memory) {
        json_reader_fail(reader, status_raise(VARVE_NO_MEMORY));
        return reader->status;
    }
    if (value == NULL) {
        size_t at = error.position > 0 ? (size_t)error.position - 1 : 0;
        return json_reader_refuse(reader, text.data + (at < text.size ? at : text.size),
                                  error.text);
    }
    *ret_value = value;
    return VARVE_OK;
}

struct varve_slice json_string_slice(const json_t *string)
{
    return varve_slice(json_string_value(string), json_string_length(string));
}

bool json_string_is(const json_t *value, const char *text)
{
    return json_is_string(value) &&
           varve_slice_compare(json_string_slice(value), varve_slice_str(text)) == 0;
}

bool json_string_has_nul(struct varve_slice text)
{
    return text.size > 0 && memchr(text.data, 0, text.size) != NULL;
}

bool json_member_is(const struct json_member *member, const char *text)
{
    return member->kind == JSON_MEMBER_STRING &&
           varve_slice_compare(member->text, varve_slice_str(text)) == 0;
}

struct json_member *json_members_find(struct json_members *members, struct varve_slice name,
                                      bool is_operation)
{
    const struct {
        const char *name;
        bool in_put; /* a PUT body has it too */
        struct json_member *member;
    } known[] = {
        {"value", true, &members->value},
        {"op", false, &members->op},
        {"key", false, &members->key},
        {"key64", false, &members->key64},
        {"ttl", true, &members->ttl},
        {"encoding", true, &members->encoding},
        {"revision", false, &members->revision},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if ((is_operation || known[i].in_put) &&
            varve_slice_compare(name, varve_slice_str(known[i].name)) == 0)
            return known[i].member;
    }
    return NULL;
}

static struct json_member member_of(const json_t *value)
{
    if (json_is_string(value))
        return (struct json_member){.kind = JSON_MEMBER_STRING, .text = json_string_slice(value)};
    if (json_is_integer(value))
        return (struct json_member){.kind = JSON_MEMBER_INTEGER,
                                    .number = json_integer_value(value)};
    return (struct json_member){.kind = JSON_MEMBER_OTHER};
}

void json_reader_collect(struct json_reader *reader, json_t *object, const char *parent,
                         bool is_operation, struct json_members *ret)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        struct json_member *member = json_members_find(ret, varve_slice_str(name), is_operation);
        if (member != NULL)
            *member = member_of(value);
        else
            json_reader_complain(reader, parent, name, "the member \"%.64s\" is not known here",
                                 name);
    }
}

bool json_reader_read_encoding(struct json_reader *reader, const char *parent,
                               const struct json_member *encoding, bool *ret_utf8)
{
    *ret_utf8 = json_member_is(encoding, "utf8");
    if (!json_member_is_given(encoding) || *ret_utf8 || json_member_is(encoding, "base64"))
        return true;
    json_reader_complain(reader, parent, "encoding", "\"encoding\" is \"base64\" or \"utf8\"");
    return false;
}

void json_reader_read_value(struct json_reader *reader, const char *parent,
                            const struct json_members *members, struct buf *bytes,
                            struct varve_slice *ret_value)
{
    bool utf8 = false;
    bool encoding_known = json_reader_read_encoding(reader, parent, &members->encoding, &utf8);
    if (!json_member_is_given(&members->value)) {
        json_reader_complain(reader, parent, NULL, "the member \"value\" is missing");
        return;
    }
    if (members->value.kind != JSON_MEMBER_STRING) {
        json_reader_complain(reader, parent, "value", "\"value\" is not a string");
        return;
    }
    if (!encoding_known)
        return;
    struct varve_slice value = members->value.text;
    if (utf8 && json_string_has_nul(value)) {
        json_reader_complain(reader, parent, "value",
                             "text must not contain NUL; send it as base64");
        return;
    }
    size_t from = bytes->size;
    enum varve_status status = utf8 ? buf_append_slice(bytes, value) : base64_decode(value, bytes);
    if (status == VARVE_INVALID) {
        json_reader_complain(
            reader, parent, "value",
            "not base64 (RFC 4648 section 4: padded, without line breaks); for text add "
            "\"encoding\":\"utf8\"");
        return;
    }
    if (status != VARVE_OK) {
        json_reader_fail(reader, status);
        return;
    }
    value = varve_slice(bytes->data + from, bytes->size - from);
    if (value.size > reader->value_bytes_max) {
        complain_too_large(reader, parent, value.size);
        return;
    }
    *ret_value = value;
}

void json_reader_read_ttl(struct json_reader *reader, const char *parent,
                          const struct json_member *ttl, uint64_t *ret_ttl_s)
{
    if (!json_member_is_given(ttl))
        return;
    int64_t seconds = ttl->number; /* of no integer: 0 */
    if (seconds < 1 || seconds > LIMIT_TTL_S)
        json_reader_complain(reader, parent, "ttl",
                             "\"ttl\" is a whole number of seconds from 1 to %u", LIMIT_TTL_S);
    else
        *ret_ttl_s = (uint64_t)seconds;
}
