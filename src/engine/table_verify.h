/*
 * engine/table_verify.h: reads a table through and compares it with what the manifest says of it.
 * Thread safe.
 */
#ifndef ENGINE_TABLE_VERIFY_H
#define ENGINE_TABLE_VERIFY_H

#include "format/manifest_edit.h"
#include "os/env.h"

/* Every block against its checksum; the order, kinds and count of the entries; that the filter
 * lets each key through; the range of keys and sequences. *ret_blocks is raised by the data blocks
 * read. VARVE_CORRUPT, also for a missing file, VARVE_UNSUPPORTED, VARVE_IO, VARVE_NO_MEMORY,
 * VARVE_NO_FILES; `ret_error` says where. */
MUST_CHECK enum varve_status table_verify(struct env *env, const char *dir,
                                          const struct manifest_table *meta, uint64_t *ret_blocks,
                                          struct varve_error *ret_error);

#endif
