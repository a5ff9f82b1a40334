/*
 * service/router.h: which handler serves what. Thread safe.
 */
#ifndef SERVICE_ROUTER_H
#define SERVICE_ROUTER_H

#include <stdbool.h>

#include "base/status.h"
#include "service/exchange.h"
#include "service/meter.h"
#include "service/problem.h"
#include "service/target.h"

struct route {
    enum meter_route meter;
    bool is_open;              /* to everybody, with or without a token */
    unsigned scopes;           /* else enum token_scope, any of which will do */
    bool needs_store;          /* 503 until it is open */
    bool takes_body;           /* else one is read and dropped */
    bool needs_body;           /* 411 without a length */
    const char *const *params; /* known query parameters, up to a NULL; NULL: prepare looks */

    /* Before the body comes in: refuses what can be refused. May be NULL. Any status but VARVE_OK:
     * the exchange's problem is set. */
    enum varve_status (*prepare)(struct exchange *exchange);
    /* The request is complete. */
    enum exchange_step (*handle)(struct exchange *exchange);
    /* What handle waited for is there. NULL where it never waits. */
    enum exchange_step (*finish)(struct exchange *exchange);
};

/* 404 and 405 by `ret_problem`. */
MUST_CHECK enum varve_status router_find(const struct target *target, enum request_method method,
                                         const struct route **ret_route,
                                         struct problem *ret_problem);

/* Whether everybody may know of this path. */
bool router_path_is_open(struct varve_slice path);

#endif
