/*
 * The order of a switch is the heart of it: old segment synced, new file complete with its name,
 * one durable edit that seals the old at its length and names the new, and only then a frame in the
 * new.
 */
#include "engine/wal.h"

#include <assert.h>

#include "engine/db.h"

#define WAL_ZERO_STEP_MOST ((uint64_t)1 << 20)

void wal_set_init(struct wal_set *wal)
{
    *wal = (struct wal_set){0};
    mutex_init(&wal->lock);
    mutex_init(&wal->spares.lock);
}

void wal_set_deinit(struct wal_set *wal)
{
    wal_writer_close(&wal->writer);
    mutex_deinit(&wal->spares.lock);
    mutex_deinit(&wal->lock);
}

static uint64_t zero_step_bytes(const struct varve_db *db)
{
    uint64_t step = db->options.memtable_bytes / 4;
    if (step < WAL_BYTES_LEAST)
        return WAL_BYTES_LEAST;
    return step > WAL_ZERO_STEP_MOST ? WAL_ZERO_STEP_MOST : step;
}

static uint64_t spare_take(struct wal_set *wal)
{
    mutex_lock(&wal->spares.lock);
    uint64_t id = wal->spares.count > 0 ? wal->spares.ids[--wal->spares.count] : 0;
    mutex_unlock(&wal->spares.lock);
    return id;
}

static bool spare_put(struct varve_db *db, uint64_t id)
{
    struct wal_set *wal = &db->wal;
    mutex_lock(&wal->spares.lock);
    bool room = wal->spares.count < db->options.wal_segments_spare;
    if (room)
        wal->spares.ids[wal->spares.count++] = id;
    mutex_unlock(&wal->spares.lock);
    return room;
}

/* Gives a spare segment's file the name `path`, if there is one that can be had. */
static bool spare_rename(struct varve_db *db, const char *path)
{
    char spare_path[FILENAME_BYTES_MAX];
    uint64_t spare = spare_take(&db->wal);
    if (spare == 0 || filename_path(spare_path, db->dir, FILE_WAL, spare) != VARVE_OK)
        return false;
    enum varve_status status = env_rename(db->env, spare_path, path);
    if (status != VARVE_OK)
        log_write(&db->log, VARVE_LOG_WARNING, "cannot reuse %s: %s", spare_path,
                  varve_status_text(status));
    return status == VARVE_OK;
}

enum varve_status wal_make_segment(struct varve_db *db, uint64_t id, struct wal_writer *ret_writer)
{
    char path[FILENAME_BYTES_MAX];
    struct wal_writer writer = {0};

    enum varve_status status = filename_path(path, db->dir, FILE_WAL, id);
    if (status != VARVE_OK)
        return status;
    if (spare_rename(db, path))
        COUNT(db->counters.wal_segments_recycled, 1);
    status = wal_writer_open(&writer, db->env, path, id, db_store_time_ms(db), zero_step_bytes(db));
    if (status == VARVE_OK)
        status = env_sync_dir(db->env, db->dir);
    if (status != VARVE_OK) {
        wal_writer_close(&writer);
        enum varve_status removed = env_remove(db->env, path);
        if (removed != VARVE_OK && removed != VARVE_NOT_FOUND)
            log_write(&db->log, VARVE_LOG_WARNING, "cannot remove %s: %s", path,
                      varve_status_text(removed));
        return status;
    }
    *ret_writer = writer;
    return VARVE_OK;
}

static enum varve_status segment_sync_locked(struct varve_db *db)
{
    struct wal_writer *writer = &db->wal.writer;
    if (writer->synced_offset == writer->offset)
        return VARVE_OK;
    enum varve_status status = wal_writer_sync(writer);
    if (status != VARVE_OK)
        db_read_only(db, status, "syncing the log");
    else
        COUNT(db->counters.wal_syncs, 1);
    return status;
}

enum varve_status wal_switch_locked(struct varve_db *db)
{
    assert(mutex_is_held(&db->wal.lock));
    struct wal_writer writer = {0};
    struct memtable *memtable = NULL;
    struct manifest_edit edit = {0};
    uint64_t old_id = db->wal.writer.segment_id;

    enum varve_status status = segment_sync_locked(db);
    if (status != VARVE_OK)
        return VARVE_READ_ONLY;
    /* An edit of before whose outcome is not known may name the very file that is made now. */
    status = db_manifest_repair(db);
    if (status == VARVE_OK)
        status =
            memtable_new(db->memtables, old_id + 1, memtable_common(db->wal.memtable), &memtable);
    if (status == VARVE_OK)
        status = wal_make_segment(db, old_id + 1, &writer);
    if (status != VARVE_OK)
        goto out;

    edit.has_last_segment = edit.has_last_sequence = edit.has_store_time = true;
    edit.last_segment = old_id + 1;
    edit.last_sequence = db->wal.last_sequence;
    edit.store_time_ms = db_store_time_ms(db);
    status = manifest_edit_add_sealed(&edit, old_id, db->wal.writer.offset);
    if (status == VARVE_OK)
        status = db_install(db, &edit, memtable, NULL);
    if (status != VARVE_OK) {
        /* The segment may be sealed on disk: a frame behind that length would be lost. */
        db->wal.must_switch = db->wal.must_switch || status == VARVE_OUTCOME_UNKNOWN;
        goto out;
    }

    wal_writer_close(&db->wal.writer);
    db->wal.writer = writer;
    writer = (struct wal_writer){0};
    db->wal.memtable = memtable;
    db->wal.marked_offset = db->wal.writer.synced_offset;
    db->wal.must_switch = false;
    atomic_store_explicit(&db->log_figures.active_bytes, db->wal.writer.offset,
                          memory_order_relaxed);
    background_schedule_flush(db);
out:
    /* No frame was begun: whatever became of the edit, what waits for room did not happen. */
    if (status == VARVE_OUTCOME_UNKNOWN)
        status = db_state(db) == VARVE_STATE_READ_ONLY ? VARVE_READ_ONLY : VARVE_NO_SPACE;
    if (status == VARVE_NO_SPACE) {
        db_no_space(db, DB_NO_SPACE_LOG, "beginning a new log segment");
    } else if (status == VARVE_IO) {
        db_read_only(db, status, "beginning a new log segment");
        status = VARVE_READ_ONLY;
    }
    wal_writer_close(&writer);
    memtable_unref(memtable);
    manifest_edit_deinit(&edit);
    return status;
}

void wal_retire(struct varve_db *db, uint64_t id)
{
    char path[FILENAME_BYTES_MAX];
    struct env_file_info info = {0};

    enum varve_status status = filename_path(path, db->dir, FILE_WAL, id);
    if (status == VARVE_OK)
        status = env_info(db->env, path, &info);
    if (status == VARVE_OK && info.link_count == 1 && spare_put(db, id))
        return;
    if (status == VARVE_OK)
        status = env_remove(db->env, path);
    if (status != VARVE_OK && status != VARVE_NOT_FOUND)
        log_write(&db->log, VARVE_LOG_WARNING, "cannot remove %s: %s", path,
                  varve_status_text(status));
}
