/*
 * The Prometheus text format, version 0.0.4. Most series are fields of struct varve_stats, listed
 * in a table; the rest need labels or arithmetic. Times are in seconds, as the conventions want.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service/metrics.h"
#include "service/process_info.h"

/* Appends until something fails; the failure is asked for once, at the end. */
struct text {
    struct buf *out;
    enum varve_status status;
};

static void begin_metric(struct text *text, const char *name, const char *type, const char *help)
{
    if (text->status == VARVE_OK)
        text->status =
            buf_append_format(text->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* `labels` is empty or {name="value",…} */
static void add_uint(struct text *text, const char *name, const char *labels, uint64_t value)
{
    if (text->status == VARVE_OK)
        text->status = buf_append_format(text->out, "%s%s %" PRIu64 "\n", name, labels, value);
}

static void add_number(struct text *text, const char *name, const char *labels, double value)
{
    if (text->status == VARVE_OK)
        text->status = buf_append_format(text->out, "%s%s %.9g\n", name, labels, value);
}

static void add_metric(struct text *text, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    begin_metric(text, name, type, help);
    add_uint(text, name, "", value);
}

static void add_real(struct text *text, const char *name, const char *type, const char *help,
                     double value)
{
    begin_metric(text, name, type, help);
    add_number(text, name, "", value);
}

/* The store's own counters and gauges. */

#define COUNTER "counter"
#define GAUGE "gauge"
#define STAT(field) offsetof(struct varve_stats, field)
static const struct stat_field {
    const char *name, *type, *help;
    size_t offset;
} stat_fields[] = {
    {"varve_revision", GAUGE, "The newest visible revision.", STAT(revision)},
    {"varve_puts_total", COUNTER, "Keys put.", STAT(puts)},
    {"varve_deletes_total", COUNTER, "Keys deleted.", STAT(deletes)},
    {"varve_gets_total", COUNTER, "Keys looked up.", STAT(gets)},
    {"varve_gets_found_total", COUNTER, "Keys looked up and found.", STAT(gets_found)},
    {"varve_seeks_total", COUNTER, "Seeks of iterators.", STAT(seeks)},
    {"varve_batches_total", COUNTER, "Batches committed.", STAT(batches)},
    {"varve_user_write_bytes_total", COUNTER, "Bytes of keys and values as they came in.",
     STAT(user_write_bytes)},
    {"varve_memtable_bytes", GAUGE, "Bytes in memtables.", STAT(memtable_bytes)},
    {"varve_memtable_entries", GAUGE, "Entries in memtables.", STAT(memtable_entries)},
    {"varve_memtables", GAUGE, "Memtables, active and waiting for their flush.", STAT(memtables)},
    {"varve_wal_bytes_total", COUNTER, "Bytes written to the log.", STAT(wal_bytes)},
    {"varve_wal_groups_total", COUNTER, "Commit groups.", STAT(wal_groups)},
    {"varve_wal_syncs_total", COUNTER, "Syncs of the log.", STAT(wal_syncs)},
    {"varve_wal_segment", GAUGE, "The active log segment.", STAT(wal_segment)},
    {"varve_wal_live_bytes", GAUGE, "Bytes in live log segments.", STAT(wal_live_bytes)},
    {"varve_wal_segments_recycled_total", COUNTER, "Log segments used again.",
     STAT(wal_segments_recycled)},
    {"varve_table_bytes", GAUGE, "Bytes in tables.", STAT(table_bytes)},
    {"varve_tables", GAUGE, "Tables.", STAT(tables)},
    {"varve_tables_open", GAUGE, "Tables held open.", STAT(tables_open)},
    {"varve_flushes_total", COUNTER, "Memtables written out.", STAT(flushes)},
    {"varve_flush_bytes_total", COUNTER, "Bytes written by flushes.", STAT(flush_bytes)},
    {"varve_compactions_running", GAUGE, "Compactions under way.", STAT(compactions_running)},
    {"varve_trivial_moves_total", COUNTER, "Merges that only moved tables down.",
     STAT(trivial_moves)},
    {"varve_stalls_total", COUNTER, "Writes that had to wait for the background.", STAT(stalls)},
    {"varve_slowdowns_total", COUNTER, "Commit groups held up in proportion to compaction debt.",
     STAT(slowdowns)},
    {"varve_get_runs_total", COUNTER, "Runs whose filters or tables gets asked.", STAT(get_runs)},
    {"varve_get_blocks_total", COUNTER, "Data blocks that gets searched, cached or not.",
     STAT(get_blocks)},
    {"varve_live_bytes_estimate", GAUGE, "Bytes of tables that are taken to be live.",
     STAT(live_bytes_estimate)},
    {"varve_memory_budget_bytes", GAUGE, "What the store may hold in memory.",
     STAT(memory_budget_bytes)},
    {"varve_early_flushes_total", COUNTER, "Memtables written out early for the memory budget.",
     STAT(early_flushes)},
    {"varve_memory_stalls_total", COUNTER, "Writes that had to wait for memory.",
     STAT(memory_stalls)},
    {"varve_bloom_checks_total", COUNTER, "Filters asked.", STAT(bloom_checks)},
    {"varve_bloom_useful_total", COUNTER, "Filters that saved a table read.", STAT(bloom_useful)},
    {"varve_bloom_false_positives_total", COUNTER,
     "Filters that let a needless table read through.", STAT(bloom_false_positives)},
    {"varve_cache_lookups_total", COUNTER, "Lookups in the block cache.", STAT(cache_lookups)},
    {"varve_cache_hits_total", COUNTER, "Lookups that found the block.", STAT(cache_hits)},
    {"varve_cache_bytes", GAUGE, "Blocks in the cache, and open tables.", STAT(cache_bytes)},
    {"varve_cache_limit_bytes", GAUGE, "What these may take now.", STAT(cache_bytes_max)},
    {"varve_block_reads_total", COUNTER, "Blocks read from tables.", STAT(block_reads)},
    {"varve_block_read_bytes_total", COUNTER, "Bytes of blocks read.", STAT(block_read_bytes)},
    {"varve_snapshots", GAUGE, "Snapshots held.", STAT(snapshots)},
    {"varve_iterators", GAUGE, "Iterators open.", STAT(iterators)},
    {"varve_recovery_frames", GAUGE, "Log frames replayed by the last open.",
     STAT(recovery_frames)},
    {"varve_recovery_entries", GAUGE, "Entries replayed by the last open.", STAT(recovery_entries)},
    {"varve_recovery_segments", GAUGE, "Log segments replayed by the last open.",
     STAT(recovery_segments)},
    {"varve_recovery_cut_frames", GAUGE,
     "Valid frames that the last open cut off with a torn tail.", STAT(recovery_cut_frames)},
    {"varve_recovery_cut_bytes", GAUGE, "Bytes that the last open cut off.",
     STAT(recovery_cut_bytes)},
};

static uint64_t stat_field_value(const struct varve_stats *stats, const struct stat_field *field)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)stats + field->offset, sizeof value);
    return value;
}

