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
 * count (fixed32), reserved 0 (fixed32), payload, zeros up to 8-byte alignment payload: per batch:
 * length (fixed32), the batch (batch_codec.h). Batch i of a frame has the sequence first + i. The
 * frame's crc covers the salt (8 bytes, little-endian), then all of the frame behind the crc field,
 * the padding included. A frame with no batches carries only its synced_offset; its first sequence
 * is the one that the next batch would get.
 */
#ifndef FORMAT_WAL_H
#define FORMAT_WAL_H

#include <stdint.h>

#define WAL_MAGIC "varvewal"
#define WAL_HEADER_BLOCK_BYTES 4096u
#define WAL_FRAME_HEADER_BYTES 48u
#define WAL_FRAME_ALIGN 8u
#define WAL_BATCH_PREFIX_BYTES 4u

#endif
