/*
 * Edits are appended and synced one by one under the lock. After a failed append the end of the
 * file is not known (part of the record, or all of it, may be there), so nothing is ever appended
 * behind it: the next edit first writes the whole state, as it was before the failed edit, to a new
 * file.
 *
 * A new file comes into force in this order: file written and synced, directory synced, CURRENT
 * replaced (written, synced, renamed, directory synced). If that last step fails, either file may
 * be in force after a crash; both say the same, and neither is appended to again.
 */
#include "engine/manifest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "format/filename.h"

/* A file is begun anew when it is longer than this and than twice what it began with: a large state
 * is not written for every edit. */
#define MANIFEST_FILE_BYTES_LEAST ((uint64_t)8 << 20)

enum varve_status manifest_state_init(struct manifest_state *state)
{
    *state = (struct manifest_state){.next_run_id = 1, .first_live_segment = 1};
    return version_new_empty(&state->version);
}

void manifest_state_deinit(struct manifest_state *state)
{
    version_unref(state->version);
    free(state->sealed);
    *state = (struct manifest_state){0};
}

uint64_t manifest_state_sealed_length(const struct manifest_state *state, uint64_t segment_id)
{
    for (size_t i = 0; i < state->sealed_count; i++)
        if (state->sealed[i].segment_id == segment_id)
            return state->sealed[i].length;
    return 0;
}

enum varve_status manifest_state_prepare(struct manifest_state *state,
                                         const struct manifest_edit *edit,
                                         struct table_owner *owner, struct version **ret_version,
                                         struct varve_error *ret_error)
{
    if (edit->sealed_count > 0) {
        struct manifest_sealed *sealed = realloc(
            state->sealed, (state->sealed_count + edit->sealed_count) * sizeof *state->sealed);
        if (sealed == NULL)
            return status_raise(VARVE_NO_MEMORY);
        state->sealed = sealed;
    }
    if (edit->added_count == 0 && edit->removed_count == 0) {
        version_ref(state->version);
        *ret_version = state->version;
        return VARVE_OK;
    }
    return version_apply(state->version, edit, owner, ret_version, ret_error);
}

void manifest_state_apply(struct manifest_state *state, const struct manifest_edit *edit,
                          struct version *version)
{
    version_unref(state->version);
    state->version = version;
    state->clean_shutdown = edit->has_clean_shutdown && edit->clean_shutdown;
    if (edit->has_next_run_id)
        state->next_run_id = edit->next_run_id;
    if (edit->has_last_sequence)
        state->last_sequence = edit->last_sequence;
    if (edit->has_store_time && edit->store_time_ms > state->store_time_ms)
        state->store_time_ms = edit->store_time_ms;
    if (edit->has_first_live_segment)
        state->first_live_segment = edit->first_live_segment;
    if (edit->has_last_segment)
        state->last_segment = edit->last_segment;

    for (size_t i = 0; i < edit->sealed_count; i++)
        state->sealed[state->sealed_count++] = edit->sealed[i];
    size_t live = 0;
    for (size_t i = 0; i < state->sealed_count; i++)
        if (state->sealed[i].segment_id >= state->first_live_segment)
            state->sealed[live++] = state->sealed[i];
    state->sealed_count = live;
}

void manifest_init(struct manifest *manifest, struct env *env, const char *dir,
                   struct table_owner *owner)
{
    *manifest = (struct manifest){.env = env, .dir = dir, .owner = owner};
    atomic_init(&manifest->next_file_id, 1);
    mutex_init(&manifest->mu.lock);
}

void manifest_deinit(struct manifest *manifest)
{
    manifest_writer_close(&manifest->mu.writer);
    manifest_state_deinit(&manifest->mu.state);
    mutex_deinit(&manifest->mu.lock);
}

uint64_t manifest_new_file_id(struct manifest *manifest)
{
    return atomic_fetch_add_explicit(&manifest->next_file_id, 1, memory_order_relaxed);
}

uint64_t manifest_new_run_id(struct manifest *manifest)
{
    mutex_lock(&manifest->mu.lock);
    uint64_t id = manifest->mu.state.next_run_id++;
    mutex_unlock(&manifest->mu.lock);
    return id;
}

enum varve_status manifest_state_copy(const struct manifest_state *state,
                                      struct manifest_state *ret_copy)
{
    struct manifest_state copy = *state;
    copy.sealed = NULL;
    if (state->sealed_count > 0) {
        copy.sealed = malloc(state->sealed_count * sizeof *state->sealed);
        if (copy.sealed == NULL)
            return status_raise(VARVE_NO_MEMORY);
        memcpy(copy.sealed, state->sealed, state->sealed_count * sizeof *state->sealed);
    }
    version_ref(copy.version);
    *ret_copy = copy;
    return VARVE_OK;
}

enum varve_status manifest_state_to_edit(const struct manifest_state *state, uint64_t next_file_id,
                                         struct manifest_edit *edit)
{
    edit->has_next_file_id = true;
    edit->next_file_id = next_file_id;
    edit->has_next_run_id = true;
    edit->next_run_id = state->next_run_id;
    edit->has_last_sequence = true;
    edit->last_sequence = state->last_sequence;
    edit->has_store_time = true;
    edit->store_time_ms = state->store_time_ms;
    edit->has_first_live_segment = true;
    edit->first_live_segment = state->first_live_segment;
    edit->has_last_segment = true;
    edit->last_segment = state->last_segment;
    edit->has_clean_shutdown = edit->clean_shutdown = state->clean_shutdown;
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < state->sealed_count; i++)
        status =
            manifest_edit_add_sealed(edit, state->sealed[i].segment_id, state->sealed[i].length);
    if (status == VARVE_OK)
        status = version_to_edit(state->version, edit);
    return status;
}

