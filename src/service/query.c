/*
 * Room for all that can be decoded is made before the first slice is taken, so that the slices stay
 * where they point: form decoding never makes a text longer, and neither does base64url.
 */
#include "service/query.h"

#include <inttypes.h>
#include <string.h>

#include <varve/options.h>

#include "service/base64.h"

#define NAME_SHOWN_BYTES 64 /* of a parameter's name, in a problem's detail */

static int shown(struct varve_slice name)
{
    return name.size < NAME_SHOWN_BYTES ? (int)name.size : NAME_SHOWN_BYTES;
}

static bool slice_is(struct varve_slice slice, const char *text)
{
    return varve_slice_compare(slice, varve_slice_str(text)) == 0;
}

void query_deinit(struct query *query)
{
    buf_deinit(&query->decoded);
    *query = (struct query){0};
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool needs_decoding(struct varve_slice raw, bool form)
{
    if (raw.size == 0)
        return false;
    return memchr(raw.data, '%', raw.size) != NULL ||
           (form && memchr(raw.data, '+', raw.size) != NULL);
}

enum varve_status percent_decode(struct varve_slice raw, bool form, struct buf *decoded,
                                 struct varve_slice *ret)
{
    if (!needs_decoding(raw, form)) {
        *ret = raw;
        return VARVE_OK;
    }
    enum varve_status status = buf_reserve(decoded, raw.size);
    if (status != VARVE_OK)
        return status;
    uint8_t *from = decoded->data + decoded->size;
    uint8_t *to = from;
    for (size_t i = 0; i < raw.size; i++) {
        uint8_t c = raw.data[i];
        if (c == '%') {
            if (raw.size - i < 3)
                return status_raise(VARVE_INVALID);
            int high = hex_digit(raw.data[i + 1]), low = hex_digit(raw.data[i + 2]);
            if (high < 0 || low < 0)
                return status_raise(VARVE_INVALID);
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && form) {
            c = ' ';
        }
        *to++ = c;
    }
    decoded->size += (size_t)(to - from);
    *ret = varve_slice(from, (size_t)(to - from));
    return VARVE_OK;
}

static const struct query_param *find_slice(const struct query *query, struct varve_slice name)
{
    for (size_t i = 0; i < query->count; i++) {
        if (varve_slice_compare(query->params[i].name, name) == 0)
            return &query->params[i];
    }
    return NULL;
}

const struct query_param *query_find(const struct query *query, const char *name)
{
    return find_slice(query, varve_slice_str(name));
}

/* `text` is one parameter, not empty. */
static enum varve_status add_param(struct query *query, struct varve_slice text,
                                   struct problem *ret_problem)
{
    if (query->count == LIMIT_QUERY_PARAMS)
        return problem_set_limit(ret_problem, PROBLEM_INVALID_PARAMETER, LIMIT_QUERY_PARAMS,
                                 LIMIT_QUERY_PARAMS + 1, "there are too many query parameters");
    struct query_param param = {0};
    const uint8_t *equals = memchr(text.data, '=', text.size);
    struct varve_slice raw_name = text, raw_value = {0};
    if (equals != NULL) {
        param.has_value = true;
        raw_name.size = (size_t)(equals - text.data);
        raw_value = varve_slice(equals + 1, text.size - raw_name.size - 1);
    }
    if (percent_decode(raw_name, true, &query->decoded, &param.name) != VARVE_OK ||
        percent_decode(raw_value, true, &query->decoded, &param.value) != VARVE_OK)
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "the query parameter \"%.*s\" has a bad percent escape", shown(raw_name),
                           (const char *)raw_name.data);
    if (find_slice(query, param.name) != NULL)
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "the query parameter \"%.*s\" occurs twice", shown(param.name),
                           (const char *)param.name.data);
    query->params[query->count++] = param;
    return VARVE_OK;
}

enum varve_status query_parse(struct query *query, struct varve_slice raw,
                              struct problem *ret_problem)
{
    if (raw.size == 0)
        return VARVE_OK;
    enum varve_status status =
        buf_reserve(&query->decoded, 2 * raw.size + LIMIT_QUERY_PARAMS * BASE64_DECODE_SLACK);
    if (status != VARVE_OK)
        return problem_set_status(ret_problem, status);

    struct varve_slice rest = raw;
    while (rest.size > 0 && status == VARVE_OK) {
        const uint8_t *ampersand = memchr(rest.data, '&', rest.size);
        size_t size = ampersand != NULL ? (size_t)(ampersand - rest.data) : rest.size;
        if (size > 0)
            status = add_param(query, varve_slice(rest.data, size), ret_problem);
        size_t taken = ampersand != NULL ? size + 1 : size;
        rest = varve_slice(rest.data + taken, rest.size - taken);
    }
    return status;
}

