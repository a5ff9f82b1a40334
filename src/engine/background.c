/*
 * A job that is scheduled while it runs may have looked already, so it is told to look again when
 * it is done, under the same lock under which a scheduler finds it busy: no call is lost.
 *
 * Merges: a call for one queues an idle slot, unless a queued one is still to look. A look that
 * finds a merge queues another look before it carries it out, and looks again after it. So as many
 * run as there are, up to the slots, and the last that ends finds nothing. One that failed would
 * find the same again: the next look is due a while later.
 */
#include "engine/background.h"

#include <stdlib.h>

#include "engine/compaction_run.h"
#include "engine/db.h"
#include "engine/flush.h"

#define BACKGROUND_RETRY_US ((uint64_t)500000)
/* Damage seldom goes away, and finding it again means reading as much. */
#define BACKGROUND_DAMAGE_RETRY_US ((uint64_t)60000000)

/* So long without a commit, and the tiers are folded. */
#define BACKGROUND_IDLE_US ((uint64_t)5000000)

static void flush_job_run(struct thread_job *job);
static void log_job_run(struct thread_job *job);
static void compaction_job_run(struct thread_job *job);

void background_init(struct background *background, struct varve_db *db)
{
    *background = (struct background){.db = db};
    mutex_init(&background->mu.lock);
    cond_init(&background->mu.progress);
    background->flush_job = (struct thread_job){.run = flush_job_run, .kind = THREAD_JOB_URGENT};
    background->log_job = (struct thread_job){.run = log_job_run, .kind = THREAD_JOB_URGENT};
    background->slot_count = db->stepped ? 1 : db->options.compaction_workers;
    for (size_t i = 0; i < background->slot_count; i++)
        background->mu.compactions[i] = (struct compaction_slot){
            .db = db, .job = {.run = compaction_job_run, .kind = THREAD_JOB_PATIENT}};
}

void background_deinit(struct background *background)
{
    cond_deinit(&background->mu.progress);
    mutex_deinit(&background->mu.lock);
}

static void job_schedule(struct varve_db *db, struct background_job_state *state,
                         struct thread_job *job)
{
    struct background *background = &db->background;
    mutex_lock(&background->mu.lock);
    bool submit = !state->queued && !background->mu.closing;
    state->again = state->queued;
    if (submit)
        state->queued = true;
    mutex_unlock(&background->mu.lock);
    if (submit)
        thread_pool_submit(db->pool, job);
}

void background_schedule_flush(struct varve_db *db)
{
    job_schedule(db, &db->background.mu.flush, &db->background.flush_job);
}

void background_schedule_log(struct varve_db *db)
{
    job_schedule(db, &db->background.mu.log, &db->background.log_job);
}

/* A slot that is to look for a merge; NULL when one is going to anyway, or none is free. */
static struct compaction_slot *slot_take_locked(struct background *background)
{
    struct compaction_slot *idle = NULL;
    if (background->mu.closing)
        return NULL;
    for (size_t i = 0; i < background->slot_count; i++) {
        struct compaction_slot *slot = &background->mu.compactions[i];
        if (slot->state == COMPACTION_SLOT_QUEUED)
            return NULL;
        if (slot->state == COMPACTION_SLOT_IDLE && idle == NULL)
            idle = slot;
    }
    if (idle != NULL)
        idle->state = COMPACTION_SLOT_QUEUED;
    else
        background->mu.compaction_again = true;
    return idle;
}

void background_schedule_compaction(struct varve_db *db)
{
    mutex_lock(&db->background.mu.lock);
    struct compaction_slot *slot = slot_take_locked(&db->background);
    mutex_unlock(&db->background.mu.lock);
    if (slot != NULL)
        thread_pool_submit(db->pool, &slot->job);
}

static struct background *background_of_flush(struct thread_job *job)
{
    return (struct background *)(void *)((char *)job - offsetof(struct background, flush_job));
}

static void retry_later_locked(struct background *background, enum varve_status failure)
{
    uint64_t wait_us = failure == VARVE_CORRUPT ? BACKGROUND_DAMAGE_RETRY_US : BACKGROUND_RETRY_US;
    uint64_t at_us = env_mono_us(background->db->env) + wait_us;
    if (background->mu.retry_at_us == 0 || at_us < background->mu.retry_at_us)
        background->mu.retry_at_us = at_us;
}

