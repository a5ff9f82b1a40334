/*
 * engine/checkpoint.h: a store's files at one sequence, put into another directory while writes go
 * on. Read "Checkpoints and backups" in DESIGN.md first.
 */
#ifndef ENGINE_CHECKPOINT_H
#define ENGINE_CHECKPOINT_H

#include "engine/manifest.h"

struct varve_db;

/* What a checkpoint holds. Zeroed: nothing. */
struct checkpoint {
    struct manifest_state state; /* every segment of it is sealed */
    uint64_t manifest_id;
    bool copies; /* nothing can be linked */
};
void checkpoint_deinit(struct checkpoint *checkpoint); /* hold no lock: may remove files */

/* Fills `dir`, a directory without files of a store, with a whole one as of now; all of it is
 * durable but the directory's own name. On failure what was made is the caller's to remove.
 * The caller holds no lock. Caller frees with checkpoint_deinit in any case. As varve_checkpoint.
 */
MUST_CHECK enum varve_status checkpoint_fill(struct varve_db *db, const char *dir,
                                             struct checkpoint *checkpoint,
                                             struct varve_error *ret_error);

#endif
