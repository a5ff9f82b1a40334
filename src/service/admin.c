/*
 * Health is open and cheap, so that a probe may come as often as it likes. Flush and compact are
 * handed to a worker even when nobody waits for them: an event loop must not.
 */
#include "service/admin.h"

#include <jansson.h>
#include <microhttpd.h>

#include <varve/db.h>

#include "service/headers.h"
#include "service/json_writer.h"
#include "service/metrics.h"
#include "service/openapi.h"

static const char *const no_params[] = {NULL};

static const char *json_media_type(void)
{
    return representation_types[REPRESENTATION_JSON];
}

/* {"status":…,"reason":…}; `reason` may be NULL. */
static enum exchange_step answer_status(struct exchange *exchange, unsigned code,
                                        const char *status, const char *reason)
{
    struct json_writer w;
    json_writer_init(&w, &exchange->answer.body);
    json_write_object_begin(&w);
    json_write_name(&w, "status");
    json_write_text(&w, status);
    if (reason != NULL) {
        json_write_name(&w, "reason");
        json_write_bytes_lossy(&w, varve_slice_str(reason));
    }
    json_write_object_end(&w);
    enum varve_status written = json_writer_status(&w);
    return written == VARVE_OK ? exchange_answer(exchange, code, json_media_type())
                               : exchange_fail(exchange, written);
}

#define HEALTH_RETRY_S 1u

static enum exchange_step handle_health(struct exchange *exchange)
{
    struct service *service = exchange->loop->service;
    switch (service_state(service)) {
    case SERVICE_RECOVERING:
        exchange->answer.retry_after_s = HEALTH_RETRY_S;
        return answer_status(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "recovering",
                             "the store is being opened");
    case SERVICE_DRAINING:
        exchange->answer.retry_after_s = HEALTH_RETRY_S;
        return answer_status(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "draining",
                             "the server is shutting down");
    case SERVICE_READY:
        break;
    }
    struct varve_stats stats;
    varve_stats_read(service_db(service), &stats);
    switch (stats.state) {
    case VARVE_STATE_NO_SPACE:
        return answer_status(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "no_space",
                             stats.state_reason);
    case VARVE_STATE_READ_ONLY:
        return answer_status(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "read_only",
                             stats.state_reason);
    case VARVE_STATE_OK:
        break;
    }
    return answer_status(exchange, MHD_HTTP_OK, "ok", NULL);
}

const struct route admin_health_route = {
    .meter = METER_HEALTH,
    .is_open = true,
    .params = no_params,
    .handle = handle_health,
};

static enum exchange_step handle_live(struct exchange *exchange)
{
    return answer_status(exchange, MHD_HTTP_OK, "ok", NULL);
}

const struct route admin_live_route = {
    .meter = METER_HEALTH,
    .is_open = true,
    .params = no_params,
    .handle = handle_live,
};

/* /stats and /metrics */

static enum exchange_step answer_metrics(struct exchange *exchange, bool as_text)
{
    struct metrics *metrics = NULL;
    enum varve_status status = metrics_collect(exchange->loop->service, &metrics);
    if (status == VARVE_OK)
        status = as_text ? metrics_write_text(metrics, &exchange->answer.body)
                         : metrics_write_json(metrics, &exchange->answer.body);
    metrics_free(metrics);
    if (status != VARVE_OK)
        return exchange_fail(exchange, status);
    return exchange_answer(exchange, MHD_HTTP_OK,
                           as_text ? METRICS_CONTENT_TYPE : json_media_type());
}

static enum varve_status choose_stats_form(struct exchange *exchange, bool *ret_text)
{
    const struct query_param *format = query_find(&exchange->target.query, "format");
    if (format != NULL) {
        *ret_text = varve_slice_compare(format->value, varve_slice_str("prometheus")) == 0;
        if (*ret_text || varve_slice_compare(format->value, varve_slice_str("json")) == 0)
            return VARVE_OK;
        return problem_set(&exchange->problem, PROBLEM_INVALID_PARAMETER,
                           "\"format\" is json or prometheus");
    }
    static const char *const offers[] = {"application/json", "text/plain"};
    size_t choice = 0;
    enum varve_status status =
        accept_choose(exchange_headers(exchange), exchange_header_count(exchange), offers,
                      sizeof offers / sizeof offers[0], &choice, &exchange->problem);
    if (status == VARVE_OK)
        *ret_text = choice == 1;
    return status;
}

static enum exchange_step handle_stats(struct exchange *exchange)
{
    bool as_text = false;
    if (choose_stats_form(exchange, &as_text) != VARVE_OK)
        return exchange_refuse(exchange);
    return answer_metrics(exchange, as_text);
}

static const char *const stats_params[] = {"format", NULL};
const struct route admin_stats_route = {
    .meter = METER_STATS,
    .scopes = TOKEN_READ,
    .params = stats_params,
    .handle = handle_stats,
};

static enum exchange_step handle_metrics(struct exchange *exchange)
{
    return answer_metrics(exchange, true);
}

