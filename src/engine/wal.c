/*
 * Two orders are the heart of it. A switch: the new file complete with its name before it gets a
 * frame. A seal: the old segment synced, then one durable edit that says its length and names the
 * new one, and only then anything in the new one that is to be durable.
 */
#include "engine/wal.h"

#include <assert.h>

#include "engine/db.h"

#define WAL_ZERO_STEP_MOST ((uint64_t)1 << 20)

void wal_set_init(struct wal_set *wal)
{
    *wal = (struct wal_set){0};
    mutex_init(&wal->lock);
    mutex_init(&wal->full.lock);
    mutex_init(&wal->next.lock);
    mutex_init(&wal->spares.lock);
}

void wal_set_deinit(struct wal_set *wal)
{
    wal_writer_close(&wal->writer);
    wal_writer_close(&wal->full.writer);
    wal_writer_close(&wal->next.writer);
    mutex_deinit(&wal->spares.lock);
    mutex_deinit(&wal->next.lock);
    mutex_deinit(&wal->full.lock);
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

/* What the members of a group are told when a switch or a seal before their frame failed: no frame
 * was begun, so whatever became of an edit, what waits did not happen. */
static enum varve_status failure_settle(struct varve_db *db, enum varve_status status,
                                        const char *what)
{
    if (status == VARVE_OUTCOME_UNKNOWN)
        status = db_state(db) == VARVE_STATE_READ_ONLY ? VARVE_READ_ONLY : VARVE_NO_SPACE;
    if (status == VARVE_NO_SPACE) {
        db_no_space(db, DB_NO_SPACE_LOG, what);
    } else if (status == VARVE_IO) {
        db_read_only(db, status, what);
        status = VARVE_READ_ONLY;
    }
    return status;
}

static enum varve_status full_sync_locked(struct varve_db *db)
{
    struct wal_writer *writer = &db->wal.full.writer;
    if (writer->synced_offset == writer->offset)
        return VARVE_OK;
    enum varve_status status = wal_writer_sync(writer);
    if (status != VARVE_OK) {
        db_read_only(db, status, "syncing the log");
        return status_raise(VARVE_READ_ONLY);
    }
    COUNT(db->counters.wal_syncs, 1);
    return VARVE_OK;
}

static enum varve_status full_seal_locked(struct varve_db *db)
{
    const struct wal_writer *writer = &db->wal.full.writer;
    struct manifest_edit edit = {0};

    if (db_state(db) == VARVE_STATE_READ_ONLY)
        return status_raise(VARVE_READ_ONLY);
    enum varve_status status = full_sync_locked(db);
    if (status == VARVE_OK)
        status = db_manifest_repair(db);
    edit.has_last_segment = edit.has_last_sequence = edit.has_store_time = true;
    edit.last_segment = writer->segment_id + 1;
    edit.last_sequence = db->wal.full.last_sequence;
    edit.store_time_ms = db_store_time_ms(db);
    if (status == VARVE_OK)
        status = manifest_edit_add_sealed(&edit, writer->segment_id, writer->offset);
    if (status == VARVE_OK)
        status = db_install(db, &edit, NULL);
    manifest_edit_deinit(&edit);
    return failure_settle(db, status, "sealing a log segment");
}

enum varve_status wal_seal(struct varve_db *db)
{
    struct wal_set *wal = &db->wal;
    struct wal_writer sealed = {0};
    enum varve_status status = VARVE_OK;
    mutex_lock(&wal->full.lock);
    if (wal->full.writer.file != NULL)
        status = full_seal_locked(db);
    if (status == VARVE_OK) {
        sealed = wal->full.writer;
        wal->full.writer = (struct wal_writer){0};
        atomic_store_explicit(&db->log_figures.full_bytes, 0, memory_order_relaxed);
    }
    mutex_unlock(&wal->full.lock);
    wal_writer_close(&sealed);
    return status;
}

void wal_work(struct varve_db *db)
{
    struct wal_set *wal = &db->wal;
    enum varve_status status = wal_seal(db);
    mutex_lock(&wal->next.lock);
    if (status == VARVE_OK && wal->next.id != 0 && wal->next.writer.file == NULL)
        status = wal_make_segment(db, wal->next.id, &wal->next.writer);
    mutex_unlock(&wal->next.lock);
    if (status == VARVE_IO)
        db_read_only(db, status, "making the next log segment");
    else if (status != VARVE_OK)
        log_write(&db->log, VARVE_LOG_DEBUG, "the log's work is left to who needs it: %s",
                  varve_status_text(status));
}

/* The segment made ahead, or one made now. */
static enum varve_status next_take(struct varve_db *db, uint64_t id, struct wal_writer *ret_writer)
{
    struct wal_set *wal = &db->wal;
    enum varve_status status = VARVE_OK;
    mutex_lock(&wal->next.lock);
    assert(wal->next.writer.file == NULL || wal->next.writer.segment_id == id);
    if (wal->next.writer.file == NULL)
        status = wal_make_segment(db, id, &wal->next.writer);
    if (status == VARVE_OK) {
        *ret_writer = wal->next.writer;
        wal->next.writer = (struct wal_writer){0};
        wal->next.id = id + 1;
    }
    mutex_unlock(&wal->next.lock);
    return status;
}

/* Gives back a segment that was not needed after all; the one behind it, if that has been made
 * meanwhile, will be made anew. */
static void next_put_back(struct varve_db *db, const struct wal_writer *writer)
{
    struct wal_set *wal = &db->wal;
    mutex_lock(&wal->next.lock);
    wal_writer_close(&wal->next.writer);
    wal->next.writer = *writer;
    wal->next.id = writer->segment_id;
    mutex_unlock(&wal->next.lock);
}

/* Publishes `memtable` and makes the active segment the full one, as one step for who finds the
 * memtable before it waiting to be flushed: it cannot miss that the segment is still to be sealed.
 */
static enum varve_status full_begin_locked(struct varve_db *db, struct memtable *memtable)
{
    struct wal_set *wal = &db->wal;
    mutex_lock(&wal->full.lock);
    enum varve_status status = db_activate(db, memtable);
    if (status == VARVE_OK) {
        wal->full.writer = wal->writer;
        wal->full.last_sequence = wal->last_sequence;
        atomic_store_explicit(&db->log_figures.full_bytes, wal->writer.offset,
                              memory_order_relaxed);
    }
    mutex_unlock(&wal->full.lock);
    return status;
}

/* From here on frames go to `writer` and entries to `memtable`. */
static void go_on_locked(struct varve_db *db, const struct wal_writer *writer,
                         struct memtable *memtable)
{
    struct wal_set *wal = &db->wal;
    wal->must_seal = wal->writer.damaged;
    wal->must_switch = false;
    wal->writer = *writer;
    wal->memtable = memtable;
    wal->marked_offset = writer->synced_offset;
    atomic_store(&db->log_figures.active_segment, writer->segment_id);
    atomic_store_explicit(&db->log_figures.active_bytes, writer->offset, memory_order_relaxed);
}

enum varve_status wal_switch_locked(struct varve_db *db)
{
    assert(mutex_is_held(&db->wal.lock));
    struct wal_writer writer = {0};
    struct memtable *memtable = NULL;
    uint64_t id = db->wal.writer.segment_id + 1;

    enum varve_status status = wal_seal(db);
    if (status != VARVE_OK)
        return status;
    status = memtable_new(db->memtables, id, memtable_expected(db->wal.memtable), &memtable);
    if (status == VARVE_OK)
        status = next_take(db, id, &writer);
    if (status == VARVE_OK) {
        status = full_begin_locked(db, memtable);
        if (status != VARVE_OK)
            next_put_back(db, &writer);
    }
    if (status == VARVE_OK) {
        go_on_locked(db, &writer, memtable);
        background_schedule_log(db);
        background_schedule_flush(db);
    }
    memtable_unref(memtable);
    return failure_settle(db, status, "beginning a new log segment");
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
