/*
 * tests/unit/format/small_files.h: one small file of each kind, with all that the format has, for
 * tests that go through every byte and as seeds of mutations. What cannot be made ends the program.
 */
#ifndef TESTS_UNIT_FORMAT_SMALL_FILES_H
#define TESTS_UNIT_FORMAT_SMALL_FILES_H

#include <stdint.h>

#include "base/buf.h"
#include "format/compress.h"

#define SMALL_WAL_FRAMES 25u
#define SMALL_WAL_SEGMENT 7u
#define SMALL_WAL_BYTES 12288u

#define SMALL_TABLE_ENTRIES 60u
#define SMALL_TABLE_ID 42u

#define SMALL_MANIFEST_EDITS 10u
#define SMALL_MANIFEST_ID 12u

/* Where each frame begins, and last where the frames end; what each says had been synced. */
struct small_wal {
    uint64_t offsets[SMALL_WAL_FRAMES + 1];
    uint64_t synced[SMALL_WAL_FRAMES];
};

/* Frames of 0 to 3 batches, some after a sync. The sequences are given out without a gap. */
void small_wal_make(const char *path, struct small_wal *ret_wal);

/* Several data blocks, most of them compressed unless it is NONE, a filter, deletions, several
 * versions of some keys. */
void small_table_make(const char *path, enum compression compression, uint64_t *ret_file_bytes);

/* Edits with every kind of field; where each record begins, and where the last one ends. */
void small_manifest_make(const char *path, uint64_t ret_offsets[SMALL_MANIFEST_EDITS + 1]);

/* Appends an encoded batch of every kind of operation. */
void small_batch_make(struct buf *out);

#endif
