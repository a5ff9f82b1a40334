/*
 * A batch may be large, so no tree is made of all of it. A scanner that knows strings and brackets
 * finds where each operation begins and ends, each is read by itself, by jansson unless it is
 * plain, and what is to be kept of it, keys and values, is copied behind each other. Nothing gets
 * longer by being decoded, so room for as much as the body has is room for all, and slices stay
 * where they point.
 *
 * Strictness is not lost: the scanner checks what stands between the operations, and gives all of
 * the rest to jansson. A bracket that closes another kind of bracket ends an operation for the
 * cursor, and is an error for jansson.
 */
#include "service/json_body.h"

#include <stdlib.h>
#include <string.h>

#include <varve/options.h>

#include "service/base64.h"
#include "service/digits.h"
#include "service/json_cursor.h"
#include "service/json_plain.h"
#include "service/json_reader.h"
#include "service/limits.h"

static void read_key(struct json_reader *reader, const char *parent,
                     const struct json_members *members, struct buf *decoded,
                     struct varve_slice *ret_key)
{
    bool is_plain = json_member_is_given(&members->key);
    if (is_plain == json_member_is_given(&members->key64)) {
        json_reader_complain(reader, parent, NULL,
                             "exactly one of \"key\" and \"key64\" is needed");
        return;
    }
    const char *name = is_plain ? "key" : "key64";
    const struct json_member *member = is_plain ? &members->key : &members->key64;
    if (member->kind != JSON_MEMBER_STRING) {
        json_reader_complain(reader, parent, name, "\"%s\" is not a string", name);
        return;
    }
    struct varve_slice key = member->text;
    if (is_plain && json_string_has_nul(key)) {
        json_reader_complain(reader, parent, name,
                             "\"key\" must not contain NUL; send it as \"key64\"");
        return;
    }
    bool padded = !is_plain && key.size > 0 && key.data[key.size - 1] == '=';
    size_t from = decoded->size;
    enum varve_status status = padded     ? VARVE_INVALID
                               : is_plain ? buf_append_slice(decoded, key)
                                          : base64url_decode(key, decoded);
    if (status == VARVE_INVALID) {
        json_reader_complain(reader, parent, name,
                             "not base64url without padding (RFC 4648 section 5)");
        return;
    }
    if (status != VARVE_OK) {
        json_reader_fail(reader, status);
        return;
    }
    key = varve_slice(decoded->data + from, decoded->size - from);
    if (key.size == 0 || key.size > VARVE_KEY_BYTES_MAX) {
        json_reader_complain(reader, parent, name, "a key has 1 to %u bytes", VARVE_KEY_BYTES_MAX);
        return;
    }
    *ret_key = key;
}

static bool read_kind(struct json_reader *reader, const char *parent,
                      const struct json_members *members, enum batch_op_kind *ret_kind)
{
    static const char *const names[] = {
        [BATCH_PUT] = "put",
        [BATCH_DELETE] = "delete",
        [BATCH_GET] = "get",
        [BATCH_CHECK] = "check",
    };
    for (size_t kind = 0; kind < sizeof names / sizeof names[0]; kind++) {
        if (json_member_is(&members->op, names[kind])) {
            *ret_kind = (enum batch_op_kind)kind;
            return true;
        }
    }
    if (!json_member_is_given(&members->op))
        json_reader_complain(reader, parent, NULL, "the member \"op\" is missing");
    else
        json_reader_complain(reader, parent, "op",
                             "\"op\" is \"put\", \"delete\", \"get\" or \"check\"");
    return false;
}

static void read_revision(struct json_reader *reader, const char *parent,
                          const struct json_member *revision, uint64_t *ret_revision)
{
    if (!json_member_is_given(revision))
        json_reader_complain(reader, parent, NULL, "the member \"revision\" is missing");
    else if (revision->kind != JSON_MEMBER_INTEGER || revision->number < 0)
        json_reader_complain(reader, parent, "revision",
                             "\"revision\" is a whole number; 0 is an absent key");
    else
        *ret_revision = (uint64_t)revision->number;
}

