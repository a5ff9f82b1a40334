/*
 * engine/verify.h: varve_verify with another environment, and for a directory that is known to be
 * nobody's.
 */
#ifndef ENGINE_VERIFY_H
#define ENGINE_VERIFY_H

#include <varve/db.h>

#include "base/status.h"
#include "os/env.h"

/* Takes the lock of a store that has one. A file system that does not let a lock be taken, such as
 * one that is mounted read-only, does without. VARVE_LOCKED: it is open. *ret_lock may be NULL. */
MUST_CHECK enum varve_status store_lock_if_any(struct env *env, const char *dir,
                                               struct env_lock **ret_lock,
                                               struct varve_error *ret_error);

/* As varve_verify, for a directory that the caller has locked or that only the caller knows. */
MUST_CHECK enum varve_status store_verify(struct env *env, const char *dir, varve_verify_fn each,
                                          void *context, struct varve_verify_report *ret_report,
                                          struct varve_error *ret_error);

/* The same for what `db` has just put into `dir`; VARVE_CLOSED when that is interrupted. */
MUST_CHECK enum varve_status store_verify_copy(struct varve_db *db, const char *dir,
                                               struct varve_error *ret_error);

/* All of varve_verify. */
MUST_CHECK enum varve_status store_verify_locked(struct env *env, const char *path,
                                                 varve_verify_fn each, void *context,
                                                 struct varve_verify_report *ret_report,
                                                 struct varve_error *ret_error);

#endif
