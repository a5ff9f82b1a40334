/* GET /stats: the same figures as /metrics, grouped, with ratios worked out. */
#include "service/metrics.h"

#include "base/histogram.h"
#include "service/json_writer.h"
#include "service/process_info.h"

static void write_uint(struct json_writer *w, const char *name, uint64_t value)
{
    json_write_name(w, name);
    json_write_uint(w, value);
}

static void write_double(struct json_writer *w, const char *name, double value)
{
    json_write_name(w, name);
    json_write_double(w, value);
}

static void begin_group(struct json_writer *w, const char *name)
{
    json_write_name(w, name);
    json_write_object_begin(w);
}

/* 0 where there is nothing to divide by. */
static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void write_scans(struct json_writer *w, const struct metrics *metrics)
{
    begin_group(w, "scans");
    write_uint(w, "now", atomic_load(&metrics->service->scans));
    write_uint(w, "streams_started", atomic_load(&metrics->meter.streams_started));
    write_uint(w, "stream_items", atomic_load(&metrics->meter.stream_items));
    for (int cut = SCAN_RUNS + 1; cut < SCAN_CUT_COUNT; cut++)
        write_uint(w, scan_cut_label((enum scan_cut)cut),
                   atomic_load(&metrics->meter.scans_cut[cut]));
    json_write_object_end(w);
}

static void write_server(struct json_writer *w, const struct metrics *metrics)
{
    struct service *service = metrics->service;
    struct process_info info = {0};
    process_info_read(&info);
    begin_group(w, "server");
    json_write_name(w, "version");
    json_write_text(w, varve_version());
    write_uint(w, "format_version", varve_format_version());
    write_uint(w, "uptime_seconds", (uint64_t)(time(NULL) - service->started_at));
    write_uint(w, "http_threads", service->loop_count);
    write_uint(w, "connections", atomic_load(&service->connections));
    write_uint(w, "connections_refused", atomic_load(&metrics->meter.connections_refused));
    write_uint(w, "connections_timed_out", atomic_load(&metrics->meter.connections_timed_out));
    write_uint(w, "body_bytes_in_flight", atomic_load(&service->body_bytes));
    write_uint(w, "answer_bytes_in_flight", atomic_load(&service->answer_bytes));
    write_uint(w, "answers_refused", atomic_load(&service->answers_refused));
    write_scans(w, metrics);
    write_uint(w, "reloads", atomic_load(&service->reloads));
    write_uint(w, "reloads_failed", atomic_load(&service->reloads_failed));
    begin_group(w, "auth_failures");
    for (int denial = 0; denial < METER_DENIAL_COUNT; denial++)
        write_uint(w, meter_denial_name((enum meter_denial)denial),
                   atomic_load(&metrics->meter.denials[denial]));
    json_write_object_end(w);
    write_uint(w, "bytes_in", atomic_load(&metrics->meter.bytes_in));
    write_uint(w, "bytes_out", atomic_load(&metrics->meter.bytes_out));
    write_double(w, "cpu_seconds", info.cpu_seconds);
    write_uint(w, "resident_bytes", info.resident_bytes);
    write_uint(w, "open_fds", info.open_fds);
    json_write_object_end(w);
}

static void write_config(struct json_writer *w, const struct service_config *config)
{
    struct config_setting setting;
    begin_group(w, "config");
    for (size_t i = 0; config_setting_at(config, i, &setting); i++) {
        json_write_name(w, setting.name);
        json_write_bytes_lossy(w, varve_slice_str(setting.text));
    }
    json_write_object_end(w);
}

static void write_ops(struct json_writer *w, const struct meter *meter)
{
    static const struct {
        const char *name;
        double percent;
    } percentiles[] = {{"p50_us", 50}, {"p95_us", 95}, {"p99_us", 99}, {"p999_us", 99.9}};
    begin_group(w, "ops");
    for (int op = 0; op < METER_OP_COUNT; op++) {
        const struct histogram *histogram = &meter->latency_us[op];
        begin_group(w, meter_op_name((enum meter_op)op));
        write_uint(w, "count", atomic_load(&histogram->count));
        for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++)
            write_uint(w, percentiles[i].name,
                       histogram_percentile(histogram, percentiles[i].percent));
        write_uint(w, "max_us", atomic_load(&histogram->max));
        write_uint(w, "deferred", atomic_load(&meter->deferred[op]));
        json_write_object_end(w);
    }
    json_write_object_end(w);
}

static void write_latency(struct json_writer *w, const char *name,
                          const struct varve_latency_stats *latency)
{
    begin_group(w, name);
    write_uint(w, "count", latency->count);
    write_uint(w, "p50_us", latency->p50_us);
    write_uint(w, "p95_us", latency->p95_us);
    write_uint(w, "p99_us", latency->p99_us);
    write_uint(w, "p999_us", latency->p999_us);
    write_uint(w, "max_us", latency->max_us);
    json_write_object_end(w);
}

