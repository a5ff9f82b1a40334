/*
 * engine/merge.h: one sorted pass of entries becomes tables, what nobody can need left out. The
 * loop of flushes and compactions.
 */
#ifndef ENGINE_MERGE_H
#define ENGINE_MERGE_H

#include <stdbool.h>

#include "base/hash.h"
#include "engine/snapshot.h"
#include "format/entry.h"
#include "format/manifest_edit.h"

struct varve_db;

struct merge_job {
    struct varve_db *db;
    struct entry_iterator *input; /* borrowed */
    struct snapshots_keep keep;   /* when the job began */
    uint32_t level;
    uint64_t run_id;
    uint64_t table_bytes; /* a table is ended behind it; UINT64_MAX: one table */
    /* Tables also end in front of the first key above one of these (user keys, growing), once they
     * have cut_bytes, and always above one that merge_cuts_always. */
    const struct varve_slice *cuts;
    size_t cut_count;
    uint64_t cut_bytes;
    uint64_t cut_mask;
    uint64_t time_min_ms, time_max_ms;
    /* Can an older run outside the inputs hold this key? NULL: yes, always. */
    bool (*older_may_hold)(void *context, struct varve_slice user_key);
    bool (*cancelled)(void *context); /* NULL: never */
    void *context;
};

/* Of the keys at which tables may end, one in cut_mask + 1 (a power of two), by its hash: a merge
 * with a smaller mask ends tables there as well, whatever else is in them. */
static inline bool merge_cuts_always(struct varve_slice cut, uint64_t cut_mask)
{
    return (hash_slice(cut) & cut_mask) == 0;
}

/* Writes the outputs and adds them to `edit`; files and names are durable on return. All versions
 * of a key go to one table. On failure all outputs are removed, and `edit` is not to be used.
 * VARVE_CLOSED when cancelled. */
MUST_CHECK enum varve_status merge_run(const struct merge_job *job, struct manifest_edit *edit);

/* An option in the format's terms. */
enum compression merge_compression(enum varve_compression option);

/* Removes a table's file; what cannot be removed the next open will. */
void merge_remove_table(struct varve_db *db, uint64_t file_id);

/* Removes the files of the tables that `edit` adds, from index `from` on. */
void merge_remove_outputs(struct varve_db *db, const struct manifest_edit *edit, size_t from);

#endif
