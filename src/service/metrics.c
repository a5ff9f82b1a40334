/* Collects for both forms. The meters of the loops are read while they count. */
#include "service/metrics.h"

#include <stdlib.h>

#include "service/event_loop.h"

enum varve_status metrics_collect(struct service *service, struct metrics **ret)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL)
        return status_raise(VARVE_NO_MEMORY);
    metrics->service = service;
    metrics->settings = service_get_settings(service);
    for (size_t i = 0; i < service->loop_count; i++)
        meter_merge(&metrics->meter, &service->loops[i]->meter);
    struct varve_db *db = service_db(service);
    if (db != NULL) {
        metrics->has_store = true;
        varve_stats_read(db, &metrics->stats);
        for (int i = 0; i < VARVE_LATENCY_COUNT; i++)
            varve_latency_read(db, (enum varve_latency)i, &metrics->latency[i]);
    }
    *ret = metrics;
    return VARVE_OK;
}

const char *metrics_stall_name(enum varve_stall stall)
{
    static const char *const names[] = {
        [VARVE_STALL_NONE] = "none",
        [VARVE_STALL_SLOWED] = "slowed",
        [VARVE_STALL_STOPPED] = "stopped",
    };
    return names[stall];
}

const char *metrics_stall_cause_name(enum varve_stall_cause cause)
{
    static const char *const names[] = {
        [VARVE_STALL_BY_NOTHING] = "nothing",     [VARVE_STALL_BY_LEVEL0] = "level0",
        [VARVE_STALL_BY_MEMTABLES] = "memtables", [VARVE_STALL_BY_TIERS] = "tiers",
        [VARVE_STALL_BY_MEMORY] = "memory",
    };
    return names[cause];
}

void metrics_free(struct metrics *metrics)
{
    if (metrics != NULL)
        settings_unref(metrics->settings);
    free(metrics);
}
