/*
 * service/stream.h: an answer that is made while it is sent: the lines of a scan, as NDJSON. For
 * the loop's thread only.
 */
#ifndef SERVICE_STREAM_H
#define SERVICE_STREAM_H

#include <microhttpd.h>
#include <stdbool.h>

#include "service/exchange.h"

/* Suspends until the first chunk of the exchange's scan is there; then goes finish. */
enum exchange_step stream_begin(struct exchange *exchange);
enum exchange_step stream_finish(struct exchange *exchange);

/* The response whose body the stream is. NULL without memory. */
struct MHD_Response *stream_make_response(struct exchange *exchange);

/* A scanner has done what it was asked to; the connection may be suspended for that. */
void stream_on_filled(struct exchange *exchange);

/* The connection is done with the answer, or closed. True if a scanner still has the scan: the
 * exchange must stay until its write request is delivered. */
bool stream_end(struct exchange *exchange, bool complete);

#endif
