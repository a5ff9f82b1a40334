/*
 * engine/compaction_run.h: plans a merge and carries it out, several at the same time.
 */
#ifndef ENGINE_COMPACTION_RUN_H
#define ENGINE_COMPACTION_RUN_H

#include <stdbool.h>

#include "base/buf.h"
#include "engine/compaction_plan.h"
#include "os/sync.h"

struct varve_db;

/* What merges run now. Its lock is held while one is planned. */
struct compaction_board {
    struct mutex lock;
    size_t running_count;
    const struct compaction_plan *running[VARVE_COMPACTION_WORKERS_MAX];
    struct buf cursors[VARVE_LEVELS_MAX]; /* where the last merge out of each level ended */
};
void compaction_board_init(struct compaction_board *board);
void compaction_board_deinit(struct compaction_board *board);

/* What the options ask of planning, without what the board knows. */
void compaction_policy_fill(struct varve_db *db, enum compaction_mode mode,
                            struct compaction_policy *policy);

/* What to look for; all but the mode only for COMPACTION_EVERYTHING (compaction_plan.h), keys
 * borrowed. */
struct compaction_task {
    enum compaction_mode mode;
    struct varve_slice start, end;
    uint64_t asked_sequence, asked_time_ms;
};

/* Plans a merge on the version in force that may run beside those that run, and enters it on the
 * board: *ret_compaction is NULL when there is none, and *ret_alone says whether nothing ran then,
 * or by hand nothing that had any of what was asked for or stood in its way. The caller ends it
 * with compaction_finish. VARVE_NO_MEMORY. */
struct compaction;
MUST_CHECK enum varve_status compaction_begin(struct varve_db *db,
                                              const struct compaction_task *task,
                                              struct compaction **ret_compaction, bool *ret_alone);

/* Carries it out, takes it from the board and frees it. On failure the inputs stay as they are.
 * VARVE_CLOSED: given up, the store closes. VARVE_CORRUPT: an input is damaged. On VARVE_IO the
 * store is read-only. */
MUST_CHECK enum varve_status compaction_finish(struct compaction *compaction);

#endif
