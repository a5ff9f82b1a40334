/*
 * libmicrohttpd calls with the raw target first (before it takes the request line apart), then with
 * the complete header, then with each part of the body, then once more, and then, if the handler
 * waited, again when the connection was resumed.
 *
 * A response queued in the first of those calls closes the connection: that is how requests are
 * refused before their body. A refused request without a body waits for the next call, so that
 * its connection is kept.
 *
 * Exchanges are used again, with their memory unless it has grown large. The answer's body stays
 * in the exchange, which outlives the sending of it; so does a value that the store lends.
 */
#include "service/exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/audit.h"
#include "service/batch.h"
#include "service/limits.h"
#include "service/response.h"
#include "service/router.h"
#include "service/settings.h"
#include "service/stream.h"
#include "service/wire.h"

#define SPARE_EXCHANGES_MAX 256u
#define KEPT_BUFFER_BYTES (8u << 10)
#define KEPT_CHECKS 64u
#define FIRST_BODY_RESERVE_BYTES (64u << 10)

/* Making, using again, freeing. */

static struct exchange *exchange_take(struct event_loop *loop)
{
    struct exchange *exchange = loop->spare_exchanges;
    if (exchange != NULL) {
        loop->spare_exchanges = exchange->next_spare;
        loop->spare_exchange_count--;
        return exchange;
    }
    return calloc(1, sizeof *exchange);
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    target_deinit(&exchange->target);
    problem_deinit(&exchange->problem);
    json_results_deinit(&exchange->results);
    batch_work_free(exchange->batch_work);
    scan_free(exchange->scan);
    varve_batch_free(exchange->batch);
    buf_deinit(&exchange->raw_target);
    buf_deinit(&exchange->header_list);
    buf_deinit(&exchange->body);
    buf_deinit(&exchange->value);
    buf_deinit(&exchange->answer.body);
    varve_value_release(&exchange->answer.lent);
    free(exchange);
}

static void buf_recycle(struct buf *buf)
{
    buf_clear(buf);
    if (buf->capacity > KEPT_BUFFER_BYTES)
        buf_deinit(buf);
}

static void batch_recycle(struct exchange *exchange)
{
    if (exchange->batch == NULL)
        return;
    bool large = varve_batch_bytes(exchange->batch) > KEPT_BUFFER_BYTES ||
                 varve_batch_check_count(exchange->batch) > KEPT_CHECKS;
    varve_batch_clear(exchange->batch);
    if (large) {
        varve_batch_free(exchange->batch);
        exchange->batch = NULL;
    }
}

static void end_scan(struct exchange *exchange)
{
    if (exchange->scan == NULL)
        return;
    if (exchange->scan->is_slotted)
        service_end_scan(exchange->loop->service);
    scan_free(exchange->scan);
    exchange->scan = NULL;
}

static void release_body(struct exchange *exchange)
{
    service_release_body(exchange->loop->service, exchange->body_reserved);
    exchange->body_reserved = 0;
}

/* Ready for the next request: all but memory that is worth keeping is as new. */
static void exchange_put_back(struct exchange *exchange)
{
    struct event_loop *loop = exchange->loop;
    if (exchange->body_reserved > 0)
        release_body(exchange);
    varve_value_release(&exchange->answer.lent);
    if (exchange->answer_reserved > 0)
        service_release_answer(loop->service, exchange->answer_reserved);
    end_scan(exchange);
    if (loop->spare_exchange_count >= SPARE_EXCHANGES_MAX) {
        exchange_free(exchange);
        return;
    }
    target_deinit(&exchange->target);
    problem_deinit(&exchange->problem);
    json_results_deinit(&exchange->results);
    batch_work_free(exchange->batch_work);
    batch_recycle(exchange);
    for (size_t i = 0; i < 2; i++)
        buf_deinit(&exchange->stream.chunks[i]);
    struct buf *bufs[] = {&exchange->raw_target, &exchange->header_list, &exchange->body,
                          &exchange->value, &exchange->answer.body};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_recycle(bufs[i]);

    struct exchange kept = {
        .raw_target = exchange->raw_target,
        .header_list = exchange->header_list,
        .body = exchange->body,
        .value = exchange->value,
        .batch = exchange->batch,
        .answer = {.body = exchange->answer.body},
        .next_spare = loop->spare_exchanges,
    };
    *exchange = kept;
    loop->spare_exchanges = exchange;
    loop->spare_exchange_count++;
}

