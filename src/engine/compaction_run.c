/*
 * A merge reads a version that it pins and writes files that nobody knows; the edit at its end
 * decides. Flushes that come meanwhile add runs to level 0 which the plan does not hold: they stay;
 * so does what other merges do, see "Merges side by side" in DESIGN.md.
 */
#include "engine/compaction_run.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/db.h"
#include "engine/merge.h"
#include "engine/merge_iterator.h"
#include "engine/table_verify.h"

struct compaction {
    struct varve_db *db;
    struct version *version; /* pinned */
    struct compaction_plan plan;
    struct snapshots_keep keep;
    uint64_t bytes_read;
    struct manifest_edit edit;
};

static bool older_may_hold(void *context, struct varve_slice user_key)
{
    const struct compaction *compaction = context;
    return compaction_older_may_hold(compaction->version, &compaction->plan, user_key);
}

static bool cancelled(void *context)
{
    const struct compaction *compaction = context;
    return background_is_closing(compaction->db);
}

static enum varve_status input_open(struct compaction *compaction,
                                    struct entry_iterator **ret_input)
{
    size_t count = compaction->plan.source_count;
    struct entry_iterator **children = calloc(count, sizeof(struct entry_iterator *));
    if (children == NULL)
        return status_raise(VARVE_NO_MEMORY);
    enum varve_status status = VARVE_OK;
    size_t opened = 0;
    while (status == VARVE_OK && opened < count) {
        status = run_iterator_new(compaction->db->tables, &compaction->plan.sources[opened].run,
                                  false, &children[opened]);
        if (status == VARVE_OK)
            opened++;
    }
    if (status == VARVE_OK)
        status = merge_iterator_new(children, count, ret_input);
    else
        while (opened > 0)
            entry_iterator_free(children[--opened]);
    free(children);
    return status;
}

static void times_gather(const struct compaction_plan *plan, struct merge_job *job)
{
    job->time_min_ms = UINT64_MAX;
    for (size_t s = 0; s < plan->source_count; s++) {
        for (size_t t = 0; t < plan->sources[s].run.table_count; t++) {
            const struct manifest_table *meta = &plan->sources[s].run.tables[t]->meta;
            if (meta->time_min_ms < job->time_min_ms)
                job->time_min_ms = meta->time_min_ms;
            if (meta->time_max_ms > job->time_max_ms)
                job->time_max_ms = meta->time_max_ms;
        }
    }
}

static enum varve_status compaction_merge(struct compaction *compaction)
{
    struct merge_job job = {
        .db = compaction->db,
        .keep = compaction->keep,
        .level = compaction->plan.output_level,
        .run_id = compaction->plan.output_run_id,
        .table_bytes = compaction->plan.output_bytes,
        .cuts = compaction->plan.cuts,
        .cut_count = compaction->plan.cut_count,
        .cut_bytes = compaction->plan.cut_bytes,
        .cut_mask = compaction->plan.cut_mask,
        .older_may_hold = older_may_hold,
        .cancelled = cancelled,
        .context = compaction,
    };
    times_gather(&compaction->plan, &job);
    enum varve_status status = input_open(compaction, &job.input);
    if (status != VARVE_OK)
        return status;
    status = merge_run(&job, &compaction->edit);
    entry_iterator_free(job.input);
    return status;
}

/* Every output is opened and checked, index, filter and all, before anything depends on it. */
static enum varve_status outputs_verify(struct compaction *compaction)
{
    struct varve_db *db = compaction->db;
    enum varve_status status = VARVE_OK;

    for (size_t i = 0; status == VARVE_OK && i < compaction->edit.added_count; i++) {
        const struct manifest_table *meta = &compaction->edit.added[i];
        char path[FILENAME_BYTES_MAX];
        struct sstable_reader *reader = NULL;
        struct varve_error error = {0};
        status = filename_path(path, db->dir, FILE_TABLE, meta->file_id);
        if (status == VARVE_OK)
            status = sstable_reader_open(db->env, path, meta->file_id, meta->file_bytes, &reader,
                                         &error);
        if (status == VARVE_OK)
            status = sstable_reader_load_filter(reader, true, &error);
        if (status == VARVE_OK &&
            sstable_reader_properties(reader)->entry_count != meta->entry_count)
            status = status_raise(VARVE_CORRUPT);
        if (status != VARVE_OK)
            log_write(&db->log, VARVE_LOG_ERROR, "a merge's output %s is not sound: %s", path,
                      error.text);
        sstable_reader_free(reader);
    }
    return status;
}