static void write_memory_and_log(struct json_writer *w, const struct metrics *metrics)
{
    const struct varve_stats *stats = &metrics->stats;
    begin_group(w, "memtable");
    write_uint(w, "bytes", stats->memtable_bytes);
    write_uint(w, "entries", stats->memtable_entries);
    write_uint(w, "count", stats->memtables);
    json_write_object_end(w);
    begin_group(w, "wal");
    write_uint(w, "segment", stats->wal_segment);
    write_uint(w, "bytes_written", stats->wal_bytes);
    write_uint(w, "live_bytes", stats->wal_live_bytes);
    write_uint(w, "groups", stats->wal_groups);
    write_uint(w, "syncs", stats->wal_syncs);
    write_double(w, "batches_per_group", ratio(stats->batches, stats->wal_groups));
    write_uint(w, "segments_recycled", stats->wal_segments_recycled);
    write_latency(w, "sync", &metrics->latency[VARVE_LATENCY_SYNC]);
    write_latency(w, "group", &metrics->latency[VARVE_LATENCY_GROUP]);
    json_write_object_end(w);
}

static void write_memory(struct json_writer *w, const struct varve_stats *stats)
{
    begin_group(w, "memory");
    write_uint(w, "budget_bytes", stats->memory_budget_bytes);
    write_uint(w, "used_bytes", stats->memory_used_bytes);
    write_uint(w, "memtable_bytes", stats->memory_memtable_bytes);
    write_uint(w, "cache_bytes", stats->memory_cache_bytes);
    write_uint(w, "table_bytes", stats->memory_table_bytes);
    write_uint(w, "read_bytes", stats->memory_read_bytes);
    write_uint(w, "writer_bytes", stats->memory_writer_bytes);
    write_uint(w, "queue_bytes", stats->memory_queue_bytes);
    write_uint(w, "early_flushes", stats->early_flushes);
    write_uint(w, "stalls", stats->memory_stalls);
    json_write_object_end(w);
}

