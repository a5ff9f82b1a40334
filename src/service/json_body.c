/*
 * A body is looked over once before jansson sees it: jansson calls itself for every level and
 * allocates for every value, so levels and values are counted first, by brackets and commas outside
 * strings. Then jansson parses it strictly, and its tree is checked member by member. NUL
 * characters are let through by jansson, so that the complaint can say where they are.
 */
#include "service/json_body.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <varve/options.h>

#include "service/base64.h"
#include "service/limits.h"

#define POINTER_BYTES sizeof(((struct problem_error *)0)->pointer)

/* What is carried through the checks of one body. */
struct reader {
    struct problem *problem;
    enum varve_status status; /* the first failure; VARVE_INVALID lets the checks go on */
    bool full;                /* there is no room for another error */
    size_t value_bytes_max;
};

void json_body_setup(void)
{
    json_object_seed(0);
}

/* The quote that ends the string whose content begins at `at`; `end` if there is none. */
static const uint8_t *string_end(const uint8_t *at, const uint8_t *end)
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

static enum varve_status check_shape(struct varve_slice body, struct problem *ret_problem)
{
    const uint8_t *end = body.data + body.size;
    size_t depth = 0, values = 0;
    for (const uint8_t *at = body.data; at < end; at++) {
        switch (*at) {
        case '"':
            at = string_end(at + 1, end);
            break;
        case '{':
        case '[':
            values++;
            if (++depth > LIMIT_JSON_DEPTH)
                return problem_set(ret_problem, PROBLEM_INVALID_JSON,
                                   "the body has more than %u levels", LIMIT_JSON_DEPTH);
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            break;
        case ',':
            values++;
            break;
        default:
            break;
        }
        if (values > LIMIT_JSON_VALUES)
            return problem_set(ret_problem, PROBLEM_BATCH_TOO_LARGE,
                               "the body has more than %u JSON values", LIMIT_JSON_VALUES);
    }
    return VARVE_OK;
}

static bool is_blank(struct varve_slice body)
{
    for (size_t i = 0; i < body.size; i++) {
        if (strchr(" \t\r\n", body.data[i]) == NULL || body.data[i] == '\0')
            return false;
    }
    return true;
}

/* Caller frees with json_decref. */
static enum varve_status parse_object(struct varve_slice body, json_t **ret_root,
                                      struct problem *ret_problem)
{
    if (is_blank(body))
        return problem_set(ret_problem, PROBLEM_INVALID_JSON, "the body is empty");
    enum varve_status status = check_shape(body, ret_problem);
    if (status != VARVE_OK)
        return status;
    json_error_t error = {0};
    json_t *root = json_loadb((const char *)body.data, body.size,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL && json_error_code(&error) == json_error_out_of_memory)
        return problem_set_status(ret_problem, status_raise(VARVE_NO_MEMORY));
    if (root == NULL)
        return problem_set(ret_problem, PROBLEM_INVALID_JSON, "line %d, column %d: %s", error.line,
                           error.column, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return problem_set(ret_problem, PROBLEM_INVALID_JSON, "the body is not an object");
    }
    *ret_root = root;
    return VARVE_OK;
}

/* Notes that the value at `parent`/`member` (`member` may be NULL) is wrong. */
static void complain(struct reader *reader, const char *parent, const char *member,
                     const char *format, ...) PRINTF_LIKE(4, 5);
static void complain(struct reader *reader, const char *parent, const char *member,
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

/* Stops the checks: this outweighs what was found so far. */
static void fail(struct reader *reader, enum varve_status status)
{
    reader->status = problem_set_status(reader->problem, status);
    reader->full = true;
}

static void complain_too_large(struct reader *reader, const char *parent, size_t actual)
{
    reader->status = problem_set_limit(
        reader->problem, PROBLEM_VALUE_TOO_LARGE, reader->value_bytes_max, actual,
        "%s/value: the value is larger than %zu bytes", parent, reader->value_bytes_max);
    reader->full = true;
}

static struct varve_slice string_slice(const json_t *string)
{
    return varve_slice(json_string_value(string), json_string_length(string));
}

static bool string_is(const json_t *value, const char *text)
{
    return json_is_string(value) &&
           varve_slice_compare(string_slice(value), varve_slice_str(text)) == 0;
}

static bool has_nul(struct varve_slice text)
{
    return text.size > 0 && memchr(text.data, 0, text.size) != NULL;
}

/* The members of an operation, or of a PUT body; NULL where it has none of that name. */
struct members {
    const json_t *op, *key, *key64, *value, *encoding, *ttl, *revision;
};

static void collect_members(struct reader *reader, json_t *object, const char *parent,
                            bool is_operation, struct members *ret)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (strcmp(name, "value") == 0)
            ret->value = value;
        else if (strcmp(name, "encoding") == 0)
            ret->encoding = value;
        else if (strcmp(name, "ttl") == 0)
            ret->ttl = value;
        else if (is_operation && strcmp(name, "revision") == 0)
            ret->revision = value;
        else if (is_operation && strcmp(name, "op") == 0)
            ret->op = value;
        else if (is_operation && strcmp(name, "key") == 0)
            ret->key = value;
        else if (is_operation && strcmp(name, "key64") == 0)
            ret->key64 = value;
        else
            complain(reader, parent, name, "the member \"%.64s\" is not known here", name);
    }
}

