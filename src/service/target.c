/*
 * The raw target is read from left to right and decoded once: an absolute form loses its scheme and
 * authority, the query is cut off at the first '?', and what stands behind /kv/ is a key, byte for
 * byte. Reserved names are looked at after decoding, so that no spelling of them means another
 * thing.
 */
#include "service/target.h"

#include <string.h>
#include <strings.h>

#include <varve/options.h>

static const char allow_key[] = "GET, HEAD, PUT, DELETE";
static const char allow_batch[] = "GET, HEAD, PUT, DELETE, POST";

enum request_method request_method_parse(const char *text)
{
    static const struct {
        const char *text;
        enum request_method method;
    } methods[] = {
        {"GET", METHOD_GET},       {"HEAD", METHOD_HEAD}, {"PUT", METHOD_PUT},
        {"DELETE", METHOD_DELETE}, {"POST", METHOD_POST},
    };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(text, methods[i].text) == 0)
            return methods[i].method;
    }
    return METHOD_OTHER;
}

static bool slice_is(struct varve_slice slice, const char *text)
{
    return varve_slice_compare(slice, varve_slice_str(text)) == 0;
}

static struct varve_slice without_front(struct varve_slice slice, size_t size)
{
    return varve_slice(slice.data + size, slice.size - size);
}

/* "http://host/path" as "/path" (RFC 9112 section 3.2.2). */
static struct varve_slice strip_authority(struct varve_slice raw)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t size = strlen(schemes[i]);
        if (raw.size < size || strncasecmp((const char *)raw.data, schemes[i], size) != 0)
            continue;
        while (size < raw.size && raw.data[size] != '/' && raw.data[size] != '?')
            size++;
        return without_front(raw, size);
    }
    return raw;
}

static enum varve_status check_key(struct varve_slice key, struct problem *ret_problem)
{
    if (key.size == 0)
        return problem_set(ret_problem, PROBLEM_INVALID_KEY, "the key is empty");
    if (key.size > VARVE_KEY_BYTES_MAX)
        return problem_set_limit(ret_problem, PROBLEM_INVALID_KEY, VARVE_KEY_BYTES_MAX, key.size,
                                 "the key is longer than %u bytes", VARVE_KEY_BYTES_MAX);
    return VARVE_OK;
}

static enum varve_status refuse_method(struct problem *ret_problem, const char *allow)
{
    enum varve_status status =
        problem_set(ret_problem, PROBLEM_METHOD_NOT_ALLOWED, "this path takes %s", allow);
    ret_problem->allow = allow;
    return status;
}

static enum varve_status check_key_method(enum request_method method, struct problem *ret_problem)
{
    if (method == METHOD_POST || method == METHOD_OTHER)
        return refuse_method(ret_problem, allow_key);
    return VARVE_OK;
}

/* /kv?key= and /kv?key64= */
static enum varve_status parse_query_key(struct target *target, enum request_method method,
                                         struct problem *ret_problem)
{
    target->kind = TARGET_KEY;
    target->key_from_query = true;
    enum varve_status status = check_key_method(method, ret_problem);
    if (status != VARVE_OK)
        return status;
    bool given = false;
    status = query_get_bytes(&target->query, "key", "key64", &target->key, &given, ret_problem);
    if (status != VARVE_OK)
        return status;
    if (!given)
        return problem_set(ret_problem, PROBLEM_INVALID_KEY,
                           "/kv needs a key: \"key\" or \"key64\" in the query, or /kv/<key>");
    return check_key(target->key, ret_problem);
}

/* /kv/<key>; `raw_key` is what stands behind the slash. */
static enum varve_status parse_path_key(struct target *target, enum request_method method,
                                        struct varve_slice raw_key, struct problem *ret_problem)
{
    enum varve_status status = percent_decode(raw_key, false, &target->decoded, &target->key);
    if (status == VARVE_INVALID)
        return problem_set(ret_problem, PROBLEM_INVALID_KEY, "the path has a bad percent escape");
    if (status != VARVE_OK)
        return problem_set_status(ret_problem, status);
    if (slice_is(target->key, "range") && (method == METHOD_GET || method == METHOD_HEAD)) {
        target->kind = TARGET_RANGE;
        return VARVE_OK;
    }
    if (slice_is(target->key, "batch")) {
        target->kind = method == METHOD_POST ? TARGET_BATCH : TARGET_KEY;
        return method == METHOD_OTHER ? refuse_method(ret_problem, allow_batch) : VARVE_OK;
    }
    target->kind = TARGET_KEY;
    status = check_key(target->key, ret_problem);
    return status != VARVE_OK ? status : check_key_method(method, ret_problem);
}

enum varve_status target_parse(struct target *target, enum request_method method,
                               struct varve_slice raw, struct problem *ret_problem)
{
    if (raw.size > LIMIT_TARGET_BYTES)
        return problem_set_limit(ret_problem, PROBLEM_TARGET_TOO_LONG, LIMIT_TARGET_BYTES, raw.size,
                                 "the request target is longer than %u bytes", LIMIT_TARGET_BYTES);
    struct varve_slice rest = strip_authority(raw);
    struct varve_slice query = {0};
    const uint8_t *mark = rest.size > 0 ? memchr(rest.data, '?', rest.size) : NULL;
    target->path = rest;
    if (mark != NULL) {
        target->path.size = (size_t)(mark - rest.data);
        query = without_front(rest, target->path.size + 1);
    }
    if (target->path.size == 0)
        target->path = varve_slice_str("/");

    enum varve_status status = query_parse(&target->query, query, ret_problem);
    if (status != VARVE_OK)
        return status;
    if (slice_is(target->path, "/kv"))
        return parse_query_key(target, method, ret_problem);
    if (target->path.size >= 4 && memcmp(target->path.data, "/kv/", 4) == 0)
        return parse_path_key(target, method, without_front(target->path, 4), ret_problem);
    return VARVE_OK;
}

void target_deinit(struct target *target)
{
    query_deinit(&target->query);
    buf_deinit(&target->decoded);
    *target = (struct target){0};
}

enum varve_status target_check_params(const struct target *target, const char *const *names,
                                      struct problem *ret_problem)
{
    const char *all[LIMIT_QUERY_PARAMS + 3] = {0};
    size_t count = 0;
    if (target->key_from_query) {
        all[count++] = "key";
        all[count++] = "key64";
    }
    for (size_t i = 0; i < LIMIT_QUERY_PARAMS && names[i] != NULL; i++)
        all[count++] = names[i];
    return query_check_known(&target->query, all, ret_problem);
}
