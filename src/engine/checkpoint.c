/*
 * In two parts. Under the locks: a switch, a copy of the state, a second link for each live
 * segment (or a copy). Without any: links for the tables, a manifest that says the state.
 */
#include "engine/checkpoint.h"

#include <assert.h>

#include "engine/db.h"
#include "engine/file_copy.h"
#include "engine/staged_dir.h"

void checkpoint_deinit(struct checkpoint *checkpoint)
{
    manifest_state_deinit(&checkpoint->state);
    *checkpoint = (struct checkpoint){0};
}

/* Whether a file of the store can have a second name in `dir`. If not, all are copied; where the
 * cause is another one, copying will meet it too. LOCK is asked, for it has no content to lose. */
static enum varve_status links_try(struct varve_db *db, const char *dir, bool *ret_work)
{
    char from[FILENAME_BYTES_MAX], to[FILENAME_BYTES_MAX];
    enum varve_status status = filename_path(from, db->dir, FILE_LOCK, 0);
    if (status == VARVE_OK)
        status = filename_path(to, dir, FILE_CURRENT_TEMPORARY, 0);
    if (status != VARVE_OK)
        return status;
    *ret_work = env_link(db->env, from, to) == VARVE_OK;
    return *ret_work ? env_remove(db->env, to) : VARVE_OK;
}

static enum varve_status file_keep(struct varve_db *db, const char *dir,
                                   const struct checkpoint *checkpoint, enum file_kind kind,
                                   uint64_t id, uint64_t bytes)
{
    char from[FILENAME_BYTES_MAX], to[FILENAME_BYTES_MAX];
    uint32_t crc = 0;
    enum varve_status status = filename_path(from, db->dir, kind, id);
    if (status == VARVE_OK)
        status = filename_path(to, dir, kind, id);
    if (status != VARVE_OK)
        return status;
    return checkpoint->copies ? file_copy(db->env, from, to, bytes, &crc)
                              : env_link(db->env, from, to);
}

/* The moment, less the segment that has just begun. */
static enum varve_status moment_take_locked(struct varve_db *db, const char *dir,
                                            struct checkpoint *checkpoint)
{
    assert(mutex_is_held(&db->manifest.mu.lock));
    struct manifest_state *state = &checkpoint->state;
    enum varve_status status = manifest_state_copy(&db->manifest.mu.state, state);
    if (status != VARVE_OK)
        return status;
    state->last_segment--;
    state->clean_shutdown = true;
    assert(state->last_segment + 1 - state->first_live_segment == state->sealed_count);

    for (size_t i = 0; status == VARVE_OK && i < state->sealed_count; i++)
        status = file_keep(db, dir, checkpoint, FILE_WAL, state->sealed[i].segment_id,
                           state->sealed[i].length);
    checkpoint->manifest_id = manifest_new_file_id(&db->manifest);
    return status;
}

static enum varve_status moment_take(struct varve_db *db, const char *dir,
                                     struct checkpoint *checkpoint)
{
    mutex_lock(&db->wal.lock);
    enum varve_status status = commit_make_room_locked(db, true, NULL);
    if (status == VARVE_OK)
        status = wal_seal(db);
    if (status != VARVE_OK) {
        mutex_unlock(&db->wal.lock);
        return status;
    }
    mutex_lock(&db->manifest.mu.lock);
    mutex_unlock(&db->wal.lock);
    status = moment_take_locked(db, dir, checkpoint);
    mutex_unlock(&db->manifest.mu.lock);
    return status;
}

static enum varve_status tables_keep(struct varve_db *db, const char *dir,
                                     const struct checkpoint *checkpoint)
{
    const struct version *version = checkpoint->state.version;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            const struct run *run = &version->levels[l].runs[r];
            for (size_t t = 0; t < run->table_count; t++) {
                const struct manifest_table *meta = &run->tables[t]->meta;
                enum varve_status status = db_check_interrupted(db);
                if (status == VARVE_OK)
                    status =
                        file_keep(db, dir, checkpoint, FILE_TABLE, meta->file_id, meta->file_bytes);
                if (status != VARVE_OK)
                    return status;
            }
        }
    return VARVE_OK;
}

static enum varve_status manifest_make(struct varve_db *db, const char *dir,
                                       const struct checkpoint *checkpoint)
{
    struct manifest_edit edit = {0};
    struct manifest_writer writer = {0};
    enum varve_status status =
        manifest_state_to_edit(&checkpoint->state, checkpoint->manifest_id + 1, &edit);
    if (status == VARVE_OK)
        status = manifest_create(db->env, dir, checkpoint->manifest_id, &edit, &writer);
    manifest_writer_close(&writer);
    manifest_edit_deinit(&edit);
    return status;
}

enum varve_status checkpoint_fill(struct varve_db *db, const char *dir,
                                  struct checkpoint *checkpoint, struct varve_error *ret_error)
{
    *checkpoint = (struct checkpoint){0};
    bool links_work = false;
    const char *what = "trying to link";
    enum varve_status status = links_try(db, dir, &links_work);
    checkpoint->copies = !links_work;
    if (status == VARVE_OK && checkpoint->copies) {
        what = "flushing";
        status = varve_flush(db, true);
    }
    if (status == VARVE_OK) {
        what = "taking the log's segments";
        status = moment_take(db, dir, checkpoint);
    }
    if (status == VARVE_OK) {
        what = "linking or copying tables";
        status = tables_keep(db, dir, checkpoint);
    }
    if (status == VARVE_OK) {
        what = "writing the manifest";
        status = manifest_make(db, dir, checkpoint);
    }
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir, STATUS_NO_OFFSET, "%s failed: %s", what,
                         varve_status_text(status));
    return VARVE_OK;
}

enum varve_status varve_checkpoint(struct varve_db *db, const char *path, uint64_t *ret_revision)
{
    struct staged_dir dir = {0};
    struct checkpoint checkpoint = {0};
    struct varve_error error = {0};

    enum varve_status status = staged_dir_begin(&dir, db->env, path, &error);
    if (status == VARVE_OK)
        status = checkpoint_fill(db, dir.partial, &checkpoint, &error);
    if (status == VARVE_OK)
        status = staged_dir_commit(&dir, &error);
    if (status == VARVE_OK && ret_revision != NULL)
        *ret_revision = checkpoint.state.last_sequence;
    if (status != VARVE_OK)
        log_write(&db->log, VARVE_LOG_WARNING, "no checkpoint was made: %s: %s", error.path,
                  error.text);
    checkpoint_deinit(&checkpoint);
    staged_dir_end(&dir);
    return status;
}
