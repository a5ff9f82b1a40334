/*
 * A page is read from one iterator, so it is one snapshot. It ends at `limit` items or before the
 * item that would take it over the byte limit. Scanners do that too: there may be any number of
 * deleted keys between two items. Most pages are one step. One that is not is held to what other
 * scans are: it needs one of their places, and what it has so far is charged as an answer.
 *
 * What takes many steps lets others have their turn between them, and is given up when its client
 * has gone, it has had its time or the server has no more.
 */
#include "service/range.h"

#include <microhttpd.h>

#include "service/headers.h"
#include "service/json_answer.h"
#include "service/range_query.h"
#include "service/scan.h"
#include "service/settings.h"
#include "service/stream.h"

static enum varve_status prepare_range(struct exchange *exchange)
{
    static const enum representation forms[] = {REPRESENTATION_JSON, REPRESENTATION_NDJSON};
    const char *const types[] = {representation_types[forms[0]], representation_types[forms[1]]};
    size_t choice = 0;
    bool counts = false;
    enum varve_status status =
        query_get_bool(&exchange->target.query, "count_only", &counts, &exchange->problem);
    if (status != VARVE_OK)
        return status;
    status = accept_choose(exchange_headers(exchange), exchange_header_count(exchange), types,
                           counts ? 1 : 2, &choice, &exchange->problem);
    exchange->range_form = counts                                   ? RANGE_COUNT
                           : forms[choice] == REPRESENTATION_NDJSON ? RANGE_STREAM
                                                                    : RANGE_PAGE;
    return status;
}

/* On failure the problem is set. On whichever thread has the exchange. */
static enum varve_status take_slot(struct exchange *exchange)
{
    struct scan *scan = exchange->scan;
    if (!scan->is_slotted && !service_begin_scan(exchange->loop->service, scan->slots))
        return problem_set(&exchange->problem, PROBLEM_BUSY,
                           "%zu scans that take long are under way, which is the limit",
                           scan->slots);
    scan->is_slotted = true;
    return VARVE_OK;
}

/* Makes the exchange's scan. On failure the problem is set. */
static enum varve_status begin_scan(struct exchange *exchange)
{
    enum varve_status status = scan_new(exchange->db, &exchange->scan);
    if (status != VARVE_OK)
        return problem_set_status(&exchange->problem, status);
    exchange->scan->slots = exchange->loop->settings->config.max_streams;
    if (exchange->range_form != RANGE_PAGE)
        status = take_slot(exchange);
    return status == VARVE_OK ? range_query_parse(&exchange->scan->range, &exchange->target.query,
                                                  exchange->range_form, &exchange->problem)
                              : status;
}

static void run_again(struct exchange *exchange)
{
    thread_pool_submit(exchange->loop->service->scanners, &exchange->job);
}

static void run_count(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    enum varve_status status = scan_count(exchange->scan);
    if (status == VARVE_OK)
        run_again(exchange);
    else
        exchange_job_done(exchange, status);
}

/* It is not done with one step. On failure the problem is set. */
static enum varve_status hold_page(struct exchange *exchange)
{
    enum varve_status status = take_slot(exchange);
    if (status == VARVE_OK)
        status = exchange_reserve_answer(exchange, exchange->answer.body.size);
    if (status != VARVE_OK) {
        scan_close(exchange->scan);
        exchange_refuse(exchange);
    }
    return status;
}

static void run_page(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    enum varve_status status = scan_page(exchange->scan, &exchange->answer.body);
    if (status == VARVE_OK)
        status = hold_page(exchange);
    if (status == VARVE_OK)
        run_again(exchange);
    else
        exchange_job_done(exchange, status);
}

/* Of a count or a page. */
static enum exchange_step finish_scan(struct exchange *exchange)
{
    struct scan *scan = exchange->scan;
    enum varve_status status = exchange->write.status;
    enum scan_cut cut = scan_cut_reason(scan);
    exchange->peer->scan = NULL;
    if (scan->is_slotted) { /* it is over; its answer is charged by itself */
        service_end_scan(exchange->loop->service);
        scan->is_slotted = false;
    }
    if (exchange->has_problem)
        return EXCHANGE_DONE;
    if (status == VARVE_CLOSED && cut != SCAN_RUNS)
        meter_add(&exchange->loop->meter.scans_cut[cut], 1);
    if (status == VARVE_CLOSED && cut == SCAN_CLIENT_GONE)
        return EXCHANGE_DROPS;
    if (status == VARVE_END)
        status = exchange->range_form == RANGE_COUNT
                     ? json_answer_count(&exchange->answer.body, scan->count, scan->revision)
                     : VARVE_OK;
    if (status == VARVE_OK)
        return exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_JSON]);
    (void)scan_explain(scan, status, &exchange->problem);
    return exchange_refuse(exchange);
}

static enum exchange_step handle_range(struct exchange *exchange)
{
    if (begin_scan(exchange) != VARVE_OK)
        return exchange_refuse(exchange);
    if (exchange->range_form == RANGE_PAGE)
        return exchange_scan(exchange, run_page);
    if (exchange->range_form == RANGE_COUNT)
        return exchange_scan(exchange, run_count);
    if (exchange->method != METHOD_HEAD)
        return stream_begin(exchange);
    /* An empty body, for libmicrohttpd would send the last chunk of a stream even here. */
    return exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_NDJSON]);
}

static enum exchange_step finish_range(struct exchange *exchange)
{
    return exchange->range_form == RANGE_STREAM ? stream_finish(exchange) : finish_scan(exchange);
}

const struct route range_route = {
    .meter = METER_RANGE,
    .scopes = TOKEN_READ,
    .needs_store = true,
    .prepare = prepare_range,
    .handle = handle_range,
    .finish = finish_range,
};