static void add_memory(struct text *text, const struct varve_stats *stats)
{
    static const char name[] = "varve_memory_bytes";
    const struct {
        const char *labels;
        uint64_t bytes;
    } kinds[] = {
        {"{kind=\"memtables\"}", stats->memory_memtable_bytes},
        {"{kind=\"cache\"}", stats->memory_cache_bytes},
        {"{kind=\"tables\"}", stats->memory_table_bytes},
        {"{kind=\"reads\"}", stats->memory_read_bytes},
        {"{kind=\"writers\"}", stats->memory_writer_bytes},
        {"{kind=\"queue\"}", stats->memory_queue_bytes},
    };
    begin_metric(text, name, GAUGE, "What counts against the memory budget, by kind.");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        add_uint(text, name, kinds[i].labels, kinds[i].bytes);
}

static void add_levels(struct text *text, const struct varve_stats *stats)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } fields[] = {
        {"varve_level_runs", "Runs, by level.", offsetof(struct varve_level_stats, runs)},
        {"varve_level_tables", "Tables, by level.", offsetof(struct varve_level_stats, tables)},
        {"varve_level_bytes", "Bytes in tables, by level.",
         offsetof(struct varve_level_stats, bytes)},
        {"varve_level_entries", "Entries in tables, by level.",
         offsetof(struct varve_level_stats, entries)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        begin_metric(text, fields[i].name, GAUGE, fields[i].help);
        for (unsigned level = 0; level < VARVE_LEVELS_MAX; level++) {
            char labels[32];
            uint64_t value = 0;
            snprintf(labels, sizeof labels, "{level=\"%u\"}", level);
            memcpy(&value, (const char *)&stats->levels[level] + fields[i].offset, sizeof value);
            add_uint(text, fields[i].name, labels, value);
        }
    }
}

