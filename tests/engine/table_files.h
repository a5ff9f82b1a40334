/*
 * tests/engine/table_files.h: tables on disk, to be opened by what is tested. Failures end the
 * program.
 */
#ifndef TESTS_ENGINE_TABLE_FILES_H
#define TESTS_ENGINE_TABLE_FILES_H

#include "array_iterator.h"
#include "engine/version.h"
#include "format/sstable_reader.h"
#include "tmpdir.h"

#define TABLE_FILES_BLOCK_BYTES 512u

/* Entries k000000, k000001, ... (sequence 1), `value_bytes` each, sorted. */
void table_files_fill(struct array *array, size_t count, size_t value_bytes);

/* Writes `count` entries of the sorted array from `first` into the table's file. The caller drops
 * the table with table_unref. */
struct table *table_files_write(const struct tmpdir *dir, uint64_t file_id,
                                const struct array *array, size_t first, size_t count);

/* The handles of a table's data blocks. Caller frees with free(). */
struct block_handle *table_files_blocks(struct sstable_reader *reader, size_t *ret_count);

#endif
