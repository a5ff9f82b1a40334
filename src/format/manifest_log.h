/*
 * format/manifest_log.h: the file of a store's edits. Not thread safe.
 *
 *   manifest: header, then records
 *   header:   magic "varvemfs" (8), format version (fixed32), reserved 0 (fixed32), manifest id
 *             (fixed64), masked crc32c of the bytes before (fixed32)
 *   record:   masked crc32c (fixed32), payload bytes (fixed32), record number (fixed64, from 1),
 *             payload: one edit (manifest_edit.h). The crc covers the manifest id (8 bytes,
 *             little-endian), then all of the record behind the crc.
 */
#ifndef FORMAT_MANIFEST_LOG_H
#define FORMAT_MANIFEST_LOG_H

#include "base/buf.h"
#include "format/manifest_edit.h"
#include "os/env.h"

#define MANIFEST_MAGIC "varvemfs"
#define MANIFEST_MAGIC_BYTES 8u
#define MANIFEST_FORMAT_VERSION 1u
#define MANIFEST_HEADER_BYTES 28u
#define MANIFEST_RECORD_HEADER_BYTES 16u

struct manifest_writer {
    struct env_file *file;
    uint64_t manifest_id;
    uint64_t offset;
    uint64_t record_number; /* of the next record */
    bool failed;            /* a write or sync failed: never append again */
    struct buf scratch;
};
/* Creates `path` (VARVE_EXISTS if there) with its header, unsynced. On failure the file, if it was
 * made, is the caller's to remove. */
MUST_CHECK enum varve_status manifest_writer_create(struct manifest_writer *writer, struct env *env,
                                                    const char *path, uint64_t manifest_id);
void manifest_writer_close(struct manifest_writer *writer); /* takes a zeroed one */
/* Appends one record and, with `sync`, makes it durable. VARVE_NO_MEMORY and VARVE_TOO_LARGE (4
 * GiB) come before anything was written; any other failure sets `failed`. */
MUST_CHECK enum varve_status manifest_writer_append(struct manifest_writer *writer,
                                                    const struct manifest_edit *edit, bool sync);

/* Reads a whole manifest, calling `each` in order; the edit is borrowed until `each` returns. At a
 * bad record (short, wrong crc or wrong number) the reading ends with VARVE_OK: *ret_bad_offset is
 * its offset (else UINT64_MAX) and *ret_valid_follows says whether a valid record of this manifest
 * with a later number stands anywhere behind it (then it is damage, not a torn tail). What `each`
 * gives back other than OK ends the reading and is given back. VARVE_CORRUPT: the header, or a
 * record whose crc holds but whose content does not. VARVE_NOT_FOUND, VARVE_UNSUPPORTED,
 * VARVE_NO_MEMORY, VARVE_IO, ... The file is read into memory as a whole. */
typedef enum varve_status (*manifest_edit_fn)(void *context, const struct manifest_edit *edit);
MUST_CHECK enum varve_status manifest_read(struct env *env, const char *path, uint64_t manifest_id,
                                           manifest_edit_fn each, void *context,
                                           uint64_t *ret_bad_offset, bool *ret_valid_follows,
                                           struct varve_error *ret_error);

#endif
