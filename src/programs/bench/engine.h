/*
 * programs/bench/engine.h: what varve-bench needs of a store, and the settings that are equal for
 * all stores.
 *
 * Every function may be called from any thread, but for open, close and destroy; an iterator
 * belongs to one thread. Failures are told in `ret_error` where there is one; its status is then
 * the one returned.
 */
#ifndef PROGRAMS_BENCH_ENGINE_H
#define PROGRAMS_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/db.h>
#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"

#define ENGINE_WRITE_BUFFER_BYTES ((size_t)64 << 20) /* unless told otherwise */
#define ENGINE_WRITE_BUFFERS 2 /* one that is filled, one that is written out */
#define ENGINE_BLOCK_BYTES ((size_t)4 << 10)
#define ENGINE_BLOOM_BITS_PER_KEY 10
#define ENGINE_BACKGROUND_THREADS 2

enum engine_compaction {
    ENGINE_COMPACTION_OWN, /* what the store does unless told otherwise */
    ENGINE_COMPACTION_LEVELED,
    ENGINE_COMPACTION_TIERED, /* RocksDB calls it universal; LevelDB has none */
};

enum engine_compression {
    ENGINE_COMPRESSION_NONE,
    ENGINE_COMPRESSION_LZ4,
    ENGINE_COMPRESSION_ZSTD
};

#define ENGINE_COUNT 3

struct engine_settings {
    const char *path;
    bool create; /* if it is missing; else that is a failure */
    size_t cache_bytes;
    size_t memtable_bytes;      /* of a write buffer */
    size_t memory_budget_bytes; /* 0: what the store sets by itself; varve only */
    enum engine_compaction compaction;
    enum engine_compression compression; /* of all levels */
};

/* A value, lent until value_release. */
struct engine_value {
    struct varve_slice data;
    union {
        struct varve_value varve;
        void *peer;
    } owner;
};

/* Borrowed until the iterator moves or is freed. */
struct engine_entry {
    struct varve_slice key, value;
};

/* Since open: by flushes and merges, and by all including the log. */
struct engine_written {
    uint64_t table_bytes, all_bytes;
};

struct engine {
    const char *name;
    bool is_leveled_only;
    bool has_lz4_and_zstd;

    enum varve_status (*open)(const struct engine_settings *settings, void **ret_store,
                              struct varve_error *ret_error);
    /* Frees the store in any case. */
    enum varve_status (*close)(void *store, struct varve_error *ret_error);
    /* Removes the files of a closed store. */
    enum varve_status (*destroy)(const char *path, struct varve_error *ret_error);

    /* Waits as long as the store asks writers to wait. */
    enum varve_status (*put)(void *store, struct varve_slice key, struct varve_slice value,
                             bool sync, struct varve_error *ret_error);
    /* Likewise. Whether the key was there is not told. */
    enum varve_status (*remove)(void *store, struct varve_slice key, bool sync,
                                struct varve_error *ret_error);
    /* VARVE_NOT_FOUND when the key is absent. */
    enum varve_status (*get)(void *store, struct varve_slice key, struct engine_value *ret_value,
                             struct varve_error *ret_error);
    void (*value_release)(struct engine_value *value);

    enum varve_status (*iterator_new)(void *store, void **ret_iterator,
                                      struct varve_error *ret_error);
    void (*iterator_free)(void *iterator);
    /* The first entry whose key is not before `key`; an empty key is before all. VARVE_END. */
    enum varve_status (*iterator_seek)(void *iterator, struct varve_slice key,
                                       struct engine_entry *ret_entry,
                                       struct varve_error *ret_error);
    enum varve_status (*iterator_next)(void *iterator, struct engine_entry *ret_entry,
                                       struct varve_error *ret_error);
    /* The same from the other end: the last entry, and the one before. */
    enum varve_status (*iterator_last)(void *iterator, struct engine_entry *ret_entry,
                                       struct varve_error *ret_error);
    enum varve_status (*iterator_prev)(void *iterator, struct engine_entry *ret_entry,
                                       struct varve_error *ret_error);

    /* Merges everything, and returns when that is done. */
    enum varve_status (*compact)(void *store, struct varve_error *ret_error);
    void (*written)(void *store, struct engine_written *ret_written);
    /* Appends the store's own account of itself, for people. */
    enum varve_status (*stats)(void *store, struct buf *text);
};

extern const struct engine engine_varve;
extern const struct engine engine_leveldb; /* only where it is built in */
extern const struct engine engine_rocksdb; /* likewise */

/* VARVE_NOT_FOUND: there is no engine of that name. VARVE_UNSUPPORTED: it was not built in. */
MUST_CHECK enum varve_status engine_find(const char *name, const struct engine **ret_engine,
                                         struct varve_error *ret_error);

#endif