void *exchange_on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct event_loop *loop = context;
    loop->moved = true;
    struct connection *peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (peer == NULL || target == NULL)
        return NULL;
    struct exchange *exchange = exchange_take(loop);
    if (exchange == NULL)
        return NULL;
    exchange->loop = loop;
    exchange->peer = peer;
    exchange->connection = connection;
    exchange->started_us = event_loop_clock_us();
    exchange->raw_target_at = target;
    if (buf_append(&exchange->raw_target, target, strlen(target)) != VARVE_OK) {
        exchange_put_back(exchange);
        return NULL;
    }
    connection_enter(peer, CONNECTION_HEADER, loop->now_ms);
    return exchange;
}

/* Answering. */

enum exchange_step exchange_answer(struct exchange *exchange, unsigned status,
                                   const char *content_type)
{
    exchange->answer.status = status;
    exchange->answer.content_type = content_type;
    return EXCHANGE_DONE;
}

enum exchange_step exchange_refuse(struct exchange *exchange)
{
    exchange->has_problem = true;
    return EXCHANGE_DONE;
}

enum exchange_step exchange_fail(struct exchange *exchange, enum varve_status status)
{
    (void)problem_set_status(&exchange->problem, status);
    return exchange_refuse(exchange);
}

static bool sends_body(const struct exchange *exchange)
{
    return exchange->method != METHOD_HEAD && exchange->answer.status != MHD_HTTP_NOT_MODIFIED;
}

enum varve_status exchange_reserve_answer(struct exchange *exchange, size_t size)
{
    size_t held = exchange->answer_reserved;
    if (size <= LIMIT_FREE_ANSWER_BYTES || size <= held)
        return VARVE_OK;
    if (!service_reserve_answer(exchange->loop->service, held, size - held))
        return problem_set(&exchange->problem, PROBLEM_BUSY,
                           "the answers in flight fill their budget");
    exchange->answer_reserved = size;
    return VARVE_OK;
}

/* The problem becomes the answer. */
static enum varve_status encode_problem(struct exchange *exchange)
{
    struct answer *answer = &exchange->answer;
    varve_value_release(&answer->lent);
    buf_recycle(&answer->body);
    answer->status = (unsigned)problem_http_status(&exchange->problem);
    answer->content_type = PROBLEM_CONTENT_TYPE;
    answer->has_revision = false;
    answer->has_tag = false;
    answer->nosniff = false;
    answer->is_length_only = false;
    answer->retry_after_s = problem_retry_after_s(&exchange->problem);
    return problem_encode(&exchange->problem, varve_slice(exchange->id.text, exchange->id.size),
                          &answer->body);
}

/* Counts it and writes it to the log. */
static void record(struct exchange *exchange)
{
    struct event_loop *loop = exchange->loop;
    uint64_t duration_us = event_loop_clock_us() - exchange->started_us;
    struct meter_event event = {
        .route = exchange->route != NULL ? exchange->route->meter : METER_OTHER,
        .method = exchange->method,
        .status = exchange->answer.status,
        .bytes_in = exchange->body_seen,
        .bytes_out = sends_body(exchange) ? exchange->peer->answer_bytes : 0,
        .duration_us = duration_us,
        .is_scan = exchange->scan != NULL && exchange->range_form != RANGE_PAGE,
    };
    meter_record(&loop->meter, &event);
    if (!journal_wants(loop->service->journal, VARVE_LOG_DEBUG))
        return;
    struct journal_request request = {
        .id = varve_slice(exchange->id.text, exchange->id.size),
        .target = buf_slice(&exchange->raw_target),
        .method = exchange->method_text,
        .status = event.status,
        .bytes_in = event.bytes_in,
        .bytes_out = event.bytes_out,
        .duration_us = duration_us,
    };
    journal_request(loop->service->journal, &request);
}

static void enter_answer(struct exchange *exchange)
{
    struct connection *peer = exchange->peer;
    uint64_t now_ms = exchange->loop->now_ms;
    if (exchange->answer.streams)
        connection_enter(peer, CONNECTION_STREAM, now_ms);
    else if (exchange->answer_reserved > 0)
        connection_enter_charged_answer(peer, now_ms);
    else
        connection_enter(peer, CONNECTION_ANSWER, now_ms);
}

