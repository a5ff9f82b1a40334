/*
 * Reading comes first and changes nothing: directory, CURRENT, manifest, tables, segments. Then
 * what the log holds is written to tables, which nobody knows yet; a new segment and a new manifest
 * that name the whole new state are made; renaming CURRENT decides. Only then what is not needed is
 * cleared away.
 */
#include "engine/recovery.h"

#include <stdio.h>

#include "engine/db.h"
#include "engine/manifest_fold.h"
#include "engine/recovery_replay.h"
#include "engine/recovery_scan.h"
#include "engine/recovery_tables.h"

/* Commits that were acknowledged without a sync may be lost in a power cut, and somebody may have
 * seen their revisions; after an unclean end so many are left out, so that no revision is given
 * twice. More than two segments can hold under any options: memtable_entries and a group on top. */
#define RECOVERY_SEQUENCE_GAP ((uint64_t)1 << 32)

struct recovery {
    struct varve_db *db;
    struct varve_error *error;
    struct recovery_scan scan;
    uint64_t manifest_id; /* 0: a new store */
    uint64_t cut_offset;  /* of the manifest's bad tail; UINT64_MAX: none */
    bool was_clean;
    struct manifest_fold fold;
    struct manifest_edit edit;            /* tables of the log's content, and the new segment */
    uint64_t first_segment, last_segment; /* to be replayed; last_segment 0: none */
};

static struct manifest_state *state_of(struct recovery *recovery)
{
    return &recovery->db->manifest.mu.state;
}

static void file_remove(struct varve_db *db, enum file_kind kind, uint64_t id)
{
    char path[FILENAME_BYTES_MAX];
    enum varve_status status = filename_path(path, db->dir, kind, id);
    if (status == VARVE_OK)
        status = env_remove(db->env, path);
    if (status != VARVE_OK && status != VARVE_NOT_FOUND)
        log_write(&db->log, VARVE_LOG_WARNING, "cannot remove %s: %s", path,
                  varve_status_text(status));
}

static enum varve_status segment_has_frame(struct varve_db *db, uint64_t id, bool thorough,
                                           bool *ret_has)
{
    char path[FILENAME_BYTES_MAX];
    enum varve_status status = filename_path(path, db->dir, FILE_WAL, id);
    return status == VARVE_OK ? wal_segment_has_frame(db->env, path, id, thorough, ret_has)
                              : status;
}

/* CURRENT is missing: right for a new store, and for one whose making was interrupted. */
static enum varve_status new_store_check(struct recovery *recovery)
{
    struct varve_db *db = recovery->db;
    const struct recovery_scan *scan = &recovery->scan;
    bool has_data = scan->tables.count > 0;

    for (size_t i = 0; !has_data && i < scan->segments.count; i++) {
        enum varve_status status = segment_has_frame(db, scan->segments.ids[i], false, &has_data);
        if (status != VARVE_OK)
            return error_set(recovery->error, status, db->dir, STATUS_NO_OFFSET,
                             "reading a log segment failed: %s", varve_status_text(status));
    }
    for (size_t i = 0; i < scan->manifests.count; i++)
        has_data = has_data || scan->manifests.ids[i] > 1;
    for (size_t i = 0; i < scan->segments.count; i++)
        has_data = has_data || scan->segments.ids[i] > 1;
    if (has_data)
        return error_set(recovery->error, VARVE_CORRUPT, db->dir, STATUS_NO_OFFSET,
                         "CURRENT is missing, but there are files of a store; restore CURRENT or a "
                         "backup");
    if (!db->options.create_if_missing)
        return error_set(recovery->error, VARVE_NOT_FOUND, db->dir, STATUS_NO_OFFSET,
                         "there is no store here");
    /* What an interrupted creation left is begun anew under the same names. */
    for (size_t i = 0; i < scan->manifests.count; i++)
        file_remove(db, FILE_MANIFEST, scan->manifests.ids[i]);
    if (scan->has_current_temporary)
        file_remove(db, FILE_CURRENT_TEMPORARY, 0);
    recovery->scan.id_max = 0;
    recovery->scan.manifests.count = 0;
    return VARVE_OK;
}

static enum varve_status current_read(struct recovery *recovery)
{
    struct varve_db *db = recovery->db;
    char path[FILENAME_BYTES_MAX];
    struct buf content = {0};