const struct route admin_metrics_route = {
    .meter = METER_METRICS,
    .scopes = TOKEN_READ,
    .params = no_params,
    .handle = handle_metrics,
};

/* What this is */

static enum exchange_step handle_version(struct exchange *exchange)
{
    struct json_writer w;
    json_writer_init(&w, &exchange->answer.body);
    json_write_object_begin(&w);
    json_write_name(&w, "name");
    json_write_text(&w, "varve");
    json_write_name(&w, "version");
    json_write_text(&w, varve_version());
    json_write_name(&w, "format_version");
    json_write_uint(&w, varve_format_version());
    json_write_name(&w, "build");
    json_write_object_begin(&w);
    json_write_name(&w, "compiler");
    json_write_text(&w, __VERSION__);
    json_write_name(&w, "libmicrohttpd");
    json_write_text(&w, MHD_get_version());
    json_write_name(&w, "jansson");
    json_write_text(&w, jansson_version_str());
    json_write_object_end(&w);
    json_write_object_end(&w);
    enum varve_status status = json_writer_status(&w);
    return status == VARVE_OK ? exchange_answer(exchange, MHD_HTTP_OK, json_media_type())
                              : exchange_fail(exchange, status);
}

const struct route admin_version_route = {
    .meter = METER_VERSION,
    .scopes = TOKEN_SCOPES_ALL,
    .params = no_params,
    .handle = handle_version,
};

static enum exchange_step handle_openapi(struct exchange *exchange)
{
    enum varve_status status = buf_append(&exchange->answer.body, openapi_json, openapi_json_size);
    return status == VARVE_OK ? exchange_answer(exchange, MHD_HTTP_OK, json_media_type())
                              : exchange_fail(exchange, status);
}

const struct route admin_openapi_route = {
    .meter = METER_OPENAPI,
    .scopes = TOKEN_SCOPES_ALL,
    .params = no_params,
    .handle = handle_openapi,
};

/* /admin/flush and /admin/compact */

static enum varve_status prepare_job(struct exchange *exchange)
{
    return query_get_bool(&exchange->target.query, "wait", &exchange->waits_for_job,
                          &exchange->problem);
}

static enum varve_status prepare_compact(struct exchange *exchange)
{
    struct problem *problem = &exchange->problem;
    struct query *query = &exchange->target.query;
    bool given = false;
    enum varve_status status = prepare_job(exchange);
    if (status == VARVE_OK)
        status = query_get_bound(query, "start", "start64", &exchange->job_start, &given, problem);
    if (status == VARVE_OK)
        status = query_get_bound(query, "end", "end64", &exchange->job_end, &given, problem);
    if (status == VARVE_OK && exchange->job_end.size > 0 &&
        varve_slice_compare(exchange->job_start, exchange->job_end) >= 0)
        return problem_set(problem, PROBLEM_INVALID_PARAMETER,
                           "\"start\" is not less than \"end\"");
    return status;
}

/* The two run on a worker. */
static void run_flush(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    exchange_job_done(exchange, varve_flush(exchange->db, exchange->waits_for_job));
}

static void run_compact(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    exchange_job_done(exchange, varve_compact_range(exchange->db, exchange->job_start,
                                                    exchange->job_end, exchange->waits_for_job));
}

static enum exchange_step start_job(struct exchange *exchange, void (*run)(struct thread_job *job))
{
    return exchange_work(exchange, exchange->waits_for_job ? THREAD_JOB_PATIENT : THREAD_JOB_URGENT,
                         run);
}

static enum exchange_step handle_flush(struct exchange *exchange)
{
    return start_job(exchange, run_flush);
}

static enum exchange_step handle_compact(struct exchange *exchange)
{
    return start_job(exchange, run_compact);
}

static enum exchange_step finish_job(struct exchange *exchange)
{
    if (exchange->write.status == VARVE_CLOSED) {
        (void)problem_set(&exchange->problem, PROBLEM_DRAINING,
                          "the server is shutting down and waits for this no longer");
        return exchange_refuse(exchange);
    }
    if (exchange->write.status != VARVE_OK)
        return exchange_fail(exchange, exchange->write.status);
    if (exchange->waits_for_job)
        return answer_status(exchange, MHD_HTTP_OK, "done", NULL);
    return answer_status(exchange, MHD_HTTP_ACCEPTED, "started", NULL);
}

static const char *const flush_params[] = {"wait", NULL};
const struct route admin_flush_route = {
    .meter = METER_ADMIN,
    .scopes = TOKEN_ADMIN,
    .needs_store = true,
    .params = flush_params,
    .prepare = prepare_job,
    .handle = handle_flush,
    .finish = finish_job,
};

static const char *const compact_params[] = {"wait", "start", "start64", "end", "end64", NULL};
const struct route admin_compact_route = {
    .meter = METER_ADMIN,
    .scopes = TOKEN_ADMIN,
    .needs_store = true,
    .params = compact_params,
    .prepare = prepare_compact,
    .handle = handle_compact,
    .finish = finish_job,
};
