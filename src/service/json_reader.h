/*
 * service/json_reader.h: what the readers of JSON bodies share (service/json_body.h): a text is
 * looked over, jansson makes a tree of it, and the tree is checked member by member, with all
 * complaints collected. Not thread safe.
 */
#ifndef SERVICE_JSON_READER_H
#define SERVICE_JSON_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"
#include "service/problem.h"

/* What is carried through the checks of one body. */
struct json_reader {
    struct varve_slice body;    /* borrowed */
    size_t value_count;         /* brackets and commas seen so far */
    enum problem_code too_many; /* what too many values are */
    const char *pointer;        /* borrowed: of what is being parsed; NULL: it has none */
    struct problem *problem;
    enum varve_status status; /* the first failure; VARVE_INVALID lets the checks go on */
    bool full;                /* there is no room for another error */
    size_t value_bytes_max;
};

/* Nothing but white space. */
bool json_is_blank(struct varve_slice text);

/* The quote that ends the string whose content begins at `at`; `end` if there is none. */
const uint8_t *json_string_end(const uint8_t *at, const uint8_t *end);

/* Levels and number of values, by brackets and commas outside strings. */
MUST_CHECK enum varve_status json_reader_check_shape(struct json_reader *reader,
                                                     struct varve_slice text);

/* The tree of any value; `text` is a part of the body. Caller frees with json_decref. */
MUST_CHECK enum varve_status json_reader_parse(struct json_reader *reader, struct varve_slice text,
                                               json_t **ret_value);

/* Refuses the body as no JSON because of what stands at `at`, a place in it; the reader's pointer,
 * if it has one, says where. Gives its status. */
enum varve_status json_reader_refuse(struct json_reader *reader, const uint8_t *at,
                                     const char *detail);

/* Notes that the value at `parent`/`member` (`member` may be NULL) is wrong. */
void json_reader_complain(struct json_reader *reader, const char *parent, const char *member,
                          const char *format, ...) PRINTF_LIKE(4, 5);
/* Stops the checks: this outweighs what was found so far. */
void json_reader_fail(struct json_reader *reader, enum varve_status status);

struct varve_slice json_string_slice(const json_t *string);
bool json_string_is(const json_t *value, const char *text);
bool json_string_has_nul(struct varve_slice text);

enum json_member_kind {
    JSON_MEMBER_ABSENT,
    JSON_MEMBER_STRING,
    JSON_MEMBER_INTEGER,
    JSON_MEMBER_OTHER, /* of another type */
};
/* A zeroed one is absent. */
struct json_member {
    enum json_member_kind kind;
    struct varve_slice text; /* borrowed until the object that it is from goes; of a string */
    int64_t number;          /* of an integer */
};
static inline bool json_member_is_given(const struct json_member *member)
{
    return member->kind != JSON_MEMBER_ABSENT;
}
bool json_member_is(const struct json_member *member, const char *text);

/* The members of an operation, or of a PUT body. */
struct json_members {
    struct json_member op, key, key64, value, encoding, ttl, revision;
};
/* The one of that name; NULL if an operation, or a PUT body, has none such. */
struct json_member *json_members_find(struct json_members *members, struct varve_slice name,
                                      bool is_operation);
void json_reader_collect(struct json_reader *reader, json_t *object, const char *parent,
                         bool is_operation, struct json_members *ret);

bool json_reader_read_encoding(struct json_reader *reader, const char *parent,
                               const struct json_member *encoding, bool *ret_utf8);
/* Appends the value's bytes to `bytes`, where `ret_value` lies. */
void json_reader_read_value(struct json_reader *reader, const char *parent,
                            const struct json_members *members, struct buf *bytes,
                            struct varve_slice *ret_value);
void json_reader_read_ttl(struct json_reader *reader, const char *parent,
                          const struct json_member *ttl, uint64_t *ret_ttl_s);

#endif