    enum varve_status status = filename_path(path, db->dir, FILE_CURRENT, 0);
    if (status == VARVE_OK)
        status = env_read_file(db->env, path, CURRENT_BYTES_MAX, &content);
    if (status == VARVE_TOO_LARGE)
        status = VARVE_CORRUPT;
    if (status == VARVE_OK)
        status = current_decode(content.data, content.size, &recovery->manifest_id);
    buf_deinit(&content);
    if (status != VARVE_OK)
        return error_set(recovery->error, status, path, 0,
                         "%s; it should name the manifest in force", varve_status_text(status));
    if (db->options.error_if_exists)
        return error_set(recovery->error, VARVE_EXISTS, db->dir, STATUS_NO_OFFSET,
                         "there is a store here already");
    return VARVE_OK;
}

static enum varve_status edit_replay(void *context, const struct manifest_edit *edit)
{
    struct recovery *recovery = context;
    if (edit->has_next_file_id)
        atomic_store_explicit(&recovery->db->manifest.next_file_id, edit->next_file_id,
                              memory_order_relaxed);
    return manifest_fold_edit(&recovery->fold, edit);
}

static enum varve_status manifest_load(struct recovery *recovery)
{
    struct varve_db *db = recovery->db;
    char path[FILENAME_BYTES_MAX];
    bool valid_follows = false;

    recovery->fold =
        (struct manifest_fold){.state = state_of(recovery), .owner = db->manifest.owner};
    enum varve_status status = filename_path(path, db->dir, FILE_MANIFEST, recovery->manifest_id);
    if (status == VARVE_OK)
        status = manifest_read(db->env, path, recovery->manifest_id, edit_replay, recovery,
                               &recovery->cut_offset, &valid_follows, recovery->error);
    if (status == VARVE_OK)
        status = manifest_fold_end(&recovery->fold, recovery->error);
    if (status == VARVE_NOT_FOUND)
        return error_set(recovery->error, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "the manifest that CURRENT names is missing");
    if (status != VARVE_OK)
        return status;
    if (recovery->cut_offset != UINT64_MAX && valid_follows)
        return error_set(recovery->error, VARVE_CORRUPT, path, recovery->cut_offset,
                         "a record of the manifest is damaged; restore a backup");
    if (recovery->cut_offset != UINT64_MAX && db->options.recovery_mode == VARVE_RECOVERY_STRICT)
        return error_set(
            recovery->error, VARVE_CORRUPT, path, recovery->cut_offset,
            "the manifest ends in an unfinished record; recovery mode tail would cut it");
    if (state_of(recovery)->last_segment == 0)
        return error_set(recovery->error, VARVE_CORRUPT, path, recovery->cut_offset,
                         "the manifest names no log segment");
    recovery->was_clean = state_of(recovery)->clean_shutdown;
    db_store_time_raise(db, state_of(recovery)->store_time_ms);
    return VARVE_OK;
}

/* A segment beyond the manifest's last one: without a frame, unless it is the one behind an
 * unsealed last, which is replayed then, also if its first frame did not reach the disk. See "The
 * switch" in DESIGN.md. */
static enum varve_status segment_beyond_check(struct recovery *recovery, uint64_t id)
{
    struct varve_db *db = recovery->db;
    uint64_t last = state_of(recovery)->last_segment;
    bool follows = id == last + 1 && manifest_state_sealed_length(state_of(recovery), last) == 0;
    bool has_frame = false;
    enum varve_status status = segment_has_frame(db, id, follows, &has_frame);
    if (status != VARVE_OK)
        return error_set(recovery->error, status, db->dir, STATUS_NO_OFFSET,
                         "reading log segment %llu failed: %s", (unsigned long long)id,
                         varve_status_text(status));
    if (!has_frame)
        return VARVE_OK;
    if (!follows)
        return error_set(recovery->error, VARVE_CORRUPT, db->dir, STATUS_NO_OFFSET,
                         "log segment %llu holds data, but the manifest ends with segment %llu: it "
                         "lost a record; restore a backup",
                         (unsigned long long)id, (unsigned long long)last);
    recovery->last_segment = id;
    return VARVE_OK;
}

/* No segment is missing, none holds frames that it should not. */
static enum varve_status segments_check(struct recovery *recovery)
{
    struct varve_db *db = recovery->db;
    const struct manifest_state *state = state_of(recovery);

    for (uint64_t id = state->first_live_segment; id <= state->last_segment; id++) {
        if (!id_list_has(&recovery->scan.segments, id))
            return error_set(recovery->error, VARVE_CORRUPT, db->dir, STATUS_NO_OFFSET,
                             "log segment %llu of %llu to %llu is missing; restore a backup",
                             (unsigned long long)id, (unsigned long long)state->first_live_segment,
                             (unsigned long long)state->last_segment);
        if (id != state->last_segment && manifest_state_sealed_length(state, id) == 0)
            return error_set(recovery->error, VARVE_CORRUPT, db->dir, STATUS_NO_OFFSET,
                             "log segment %llu is not the last one, but was never sealed",
                             (unsigned long long)id);
    }
    recovery->first_segment = state->first_live_segment;
    recovery->last_segment = state->last_segment;
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < recovery->scan.segments.count; i++)
        if (recovery->scan.segments.ids[i] > state->last_segment)
            status = segment_beyond_check(recovery, recovery->scan.segments.ids[i]);
    return status;
}