/* Members that this kind of operation does not have. */
static void refuse_members(struct json_reader *reader, const char *parent, enum batch_op_kind kind,
                           const struct json_members *members)
{
    if (json_member_is_given(&members->value) && kind != BATCH_PUT)
        json_reader_complain(reader, parent, "value", "only a \"put\" has a \"value\"");
    if (json_member_is_given(&members->ttl) && kind != BATCH_PUT)
        json_reader_complain(reader, parent, "ttl", "only a \"put\" has a \"ttl\"");
    if (json_member_is_given(&members->encoding) && kind != BATCH_PUT && kind != BATCH_GET)
        json_reader_complain(reader, parent, "encoding",
                             "only \"put\" and \"get\" have an \"encoding\"");
    if (json_member_is_given(&members->revision) && kind != BATCH_CHECK)
        json_reader_complain(reader, parent, "revision", "only a \"check\" has a \"revision\"");
}

#define OP_POINTER_BYTES 32u

static void write_op_pointer(size_t index, char ret_pointer[OP_POINTER_BYTES])
{
    static const char parent[] = "/ops/";
    memcpy(ret_pointer, parent, sizeof parent - 1);
    size_t size = digits_write(index, ret_pointer + sizeof parent - 1);
    ret_pointer[sizeof parent - 1 + size] = '\0';
}

static void read_members(struct json_reader *reader, const char *parent,
                         const struct json_members *members, struct buf *decoded,
                         struct batch_op *ret_op)
{
    if (!read_kind(reader, parent, members, &ret_op->kind))
        return;
    read_key(reader, parent, members, decoded, &ret_op->key);
    if (reader->full)
        return;
    refuse_members(reader, parent, ret_op->kind, members);
    if (reader->full)
        return;
    switch (ret_op->kind) {
    case BATCH_PUT:
        json_reader_read_value(reader, parent, members, decoded, &ret_op->value);
        if (!reader->full)
            json_reader_read_ttl(reader, parent, &members->ttl, &ret_op->ttl_s);
        break;
    case BATCH_GET:
        json_reader_read_encoding(reader, parent, &members->encoding, &ret_op->utf8);
        break;
    case BATCH_CHECK:
        read_revision(reader, parent, &members->revision, &ret_op->revision);
        break;
    case BATCH_DELETE:
        break;
    }
}

/* Any status but VARVE_OK: the text is no JSON. */
static enum varve_status read_op(struct json_reader *reader, struct varve_slice text,
                                 const char *parent, struct buf *decoded, struct batch_op *ret_op)
{
    struct json_members members = {0};
    json_t *value = NULL;
    if (!json_plain_read(text, true, &members)) {
        reader->pointer = parent;
        enum varve_status status = json_reader_parse(reader, text, &value);
        reader->pointer = NULL;
        if (status != VARVE_OK)
            return status;
        if (json_is_object(value))
            json_reader_collect(reader, value, parent, true, &members);
    }
    if (value != NULL && !json_is_object(value))
        json_reader_complain(reader, parent, NULL, "the operation is not an object");
    else if (!reader->full)
        read_members(reader, parent, &members, decoded, ret_op);
    json_decref(value);
    return VARVE_OK;
}

void batch_ops_deinit(struct batch_ops *batch)
{
    free(batch->ops);
    buf_deinit(&batch->decoded);
    *batch = (struct batch_ops){0};
}

/* The end of a value that is neither string nor brackets. */
static const uint8_t *scalar_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != 0 && strchr(" \t\r\n,]}", *at) == NULL)
        at++;
    return at;
}

static const uint8_t *brackets_end(const uint8_t *at, const uint8_t *end)
{
    size_t depth = 0;
    for (; at < end; at++) {
        if (*at == '"')
            at = json_string_end(at + 1, end);
        else if (*at == '{' || *at == '[')
            depth++;
        else if ((*at == '}' || *at == ']') && --depth == 0)
            return at + 1;
        if (at == end)
            break;
    }
    return NULL;
}

