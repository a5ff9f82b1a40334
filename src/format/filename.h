/*
 * format/filename.h: the names of a store's files, made and read back in one place.
 *
 *   CURRENT            names the manifest in force     LOCK     held while open
 *   manifest-000001    the list of edits               lost/    what recovery set aside
 *   000002.wal         a WAL segment                   000003.sst   a table
 *   CURRENT.tmp        the next CURRENT, being made
 * Ids are decimal, at least six digits, no superfluous zeros beyond that, 1 to 2^63 - 1; one
 * counter serves all but WAL segments, whose ids run without gaps from 1.
 */
#ifndef FORMAT_FILENAME_H
#define FORMAT_FILENAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum file_kind {
    FILE_CURRENT,
    FILE_LOCK,
    FILE_MANIFEST,
    FILE_WAL,
    FILE_TABLE,
    FILE_CURRENT_TEMPORARY,
    FILE_LOST_DIR
};

#define FILENAME_BYTES_MAX 4096 /* a whole path */

/* "dir/name" into `ret_path` of FILENAME_BYTES_MAX bytes. VARVE_TOO_LARGE. `id` is ignored for
 * kinds without one. */
MUST_CHECK enum varve_status filename_path(char *ret_path, const char *dir, enum file_kind kind,
                                           uint64_t id);
/* False for a name that is none of ours. */
bool filename_parse(const char *name, enum file_kind *ret_kind, uint64_t *ret_id);

/* What CURRENT holds: one line, "varve 1 manifest-000001 crc32c=0a1b2c3d\n", the crc over what
 * stands before it. Decode: VARVE_CORRUPT, VARVE_UNSUPPORTED (another version number). */
#define CURRENT_BYTES_MAX 128
size_t current_encode(char ret_text[CURRENT_BYTES_MAX], uint64_t manifest_id);
MUST_CHECK enum varve_status current_decode(const void *data, size_t size,
                                            uint64_t *ret_manifest_id);

#endif
