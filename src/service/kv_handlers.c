/*
 * A read is answered on the spot, unless it would have to wait for the disk or its JSON may be
 * large: then a worker makes the answer, for the loop has others to serve meanwhile. Large JSON of
 * a write is read by a worker too. The store lends the value: one that is
 * small, or holds up much more than itself, is copied into the answer, for a slow client takes long
 * to fetch it; a large raw one of a block is sent from where it lies. A write waits for its commit
 * group.
 */
#include "service/kv_handlers.h"

#include <microhttpd.h>

#include <varve/db.h>

#include "service/entity_tag.h"
#include "service/headers.h"
#include "service/json_answer.h"
#include "service/json_body.h"
#include "service/limits.h"
#include "service/utf8.h"

enum varve_status kv_read_sync(struct exchange *exchange)
{
    static const char name[] = "sync";
    bool sync = false;
    enum varve_status status =
        query_get_bool(&exchange->target.query, name, &sync, &exchange->problem);
    if (status == VARVE_OK && query_find(&exchange->target.query, name) != NULL)
        exchange->sync = sync ? VARVE_SYNC_ON : VARVE_SYNC_OFF;
    return status;
}

/* GET, HEAD */

static enum varve_status prepare_get(struct exchange *exchange)
{
    struct query *query = &exchange->target.query;
    struct problem *problem = &exchange->problem;
    bool raw = false;
    bool utf8 = false;
    enum varve_status status = query_get_flag(query, "raw", &raw, problem);
    if (status == VARVE_OK)
        status = query_get_encoding(query, "encoding", &utf8, problem);
    if (status != VARVE_OK)
        return status;
    exchange->encoding = utf8 ? VALUE_UTF8 : VALUE_BASE64;
    if (raw && query_find(query, "encoding") != NULL)
        return problem_set(problem, PROBLEM_INVALID_PARAMETER,
                           "\"raw\" and \"encoding\" exclude each other");
    if (raw) {
        exchange->representation = REPRESENTATION_RAW;
        return VARVE_OK;
    }
    size_t choice = 0;
    status = accept_choose(exchange_headers(exchange), exchange_header_count(exchange),
                           representation_types, REPRESENTATION_KEY_COUNT, &choice, problem);
    if (status == VARVE_OK)
        exchange->representation = (enum representation)choice;
    return status;
}

static enum entity_form tag_form(const struct exchange *exchange)
{
    if (exchange->representation == REPRESENTATION_RAW)
        return ENTITY_RAW;
    return exchange->encoding == VALUE_UTF8 ? ENTITY_UTF8 : ENTITY_JSON;
}

/* VARVE_CONFLICT: the client has this very answer already. */
static enum varve_status check_if_none_match(struct exchange *exchange, uint64_t revision)
{
    const struct header *headers = exchange_headers(exchange);
    bool known = false;
    for (size_t i = 0; i < exchange_header_count(exchange); i++) {
        bool listed = false;
        if (header_find(&headers[i], 1, "If-None-Match") == NULL)
            continue;
        char tag[ENTITY_TAG_BYTES];
        entity_tag_format(revision, tag_form(exchange), tag);
        if (!entity_tag_is_listed(headers[i].value, tag, &listed))
            return problem_set(&exchange->problem, PROBLEM_INVALID_REQUEST,
                               "If-None-Match is no list of entity tags");
        known = known || listed;
    }
    return known ? VARVE_CONFLICT : VARVE_OK;
}

/* What the value takes in the answer, but for the rest of the item. */
static size_t encoded_bytes(const struct exchange *exchange, size_t value_bytes)
{
    bool plain = exchange->representation == REPRESENTATION_RAW || exchange->encoding == VALUE_UTF8;
    return plain ? value_bytes : value_bytes / 3 * 4;
}

/* Sending it from where it lies would keep more in memory than the answers' budget counts: all
 * memtables of its time, for as long as a slow client likes. */
static bool holds_up_much(const struct varve_value *value)
{
    return varve_value_pinned_bytes(value) / 2 > value->data.size;
}