static enum varve_status current_replace(struct env *env, const char *dir, uint64_t manifest_id)
{
    char path[FILENAME_BYTES_MAX];
    char text[CURRENT_BYTES_MAX];
    enum varve_status status = filename_path(path, dir, FILE_CURRENT, 0);
    if (status != VARVE_OK)
        return status;
    size_t size = current_encode(text, manifest_id);
    return env_replace_file(env, dir, path, varve_slice(text, size));
}

enum varve_status manifest_create(struct env *env, const char *dir, uint64_t manifest_id,
                                  const struct manifest_edit *edit,
                                  struct manifest_writer *ret_writer)
{
    char path[FILENAME_BYTES_MAX];
    struct manifest_writer writer = {0};

    enum varve_status status = filename_path(path, dir, FILE_MANIFEST, manifest_id);
    if (status != VARVE_OK)
        return status;
    status = manifest_writer_create(&writer, env, path, manifest_id);
    if (status == VARVE_OK)
        status = manifest_writer_append(&writer, edit, true);
    if (status == VARVE_OK)
        status = env_sync_dir(env, dir);
    if (status != VARVE_OK) {
        manifest_writer_close(&writer);
        if (status != VARVE_EXISTS) { /* CURRENT does not name it yet */
            enum varve_status removed = env_remove(env, path);
            (void)removed;
        }
        return status;
    }
    status = current_replace(env, dir, manifest_id);
    if (status != VARVE_OK) { /* CURRENT may name it already: it has to stay */
        manifest_writer_close(&writer);
        return status;
    }
    *ret_writer = writer;
    return VARVE_OK;
}

enum varve_status manifest_rotate_locked(struct manifest *manifest)
{
    assert(mutex_is_held(&manifest->mu.lock));
    char path[FILENAME_BYTES_MAX];
    struct manifest_writer writer = {0};
    struct manifest_edit edit = {0};
    uint64_t id = manifest_new_file_id(manifest);
    uint64_t next_id = atomic_load_explicit(&manifest->next_file_id, memory_order_relaxed);
    uint64_t old_id = manifest->mu.writer.manifest_id;

    manifest->mu.broken = true;
    enum varve_status status = manifest_state_to_edit(&manifest->mu.state, next_id, &edit);
    if (status == VARVE_OK)
        status = manifest_create(manifest->env, manifest->dir, id, &edit, &writer);
    manifest_edit_deinit(&edit);
    if (status != VARVE_OK)
        return status;

    manifest_writer_close(&manifest->mu.writer);
    manifest->mu.writer = writer;
    manifest->mu.begun_bytes = writer.offset;
    manifest->mu.broken = false;
    if (old_id != 0 && filename_path(path, manifest->dir, FILE_MANIFEST, old_id) == VARVE_OK) {
        /* What is left behind is removed at the next open. */
        enum varve_status removed = env_remove(manifest->env, path);
        (void)removed;
    }
    return VARVE_OK;
}

static bool edit_adds(const struct manifest_edit *edit, uint64_t file_id)
{
    for (size_t i = 0; i < edit->added_count; i++)
        if (edit->added[i].file_id == file_id)
            return true;
    return false;
}

/* Tables of `version` that the edit removes and does not add elsewhere. */
static void tables_mark_obsolete(const struct version *version, const struct manifest_edit *edit)
{
    for (size_t i = 0; i < edit->removed_count; i++) {
        if (edit_adds(edit, edit->removed[i].file_id))
            continue;
        const struct level *level = &version->levels[edit->removed[i].level];
        for (size_t r = 0; r < level->run_count; r++)
            for (size_t t = 0; t < level->runs[r].table_count; t++)
                if (level->runs[r].tables[t]->meta.file_id == edit->removed[i].file_id)
                    atomic_store_explicit(&level->runs[r].tables[t]->obsolete, true,
                                          memory_order_release);
    }
}

enum varve_status manifest_log_locked(struct manifest *manifest, const struct manifest_edit *edit,
                                      struct version *version, bool *ret_begun)
{
    assert(mutex_is_held(&manifest->mu.lock));
    enum varve_status status = VARVE_OK;

    uint64_t bytes_max = 2 * manifest->mu.begun_bytes;
    if (bytes_max < MANIFEST_FILE_BYTES_LEAST)
        bytes_max = MANIFEST_FILE_BYTES_LEAST;
    *ret_begun = false;
    if (manifest->mu.broken || manifest->mu.writer.offset > bytes_max)
        status = manifest_rotate_locked(manifest);
    if (status != VARVE_OK)
        return status;
    *ret_begun = true;
    status = manifest_writer_append(&manifest->mu.writer, edit, true);
    if (status != VARVE_OK) {
        manifest->mu.broken = manifest->mu.writer.failed;
        return status;
    }
    tables_mark_obsolete(manifest->mu.state.version, edit);
    manifest_state_apply(&manifest->mu.state, edit, version);
    return VARVE_OK;
}