/* The text of the value that is next; false if there is none, or it has no end. */
static bool take_value(struct json_cursor *cursor, struct varve_slice *ret_text)
{
    json_skip_blanks(cursor);
    const uint8_t *from = cursor->at, *to = NULL;
    if (from == cursor->end)
        return false;
    if (*from == '"') {
        to = json_string_end(from + 1, cursor->end);
        to = to < cursor->end ? to + 1 : NULL;
    } else if (*from == '{' || *from == '[') {
        to = brackets_end(from, cursor->end);
    } else {
        to = scalar_end(from, cursor->end);
    }
    if (to == NULL || to == from)
        return false;
    cursor->at = to;
    *ret_text = varve_slice(from, (size_t)(to - from));
    return true;
}

/* Where the operations stand. */
struct op_list {
    struct json_cursor cursor; /* at the first, or behind the last one that was taken */
    bool in_lines;             /* each a line; else the elements of an array */
    size_t count;
};

static bool take_line(struct json_cursor *cursor, struct varve_slice *ret_text)
{
    if (cursor->at == cursor->end)
        return false;
    size_t rest = (size_t)(cursor->end - cursor->at);
    const uint8_t *feed = memchr(cursor->at, '\n', rest);
    size_t size = feed != NULL ? (size_t)(feed - cursor->at) : rest;
    *ret_text = varve_slice(cursor->at, size);
    cursor->at += size + (feed != NULL);
    return true;
}

/* All of the array, to see that it is one, and how many it has. */
static enum varve_status count_elements(struct json_reader *reader, struct json_cursor *cursor,
                                        struct op_list *list)
{
    struct varve_slice text;
    list->cursor = *cursor;
    if (json_take(cursor, ']'))
        return VARVE_OK;
    for (;;) {
        if (!take_value(cursor, &text))
            return json_reader_refuse(reader, cursor->at, "a value is missing, or its end");
        list->count++;
        if (json_take(cursor, ']'))
            return VARVE_OK;
        if (!json_take(cursor, ','))
            return json_reader_refuse(reader, cursor->at, "\",\" or \"]\" expected");
    }
}

struct found {
    bool ops, array;
};

/* A member of the body, whose name was `name`. */
static enum varve_status take_member(struct json_reader *reader, struct json_cursor *cursor,
                                     const json_t *name, struct found *found, struct op_list *list)
{
    struct varve_slice text;
    bool is_ops = json_string_is(name, "ops");
    if (is_ops && found->ops)
        return json_reader_refuse(reader, cursor->at, "the member \"ops\" occurs twice");
    found->ops |= is_ops;
    if (is_ops && json_take(cursor, '[')) {
        found->array = true;
        return count_elements(reader, cursor, list);
    }
    if (!is_ops && !reader->full)
        json_reader_complain(reader, "", json_string_value(name),
                             "the member \"%.64s\" is not known here", json_string_value(name));
    if (!take_value(cursor, &text))
        return json_reader_refuse(reader, cursor->at, "a value is missing, or its end");
    return VARVE_OK;
}

static enum varve_status take_members(struct json_reader *reader, struct json_cursor *cursor,
                                      struct found *found, struct op_list *list)
{
    if (json_take(cursor, '}'))
        return VARVE_OK;
    for (;;) {
        struct varve_slice text;
        json_t *name = NULL;
        json_skip_blanks(cursor);
        if (cursor->at == cursor->end || *cursor->at != '"' || !take_value(cursor, &text))
            return json_reader_refuse(reader, cursor->at, "the name of a member expected");
        enum varve_status status = json_reader_parse(reader, text, &name);
        if (status == VARVE_OK && !json_take(cursor, ':'))
            status = json_reader_refuse(reader, cursor->at, "\":\" expected");
        if (status == VARVE_OK)
            status = take_member(reader, cursor, name, found, list);
        json_decref(name);
        if (status != VARVE_OK || json_take(cursor, '}'))
            return status;
        if (!json_take(cursor, ','))
            return json_reader_refuse(reader, cursor->at, "\",\" or \"}\" expected");
    }
}