/* May keep `value`, which is then empty. */
static enum varve_status write_value(struct exchange *exchange, struct varve_value *value)
{
    struct buf *out = &exchange->answer.body;
    if (exchange->representation == REPRESENTATION_RAW) {
        if (value->data.size <= LIMIT_FREE_ANSWER_BYTES || holds_up_much(value))
            return buf_append_slice(out, value->data);
        exchange->answer.lent = *value;
        *value = (struct varve_value){0};
        return VARVE_OK;
    }
    struct json_stamp stamp = {.revision = value->revision, .expires_at = value->expires_at};
    return json_answer_item(out, exchange->target.key, value->data, exchange->encoding, stamp);
}

/* Escaped text has to be made to know how long it is. */
static bool is_measurable(const struct exchange *exchange, struct varve_slice value)
{
    return exchange->representation == REPRESENTATION_RAW || exchange->encoding != VALUE_UTF8 ||
           !utf8_is_text(value);
}

/* For an answer of which only the length is told. */
static enum varve_status measure_value(struct exchange *exchange, const struct varve_value *value)
{
    struct answer *answer = &exchange->answer;
    struct json_stamp stamp = {.revision = value->revision, .expires_at = value->expires_at};
    answer->is_length_only = true;
    answer->length = value->data.size;
    return exchange->representation == REPRESENTATION_RAW
               ? VARVE_OK
               : json_answer_item_bytes(exchange->target.key, value->data.size, stamp,
                                        &answer->length);
}

/* May keep `value`, which is then empty. */
static enum exchange_step answer_value(struct exchange *exchange, struct varve_value *value)
{
    struct answer *answer = &exchange->answer;
    enum varve_status status = check_if_none_match(exchange, value->revision);
    if (status_failed(status))
        return exchange_refuse(exchange);
    answer->has_revision = true;
    answer->revision = value->revision;
    answer->has_tag = true;
    answer->tag_form = tag_form(exchange);
    answer->nosniff = exchange->representation == REPRESENTATION_RAW;
    unsigned code = status == VARVE_CONFLICT ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK;
    bool is_sent = code == MHD_HTTP_OK && exchange->method != METHOD_HEAD;
    bool is_made = is_sent || !is_measurable(exchange, value->data);
    if (is_made &&
        exchange_reserve_answer(exchange, encoded_bytes(exchange, value->data.size)) != VARVE_OK)
        return exchange_refuse(exchange);
    status = is_made ? write_value(exchange, value) : measure_value(exchange, value);
    if (status != VARVE_OK)
        return exchange_fail(exchange, status);
    return exchange_answer(exchange, code, representation_types[exchange->representation]);
}

/* Takes what the look-up gave. */
static enum exchange_step answer_get(struct exchange *exchange, enum varve_status status,
                                     struct varve_value *value)
{
    if (status != VARVE_OK)
        return exchange_fail(exchange, status);
    enum exchange_step step = answer_value(exchange, value);
    varve_value_release(value);
    return step;
}

static void run_get(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    struct varve_value value = {0};
    enum varve_status status = varve_get(exchange->db, exchange->target.key, NULL, &value);
    (void)answer_get(exchange, status, &value);
    exchange_job_done(exchange, VARVE_OK);
}

static bool is_long_to_make(const struct exchange *exchange, struct varve_slice value)
{
    return exchange->representation == REPRESENTATION_JSON &&
           json_answer_item_bytes_max(exchange->target.key, value, exchange->encoding) >
               LIMIT_INLINE_JSON_BYTES;
}

static enum exchange_step handle_get(struct exchange *exchange)
{
    struct varve_value value = {0};
    enum varve_status status = varve_get_cached(exchange->db, exchange->target.key, NULL, &value);
    if (status == VARVE_WOULD_BLOCK)
        return exchange_defer(exchange, run_get);
    if (status == VARVE_OK && is_long_to_make(exchange, value.data)) {
        varve_value_release(&value); /* found again more quickly than made */
        return exchange_work(exchange, THREAD_JOB_URGENT, run_get);
    }
    return answer_get(exchange, status, &value);
}

