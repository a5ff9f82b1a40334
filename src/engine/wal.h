/*
 * engine/wal.h: the active segment, the switch to the next, the sealing of the one before, and
 * segments waiting for reuse.
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
    bool must_seal;            /* no frame before the full segment is sealed */
    struct {
        struct mutex lock;        /* held while the segment is sealed */
        struct wal_writer writer; /* of the segment before the active one; no file: it is sealed */
        uint64_t last_sequence;   /* of its last frame */
    } full;
    struct {
        struct mutex lock;        /* held while the segment is made */
        struct wal_writer writer; /* made ahead of need; no file: it is still to be made */
        uint64_t id;              /* of the segment that will be needed; 0: not known yet */
    } next;
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

/* Goes on to the next segment and a new memtable; the segment before is full now and still to be
 * sealed. See "The switch" in DESIGN.md. On failure the active ones are as before. VARVE_NO_SPACE,
 * VARVE_READ_ONLY, VARVE_NO_MEMORY, VARVE_NO_FILES, VARVE_BUSY (too many memtables wait). */
MUST_CHECK enum varve_status wal_switch_locked(struct varve_db *db);

/* Seals the full segment, if there is one, or waits for who is at it: on OK every frame of the
 * segments before the active one is durable. wal.lock may be held, and must not be given up between
 * this and what depends on it. Errors as of wal_switch_locked; the segment stays to be sealed. */
MUST_CHECK enum varve_status wal_seal(struct varve_db *db);

/* What is to be done beside the writes after a switch: seals the full segment and makes the next
 * one. What fails is tried again, and told, by who needs it. */
void wal_work(struct varve_db *db);

/* Segment `id` is not needed any more: keeps it as a spare or removes it. */
void wal_retire(struct varve_db *db, uint64_t id);

#endif