/* Nothing was committed for a while. */
static bool store_is_idle(struct varve_db *db)
{
    uint64_t last_us = atomic_load_explicit(&db->last_commit_us, memory_order_relaxed);
    return env_mono_us(db->env) >= last_us + BACKGROUND_IDLE_US;
}

static void flush_job_run(struct thread_job *job)
{
    struct background *background = background_of_flush(job);
    struct varve_db *db = background->db;
    bool flushed = false;
    enum varve_status status = flush_oldest(db, &flushed);
    bool again = status == VARVE_OK && flushed;

    mutex_lock(&background->mu.lock);
    background->mu.flush_failure = status;
    again = (again || background->mu.flush.again) && !background->mu.closing;
    background->mu.flush.queued = again;
    background->mu.flush.again = false;
    if (status != VARVE_OK)
        retry_later_locked(background, status);
    cond_broadcast(&background->mu.progress);
    mutex_unlock(&background->mu.lock);
    if (again)
        thread_pool_submit(db->pool, job);
    if (status != VARVE_OK || flushed)
        commit_nudge(db);
    if (flushed)
        background_schedule_compaction(db);
}

static struct background *background_of_log(struct thread_job *job)
{
    return (struct background *)(void *)((char *)job - offsetof(struct background, log_job));
}

static void log_job_run(struct thread_job *job)
{
    struct background *background = background_of_log(job);
    wal_work(background->db);

    mutex_lock(&background->mu.lock);
    bool again = background->mu.log.again && !background->mu.closing;
    background->mu.log.queued = again;
    background->mu.log.again = false;
    cond_broadcast(&background->mu.progress);
    mutex_unlock(&background->mu.lock);
    if (again)
        thread_pool_submit(background->db->pool, job);
}

static void manual_drop_locked(struct manual_merge *merge)
{
    if (--merge->references > 0)
        return;
    buf_deinit(&merge->start);
    buf_deinit(&merge->end);
    free(merge);
}

/* Takes `merge` out of the queue if it is the first there, else it is out already. */
static void manual_end_locked(struct background *background, struct manual_merge *merge,
                              enum varve_status status)
{
    if (background->mu.manual != merge)
        return;
    background->mu.manual = merge->next;
    merge->next = NULL;
    merge->done = true;
    merge->status = status;
    manual_drop_locked(merge);
}

/* Once all that it is for is in tables. */
static bool manual_is_ready(struct varve_db *db, const struct manual_merge *merge)
{
    return merge != NULL && atomic_load(&db->log_figures.first_live_segment) > merge->segment_id;
}

/* What to look for next. While writers are held up, every other look goes by what is due, for a
 * merge by hand of a part may leave level 0 as it is. */
static struct compaction_task task_choose_locked(struct background *background,
                                                 struct manual_merge **ret_manual)
{
    struct varve_db *db = background->db;
    struct manual_merge *merge = background->mu.manual;
    struct compaction_task task = {.mode = COMPACTION_DUE};
    if (!manual_is_ready(db, merge)) {
        task.mode = background->mu.fold ? COMPACTION_FOLD : COMPACTION_DUE;
        return task;
    }
    bool behind = atomic_load_explicit(&db->stall.debt_percent, memory_order_relaxed) > 0;
    background->mu.manual_passed = behind && !background->mu.manual_passed;
    if (background->mu.manual_passed)
        return task;
    merge->begun = true;
    merge->references++;
    *ret_manual = merge;
    task.mode = COMPACTION_EVERYTHING;
    task.start = buf_slice(&merge->start);
    task.end = buf_slice(&merge->end);
    task.asked_sequence = merge->sequence;
    task.asked_time_ms = merge->time_ms;
    return task;
}

/* What a look for a merge came to. */
struct look {
    struct compaction_task task;
    struct manual_merge *manual; /* that it was for, referenced; NULL: for none */
    bool found, alone;           /* a merge; nothing ran that may be part of the task */
    enum varve_status status;
};

