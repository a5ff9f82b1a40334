/*
 * RocksDB through its C API. Its statistics stay off, because they cost time at every call; what
 * its flushes and merges wrote is read from its periodic account, which is always kept.
 */
#include "programs/bench/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rocksdb/c.h>

#include "programs/bench/process.h"

struct rocksdb_store {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *tables;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write, *write_synced;
    uint64_t written_bytes_at_open; /* by this process */
};

/* Takes ownership of `text`, RocksDB's own account of the failure. */
static enum varve_status fail(char *text, const char *what, struct varve_error *ret_error)
{
    enum varve_status status =
        error_set(ret_error, VARVE_IO, NULL, STATUS_NO_OFFSET, "rocksdb: %s: %s", what, text);
    rocksdb_free(text);
    return status;
}

static void store_free(struct rocksdb_store *store)
{
    if (store->db != NULL)
        rocksdb_close(store->db);
    if (store->options != NULL)
        rocksdb_options_destroy(store->options);
    if (store->tables != NULL)
        rocksdb_block_based_options_destroy(store->tables);
    if (store->cache != NULL)
        rocksdb_cache_destroy(store->cache);
    if (store->read != NULL)
        rocksdb_readoptions_destroy(store->read);
    if (store->write != NULL)
        rocksdb_writeoptions_destroy(store->write);
    if (store->write_synced != NULL)
        rocksdb_writeoptions_destroy(store->write_synced);
    free(store);
}

static int compression_of(const struct engine_settings *settings)
{
    static const int kinds[] = {
        [ENGINE_COMPRESSION_NONE] = rocksdb_no_compression,
        [ENGINE_COMPRESSION_LZ4] = rocksdb_lz4_compression,
        [ENGINE_COMPRESSION_ZSTD] = rocksdb_zstd_compression,
    };
    return kinds[settings->compression];
}

/* RocksDB is leveled by itself, and checks sums in reads and merges unless told otherwise. */
static void store_set_options(struct rocksdb_store *store, const struct engine_settings *settings)
{
    store->tables = rocksdb_block_based_options_create();
    store->cache = rocksdb_cache_create_lru(settings->cache_bytes);
    rocksdb_block_based_options_set_block_size(store->tables, ENGINE_BLOCK_BYTES);
    rocksdb_block_based_options_set_block_cache(store->tables, store->cache);
    /* The table options take ownership of the filter. */
    rocksdb_block_based_options_set_filter_policy(
        store->tables, rocksdb_filterpolicy_create_bloom_full(ENGINE_BLOOM_BITS_PER_KEY));
    store->options = rocksdb_options_create();
    rocksdb_options_set_block_based_table_factory(store->options, store->tables);
    rocksdb_options_set_create_if_missing(store->options, settings->create);
    rocksdb_options_set_write_buffer_size(store->options, settings->memtable_bytes);
    rocksdb_options_set_max_write_buffer_number(store->options, ENGINE_WRITE_BUFFERS);
    rocksdb_options_set_compression(store->options, compression_of(settings));
    rocksdb_options_set_max_background_jobs(store->options, ENGINE_BACKGROUND_THREADS);
    if (settings->compaction == ENGINE_COMPACTION_TIERED)
        rocksdb_options_set_compaction_style(store->options, rocksdb_universal_compaction);
    store->read = rocksdb_readoptions_create();
    store->write = rocksdb_writeoptions_create();
    store->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(store->write_synced, 1);
}

static enum varve_status rocksdb_engine_open(const struct engine_settings *settings,
                                             void **ret_store, struct varve_error *ret_error)
{
    struct rocksdb_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    store->written_bytes_at_open = process_written_bytes();
    store_set_options(store, settings);
    char *text = NULL;
    store->db = rocksdb_open(store->options, settings->path, &text);
    if (text != NULL) {
        store_free(store);
        return fail(text, "open", ret_error);
    }
    *ret_store = store;
    return VARVE_OK;
}

static enum varve_status rocksdb_engine_close(void *store, struct varve_error *ret_error)
{
    store_free(store);
    return VARVE_OK;
}

static enum varve_status rocksdb_engine_destroy(const char *path, struct varve_error *ret_error)
{
    rocksdb_options_t *options = rocksdb_options_create();
    char *text = NULL;
    rocksdb_destroy_db(options, path, &text);
    rocksdb_options_destroy(options);
    return text == NULL ? VARVE_OK : fail(text, "destroy", ret_error);
}

static enum varve_status rocksdb_engine_put(void *self, struct varve_slice key,
                                            struct varve_slice value, bool sync,
                                            struct varve_error *ret_error)
{
    struct rocksdb_store *store = self;
    char *text = NULL;
    rocksdb_put(store->db, sync ? store->write_synced : store->write, (const char *)key.data,
                key.size, (const char *)value.data, value.size, &text);
    return text == NULL ? VARVE_OK : fail(text, "put", ret_error);
}

static enum varve_status rocksdb_engine_remove(void *self, struct varve_slice key, bool sync,
                                               struct varve_error *ret_error)
{
    struct rocksdb_store *store = self;
    char *text = NULL;
    rocksdb_delete(store->db, sync ? store->write_synced : store->write, (const char *)key.data,
                   key.size, &text);
    return text == NULL ? VARVE_OK : fail(text, "remove", ret_error);
}

