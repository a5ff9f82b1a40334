/*
 * Memtables are flushed in the order of their segments, one at a time, so that `first_live_segment`
 * only ever rises past content that is in tables.
 */
#include "engine/flush.h"

#include "engine/db.h"
#include "engine/merge.h"

enum varve_status flush_write_table(struct varve_db *db, struct entry_iterator *input,
                                    struct snapshots_keep keep, uint64_t run_id,
                                    struct manifest_edit *edit)
{
    uint64_t now_ms = db_store_time_ms(db);
    struct merge_job job = {
        .db = db,
        .input = input,
        .keep = keep,
        .level = 0,
        .run_id = run_id,
        .table_bytes = UINT64_MAX,
        .time_min_ms = now_ms,
        .time_max_ms = now_ms,
    };
    return merge_run(&job, edit);
}

static void flush_account(struct varve_db *db, const struct manifest_edit *edit, uint64_t began_us)
{
    COUNT(db->counters.flushes, 1);
    for (size_t i = 0; i < edit->added_count; i++)
        COUNT(db->counters.flush_bytes, edit->added[i].file_bytes);
    histogram_record(&db->latencies[VARVE_LATENCY_FLUSH], env_mono_us(db->env) - began_us);
}

static enum varve_status flush_memtable(struct varve_db *db, struct memtable *memtable)
{
    struct manifest_edit edit = {0};
    struct entry_iterator *input = NULL;
    uint64_t began_us = env_mono_us(db->env);
    uint64_t segment_id = memtable_segment_id(memtable);
    struct snapshots_keep keep = snapshots_keep(&db->snapshots, &db->visible, db_store_time_ms(db));

    enum varve_status status = wal_seal(db); /* the edit says that the segment is not needed */
    if (status == VARVE_OK)
        status = db_manifest_repair(db);
    if (status == VARVE_OK)
        status = memtable_iterator_new(memtable, &input);
    if (status == VARVE_OK)
        status = flush_write_table(db, input, keep, manifest_new_run_id(&db->manifest), &edit);
    if (status != VARVE_OK)
        goto out;
    edit.has_first_live_segment = edit.has_store_time = true;
    edit.first_live_segment = segment_id + 1;
    edit.store_time_ms = db_store_time_ms(db);
    status = db_install(db, &edit, memtable);
    if (status != VARVE_OK) {
        db_outputs_drop(db, &edit, status);
        goto out;
    }
    flush_account(db, &edit, began_us);
    wal_retire(db, segment_id);
out:
    entry_iterator_free(input);
    manifest_edit_deinit(&edit);
    return status;
}

enum varve_status flush_oldest(struct varve_db *db, bool *ret_flushed)
{
    uint64_t sequence = 0;
    struct memtable *oldest = NULL;
    enum varve_status status = VARVE_OK;
    bool flushed = false;

    /* Not the view: it would keep later memtables in memory, too. */
    struct view *view = view_slot_acquire(&db->view, &db->visible, &sequence);
    if (view->waiting_count > 0) {
        oldest = view->waiting[view->waiting_count - 1];
        memtable_ref(oldest);
    }
    view_unref(view);
    if (oldest != NULL && db_state(db) != VARVE_STATE_READ_ONLY) {
        status = flush_memtable(db, oldest);
        flushed = status == VARVE_OK;
        if (flushed)
            db_space_back(db, DB_NO_SPACE_TABLES);
        if (status == VARVE_IO)
            db_read_only(db, status, "flushing a memtable");
        else if (status == VARVE_NO_SPACE)
            db_no_space(db, DB_NO_SPACE_TABLES, "flushing a memtable");
        else if (status != VARVE_OK)
            log_write(&db->log, VARVE_LOG_WARNING, "flushing a memtable: %s",
                      varve_status_text(status));
    }
    memtable_unref(oldest);
    *ret_flushed = flushed;
    return status;
}