static enum varve_status log_replay(struct recovery *recovery)
{
    struct varve_db *db = recovery->db;
    struct manifest_state *state = state_of(recovery);
    struct recovery_replay replay = {.db = db, .error = recovery->error, .tables = &recovery->edit};
    enum varve_status status = VARVE_OK;

    for (uint64_t id = recovery->first_segment; status == VARVE_OK && id <= recovery->last_segment;
         id++) {
        replay.behind_unsealed = recovery->manifest_id != 0 && id > state->last_segment;
        if (replay.behind_unsealed && replay.next_sequence == 0)
            replay.next_sequence = state->last_sequence + 1; /* where the one before began */
        status = recovery_replay_segment(&replay, id, manifest_state_sealed_length(state, id));
    }
    if (status == VARVE_OK)
        status = recovery_replay_flush(&replay);
    replay_buffer_deinit(&replay.buffer);
    if (replay.last_sequence > state->last_sequence)
        state->last_sequence = replay.last_sequence;
    if (recovery->manifest_id != 0 && !recovery->was_clean)
        state->last_sequence += RECOVERY_SEQUENCE_GAP;
    return status;
}

/* What is deeper than the option says would never be merged again. */
static void levels_follow(struct varve_db *db, const struct version *version)
{
    size_t levels = VARVE_LEVELS_MAX;
    while (levels > db->options.max_levels && version->levels[levels - 1].run_count == 0)
        levels--;
    if (levels == db->options.max_levels)
        return;
    log_write(&db->log, VARVE_LOG_WARNING, "%s has tables in level %zu: it is kept to %zu levels",
              db->dir, levels - 1, levels);
    db->options.max_levels = levels;
}

/* The new state in memory, its segment on disk, then the manifest that decides. */
static enum varve_status state_commit(struct recovery *recovery)
{
    struct varve_db *db = recovery->db;
    struct manifest *manifest = &db->manifest;
    struct manifest_edit *edit = &recovery->edit;
    struct version *version = NULL;
    struct view *view = NULL;
    uint64_t segment_id = recovery->last_segment + 1;

    edit->has_first_live_segment = edit->has_last_segment = edit->has_store_time = true;
    edit->first_live_segment = edit->last_segment = segment_id;
    edit->store_time_ms = db_store_time_ms(db);
    enum varve_status status = manifest_state_prepare(&manifest->mu.state, edit, manifest->owner,
                                                      &version, recovery->error);
    if (status != VARVE_OK)
        return status;
    manifest_state_apply(&manifest->mu.state, edit, version);
    levels_follow(db, manifest->mu.state.version);

    status = memtable_new(db->memtables, segment_id, version_expected(manifest->mu.state.version),
                          &db->wal.memtable);
    if (status == VARVE_OK)
        status = view_new(&view);
    if (status == VARVE_OK)
        view_follow(view, NULL, manifest->mu.state.version, db->wal.memtable, NULL);
    memtable_unref(db->wal.memtable);
    if (status == VARVE_OK)
        status = wal_make_segment(db, segment_id, &db->wal.writer);
    if (status == VARVE_OK) {
        mutex_lock(&manifest->mu.lock);
        status = manifest_rotate_locked(manifest);
        mutex_unlock(&manifest->mu.lock);
    }
    if (status != VARVE_OK) {
        view_unref(view);
        return error_set(recovery->error, status, db->dir, STATUS_NO_OFFSET,
                         "making the new log segment and manifest failed: %s",
                         varve_status_text(status));
    }
    db->wal.last_sequence = manifest->mu.state.last_sequence;
    db->wal.marked_offset = db->wal.writer.synced_offset;
    atomic_store(&db->log_figures.active_segment, segment_id);
    atomic_store(&db->visible, db->wal.last_sequence);
    (void)view_slot_replace(&db->view, view);
    db_shape_publish(db, view);
    db_log_publish(db);
    return VARVE_OK;
}