static enum varve_status rocksdb_engine_get(void *self, struct varve_slice key,
                                            struct engine_value *ret_value,
                                            struct varve_error *ret_error)
{
    struct rocksdb_store *store = self;
    char *text = NULL;
    rocksdb_pinnableslice_t *pinned =
        rocksdb_get_pinned(store->db, store->read, (const char *)key.data, key.size, &text);
    if (text != NULL)
        return fail(text, "get", ret_error);
    if (pinned == NULL)
        return VARVE_NOT_FOUND;
    size_t size = 0;
    const char *data = rocksdb_pinnableslice_value(pinned, &size);
    ret_value->data = varve_slice(data, size);
    ret_value->owner.peer = pinned;
    return VARVE_OK;
}

static void rocksdb_engine_value_release(struct engine_value *value)
{
    rocksdb_pinnableslice_destroy(value->owner.peer);
}

static enum varve_status rocksdb_engine_iterator_new(void *self, void **ret_iterator,
                                                     struct varve_error *ret_error)
{
    struct rocksdb_store *store = self;
    *ret_iterator = rocksdb_create_iterator(store->db, store->read);
    return VARVE_OK;
}

static void rocksdb_engine_iterator_free(void *iterator)
{
    rocksdb_iter_destroy(iterator);
}

static enum varve_status entry_read(const rocksdb_iterator_t *iterator,
                                    struct engine_entry *ret_entry, struct varve_error *ret_error)
{
    if (!rocksdb_iter_valid(iterator)) {
        char *text = NULL;
        rocksdb_iter_get_error(iterator, &text);
        return text == NULL ? VARVE_END : fail(text, "iterator", ret_error);
    }
    size_t size = 0;
    const char *data = rocksdb_iter_key(iterator, &size);
    ret_entry->key = varve_slice(data, size);
    data = rocksdb_iter_value(iterator, &size);
    ret_entry->value = varve_slice(data, size);
    return VARVE_OK;
}

static enum varve_status rocksdb_engine_iterator_seek(void *iterator, struct varve_slice key,
                                                      struct engine_entry *ret_entry,
                                                      struct varve_error *ret_error)
{
    if (key.size == 0)
        rocksdb_iter_seek_to_first(iterator);
    else
        rocksdb_iter_seek(iterator, (const char *)key.data, key.size);
    return entry_read(iterator, ret_entry, ret_error);
}

static enum varve_status rocksdb_engine_iterator_next(void *iterator,
                                                      struct engine_entry *ret_entry,
                                                      struct varve_error *ret_error)
{
    rocksdb_iter_next(iterator);
    return entry_read(iterator, ret_entry, ret_error);
}

static enum varve_status rocksdb_engine_iterator_last(void *iterator,
                                                      struct engine_entry *ret_entry,
                                                      struct varve_error *ret_error)
{
    rocksdb_iter_seek_to_last(iterator);
    return entry_read(iterator, ret_entry, ret_error);
}

static enum varve_status rocksdb_engine_iterator_prev(void *iterator,
                                                      struct engine_entry *ret_entry,
                                                      struct varve_error *ret_error)
{
    rocksdb_iter_prev(iterator);
    return entry_read(iterator, ret_entry, ret_error);
}

static enum varve_status rocksdb_engine_compact(void *self, struct varve_error *ret_error)
{
    struct rocksdb_store *store = self;
    rocksdb_compact_range(store->db, NULL, 0, NULL, 0);
    return VARVE_OK;
}

/* The account is in GiB with two decimals. All that RocksDB writes goes through write calls. */
static void rocksdb_engine_written(void *self, struct engine_written *ret_written)
{
    static const char mark[] = "Cumulative compaction: ";
    struct rocksdb_store *store = self;
    *ret_written = (struct engine_written){
        .all_bytes = process_written_bytes() - store->written_bytes_at_open,
    };
    char *text = rocksdb_property_value(store->db, "rocksdb.cfstats-no-file-histogram");
    if (text == NULL)
        return;
    const char *at = strstr(text, mark);
    if (at != NULL)
        ret_written->table_bytes =
            (uint64_t)(strtod(at + sizeof mark - 1, NULL) * (double)(1u << 30));
    rocksdb_free(text);
}

static enum varve_status rocksdb_engine_stats(void *self, struct buf *text)
{
    struct rocksdb_store *store = self;
    char *stats = rocksdb_property_value(store->db, "rocksdb.stats");
    if (stats == NULL)
        return VARVE_OK;
    enum varve_status status = buf_append_slice(text, varve_slice_str(stats));
    rocksdb_free(stats);
    return status;
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .has_lz4_and_zstd = true,
    .open = rocksdb_engine_open,
    .close = rocksdb_engine_close,
    .destroy = rocksdb_engine_destroy,
    .put = rocksdb_engine_put,
    .remove = rocksdb_engine_remove,
    .get = rocksdb_engine_get,
    .value_release = rocksdb_engine_value_release,
    .iterator_new = rocksdb_engine_iterator_new,
    .iterator_free = rocksdb_engine_iterator_free,
    .iterator_seek = rocksdb_engine_iterator_seek,
    .iterator_next = rocksdb_engine_iterator_next,
    .iterator_last = rocksdb_engine_iterator_last,
    .iterator_prev = rocksdb_engine_iterator_prev,
    .compact = rocksdb_engine_compact,
    .written = rocksdb_engine_written,
    .stats = rocksdb_engine_stats,
};
