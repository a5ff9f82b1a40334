/*
 * engine/removal.h: tables that are gone from every version, on their way off the disk. To remove a
 * large file takes milliseconds; whoever drops the last reference to a table, a reader or an event
 * loop, hands it over and does not wait. Thread safe.
 */
#ifndef ENGINE_REMOVAL_H
#define ENGINE_REMOVAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "os/sync.h"
#include "os/thread_pool.h"

struct varve_db;

struct removal {
    struct varve_db *db;
    struct thread_job job;
    struct {
        struct mutex lock;
        struct buf ids; /* of tables (fixed64), those that wait from byte `begin` on */
        size_t begin;
        bool queued;  /* the job is, or runs */
        bool closing; /* nothing is handed over any more */
    } mu;
};
void removal_init(struct removal *removal, struct varve_db *db);
void removal_deinit(struct removal *removal); /* the thread pool has ended */

/* Removes the table from the caches and its file, on a worker; at once in a stepped store, when
 * closing, or when memory for it is short. A failure is logged; the next open removes the file. No
 * lock of the engine is held. */
void removal_add(struct removal *removal, uint64_t file_id);

/* From now on tables are removed at once; those that wait are removed by the pool until its end. */
void removal_close(struct removal *removal);

#endif
