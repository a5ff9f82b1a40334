/* varve through its public headers. */
#include "programs/bench/engine.h"

#include <stdlib.h>
#include <time.h>

#include <varve/varve.h>

#define BUSY_WAIT_NS 200000
#define BUSY_WAITS_MAX 300000 /* a minute */

static enum varve_status fail(enum varve_status status, const char *what,
                              struct varve_error *ret_error)
{
    return error_set(ret_error, status, NULL, STATUS_NO_OFFSET, "varve: %s: %s", what,
                     varve_status_text(status));
}

static enum varve_compression compression_of(const struct engine_settings *settings)
{
    static const enum varve_compression kinds[] = {
        [ENGINE_COMPRESSION_NONE] = VARVE_COMPRESSION_NONE,
        [ENGINE_COMPRESSION_LZ4] = VARVE_COMPRESSION_LZ4,
        [ENGINE_COMPRESSION_ZSTD] = VARVE_COMPRESSION_ZSTD,
    };
    return kinds[settings->compression];
}

static enum varve_status varve_engine_open(const struct engine_settings *settings, void **ret_store,
                                           struct varve_error *ret_error)
{
    struct varve_options options;
    varve_options_init(&options);
    options.create_if_missing = settings->create;
    options.memtable_bytes = settings->memtable_bytes;
    options.memtables_max = ENGINE_WRITE_BUFFERS;
    options.block_bytes = ENGINE_BLOCK_BYTES;
    options.bloom_bits_per_key = ENGINE_BLOOM_BITS_PER_KEY;
    options.block_cache_bytes = settings->cache_bytes;
    options.memory_budget_bytes = settings->memory_budget_bytes;
    options.compaction_workers = ENGINE_BACKGROUND_THREADS - 1; /* one flushes */
    options.compression = options.compression_bottom = compression_of(settings);
    if (settings->compaction == ENGINE_COMPACTION_LEVELED)
        options.compaction = VARVE_COMPACTION_LEVELED;
    else if (settings->compaction == ENGINE_COMPACTION_TIERED)
        options.compaction = VARVE_COMPACTION_TIERED;
    struct varve_db *db = NULL;
    enum varve_status status = varve_open(settings->path, &options, &db, ret_error);
    if (status == VARVE_OK)
        *ret_store = db;
    return status;
}

static enum varve_status varve_engine_close(void *store, struct varve_error *ret_error)
{
    enum varve_status status = varve_close(store);
    return status == VARVE_OK ? VARVE_OK : fail(status, "close", ret_error);
}

/* The other stores let a writer wait inside of the call; varve may say that it is busy. The time
 * counts as the write's either way. True: the write is to be tried again. */
static bool wait_while_busy(enum varve_status status, unsigned *waits)
{
    if (status != VARVE_BUSY || *waits == BUSY_WAITS_MAX)
        return false;
    ++*waits;
    nanosleep(&(struct timespec){.tv_nsec = BUSY_WAIT_NS}, NULL);
    return true;
}

static enum varve_status varve_engine_put(void *store, struct varve_slice key,
                                          struct varve_slice value, bool sync,
                                          struct varve_error *ret_error)
{
    enum varve_sync how = sync ? VARVE_SYNC_ON : VARVE_SYNC_OFF;
    enum varve_status status = VARVE_OK;
    unsigned waits = 0;
    do {
        status = varve_put(store, key, value, how, NULL);
    } while (wait_while_busy(status, &waits));
    return status == VARVE_OK ? VARVE_OK : fail(status, "put", ret_error);
}

static enum varve_status varve_engine_remove(void *store, struct varve_slice key, bool sync,
                                             struct varve_error *ret_error)
{
    enum varve_sync how = sync ? VARVE_SYNC_ON : VARVE_SYNC_OFF;
    enum varve_status status = VARVE_OK;
    unsigned waits = 0;
    do {
        status = varve_delete(store, key, how, NULL);
    } while (wait_while_busy(status, &waits));
    return status == VARVE_OK ? VARVE_OK : fail(status, "delete", ret_error);
}

static enum varve_status varve_engine_get(void *store, struct varve_slice key,
                                          struct engine_value *ret_value,
                                          struct varve_error *ret_error)
{
    enum varve_status status = varve_get(store, key, NULL, &ret_value->owner.varve);
    if (status == VARVE_NOT_FOUND)
        return status;
    if (status != VARVE_OK)
        return fail(status, "get", ret_error);
    ret_value->data = ret_value->owner.varve.data;
    return VARVE_OK;
}

static void varve_engine_value_release(struct engine_value *value)
{
    varve_value_release(&value->owner.varve);
}

static enum varve_status varve_engine_iterator_new(void *store, void **ret_iterator,
                                                   struct varve_error *ret_error)
{
    struct varve_iterator_options options = {.fill_cache = true};
    struct varve_iterator *iterator = NULL;
    enum varve_status status = varve_iterator_new(store, &options, &iterator);
    if (status != VARVE_OK)
        return fail(status, "new iterator", ret_error);
    *ret_iterator = iterator;
    return VARVE_OK;
}