static enum varve_status edit_remove_inputs(struct compaction *compaction)
{
    for (size_t s = 0; s < compaction->plan.source_count; s++) {
        const struct compaction_source *source = &compaction->plan.sources[s];
        for (size_t t = 0; t < source->run.table_count; t++) {
            enum varve_status status = manifest_edit_remove_table(
                &compaction->edit, source->level, source->run.tables[t]->meta.file_id);
            if (status != VARVE_OK)
                return status;
            compaction->bytes_read += source->run.tables[t]->meta.file_bytes;
        }
    }
    return VARVE_OK;
}

static enum varve_status edit_move_inputs(struct compaction *compaction)
{
    for (size_t s = 0; s < compaction->plan.source_count; s++) {
        const struct compaction_source *source = &compaction->plan.sources[s];
        for (size_t t = 0; t < source->run.table_count; t++) {
            struct manifest_table table = source->run.tables[t]->meta;
            table.level = compaction->plan.output_level;
            table.run_id = compaction->plan.output_run_id;
            enum varve_status status = manifest_edit_add_table(&compaction->edit, &table);
            if (status != VARVE_OK)
                return status;
        }
    }
    return VARVE_OK;
}

static void compaction_account(const struct compaction *compaction, uint64_t began_us)
{
    struct varve_db *db = compaction->db;
    uint64_t now_us = env_mono_us(db->env);
    uint64_t written = 0;

    if (compaction->plan.move) {
        COUNT(db->counters.trivial_moves, 1);
        return;
    }
    for (size_t i = 0; i < compaction->edit.added_count; i++)
        written += compaction->edit.added[i].file_bytes;
    struct db_compaction_counters *counters =
        &db->counters.compactions[compaction->plan.output_level][compaction->plan.reason];
    COUNT(counters->count, 1);
    COUNT(counters->bytes_read, compaction->bytes_read);
    COUNT(counters->bytes_written, written);
    COUNT(counters->us, now_us - began_us);
    histogram_record(&db->latencies[VARVE_LATENCY_COMPACTION], now_us - began_us);
    log_write(
        &db->log, VARVE_LOG_INFO,
        "merged %zu tables of %zu runs into %zu tables of level %u: %llu to %llu bytes, %llu ms",
        compaction->edit.removed_count, compaction->plan.source_count, compaction->edit.added_count,
        compaction->plan.output_level, (unsigned long long)compaction->bytes_read,
        (unsigned long long)written, (unsigned long long)(now_us - began_us) / 1000);
}

static enum varve_status compaction_carry_out(struct compaction *compaction)
{
    struct varve_db *db = compaction->db;
    uint64_t began_us = env_mono_us(db->env);
    bool written = false;

    enum varve_status status = db_manifest_repair(db);
    if (status != VARVE_OK)
        return status;
    if (compaction->plan.move) {
        status = edit_move_inputs(compaction);
    } else {
        status = compaction_merge(compaction);
        written = status == VARVE_OK;
        if (written)
            status = outputs_verify(compaction);
    }
    if (status == VARVE_OK)
        status = edit_remove_inputs(compaction);
    /* What was judged expired must stay so: the time it was judged at is persisted with it. */
    compaction->edit.has_store_time = true;
    compaction->edit.store_time_ms = db_store_time_ms(db);
    if (status == VARVE_OK)
        status = db_install(db, &compaction->edit, NULL);
    if (status == VARVE_OK)
        compaction_account(compaction, began_us);
    else if (written)
        db_outputs_drop(db, &compaction->edit, status);
    return status;
}

static void compaction_report(struct varve_db *db, enum varve_status status)
{
    if (status == VARVE_IO)
        db_read_only(db, status, "merging tables");
    else if (status != VARVE_CLOSED)
        log_write(&db->log, VARVE_LOG_WARNING, "merging tables: %s; the inputs stay",
                  varve_status_text(status));
}

/* An input is damaged: says where. The merge only knows that it met damage. */
static void damage_report(const struct compaction *compaction)
{
    struct varve_db *db = compaction->db;
    for (size_t s = 0; s < compaction->plan.source_count; s++) {
        const struct run *run = &compaction->plan.sources[s].run;
        for (size_t t = 0; t < run->table_count && !background_is_closing(db); t++) {
            struct varve_error error = {0};
            uint64_t blocks = 0;
            if (table_verify(db->env, db->dir, &run->tables[t]->meta, &blocks, &error) == VARVE_OK)
                continue;
            log_write(&db->log, VARVE_LOG_ERROR, "%s: %s", error.path, error.text);
            return;
        }
    }
}

void compaction_policy_fill(struct varve_db *db, enum compaction_mode mode,
                            struct compaction_policy *policy)
{
    *policy = (struct compaction_policy){
        .style = db->options.compaction,
        .level0_trigger = db->options.level0_trigger,
        .max_levels = db->options.max_levels,
        .level_multiplier = db->options.level_multiplier,
        .memtable_bytes = db->options.memtable_bytes,
        .table_bytes = db->options.table_bytes,
        .mode = mode,
        .compression = merge_compression(db->options.compression),
        .compression_bottom = merge_compression(db->options.compression_bottom),
    };
}