/* Moves a file of the cut manifest's time to lost/, under its own name. */
static void file_set_aside(struct varve_db *db, enum file_kind kind, uint64_t id)
{
    char from[FILENAME_BYTES_MAX], to[FILENAME_BYTES_MAX], dir[FILENAME_BYTES_MAX];

    enum varve_status status = filename_path(dir, db->dir, FILE_LOST_DIR, 0);
    if (status == VARVE_OK)
        status = env_make_dir(db->env, dir);
    if (status == VARVE_EXISTS)
        status = VARVE_OK;
    if (status == VARVE_OK)
        status = filename_path(from, db->dir, kind, id);
    if (status == VARVE_OK)
        status = filename_path(to, dir, kind, id);
    if (status == VARVE_OK)
        status = env_rename(db->env, from, to);
    log_write(&db->log, VARVE_LOG_WARNING, "%s is not part of the store any more: %s", from,
              status == VARVE_OK ? "moved to lost/" : varve_status_text(status));
}

static bool version_has_table(const struct version *version, uint64_t file_id)
{
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < version->levels[l].run_count; r++)
            for (size_t t = 0; t < version->levels[l].runs[r].table_count; t++)
                if (version->levels[l].runs[r].tables[t]->meta.file_id == file_id)
                    return true;
    return false;
}

/* Clears away what the new state does not need. Failures leave files for the next time. */
static void clean_up(struct recovery *recovery)
{
    struct varve_db *db = recovery->db;
    const struct recovery_scan *scan = &recovery->scan;
    bool aside = recovery->cut_offset != UINT64_MAX;

    for (size_t i = 0; i < scan->tables.count; i++)
        if (!version_has_table(state_of(recovery)->version, scan->tables.ids[i])) {
            if (aside)
                file_set_aside(db, FILE_TABLE, scan->tables.ids[i]);
            else
                file_remove(db, FILE_TABLE, scan->tables.ids[i]);
        }
    for (size_t i = 0; i < scan->manifests.count; i++) {
        if (aside && scan->manifests.ids[i] == recovery->manifest_id)
            file_set_aside(db, FILE_MANIFEST, scan->manifests.ids[i]);
        else
            file_remove(db, FILE_MANIFEST, scan->manifests.ids[i]);
    }
    if (scan->has_current_temporary)
        file_remove(db, FILE_CURRENT_TEMPORARY, 0);
    for (size_t i = 0; i < scan->segments.count; i++)
        if (scan->segments.ids[i] < db->wal.writer.segment_id)
            wal_retire(db, scan->segments.ids[i]);
        else if (scan->segments.ids[i] > db->wal.writer.segment_id)
            file_remove(db, FILE_WAL, scan->segments.ids[i]); /* its name will be needed */
}

static void next_ids_raise(struct recovery *recovery)
{
    struct manifest *manifest = &recovery->db->manifest;
    uint64_t next = recovery->scan.id_max + 1;
    if (atomic_load_explicit(&manifest->next_file_id, memory_order_relaxed) < next)
        atomic_store_explicit(&manifest->next_file_id, next, memory_order_relaxed);
}

enum varve_status recovery_run(struct varve_db *db, struct varve_error *ret_error)
{
    struct recovery recovery = {.db = db, .error = ret_error, .cut_offset = UINT64_MAX};
    uint64_t began_us = env_mono_us(db->env);

    enum varve_status status = recovery_scan_read(db->env, db->dir, &recovery.scan);
    if (status != VARVE_OK)
        return error_set(ret_error, status, db->dir, STATUS_NO_OFFSET, "listing failed: %s",
                         varve_status_text(status));
    if (recovery.scan.has_current) {
        status = current_read(&recovery);
        if (status == VARVE_OK)
            status = manifest_load(&recovery);
        if (status == VARVE_OK)
            status =
                recovery_check_tables(db->env, db->dir, state_of(&recovery)->version, ret_error);
        if (status == VARVE_OK)
            status = segments_check(&recovery);
    } else {
        status = new_store_check(&recovery);
        recovery.first_segment = 1;
    }
    next_ids_raise(&recovery);
    if (status == VARVE_OK)
        status = log_replay(&recovery);
    if (status == VARVE_OK)
        status = state_commit(&recovery);
    if (status == VARVE_OK) {
        clean_up(&recovery);
        db->recovery.us = env_mono_us(db->env) - began_us;
        log_write(&db->log, VARVE_LOG_INFO,
                  "opened %s in %llu ms: %llu entries of %llu log segments replayed in %llu ms, "
                  "written to tables in %llu ms",
                  db->dir, (unsigned long long)db->recovery.us / 1000,
                  (unsigned long long)db->recovery.entries,
                  (unsigned long long)db->recovery.segments,
                  (unsigned long long)db->recovery.replay_us / 1000,
                  (unsigned long long)db->recovery.rewrite_us / 1000);
    }
    manifest_fold_deinit(&recovery.fold);
    manifest_edit_deinit(&recovery.edit);
    recovery_scan_deinit(&recovery.scan);
    return status;
}
