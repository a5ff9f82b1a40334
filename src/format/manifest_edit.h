/*
 * format/manifest_edit.h: a change of the store's shape, and the file of such changes.
 *
 *   manifest: header (magic "varvemfs" (8), format version (fixed32), reserved 0 (fixed32),
 * manifest id (fixed64), masked crc32c of the bytes before (fixed32)), then records record: masked
 * crc32c (fixed32) of all that follows it, payload bytes (fixed32), record number (fixed64, from
 * 1), payload: one edit, a list of tagged fields. The crc begins with the manifest id (8 bytes,
 * little-endian).
 */
#ifndef FORMAT_MANIFEST_EDIT_H
#define FORMAT_MANIFEST_EDIT_H

#include "base/buf.h"
#include "format/entry.h"
#include "os/env.h"

/* A table as the manifest knows it. Tables of one run have disjoint ranges; a run's id grows with
 * age order: of two runs in a level the one with the greater id is the newer. */
struct manifest_table {
    uint32_t level;
    uint64_t run_id;
    uint64_t file_id;
    uint64_t file_bytes;
    uint64_t entry_count;
    uint64_t tombstone_count;
    uint64_t sequence_min, sequence_max;
    uint64_t time_min_ms, time_max_ms; /* store time of its oldest and newest flush */
    struct buf smallest, largest;      /* internal keys */
};
void manifest_table_deinit(struct manifest_table *table);

struct manifest_removed {
    uint32_t level;
    uint64_t file_id;
};
struct manifest_sealed {
    uint64_t segment_id;
    uint64_t length;
};

/* Every field is optional: has_* or a count of 0. A zeroed struct is an empty edit. */
struct manifest_edit {
    bool has_next_file_id, has_last_sequence, has_store_time, has_first_live_segment;
    bool has_last_segment, has_clean_shutdown, has_next_run_id;
    uint64_t next_file_id;
    uint64_t next_run_id;
    uint64_t last_sequence;      /* no smaller sequence will be given out */
    uint64_t store_time_ms;      /* store time never falls below it */
    uint64_t first_live_segment; /* segments before it are not needed */
    uint64_t last_segment;       /* the segment that frames may go to from now on */
    bool clean_shutdown;         /* every segment is sealed and nothing was written since */
    struct manifest_sealed *sealed;
    size_t sealed_count;
    struct manifest_table *added;
    size_t added_count;
    struct manifest_removed *removed;
    size_t removed_count;
};
void manifest_edit_deinit(struct manifest_edit *edit);
MUST_CHECK enum varve_status manifest_edit_add_sealed(struct manifest_edit *edit,
                                                      uint64_t segment_id, uint64_t length);
/* Copies the keys. */
MUST_CHECK enum varve_status manifest_edit_add_table(struct manifest_edit *edit,
                                                     const struct manifest_table *table);
MUST_CHECK enum varve_status manifest_edit_remove_table(struct manifest_edit *edit, uint32_t level,
                                                        uint64_t file_id);

/* Fields in the order of their tags; an unknown tag is VARVE_UNSUPPORTED, a repeated single field,
 * a level over the maximum, bad keys, smallest > largest, or bytes left over are VARVE_CORRUPT. */
MUST_CHECK enum varve_status manifest_edit_encode(const struct manifest_edit *edit,
                                                  struct buf *out);
MUST_CHECK enum varve_status manifest_edit_decode(struct varve_slice payload,
                                                  struct manifest_edit *ret_edit);

struct manifest_writer {
    struct env_file *file;
    uint64_t manifest_id;
    uint64_t offset;
    uint64_t record_number; /* of the next record */
    bool failed;            /* a write or sync failed: never append again */
    struct buf scratch;
};
/* Creates `path` (VARVE_EXISTS if there) with its header, unsynced. */
MUST_CHECK enum varve_status manifest_writer_create(struct manifest_writer *writer, struct env *env,
                                                    const char *path, uint64_t manifest_id);
void manifest_writer_close(struct manifest_writer *writer); /* takes a zeroed one */
/* Appends one record and, with `sync`, makes it durable. */
MUST_CHECK enum varve_status manifest_writer_append(struct manifest_writer *writer,
                                                    const struct manifest_edit *edit, bool sync);

/* Reads a whole manifest, calling `each` in order. At a bad record: *ret_bad_offset is its offset
 * (else UINT64_MAX) and *ret_valid_follows says whether a valid record of this manifest stands
 * anywhere behind it (then it is damage, not a torn tail). What `each` gives back other than OK
 * ends the reading. VARVE_CORRUPT: header or a record whose crc holds but whose content does not.
 */
typedef enum varve_status (*manifest_edit_fn)(void *context, const struct manifest_edit *edit);
MUST_CHECK enum varve_status manifest_read(struct env *env, const char *path, uint64_t manifest_id,
                                           manifest_edit_fn each, void *context,
                                           uint64_t *ret_bad_offset, bool *ret_valid_follows,
                                           struct varve_error *ret_error);

#endif
