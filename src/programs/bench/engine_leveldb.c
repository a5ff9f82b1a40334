/* LevelDB through its C API. */
#include "programs/bench/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leveldb/c.h>

#include "programs/bench/process.h"

struct leveldb_store {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write, *write_synced;
    uint64_t written_bytes_at_open; /* by this process */
};

/* Takes ownership of `text`, LevelDB's own account of the failure. */
static enum varve_status fail(char *text, const char *what, struct varve_error *ret_error)
{
    enum varve_status status =
        error_set(ret_error, VARVE_IO, NULL, STATUS_NO_OFFSET, "leveldb: %s: %s", what, text);
    leveldb_free(text);
    return status;
}

static void store_free(struct leveldb_store *store)
{
    if (store->db != NULL)
        leveldb_close(store->db);
    if (store->options != NULL)
        leveldb_options_destroy(store->options);
    if (store->cache != NULL)
        leveldb_cache_destroy(store->cache);
    if (store->filter != NULL)
        leveldb_filterpolicy_destroy(store->filter);
    if (store->read != NULL)
        leveldb_readoptions_destroy(store->read);
    if (store->write != NULL)
        leveldb_writeoptions_destroy(store->write);
    if (store->write_synced != NULL)
        leveldb_writeoptions_destroy(store->write_synced);
    free(store);
}

static void store_set_options(struct leveldb_store *store, const struct engine_settings *settings)
{
    store->options = leveldb_options_create();
    store->cache = leveldb_cache_create_lru(settings->cache_bytes);
    store->filter = leveldb_filterpolicy_create_bloom(ENGINE_BLOOM_BITS_PER_KEY);
    leveldb_options_set_create_if_missing(store->options, settings->create);
    leveldb_options_set_write_buffer_size(store->options, settings->memtable_bytes);
    leveldb_options_set_block_size(store->options, ENGINE_BLOCK_BYTES);
    leveldb_options_set_cache(store->options, store->cache);
    leveldb_options_set_filter_policy(store->options, store->filter);
    leveldb_options_set_compression(store->options, leveldb_no_compression);
    /* Merges check the sums of what they read, as those of the others do. */
    leveldb_options_set_paranoid_checks(store->options, 1);
    store->read = leveldb_readoptions_create();
    leveldb_readoptions_set_verify_checksums(store->read, 1);
    store->write = leveldb_writeoptions_create();
    store->write_synced = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(store->write_synced, 1);
}

static enum varve_status leveldb_engine_open(const struct engine_settings *settings,
                                             void **ret_store, struct varve_error *ret_error)
{
    struct leveldb_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    store->written_bytes_at_open = process_written_bytes();
    store_set_options(store, settings);
    char *text = NULL;
    store->db = leveldb_open(store->options, settings->path, &text);
    if (text != NULL) {
        store_free(store);
        return fail(text, "open", ret_error);
    }
    *ret_store = store;
    return VARVE_OK;
}

static enum varve_status leveldb_engine_close(void *store, struct varve_error *ret_error)
{
    store_free(store);
    return VARVE_OK;
}

static enum varve_status leveldb_engine_destroy(const char *path, struct varve_error *ret_error)
{
    leveldb_options_t *options = leveldb_options_create();
    char *text = NULL;
    leveldb_destroy_db(options, path, &text);
    leveldb_options_destroy(options);
    return text == NULL ? VARVE_OK : fail(text, "destroy", ret_error);
}

static enum varve_status leveldb_engine_put(void *self, struct varve_slice key,
                                            struct varve_slice value, bool sync,
                                            struct varve_error *ret_error)
{
    struct leveldb_store *store = self;
    char *text = NULL;
    leveldb_put(store->db, sync ? store->write_synced : store->write, (const char *)key.data,
                key.size, (const char *)value.data, value.size, &text);
    return text == NULL ? VARVE_OK : fail(text, "put", ret_error);
}

static enum varve_status leveldb_engine_remove(void *self, struct varve_slice key, bool sync,
                                               struct varve_error *ret_error)
{
    struct leveldb_store *store = self;
    char *text = NULL;
    leveldb_delete(store->db, sync ? store->write_synced : store->write, (const char *)key.data,
                   key.size, &text);
    return text == NULL ? VARVE_OK : fail(text, "remove", ret_error);
}

static enum varve_status leveldb_engine_get(void *self, struct varve_slice key,
                                            struct engine_value *ret_value,
                                            struct varve_error *ret_error)
{
    struct leveldb_store *store = self;
    char *text = NULL;
    size_t size = 0;
    char *data =
        leveldb_get(store->db, store->read, (const char *)key.data, key.size, &size, &text);
    if (text != NULL)
        return fail(text, "get", ret_error);
    if (data == NULL)
        return VARVE_NOT_FOUND;
    ret_value->data = varve_slice(data, size);
    ret_value->owner.peer = data;
    return VARVE_OK;
}