static bool read_encoding(struct reader *reader, const char *parent, const json_t *encoding,
                          bool *ret_utf8)
{
    *ret_utf8 = string_is(encoding, "utf8");
    if (encoding == NULL || *ret_utf8 || string_is(encoding, "base64"))
        return true;
    complain(reader, parent, "encoding", "\"encoding\" is \"base64\" or \"utf8\"");
    return false;
}

/* Decodes base64 into `bytes`, or borrows text. */
static void read_value(struct reader *reader, const char *parent, const struct members *members,
                       struct buf *bytes, struct varve_slice *ret_value)
{
    bool utf8 = false;
    bool encoding_known = read_encoding(reader, parent, members->encoding, &utf8);
    if (members->value == NULL) {
        complain(reader, parent, NULL, "the member \"value\" is missing");
        return;
    }
    if (!json_is_string(members->value)) {
        complain(reader, parent, "value", "\"value\" is not a string");
        return;
    }
    if (!encoding_known)
        return;
    struct varve_slice value = string_slice(members->value);
    if (utf8 && has_nul(value)) {
        complain(reader, parent, "value", "text must not contain NUL; send it as base64");
        return;
    }
    if (!utf8) {
        size_t from = bytes->size;
        enum varve_status status = base64_decode(value, bytes);
        if (status == VARVE_INVALID) {
            complain(reader, parent, "value",
                     "not base64 (RFC 4648 section 4: padded, without line breaks); for text add "
                     "\"encoding\":\"utf8\"");
            return;
        }
        if (status != VARVE_OK) {
            fail(reader, status);
            return;
        }
        value = varve_slice(bytes->data + from, bytes->size - from);
    }
    if (value.size > reader->value_bytes_max) {
        complain_too_large(reader, parent, value.size);
        return;
    }
    *ret_value = value;
}

static void read_ttl(struct reader *reader, const char *parent, const json_t *ttl,
                     uint64_t *ret_ttl_s)
{
    if (ttl == NULL)
        return;
    json_int_t seconds = json_integer_value(ttl); /* of no integer: 0 */
    if (seconds < 1 || seconds > LIMIT_TTL_S)
        complain(reader, parent, "ttl", "\"ttl\" is a whole number of seconds from 1 to %u",
                 LIMIT_TTL_S);
    else
        *ret_ttl_s = (uint64_t)seconds;
}

enum varve_status json_body_parse_put(struct varve_slice body, size_t value_bytes_max,
                                      struct buf *ret_value, uint64_t *ret_ttl_s,
                                      struct problem *ret_problem)
{
    json_t *root = NULL;
    struct reader reader = {.problem = ret_problem, .value_bytes_max = value_bytes_max};
    struct buf bytes = {0};
    struct varve_slice value = {0};
    struct members members = {0};
    uint64_t ttl_s = 0;

    enum varve_status status = parse_object(body, &root, ret_problem);
    if (status != VARVE_OK)
        return status;
    collect_members(&reader, root, "", false, &members);
    if (!reader.full)
        read_value(&reader, "", &members, &bytes, &value);
    if (!reader.full)
        read_ttl(&reader, "", members.ttl, &ttl_s);
    if (reader.status == VARVE_OK && value.data != bytes.data) {
        status = buf_assign(&bytes, value); /* text, which goes with the tree */
        if (status != VARVE_OK)
            fail(&reader, status);
    }
    if (reader.status == VARVE_OK) {
        struct buf old = *ret_value;
        *ret_value = bytes;
        *ret_ttl_s = ttl_s;
        bytes = old;
    }
    buf_deinit(&bytes);
    json_decref(root);
    return reader.status;
}