/* Hands the answer to libmicrohttpd. MHD_NO closes the connection without one. */
static enum MHD_Result queue_answer(struct exchange *exchange)
{
    struct answer *answer = &exchange->answer;
    if (exchange->has_problem && encode_problem(exchange) != VARVE_OK)
        return MHD_NO;
    if (exchange_reserve_answer(exchange, answer_bytes(answer).size) != VARVE_OK) {
        exchange->has_problem = true;
        if (encode_problem(exchange) != VARVE_OK)
            return MHD_NO;
    }
    struct MHD_Response *response = response_make(exchange);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_queue_response(exchange->connection, answer->status, response);
    MHD_destroy_response(response); /* the queue has its own reference */
    if (result == MHD_YES) {
        exchange->phase = EXCHANGE_ANSWERED;
        enter_answer(exchange);
        exchange->peer->answer_bytes = answer_bytes(answer).size;
        if (!answer->streams)
            record(exchange);
    }
    return result;
}

static enum MHD_Result send_answer(struct exchange *exchange)
{
    enum MHD_Result result = queue_answer(exchange);
    audit_exchange(exchange);
    return result;
}

void exchange_on_completed(void *context, struct MHD_Connection *connection, void **exchange,
                           enum MHD_RequestTerminationCode reason)
{
    struct event_loop *loop = context;
    struct exchange *done = *exchange;
    *exchange = NULL;
    loop->moved = true;
    if (done == NULL)
        return;
    if (done->answer.streams)
        record(done);
    connection_enter(done->peer, CONNECTION_IDLE, loop->now_ms);
    done->peer->scan = NULL;
    done->orphaned = done->lingers; /* its client has gone meanwhile */
    if (done->scan != NULL)
        done->orphaned = stream_end(done, reason == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (!done->orphaned)
        exchange_put_back(done);
}

bool exchange_on_delivered(struct exchange *exchange)
{
    if (exchange->orphaned) {
        exchange_put_back(exchange);
        return false;
    }
    if (exchange->phase == EXCHANGE_ANSWERED)
        stream_on_filled(exchange);
    return true;
}

static enum MHD_Result take_step(struct exchange *exchange, enum exchange_step step)
{
    if (step == EXCHANGE_WAITS)
        return MHD_YES;
    if (step == EXCHANGE_DROPS)
        return MHD_NO;
    return send_answer(exchange);
}

/* The header is complete: what can be refused is refused now. */

static enum MHD_Result collect_header(void *context, enum MHD_ValueKind kind, const char *name,
                                      size_t name_size, const char *value, size_t value_size)
{
    struct exchange *exchange = context;
    struct header header = {varve_slice(name, name_size), varve_slice(value, value_size)};
    return buf_append(&exchange->header_list, &header, sizeof header) == VARVE_OK ? MHD_YES
                                                                                  : MHD_NO;
}

static bool collect_headers(struct exchange *exchange)
{
    int count = MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, collect_header,
                                            exchange);
    return count >= 0 && (size_t)count == exchange_header_count(exchange);
}

static enum varve_status check_wire(struct exchange *exchange, const char *version)
{
    struct wire_header wire = {
        .method = exchange->method_text,
        .target_at = exchange->raw_target_at,
        .target = buf_slice(&exchange->raw_target),
        .version = version,
        .headers = exchange_headers(exchange),
        .header_count = exchange_header_count(exchange),
        .size =
            MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)
                ->header_size,
    };
    return wire_check(&wire, &exchange->problem);
}

/* One too many may be so no longer when its first request comes. */
static enum varve_status check_connection(struct exchange *exchange)
{
    struct service *service = exchange->loop->service;
    size_t limit = exchange->loop->settings->config.max_connections;
    if (!exchange->peer->over_limit)
        return VARVE_OK;
    if (atomic_load_explicit(&service->connections, memory_order_relaxed) > limit)
        return problem_set(&exchange->problem, PROBLEM_TOO_MANY_CONNECTIONS,
                           "the server serves %zu connections at most", limit);
    exchange->peer->over_limit = false;
    return VARVE_OK;
}

static enum varve_status check_store(struct exchange *exchange)
{
    if (!exchange->route->needs_store)
        return VARVE_OK;
    exchange->db = service_db(exchange->loop->service);
    if (exchange->db == NULL)
        return problem_set(&exchange->problem, PROBLEM_RECOVERING,
                           "the store is being opened; see /health");
    return VARVE_OK;
}

