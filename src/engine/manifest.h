/*
 * engine/manifest.h: the store's shape, in memory and as durable edits.
 */
#ifndef ENGINE_MANIFEST_H
#define ENGINE_MANIFEST_H

#include <stdatomic.h>

#include "engine/version.h"
#include "format/manifest_edit.h"
#include "format/manifest_log.h"
#include "os/env.h"
#include "os/sync.h"

/* All that the edits of a manifest add up to. */
struct manifest_state {
    struct version *version;
    uint64_t next_run_id;
    uint64_t last_sequence; /* as of the last edit that said it */
    uint64_t store_time_ms;
    uint64_t first_live_segment, last_segment;
    struct manifest_sealed *sealed; /* of live segments, in order of id */
    size_t sealed_count;
    bool clean_shutdown;
};
MUST_CHECK enum varve_status manifest_state_init(struct manifest_state *state);
void manifest_state_deinit(struct manifest_state *state);

/* In two steps, so that a durable edit never meets a failure behind it: prepare makes the version
 * that `edit` leads to and the room for its sealed segments; apply takes the version over and
 * cannot fail. VARVE_CORRUPT when the edit does not fit, VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status manifest_state_prepare(struct manifest_state *state,
                                                    const struct manifest_edit *edit,
                                                    struct table_owner *owner,
                                                    struct version **ret_version,
                                                    struct varve_error *ret_error);
void manifest_state_apply(struct manifest_state *state, const struct manifest_edit *edit,
                          struct version *version);

/* A state of its own, which shares the version. Caller frees with manifest_state_deinit, holding no
 * lock. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status manifest_state_copy(const struct manifest_state *state,
                                                 struct manifest_state *ret_copy);

/* Adds the whole state to an empty edit: what a manifest file begins with. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status manifest_state_to_edit(const struct manifest_state *state,
                                                    uint64_t next_file_id,
                                                    struct manifest_edit *edit);

/* The sealed length of a live segment, 0 when it is not sealed. */
uint64_t manifest_state_sealed_length(const struct manifest_state *state, uint64_t segment_id);

struct manifest {
    struct env *env;
    const char *dir;
    struct table_owner *owner;
    _Atomic uint64_t next_file_id; /* take with manifest_new_file_id */
    struct {
        struct mutex lock;
        struct manifest_writer writer;
        uint64_t begun_bytes; /* of the file: the state that it begins with */
        bool broken;          /* the file's end is not known: the next edit begins a new file */
        struct manifest_state state;
    } mu;
};
void manifest_init(struct manifest *manifest, struct env *env, const char *dir,
                   struct table_owner *owner);
void manifest_deinit(struct manifest *manifest);

uint64_t manifest_new_file_id(struct manifest *manifest);
uint64_t manifest_new_run_id(struct manifest *manifest); /* takes the lock */

/* Makes a manifest file in `dir` that holds `edit`, then syncs the directory, with all the names
 * that were made in it before, then lets CURRENT name the file. The caller closes `ret_writer`. */
MUST_CHECK enum varve_status manifest_create(struct env *env, const char *dir, uint64_t manifest_id,
                                             const struct manifest_edit *edit,
                                             struct manifest_writer *ret_writer);

/* Begins a new manifest file that holds the whole state, and makes it the one in force.
 * VARVE_NO_SPACE may be tried again; after another failure what is in force is not known. */
MUST_CHECK enum varve_status manifest_rotate_locked(struct manifest *manifest);

/* Makes a prepared edit durable, then applies it, and marks the tables that it removes for good as
 * obsolete. Takes over `version` on OK only. On failure the state is as it was; if `ret_begun`,
 * which is always set, whether the edit is on disk is not known until the next one succeeds, else
 * it surely is not. */
MUST_CHECK enum varve_status manifest_log_locked(struct manifest *manifest,
                                                 const struct manifest_edit *edit,
                                                 struct version *version, bool *ret_begun);

#endif