static enum exchange_step finish_get(struct exchange *exchange)
{
    return EXCHANGE_DONE;
}

static const char *const get_params[] = {"raw", "encoding", NULL};
const struct route kv_get_route = {
    .meter = METER_KEY,
    .scopes = TOKEN_READ,
    .needs_store = true,
    .params = get_params,
    .prepare = prepare_get,
    .handle = handle_get,
    .finish = finish_get,
};

/* Writes and their conditions. */

/* What a list of tags asks of the key's revision. */
static enum varve_status add_condition(struct exchange *exchange, const struct entity_tags *tags,
                                       bool is_match)
{
    static const uint64_t absent = 0, never = UINT64_MAX; /* no commit has that */
    struct varve_check check = {.key = exchange->target.key};
    if (tags->any) {
        check.kind = is_match ? VARVE_CHECK_IS_NOT : VARVE_CHECK_IS;
        check.revisions = &absent;
        check.revision_count = 1;
    } else {
        check.kind = is_match ? VARVE_CHECK_IS : VARVE_CHECK_IS_NOT;
        check.revisions = (const uint64_t *)(const void *)tags->revisions.data;
        check.revision_count = tags->revisions.size / sizeof(uint64_t);
    }
    if (check.revision_count == 0) { /* nothing that is listed can match */
        check.revisions = &never;
        check.revision_count = 1;
    }
    return varve_batch_check(exchange->batch, &check);
}

/* On failure the problem is set. */
static enum varve_status read_condition(struct exchange *exchange, const char *name, bool is_match)
{
    const struct header *headers = exchange_headers(exchange);
    struct entity_tags tags = {0};
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < exchange_header_count(exchange); i++) {
        if (header_find(&headers[i], 1, name) != NULL)
            status = entity_tags_add(&tags, headers[i].value);
    }
    if (status == VARVE_OK && tags.given)
        status = add_condition(exchange, &tags, is_match);
    entity_tags_deinit(&tags);
    if (status == VARVE_INVALID)
        return problem_set(&exchange->problem, PROBLEM_INVALID_REQUEST,
                           "%s is no list of entity tags", name);
    return status == VARVE_OK ? VARVE_OK : problem_set_status(&exchange->problem, status);
}

static enum exchange_step commit_if(struct exchange *exchange)
{
    enum varve_status status = read_condition(exchange, "If-Match", true);
    if (status == VARVE_OK)
        status = read_condition(exchange, "If-None-Match", false);
    return status == VARVE_OK ? exchange_commit(exchange) : exchange_refuse(exchange);
}

static enum exchange_step fail_write(struct exchange *exchange)
{
    struct problem *problem = &exchange->problem;
    if (exchange->write.status != VARVE_CONFLICT)
        return exchange_fail(exchange, exchange->write.status);
    (void)problem_set(problem, PROBLEM_PRECONDITION_FAILED,
                      "If-Match or If-None-Match does not hold; nothing was written");
    problem->has_current_revision = true;
    (void)varve_batch_check_held(exchange->batch, 0, &problem->current_revision); /* one key */
    return exchange_refuse(exchange);
}

/* PUT */

static enum varve_status prepare_put(struct exchange *exchange)
{
    struct query *query = &exchange->target.query;
    struct problem *problem = &exchange->problem;
    enum varve_status status = kv_read_sync(exchange);
    if (status == VARVE_OK)
        status = content_type_choose(exchange_headers(exchange), exchange_header_count(exchange),
                                     REPRESENTATION_RAW, &exchange->representation, problem);
    if (status != VARVE_OK)
        return status;
    if (exchange->representation == REPRESENTATION_JSON && query_find(query, "ttl") != NULL)
        return problem_set(problem, PROBLEM_INVALID_PARAMETER,
                           "the query parameter \"ttl\" goes with a raw body; JSON has a member");
    return query_get_uint(query, "ttl", 1, LIMIT_TTL_S, &exchange->ttl_s, problem);
}

