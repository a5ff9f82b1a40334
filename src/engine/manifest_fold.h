/*
 * engine/manifest_fold.h: reads a manifest's edits into a state. What they do to tables is gathered
 * and carried out at once in the end, for a version after each of thousands of edits would take
 * time that grows with the square of their number. Not thread safe.
 */
#ifndef ENGINE_MANIFEST_FOLD_H
#define ENGINE_MANIFEST_FOLD_H

#include "engine/manifest.h"

struct fold_step;

struct manifest_fold {
    struct manifest_state *state; /* borrowed; without tables */
    struct table_owner *owner;
    struct manifest_edit tables; /* every table that was ever added */
    struct fold_step *steps;
    size_t step_count, step_capacity;
};
void manifest_fold_deinit(struct manifest_fold *fold); /* takes a zeroed one */

/* Applies all of the edit but its tables, and copies those. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status manifest_fold_edit(struct manifest_fold *fold,
                                                const struct manifest_edit *edit);

/* Gives the state the version that is left. VARVE_CORRUPT: an edit removes a table that is not
 * there, or adds one that is; or tables of a run overlap. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status manifest_fold_end(struct manifest_fold *fold,
                                               struct varve_error *ret_error);

#endif