/* True when there may be more to do. */
static bool look_account_locked(struct background *background, const struct look *look)
{
    bool nothing_left = !look->found && look->alone && look->status == VARVE_OK;
    bool failed = look->status != VARVE_OK && look->status != VARVE_CLOSED;
    if (failed || (look->status == VARVE_OK && (look->found || nothing_left)))
        background->mu.compaction_failure = look->status;
    if (failed)
        retry_later_locked(background, look->status);
    if (look->manual != NULL) {
        if (look->status != VARVE_OK || nothing_left)
            manual_end_locked(background, look->manual, look->status);
        manual_drop_locked(look->manual);
    }
    if (look->task.mode == COMPACTION_FOLD &&
        (look->status != VARVE_OK || nothing_left || !store_is_idle(background->db)))
        background->mu.fold = false;
    if (look->found && look->status == VARVE_OK)
        return true;
    /* While others run, the last of them looks for what waits. */
    return manual_is_ready(background->db, background->mu.manual) && (look->found || look->alone);
}

/* Whether the slot that ends is to look again. What others asked for meanwhile waits with the rest
 * when the look failed; but one by hand that failed is over, and they may find something else. */
static bool look_again_locked(struct background *background, const struct look *look)
{
    bool again = look_account_locked(background, look);
    bool by_hand = look->task.mode == COMPACTION_EVERYTHING;
    if (look->status == VARVE_OK || (by_hand && look->status != VARVE_CLOSED))
        again = again || background->mu.compaction_again;
    background->mu.compaction_again = false;
    return again;
}

static void look_carry_out(struct varve_db *db, struct look *look, struct compaction *compaction)
{
    struct background *background = &db->background;
    mutex_lock(&background->mu.lock);
    background->mu.compactions_running++;
    mutex_unlock(&background->mu.lock);
    background_schedule_compaction(db); /* another may run beside it */
    look->status = compaction_finish(compaction);
    mutex_lock(&background->mu.lock);
    background->mu.compactions_running--;
    mutex_unlock(&background->mu.lock);
}

static void compaction_job_run(struct thread_job *job)
{
    struct compaction_slot *slot =
        (struct compaction_slot *)(void *)((char *)job - offsetof(struct compaction_slot, job));
    struct varve_db *db = slot->db;
    struct background *background = &db->background;
    struct compaction *compaction = NULL;
    struct look look = {.alone = true, .status = VARVE_CLOSED};

    mutex_lock(&background->mu.lock);
    slot->state = COMPACTION_SLOT_BUSY;
    bool closing = background->mu.closing;
    if (!closing)
        look.task = task_choose_locked(background, &look.manual);
    mutex_unlock(&background->mu.lock);
    if (!closing)
        look.status = compaction_begin(db, &look.task, &compaction, &look.alone);
    look.found = compaction != NULL;
    if (look.found)
        look_carry_out(db, &look, compaction);

    mutex_lock(&background->mu.lock);
    bool again = look_again_locked(background, &look);
    slot->state = COMPACTION_SLOT_IDLE;
    slot = again ? slot_take_locked(background) : NULL;
    cond_broadcast(&background->mu.progress);
    mutex_unlock(&background->mu.lock);
    if (slot != NULL)
        thread_pool_submit(db->pool, &slot->job);
    if (look.status != VARVE_OK || look.found)
        commit_nudge(db);
}

/* Folds the tiers once, when the store has become idle. True while that is still to come. */
static bool fold_when_idle(struct varve_db *db)
{
    struct background *background = &db->background;
    bool fold = false;

    if (!atomic_load_explicit(&db->fold_pays, memory_order_relaxed))
        return false;
    mutex_lock(&background->mu.lock);
    uint64_t last_us = atomic_load_explicit(&db->last_commit_us, memory_order_relaxed);
    bool folded = background->mu.folded_after_us == last_us + 1;
    if (!folded && store_is_idle(db)) {
        background->mu.folded_after_us = last_us + 1;
        background->mu.fold = fold = true;
    }
    mutex_unlock(&background->mu.lock);
    if (fold)
        background_schedule_compaction(db);
    return !folded && !fold;
}

/* What writers held at their busiest goes back to the system but for one memtable's worth, once the
 * store is idle. True while that is still to come. */
static bool calm_when_idle(struct varve_db *db)
{
    if (memtable_pool_is_calm(db->memtables))
        return false;
    if (!store_is_idle(db))
        return true;
    memtable_pool_calm(db->memtables, db->options.memtable_bytes);
    return false;
}

