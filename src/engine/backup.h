/*
 * engine/backup.h: the calls of varve/db.h about backups, with another environment.
 */
#ifndef ENGINE_BACKUP_H
#define ENGINE_BACKUP_H

#include <varve/db.h>

#include "base/status.h"
#include "os/env.h"

MUST_CHECK enum varve_status backup_verify(const char *path, struct env *env,
                                           struct varve_backup_info *ret_info,
                                           struct varve_error *ret_error);
MUST_CHECK enum varve_status backup_restore(const char *backup_path, const char *store_path,
                                            struct env *env, struct varve_backup_info *ret_info,
                                            struct varve_error *ret_error);

#endif
