/*
 * format/wal.h: the shape of a write-ahead log segment, shared by writer and reader.
 *
 *   segment: header block (4,096 bytes), then frames, then what was there before (zeros, or the
 *            frames of the segment's former life)
 *   header:  magic "varvewal" (8), format version (fixed32), reserved 0 (fixed32), segment id
 *            (fixed64), salt (fixed64), creation time ms (fixed64), masked crc32c of the bytes
 *            before (fixed32), zeros
 *   frame:   8-byte aligned: masked crc32c (fixed32), payload bytes (fixed32), segment id
 * (fixed64), first sequence (fixed64), commit time ms (fixed64), synced_offset (fixed64), batch
 *            count (fixed32), masked crc32c of the header (fixed32), payload, zeros up to 8-byte
 *            alignment
 *   payload: per batch: length (fixed32), the batch (batch_codec.h)
 *
 * Batch i of a frame has the sequence first + i. The header's crc covers the salt (8 bytes,
 * little-endian) and the 40 bytes between the two crcs: a reader in search of frames believes no
 * length that a value could have forged. The frame's crc covers the salt, then all of the frame
 * behind the crc field, the padding included. A frame with no batches carries only its
 * synced_offset; its first sequence is the one that the next batch would get.
 */
#ifndef FORMAT_WAL_H
#define FORMAT_WAL_H

#include <stddef.h>
#include <stdint.h>

#define WAL_MAGIC "varvewal"
#define WAL_MAGIC_BYTES 8u
#define WAL_FORMAT_VERSION 1u
#define WAL_HEADER_BLOCK_BYTES 4096u
#define WAL_FRAME_HEADER_BYTES 48u
#define WAL_FRAME_ALIGN 8u
#define WAL_BATCH_PREFIX_BYTES 4u

/* Offsets of fields in the segment's header. */
enum wal_header_field {
    WAL_HEADER_VERSION = 8,
    WAL_HEADER_RESERVED = 12,
    WAL_HEADER_SEGMENT = 16,
    WAL_HEADER_SALT = 24,
    WAL_HEADER_TIME = 32,
    WAL_HEADER_CRC = 40,
    WAL_HEADER_END = 44,
};

/* Offsets of fields in a frame. */
enum wal_frame_field {
    WAL_FRAME_CRC = 0,
    WAL_FRAME_PAYLOAD_BYTES = 4,
    WAL_FRAME_SEGMENT = 8,
    WAL_FRAME_SEQUENCE = 16,
    WAL_FRAME_TIME = 24,
    WAL_FRAME_SYNCED = 32,
    WAL_FRAME_BATCH_COUNT = 40,
    WAL_FRAME_HEADER_CRC = 44,
};

/* A frame's whole size for a payload of so many bytes. */
static inline uint64_t wal_frame_bytes(uint64_t payload_bytes)
{
    uint64_t bytes = WAL_FRAME_HEADER_BYTES + payload_bytes;
    return (bytes + WAL_FRAME_ALIGN - 1) & ~(uint64_t)(WAL_FRAME_ALIGN - 1);
}

#endif
