/*
 * service/response.h: an answer as libmicrohttpd takes it. For the loop's thread only.
 */
#ifndef SERVICE_RESPONSE_H
#define SERVICE_RESPONSE_H

#include <microhttpd.h>

#include "service/exchange.h"

/* The exchange's answer with its header fields. Its body is borrowed from the exchange until it is
 * sent. NULL without memory. Caller frees with MHD_destroy_response. */
struct MHD_Response *response_make(struct exchange *exchange);

#endif