/* The body is the value itself. */
static bool is_raw_value(const struct exchange *exchange)
{
    return exchange->method == METHOD_PUT && exchange->representation == REPRESENTATION_RAW;
}

static enum problem_code too_large_code(const struct exchange *exchange)
{
    return is_raw_value(exchange) ? PROBLEM_VALUE_TOO_LARGE : PROBLEM_BODY_TOO_LARGE;
}

static enum varve_status check_body_size(struct exchange *exchange)
{
    const struct framing *framing = &exchange->framing;
    const struct service_config *config = &exchange->loop->settings->config;
    exchange->body_limit = config->max_body_bytes;
    exchange->drops_body = !exchange->route->takes_body;
    if (exchange->route->needs_body && !framing->chunked && !framing->has_length)
        return problem_set(&exchange->problem, PROBLEM_LENGTH_REQUIRED,
                           "send Content-Length, or Transfer-Encoding: chunked");
    if (is_raw_value(exchange) && config->engine.value_bytes_max < exchange->body_limit)
        exchange->body_limit = config->engine.value_bytes_max;
    if (framing->length > exchange->body_limit)
        return problem_set_limit(&exchange->problem, too_large_code(exchange), exchange->body_limit,
                                 framing->length, "Content-Length is over the limit");
    return VARVE_OK;
}

static enum varve_status refuse_for_budget(struct exchange *exchange)
{
    return problem_set(&exchange->problem, PROBLEM_BUSY, "the bodies in flight fill their budget");
}

/* A body is charged as it comes, so that those which do not come cannot keep others out. Small ones
 * are free. */
static enum varve_status charge_body(struct exchange *exchange)
{
    const struct framing *framing = &exchange->framing;
    if (exchange->body_seen <= LIMIT_FREE_BODY_BYTES ||
        exchange->body_seen <= exchange->body_reserved)
        return VARVE_OK;
    size_t most = framing->chunked ? exchange->body_limit : framing->length;
    size_t steps = (exchange->body_seen + LIMIT_BODY_STEP_BYTES - 1) / LIMIT_BODY_STEP_BYTES;
    size_t size = steps * LIMIT_BODY_STEP_BYTES;
    size = size < most ? size : most;
    if (!service_reserve_body(exchange->loop->service, size - exchange->body_reserved))
        return refuse_for_budget(exchange);
    exchange->body_reserved = size;
    return VARVE_OK;
}

/* For a body whose length is known: who would find no room for it now is told before it comes. */
static enum varve_status prepare_body(struct exchange *exchange)
{
    size_t length = exchange->framing.length;
    if (exchange->drops_body || length == 0)
        return VARVE_OK;
    if (length > LIMIT_FREE_BODY_BYTES && !service_has_body_room(exchange->loop->service, length))
        return refuse_for_budget(exchange);
    size_t first = length < FIRST_BODY_RESERVE_BYTES ? length : FIRST_BODY_RESERVE_BYTES;
    enum varve_status status = buf_reserve(&exchange->body, first);
    return status == VARVE_OK ? VARVE_OK : problem_set_status(&exchange->problem, status);
}

/* Who may not come in learns of a target neither that it is malformed nor that it is there, but for
 * the paths that are open to all. */
static enum varve_status find_route(struct exchange *exchange)
{
    struct problem *problem = &exchange->problem;
    struct access *access = &exchange->access;
    enum varve_status found = target_parse(&exchange->target, exchange->method,
                                           buf_slice(&exchange->raw_target), problem);
    if (found == VARVE_OK)
        found = router_find(&exchange->target, exchange->method, &exchange->route, problem);
    if (found == VARVE_OK ? exchange->route->is_open : router_path_is_open(exchange->target.path))
        return found;
    enum varve_status status =
        access_identify(exchange->loop->settings->tokens, exchange_headers(exchange),
                        exchange_header_count(exchange), access, problem);
    if (status == VARVE_OK && found == VARVE_OK)
        status = access_require(access, exchange->route->scopes, problem);
    return status == VARVE_OK ? found : status;
}