static void add_stall(struct text *text, const struct varve_stats *stats)
{
    char labels[64];
    begin_metric(text, "varve_writes_held", GAUGE, "1 for how writes are held up now.");
    for (int stall = VARVE_STALL_NONE; stall <= VARVE_STALL_STOPPED; stall++) {
        snprintf(labels, sizeof labels, "{state=\"%s\"}",
                 metrics_stall_name((enum varve_stall)stall));
        add_uint(text, "varve_writes_held", labels, stats->stall == (enum varve_stall)stall);
    }
    begin_metric(text, "varve_writes_held_by", GAUGE, "1 for what holds writes up now.");
    for (int cause = VARVE_STALL_BY_LEVEL0; cause <= VARVE_STALL_BY_MEMORY; cause++) {
        snprintf(labels, sizeof labels, "{cause=\"%s\"}",
                 metrics_stall_cause_name((enum varve_stall_cause)cause));
        add_uint(text, "varve_writes_held_by", labels,
                 stats->stall_cause == (enum varve_stall_cause)cause);
    }
}

/* Merges by output level and reason; only what has happened. */
static void add_merged(struct text *text, const struct varve_stats *stats)
{
    static const struct {
        const char *name, *help;
        size_t offset;
        bool is_us;
    } fields[] = {
        {"varve_compactions_total", "Merges, by output level and reason.",
         offsetof(struct varve_compaction_stats, count), false},
        {"varve_compaction_read_bytes_total", "Bytes read by merges, by output level and reason.",
         offsetof(struct varve_compaction_stats, bytes_read), false},
        {"varve_compaction_written_bytes_total",
         "Bytes written by merges, by output level and reason.",
         offsetof(struct varve_compaction_stats, bytes_written), false},
        {"varve_compaction_seconds_total", "Time of merges, by output level and reason.",
         offsetof(struct varve_compaction_stats, us), true},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        begin_metric(text, fields[i].name, COUNTER, fields[i].help);
        for (unsigned level = 0; level < VARVE_LEVELS_MAX; level++)
            for (size_t reason = 0; reason < VARVE_COMPACTION_REASONS; reason++) {
                const struct varve_compaction_stats *merged = &stats->merged[level][reason];
                char labels[64];
                uint64_t value = 0;
                if (merged->count == 0)
                    continue;
                snprintf(labels, sizeof labels, "{level=\"%u\",reason=\"%s\"}", level,
                         varve_compaction_reason_name(reason));
                memcpy(&value, (const char *)merged + fields[i].offset, sizeof value);
                if (fields[i].is_us)
                    add_number(text, fields[i].name, labels, (double)value / 1e6);
                else
                    add_uint(text, fields[i].name, labels, value);
            }
    }
}