static enum varve_status add_put(struct exchange *exchange, struct varve_slice value)
{
    struct varve_slice key = exchange->target.key;
    if (exchange->ttl_s == 0)
        return varve_batch_put(exchange->batch, key, value);
    return varve_batch_put_expiring(exchange->batch, key, value,
                                    service_expiry_base_s(exchange->loop->service) +
                                        exchange->ttl_s);
}

/* Fills the exchange's batch. On failure the problem is set. */
static enum varve_status make_put(struct exchange *exchange)
{
    struct varve_slice value = buf_slice(&exchange->body);
    enum varve_status status = VARVE_OK;
    if (exchange->representation == REPRESENTATION_JSON) {
        size_t bytes_max = exchange->loop->service->config->engine.value_bytes_max;
        status = json_body_parse_put(value, bytes_max, &exchange->value, &exchange->ttl_s,
                                     &exchange->problem);
        if (status != VARVE_OK)
            return status;
        value = buf_slice(&exchange->value);
    }
    status = exchange_begin_batch(exchange);
    if (status == VARVE_OK)
        status = add_put(exchange, value);
    return status == VARVE_OK ? VARVE_OK : problem_set_status(&exchange->problem, status);
}

static enum exchange_step commit_put(struct exchange *exchange, enum varve_status made)
{
    return made == VARVE_OK ? commit_if(exchange) : exchange_refuse(exchange);
}

static void run_make_put(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    exchange_job_done(exchange, make_put(exchange));
}

static enum exchange_step handle_put(struct exchange *exchange)
{
    exchange->prepares = exchange->representation == REPRESENTATION_JSON &&
                         exchange->body.size > LIMIT_INLINE_JSON_BYTES;
    if (exchange->prepares)
        return exchange_work(exchange, THREAD_JOB_URGENT, run_make_put);
    return commit_put(exchange, make_put(exchange));
}

static enum exchange_step finish_put(struct exchange *exchange)
{
    if (exchange->prepares) {
        exchange->prepares = false;
        return commit_put(exchange, exchange->write.status);
    }
    if (exchange->write.status != VARVE_OK)
        return fail_write(exchange);
    struct answer *answer = &exchange->answer;
    answer->has_revision = true;
    answer->revision = exchange->write.revision;
    answer->has_tag = true;
    answer->tag_form = ENTITY_RAW;
    enum varve_status status = json_answer_key(&answer->body, exchange->target.key,
                                               (struct json_stamp){.revision = answer->revision});
    if (status != VARVE_OK) /* it is written: an answer that promises otherwise would be wrong */
        return exchange_fail(exchange, VARVE_OUTCOME_UNKNOWN);
    return exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_JSON]);
}

static const char *const put_params[] = {"sync", "ttl", NULL};
const struct route kv_put_route = {
    .meter = METER_KEY,
    .scopes = TOKEN_WRITE,
    .needs_store = true,
    .takes_body = true,
    .needs_body = true,
    .params = put_params,
    .prepare = prepare_put,
    .handle = handle_put,
    .finish = finish_put,
};

/* DELETE */

static enum exchange_step handle_delete(struct exchange *exchange)
{
    enum varve_status status = exchange_begin_batch(exchange);
    if (status == VARVE_OK)
        status = varve_batch_delete(exchange->batch, exchange->target.key);
    return status == VARVE_OK ? commit_if(exchange) : exchange_fail(exchange, status);
}

static enum exchange_step finish_delete(struct exchange *exchange)
{
    if (exchange->write.status != VARVE_OK)
        return fail_write(exchange);
    exchange->answer.has_revision = true;
    exchange->answer.revision = exchange->write.revision;
    return exchange_answer(exchange, MHD_HTTP_NO_CONTENT, NULL);
}

static const char *const delete_params[] = {"sync", NULL};
const struct route kv_delete_route = {
    .meter = METER_KEY,
    .scopes = TOKEN_WRITE,
    .needs_store = true,
    .params = delete_params,
    .prepare = kv_read_sync,
    .handle = handle_delete,
    .finish = finish_delete,
};
