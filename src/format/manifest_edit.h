/*
 * format/manifest_edit.h: a change of the store's shape, as bytes.
 *
 *   edit:   fields, each a tag (varint) and what the tag says, in growing order of tags; those
 *           marked * may be repeated
 *     1 next file id       2 next run id          3 last sequence      4 store time ms
 *     5 first live segment 6 last segment         7 clean shutdown (1 byte, 0 or 1)
 *     8* sealed segment:   id, length
 *     9* removed table:    level, file id
 *    10* added table:      level, run id, file id, file bytes, entries, tombstones, expiring
 *           entries, earliest and latest expiry s, smallest and greatest sequence, earliest and
 *           latest time ms, smallest and largest internal key (each varint length, bytes)
 *    11* compression of an added table: file id, kind (compress.h); those that were asked for none
 *           have no such field, the others stand in the order of the added tables
 *   Numbers are varints. The fields' order does not say the order of effects: an edit is one step.
 *   Not thread safe.
 */
#ifndef FORMAT_MANIFEST_EDIT_H
#define FORMAT_MANIFEST_EDIT_H

#include "base/buf.h"
#include "format/compress.h"
#include "format/entry.h"

/* A table as the manifest knows it. Tables of one run have disjoint ranges; a run's id grows with
 * age order: of two runs in a level the one with the greater id is the newer. */
struct manifest_table {
    uint32_t level;
    uint64_t run_id;
    uint64_t file_id;
    uint64_t file_bytes;
    uint64_t entry_count;
    uint64_t tombstone_count;
    uint64_t expiring_count;
    uint64_t expiry_min_s, expiry_max_s; /* of the expiring entries, unix seconds; else 0 and 0 */
    uint64_t sequence_min, sequence_max;
    uint64_t time_min_ms, time_max_ms; /* store time of its oldest and newest flush */
    enum compression compression; /* asked for when it was written; single blocks may lack it */
    struct buf smallest, largest; /* internal keys */
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
    uint64_t last_segment;       /* the segment whose frames may be durable from now on */
    bool clean_shutdown;         /* every segment is sealed and nothing was written since */
    struct manifest_sealed *sealed;
    size_t sealed_count;
    struct manifest_table *added;
    size_t added_count;
    struct manifest_removed *removed;
    size_t removed_count;
};
void manifest_edit_deinit(struct manifest_edit *edit); /* takes a zeroed one */
/* Each VARVE_NO_MEMORY; the edit is then as it was. */
MUST_CHECK enum varve_status manifest_edit_add_sealed(struct manifest_edit *edit,
                                                      uint64_t segment_id, uint64_t length);
/* Copies the keys. */
MUST_CHECK enum varve_status manifest_edit_add_table(struct manifest_edit *edit,
                                                     const struct manifest_table *table);
MUST_CHECK enum varve_status manifest_edit_remove_table(struct manifest_edit *edit, uint32_t level,
                                                        uint64_t file_id);

/* Encode appends to `out`; VARVE_NO_MEMORY. Decode: an unknown tag is VARVE_UNSUPPORTED; tags out
 * of order, a repeated single field, a level over the maximum, a file or segment id of 0 or over
 * 2^63 - 1, bad keys,
 * ranges whose end lies before their beginning, more tombstones than entries, a compression of no
 * added table, or bytes left over are VARVE_CORRUPT. Caller frees a decoded edit with
 * manifest_edit_deinit. */
MUST_CHECK enum varve_status manifest_edit_encode(const struct manifest_edit *edit,
                                                  struct buf *out);
MUST_CHECK enum varve_status manifest_edit_decode(struct varve_slice payload,
                                                  struct manifest_edit *ret_edit);

#include "format/manifest_log.h" /* the file of edits, for those who want both */

#endif
