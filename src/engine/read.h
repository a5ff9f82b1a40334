/*
 * engine/read.h: look-ups of a key's state, for conditions.
 */
#ifndef ENGINE_READ_H
#define ENGINE_READ_H

#include "engine/conditions.h"

/* The key as of `sequence`, with its expiry, not judged by any time. With `must_not_wait`
 * VARVE_WOULD_BLOCK where the disk would have to be waited for. */
MUST_CHECK enum varve_status read_key_state(struct varve_db *db, struct view *view,
                                            uint64_t sequence, struct varve_slice key,
                                            bool must_not_wait, struct key_state *ret_state);

/* The key's newest entry in the memtables of `view`, if it is newer than `sequence`; else
 * VARVE_NOT_FOUND. */
MUST_CHECK enum varve_status read_memtables_state(const struct view *view, struct varve_slice key,
                                                  uint64_t sequence, struct key_state *ret_state);

#endif
