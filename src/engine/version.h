/*
 * engine/version.h: which tables make up the store at one moment. Immutable once published, counted
 * by references; a table's file goes when the last version that holds it goes and it was replaced.
 */
#ifndef ENGINE_VERSION_H
#define ENGINE_VERSION_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/options.h>

#include "format/entry.h"
#include "format/manifest_edit.h"

struct version;

/* What a dropped table means for others: its file, its place in the caches. Set once at open. */
struct table_owner {
    /* The table is part of no version any more, and will not be again: remove its file. Called
     * without locks of the engine held, on any thread. */
    void (*dropped)(struct table_owner *owner, uint64_t file_id);
};

struct table {
    _Atomic uint32_t references;
    _Atomic bool obsolete; /* replaced by a durable edit */
    /* The same file in the level that it was moved from, referenced: versions of before the move
     * may still read it, so it is that one, in the end, that drops the file. NULL: never moved. */
    struct table *before;
    struct table_owner *owner;
    struct manifest_table meta; /* immutable */
};
/* Copies `meta`. One reference, the caller's. */
MUST_CHECK enum varve_status table_new(const struct manifest_table *meta, struct table_owner *owner,
                                       struct table **ret_table);
void table_ref(struct table *table);
void table_unref(struct table *table);

static inline struct varve_slice table_smallest(const struct table *table)
{
    return buf_slice(&table->meta.smallest);
}
static inline struct varve_slice table_largest(const struct table *table)
{
    return buf_slice(&table->meta.largest);
}

/* Tables of disjoint ranges, in key order; immutable; belongs to its version. */
struct run {
    uint64_t id;
    size_t table_count;
    struct table **tables; /* referenced */
};

struct level {
    size_t run_count;
    struct run *runs; /* newest first */
};

struct version {
    _Atomic uint32_t references;
    struct level levels[VARVE_LEVELS_MAX];
};

/* Without tables. One reference, the caller's. */
MUST_CHECK enum varve_status version_new_empty(struct version **ret_version);
void version_ref(struct version *version);
void version_unref(struct version *version); /* takes NULL */

/* `base` with the tables of `edit` removed and added. The tables removed are not marked obsolete:
 * that is for the installer, once the edit is durable. VARVE_CORRUPT when the edit does not fit
 * (removes what is not there, adds a table that is there, tables of a run overlap). */
MUST_CHECK enum varve_status version_apply(const struct version *base,
                                           const struct manifest_edit *edit,
                                           struct table_owner *owner, struct version **ret_version,
                                           struct varve_error *ret_error);

/* An edit's worth of a whole version: every table added. */
MUST_CHECK enum varve_status version_to_edit(const struct version *version,
                                             struct manifest_edit *edit);

/* What to expect that user keys begin with, by those of its tables; nothing when it has none.
 * Borrowed from it. */
struct varve_slice version_expected(const struct version *version);

uint64_t version_level_bytes(const struct version *version, size_t level);

/* The only table of `run` whose range may hold the user key, else NULL. */
struct table *run_find(const struct run *run, struct varve_slice user_key);

/* Index of the first table of `run` whose largest key is >= the internal key; table_count if none.
 */
size_t run_lower_bound(const struct run *run, struct varve_slice internal_key);

#endif