void compaction_board_init(struct compaction_board *board)
{
    *board = (struct compaction_board){0};
    mutex_init(&board->lock);
}

void compaction_board_deinit(struct compaction_board *board)
{
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        buf_deinit(&board->cursors[l]);
    mutex_deinit(&board->lock);
}

/* The version is taken under the lock: it has all that merges brought which are no longer on the
 * board. */
static enum varve_status compaction_plan_locked(struct compaction *compaction,
                                                const struct compaction_task *task,
                                                struct view **ret_view, bool *ret_alone)
{
    struct varve_db *db = compaction->db;
    struct compaction_board *board = &db->merges;
    struct compaction_policy policy;
    uint64_t sequence = 0;

    assert(mutex_is_held(&board->lock));
    *ret_view = view_slot_acquire(&db->view, &db->visible, &sequence);
    compaction->version = (*ret_view)->version;
    version_ref(compaction->version);
    compaction->keep = snapshots_keep(&db->snapshots, &db->visible, db_store_time_ms(db));
    compaction_policy_fill(db, task->mode, &policy);
    policy.start = task->start;
    policy.end = task->end;
    policy.asked_sequence = task->asked_sequence;
    policy.asked_time_ms = task->asked_time_ms;
    policy.keep = compaction->keep;
    policy.running = board->running;
    policy.running_count = board->running_count;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        policy.cursors[l] = buf_slice(&board->cursors[l]);
    bool held_up = false;
    policy.held_up = &held_up;
    enum varve_status status =
        compaction_plan_make(compaction->version, &policy, &compaction->plan);
    *ret_alone = !held_up && !compaction_runs_wanted(&policy);
    if (status != VARVE_OK || compaction->plan.source_count == 0)
        return status;
    if (compaction->plan.output_run_id == 0)
        compaction->plan.output_run_id = manifest_new_run_id(&db->manifest);
    assert(board->running_count < VARVE_COMPACTION_WORKERS_MAX);
    board->running[board->running_count++] = &compaction->plan;
    return VARVE_OK;
}

static void compaction_free(struct compaction *compaction)
{
    manifest_edit_deinit(&compaction->edit);
    compaction_plan_deinit(&compaction->plan);
    version_unref(compaction->version);
    free(compaction);
}

enum varve_status compaction_begin(struct varve_db *db, const struct compaction_task *task,
                                   struct compaction **ret_compaction, bool *ret_alone)
{
    enum varve_status status = VARVE_OK;
    struct view *view = NULL;
    struct compaction *compaction = calloc(1, sizeof *compaction);
    if (compaction == NULL)
        return status_raise(VARVE_NO_MEMORY);
    compaction->db = db;
    mutex_lock(&db->merges.lock);
    *ret_alone = db->merges.running_count == 0;
    if (db_state(db) != VARVE_STATE_READ_ONLY)
        status = compaction_plan_locked(compaction, task, &view, ret_alone);
    mutex_unlock(&db->merges.lock);
    view_unref(view); /* the version alone: the view would keep its memtables in memory */
    if (status != VARVE_OK)
        compaction_report(db, status);
    bool planned = status == VARVE_OK && compaction->plan.source_count > 0;
    if (!planned)
        compaction_free(compaction);
    *ret_compaction = planned ? compaction : NULL;
    return status;
}

/* The next merge out of the same level begins behind this one. */
static enum varve_status cursor_advance_locked(struct varve_db *db,
                                               const struct compaction_plan *plan)
{
    const struct compaction_source *source = &plan->sources[0];
    if (db->options.compaction != VARVE_COMPACTION_LEVELED || source->level == 0)
        return VARVE_OK;
    return buf_assign(
        &db->merges.cursors[source->level],
        entry_user_key(table_largest(source->run.tables[source->run.table_count - 1])));
}

static void board_remove_locked(struct compaction_board *board, const struct compaction_plan *plan)
{
    size_t i = 0;
    while (board->running[i] != plan)
        i++;
    board->running[i] = board->running[--board->running_count];
}

enum varve_status compaction_finish(struct compaction *compaction)
{
    struct varve_db *db = compaction->db;
    enum varve_status status = compaction_carry_out(compaction);

    mutex_lock(&db->merges.lock);
    if (status == VARVE_OK)
        status = cursor_advance_locked(db, &compaction->plan);
    board_remove_locked(&db->merges, &compaction->plan);
    mutex_unlock(&db->merges.lock);
    if (status != VARVE_OK)
        compaction_report(db, status);
    if (status == VARVE_CORRUPT)
        damage_report(compaction);
    compaction_free(compaction);
    return status;
}
