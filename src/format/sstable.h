/*
 * format/sstable.h: the shape of a sorted-string table, shared by writer and reader.
 *
 *   table:  data blocks, filter block, index block, properties block, footer, with nothing between
 *           or behind them
 *   stored block: bytes, compression (1 byte, compress.h; data blocks alone may be compressed),
 *           masked crc32c (fixed32) of the bytes as they are stored. The crc covers the file id
 *           and the block's offset (8 bytes each, little-endian), then bytes and compression, so
 *           that a block of another table, or at another place, does not pass.
 *   filter: bloom.h, or 0 bytes
 *   index:  a block (block.h) whose keys separate the data blocks: the k-th is >= the last key of
 *           data block k and < the first of block k + 1; values are handles (varint offset, varint
 *           size without the 5 bytes behind)
 *   properties: fields as (varint tag, varint length, bytes) in growing tag order; numbers are
 *           fixed64. All tags of enum sstable_property must be there, others are passed over.
 *   footer: 96 bytes: handles of filter, index, properties (fixed64 offset, fixed64 size each),
 *           file id (fixed64), format version (fixed32), reserved (24 zeros), masked crc32c of the
 *           bytes before it (fixed32), magic "varvesst" (8)
 */
#ifndef FORMAT_SSTABLE_H
#define FORMAT_SSTABLE_H

#include "base/buf.h"
#include "format/entry.h"

#define SSTABLE_MAGIC "varvesst"
#define SSTABLE_FOOTER_BYTES 96u
#define SSTABLE_BLOCK_TRAILER_BYTES 5u
#define SSTABLE_MAGIC_BYTES 8u
#define SSTABLE_FORMAT_VERSION 1u

struct block_handle {
    uint64_t offset, size;
};

#define BLOCK_HANDLE_BYTES_MAX (2 * VARINT64_BYTES_MAX)

/* On disk; never renumber. */
enum sstable_property {
    SSTABLE_PROPERTY_FILE_ID = 1,
    SSTABLE_PROPERTY_ENTRY_COUNT = 2,
    SSTABLE_PROPERTY_TOMBSTONE_COUNT = 3,
    SSTABLE_PROPERTY_EXPIRING_COUNT = 4,
    SSTABLE_PROPERTY_RAW_KEY_BYTES = 5,
    SSTABLE_PROPERTY_RAW_VALUE_BYTES = 6,
    SSTABLE_PROPERTY_DATA_BLOCK_COUNT = 7,
    SSTABLE_PROPERTY_SEQUENCE_MIN = 8,
    SSTABLE_PROPERTY_SEQUENCE_MAX = 9,
    SSTABLE_PROPERTY_TIME_MIN_MS = 10,
    SSTABLE_PROPERTY_TIME_MAX_MS = 11,
    SSTABLE_PROPERTY_EXPIRY_MIN_S = 12,
    SSTABLE_PROPERTY_EXPIRY_MAX_S = 13,
    SSTABLE_PROPERTY_SMALLEST = 14,
    SSTABLE_PROPERTY_LARGEST = 15,
    SSTABLE_PROPERTY_MAX = SSTABLE_PROPERTY_LARGEST
};

struct sstable_properties {
    uint64_t file_id;
    uint64_t entry_count, tombstone_count, expiring_count;
    uint64_t raw_key_bytes, raw_value_bytes;
    uint64_t data_block_count;
    uint64_t sequence_min, sequence_max;
    uint64_t time_min_ms, time_max_ms;
    uint64_t expiry_min_s, expiry_max_s; /* of the expiring entries; 0 and 0 without any */
    struct buf smallest, largest;        /* internal keys */
};
void sstable_properties_deinit(struct sstable_properties *properties);

/* Appends. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status sstable_properties_encode(const struct sstable_properties *properties,
                                                       struct buf *out);
/* VARVE_CORRUPT: shape, a field that is missing, counts, ranges or keys that contradict each other.
 * VARVE_NO_MEMORY. Caller frees with sstable_properties_deinit. */
MUST_CHECK enum varve_status sstable_properties_decode(struct varve_slice bytes,
                                                       struct sstable_properties *ret);

struct sstable_footer {
    struct block_handle filter, index, properties;
    uint64_t file_id;
};
void sstable_footer_encode(uint8_t ret_bytes[SSTABLE_FOOTER_BYTES],
                           const struct sstable_footer *footer);
/* For a table of `file_bytes`. VARVE_CORRUPT: magic, crc, or blocks that do not lie one behind the
 * other up to the footer. VARVE_UNSUPPORTED: another version. */
MUST_CHECK enum varve_status sstable_footer_decode(const uint8_t bytes[SSTABLE_FOOTER_BYTES],
                                                   uint64_t file_bytes,
                                                   struct sstable_footer *ret_footer);

/* As an index value. Encode gives the end; decode wants nothing left over. */
uint8_t *block_handle_encode(uint8_t *at, struct block_handle handle);
bool block_handle_decode(struct varve_slice bytes, struct block_handle *ret_handle);

/* The crc of a stored block; `size` includes the compression byte. */
uint32_t sstable_block_crc(uint64_t file_id, uint64_t offset, const uint8_t *data, size_t size);

#endif