static void varve_engine_iterator_free(void *iterator)
{
    varve_iterator_free(iterator);
}

static enum varve_status entry_read(const struct varve_iterator *iterator, enum varve_status status,
                                    struct engine_entry *ret_entry, struct varve_error *ret_error)
{
    if (status == VARVE_END)
        return status;
    if (status != VARVE_OK)
        return fail(status, "iterator", ret_error);
    ret_entry->key = varve_iterator_key(iterator);
    ret_entry->value = varve_iterator_value(iterator);
    return VARVE_OK;
}

static enum varve_status varve_engine_iterator_seek(void *iterator, struct varve_slice key,
                                                    struct engine_entry *ret_entry,
                                                    struct varve_error *ret_error)
{
    enum varve_status status =
        key.size == 0 ? varve_iterator_seek_first(iterator) : varve_iterator_seek(iterator, key);
    return entry_read(iterator, status, ret_entry, ret_error);
}

static enum varve_status varve_engine_iterator_next(void *iterator, struct engine_entry *ret_entry,
                                                    struct varve_error *ret_error)
{
    return entry_read(iterator, varve_iterator_next(iterator), ret_entry, ret_error);
}

static enum varve_status varve_engine_iterator_last(void *iterator, struct engine_entry *ret_entry,
                                                    struct varve_error *ret_error)
{
    return entry_read(iterator, varve_iterator_seek_last(iterator), ret_entry, ret_error);
}

static enum varve_status varve_engine_iterator_prev(void *iterator, struct engine_entry *ret_entry,
                                                    struct varve_error *ret_error)
{
    return entry_read(iterator, varve_iterator_prev(iterator), ret_entry, ret_error);
}

static enum varve_status varve_engine_compact(void *store, struct varve_error *ret_error)
{
    enum varve_status status = varve_compact(store, true);
    return status == VARVE_OK ? VARVE_OK : fail(status, "compact", ret_error);
}

static void varve_engine_written(void *store, struct engine_written *ret_written)
{
    struct varve_stats stats = {0};
    varve_stats_read(store, &stats);
    ret_written->table_bytes = stats.flush_bytes + stats.compaction_bytes_written;
    ret_written->all_bytes = ret_written->table_bytes + stats.wal_bytes;
}

static enum varve_status varve_engine_stats(void *store, struct buf *text)
{
    struct varve_stats stats = {0};
    varve_stats_read(store, &stats);
    enum varve_status status =
        buf_append_format(text, "level      runs    tables           bytes         entries\n");
    for (size_t i = 0; i < VARVE_LEVELS_MAX && status == VARVE_OK; i++) {
        const struct varve_level_stats *level = &stats.levels[i];
        if (level->runs != 0)
            status = buf_append_format(text, "%5zu %9lu %9lu %15lu %15lu\n", i, level->runs,
                                       level->tables, level->bytes, level->entries);
    }
    if (status != VARVE_OK)
        return status;
    return buf_append_format(
        text,
        "flushes: %lu, %lu bytes; merges: %lu, %lu bytes read, %lu written, %lu moves\n"
        "log: %lu bytes, %lu groups, %lu syncs; stalls: %lu, %lu us; "
        "slowdowns: %lu, %lu us\n"
        "filters: %lu checks, %lu useful, %lu false; cache: %lu lookups, %lu hits, %lu bytes\n"
        "memory: %lu bytes of %lu; index and filter of %lu open tables: %lu; "
        "early flushes: %lu, stalls: %lu\n",
        stats.flushes, stats.flush_bytes, stats.compactions, stats.compaction_bytes_read,
        stats.compaction_bytes_written, stats.trivial_moves, stats.wal_bytes, stats.wal_groups,
        stats.wal_syncs, stats.stalls, stats.stall_us, stats.slowdowns, stats.slowdown_us,
        stats.bloom_checks, stats.bloom_useful, stats.bloom_false_positives, stats.cache_lookups,
        stats.cache_hits, stats.cache_bytes, stats.memory_used_bytes, stats.memory_budget_bytes,
        stats.tables_open, stats.memory_table_bytes, stats.early_flushes, stats.memory_stalls);
}

const struct engine engine_varve = {
    .name = "varve",
    .has_lz4_and_zstd = true,
    .open = varve_engine_open,
    .close = varve_engine_close,
    .destroy = varve_destroy,
    .put = varve_engine_put,
    .remove = varve_engine_remove,
    .get = varve_engine_get,
    .value_release = varve_engine_value_release,
    .iterator_new = varve_engine_iterator_new,
    .iterator_free = varve_engine_iterator_free,
    .iterator_seek = varve_engine_iterator_seek,
    .iterator_next = varve_engine_iterator_next,
    .iterator_last = varve_engine_iterator_last,
    .iterator_prev = varve_engine_iterator_prev,
    .compact = varve_engine_compact,
    .written = varve_engine_written,
    .stats = varve_engine_stats,
};
