/* Figures for people and scrapers, gathered from counters and from the view in force. */
#include <stdio.h>
#include <string.h>

#include <varve/db.h>

#include "engine/db.h"
#include "format/manifest_log.h"

#define READ(counter) atomic_load_explicit(&(counter), memory_order_relaxed)

const char *varve_version(void)
{
    return VARVE_VERSION_TEXT;
}

unsigned varve_format_version(void)
{
    return MANIFEST_FORMAT_VERSION;
}

_Static_assert((unsigned)VARVE_COMPACTION_REASONS == (unsigned)COMPACTION_REASONS,
               "a reason for each");

const char *varve_compaction_reason_name(size_t reason)
{
    return compaction_reason_name((enum compaction_reason)reason);
}

static void counters_read(struct varve_db *db, struct varve_stats *stats)
{
    const struct db_counters *c = &db->counters;
    stats->puts = READ(c->puts);
    stats->deletes = READ(c->deletes);
    stats->gets = READ(c->gets);
    stats->gets_found = READ(c->gets_found);
    stats->seeks = READ(c->seeks);
    stats->batches = READ(c->batches);
    stats->user_write_bytes = READ(c->user_write_bytes);
    stats->wal_bytes = READ(c->wal_bytes);
    stats->wal_groups = READ(c->wal_groups);
    stats->wal_syncs = READ(c->wal_syncs);
    stats->wal_segments_recycled = READ(c->wal_segments_recycled);
    for (size_t i = 0; i < VARVE_GROUP_SIZES; i++)
        stats->wal_group_sizes[i] = READ(c->wal_group_sizes[i]);
    stats->flushes = READ(c->flushes);
    stats->flush_bytes = READ(c->flush_bytes);
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) {
        for (size_t r = 0; r < COMPACTION_REASONS; r++) {
            const struct db_compaction_counters *counters = &c->compactions[l][r];
            struct varve_compaction_stats *merged = &stats->merged[l][r];
            merged->count = READ(counters->count);
            merged->bytes_read = READ(counters->bytes_read);
            merged->bytes_written = READ(counters->bytes_written);
            merged->us = READ(counters->us);
            stats->compactions += merged->count;
            stats->compaction_bytes_read += merged->bytes_read;
            stats->compaction_bytes_written += merged->bytes_written;
        }
    }
    stats->trivial_moves = READ(c->trivial_moves);
    stats->stalls = READ(c->stalls);
    stats->stall_us = READ(c->stall_us);
    stats->slowdowns = READ(c->slowdowns);
    stats->slowdown_us = READ(c->slowdown_us);
    stats->get_runs = READ(c->get_runs);
    stats->get_blocks = READ(c->get_blocks);
    stats->bloom_checks = READ(c->bloom_checks);
    stats->bloom_useful = READ(c->bloom_useful);
    stats->bloom_false_positives = READ(c->bloom_false_positives);
    stats->iterators = READ(c->iterators);
}

static uint64_t run_bytes(const struct run *run)
{
    uint64_t bytes = 0;
    for (size_t t = 0; t < run->table_count; t++)
        bytes += run->tables[t]->meta.file_bytes;
    return bytes;
}

static const struct run *largest_run(const struct version *version)
{
    const struct run *largest = NULL;
    uint64_t most = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) {
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            uint64_t bytes = run_bytes(&version->levels[l].runs[r]);
            if (bytes > most)
                largest = &version->levels[l].runs[r];
            most = bytes > most ? bytes : most;
        }
    }
    return largest;
}

static bool run_has_range_of(const struct run *run, const struct table *table)
{
    size_t first = run_lower_bound(run, table_smallest(table));
    return first < run->table_count &&
           entry_key_compare(table_smallest(run->tables[first]), table_largest(table)) <= 0;
}

/* A table's bytes but for the part of its entries that is deleted or has expired. */
static uint64_t table_live_bytes(const struct table *table, uint64_t now_s)
{
    const struct manifest_table *meta = &table->meta;
    uint64_t dead = meta->tombstone_count;
    if (meta->expiring_count > 0 && meta->expiry_max_s <= now_s)
        dead += meta->expiring_count;
    if (dead >= meta->entry_count)
        return 0;
    double live = (double)(meta->entry_count - dead) / (double)meta->entry_count;
    return (uint64_t)(live * (double)meta->file_bytes);
}

static uint64_t live_bytes_estimate(const struct version *version, uint64_t now_s)
{
    const struct run *largest = largest_run(version);
    uint64_t bytes = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            const struct run *run = &version->levels[l].runs[r];
            for (size_t t = 0; t < run->table_count; t++)
                if (run == largest || !run_has_range_of(largest, run->tables[t]))
                    bytes += table_live_bytes(run->tables[t], now_s);
        }
    return bytes;
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void amplification_fill(struct varve_stats *stats)
{
    uint64_t written = stats->flush_bytes + stats->compaction_bytes_written;
    stats->amplification = (struct varve_amplification){
        .write = ratio(written, stats->user_write_bytes),
        .write_with_log = ratio(written + stats->wal_bytes, stats->user_write_bytes),
        .runs_per_get = ratio(stats->get_runs, stats->gets),
        .blocks_per_get = ratio(stats->get_blocks, stats->gets),
        .space = ratio(stats->table_bytes, stats->live_bytes_estimate),
        .false_positives =
            ratio(stats->bloom_false_positives, stats->bloom_false_positives + stats->bloom_useful),
    };
}

