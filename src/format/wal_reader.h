/*
 * format/wal_reader.h: replays one segment and judges its end. Trusts nothing. Not thread safe.
 */
#ifndef FORMAT_WAL_READER_H
#define FORMAT_WAL_READER_H

#include "base/buf.h"
#include "format/wal.h"
#include "os/env.h"

struct wal_frame {
    uint64_t offset, end_offset; /* in the segment, padding included */
    uint64_t first_sequence;
    uint64_t commit_time_ms;
    uint64_t synced_offset;
    uint32_t batch_count;
    struct varve_slice payload; /* borrowed until the next call */
};

struct wal_reader {
    struct env_file *file;
    char path[4096];
    uint64_t file_bytes;
    uint64_t segment_id;
    uint64_t salt;
    uint64_t offset;        /* end of the last valid frame */
    bool sealed;            /* the length is known */
    uint64_t limit;         /* frames must end at or before it: sealed length, or the file's */
    uint64_t next_sequence; /* no later frame may begin lower */
    uint64_t synced_offset; /* greatest seen */
    uint64_t frames;
    struct buf window; /* read-ahead */
    uint64_t window_offset;
};

/* Opens and checks the header. VARVE_NOT_FOUND (no file), VARVE_CORRUPT (header, another id,
 * shorter than `sealed_length`), VARVE_UNSUPPORTED (version). `sealed_length` 0: not known. */
MUST_CHECK enum varve_status wal_reader_open(struct wal_reader *reader, struct env *env,
                                             const char *path, uint64_t segment_id,
                                             uint64_t sealed_length, struct varve_error *ret_error);
void wal_reader_close(struct wal_reader *reader);

/* A frame is valid when its segment id is this one, both crcs hold with the salt, it ends within
 * the limit, its sequences lie within next_sequence and ENTRY_SEQUENCE_MAX and its synced_offset is
 * not behind its own place. `next_sequence` begins at 0; the caller may raise it before the first
 * frame.
 *
 * The next frame. VARVE_END at the sealed length, or where no valid frame stands (then ask
 * wal_reader_judge). A sealed segment whose frames do not end exactly at its length is
 * VARVE_CORRUPT. A valid frame's batches are still the caller's to check. */
MUST_CHECK enum varve_status wal_reader_next(struct wal_reader *reader,
                                             struct wal_frame *ret_frame);

/* Where a piece of the frame's payload stands in the segment; 0 for an empty one. */
static inline uint64_t wal_frame_offset_of(const struct wal_frame *frame, struct varve_slice piece)
{
    if (piece.size == 0)
        return 0;
    return frame->offset + WAL_FRAME_HEADER_BYTES + (uint64_t)(piece.data - frame->payload.data);
}

/* Batches of a frame, one after the other: OK, END, CORRUPT. */
MUST_CHECK enum varve_status wal_frame_next_batch(struct varve_slice *payload_rest,
                                                  struct varve_slice *ret_batch);

/* After VARVE_END on an unsealed segment: what stands behind the last valid frame? Looks at every
 * 8-byte aligned offset up to the end of the file for frames with this segment's salt, id and a
 * sequence not below next_sequence. Memory is bounded. */
enum wal_tail_kind {
    WAL_TAIL_CLEAN,   /* nothing of this segment's life */
    WAL_TAIL_TORN,    /* at the bad place a header with this segment's id, or valid frames behind
                         it, none of which says that the bad place had been synced */
    WAL_TAIL_DAMAGED, /* a later valid frame says that it had been synced */
};
struct wal_tail {
    enum wal_tail_kind kind;
    uint64_t offset;         /* where the last good frame ends */
    uint64_t end_offset;     /* of what is of this life behind it; equals offset when CLEAN. Of a
                                lone frame with a broken header, where the header ends */
    uint64_t frames_dropped; /* valid frames behind the bad place */
    uint64_t synced_offset;  /* greatest seen in a valid frame, before or behind */
};
MUST_CHECK enum varve_status wal_reader_judge(struct wal_reader *reader, struct wal_tail *ret_tail);

/* Whether a segment's file begins with a frame of its own; if `thorough`, also whether what is left
 * of one stands anywhere in it. Without a file, or a header of this segment, it does not.
 * VARVE_UNSUPPORTED, VARVE_IO and the like. */
MUST_CHECK enum varve_status wal_segment_has_frame(struct env *env, const char *path,
                                                   uint64_t segment_id, bool thorough,
                                                   bool *ret_has);

#endif
