/*
 * engine/staged_dir.h: a directory that gets its name only when all that is in it is there. Until
 * then it is NAME.partial, which is locked. Not thread safe; any number of them may be in the
 * making, also under the same name.
 */
#ifndef ENGINE_STAGED_DIR_H
#define ENGINE_STAGED_DIR_H

#include "format/filename.h"
#include "os/env.h"

struct staged_dir {
    struct env *env;
    struct env_lock *lock;
    char path[FILENAME_BYTES_MAX];    /* its name in the end */
    char partial[FILENAME_BYTES_MAX]; /* its name until then */
    bool made;                        /* there is something to be removed */
    bool named;                       /* it has its name */
};

/* Makes `path`.partial, empty but for its LOCK; what a crash left of an earlier one is removed
 * first. VARVE_EXISTS: there is something named `path`, or something foreign in the other.
 * VARVE_LOCKED: somebody else is making it. On any status end it with staged_dir_end. */
MUST_CHECK enum varve_status staged_dir_begin(struct staged_dir *dir, struct env *env,
                                              const char *path, struct varve_error *ret_error);

/* Gives it its name, durably. What is in it is durable already, its names included. VARVE_EXISTS
 * when the name was taken meanwhile. */
MUST_CHECK enum varve_status staged_dir_commit(struct staged_dir *dir,
                                               struct varve_error *ret_error);

/* Unlocks it; unless it was committed it is removed with all of ours that is in it. */
void staged_dir_end(struct staged_dir *dir);

#endif
