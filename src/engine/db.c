/*
 * Opening builds the parts from the bottom up and closing takes them down again; one function
 * serves both a failed open and a close. Between them this file holds what all parts share: the
 * installing of edits and views, the store's state, and store time.
 */
#include "engine/db.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/compaction_run.h"
#include "engine/limits.h"
#include "engine/merge.h"
#include "engine/recovery.h"
#include "engine/recovery_scan.h"

/* A flush, what the log is owed, and what is done in a moment: tables removed, memory made ready.
 */
#define URGENT_WORKERS 3u
/* A quarter of a processor that a caller wants, too; see "Priority" in DESIGN.md. */
#define MERGE_NICE 5
#define MEMTABLE_FILTER_FRACTION 64u /* two bytes for each entry of 128 */

/* So much free space ends a shortage that the log met. */
#define SPACE_BACK_BYTES ((uint64_t)32 << 20)

uint64_t db_store_time_ms(struct varve_db *db)
{
    db_store_time_raise(db, env_wall_ms(db->env));
    return atomic_load_explicit(&db->time_floor_ms, memory_order_relaxed);
}

uint64_t varve_store_time_ms(struct varve_db *db)
{
    return db_store_time_ms(db);
}

void db_store_time_raise(struct varve_db *db, uint64_t time_ms)
{
    uint64_t floor = atomic_load_explicit(&db->time_floor_ms, memory_order_relaxed);
    while (floor < time_ms &&
           !atomic_compare_exchange_weak_explicit(&db->time_floor_ms, &floor, time_ms,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void db_no_space(struct varve_db *db, enum db_no_space_cause cause, const char *what)
{
    mutex_lock(&db->state_mu.lock);
    bool news = (db->state_mu.no_space_causes & cause) == 0;
    db->state_mu.no_space_causes |= cause;
    if (db_state(db) == VARVE_STATE_OK) {
        atomic_store_explicit(&db->state, VARVE_STATE_NO_SPACE, memory_order_release);
        snprintf(db->state_mu.reason, sizeof db->state_mu.reason, "%s: no space left on device",
                 what);
    }
    mutex_unlock(&db->state_mu.lock);
    if (news)
        log_write(&db->log, VARVE_LOG_ERROR, "%s: no space left on device; trying again", what);
}

void db_space_back(struct varve_db *db, enum db_no_space_cause cause)
{
    if (db_state(db) != VARVE_STATE_NO_SPACE)
        return;
    mutex_lock(&db->state_mu.lock);
    db->state_mu.no_space_causes &= ~(unsigned)cause;
    bool over = db->state_mu.no_space_causes == 0 && db_state(db) == VARVE_STATE_NO_SPACE;
    if (over) {
        atomic_store_explicit(&db->state, VARVE_STATE_OK, memory_order_release);
        db->state_mu.reason[0] = '\0';
    }
    mutex_unlock(&db->state_mu.lock);
    if (over)
        log_write(&db->log, VARVE_LOG_WARNING, "there is space again");
}

bool db_space_probe(struct varve_db *db)
{
    uint64_t free_bytes = 0, total_bytes = 0;
    if (db_state(db) != VARVE_STATE_NO_SPACE)
        return false;
    enum varve_status status = env_space(db->env, db->dir, &free_bytes, &total_bytes);
    if (status == VARVE_OK && free_bytes >= SPACE_BACK_BYTES)
        db_space_back(db, DB_NO_SPACE_LOG);
    return db_state(db) == VARVE_STATE_NO_SPACE;
}

void db_read_only(struct varve_db *db, enum varve_status cause, const char *what)
{
    mutex_lock(&db->state_mu.lock);
    bool news = db_state(db) != VARVE_STATE_READ_ONLY;
    if (news) {
        atomic_store_explicit(&db->state, VARVE_STATE_READ_ONLY, memory_order_release);
        snprintf(db->state_mu.reason, sizeof db->state_mu.reason, "%s: %s", what,
                 varve_status_text(cause));
    }
    mutex_unlock(&db->state_mu.lock);
    if (news)
        log_write(&db->log, VARVE_LOG_ERROR,
                  "%s: %s; the store is read-only until it is opened anew", what,
                  varve_status_text(cause));
}

/* After a failed append: says whether it is sure that the edit did not happen. */
static enum varve_status edit_failed_locked(struct varve_db *db, enum varve_status status,
                                            bool begun)
{
    if (!db->manifest.mu.broken)
        return status;
    if (status == VARVE_NO_SPACE)
        db_no_space(db, DB_NO_SPACE_LOG, "writing the manifest");
    else
        db_read_only(db, status, "writing the manifest");
    if (!begun)
        return status;
    if (status != VARVE_NO_SPACE)
        return status_raise(VARVE_OUTCOME_UNKNOWN);
    return manifest_rotate_locked(&db->manifest) == VARVE_OK ? VARVE_NO_SPACE
                                                             : status_raise(VARVE_OUTCOME_UNKNOWN);
}

enum varve_status db_manifest_repair(struct varve_db *db)
{
    struct buf settled = {0};
    enum varve_status status = VARVE_OK;
    mutex_lock(&db->manifest.mu.lock);
    if (db->manifest.mu.broken)
        status = manifest_rotate_locked(&db->manifest);
    if (status == VARVE_OK) {
        settled = db->unsettled_tables;
        db->unsettled_tables = (struct buf){0};
    }
    mutex_unlock(&db->manifest.mu.lock);
    /* The manifest in force does not name them. */
    for (size_t at = 0; at < settled.size; at += sizeof(uint64_t))
        merge_remove_table(db, fixed64_decode(settled.data + at));
    buf_deinit(&settled);
    return status;
}

void db_outputs_drop(struct varve_db *db, const struct manifest_edit *edit,
                     enum varve_status failure)
{
    if (failure != VARVE_OUTCOME_UNKNOWN) {
        merge_remove_outputs(db, edit, 0);
        return;
    }
    mutex_lock(&db->manifest.mu.lock);
    for (size_t i = 0; i < edit->added_count; i++) {
        enum varve_status status =
            buf_append_fixed64(&db->unsettled_tables, edit->added[i].file_id);
        if (status != VARVE_OK) /* the next open removes it */
            log_write(&db->log, VARVE_LOG_WARNING, "table %llu is left behind",
                      (unsigned long long)edit->added[i].file_id);
    }
    mutex_unlock(&db->manifest.mu.lock);
}

void db_log_publish(struct varve_db *db)
{
    const struct manifest_state *state = &db->manifest.mu.state;
    uint64_t sealed_bytes = 0;
    for (size_t i = 0; i < state->sealed_count; i++)
        sealed_bytes += state->sealed[i].length;
    atomic_store(&db->log_figures.first_live_segment, state->first_live_segment);
    atomic_store(&db->log_figures.sealed_bytes, sealed_bytes);
}

void db_shape_publish(struct varve_db *db, const struct view *view)
{
    struct compaction_policy policy;
    compaction_policy_fill(db, COMPACTION_DUE, &policy);
    atomic_store(&db->waiting_memtables, view->waiting_count);
    atomic_store(&db->level0_runs, view->version->levels[0].run_count);
    size_t runs = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        runs += view->version->levels[l].run_count;
    atomic_store(&db->fold_pays, runs > 1 || compaction_has_moved(view->version, &policy));
    atomic_store(&db->garbage_due_s, compaction_garbage_due_s(view->version));
    stall_set_debt(db, compaction_debt_of(view->version, &policy, db->options.level0_stop));
}

/* Fills `view` and publishes it; gives the one before. `version` NULL: stays the same. */
static struct view *view_publish_locked(struct varve_db *db, struct view *view,
                                        struct version *version, struct memtable *active,
                                        const struct memtable *flushed)
{
    assert(mutex_is_held(&db->view.change));
    const struct view *now = db->view.rw.view; /* replaced under this lock alone */
    view_follow(view, now, version != NULL ? version : now->version, active, flushed);
    db_shape_publish(db, view);
    return view_slot_replace(&db->view, view);
}

enum varve_status db_activate(struct varve_db *db, struct memtable *active)
{
    struct view *view = NULL, *before = NULL;
    enum varve_status status = view_new(&view);
    if (status != VARVE_OK)
        return status;
    mutex_lock(&db->view.change);
    if (db->view.rw.view->waiting_count == VIEW_WAITING_MAX)
        status = status_raise(VARVE_BUSY);
    else
        before = view_publish_locked(db, view, NULL, active, NULL);
    mutex_unlock(&db->view.change);
    view_unref(status == VARVE_OK ? before : view);
    return status;
}

enum varve_status db_install(struct varve_db *db, struct manifest_edit *edit,
                             struct memtable *flushed)
{
    struct version *version = NULL;
    struct view *view = NULL, *before = NULL;

    mutex_lock(&db->manifest.mu.lock);
    edit->has_next_file_id = edit->has_next_run_id = true;
    edit->next_file_id = atomic_load_explicit(&db->manifest.next_file_id, memory_order_relaxed);
    edit->next_run_id = db->manifest.mu.state.next_run_id;
    enum varve_status status =
        manifest_state_prepare(&db->manifest.mu.state, edit, db->manifest.owner, &version, NULL);
    if (status == VARVE_OK)
        status = view_new(&view);
    if (status == VARVE_OK) {
        bool begun = false;
        status = manifest_log_locked(&db->manifest, edit, version, &begun);
        if (status != VARVE_OK)
            status = edit_failed_locked(db, status, begun);
    }
    if (status == VARVE_OK) {
        mutex_lock(&db->view.change);
        before = view_publish_locked(db, view, version, NULL, flushed);
        mutex_unlock(&db->view.change);
        version = NULL;     /* the manifest's now */
        db_log_publish(db); /* who sees that a flush is done finds its table in the view */
        view = NULL;
    }
    mutex_unlock(&db->manifest.mu.lock);
    view_unref(view);
    version_unref(version);
    view_unref(before);
    if (status == VARVE_OK)
        background_signal(db);
    return status;
}

/* The last version that named the table is gone. */
static void table_dropped(struct table_owner *owner, uint64_t file_id)
{
    struct varve_db *db =
        (struct varve_db *)(void *)((char *)owner - offsetof(struct varve_db, table_owner));
    removal_add(&db->removal, file_id);
}

/* Makes the directory if it may, and takes the lock before anything in it is read. */
static enum varve_status dir_open(struct varve_db *db, struct varve_error *ret_error)
{
    char path[FILENAME_BYTES_MAX], parent[FILENAME_BYTES_MAX];
    struct env_file_info info = {0};

    enum varve_status status = env_info(db->env, db->dir, &info);
    if (status == VARVE_NOT_FOUND && db->options.create_if_missing) {
        status = env_make_dir(db->env, db->dir);
        snprintf(parent, sizeof parent, "%s", db->dir);
        char *slash = strrchr(parent, '/');
        if (slash == NULL)
            snprintf(parent, sizeof parent, ".");
        else
            slash[slash == parent ? 1 : 0] = '\0';
        if (status == VARVE_OK)
            status = env_sync_dir(db->env, parent);
    } else if (status == VARVE_OK && !info.is_directory) {
        return error_set(ret_error, VARVE_INVALID, db->dir, STATUS_NO_OFFSET, "is not a directory");
    }
    if (status != VARVE_OK)
        return error_set(ret_error, status, db->dir, STATUS_NO_OFFSET,
                         status == VARVE_NOT_FOUND ? "there is no store here"
                                                   : "cannot make or read the directory");
    status = filename_path(path, db->dir, FILE_LOCK, 0);
    if (status == VARVE_OK)
        status = env_lock_file(db->env, path, &db->lock_file);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET,
                         status == VARVE_LOCKED ? "another process has this store open"
                                                : "cannot take the lock");
    return VARVE_OK;
}

static enum varve_status parts_new(struct varve_db *db)
{
    const struct varve_options *options = &db->options;
    const struct thread_pool_options workers = {
        .name = "varve-work",
        .urgent_workers = db->stepped ? 0 : URGENT_WORKERS,
        .patient_workers = db->stepped ? 0 : options->compaction_workers,
        .patient_nice = MERGE_NICE,
    };
    enum varve_status status = manifest_state_init(&db->manifest.mu.state);
    if (status == VARVE_OK)
        status = thread_pool_new(&workers, &db->pool);
    if (status == VARVE_OK)
        status = memtable_pool_new(
            limits_chunk_bytes(options), limits_resting_bytes(options, &db->memory),
            options->memtable_bytes / MEMTABLE_FILTER_FRACTION, &db->memory, &db->memtables);
    if (status == VARVE_OK && !db->stepped)
        memtable_pool_work_ahead(db->memtables, db->pool);
    if (status == VARVE_OK)
        status =
            block_cache_new(options->block_cache_bytes, limits_cache_bytes(options, &db->memory),
                            &db->memory, &db->blocks);
    if (status == VARVE_OK)
        status =
            table_cache_new(db->env, db->dir, limits_open_tables(options), db->blocks, &db->tables);
    return status;
}

static struct varve_db *db_new(const struct varve_options *options, struct env *env, bool stepped)
{
    struct varve_db *db = calloc(1, sizeof *db);
    if (db == NULL)
        return NULL;
    db->env = env;
    db->options = *options;
    db->stepped = stepped;
    db->log = (struct log){.write = options->log, .context = options->log_context};
    db->table_owner.dropped = table_dropped;
    mutex_init(&db->state_mu.lock);
    snapshots_init(&db->snapshots);
    view_slot_init(&db->view);
    manifest_init(&db->manifest, env, db->dir, &db->table_owner);
    wal_set_init(&db->wal);
    stall_init(&db->stall);
    commit_init(&db->commit);
    compaction_board_init(&db->merges);
    memory_budget_init(&db->memory, limits_memory_bytes(options));
    memory_budget_attach(&db->memory, MEMORY_QUEUE, &db->commit.queue.held_bytes);
    db->write_queue_bytes = limits_queue_bytes(options);
    background_init(&db->background, db);
    removal_init(&db->removal, db);
    return db;
}

/* Takes down whatever stands. */
static void db_free(struct varve_db *db)
{
    removal_close(&db->removal);
    thread_pool_free(db->pool);
    view_slot_deinit(&db->view);
    manifest_deinit(&db->manifest);
    buf_deinit(&db->unsettled_tables);
    compaction_board_deinit(&db->merges);
    table_cache_free(db->tables);
    block_cache_free(db->blocks);
    memtable_pool_free(db->memtables);
    background_deinit(&db->background);
    removal_deinit(&db->removal);
    commit_deinit(&db->commit);
    stall_deinit(&db->stall);
    memory_budget_deinit(&db->memory);
    wal_set_deinit(&db->wal);
    snapshots_deinit(&db->snapshots);
    mutex_deinit(&db->state_mu.lock);
    if (db->lock_file != NULL)
        env_unlock_file(db->env, db->lock_file);
    free(db);
}

enum varve_status db_open(const char *path, const struct varve_options *options, struct env *env,
                          bool stepped, struct varve_db **ret_db, struct varve_error *ret_error)
{
    struct varve_options standard;
    if (options == NULL) {
        varve_options_init(&standard);
        options = &standard;
    }
    enum varve_status status = varve_options_check(options, ret_error);
    if (status != VARVE_OK)
        return status;
    struct varve_db *db = db_new(options, env, stepped);
    if (db == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, path, STATUS_NO_OFFSET, "out of memory");
    int length = snprintf(db->dir, sizeof db->dir, "%s", path);
    if (length <= 0 || (size_t)length >= sizeof db->dir) {
        status = error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                           "the directory's name is empty or too long");
        goto out;
    }
    status = parts_new(db);
    if (status != VARVE_OK) {
        status =
            error_set(ret_error, status, path, STATUS_NO_OFFSET, "%s", varve_status_text(status));
        goto out;
    }
    status = dir_open(db, ret_error);
    if (status == VARVE_OK)
        status = recovery_run(db, ret_error);
    if (status == VARVE_OK && !stepped)
        status = commit_start(db);
    if (status != VARVE_OK)
        goto out;
    background_schedule_compaction(db);
    *ret_db = db;
    return VARVE_OK;
out:
    db_free(db);
    return status;
}

enum varve_status varve_open(const char *path, const struct varve_options *options,
                             struct varve_db **ret_db, struct varve_error *ret_error)
{
    return db_open(path, options, env_posix(), false, ret_db, ret_error);
}

/* Says on disk that nothing is missing: the log synced, sealed, and marked clean. */
static enum varve_status seal_clean(struct varve_db *db)
{
    struct manifest_edit edit = {0};
    struct wal_writer *writer = &db->wal.writer;

    mutex_lock(&db->wal.lock);
    enum varve_status status = VARVE_OK;
    if (db_state(db) == VARVE_STATE_READ_ONLY)
        status = VARVE_READ_ONLY;
    else if (db->wal.must_switch)
        status = VARVE_NO_SPACE;
    if (status == VARVE_OK)
        status = wal_seal(db);
    if (status == VARVE_OK && writer->synced_offset < writer->offset)
        status = wal_writer_sync(writer);
    edit.has_clean_shutdown = edit.clean_shutdown = true;
    edit.has_last_sequence = edit.has_store_time = true;
    edit.last_sequence = db->wal.last_sequence;
    edit.store_time_ms = db_store_time_ms(db);
    if (status == VARVE_OK)
        status = manifest_edit_add_sealed(&edit, writer->segment_id, writer->offset);
    if (status == VARVE_OK)
        status = db_install(db, &edit, NULL);
    mutex_unlock(&db->wal.lock);
    manifest_edit_deinit(&edit);
    return status;
}

enum varve_status varve_close(struct varve_db *db)
{
    if (db == NULL)
        return VARVE_OK;
    commit_stop(db);
    atomic_store_explicit(&db->interrupted, false, memory_order_relaxed); /* this wait is ours */
    enum varve_status status = varve_flush(db, true);
    background_stop(db);
    enum varve_status sealed = seal_clean(db);
    if (status == VARVE_OK)
        status = sealed;
    if (status != VARVE_OK)
        log_write(&db->log, VARVE_LOG_WARNING, "closing %s: %s", db->dir,
                  varve_status_text(status));
    db_free(db);
    return status;
}

void db_abandon(struct varve_db *db)
{
    commit_stop(db);
    background_stop(db);
    db_free(db);
}

bool db_step(struct varve_db *db)
{
    return thread_pool_step(db->pool);
}

void db_idle(struct varve_db *db)
{
    commit_idle(db);
    (void)background_retry(db);
}

/* Whether the content of segments up to `segment_id` is in tables; or why it will not come to that.
 */
static enum varve_status flush_is_done(struct varve_db *db, uint64_t segment_id, bool *ret_done)
{
    *ret_done = atomic_load(&db->log_figures.first_live_segment) > segment_id;
    if (*ret_done)
        return VARVE_OK;
    if (db_state(db) == VARVE_STATE_READ_ONLY)
        return status_raise(VARVE_READ_ONLY);
    mutex_lock(&db->background.mu.lock);
    enum varve_status status = db->background.mu.flush_failure;
    bool trying = db->background.mu.flush.queued;
    if (!trying && status == VARVE_OK && db->background.mu.closing)
        status = VARVE_CLOSED;
    mutex_unlock(&db->background.mu.lock);
    return trying ? VARVE_OK : status;
}

void varve_interrupt(struct varve_db *db)
{
    atomic_store_explicit(&db->interrupted, true, memory_order_relaxed);
    background_signal(db);
}

enum varve_status db_check_interrupted(struct varve_db *db)
{
    return atomic_load_explicit(&db->interrupted, memory_order_relaxed) ? VARVE_CLOSED : VARVE_OK;
}

enum varve_status db_flush_begin(struct varve_db *db, uint64_t *ret_segment_id)
{
    enum varve_status status = VARVE_OK;

    mutex_lock(&db->wal.lock);
    uint64_t segment_id = db->wal.writer.segment_id;
    bool empty = memtable_entries(db->wal.memtable) == 0;
    if (!empty)
        status = commit_make_room_locked(db, true, NULL);
    mutex_unlock(&db->wal.lock);
    if (status != VARVE_OK)
        return status;
    if (empty)
        segment_id--;
    background_schedule_flush(db);
    *ret_segment_id = segment_id;
    return VARVE_OK;
}

enum varve_status db_flush_wait(struct varve_db *db, uint64_t segment_id)
{
    for (;;) {
        bool done = false;
        enum varve_status status = flush_is_done(db, segment_id, &done);
        if (status == VARVE_OK && !done)
            status = db_check_interrupted(db);
        if (status != VARVE_OK || done)
            return status;
        if (!background_wait(db, 100))
            return status_raise(VARVE_BUSY);
    }
}

enum varve_status varve_flush(struct varve_db *db, bool wait)
{
    uint64_t segment_id = 0;
    enum varve_status status = db_flush_begin(db, &segment_id);
    return status == VARVE_OK && wait ? db_flush_wait(db, segment_id) : status;
}

enum varve_status varve_compact(struct varve_db *db, bool wait)
{
    return background_merge_range(db, varve_slice(NULL, 0), varve_slice(NULL, 0), wait);
}

enum varve_status varve_compact_range(struct varve_db *db, struct varve_slice start,
                                      struct varve_slice end, bool wait)
{
    if (start.size > VARVE_KEY_BYTES_MAX || end.size > VARVE_KEY_BYTES_MAX ||
        (end.size > 0 && varve_slice_compare(start, end) >= 0))
        return status_raise(VARVE_INVALID);
    return background_merge_range(db, start, end, wait);
}

static enum varve_status store_remove_files(struct env *env, const char *dir,
                                            struct varve_error *ret_error)
{
    static const enum file_kind kinds[] = {FILE_MANIFEST, FILE_WAL, FILE_TABLE};
    struct recovery_scan scan = {0};
    char path[FILENAME_BYTES_MAX];

    enum varve_status status = recovery_scan_read(env, dir, &scan);
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir, STATUS_NO_OFFSET, "listing failed: %s",
                         varve_status_text(status));
    const struct id_list *lists[] = {&scan.manifests, &scan.segments, &scan.tables};
    /* CURRENT goes first: what is left of an interrupted removal is no store any more. */
    if (scan.has_current) {
        status = filename_path(path, dir, FILE_CURRENT, 0);
        if (status == VARVE_OK)
            status = env_remove(env, path);
    }
    if (status == VARVE_OK && scan.has_current_temporary) {
        status = filename_path(path, dir, FILE_CURRENT_TEMPORARY, 0);
        if (status == VARVE_OK)
            status = env_remove(env, path);
    }
    for (size_t k = 0; status == VARVE_OK && k < sizeof kinds / sizeof kinds[0]; k++)
        for (size_t i = 0; status == VARVE_OK && i < lists[k]->count; i++) {
            status = filename_path(path, dir, kinds[k], lists[k]->ids[i]);
            if (status == VARVE_OK)
                status = env_remove(env, path);
        }
    recovery_scan_deinit(&scan);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET, "cannot remove: %s",
                         varve_status_text(status));
    return VARVE_OK;
}

enum varve_status db_destroy(const char *path, struct env *env, struct varve_error *ret_error)
{
    char lock_path[FILENAME_BYTES_MAX];
    struct env_lock *lock = NULL;
    struct env_file_info info = {0};

    enum varve_status status = env_info(env, path, &info);
    if (status == VARVE_OK)
        status = filename_path(lock_path, path, FILE_LOCK, 0);
    if (status == VARVE_OK)
        status = env_lock_file(env, lock_path, &lock);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET, "%s",
                         status == VARVE_LOCKED ? "the store is open" : varve_status_text(status));
    status = store_remove_files(env, path, ret_error);
    if (status == VARVE_OK)
        status = env_remove(env, lock_path);
    env_unlock_file(env, lock);
    if (status != VARVE_OK)
        return status;
    /* With something else, or lost/, in it the directory stays, which is no failure. */
    enum varve_status removed = env_remove_dir(env, path);
    (void)removed;
    return VARVE_OK;
}

enum varve_status varve_destroy(const char *path, struct varve_error *ret_error)
{
    return db_destroy(path, env_posix(), ret_error);
}