static void write_levels(struct json_writer *w, const struct varve_stats *stats)
{
    json_write_name(w, "levels");
    json_write_array_begin(w);
    for (unsigned level = 0; level < VARVE_LEVELS_MAX; level++) {
        json_write_object_begin(w);
        write_uint(w, "level", level);
        write_uint(w, "runs", stats->levels[level].runs);
        write_uint(w, "tables", stats->levels[level].tables);
        write_uint(w, "bytes", stats->levels[level].bytes);
        write_uint(w, "entries", stats->levels[level].entries);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

/* What was merged, by output level and reason; only what has happened. */
static void write_merged(struct json_writer *w, const struct varve_stats *stats)
{
    json_write_name(w, "merged");
    json_write_array_begin(w);
    for (unsigned level = 0; level < VARVE_LEVELS_MAX; level++) {
        for (size_t reason = 0; reason < VARVE_COMPACTION_REASONS; reason++) {
            const struct varve_compaction_stats *merged = &stats->merged[level][reason];
            if (merged->count == 0)
                continue;
            json_write_object_begin(w);
            write_uint(w, "level", level);
            json_write_name(w, "reason");
            json_write_text(w, varve_compaction_reason_name(reason));
            write_uint(w, "count", merged->count);
            write_uint(w, "bytes_read", merged->bytes_read);
            write_uint(w, "bytes_written", merged->bytes_written);
            write_double(w, "seconds", (double)merged->us / 1e6);
            json_write_object_end(w);
        }
    }
    json_write_array_end(w);
}

static void write_merging(struct json_writer *w, const struct metrics *metrics)
{
    const struct varve_stats *stats = &metrics->stats;
    begin_group(w, "compaction");
    write_uint(w, "flushes", stats->flushes);
    write_uint(w, "flush_bytes", stats->flush_bytes);
    write_uint(w, "compactions", stats->compactions);
    write_uint(w, "running", stats->compactions_running);
    write_uint(w, "trivial_moves", stats->trivial_moves);
    write_uint(w, "bytes_read", stats->compaction_bytes_read);
    write_uint(w, "bytes_written", stats->compaction_bytes_written);
    write_latency(w, "flush", &metrics->latency[VARVE_LATENCY_FLUSH]);
    write_latency(w, "compaction", &metrics->latency[VARVE_LATENCY_COMPACTION]);
    write_merged(w, stats);
    json_write_object_end(w);
    begin_group(w, "amplification");
    write_double(w, "write", stats->amplification.write);
    write_double(w, "write_with_wal", stats->amplification.write_with_log);
    write_double(w, "runs_per_get", stats->amplification.runs_per_get);
    write_double(w, "blocks_per_get", stats->amplification.blocks_per_get);
    write_double(w, "read", ratio(stats->block_reads, stats->gets + stats->seeks));
    write_double(w, "space", stats->amplification.space);
    write_uint(w, "live_bytes_estimate", stats->live_bytes_estimate);
    json_write_object_end(w);
}

static void write_reading(struct json_writer *w, const struct varve_stats *stats)
{
    begin_group(w, "bloom");
    write_uint(w, "checks", stats->bloom_checks);
    write_uint(w, "useful", stats->bloom_useful);
    write_uint(w, "false_positives", stats->bloom_false_positives);
    write_double(w, "false_positive_rate", stats->amplification.false_positives);
    json_write_object_end(w);
    begin_group(w, "index");
    write_uint(w, "tables_open", stats->tables_open);
    write_uint(w, "block_reads", stats->block_reads);
    write_uint(w, "block_read_bytes", stats->block_read_bytes);
    write_uint(w, "snapshots", stats->snapshots);
    write_uint(w, "iterators", stats->iterators);
    json_write_object_end(w);
    begin_group(w, "cache");
    write_uint(w, "bytes", stats->cache_bytes);
    write_uint(w, "limit_bytes", stats->cache_bytes_max);
    write_uint(w, "lookups", stats->cache_lookups);
    write_uint(w, "hits", stats->cache_hits);
    write_double(w, "hit_ratio", ratio(stats->cache_hits, stats->cache_lookups));
    json_write_object_end(w);
    begin_group(w, "stalls");
    json_write_name(w, "state");
    json_write_text(w, metrics_stall_name(stats->stall));
    json_write_name(w, "cause");
    json_write_text(w, metrics_stall_cause_name(stats->stall_cause));
    write_uint(w, "count", stats->stalls);
    write_uint(w, "total_us", stats->stall_us);
    write_uint(w, "slowdowns", stats->slowdowns);
    write_uint(w, "slowdown_us", stats->slowdown_us);
    write_uint(w, "debt_percent", stats->debt_percent);
    json_write_object_end(w);
}

static void write_disk(struct json_writer *w, const struct metrics *metrics)
{
    const struct varve_stats *stats = &metrics->stats;
    struct disk_info info = {0};
    disk_info_read(metrics->settings->config.data_dir, &info);
    begin_group(w, "disk");
    write_uint(w, "tables", stats->tables);
    write_uint(w, "table_bytes", stats->table_bytes);
    write_uint(w, "wal_bytes", stats->wal_live_bytes);
    write_uint(w, "size_bytes", info.size_bytes);
    write_uint(w, "free_bytes", info.free_bytes);
    json_write_object_end(w);
}

static void write_store(struct json_writer *w, const struct varve_stats *stats)
{
    static const char *const states[] = {
        [VARVE_STATE_OK] = "ok",
        [VARVE_STATE_NO_SPACE] = "no_space",
        [VARVE_STATE_READ_ONLY] = "read_only",
    };
    begin_group(w, "store");
    json_write_name(w, "state");
    json_write_text(w, states[stats->state]);
    write_uint(w, "revision", stats->revision);
    write_uint(w, "puts", stats->puts);
    write_uint(w, "deletes", stats->deletes);
    write_uint(w, "gets", stats->gets);
    write_uint(w, "gets_found", stats->gets_found);
    write_uint(w, "seeks", stats->seeks);
    write_uint(w, "batches", stats->batches);
    write_uint(w, "user_write_bytes", stats->user_write_bytes);
    json_write_object_end(w);
    begin_group(w, "recovery");
    write_uint(w, "duration_us", stats->recovery_us);
    write_uint(w, "replay_us", stats->recovery_replay_us);
    write_uint(w, "rewrite_us", stats->recovery_rewrite_us);
    write_uint(w, "segments", stats->recovery_segments);
    write_uint(w, "frames", stats->recovery_frames);
    write_uint(w, "entries", stats->recovery_entries);
    write_uint(w, "cut_frames", stats->recovery_cut_frames);
    write_uint(w, "cut_bytes", stats->recovery_cut_bytes);
    json_write_object_end(w);
}

enum varve_status metrics_write_json(const struct metrics *metrics, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    write_server(&w, metrics);
    write_config(&w, &metrics->settings->config);
    write_ops(&w, &metrics->meter);
    if (metrics->has_store) {
        write_store(&w, &metrics->stats);
        write_memory(&w, &metrics->stats);
        write_memory_and_log(&w, metrics);
        write_levels(&w, &metrics->stats);
        write_merging(&w, metrics);
        write_reading(&w, &metrics->stats);
        write_disk(&w, metrics);
    }
    json_write_object_end(&w);
    return json_writer_status(&w);
}
