/*
 * format/sstable.h: the shape of a sorted-string table, shared by writer and reader.
 *
 *   table:  data blocks, filter block, index block, properties block, footer
 *   stored block: bytes, compression (1 byte), masked crc32c (fixed32). The crc covers the file id
 *           and the block's offset (8 bytes each, little-endian), then bytes and compression, so
 *           that a block of another table, or at another place, does not pass.
 *   index:  a block (block.h) whose keys separate the data blocks: the k-th is >= the last key of
 *           data block k and < the first of block k + 1; values are handles (varint offset, varint
 *           size without the 5 bytes behind)
 *   properties: fields as (varint tag, varint length, bytes) in growing tag order
 *   footer: 96 bytes: handles of filter, index, properties (fixed64 offset, fixed64 size each),
 *           file id (fixed64), format version (fixed32), reserved (zeros), masked crc32c of the
 *           bytes before it (fixed32), magic "varvesst" (8)
 */
#ifndef FORMAT_SSTABLE_H
#define FORMAT_SSTABLE_H

#include "base/buf.h"
#include "format/entry.h"

#define SSTABLE_MAGIC "varvesst"
#define SSTABLE_FOOTER_BYTES 96u
#define SSTABLE_BLOCK_TRAILER_BYTES 5u

/* On disk; never renumber. */
enum sstable_compression {
    SSTABLE_COMPRESSION_NONE = 0,
    SSTABLE_COMPRESSION_LZ4 = 1,
    SSTABLE_COMPRESSION_ZSTD = 2
};

struct block_handle {
    uint64_t offset, size;
};

struct sstable_properties {
    uint64_t file_id;
    uint64_t entry_count, tombstone_count, expiring_count;
    uint64_t raw_key_bytes, raw_value_bytes;
    uint64_t data_block_count;
    uint64_t sequence_min, sequence_max;
    uint64_t time_min_ms, time_max_ms;
    struct buf smallest, largest; /* internal keys */
};
void sstable_properties_deinit(struct sstable_properties *properties);

#endif
