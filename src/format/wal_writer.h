/*
 * format/wal_writer.h: appends frames to one segment. Not thread safe: the WAL mutex guards it.
 *
 * Space is filled with zeros ahead, in steps, and a recycled segment's old blocks serve as they
 * are, so that a sync in the common case moves data and no metadata.
 */
#ifndef FORMAT_WAL_WRITER_H
#define FORMAT_WAL_WRITER_H

#include "base/buf.h"
#include "format/wal.h"
#include "os/env.h"

struct wal_writer {
    struct env *env;
    struct env_file *file;
    uint64_t segment_id;
    uint64_t salt;
    uint64_t offset;        /* where the next frame goes */
    uint64_t written_until; /* blocks up to here exist: zeros or old frames */
    uint64_t synced_offset; /* all before it is surely on stable storage */
    uint64_t zero_step_bytes;
    uint32_t frames_since_sync;
    bool damaged;     /* a write or sync failed: no frame may follow */
    bool sync_failed; /* what is on stable storage is not known: only close it */
    struct buf frame; /* in the making */
    uint32_t batch_count;
};

/* Makes a segment's file ready in `path`: the existing file of that name is recycled, else it is
 * created. Header with a fresh salt written and synced, zeros ahead; the directory is the caller's
 * to sync. The file is then complete on disk but for its name. VARVE_NO_SPACE, VARVE_IO, ... */
MUST_CHECK enum varve_status wal_writer_open(struct wal_writer *writer, struct env *env,
                                             const char *path, uint64_t segment_id, uint64_t now_ms,
                                             uint64_t zero_step_bytes);
void wal_writer_close(struct wal_writer *writer); /* no sync; takes a zeroed one */

/* Begins a frame, adds batches to it, writes it. begin and add only fill memory (NO_MEMORY: call
 * begin anew; add: VARVE_TOO_LARGE when the frame would pass 4 GiB, and it is as it was). commit:
 * VARVE_NO_SPACE with nothing of the frame written (`damaged` stays false), or any failure with
 * `damaged` set, when part of it may be. Not on a damaged writer. */
MUST_CHECK enum varve_status wal_writer_begin(struct wal_writer *writer, uint64_t first_sequence,
                                              uint64_t commit_time_ms);
MUST_CHECK enum varve_status wal_writer_add(struct wal_writer *writer, struct varve_slice batch);
MUST_CHECK enum varve_status wal_writer_commit(struct wal_writer *writer);

/* All frames written so far reach stable storage; also on a writer that a write has damaged: the
 * frames before stay good. Never call it again after a failure. */
MUST_CHECK enum varve_status wal_writer_sync(struct wal_writer *writer);

#endif
