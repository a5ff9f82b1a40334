/*
 * service/metrics.h: what the service and its store have counted, as text for Prometheus and as
 * JSON for people. Thread safe.
 */
#ifndef SERVICE_METRICS_H
#define SERVICE_METRICS_H

#include <varve/db.h>

#include "base/buf.h"
#include "base/status.h"
#include "service/meter.h"
#include "service/service.h"
#include "service/settings.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What both forms are made of. Large: keep it on the heap. */
struct metrics {
    struct service *service;   /* borrowed */
    struct settings *settings; /* a reference */
    struct meter meter;        /* of all loops */
    bool has_store;
    struct varve_stats stats;
    struct varve_latency_stats latency[VARVE_LATENCY_COUNT];
};

/* Caller frees with metrics_free. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status metrics_collect(struct service *service, struct metrics **ret);
void metrics_free(struct metrics *metrics); /* takes NULL */

/* Words for a stall and for what may be the cause of one. */
const char *metrics_stall_name(enum varve_stall stall);
const char *metrics_stall_cause_name(enum varve_stall_cause cause);

/* Append. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status metrics_write_text(const struct metrics *metrics, struct buf *out);
MUST_CHECK enum varve_status metrics_write_json(const struct metrics *metrics, struct buf *out);

#endif
