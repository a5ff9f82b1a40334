/*
 * engine/recovery_replay.h: the log's content becomes level-0 tables.
 */
#ifndef ENGINE_RECOVERY_REPLAY_H
#define ENGINE_RECOVERY_REPLAY_H

#include "engine/replay_buffer.h"
#include "format/manifest_edit.h"
#include "format/wal_reader.h"

struct varve_db;

struct recovery_replay {
    struct varve_db *db;
    struct varve_error *error; /* may be NULL */
    struct replay_buffer buffer;
    struct manifest_edit *tables; /* what was written so far */
    uint64_t next_sequence;       /* of the next frame; 0: not known yet */
    uint64_t last_sequence;       /* greatest replayed */
    bool behind_unsealed;         /* the segment before was the manifest's last and not sealed */
    uint64_t began_us;            /* of what is timed just now */
};
/* Replays one segment, after syncing it. `sealed_length` 0: it is not sealed, and its end is judged
 * by the recovery mode: VARVE_CORRUPT (the error says where and why) or cut, the cut bytes saved in
 * lost/. With `behind_unsealed`, for which `next_sequence` must be known, all of it is cut if it
 * does not go on there, and a frame that says that the segment had been synced is damage. */
MUST_CHECK enum varve_status recovery_replay_segment(struct recovery_replay *replay,
                                                     uint64_t segment_id, uint64_t sealed_length);

/* Writes out what has gathered. */
MUST_CHECK enum varve_status recovery_replay_flush(struct recovery_replay *replay);

#endif
