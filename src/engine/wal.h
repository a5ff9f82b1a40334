/*
 * engine/wal.h: the active segment, the switch to the next, and segments waiting for reuse.
 */
#ifndef ENGINE_WAL_H
#define ENGINE_WAL_H

#include "format/wal_writer.h"
#include "os/sync.h"

#define WAL_SPARES_MAX 64

/* Every segment is made at least so long, zeros included, before anything depends on it. */
#define WAL_BYTES_LEAST ((uint64_t)16 << 10)

struct memtable;
struct varve_db;

struct wal_set {
    struct mutex lock; /* guards what follows, and the right to insert and publish */
    struct wal_writer writer;
    struct memtable *memtable; /* the active one; referenced by the view in force */
    uint64_t last_sequence;    /* of the last frame that was appended */
    uint64_t marked_offset;    /* the synced_offset that the last frame carries */
    bool must_switch;          /* the writer is damaged: nothing more goes to it */
    struct {
        struct mutex lock;
        uint64_t ids[WAL_SPARES_MAX];
        size_t count;
    } spares;
};
void wal_set_init(struct wal_set *wal);
void wal_set_deinit(struct wal_set *wal);

/* Makes the file of segment `id`, of a spare one if there is, complete and durable with its name.
 * On failure what was made is removed again. */
MUST_CHECK enum varve_status wal_make_segment(struct varve_db *db, uint64_t id,
                                              struct wal_writer *ret_writer);

/* Goes on to the next segment and a new memtable; see "The switch" in DESIGN.md. On failure the
 * active ones are as before. */
MUST_CHECK enum varve_status wal_switch_locked(struct varve_db *db);

/* Segment `id` is not needed any more: keeps it as a spare or removes it. */
void wal_retire(struct varve_db *db, uint64_t id);

#endif
