/*
 * A counter has one writer, so it is a relaxed load and store, not an atomic addition: readers may
 * see it a moment late, never torn.
 */
#include "service/meter.h"

static const char *const route_paths[] = {
#define ROUTE_PATH(name, path) [METER_##name] = (path),
    METER_ROUTE_MAP(ROUTE_PATH)
#undef ROUTE_PATH
};

static const char *const method_names[] = {
    [METHOD_GET] = "GET",       [METHOD_HEAD] = "HEAD", [METHOD_PUT] = "PUT",
    [METHOD_DELETE] = "DELETE", [METHOD_POST] = "POST", [METHOD_OTHER] = "other",
};

const uint64_t meter_bounds_us[METER_BOUND_COUNT] = {
    50,     100,    200,    500,     1000,    2000,    5000,     10000,    20000,    50000,
    100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 30000000, 60000000,
};

static const unsigned status_codes[] = {
#define STATUS_CODE(code) code,
    METER_STATUS_MAP(STATUS_CODE)
#undef STATUS_CODE
        0,
};

static const char *const op_names[] = {
    [METER_OP_GET] = "get",     [METER_OP_PUT] = "put",     [METER_OP_DELETE] = "delete",
    [METER_OP_RANGE] = "range", [METER_OP_BATCH] = "batch", [METER_OP_SCAN] = "scan",
};

static const char *const denial_names[] = {
#define DENIAL_NAME(name, label) [METER_DENIAL_##name] = (label),
    METER_DENIAL_MAP(DENIAL_NAME)
#undef DENIAL_NAME
};

static enum meter_status status_find(unsigned code)
{
    switch (code) {
#define STATUS_CASE(code)                                                                          \
    case code:                                                                                     \
        return METER_STATUS_##code;
        METER_STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
    default:
        return METER_STATUS_REST;
    }
}

static enum meter_op op_find(enum meter_route route, enum request_method method)
{
    if (route == METER_RANGE)
        return METER_OP_RANGE;
    if (route == METER_BATCH)
        return METER_OP_BATCH;
    if (route != METER_KEY)
        return METER_OP_NONE;
    switch (method) {
    case METHOD_GET:
    case METHOD_HEAD:
        return METER_OP_GET;
    case METHOD_PUT:
        return METER_OP_PUT;
    case METHOD_DELETE:
        return METER_OP_DELETE;
    default:
        return METER_OP_NONE;
    }
}

static void requests_record(struct meter_requests *requests, uint64_t duration_us)
{
    meter_add(&requests->count, 1);
    meter_add(&requests->sum_us, duration_us);
    size_t i = 0;
    while (i < METER_BOUND_COUNT && duration_us > meter_bounds_us[i])
        i++;
    if (i < METER_BOUND_COUNT)
        meter_add(&requests->buckets[i], 1);
}

void meter_record(struct meter *meter, const struct meter_event *event)
{
    requests_record(&meter->requests[event->route][event->method][status_find(event->status)],
                    event->duration_us);
    meter_add(&meter->bytes_in, event->bytes_in);
    meter_add(&meter->bytes_out, event->bytes_out);
    enum meter_op op = event->is_scan ? METER_OP_SCAN : op_find(event->route, event->method);
    if (op != METER_OP_NONE)
        histogram_record(&meter->latency_us[op], event->duration_us);
}

void meter_record_deferred(struct meter *meter, enum meter_route route, enum request_method method)
{
    enum meter_op op = op_find(route, method);
    if (op != METER_OP_NONE)
        meter_add(&meter->deferred[op], 1);
}

static void counter_merge(_Atomic uint64_t *into, const _Atomic uint64_t *from)
{
    meter_add(into, atomic_load_explicit(from, memory_order_relaxed));
}

static void requests_merge(struct meter_requests *into, const struct meter_requests *from)
{
    if (atomic_load_explicit(&from->count, memory_order_relaxed) == 0)
        return;
    counter_merge(&into->count, &from->count);
    counter_merge(&into->sum_us, &from->sum_us);
    for (size_t i = 0; i < METER_BOUND_COUNT; i++)
        counter_merge(&into->buckets[i], &from->buckets[i]);
}

void meter_merge(struct meter *into, const struct meter *from)
{
    for (int route = 0; route < METER_ROUTE_COUNT; route++)
        for (int method = 0; method < METER_METHOD_COUNT; method++)
            for (int status = 0; status < METER_STATUS_COUNT; status++)
                requests_merge(&into->requests[route][method][status],
                               &from->requests[route][method][status]);
    counter_merge(&into->bytes_in, &from->bytes_in);
    counter_merge(&into->bytes_out, &from->bytes_out);
    counter_merge(&into->connections_accepted, &from->connections_accepted);
    counter_merge(&into->connections_refused, &from->connections_refused);
    counter_merge(&into->connections_timed_out, &from->connections_timed_out);
    for (int denial = 0; denial < METER_DENIAL_COUNT; denial++)
        counter_merge(&into->denials[denial], &from->denials[denial]);
    counter_merge(&into->streams_started, &from->streams_started);
    counter_merge(&into->stream_items, &from->stream_items);
    for (int cut = 0; cut < SCAN_CUT_COUNT; cut++)
        counter_merge(&into->scans_cut[cut], &from->scans_cut[cut]);
    for (int op = 0; op < METER_OP_COUNT; op++)
        counter_merge(&into->deferred[op], &from->deferred[op]);
    for (int op = 0; op < METER_OP_COUNT; op++)
        histogram_merge(&into->latency_us[op], &from->latency_us[op]);
}

const char *meter_route_path(enum meter_route route)
{
    return route_paths[route];
}

const char *meter_method_name(enum request_method method)
{
    return method_names[method];
}

unsigned meter_status_code(enum meter_status status)
{
    return status_codes[status];
}

const char *meter_op_name(enum meter_op op)
{
    return op_names[op];
}

const char *meter_denial_name(enum meter_denial denial)
{
    return denial_names[denial];
}
