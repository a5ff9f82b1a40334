/*
 * A page is read in one go from one iterator, so it is one snapshot. It ends at `limit` items or
 * before the item that would take it over the byte limit. Whether more follows is known because the
 * iterator then stands on the first item that is left out. The key of the last item is copied at
 * each step, for which item is the last shows only when the iterator has left it.
 *
 * A worker does that: there may be any number of deleted keys between two items.
 *
 * A count may take minutes. It goes in steps, between which others have their turn, and is given up
 * when its client has gone or the server has no more time.
 */
#include "service/range.h"

#include <microhttpd.h>

#include <varve/iterator.h>

#include "service/headers.h"
#include "service/json_answer.h"
#include "service/range_query.h"
#include "service/scan.h"
#include "service/settings.h"
#include "service/stream.h"

struct page {
    const struct range_query *range;
    struct varve_iterator *iterator;
    struct json_page json;
    struct buf last_key; /* owned: of the last item */
    bool has_more;
};

static enum varve_status open_iterator(struct page *page, struct varve_db *db)
{
    struct varve_iterator_options options = {
        .start = page->range->start,
        .end = page->range->end,
        .fill_cache = true,
    };
    return varve_iterator_new(db, &options, &page->iterator);
}

/* Stands on the first item of the page, or VARVE_END. */
static enum varve_status seek_first(struct page *page)
{
    if (page->range->none)
        return VARVE_END;
    return page->range->reverse ? varve_iterator_seek_last(page->iterator)
                                : varve_iterator_seek_first(page->iterator);
}

static enum varve_status add_item(struct page *page)
{
    const struct range_query *range = page->range;
    struct varve_slice key = varve_iterator_key(page->iterator);
    struct json_stamp stamp = {
        .revision = varve_iterator_revision(page->iterator),
        .expires_at = varve_iterator_expires_at(page->iterator),
    };
    if (range->keys_only)
        return json_page_add_key(&page->json, key, stamp);
    return json_page_add(&page->json, key, varve_iterator_value(page->iterator),
                         range->utf8 ? VALUE_UTF8 : VALUE_BASE64, stamp);
}

static enum varve_status move_on(struct page *page)
{
    return page->range->reverse ? varve_iterator_prev(page->iterator)
                                : varve_iterator_next(page->iterator);
}

static enum varve_status add_items(struct page *page)
{
    enum varve_status status = seek_first(page);
    while (status == VARVE_OK && page->json.count < page->range->limit) {
        status = add_item(page);
        if (status == VARVE_END) { /* it does not fit */
            status = VARVE_OK;
            break;
        }
        if (status == VARVE_OK)
            status = buf_assign(&page->last_key, varve_iterator_key(page->iterator));
        if (status == VARVE_OK)
            status = move_on(page);
    }
    page->has_more = status == VARVE_OK;
    return status == VARVE_END ? VARVE_OK : status;
}

static enum varve_status write_page(struct page *page, struct varve_db *db, struct buf *out)
{
    struct buf cursor = {0};
    enum varve_status status = open_iterator(page, db);
    if (status == VARVE_OK)
        status = json_page_begin(&page->json, out);
    if (status == VARVE_OK)
        status = add_items(page);
    if (status == VARVE_OK && page->has_more)
        status = range_query_next_cursor(page->range, buf_slice(&page->last_key), &cursor);
    if (status == VARVE_OK)
        status = json_page_end(&page->json, buf_slice(&cursor),
                               varve_iterator_view_revision(page->iterator));
    buf_deinit(&cursor);
    return status;
}

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

/* Sets the answer or the problem. */
static void answer_page(struct exchange *exchange)
{
    struct range_query range = {0};
    struct page page = {.range = &range};
    if (range_query_parse(&range, &exchange->target.query, RANGE_PAGE, &exchange->problem) !=
        VARVE_OK) {
        exchange_refuse(exchange);
        goto out;
    }
    enum varve_status status = write_page(&page, exchange->db, &exchange->answer.body);
    if (status != VARVE_OK)
        exchange_fail(exchange, status);
    else
        exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_JSON]);
out:
    varve_iterator_free(page.iterator);
    buf_deinit(&page.last_key);
    range_query_deinit(&range);
}

static void run_range(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    answer_page(exchange);
    exchange_job_done(exchange, VARVE_OK);
}

/* Makes the exchange's scan. On failure the problem is set. */
static enum varve_status begin_scan(struct exchange *exchange)
{
    struct service *service = exchange->loop->service;
    size_t limit = exchange->loop->settings->config.max_streams;
    if (!service_begin_scan(service, limit))
        return problem_set(&exchange->problem, PROBLEM_BUSY,
                           "%zu whole ranges are scanned already, which is the limit", limit);
    enum varve_status status = scan_new(exchange->db, &exchange->scan);
    if (status != VARVE_OK) {
        service_end_scan(service);
        return problem_set_status(&exchange->problem, status);
    }
    return range_query_parse(&exchange->scan->range, &exchange->target.query, exchange->range_form,
                             &exchange->problem);
}

static void run_count(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    enum varve_status status = scan_count(exchange->scan);
    if (status == VARVE_OK)
        thread_pool_submit(exchange->loop->service->scanners, job);
    else
        exchange_job_done(exchange, status);
}

static enum exchange_step finish_count(struct exchange *exchange)
{
    const struct scan *scan = exchange->scan;
    enum varve_status status = exchange->write.status;
    enum scan_cut cut = scan_cut_reason(scan);
    exchange->peer->scan = NULL;
    if (status == VARVE_CLOSED && cut != SCAN_RUNS)
        meter_add(&exchange->loop->meter.scans_cut[cut], 1);
    if (status == VARVE_CLOSED && cut == SCAN_CLIENT_GONE)
        return EXCHANGE_DROPS;
    if (status == VARVE_END)
        status = json_answer_count(&exchange->answer.body, scan->count, scan->revision);
    return status == VARVE_OK
               ? exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_JSON])
               : exchange_fail(exchange, status);
}

static enum exchange_step handle_scan(struct exchange *exchange)
{
    if (begin_scan(exchange) != VARVE_OK)
        return exchange_refuse(exchange);
    if (exchange->range_form == RANGE_COUNT)
        return exchange_scan(exchange, run_count);
    if (exchange->method != METHOD_HEAD)
        return stream_begin(exchange);
    /* An empty body, for libmicrohttpd would send the last chunk of a stream even here. */
    return exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_NDJSON]);
}

static enum exchange_step handle_range(struct exchange *exchange)
{
    if (exchange->range_form != RANGE_PAGE)
        return handle_scan(exchange);
    return exchange_work(exchange, THREAD_JOB_URGENT, run_range);
}

static enum exchange_step finish_range(struct exchange *exchange)
{
    switch (exchange->range_form) {
    case RANGE_PAGE:
        break;
    case RANGE_COUNT:
        return finish_count(exchange);
    case RANGE_STREAM:
        return stream_finish(exchange);
    }
    return EXCHANGE_DONE;
}

const struct route range_route = {
    .meter = METER_RANGE,
    .scopes = TOKEN_READ,
    .needs_store = true,
    .prepare = prepare_range,
    .handle = handle_range,
    .finish = finish_range,
};
