/*
 * Two chunks take turns: one is sent while a scanner fills the other. When libmicrohttpd asks for
 * more and the other is not full yet, the connection is suspended until it is; when both are full,
 * no scanner works. So a stream takes the memory of two chunks and goes as fast as the slower of
 * scanner and client.
 *
 * What is cut off has neither a last line nor a last chunk of the transfer coding, and its
 * connection is closed. A client that is slow, or takes nothing, pins the view of the scan: the
 * reaper ends that in the end (connection_judge_scan).
 *
 * The iterator is always freed by a scanner. If the client goes while there is one, a last job is
 * submitted for that, and the exchange outlives its connection until it is delivered.
 */
#include "service/stream.h"

#include <assert.h>
#include <string.h>

#include "service/exchange.h"
#include "service/headers.h"
#include "service/limits.h"
#include "service/meter.h"

/* Of the response; used only where chunks cannot be, with HTTP/1.0. */
#define BLOCK_BYTES (32u << 10)
/* A last line may make a chunk grow. */
#define CHUNK_SLACK_BYTES (16u << 10)

static void run_fill(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    struct stream *stream = &exchange->stream;
    enum varve_status status = scan_fill(exchange->scan, &stream->chunks[!stream->sending]);
    if (status == VARVE_BUSY)
        thread_pool_submit(exchange->loop->service->scanners, job);
    else
        exchange_job_done(exchange, status);
}

static void run_close(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    scan_close(exchange->scan);
    exchange_job_done(exchange, VARVE_OK);
}

static void submit(struct exchange *exchange, void (*run)(struct thread_job *job))
{
    exchange->stream.works = true;
    exchange_submit_scan(exchange, run);
}

enum exchange_step stream_begin(struct exchange *exchange)
{
    size_t size = 2 * (LIMIT_SCAN_CHUNK_BYTES + CHUNK_SLACK_BYTES);
    if (exchange_reserve_answer(exchange, size) != VARVE_OK)
        return exchange_refuse(exchange);
    exchange->stream.works = true;
    return exchange_scan(exchange, run_fill);
}

/* The chunk that a scanner has filled is there. */
static void take_chunk(struct exchange *exchange, enum varve_status status)
{
    struct stream *stream = &exchange->stream;
    struct meter *meter = &exchange->loop->meter;
    stream->works = false;
    stream->ended = status != VARVE_OK;
    stream->has_next = !status_failed(status);
    meter_add(&meter->stream_items, exchange->scan->count - stream->items);
    stream->items = exchange->scan->count;
}

/* The next chunk's turn, if it is there. */
static bool turn(struct exchange *exchange)
{
    struct stream *stream = &exchange->stream;
    if (!stream->has_next)
        return false;
    buf_clear(&stream->chunks[stream->sending]);
    stream->sending = !stream->sending;
    stream->sent = 0;
    stream->has_next = false;
    if (!stream->ended)
        submit(exchange, run_fill);
    return true;
}

enum exchange_step stream_finish(struct exchange *exchange)
{
    enum varve_status status = exchange->write.status;
    take_chunk(exchange, status);
    if (scan_cut_reason(exchange->scan) == SCAN_CLIENT_GONE)
        return EXCHANGE_DROPS;
    if (status_failed(status)) {
        (void)scan_explain(exchange->scan, status, &exchange->problem);
        return exchange_refuse(exchange);
    }
    turn(exchange);
    meter_add(&exchange->loop->meter.streams_started, 1);
    exchange->answer.streams = true;
    return exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_NDJSON]);
}

/* libmicrohttpd wants up to `size` bytes. */
static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t size)
{
    struct exchange *exchange = context;
    struct stream *stream = &exchange->stream;
    if (scan_cut_reason(exchange->scan) != SCAN_RUNS)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (stream->sent == stream->chunks[stream->sending].size && !turn(exchange)) {
        if (!stream->works)
            return MHD_CONTENT_READER_END_OF_STREAM;
        exchange->peer->starved = true;
        event_loop_suspend(exchange);
        return 0;
    }
    const struct buf *chunk = &stream->chunks[stream->sending];
    size_t rest = chunk->size - stream->sent;
    size = size < rest ? size : rest;
    memcpy(buffer, chunk->data + stream->sent, size);
    stream->sent += size;
    exchange->peer->answer_bytes += size;
    return (ssize_t)size;
}

struct MHD_Response *stream_make_response(struct exchange *exchange)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, exchange,
                                             NULL);
}

void stream_on_filled(struct exchange *exchange)
{
    enum varve_status status = exchange->write.status;
    exchange->peer->starved = false;
    take_chunk(exchange, status);
    if (status_failed(status) && scan_cut_reason(exchange->scan) == SCAN_RUNS) {
        scan_cut(exchange->scan, SCAN_FAILED);
        journal_print(exchange->loop->service->journal, VARVE_LOG_ERROR,
                      "request %s: the stream is cut off after %llu items: %s", exchange->id.text,
                      (unsigned long long)exchange->scan->count, varve_status_text(status));
    }
}

bool stream_end(struct exchange *exchange, bool complete)
{
    struct scan *scan = exchange->scan;
    if (!complete)
        scan_cut(scan, SCAN_CLIENT_GONE);
    if (!complete && exchange->answer.streams)
        meter_add(&exchange->loop->meter.scans_cut[scan_cut_reason(scan)], 1);
    if (!exchange->stream.works && scan->iterator != NULL)
        submit(exchange, run_close);
    return exchange->stream.works;
}