static void view_read(const struct view *view, struct varve_stats *stats)
{
    stats->memtables = 1 + view->waiting_count;
    stats->memtable_bytes = memtable_bytes(view->active);
    stats->memtable_entries = memtable_entries(view->active);
    for (size_t i = 0; i < view->waiting_count; i++) {
        stats->memtable_bytes += memtable_bytes(view->waiting[i]);
        stats->memtable_entries += memtable_entries(view->waiting[i]);
    }
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) {
        const struct level *level = &view->version->levels[l];
        stats->levels[l].runs = level->run_count;
        for (size_t r = 0; r < level->run_count; r++) {
            stats->levels[l].tables += level->runs[r].table_count;
            for (size_t t = 0; t < level->runs[r].table_count; t++) {
                stats->levels[l].bytes += level->runs[r].tables[t]->meta.file_bytes;
                stats->levels[l].entries += level->runs[r].tables[t]->meta.entry_count;
            }
        }
        stats->tables += stats->levels[l].tables;
        stats->table_bytes += stats->levels[l].bytes;
    }
}

static void log_read(struct varve_db *db, struct varve_stats *stats)
{
    stats->wal_segment = atomic_load(&db->log_figures.active_segment);
    stats->wal_live_bytes = atomic_load(&db->log_figures.sealed_bytes) +
                            atomic_load(&db->log_figures.full_bytes) +
                            atomic_load(&db->log_figures.active_bytes);
}

static void cache_read(struct varve_db *db, struct varve_stats *stats)
{
    struct block_cache_stats cache = {0};
    block_cache_stats(db->blocks, &cache);
    stats->cache_lookups = cache.lookups;
    stats->cache_hits = cache.hits;
    stats->cache_bytes = cache.bytes + cache.charged_bytes;
    stats->cache_bytes_max = cache.bytes_max;
    stats->block_reads = cache.block_reads;
    stats->block_read_bytes = cache.block_read_bytes;
    stats->tables_open = table_cache_open_count(db->tables);
}

static void stall_read(struct varve_db *db, struct varve_stats *stats)
{
    stats->debt_percent = atomic_load(&db->stall.debt_percent);
    stats->stall_cause = (enum varve_stall_cause)atomic_load(&db->stall.stop_cause);
    if (stats->stall_cause != VARVE_STALL_BY_NOTHING) {
        stats->stall = VARVE_STALL_STOPPED;
        return;
    }
    stats->stall = stats->debt_percent > 0 ? VARVE_STALL_SLOWED : VARVE_STALL_NONE;
    if (stats->debt_percent > 0)
        stats->stall_cause = (enum varve_stall_cause)atomic_load(&db->stall.debt_cause);
}

static void memory_read(struct varve_db *db, struct varve_stats *stats)
{
    const struct memory_budget *memory = &db->memory;
    stats->memory_budget_bytes = memory->limit_bytes;
    stats->memory_used_bytes = memory_budget_used(memory);
    stats->memory_memtable_bytes = memory_budget_used_by(memory, MEMORY_MEMTABLES);
    stats->memory_cache_bytes = memory_budget_used_by(memory, MEMORY_CACHE);
    stats->memory_table_bytes = memory_budget_used_by(memory, MEMORY_TABLES);
    stats->memory_read_bytes = memory_budget_used_by(memory, MEMORY_READS);
    stats->memory_writer_bytes = memory_budget_used_by(memory, MEMORY_WRITERS);
    stats->memory_queue_bytes = memory_budget_used_by(memory, MEMORY_QUEUE);
    stats->early_flushes = READ(db->counters.early_flushes);
    stats->memory_stalls = READ(db->counters.memory_stalls);
}

void varve_stats_read(struct varve_db *db, struct varve_stats *ret_stats)
{
    struct varve_stats stats = {0};
    struct view *view = view_slot_acquire(&db->view, &db->visible, &stats.revision);

    view_read(view, &stats);
    stats.live_bytes_estimate = live_bytes_estimate(view->version, db_store_time_ms(db) / 1000);
    view_unref(view);
    counters_read(db, &stats);
    log_read(db, &stats);
    cache_read(db, &stats);
    amplification_fill(&stats);
    stall_read(db, &stats);
    memory_read(db, &stats);
    stats.snapshots = snapshots_count(&db->snapshots);
    mutex_lock(&db->state_mu.lock);
    stats.state = db_state(db);
    memcpy(stats.state_reason, db->state_mu.reason, sizeof stats.state_reason);
    mutex_unlock(&db->state_mu.lock);
    mutex_lock(&db->background.mu.lock);
    stats.compactions_running = db->background.mu.compactions_running;
    mutex_unlock(&db->background.mu.lock);
    stats.recovery_us = db->recovery.us;
    stats.recovery_replay_us = db->recovery.replay_us;
    stats.recovery_rewrite_us = db->recovery.rewrite_us;
    stats.recovery_frames = db->recovery.frames;
    stats.recovery_entries = db->recovery.entries;
    stats.recovery_segments = db->recovery.segments;
    stats.recovery_cut_frames = db->recovery.cut_frames;
    stats.recovery_cut_bytes = db->recovery.cut_bytes;
    *ret_stats = stats;
}

void varve_latency_read(struct varve_db *db, enum varve_latency which,
                        struct varve_latency_stats *ret_stats)
{
    const struct histogram *h = &db->latencies[which];
    *ret_stats = (struct varve_latency_stats){
        .count = READ(h->count),
        .sum_us = READ(h->sum),
        .p50_us = histogram_percentile(h, 50),
        .p95_us = histogram_percentile(h, 95),
        .p99_us = histogram_percentile(h, 99),
        .p999_us = histogram_percentile(h, 99.9),
        .max_us = READ(h->max),
    };
}

void varve_latency_buckets(struct varve_db *db, enum varve_latency which, const uint64_t *bounds_us,
                           size_t count, uint64_t *ret_cumulative)
{
    for (size_t i = 0; i < count; i++)
        ret_cumulative[i] = histogram_count_up_to(&db->latencies[which], bounds_us[i]);
}
