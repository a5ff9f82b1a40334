/*
 * engine/memtable.h: the newest entries, in a tree (engine/entry_tree.h) in an arena. One writer at
 * a time; readers need no lock and may run beside the writer: an entry is seen whole or not at all.
 * Nothing is ever removed. Counted by references.
 */
#ifndef ENGINE_MEMTABLE_H
#define ENGINE_MEMTABLE_H

#include "engine/memory_budget.h"
#include "format/batch_codec.h"
#include "format/entry.h"
#include "os/arena.h"
#include "os/thread_pool.h"

struct memtable;

/* Chunks of memtables gone by, for the next ones. Thread safe. Outlives all its memtables.
 * All chunks, at rest or in use, are charged to `memory`; when that is near its limit, none is
 * kept. `memory` is borrowed until the pool is freed. `filter_bytes`: of each memtable's filter;
 * a full one has to have two bytes for each of its entries, else the filter lets most keys pass. */
struct memtable_pool;
MUST_CHECK enum varve_status memtable_pool_new(size_t chunk_bytes, size_t keep_bytes,
                                               size_t filter_bytes, struct memory_budget *memory,
                                               struct memtable_pool **ret_pool);
void memtable_pool_free(struct memtable_pool *pool);
/* From now on a worker makes the next chunk ready while a memtable fills the one before it, if none
 * rests. Before the first memtable. `workers`, borrowed, ends before the pool is freed. */
void memtable_pool_work_ahead(struct memtable_pool *pool, struct thread_pool *workers);
/* Frees all that rests. */
void memtable_pool_trim(struct memtable_pool *pool);
/* Nobody writes: no more than `keep_bytes` rest from now on, until a memtable grows again. */
void memtable_pool_calm(struct memtable_pool *pool, size_t keep_bytes);
bool memtable_pool_is_calm(struct memtable_pool *pool);

/* With one reference, the caller's. `segment_id`: the WAL segment that its entries are logged in.
 * `expected`: as of entry_tree_init. */
MUST_CHECK enum varve_status memtable_new(struct memtable_pool *pool, uint64_t segment_id,
                                          struct varve_slice expected,
                                          struct memtable **ret_memtable);
/* As of entry_tree_expected. */
struct varve_slice memtable_expected(const struct memtable *memtable);
void memtable_ref(struct memtable *memtable);
void memtable_unref(struct memtable *memtable); /* takes NULL */

/* Makes sure that memtable_add of `entries` more entries with `bytes` of keys and values in all
 * cannot fail. Writer only. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status memtable_reserve(struct memtable *memtable, size_t entries,
                                              size_t bytes);
/* What such a reservation would take from the system, with nothing in the pool that serves; 0:
 * nothing. Writer only. */
size_t memtable_lacks(const struct memtable *memtable, size_t entries, size_t bytes);
/* Adds one entry, for which room is reserved. Writer only. (sequence, key) is new. */
void memtable_add(struct memtable *memtable, uint64_t sequence, const struct batch_op *op);

/* False: no entry that is visible yet has a user key of that hash_slice. Any thread. */
bool memtable_may_contain(const struct memtable *memtable, uint64_t hash);

/* The first entry >= the internal key `target` if it has the same user key, else VARVE_NOT_FOUND.
 * The value is borrowed until the memtable is freed. */
MUST_CHECK enum varve_status memtable_get(struct memtable *memtable, struct varve_slice target,
                                          uint64_t *ret_tag, struct varve_slice *ret_value);

/* Holds a reference. Entries are borrowed until the memtable is freed. Sees what the writer adds
 * meanwhile. Caller frees with entry_iterator_free. */
MUST_CHECK enum varve_status memtable_iterator_new(struct memtable *memtable,
                                                   struct entry_iterator **ret_iterator);

/* Any thread. */
size_t memtable_bytes(const struct memtable *memtable); /* taken by entries, without spare chunks */
size_t memtable_entries(const struct memtable *memtable);
uint64_t memtable_segment_id(const struct memtable *memtable);
/* 0 and 0 while empty. */
void memtable_sequences(const struct memtable *memtable, uint64_t *ret_first, uint64_t *ret_last);

#endif