static enum varve_status admit(struct exchange *exchange, const char *version)
{
    struct problem *problem = &exchange->problem;
    enum varve_status status = check_wire(exchange, version);
    if (status == VARVE_OK)
        status = framing_check(exchange_headers(exchange), exchange_header_count(exchange), false,
                               UINT64_MAX, &exchange->framing, problem);
    if (status != VARVE_OK)
        return status;
    status = check_connection(exchange);
    if (status != VARVE_OK)
        return status;
    status = find_route(exchange);
    if (status == VARVE_OK)
        status = check_store(exchange);
    if (status == VARVE_OK && exchange->route->params != NULL)
        status = target_check_params(&exchange->target, exchange->route->params, problem);
    if (status == VARVE_OK && exchange->route->prepare != NULL)
        status = exchange->route->prepare(exchange);
    if (status == VARVE_OK)
        status = check_body_size(exchange);
    if (status == VARVE_OK)
        status = prepare_body(exchange);
    return status;
}

static enum MHD_Result begin(struct exchange *exchange, const char *method, const char *version)
{
    struct event_loop *loop = exchange->loop;
    exchange->phase = EXCHANGE_BODY;
    exchange->method_text = method;
    exchange->method = request_method_parse(method);
    connection_enter(exchange->peer, CONNECTION_BODY, loop->now_ms);
    if (!collect_headers(exchange))
        return MHD_NO;
    uint64_t serial = (uint64_t)loop->index << 48 | loop->serial++;
    request_id_choose(&exchange->id, exchange_headers(exchange), exchange_header_count(exchange),
                      loop->service->random, serial);
    if (admit(exchange, version) == VARVE_OK)
        return MHD_YES;
    exchange->has_problem = true;
    exchange->drops_body = true;
    exchange->body_limit = 0;
    bool has_body = exchange->framing.chunked || exchange->framing.length > 0;
    if (has_body || problem_closes(&exchange->problem))
        return send_answer(exchange);
    return MHD_YES;
}

/* The body. */

/* From here on the body is read and dropped: all that it may have, and a bit of one that has more.
 * The problem is set. */
static void drop_rest(struct exchange *exchange)
{
    exchange->has_problem = true;
    exchange->drops_body = true;
    if (exchange->body_seen > exchange->body_limit)
        exchange->body_limit = exchange->body_seen + LIMIT_DROPPED_BODY_BYTES;
    buf_deinit(&exchange->body);
    release_body(exchange);
}

/* Only a body without a length can be over the limit here. */
static enum varve_status keep_body(struct exchange *exchange, const char *data, size_t size)
{
    if (exchange->body_seen > exchange->body_limit)
        return problem_set_limit(&exchange->problem, too_large_code(exchange), exchange->body_limit,
                                 exchange->body_seen, "the body grew over the limit");
    if (exchange->drops_body)
        return VARVE_OK;
    enum varve_status status = charge_body(exchange);
    if (status != VARVE_OK)
        return status;
    status = buf_append(&exchange->body, data, size);
    return status == VARVE_OK ? VARVE_OK : problem_set_status(&exchange->problem, status);
}

/* MHD_NO closes the connection. */
static enum MHD_Result take_body(struct exchange *exchange, const char *data, size_t size)
{
    exchange->body_seen += size;
    exchange->peer->body_bytes += size;
    if (!exchange->has_problem && keep_body(exchange, data, size) != VARVE_OK)
        drop_rest(exchange);
    if (exchange->body_seen > exchange->body_limit)
        return MHD_NO;
    return MHD_YES;
}

enum MHD_Result exchange_on_request(void *context, struct MHD_Connection *connection,
                                    const char *url, const char *method, const char *version,
                                    const char *data, size_t *size, void **context_of_request)
{
    struct exchange *exchange = *context_of_request;
    if (exchange == NULL)
        return MHD_NO;
    if (exchange->lingers) {
        event_loop_linger_on(exchange);
        return MHD_YES;
    }
    exchange->loop->moved = true;
    switch (exchange->phase) {
    case EXCHANGE_NEW:
        return begin(exchange, method, version);
    case EXCHANGE_BODY:
        if (*size > 0) {
            enum MHD_Result result = take_body(exchange, data, *size);
            *size = 0;
            return result;
        }
        connection_enter(exchange->peer, CONNECTION_WORK, exchange->loop->now_ms);
        return take_step(exchange,
                         exchange->has_problem ? EXCHANGE_DONE : exchange->route->handle(exchange));
    case EXCHANGE_WAITING:
        return take_step(exchange, exchange_go_on(exchange));
    case EXCHANGE_ANSWERED:
        break;
    }
    return MHD_NO;
}
