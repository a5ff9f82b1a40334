/*
 * A prefix is turned into bounds, and a cursor narrows them to what lies behind its last key, so
 * the scan itself knows only a start, an end and a direction. The smallest key behind a key, and
 * the smallest behind all keys of a prefix, are made so that they are never longer than a key may
 * be.
 */
#include "service/range_query.h"

#include <varve/options.h>

#include "service/cursor.h"
#include "service/limits.h"

static const char *const known_params[] = {
    "start",   "start64",   "end",      "end64",  "prefix",     "prefix64", "limit",
    "reverse", "keys_only", "encoding", "cursor", "count_only", NULL,
};

struct bounds_given {
    bool start, end, reverse;
};

void range_query_deinit(struct range_query *range)
{
    buf_deinit(&range->bound);
    buf_deinit(&range->cursor_bytes);
    *range = (struct range_query){0};
}

/* Puts the smallest key that is greater than all that begin with `prefix` into `ret`: empty if
 * there is none. */
static enum varve_status prefix_successor(struct varve_slice prefix, struct buf *ret)
{
    while (prefix.size > 0 && prefix.data[prefix.size - 1] == 0xff)
        prefix.size--;
    enum varve_status status = buf_assign(ret, prefix);
    if (status == VARVE_OK && ret->size > 0)
        ret->data[ret->size - 1]++;
    return status;
}

/* Puts the smallest key that is greater than `key` into `ret`: empty if there is none. */
static enum varve_status key_successor(struct varve_slice key, struct buf *ret)
{
    if (key.size >= VARVE_KEY_BYTES_MAX)
        return prefix_successor(key, ret);
    enum varve_status status = buf_assign(ret, key);
    return status == VARVE_OK ? buf_append_byte(ret, 0) : status;
}

static enum varve_status parse_bounds(struct range_query *range, struct query *query,
                                      struct bounds_given *given, struct problem *ret_problem)
{
    struct varve_slice prefix = {0};
    bool prefix_given = false;
    enum varve_status status =
        query_get_bound(query, "start", "start64", &range->start, &given->start, ret_problem);
    if (status == VARVE_OK)
        status = query_get_bound(query, "end", "end64", &range->end, &given->end, ret_problem);
    if (status == VARVE_OK)
        status = query_get_bound(query, "prefix", "prefix64", &prefix, &prefix_given, ret_problem);
    if (status != VARVE_OK)
        return status;

    if (prefix_given) {
        if (given->start || given->end)
            return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                               "\"prefix\" excludes \"start\" and \"end\"");
        status = prefix_successor(prefix, &range->bound);
        if (status != VARVE_OK)
            return problem_set_status(ret_problem, status);
        range->start = prefix;
        range->end = buf_slice(&range->bound);
        given->start = given->end = true;
    }
    int order = range->end.size == 0 ? -1 : varve_slice_compare(range->start, range->end);
    if (order > 0)
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "\"start\" is greater than \"end\"");
    range->none = order == 0;
    return VARVE_OK;
}

static bool slices_equal(struct varve_slice a, struct varve_slice b)
{
    return varve_slice_compare(a, b) == 0;
}

static bool cursor_fits(const struct cursor *cursor, const struct range_query *range,
                        const struct bounds_given *given)
{
    if (given->reverse && range->reverse != cursor->reverse)
        return false;
    bool ahead_given = cursor->reverse ? given->start : given->end;
    bool behind_given = cursor->reverse ? given->end : given->start;
    struct varve_slice ahead = cursor->reverse ? range->start : range->end;
    struct varve_slice behind = cursor->reverse ? range->end : range->start;
    return (!ahead_given || slices_equal(ahead, cursor->ahead)) &&
           (!behind_given || cursor_bound_hash(behind) == cursor->behind_hash);
}

static enum varve_status apply_cursor(struct range_query *range, struct varve_slice text,
                                      const struct bounds_given *given, struct problem *ret_problem)
{
    struct cursor cursor = {0};
    enum varve_status status = cursor_decode(text, &range->cursor_bytes, &cursor);
    if (status == VARVE_INVALID)
        return problem_set(ret_problem, PROBLEM_INVALID_CURSOR,
                           "the cursor is not one that this server gave out");
    if (status != VARVE_OK)
        return problem_set_status(ret_problem, status);
    if (!cursor_fits(&cursor, range, given))
        return problem_set(ret_problem, PROBLEM_INVALID_CURSOR,
                           "the cursor belongs to other bounds or another direction");

    range->reverse = cursor.reverse;
    range->behind_hash = cursor.behind_hash;
    if (cursor.reverse) {
        range->start = cursor.ahead;
        range->end = cursor.last_key;
    } else {
        status = key_successor(cursor.last_key, &range->bound);
        if (status != VARVE_OK)
            return problem_set_status(ret_problem, status);
        range->start = buf_slice(&range->bound);
        range->end = cursor.ahead;
        range->none = range->start.size == 0;
    }
    if (range->end.size > 0 && varve_slice_compare(range->start, range->end) >= 0)
        range->none = true;
    return VARVE_OK;
}

static enum varve_status parse_limit(struct range_query *range, const struct query *query,
                                     enum range_form form, struct problem *ret_problem)
{
    if (form == RANGE_PAGE) {
        range->limit = LIMIT_RANGE_ITEMS_DEFAULT;
        return query_get_uint(query, "limit", 1, LIMIT_RANGE_ITEMS_MAX, &range->limit, ret_problem);
    }
    range->limit = UINT64_MAX;
    if (form == RANGE_STREAM)
        return query_get_uint(query, "limit", 1, UINT64_MAX, &range->limit, ret_problem);
    if (query_find(query, "limit") != NULL || query_find(query, "cursor") != NULL)
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "\"count_only\" excludes \"limit\" and \"cursor\"");
    return VARVE_OK;
}

enum varve_status range_query_parse(struct range_query *ret_range, struct query *query,
                                    enum range_form form, struct problem *ret_problem)
{
    struct bounds_given given = {.reverse = query_find(query, "reverse") != NULL};
    const struct query_param *cursor = query_find(query, "cursor");

    enum varve_status status = query_check_known(query, known_params, ret_problem);
    if (status == VARVE_OK)
        status = parse_limit(ret_range, query, form, ret_problem);
    if (status == VARVE_OK)
        status = query_get_bool(query, "reverse", &ret_range->reverse, ret_problem);
    if (status == VARVE_OK)
        status = query_get_bool(query, "keys_only", &ret_range->keys_only, ret_problem);
    if (status == VARVE_OK)
        status = query_get_encoding(query, "encoding", &ret_range->utf8, ret_problem);
    if (status == VARVE_OK)
        status = parse_bounds(ret_range, query, &given, ret_problem);
    if (status != VARVE_OK)
        return status;
    ret_range->behind_hash =
        cursor_bound_hash(ret_range->reverse ? ret_range->end : ret_range->start);
    return cursor != NULL ? apply_cursor(ret_range, cursor->value, &given, ret_problem) : VARVE_OK;
}

enum varve_status range_query_next_cursor(const struct range_query *range,
                                          struct varve_slice last_key, struct buf *out)
{
    struct cursor cursor = {
        .reverse = range->reverse,
        .last_key = last_key,
        .ahead = range->reverse ? range->start : range->end,
        .behind_hash = range->behind_hash,
    };
    return cursor_encode(&cursor, out);
}