/* {"ops":[…]}, and nothing behind it. */
static enum varve_status find_ops(struct json_reader *reader, struct op_list *list)
{
    struct json_cursor cursor = {reader->body.data, reader->body.data + reader->body.size};
    struct found found = {0};
    enum varve_status status = json_reader_check_shape(reader, reader->body);
    if (status != VARVE_OK)
        return status;
    if (!json_take(&cursor, '{'))
        return problem_set(reader->problem, PROBLEM_INVALID_JSON, "the body is not an object");
    status = take_members(reader, &cursor, &found, list);
    if (status != VARVE_OK)
        return status;
    json_skip_blanks(&cursor);
    if (cursor.at < cursor.end)
        return json_reader_refuse(reader, cursor.at, "something stands behind the object");
    if (reader->full)
        return VARVE_OK;
    if (!found.ops)
        json_reader_complain(reader, "", NULL, "the member \"ops\" is missing");
    else if (!found.array)
        json_reader_complain(reader, "", "ops", "\"ops\" is not an array");
    else if (list->count == 0)
        json_reader_complain(reader, "", "ops", "\"ops\" is empty");
    return VARVE_OK;
}

/* An operation a line; the line feed behind the last may be missing. */
static enum varve_status find_lines(struct json_reader *reader, struct op_list *list)
{
    struct varve_slice text;
    struct json_cursor cursor = {reader->body.data, reader->body.data + reader->body.size};
    list->cursor = cursor;
    list->in_lines = true;
    while (take_line(&cursor, &text)) {
        char pointer[OP_POINTER_BYTES];
        write_op_pointer(list->count++, pointer);
        if (json_is_blank(text)) {
            reader->pointer = pointer;
            return json_reader_refuse(reader, text.data, "the line is blank");
        }
    }
    return VARVE_OK;
}

static enum varve_status next_op(struct json_reader *reader, struct op_list *list,
                                 struct varve_slice *ret_text)
{
    if (list->in_lines) {
        (void)take_line(&list->cursor, ret_text);
        return json_reader_check_shape(reader, *ret_text);
    }
    (void)take_value(&list->cursor, ret_text);
    (void)json_take(&list->cursor, ',');
    return VARVE_OK;
}

static enum varve_status begin_ops(struct json_reader *reader, const struct op_list *list,
                                   struct batch_ops *batch)
{
    if (list->count > LIMIT_BATCH_OPS)
        return problem_set_limit(reader->problem, PROBLEM_BATCH_TOO_LARGE, LIMIT_BATCH_OPS,
                                 list->count, "a batch has at most %u operations", LIMIT_BATCH_OPS);
    batch->ops = calloc(list->count + 1, sizeof *batch->ops);
    if (batch->ops == NULL)
        return problem_set_status(reader->problem, status_raise(VARVE_NO_MEMORY));
    enum varve_status status =
        buf_reserve(&batch->decoded, reader->body.size + BASE64_DECODE_SLACK);
    return status == VARVE_OK ? VARVE_OK : problem_set_status(reader->problem, status);
}

static enum varve_status read_ops(struct json_reader *reader, struct op_list *list,
                                  struct batch_ops *batch)
{
    enum varve_status status = begin_ops(reader, list, batch);
    while (status == VARVE_OK && batch->count < list->count && !reader->full) {
        char parent[OP_POINTER_BYTES];
        struct varve_slice text = {0};
        write_op_pointer(batch->count, parent);
        status = next_op(reader, list, &text);
        if (status == VARVE_OK)
            status = read_op(reader, text, parent, &batch->decoded, &batch->ops[batch->count]);
        if (status == VARVE_OK)
            batch->count++;
    }
    return status;
}

enum varve_status json_body_parse_batch(struct varve_slice body, enum batch_form form,
                                        size_t value_bytes_max, struct batch_ops *ret_ops,
                                        struct problem *ret_problem)
{
    struct json_reader reader = {
        .body = body,
        .too_many = PROBLEM_BATCH_TOO_LARGE,
        .problem = ret_problem,
        .value_bytes_max = value_bytes_max,
    };
    struct batch_ops batch = {0};
    struct op_list list = {0};
    if (json_is_blank(body))
        return problem_set(ret_problem, PROBLEM_INVALID_JSON, "the body is empty");
    enum varve_status status =
        form == BATCH_LINES ? find_lines(&reader, &list) : find_ops(&reader, &list);
    if (status == VARVE_OK && list.count > 0)
        status = read_ops(&reader, &list, &batch);
    if (status == VARVE_OK)
        status = reader.status;
    if (status == VARVE_OK)
        *ret_ops = batch;
    else
        batch_ops_deinit(&batch);
    return status;
}
