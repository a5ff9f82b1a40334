/* The bodies that are one small object, or whose value is all there is to them. */
#include "service/json_body.h"

#include <string.h>

#include "service/json_plain.h"
#include "service/json_reader.h"

void json_body_setup(void)
{
    json_object_seed(0);
}

/* The body as one object, by jansson. Caller frees with json_decref. */
static enum varve_status parse_object(struct json_reader *reader, json_t **ret_root)
{
    if (json_is_blank(reader->body))
        return problem_set(reader->problem, PROBLEM_INVALID_JSON, "the body is empty");
    enum varve_status status = json_reader_check_shape(reader, reader->body);
    json_t *root = NULL;
    if (status == VARVE_OK)
        status = json_reader_parse(reader, reader->body, &root);
    if (status != VARVE_OK)
        return status;
    if (!json_is_object(root)) {
        json_decref(root);
        return problem_set(reader->problem, PROBLEM_INVALID_JSON, "the body is not an object");
    }
    *ret_root = root;
    return VARVE_OK;
}

enum varve_status json_body_parse_put(struct varve_slice body, size_t value_bytes_max,
                                      struct buf *ret_value, uint64_t *ret_ttl_s,
                                      struct problem *ret_problem)
{
    json_t *root = NULL;
    struct json_reader reader = {
        .body = body,
        .too_many = PROBLEM_BODY_TOO_LARGE,
        .problem = ret_problem,
        .value_bytes_max = value_bytes_max,
    };
    struct buf bytes = {0};
    struct varve_slice value = {0};
    struct json_members members = {0};
    uint64_t ttl_s = 0;

    if (!json_plain_read(body, false, &members)) {
        enum varve_status status = parse_object(&reader, &root);
        if (status != VARVE_OK)
            return status;
        json_reader_collect(&reader, root, "", false, &members);
    }
    if (!reader.full)
        json_reader_read_value(&reader, "", &members, &bytes, &value);
    if (!reader.full)
        json_reader_read_ttl(&reader, "", &members.ttl, &ttl_s);
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
    struct json_reader reader = {
        .body = body, .too_many = PROBLEM_BODY_TOO_LARGE, .problem = ret_problem};
    const json_t *name = NULL;
    const char *member;
    json_t *value;

    enum varve_status status = parse_object(&reader, &root);
    if (status != VARVE_OK)
        return status;
    json_object_foreach(root, member, value)
    {
        if (strcmp(member, "name") == 0)
            name = value;
        else
            json_reader_complain(&reader, "", member, "the member \"%.64s\" is not known here",
                                 member);
    }
    if (name == NULL)
        json_reader_complain(&reader, "", NULL, "the member \"name\" is missing");
    else if (!json_is_string(name) || !is_backup_name(json_string_slice(name)))
        json_reader_complain(
            &reader, "", "name",
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
