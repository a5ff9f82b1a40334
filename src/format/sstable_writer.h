/*
 * format/sstable_writer.h: writes one table, front to back. Not thread safe.
 */
#ifndef FORMAT_SSTABLE_WRITER_H
#define FORMAT_SSTABLE_WRITER_H

#include "base/memory_meter.h"
#include "format/compress.h"
#include "format/sstable.h"
#include "os/env.h"

struct sstable_writer;

struct sstable_writer_options {
    uint64_t file_id;
    size_t block_bytes;
    size_t restart_interval;
    size_t bloom_bits_per_key;    /* 0: an empty filter block */
    enum compression compression; /* of data blocks, where it saves an eighth */
    uint64_t time_min_ms, time_max_ms;
    struct memory_meter *memory; /* told of the buffers, block by block; may be NULL */
};

/* Creates `path` (VARVE_EXISTS if there). Caller frees with sstable_writer_free. */
MUST_CHECK enum varve_status sstable_writer_new(struct env *env, const char *path,
                                                const struct sstable_writer_options *options,
                                                struct sstable_writer **ret_writer);
/* Closes without finishing when finish was not called; the file is the caller's to remove. */
void sstable_writer_free(struct sstable_writer *writer);

/* Internal keys in strictly growing order (asserted). After a failure only free it. */
MUST_CHECK enum varve_status sstable_writer_add(struct sstable_writer *writer,
                                                struct varve_slice internal_key,
                                                struct varve_slice value);
/* File bytes so far, the open block included. */
uint64_t sstable_writer_bytes(const struct sstable_writer *writer);
uint64_t sstable_writer_entries(const struct sstable_writer *writer);

/* Writes the rest, syncs and closes the file; the directory is the caller's to sync. At least one
 * entry. Caller frees the properties with sstable_properties_deinit. */
MUST_CHECK enum varve_status sstable_writer_finish(struct sstable_writer *writer,
                                                   struct sstable_properties *ret_properties,
                                                   uint64_t *ret_file_bytes);

#endif