static void add_amplification(struct text *text, const struct varve_amplification *amplification)
{
    add_real(text, "varve_write_amplification_ratio", GAUGE,
             "Bytes that flushes and merges wrote, for each that came in.", amplification->write);
    add_real(text, "varve_write_amplification_with_log_ratio", GAUGE,
             "Bytes that the log, flushes and merges wrote, for each that came in.",
             amplification->write_with_log);
    add_real(text, "varve_read_amplification_runs_ratio", GAUGE, "Runs that a get asked.",
             amplification->runs_per_get);
    add_real(text, "varve_read_amplification_blocks_ratio", GAUGE,
             "Data blocks that a get searched.", amplification->blocks_per_get);
    add_real(text, "varve_space_amplification_ratio", GAUGE,
             "Bytes of tables, for each that is taken to be live.", amplification->space);
    add_real(text, "varve_bloom_false_positive_ratio", GAUGE,
             "Filters that let through, of those asked for keys that were not there.",
             amplification->false_positives);
}

/* Histograms. */

struct distribution {
    const uint64_t *bounds, *cumulative; /* upper bounds, values up to each */
    size_t bound_count;
    uint64_t count, sum;
    double unit; /* of bounds and sum, in that of the metric */
};

#define MICROSECOND 1e-6

/* `label` is name="value",… or empty. */
static void add_distribution(struct text *text, const char *name, const char *label,
                             const struct distribution *values)
{
    char full[96], labels[160];
    const char *comma = label[0] != '\0' ? "," : "";
    snprintf(full, sizeof full, "%s_bucket", name);
    for (size_t i = 0; i < values->bound_count; i++) {
        uint64_t up_to = values->cumulative[i];
        snprintf(labels, sizeof labels, "{%s%sle=\"%g\"}", label, comma,
                 (double)values->bounds[i] * values->unit);
        /* counted a moment before `count`, or after it */
        add_uint(text, full, labels, up_to < values->count ? up_to : values->count);
    }
    snprintf(labels, sizeof labels, "{%s%sle=\"+Inf\"}", label, comma);
    add_uint(text, full, labels, values->count);
    snprintf(labels, sizeof labels, label[0] != '\0' ? "{%s}" : "%s", label);
    snprintf(full, sizeof full, "%s_sum", name);
    add_number(text, full, labels, (double)values->sum * values->unit);
    snprintf(full, sizeof full, "%s_count", name);
    add_uint(text, full, labels, values->count);
}

static void add_group_sizes(struct text *text, const struct varve_stats *stats)
{
    static const char name[] = "varve_wal_group_batches";
    uint64_t bounds[VARVE_GROUP_SIZES - 1], cumulative[VARVE_GROUP_SIZES - 1], count = 0;
    for (size_t i = 0; i < VARVE_GROUP_SIZES - 1; i++) {
        count += stats->wal_group_sizes[i];
        bounds[i] = UINT64_C(1) << i;
        cumulative[i] = count;
    }
    struct distribution sizes = {
        .bounds = bounds,
        .cumulative = cumulative,
        .bound_count = VARVE_GROUP_SIZES - 1,
        .count = count + stats->wal_group_sizes[VARVE_GROUP_SIZES - 1],
        .sum = stats->batches,
        .unit = 1,
    };
    begin_metric(text, name, "histogram", "Batches that were committed together.");
    add_distribution(text, name, "", &sizes);
}

static void add_store_latency(struct text *text, const struct metrics *metrics)
{
    static const struct {
        enum varve_latency which;
        const char *name, *help;
    } kinds[] = {
        {VARVE_LATENCY_SYNC, "varve_wal_sync_duration_seconds", "Time of a sync of the log."},
        {VARVE_LATENCY_GROUP, "varve_wal_group_duration_seconds",
         "Time of a commit group, from append to publish."},
        {VARVE_LATENCY_FLUSH, "varve_flush_duration_seconds", "Time of a flush."},
        {VARVE_LATENCY_COMPACTION, "varve_compaction_duration_seconds", "Time of a compaction."},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct varve_latency_stats *latency = &metrics->latency[kinds[i].which];
        uint64_t cumulative[METER_BOUND_COUNT] = {0};
        struct distribution times = {
            .bounds = meter_bounds_us,
            .cumulative = cumulative,
            .bound_count = METER_BOUND_COUNT,
            .count = latency->count,
            .sum = latency->sum_us,
            .unit = MICROSECOND,
        };
        varve_latency_buckets(service_db(metrics->service), kinds[i].which, meter_bounds_us,
                              METER_BOUND_COUNT, cumulative);
        begin_metric(text, kinds[i].name, "histogram", kinds[i].help);
        add_distribution(text, kinds[i].name, "", &times);
    }
}