/* A table of the deepest level has expired, with nothing else going on that would find it. */
static void collect_when_due(struct varve_db *db)
{
    uint64_t due_s = atomic_load_explicit(&db->garbage_due_s, memory_order_relaxed);
    uint64_t now_ms = db_store_time_ms(db);
    if (due_s == 0 || now_ms / 1000 < due_s)
        return;
    if (snapshots_keep(&db->snapshots, &db->visible, now_ms).time_ms / 1000 < due_s)
        return; /* a snapshot still sees what has expired */
    /* The next view says anew. */
    if (atomic_compare_exchange_strong_explicit(&db->garbage_due_s, &due_s, 0, memory_order_relaxed,
                                                memory_order_relaxed))
        background_schedule_compaction(db);
}

bool background_retry_due(struct varve_db *db)
{
    struct background *background = &db->background;
    mutex_lock(&background->mu.lock);
    bool waits = background->mu.retry_at_us != 0;
    bool due = waits && env_mono_us(db->env) >= background->mu.retry_at_us;
    bool flush = due && background->mu.flush_failure != VARVE_OK;
    if (due)
        background->mu.retry_at_us = 0;
    mutex_unlock(&background->mu.lock);
    if (flush)
        background_schedule_flush(db);
    if (due) /* one that failed may have been forgotten over another that did not */
        background_schedule_compaction(db);
    return waits && !due;
}

bool background_retry(struct varve_db *db)
{
    collect_when_due(db);
    bool fold_waits = fold_when_idle(db);
    bool calm_waits = calm_when_idle(db);
    bool held_up = stall_look(db);
    bool short_of_space = db_space_probe(db);
    bool waits = background_retry_due(db);
    return waits || short_of_space || fold_waits || calm_waits || held_up;
}

static enum varve_status manual_new(struct varve_slice start, struct varve_slice end,
                                    struct manual_merge **ret_merge)
{
    struct manual_merge *merge = calloc(1, sizeof *merge);
    if (merge == NULL)
        return status_raise(VARVE_NO_MEMORY);
    enum varve_status status = buf_assign(&merge->start, start);
    if (status == VARVE_OK)
        status = buf_assign(&merge->end, end);
    merge->references = 1;
    if (status == VARVE_OK)
        *ret_merge = merge;
    else
        manual_drop_locked(merge); /* nobody else knows it */
    return status;
}

/* They were asked for in any order before they came to the queue: the later one counts. */
static void manual_widen(struct manual_merge *queued, const struct manual_merge *merge)
{
    if (queued->sequence < merge->sequence)
        queued->sequence = merge->sequence;
    if (queued->time_ms < merge->time_ms)
        queued->time_ms = merge->time_ms;
    if (queued->segment_id < merge->segment_id)
        queued->segment_id = merge->segment_id;
}

/* Puts `merge` at the end of the queue, unless the same waits there already, which is then for what
 * has come since, too; gives the one that is in the queue, referenced. */
static enum varve_status manual_queue_locked(struct background *background,
                                             struct manual_merge *merge,
                                             struct manual_merge **ret_queued)
{
    struct manual_merge **link = &background->mu.manual;
    size_t count = 0;
    if (background->mu.closing)
        return VARVE_CLOSED;
    for (; *link != NULL; link = &(*link)->next, count++)
        if (!(*link)->begun &&
            varve_slice_compare(buf_slice(&(*link)->start), buf_slice(&merge->start)) == 0 &&
            varve_slice_compare(buf_slice(&(*link)->end), buf_slice(&merge->end)) == 0)
            break;
    if (*link != NULL) {
        manual_widen(*link, merge);
    } else {
        if (count >= BACKGROUND_MANUAL_MAX)
            return status_raise(VARVE_BUSY);
        merge->references++;
        *link = merge;
    }
    (*link)->references++;
    *ret_queued = *link;
    return VARVE_OK;
}

