/*
 * format/compress.h: a block made smaller by lz4 or zstd, and back.
 *
 *   compressed block: uncompressed bytes (fixed32), then an lz4 block or zstd frames of exactly
 *           that many
 *
 * It is always smaller than what it holds, so no length in it asks for much more memory than there
 * are bytes: at most COMPRESS_BYTES_MAX.
 */
#ifndef FORMAT_COMPRESS_H
#define FORMAT_COMPRESS_H

#include "base/buf.h"

/* On disk; never renumber. */
enum compression { COMPRESSION_NONE = 0, COMPRESSION_LZ4 = 1, COMPRESSION_ZSTD = 2 };

/* Larger blocks stay as they are. A block of one entry with the longest value is far below. */
#define COMPRESS_BYTES_MAX (128u << 20)

/* What is kept from one block to the next. Zeroed: nothing yet. Not thread safe. */
struct compressor {
    void *zstd;
};
void compressor_deinit(struct compressor *compressor);

/* Compresses `raw` to ret_bytes, which has room for raw.size. *ret_size is 0 where that would not
 * save an eighth; then the block is to be kept as it is. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status compress_block(struct compressor *compressor, enum compression kind,
                                            struct varve_slice raw, uint8_t *ret_bytes,
                                            size_t *ret_size);

/* Back, into malloc'd memory. Trusts no byte. `kind` is as found on disk. Caller frees with free().
 * VARVE_CORRUPT, VARVE_UNSUPPORTED (a kind that is not known, or none), VARVE_NO_MEMORY. Thread
 * safe. */
MUST_CHECK enum varve_status uncompress_block(uint8_t kind, struct varve_slice bytes,
                                              uint8_t **ret_data, size_t *ret_size);

#endif