/* The service. */

static void add_request_count(struct text *text, const char *name, const char *label,
                              const struct meter_requests *requests)
{
    char labels[128];
    snprintf(labels, sizeof labels, "{%s}", label);
    add_uint(text, name, labels, atomic_load(&requests->count));
}

static void add_request_times(struct text *text, const char *name, const char *label,
                              const struct meter_requests *requests)
{
    uint64_t cumulative[METER_BOUND_COUNT], up_to = 0;
    for (size_t i = 0; i < METER_BOUND_COUNT; i++)
        cumulative[i] = up_to += atomic_load(&requests->buckets[i]);
    struct distribution times = {
        .bounds = meter_bounds_us,
        .cumulative = cumulative,
        .bound_count = METER_BOUND_COUNT,
        .count = atomic_load(&requests->count),
        .sum = atomic_load(&requests->sum_us),
        .unit = MICROSECOND,
    };
    add_distribution(text, name, label, &times);
}

/* Calls `add` for each combination that has occurred. */
static void add_requests(struct text *text, const char *name, const struct meter *meter,
                         void (*add)(struct text *text, const char *name, const char *label,
                                     const struct meter_requests *requests))
{
    for (int route = 0; route < METER_ROUTE_COUNT; route++) {
        for (int method = 0; method < METER_METHOD_COUNT; method++) {
            for (int status = 0; status < METER_STATUS_COUNT; status++) {
                const struct meter_requests *requests = &meter->requests[route][method][status];
                char label[112], code[8];
                if (atomic_load(&requests->count) == 0)
                    continue;
                unsigned number = meter_status_code((enum meter_status)status);
                snprintf(code, sizeof code, "%u", number);
                snprintf(label, sizeof label, "method=\"%s\",route=\"%s\",code=\"%s\"",
                         meter_method_name((enum request_method)method),
                         meter_route_path((enum meter_route)route), number != 0 ? code : "other");
                add(text, name, label, requests);
            }
        }
    }
}

static void add_deferred(struct text *text, const struct meter *meter)
{
    static const char name[] = "varve_http_reads_deferred_total";
    begin_metric(text, name, COUNTER,
                 "Requests whose reads had to wait for the disk, on a worker, by operation.");
    for (int op = 0; op < METER_OP_COUNT; op++) {
        char labels[32];
        snprintf(labels, sizeof labels, "{op=\"%s\"}", meter_op_name((enum meter_op)op));
        add_uint(text, name, labels, atomic_load(&meter->deferred[op]));
    }
}

static void add_http(struct text *text, const struct meter *meter)
{
    static const char count[] = "varve_http_requests_total";
    static const char times[] = "varve_http_request_duration_seconds";
    begin_metric(text, count, COUNTER, "Requests answered, by method, route and status code.");
    add_requests(text, count, meter, add_request_count);
    begin_metric(text, times, "histogram",
                 "Time from a request's first line to its answer, by the same.");
    add_requests(text, times, meter, add_request_times);
}

static void add_denials(struct text *text, const struct meter *meter)
{
    static const char name[] = "varve_http_auth_failures_total";
    begin_metric(text, name, COUNTER, "Requests without a token that allows them, by reason.");
    for (int denial = 0; denial < METER_DENIAL_COUNT; denial++) {
        char labels[64];
        snprintf(labels, sizeof labels, "{reason=\"%s\"}",
                 meter_denial_name((enum meter_denial)denial));
        add_uint(text, name, labels, atomic_load(&meter->denials[denial]));
    }
}

