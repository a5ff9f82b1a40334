/* service/kv_handlers.h: a single key: read, write, delete. */
#ifndef SERVICE_KV_HANDLERS_H
#define SERVICE_KV_HANDLERS_H

#include "service/router.h"

extern const struct route kv_get_route; /* HEAD too */
extern const struct route kv_put_route;
extern const struct route kv_delete_route;

/* Reads `sync` into the exchange. The problem is set on failure. */
MUST_CHECK enum varve_status kv_read_sync(struct exchange *exchange);

#endif
