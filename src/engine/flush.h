/*
 * engine/flush.h: a waiting memtable becomes a level-0 table.
 */
#ifndef ENGINE_FLUSH_H
#define ENGINE_FLUSH_H

#include <stdbool.h>

#include "engine/memtable.h"
#include "engine/snapshot.h"
#include "format/manifest_edit.h"

struct varve_db;

/* Flushes the oldest waiting memtable, if there is one. VARVE_NO_SPACE, VARVE_NO_MEMORY,
 * VARVE_NO_FILES: it stays and can be tried again. On VARVE_IO the store is read-only. */
MUST_CHECK enum varve_status flush_oldest(struct varve_db *db, bool *ret_flushed);

/* Writes all of `input`, which has entries, as one table of level 0 and adds it to `edit`, with run
 * id `run_id`; the file and its name are durable on return. On failure the file is removed. */
MUST_CHECK enum varve_status flush_write_table(struct varve_db *db, struct entry_iterator *input,
                                               struct snapshots_keep keep, uint64_t run_id,
                                               struct manifest_edit *edit);

#endif
