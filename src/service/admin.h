/* service/admin.h: how the service is, and what can be asked of it. */
#ifndef SERVICE_ADMIN_H
#define SERVICE_ADMIN_H

#include "service/router.h"

extern const struct route admin_health_route; /* /health, /health/ready */
extern const struct route admin_live_route;   /* /health/live */
extern const struct route admin_stats_route;
extern const struct route admin_metrics_route;
extern const struct route admin_version_route;
extern const struct route admin_openapi_route;
extern const struct route admin_flush_route;
extern const struct route admin_compact_route;

#endif