static bool is_backup_name(struct varve_slice name)
{
    static const char reserved[] = ".partial";
    size_t tail = sizeof reserved - 1;
    if (name.size == 0 || name.size >= BACKUP_NAME_BYTES || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool fits = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    c == '.' || c == '_' || c == '-';
        if (!fits)
            return false;
    }
    return name.size < tail || memcmp(name.data + name.size - tail, reserved, tail) != 0;
}

enum varve_status json_body_parse_backup(struct varve_slice body, char ret_name[BACKUP_NAME_BYTES],
                                         struct problem *ret_problem)
{
    json_t *root = NULL;
    struct reader reader = {.problem = ret_problem};
    const json_t *name = NULL;
    const char *member;
    json_t *value;

    enum varve_status status = parse_object(body, &root, ret_problem);
    if (status != VARVE_OK)
        return status;
    json_object_foreach(root, member, value)
    {
        if (strcmp(member, "name") == 0)
            name = value;
        else
            complain(&reader, "", member, "the member \"%.64s\" is not known here", member);
    }
    if (name == NULL)
        complain(&reader, "", NULL, "the member \"name\" is missing");
    else if (!json_is_string(name) || !is_backup_name(string_slice(name)))
        complain(&reader, "", "name",
                 "\"name\" is 1 to %u of A-Z a-z 0-9 . _ -, not beginning with a dot nor ending "
                 "with .partial",
                 BACKUP_NAME_BYTES - 1);
    if (reader.status == VARVE_OK) {
        memcpy(ret_name, json_string_value(name), json_string_length(name));
        ret_name[json_string_length(name)] = '\0';
    }
    json_decref(root);
    return reader.status;
}

static void read_key(struct reader *reader, const char *parent, const struct members *members,
                     struct buf *decoded, struct varve_slice *ret_key)
{
    if ((members->key != NULL) == (members->key64 != NULL)) {
        complain(reader, parent, NULL, "exactly one of \"key\" and \"key64\" is needed");
        return;
    }
    const char *name = members->key != NULL ? "key" : "key64";
    const json_t *member = members->key != NULL ? members->key : members->key64;
    if (!json_is_string(member)) {
        complain(reader, parent, name, "\"%s\" is not a string", name);
        return;
    }
    struct varve_slice key = string_slice(member);
    if (members->key != NULL && has_nul(key)) {
        complain(reader, parent, name, "\"key\" must not contain NUL; send it as \"key64\"");
        return;
    }
    if (members->key64 != NULL) {
        size_t from = decoded->size;
        bool padded = key.size > 0 && key.data[key.size - 1] == '=';
        enum varve_status status = padded ? VARVE_INVALID : base64url_decode(key, decoded);
        if (status == VARVE_INVALID) {
            complain(reader, parent, name, "not base64url without padding (RFC 4648 section 5)");
            return;
        }
        if (status != VARVE_OK) {
            fail(reader, status);
            return;
        }
        key = varve_slice(decoded->data + from, decoded->size - from);
    }
    if (key.size == 0 || key.size > VARVE_KEY_BYTES_MAX) {
        complain(reader, parent, name, "a key has 1 to %u bytes", VARVE_KEY_BYTES_MAX);
        return;
    }
    *ret_key = key;
}

static bool read_kind(struct reader *reader, const char *parent, const struct members *members,
                      enum batch_op_kind *ret_kind)
{
    static const char *const names[] = {
        [BATCH_PUT] = "put",
        [BATCH_DELETE] = "delete",
        [BATCH_GET] = "get",
        [BATCH_CHECK] = "check",
    };
    for (size_t kind = 0; kind < sizeof names / sizeof names[0]; kind++) {
        if (string_is(members->op, names[kind])) {
            *ret_kind = (enum batch_op_kind)kind;
            return true;
        }
    }
    if (members->op == NULL)
        complain(reader, parent, NULL, "the member \"op\" is missing");
    else
        complain(reader, parent, "op", "\"op\" is \"put\", \"delete\", \"get\" or \"check\"");
    return false;
}

static void read_revision(struct reader *reader, const char *parent, const json_t *revision,
                          uint64_t *ret_revision)
{
    if (revision == NULL)
        complain(reader, parent, NULL, "the member \"revision\" is missing");
    else if (!json_is_integer(revision) || json_integer_value(revision) < 0)
        complain(reader, parent, "revision", "\"revision\" is a whole number; 0 is an absent key");
    else
        *ret_revision = (uint64_t)json_integer_value(revision);
}