static const char *state_name(const struct metrics *metrics)
{
    switch (service_state(metrics->service)) {
    case SERVICE_RECOVERING:
        return "recovering";
    case SERVICE_DRAINING:
        return "draining";
    case SERVICE_READY:
        break;
    }
    switch (metrics->stats.state) {
    case VARVE_STATE_NO_SPACE:
        return "no_space";
    case VARVE_STATE_READ_ONLY:
        return "read_only";
    case VARVE_STATE_OK:
        break;
    }
    return "ok";
}

static void add_scans(struct text *text, const struct metrics *metrics)
{
    static const char cut_off[] = "varve_scans_cut_off_total";
    const struct service *service = metrics->service;
    add_metric(text, "varve_scans", GAUGE, "Scans of whole ranges under way.",
               atomic_load(&service->scans));
    add_metric(text, "varve_scans_limit", GAUGE, "Scans of whole ranges at the same time at most.",
               metrics->settings->config.max_streams);
    add_metric(text, "varve_streams_started_total", COUNTER, "Answers that were streamed.",
               atomic_load(&metrics->meter.streams_started));
    add_metric(text, "varve_stream_items_total", COUNTER, "Items written for streams.",
               atomic_load(&metrics->meter.stream_items));
    begin_metric(text, cut_off, COUNTER, "Scans of whole ranges given up, by reason.");
    for (int cut = SCAN_RUNS + 1; cut < SCAN_CUT_COUNT; cut++) {
        char labels[48];
        snprintf(labels, sizeof labels, "{reason=\"%s\"}", scan_cut_label((enum scan_cut)cut));
        add_uint(text, cut_off, labels, atomic_load(&metrics->meter.scans_cut[cut]));
    }
}

static void add_service(struct text *text, const struct metrics *metrics)
{
    static const char *const states[] = {"ok", "recovering", "draining", "read_only", "no_space"};
    struct service *service = metrics->service;
    const struct meter *meter = &metrics->meter;
    char labels[96];
    begin_metric(text, "varve_build_info", GAUGE, "Always 1; the labels say what runs.");
    snprintf(labels, sizeof labels, "{version=\"%s\",format_version=\"%u\"}", varve_version(),
             varve_format_version());
    add_uint(text, "varve_build_info", labels, 1);
    begin_metric(text, "varve_state", GAUGE, "1 for the state that /health reports.");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        snprintf(labels, sizeof labels, "{state=\"%s\"}", states[i]);
        add_uint(text, "varve_state", labels, strcmp(states[i], state_name(metrics)) == 0);
    }
    add_http(text, meter);
    add_denials(text, meter);
    begin_metric(text, "varve_config_reloads_total", COUNTER, "Reloads, by result.");
    add_uint(text, "varve_config_reloads_total", "{result=\"ok\"}", atomic_load(&service->reloads));
    add_uint(text, "varve_config_reloads_total", "{result=\"failed\"}",
             atomic_load(&service->reloads_failed));
    if (metrics->settings->tls != NULL)
        add_metric(text, "varve_tls_certificate_expiry_timestamp_seconds", GAUGE,
                   "When the certificate expires, since 1970.",
                   (uint64_t)tls_expires_at(metrics->settings->tls));
    add_deferred(text, meter);
    add_metric(text, "varve_http_request_body_bytes_total", COUNTER, "Bytes of bodies received.",
               atomic_load(&meter->bytes_in));
    add_metric(text, "varve_http_response_body_bytes_total", COUNTER, "Bytes of bodies sent.",
               atomic_load(&meter->bytes_out));
    add_metric(text, "varve_http_connections", GAUGE, "Connections open.",
               atomic_load(&service->connections));
    add_metric(text, "varve_http_connections_limit", GAUGE, "Connections that are served at most.",
               metrics->settings->config.max_connections);
    add_metric(text, "varve_http_connections_accepted_total", COUNTER, "Connections accepted.",
               atomic_load(&meter->connections_accepted));
    add_metric(text, "varve_http_connections_refused_total", COUNTER, "Connections over the limit.",
               atomic_load(&meter->connections_refused));
    add_metric(text, "varve_http_connections_timed_out_total", COUNTER,
               "Connections closed because they were idle or too slow.",
               atomic_load(&meter->connections_timed_out));
    add_metric(text, "varve_http_body_bytes_in_flight", GAUGE, "Bytes reserved for bodies.",
               atomic_load(&service->body_bytes));
    add_metric(text, "varve_http_answer_bytes_in_flight", GAUGE,
               "Bytes reserved for large answers.", atomic_load(&service->answer_bytes));
    add_metric(text, "varve_http_answer_bytes_in_flight_limit", GAUGE,
               "The budget for large answers.", metrics->settings->config.answers_in_flight_bytes);
    add_metric(text, "varve_http_answers_refused_total", COUNTER,
               "Answers that found no room in their budget.",
               atomic_load(&service->answers_refused));
    add_scans(text, metrics);
}

