/*
 * tests/unit/format/sstable_fixture.h: a table in a temporary directory, with the entries that went
 * into it.
 */
#ifndef TESTS_UNIT_FORMAT_SSTABLE_FIXTURE_H
#define TESTS_UNIT_FORMAT_SSTABLE_FIXTURE_H

#include "fault_env.h"
#include "format/sstable_reader.h"
#include "format/sstable_writer.h"
#include "support.h"

#define FILE_ID 42u /* of the table */
#define ENTRIES_MAX 3000u

struct fixture {
    struct tmpdir dir;
    struct fault_env *fault;
    struct env *env;
    char path[TMPDIR_PATH_BYTES + 32];
    struct support_fetcher fetcher;
    struct buf *keys, *values; /* ENTRIES_MAX each */
    size_t count;
    uint64_t file_bytes;
    struct sstable_properties written;
    struct sstable_reader *reader;
};

void fixture_init(struct fixture *f);
void fixture_deinit(struct fixture *f);

/* Adds drawn entries, up to `count`. Sequences leave room between the versions of a key. */
void entries_make(struct fixture *f, size_t count, unsigned versions_max, uint64_t seed);

/* Write the entries into the file at `path`, and open that. */
enum varve_status table_write_compressed(struct fixture *f, size_t block_bytes, size_t bloom_bits,
                                         enum compression compression);
enum varve_status table_write(struct fixture *f, size_t block_bytes, size_t bloom_bits);
void table_open(struct fixture *f);

#endif
