/*
 * format/sstable_reader.h: reads one table. Trusts nothing that comes from disk: every block is
 * checked before it is used, and damage is VARVE_CORRUPT, never an absent key.
 *
 * A reader is thread safe. Once open nothing of it changes but that its filter is read when it is
 * first wanted. Data blocks are fetched through a
 * block_fetcher, so that a cache can stand between.
 */
#ifndef FORMAT_SSTABLE_READER_H
#define FORMAT_SSTABLE_READER_H

#include "format/block.h"
#include "format/sstable_index.h"
#include "os/env.h"

struct sstable_reader;

/* A pinned, verified, uncompressed block. Zeroed: none. */
struct block_ref {
    struct varve_slice data; /* borrowed until released */
    void *pin;               /* the fetcher's own */
    bool was_read;           /* from the file, by this fetch */
};

struct block_fetcher {
    /* A block of `reader`. `fill`: worth keeping. On OK the caller releases it. */
    enum varve_status (*fetch)(struct block_fetcher *fetcher, struct sstable_reader *reader,
                               struct block_handle handle, bool fill, struct block_ref *ret);
    void (*release)(struct block_fetcher *fetcher, struct block_ref *ref); /* takes a zeroed one */
    /* A pass that goes on has read so many blocks by itself, of so many bytes, and holds so much
     * more memory for them (or less). NULL: passes fetch every block. */
    void (*account)(struct block_fetcher *fetcher, uint64_t blocks, uint64_t bytes,
                    int64_t more_held);
};

/* Opens and verifies footer, properties and index. `file_bytes` and `file_id` are the
 * manifest's: a table that differs is VARVE_CORRUPT. VARVE_NOT_FOUND, VARVE_UNSUPPORTED,
 * VARVE_NO_FILES, VARVE_IO, VARVE_NO_MEMORY. Caller frees with sstable_reader_free. */
MUST_CHECK enum varve_status sstable_reader_open(struct env *env, const char *path,
                                                 uint64_t file_id, uint64_t file_bytes,
                                                 struct sstable_reader **ret_reader,
                                                 struct varve_error *ret_error);
void sstable_reader_free(struct sstable_reader *reader); /* takes NULL */

/* The first step of it: one small read tells whether the file is that table and whole in length.
 * `path` is for the error. As sstable_reader_open. */
MUST_CHECK enum varve_status sstable_footer_read(struct env_file *file, const char *path,
                                                 uint64_t file_id, uint64_t file_bytes,
                                                 struct sstable_footer *ret_footer,
                                                 struct varve_error *ret_error);

const struct sstable_properties *sstable_reader_properties(const struct sstable_reader *reader);
uint64_t sstable_reader_file_id(const struct sstable_reader *reader);
const char *sstable_reader_path(const struct sstable_reader *reader);
/* Index, filter (loaded or not) and itself. */
size_t sstable_reader_memory_bytes(const struct sstable_reader *reader);
bool sstable_reader_has_filter(const struct sstable_reader *reader);
/* Reads and verifies the filter, if there is one and it is not in memory yet: due before the two
 * below, and when the table is to be verified as a whole. `may_wait` false: from the page cache
 * alone, else VARVE_WOULD_BLOCK. VARVE_CORRUPT, VARVE_UNSUPPORTED, VARVE_IO, VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status sstable_reader_load_filter(struct sstable_reader *reader,
                                                        bool may_wait,
                                                        struct varve_error *ret_error);
/* hash_slice of the user key. Without a filter: true. */
bool sstable_reader_may_contain(const struct sstable_reader *reader, uint64_t hash);
void sstable_reader_prefetch_filter(const struct sstable_reader *reader, uint64_t hash);

/* Borrowed until the reader is freed. */
const struct sstable_index *sstable_reader_index(const struct sstable_reader *reader);

/* Reads, verifies and uncompresses one block from the file into malloc'd memory of
 * *ret_size bytes. What a fetcher calls on a miss. Caller frees with free(). VARVE_CORRUPT,
 * VARVE_UNSUPPORTED (compression), VARVE_IO, VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status sstable_reader_read_block(struct sstable_reader *reader,
                                                       struct block_handle handle,
                                                       uint8_t **ret_data, size_t *ret_size);
/* The same from the page cache alone: VARVE_WOULD_BLOCK when the block is not there. */
MUST_CHECK enum varve_status sstable_reader_read_cached_block(struct sstable_reader *reader,
                                                              struct block_handle handle,
                                                              uint8_t **ret_data, size_t *ret_size);

/* Data blocks as they are stored, trailers included, from where one begins to where one ends. */
MUST_CHECK enum varve_status sstable_reader_read_stored(struct sstable_reader *reader,
                                                        uint64_t offset, uint8_t *ret_data,
                                                        size_t size);
/* Verifies a block that was read so. `ret_data` lies in `stored`, or in malloc'd memory that
 * becomes *ret_unpacked, which the caller frees with free(). VARVE_CORRUPT, VARVE_UNSUPPORTED
 * (compression), VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status sstable_reader_unpack_block(struct sstable_reader *reader,
                                                         struct block_handle handle,
                                                         const uint8_t *stored,
                                                         uint8_t **ret_unpacked,
                                                         struct varve_slice *ret_data);

/* An advice, which never waits: data blocks from `offset` on will soon be read. */
void sstable_reader_will_read(struct sstable_reader *reader, uint64_t offset, uint64_t size);

/* The newest entry of the target's user key at or below its tag's sequence: the first entry >= the
 * internal key `target`, if it has that user key. VARVE_NOT_FOUND otherwise. Does not ask the
 * filter. On OK `ret_value` lives until `ret_pin` is released by the caller. */
MUST_CHECK enum varve_status sstable_reader_get(struct sstable_reader *reader,
                                                struct block_fetcher *fetcher,
                                                struct varve_slice target, bool fill,
                                                uint64_t *ret_tag, struct varve_slice *ret_value,
                                                struct block_ref *ret_pin);

/* A pass over the whole table; keeps one block pinned. The reader and fetcher are borrowed until it
 * is freed. Caller frees with entry_iterator_free. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status sstable_iterator_new(struct sstable_reader *reader,
                                                  struct block_fetcher *fetcher, bool fill,
                                                  struct entry_iterator **ret_iterator);

#endif