static void leveldb_engine_value_release(struct engine_value *value)
{
    leveldb_free(value->owner.peer);
}

static enum varve_status leveldb_engine_iterator_new(void *self, void **ret_iterator,
                                                     struct varve_error *ret_error)
{
    struct leveldb_store *store = self;
    *ret_iterator = leveldb_create_iterator(store->db, store->read);
    return VARVE_OK;
}

static void leveldb_engine_iterator_free(void *iterator)
{
    leveldb_iter_destroy(iterator);
}

static enum varve_status entry_read(const leveldb_iterator_t *iterator,
                                    struct engine_entry *ret_entry, struct varve_error *ret_error)
{
    if (!leveldb_iter_valid(iterator)) {
        char *text = NULL;
        leveldb_iter_get_error(iterator, &text);
        return text == NULL ? VARVE_END : fail(text, "iterator", ret_error);
    }
    size_t size = 0;
    const char *data = leveldb_iter_key(iterator, &size);
    ret_entry->key = varve_slice(data, size);
    data = leveldb_iter_value(iterator, &size);
    ret_entry->value = varve_slice(data, size);
    return VARVE_OK;
}

static enum varve_status leveldb_engine_iterator_seek(void *iterator, struct varve_slice key,
                                                      struct engine_entry *ret_entry,
                                                      struct varve_error *ret_error)
{
    if (key.size == 0)
        leveldb_iter_seek_to_first(iterator);
    else
        leveldb_iter_seek(iterator, (const char *)key.data, key.size);
    return entry_read(iterator, ret_entry, ret_error);
}

static enum varve_status leveldb_engine_iterator_next(void *iterator,
                                                      struct engine_entry *ret_entry,
                                                      struct varve_error *ret_error)
{
    leveldb_iter_next(iterator);
    return entry_read(iterator, ret_entry, ret_error);
}

static enum varve_status leveldb_engine_iterator_last(void *iterator,
                                                      struct engine_entry *ret_entry,
                                                      struct varve_error *ret_error)
{
    leveldb_iter_seek_to_last(iterator);
    return entry_read(iterator, ret_entry, ret_error);
}

static enum varve_status leveldb_engine_iterator_prev(void *iterator,
                                                      struct engine_entry *ret_entry,
                                                      struct varve_error *ret_error)
{
    leveldb_iter_prev(iterator);
    return entry_read(iterator, ret_entry, ret_error);
}

static enum varve_status leveldb_engine_compact(void *self, struct varve_error *ret_error)
{
    struct leveldb_store *store = self;
    leveldb_compact_range(store->db, NULL, 0, NULL, 0);
    return VARVE_OK;
}

/* LevelDB tells what its flushes and merges wrote only in a table for people, in whole MiB a level:
 * level, files, size, seconds, read, written. All that it writes goes through write calls. */
static void leveldb_engine_written(void *self, struct engine_written *ret_written)
{
    struct leveldb_store *store = self;
    *ret_written = (struct engine_written){
        .all_bytes = process_written_bytes() - store->written_bytes_at_open,
    };
    char *text = leveldb_property_value(store->db, "leveldb.stats");
    if (text == NULL)
        return;
    double written_mib = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "%*d %*d %*f %*f %*f %lf", &written_mib) == 1)
            ret_written->table_bytes += (uint64_t)(written_mib * (1 << 20));
    }
    leveldb_free(text);
}

static enum varve_status leveldb_engine_stats(void *self, struct buf *text)
{
    struct leveldb_store *store = self;
    char *stats = leveldb_property_value(store->db, "leveldb.stats");
    if (stats == NULL)
        return VARVE_OK;
    enum varve_status status = buf_append_slice(text, varve_slice_str(stats));
    leveldb_free(stats);
    return status;
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .is_leveled_only = true,
    .open = leveldb_engine_open,
    .close = leveldb_engine_close,
    .destroy = leveldb_engine_destroy,
    .put = leveldb_engine_put,
    .remove = leveldb_engine_remove,
    .get = leveldb_engine_get,
    .value_release = leveldb_engine_value_release,
    .iterator_new = leveldb_engine_iterator_new,
    .iterator_free = leveldb_engine_iterator_free,
    .iterator_seek = leveldb_engine_iterator_seek,
    .iterator_next = leveldb_engine_iterator_next,
    .iterator_last = leveldb_engine_iterator_last,
    .iterator_prev = leveldb_engine_iterator_prev,
    .compact = leveldb_engine_compact,
    .written = leveldb_engine_written,
    .stats = leveldb_engine_stats,
};
