/*
 * service/meter.h: what an event loop counts about its requests. Each loop has its own meter, so
 * that counting never contends; readers add the meters of all loops up. Recording is for the
 * loop's own thread, reading for any.
 */
#ifndef SERVICE_METER_H
#define SERVICE_METER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "service/scan.h"
#include "service/target.h"

/* name, path as the metrics label it */
#define METER_ROUTE_MAP(X)                                                                         \
    X(KEY, "/kv/:key")                                                                             \
    X(RANGE, "/kv/range")                                                                          \
    X(BATCH, "/kv/batch")                                                                          \
    X(HEALTH, "/health")                                                                           \
    X(STATS, "/stats")                                                                             \
    X(METRICS, "/metrics")                                                                         \
    X(VERSION, "/version")                                                                         \
    X(OPENAPI, "/openapi.json")                                                                    \
    X(ADMIN, "/admin")                                                                             \
    X(OTHER, "other")

enum meter_route {
#define METER_ROUTE_ENUM(name, path) METER_##name,
    METER_ROUTE_MAP(METER_ROUTE_ENUM)
#undef METER_ROUTE_ENUM
        METER_ROUTE_COUNT
};
#define METER_METHOD_COUNT (METHOD_OTHER + 1)

/* Latency is kept for the operations on data. */
enum meter_op {
    METER_OP_GET,
    METER_OP_PUT,
    METER_OP_DELETE,
    METER_OP_RANGE,
    METER_OP_BATCH,
    METER_OP_SCAN, /* of a whole range */
    METER_OP_COUNT,
    METER_OP_NONE = METER_OP_COUNT
};

/* Every status that a handler may answer with; another one is counted as the last. */
#define METER_STATUS_MAP(X)                                                                        \
    X(200)                                                                                         \
    X(202)                                                                                         \
    X(204)                                                                                         \
    X(304)                                                                                         \
    X(400)                                                                                         \
    X(401)                                                                                         \
    X(403)                                                                                         \
    X(404)                                                                                         \
    X(405)                                                                                         \
    X(406)                                                                                         \
    X(409)                                                                                         \
    X(411)                                                                                         \
    X(412)                                                                                         \
    X(413)                                                                                         \
    X(414)                                                                                         \
    X(415)                                                                                         \
    X(429)                                                                                         \
    X(431)                                                                                         \
    X(500)                                                                                         \
    X(503)                                                                                         \
    X(507)
enum meter_status {
#define METER_STATUS_ENUM(code) METER_STATUS_##code,
    METER_STATUS_MAP(METER_STATUS_ENUM)
#undef METER_STATUS_ENUM
        METER_STATUS_REST,
    METER_STATUS_COUNT
};

/* Why somebody was not let in: name, as the metrics label it */
#define METER_DENIAL_MAP(X)                                                                        \
    X(MISSING_TOKEN, "missing_token")                                                              \
    X(INVALID_TOKEN, "invalid_token")                                                              \
    X(INSUFFICIENT_SCOPE, "insufficient_scope")

enum meter_denial {
#define METER_DENIAL_ENUM(name, label) METER_DENIAL_##name,
    METER_DENIAL_MAP(METER_DENIAL_ENUM)
#undef METER_DENIAL_ENUM
        METER_DENIAL_COUNT
};

/* Upper bounds of the buckets of durations. */
#define METER_BOUND_COUNT 19
extern const uint64_t meter_bounds_us[METER_BOUND_COUNT];

struct meter_requests {
    _Atomic uint64_t count, sum_us;
    _Atomic uint64_t buckets[METER_BOUND_COUNT]; /* each without those below it */
};

struct meter {
    struct meter_requests requests[METER_ROUTE_COUNT][METER_METHOD_COUNT][METER_STATUS_COUNT];
    _Atomic uint64_t bytes_in, bytes_out; /* bodies */
    _Atomic uint64_t connections_accepted, connections_refused, connections_timed_out;
    _Atomic uint64_t denials[METER_DENIAL_COUNT];
    _Atomic uint64_t streams_started, stream_items;
    _Atomic uint64_t scans_cut[SCAN_CUT_COUNT]; /* by reason */
    _Atomic uint64_t deferred[METER_OP_COUNT];  /* reads, to a worker */
    struct histogram latency_us[METER_OP_COUNT];
};

struct meter_event {
    enum meter_route route;
    enum request_method method;
    unsigned status;
    uint64_t bytes_in, bytes_out, duration_us;
    bool is_scan; /* of a whole range */
};
void meter_record(struct meter *meter, const struct meter_event *event);

/* A request whose reads went to a worker, for they would have waited for the disk. */
void meter_record_deferred(struct meter *meter, enum meter_route route, enum request_method method);

/* For a counter that only this thread changes. */
static inline void meter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + amount, memory_order_relaxed);
}

/* Adds `from` to `into`, which is the caller's own. */
void meter_merge(struct meter *into, const struct meter *from);

const char *meter_route_path(enum meter_route route);
const char *meter_method_name(enum request_method method);
unsigned meter_status_code(enum meter_status status); /* 0: the rest */
const char *meter_op_name(enum meter_op op);
const char *meter_denial_name(enum meter_denial denial);

#endif
