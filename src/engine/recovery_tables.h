/*
 * engine/recovery_tables.h: whether the tables that a version names are there.
 */
#ifndef ENGINE_RECOVERY_TABLES_H
#define ENGINE_RECOVERY_TABLES_H

#include "engine/version.h"
#include "os/env.h"

/* Each table's file is there, has its length, and its footer says that it is that table; nothing
 * else of it is read. VARVE_CORRUPT (the error says which), VARVE_UNSUPPORTED, VARVE_NO_FILES,
 * VARVE_IO. */
MUST_CHECK enum varve_status recovery_check_tables(struct env *env, const char *dir,
                                                   const struct version *version,
                                                   struct varve_error *ret_error);

#endif