static void add_process(struct text *text, const struct metrics *metrics)
{
    struct process_info info = {0};
    process_info_read(&info);
    add_real(text, "process_cpu_seconds_total", COUNTER, "User and system time used.",
             info.cpu_seconds);
    add_metric(text, "process_resident_memory_bytes", GAUGE, "Resident memory.",
               info.resident_bytes);
    add_metric(text, "process_virtual_memory_bytes", GAUGE, "Virtual memory.", info.virtual_bytes);
    add_metric(text, "process_open_fds", GAUGE, "Open file descriptors.", info.open_fds);
    add_metric(text, "process_max_fds", GAUGE, "File descriptors allowed.", info.max_fds);
    add_metric(text, "process_start_time_seconds", GAUGE, "When it started, since 1970.",
               (uint64_t)metrics->service->started_at);
}

static void add_disk(struct text *text, const struct metrics *metrics)
{
    struct disk_info info = {0};
    disk_info_read(metrics->settings->config.data_dir, &info);
    add_metric(text, "varve_disk_size_bytes", GAUGE, "Size of the store's file system.",
               info.size_bytes);
    add_metric(text, "varve_disk_free_bytes", GAUGE, "What the store may still take of it.",
               info.free_bytes);
}

enum varve_status metrics_write_text(const struct metrics *metrics, struct buf *out)
{
    struct text text = {.out = out};
    add_service(&text, metrics);
    if (metrics->has_store) {
        for (size_t i = 0; i < sizeof stat_fields / sizeof stat_fields[0]; i++)
            add_metric(&text, stat_fields[i].name, stat_fields[i].type, stat_fields[i].help,
                       stat_field_value(&metrics->stats, &stat_fields[i]));
        add_real(&text, "varve_stall_seconds_total", COUNTER,
                 "Time that writes were slowed down by.", (double)metrics->stats.stall_us / 1e6);
        add_real(&text, "varve_slowdown_seconds_total", COUNTER,
                 "Time that commit groups were held up for.",
                 (double)metrics->stats.slowdown_us / 1e6);
        add_real(&text, "varve_debt_ratio", GAUGE, "How far merging is behind; at 1 writes wait.",
                 (double)metrics->stats.debt_percent / 100);
        add_real(&text, "varve_recovery_seconds", GAUGE, "Time that the last open took.",
                 (double)metrics->stats.recovery_us / 1e6);
        add_real(&text, "varve_recovery_replay_seconds", GAUGE,
                 "Of that, reading the log into memory.",
                 (double)metrics->stats.recovery_replay_us / 1e6);
        add_real(&text, "varve_recovery_rewrite_seconds", GAUGE,
                 "Of that, writing the log's content to tables.",
                 (double)metrics->stats.recovery_rewrite_us / 1e6);
        add_memory(&text, &metrics->stats);
        add_levels(&text, &metrics->stats);
        add_stall(&text, &metrics->stats);
        add_merged(&text, &metrics->stats);
        add_amplification(&text, &metrics->stats.amplification);
        add_store_latency(&text, metrics);
        add_group_sizes(&text, &metrics->stats);
    }
    add_disk(&text, metrics);
    add_process(&text, metrics);
    return text.status;
}