/* Members that this kind of operation does not have. */
static void refuse_members(struct reader *reader, const char *parent, enum batch_op_kind kind,
                           const struct members *members)
{
    if (members->value != NULL && kind != BATCH_PUT)
        complain(reader, parent, "value", "only a \"put\" has a \"value\"");
    if (members->ttl != NULL && kind != BATCH_PUT)
        complain(reader, parent, "ttl", "only a \"put\" has a \"ttl\"");
    if (members->encoding != NULL && kind != BATCH_PUT && kind != BATCH_GET)
        complain(reader, parent, "encoding", "only \"put\" and \"get\" have an \"encoding\"");
    if (members->revision != NULL && kind != BATCH_CHECK)
        complain(reader, parent, "revision", "only a \"check\" has a \"revision\"");
}

static void read_op(struct reader *reader, json_t *object, size_t index, struct buf *decoded,
                    struct batch_op *ret_op)
{
    char parent[32];
    struct members members = {0};
    snprintf(parent, sizeof parent, "/ops/%zu", index);
    if (!json_is_object(object)) {
        complain(reader, parent, NULL, "the operation is not an object");
        return;
    }
    collect_members(reader, object, parent, true, &members);
    if (reader->full || !read_kind(reader, parent, &members, &ret_op->kind))
        return;
    read_key(reader, parent, &members, decoded, &ret_op->key);
    if (reader->full)
        return;
    refuse_members(reader, parent, ret_op->kind, &members);
    if (reader->full)
        return;
    switch (ret_op->kind) {
    case BATCH_PUT:
        read_value(reader, parent, &members, decoded, &ret_op->value);
        if (!reader->full)
            read_ttl(reader, parent, members.ttl, &ret_op->ttl_s);
        break;
    case BATCH_GET:
        read_encoding(reader, parent, members.encoding, &ret_op->utf8);
        break;
    case BATCH_CHECK:
        read_revision(reader, parent, members.revision, &ret_op->revision);
        break;
    case BATCH_DELETE:
        break;
    }
}

void batch_ops_deinit(struct batch_ops *batch)
{
    free(batch->ops);
    json_decref(batch->document);
    buf_deinit(&batch->decoded);
    *batch = (struct batch_ops){0};
}

/* The array of operations, if the body has one and nothing else; else NULL. */
static json_t *find_ops(struct reader *reader, json_t *root)
{
    json_t *ops = NULL;
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "ops") == 0)
            ops = value;
        else
            complain(reader, "", name, "the member \"%.64s\" is not known here", name);
    }
    if (ops == NULL)
        complain(reader, "", NULL, "the member \"ops\" is missing");
    else if (!json_is_array(ops))
        complain(reader, "", "ops", "\"ops\" is not an array");
    else if (json_array_size(ops) == 0)
        complain(reader, "", "ops", "\"ops\" is empty");
    return json_is_array(ops) ? ops : NULL;
}

static void read_ops(struct reader *reader, json_t *ops, size_t body_size, struct batch_ops *batch)
{
    batch->count = json_array_size(ops);
    if (batch->count > LIMIT_BATCH_OPS) {
        reader->status =
            problem_set_limit(reader->problem, PROBLEM_BATCH_TOO_LARGE, LIMIT_BATCH_OPS,
                              batch->count, "a batch has at most %u operations", LIMIT_BATCH_OPS);
        return;
    }
    batch->ops = calloc(batch->count + 1, sizeof *batch->ops);
    /* Room for all that the body can decode to, so that the slices stay where they point. */
    enum varve_status status = batch->ops == NULL
                                   ? status_raise(VARVE_NO_MEMORY)
                                   : buf_reserve(&batch->decoded, body_size + BASE64_DECODE_SLACK);
    if (status != VARVE_OK) {
        fail(reader, status);
        return;
    }
    for (size_t i = 0; i < batch->count && !reader->full; i++)
        read_op(reader, json_array_get(ops, i), i, &batch->decoded, &batch->ops[i]);
}

enum varve_status json_body_parse_batch(struct varve_slice body, size_t value_bytes_max,
                                        struct batch_ops *ret_ops, struct problem *ret_problem)
{
    struct reader reader = {.problem = ret_problem, .value_bytes_max = value_bytes_max};
    struct batch_ops batch = {0};
    enum varve_status status = parse_object(body, &batch.document, ret_problem);
    if (status != VARVE_OK)
        return status;
    json_t *ops = find_ops(&reader, batch.document);
    if (ops != NULL && !reader.full)
        read_ops(&reader, ops, body.size, &batch);
    if (reader.status == VARVE_OK)
        *ret_ops = batch;
    else
        batch_ops_deinit(&batch);
    return reader.status;
}
