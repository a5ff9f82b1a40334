/*
 * engine/recovery.h: from whatever is on disk to a store that can be read and written. See
 * "Recovery" in DESIGN.md.
 */
#ifndef ENGINE_RECOVERY_H
#define ENGINE_RECOVERY_H

#include "base/status.h"

struct varve_db;

/* With the directory there and locked, and `db` otherwise set up: on OK the manifest, the WAL's
 * active segment and memtable, the visible sequence and the view stand. On failure nothing that was
 * there is lost or changed, and `db` is only to be closed. */
MUST_CHECK enum varve_status recovery_run(struct varve_db *db, struct varve_error *ret_error);

#endif