enum varve_status query_check_known(const struct query *query, const char *const *names,
                                    struct problem *ret_problem)
{
    for (size_t i = 0; i < query->count; i++) {
        struct varve_slice name = query->params[i].name;
        const char *const *known = names;
        while (*known != NULL && !slice_is(name, *known))
            known++;
        if (*known == NULL)
            return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                               "the query parameter \"%.*s\" is not known here", shown(name),
                               (const char *)name.data);
    }
    return VARVE_OK;
}

enum varve_status query_get_bool(const struct query *query, const char *name, bool *ret_value,
                                 struct problem *ret_problem)
{
    const struct query_param *param = query_find(query, name);
    if (param == NULL)
        return VARVE_OK;
    bool is_true = slice_is(param->value, "true");
    if (!is_true && !slice_is(param->value, "false"))
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "the query parameter \"%s\" is \"true\" or \"false\"", name);
    *ret_value = is_true;
    return VARVE_OK;
}

static bool parse_uint(struct varve_slice text, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text.data[i] - '0'), &number))
            return false;
    }
    *ret_number = number;
    return text.size > 0;
}

enum varve_status query_get_uint(const struct query *query, const char *name, uint64_t min,
                                 uint64_t max, uint64_t *ret_value, struct problem *ret_problem)
{
    const struct query_param *param = query_find(query, name);
    if (param == NULL)
        return VARVE_OK;
    uint64_t number = 0;
    if (!parse_uint(param->value, &number) || number < min || number > max)
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "the query parameter \"%s\" is a number from %" PRIu64 " to %" PRIu64,
                           name, min, max);
    *ret_value = number;
    return VARVE_OK;
}

enum varve_status query_get_flag(const struct query *query, const char *name, bool *ret_set,
                                 struct problem *ret_problem)
{
    const struct query_param *param = query_find(query, name);
    if (param == NULL)
        return VARVE_OK;
    if (param->value.size > 0)
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "the query parameter \"%s\" takes no value", name);
    *ret_set = true;
    return VARVE_OK;
}

enum varve_status query_get_encoding(const struct query *query, const char *name, bool *ret_utf8,
                                     struct problem *ret_problem)
{
    const struct query_param *param = query_find(query, name);
    if (param == NULL)
        return VARVE_OK;
    bool utf8 = slice_is(param->value, "utf8");
    if (!utf8 && !slice_is(param->value, "base64"))
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "the query parameter \"%s\" is \"base64\" or \"utf8\"", name);
    *ret_utf8 = utf8;
    return VARVE_OK;
}

static enum varve_status decode_param(struct query *query, struct query_param *param,
                                      struct problem *ret_problem)
{
    size_t from = query->decoded.size;
    enum varve_status status = base64url_decode(param->value, &query->decoded);
    if (status == VARVE_INVALID)
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "the query parameter \"%.*s\" is not base64url", shown(param->name),
                           (const char *)param->name.data);
    if (status != VARVE_OK)
        return problem_set_status(ret_problem, status);
    param->value = varve_slice(query->decoded.data + from, query->decoded.size - from);
    param->is_bytes = true;
    return VARVE_OK;
}

enum varve_status query_get_bytes(struct query *query, const char *name, const char *name64,
                                  struct varve_slice *ret_bytes, bool *ret_given,
                                  struct problem *ret_problem)
{
    const struct query_param *plain = query_find(query, name);
    const struct query_param *encoded = query_find(query, name64);
    if (plain != NULL && encoded != NULL)
        return problem_set(ret_problem, PROBLEM_INVALID_PARAMETER,
                           "\"%s\" and \"%s\" exclude each other", name, name64);
    if (encoded != NULL && !encoded->is_bytes) {
        struct query_param *param = &query->params[encoded - query->params];
        enum varve_status status = decode_param(query, param, ret_problem);
        if (status != VARVE_OK)
            return status;
    }
    const struct query_param *param = plain != NULL ? plain : encoded;
    if (param != NULL) {
        *ret_bytes = param->value;
        *ret_given = true;
    }
    return VARVE_OK;
}

enum varve_status query_get_bound(struct query *query, const char *name, const char *name64,
                                  struct varve_slice *ret_bound, bool *ret_given,
                                  struct problem *ret_problem)
{
    struct varve_slice bound = {0};
    enum varve_status status = query_get_bytes(query, name, name64, &bound, ret_given, ret_problem);
    if (status != VARVE_OK)
        return status;
    if (bound.size > VARVE_KEY_BYTES_MAX)
        return problem_set_limit(ret_problem, PROBLEM_INVALID_PARAMETER, VARVE_KEY_BYTES_MAX,
                                 bound.size, "\"%s\" is longer than %u bytes", name,
                                 VARVE_KEY_BYTES_MAX);
    *ret_bound = bound;
    return VARVE_OK;
}