static enum varve_status manual_wait(struct varve_db *db, const struct manual_merge *merge)
{
    struct background *background = &db->background;
    for (;;) {
        mutex_lock(&background->mu.lock);
        bool done = merge->done;
        enum varve_status status = merge->status;
        mutex_unlock(&background->mu.lock);
        if (done)
            return status;
        status = db_check_interrupted(db);
        if (status == VARVE_OK && db_state(db) == VARVE_STATE_READ_ONLY)
            status = status_raise(VARVE_READ_ONLY);
        if (status != VARVE_OK)
            return status;
        if (!background_wait(db, 100))
            return status_raise(VARVE_BUSY);
    }
}

static enum varve_status manual_ask(struct varve_db *db, struct varve_slice start,
                                    struct varve_slice end, bool wait)
{
    struct background *background = &db->background;
    struct manual_merge *merge = NULL, *queued = NULL;
    uint64_t sequence = atomic_load(&db->visible), segment_id = 0;
    enum varve_status status = db_flush_begin(db, &segment_id);
    if (status == VARVE_OK && wait)
        status = db_flush_wait(db, segment_id);
    if (status == VARVE_OK && db_state(db) == VARVE_STATE_READ_ONLY)
        status = status_raise(VARVE_READ_ONLY);
    if (status == VARVE_OK)
        status = manual_new(start, end, &merge);
    if (status != VARVE_OK)
        return status;
    merge->sequence = sequence;
    merge->time_ms = db_store_time_ms(db);
    merge->segment_id = segment_id;
    mutex_lock(&background->mu.lock);
    status = manual_queue_locked(background, merge, &queued);
    manual_drop_locked(merge);
    mutex_unlock(&background->mu.lock);
    if (status != VARVE_OK)
        return status;
    background_schedule_compaction(db);
    if (wait)
        status = manual_wait(db, queued);
    mutex_lock(&background->mu.lock);
    manual_drop_locked(queued);
    mutex_unlock(&background->mu.lock);
    return status;
}

enum varve_status background_merge_range(struct varve_db *db, struct varve_slice start,
                                         struct varve_slice end, bool wait)
{
    struct background *background = &db->background;
    mutex_lock(&background->mu.lock);
    bool closing = background->mu.closing;
    background->mu.waiters += !closing;
    mutex_unlock(&background->mu.lock);
    if (closing)
        return VARVE_CLOSED;
    enum varve_status status = manual_ask(db, start, end, wait);
    mutex_lock(&background->mu.lock);
    background->mu.waiters--;
    cond_broadcast(&background->mu.progress);
    mutex_unlock(&background->mu.lock);
    return status;
}

bool background_wait(struct varve_db *db, uint64_t timeout_ms)
{
    if (db->stepped)
        return thread_pool_step(db->pool);
    mutex_lock(&db->background.mu.lock);
    (void)cond_wait_for(&db->background.mu.progress, &db->background.mu.lock, timeout_ms);
    mutex_unlock(&db->background.mu.lock);
    return true;
}

void background_signal(struct varve_db *db)
{
    mutex_lock(&db->background.mu.lock);
    cond_broadcast(&db->background.mu.progress);
    mutex_unlock(&db->background.mu.lock);
}

bool background_is_closing(struct varve_db *db)
{
    mutex_lock(&db->background.mu.lock);
    bool closing = db->background.mu.closing;
    mutex_unlock(&db->background.mu.lock);
    return closing;
}

void background_stop(struct varve_db *db)
{
    struct background *background = &db->background;
    mutex_lock(&background->mu.lock);
    background->mu.closing = true;
    mutex_unlock(&background->mu.lock);
    for (;;) {
        mutex_lock(&background->mu.lock);
        bool busy = background->mu.flush.queued || background->mu.log.queued;
        for (size_t i = 0; i < background->slot_count; i++)
            busy = busy || background->mu.compactions[i].state != COMPACTION_SLOT_IDLE;
        /* Jobs gave up what they worked on; what no job will come to any more ends here. */
        while (!busy && background->mu.manual != NULL)
            manual_end_locked(background, background->mu.manual, VARVE_CLOSED);
        busy = busy || background->mu.waiters > 0;
        cond_broadcast(&background->mu.progress);
        if (busy && !db->stepped)
            (void)cond_wait_for(&background->mu.progress, &background->mu.lock, 100);
        mutex_unlock(&background->mu.lock);
        if (!busy)
            return;
        if (db->stepped && !thread_pool_step(db->pool))
            return;
    }
}
