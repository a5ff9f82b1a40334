/*
 * The order within a group is fixed: room first, so that nothing behind the log can fail; then one
 * frame, one sync, the memtable, and the visible sequence last. See "Failures of a write" in
 * DESIGN.md.
 */
#include "engine/commit_group.h"

#include <assert.h>

#include "engine/conditions.h"
#include "engine/db.h"

/* How long a stalled committer sleeps before it looks again. */
#define STALL_LOOK_MS 100u

/* At full debt a group of group_bytes is held up so long; the smallest one by so many percent of
 * it. */
#define DEBT_DELAY_US_MOST ((uint64_t)20000)
#define DEBT_SHARE_LEAST 1u

/* A memtable smaller than this part of a full one is not flushed early: that would free little, and
 * make many small tables while readers hold what memory there is. */
#define EARLY_FLUSH_FRACTION_LEAST 8u

/* So often a batch's keys are read outside the lock; if flushes overtake every read, it is read
 * under it. */
#define CONDITION_READS_MAX 4u

void commit_waiter_init(struct commit_waiter *waiter)
{
    mutex_init(&waiter->lock);
    cond_init(&waiter->wake);
    waiter->state = COMMIT_WAITER_WAITS;
}

void commit_waiter_deinit(struct commit_waiter *waiter)
{
    cond_deinit(&waiter->wake);
    mutex_deinit(&waiter->lock);
}

void commit_waiter_wake(struct commit_waiter *waiter, enum commit_waiter_state state)
{
    mutex_lock(&waiter->lock);
    waiter->state = state;
    cond_signal(&waiter->wake);
    mutex_unlock(&waiter->lock);
}

bool commit_waiter_is_done(struct commit_waiter *waiter)
{
    mutex_lock(&waiter->lock);
    bool done = waiter->state == COMMIT_WAITER_DONE;
    mutex_unlock(&waiter->lock);
    return done;
}

void commit_group_add(struct commit_group *group, struct varve_write_request *request,
                      bool sync_by_default)
{
    struct pending *pending = pending_of(request);
    pending->verdict = COMMIT_ACCEPTED;
    group->conditional = group->conditional || request->batch->conditions.count > 0;
    group->count++;
    group->bytes += pending->sealed.bytes.size;
    group->entries += pending->sealed.op_count;
    group->entry_bytes += pending->sealed.entry_bytes;
    group->sync = group->sync || request->sync == VARVE_SYNC_ON ||
                  (request->sync == VARVE_SYNC_DEFAULT && sync_by_default);
}

static bool memtable_is_full(struct varve_db *db)
{
    return memtable_bytes(db->wal.memtable) >= db->options.memtable_bytes ||
           memtable_entries(db->wal.memtable) >= db->options.memtable_entries;
}

/* Why waiting would not help, or OK. */
static enum varve_status background_failure(struct varve_db *db, bool compaction_too)
{
    mutex_lock(&db->background.mu.lock);
    enum varve_status status = db->background.mu.flush_failure;
    if (status == VARVE_OK && compaction_too)
        status = db->background.mu.compaction_failure;
    mutex_unlock(&db->background.mu.lock);
    return status == VARVE_OK || status == VARVE_NO_SPACE ? status : VARVE_BUSY;
}

static enum varve_status stall_locked(struct varve_db *db, enum varve_stall_cause cause)
{
    enum varve_status status = background_failure(db, cause == VARVE_STALL_BY_LEVEL0);
    if (status != VARVE_OK)
        return status_raise(status);
    uint64_t began_us = env_mono_us(db->env);
    stall_stop(db, cause);
    bool moved = background_wait(db, STALL_LOOK_MS);
    stall_go_on(db);
    (void)background_retry_due(db); /* whose clock is this thread's otherwise */
    COUNT(db->counters.stalls, 1);
    COUNT(db->counters.stall_us, env_mono_us(db->env) - began_us);
    return moved ? VARVE_OK : status_raise(VARVE_BUSY);
}

/* Whether a flush of the active memtable would free much, and no other one more: those that wait
 * are on their way already. */
static bool active_is_largest(struct varve_db *db)
{
    uint64_t sequence = 0;
    size_t bytes = memtable_bytes(db->wal.memtable);
    bool largest = bytes >= db->options.memtable_bytes / EARLY_FLUSH_FRACTION_LEAST;
    struct view *view = view_slot_acquire(&db->view, &db->visible, &sequence);
    for (size_t i = 0; i < view->waiting_count; i++)
        largest = largest && bytes >= memtable_bytes(view->waiting[i]);
    view_unref(view);
    return largest;
}

/* What to do so that the memtable can grow by a chunk. */
enum memory_need { MEMORY_SUFFICES, MEMORY_NEEDS_FLUSH, MEMORY_NEEDS_WAIT };

/* See "Memory" in DESIGN.md. Only a group that needs a new chunk asks, so it costs the others
 * nothing. */
static enum memory_need memory_need_locked(struct varve_db *db, const struct commit_group *group)
{
    size_t lacks =
        group != NULL ? memtable_lacks(db->wal.memtable, group->entries, group->entry_bytes) : 0;
    if (lacks == 0 || !memory_budget_is_near(&db->memory, lacks))
        return MEMORY_SUFFICES;
    memtable_pool_trim(db->memtables);
    table_cache_trim(db->tables, lacks);
    block_cache_trim(db->blocks, lacks);
    if (!memory_budget_is_near(&db->memory, lacks))
        return MEMORY_SUFFICES;
    size_t waiting = atomic_load(&db->waiting_memtables);
    if (waiting + 1 < db->options.memtables_max && active_is_largest(db))
        return MEMORY_NEEDS_FLUSH;
    /* Without a flush under way nothing would change by waiting: who holds the rest are readers. */
    return waiting > 0 && memory_budget_is_over(&db->memory, lacks) ? MEMORY_NEEDS_WAIT
                                                                    : MEMORY_SUFFICES;
}

/* One step towards it. */
static enum varve_status memory_make_locked(struct varve_db *db, const struct commit_group *group,
                                            bool *ret_enough)
{
    enum varve_status status = VARVE_OK;
    switch (memory_need_locked(db, group)) {
    case MEMORY_SUFFICES:
        *ret_enough = true;
        break;
    case MEMORY_NEEDS_FLUSH:
        status = wal_switch_locked(db);
        if (status == VARVE_OK)
            COUNT(db->counters.early_flushes, 1);
        break;
    case MEMORY_NEEDS_WAIT:
        status = stall_locked(db, VARVE_STALL_BY_MEMORY);
        COUNT(db->counters.memory_stalls, 1);
        break;
    }
    return status;
}

enum varve_status commit_make_room_locked(struct varve_db *db, bool force_switch,
                                          const struct commit_group *group)
{
    assert(mutex_is_held(&db->wal.lock));
    for (;;) {
        if (db_state(db) == VARVE_STATE_READ_ONLY)
            return status_raise(VARVE_READ_ONLY);
        bool full = force_switch || db->wal.must_switch || memtable_is_full(db);
        bool crowded = atomic_load(&db->waiting_memtables) + 1 >= db->options.memtables_max;
        bool level0_full = atomic_load(&db->level0_runs) >= db->options.level0_stop;
        enum varve_status status = VARVE_OK;
        if ((full && crowded) || level0_full) {
            status =
                stall_locked(db, level0_full ? VARVE_STALL_BY_LEVEL0 : VARVE_STALL_BY_MEMTABLES);
        } else if (full) {
            status = wal_switch_locked(db);
            if (group == NULL)
                return status;
        } else {
            bool enough = false;
            status = memory_make_locked(db, group, &enough);
            if (enough)
                return status;
        }
        if (status != VARVE_OK)
            return status;
    }
}

/* Behind by a part of what may be: every group gives that part of DEBT_DELAY_US_MOST to the
 * workers, the more the larger it is, so that writers meet a slope and not a wall. */
static void debt_pay_locked(struct varve_db *db, const struct commit_group *group)
{
    unsigned debt = atomic_load_explicit(&db->stall.debt_percent, memory_order_relaxed);
    if (debt == 0 || db->stepped)
        return;
    uint64_t share = group->bytes >= db->options.group_bytes
                         ? 100
                         : DEBT_SHARE_LEAST + group->bytes * 100 / db->options.group_bytes;
    uint64_t delay_us = DEBT_DELAY_US_MOST * debt / 100 * share / 100;
    sleep_us(delay_us);
    COUNT(db->counters.slowdowns, 1);
    COUNT(db->counters.slowdown_us, delay_us);
}

static enum varve_status seal_locked(struct varve_db *db)
{
    enum varve_status status = wal_seal(db);
    if (status == VARVE_OK)
        db->wal.must_seal = false;
    return status;
}

/* A frame could not be written whole: closes the segment behind its last good frame. */
static enum varve_status frame_failed_locked(struct varve_db *db, enum varve_status cause)
{
    if (cause == VARVE_NO_SPACE) {
        db_no_space(db, DB_NO_SPACE_LOG, "appending to the log");
        if (!db->wal.writer.damaged)
            return VARVE_NO_SPACE;
        db->wal.must_switch = true;
        enum varve_status status = wal_switch_locked(db);
        if (status == VARVE_OK)
            status = seal_locked(db);
        return status == VARVE_OK ? VARVE_NO_SPACE : status_raise(VARVE_OUTCOME_UNKNOWN);
    }
    if (cause == VARVE_NO_MEMORY && !db->wal.writer.damaged)
        return cause;
    db_read_only(db, cause, "appending to the log");
    return db->wal.writer.damaged ? status_raise(VARVE_OUTCOME_UNKNOWN) : cause;
}

static enum varve_status frame_append_locked(struct varve_db *db, const struct commit_group *group)
{
    struct wal_writer *writer = &db->wal.writer;
    uint64_t time_ms = db_store_time_ms(db);
    uint64_t offset = writer->offset;
    enum varve_status status = wal_writer_begin(writer, db->wal.last_sequence + 1, time_ms);

    for (struct varve_write_request *r = group->first; status == VARVE_OK && r != NULL; r = r->next)
        if (pending_of(r)->verdict == COMMIT_ACCEPTED)
            status = wal_writer_add(writer, pending_of(r)->sealed.bytes);
    if (status == VARVE_OK)
        status = wal_writer_commit(writer);
    if (status != VARVE_OK)
        return frame_failed_locked(db, status);
    db->wal.marked_offset = writer->synced_offset;
    db_store_time_raise(db, time_ms);
    COUNT(db->counters.wal_bytes, writer->offset - offset);
    atomic_store_explicit(&db->log_figures.active_bytes, writer->offset, memory_order_relaxed);
    COUNT(db->counters.wal_groups, 1);
    return VARVE_OK;
}

static enum varve_status frame_sync_locked(struct varve_db *db)
{
    uint64_t began_us = env_mono_us(db->env);
    enum varve_status status = wal_writer_sync(&db->wal.writer);
    if (status != VARVE_OK) {
        db_read_only(db, status, "syncing the log");
        return status_raise(VARVE_OUTCOME_UNKNOWN);
    }
    COUNT(db->counters.wal_syncs, 1);
    histogram_record(&db->latencies[VARVE_LATENCY_SYNC], env_mono_us(db->env) - began_us);
    return VARVE_OK;
}

static void batch_insert_locked(struct varve_db *db, struct varve_slice bytes, uint64_t sequence)
{
    struct batch_reader reader = {0};
    struct batch_op op = {0};
    uint64_t puts = 0, deletes = 0, user_bytes = 0;

    enum varve_status status = batch_reader_init(&reader, bytes);
    assert(status == VARVE_OK);
    while ((status = batch_reader_next(&reader, &op)) == VARVE_OK) {
        memtable_add(db->wal.memtable, sequence, &op);
        if (op.kind == ENTRY_DELETE)
            deletes++;
        else
            puts++;
        user_bytes += op.key.size + op.value.size;
    }
    assert(status == VARVE_END);
    COUNT(db->counters.puts, puts);
    COUNT(db->counters.deletes, deletes);
    COUNT(db->counters.user_write_bytes, user_bytes);
}

/* The first i with count <= 1 << i, or the last one. */
static size_t group_size_class(size_t count)
{
    size_t i = 0;
    while (i < VARVE_GROUP_SIZES - 1 && count > (size_t)1 << i)
        i++;
    return i;
}

static void group_publish_locked(struct varve_db *db, const struct commit_group *group)
{
    uint64_t sequence = db->wal.last_sequence;
    for (struct varve_write_request *r = group->first; r != NULL; r = r->next) {
        if (pending_of(r)->verdict != COMMIT_ACCEPTED)
            continue;
        r->revision = ++sequence;
        batch_insert_locked(db, pending_of(r)->sealed.bytes, sequence);
    }
    COUNT(db->counters.batches, group->count);
    COUNT(db->counters.wal_group_sizes[group_size_class(group->count)], 1);
    db->wal.last_sequence = sequence;
    atomic_store_explicit(&db->visible, sequence, memory_order_release);
}

/* One member's conditions, its keys read again under the lock if they keep being too old. */
static enum varve_status member_judge_locked(struct varve_db *db, struct varve_batch *batch,
                                             const struct view *view, const struct overlay *overlay,
                                             enum commit_verdict *ret_verdict)
{
    enum varve_status status = VARVE_OK;
    bool hold = false;

    if (!conditions_are_covered(batch, view, db->wal.last_sequence)) {
        if (batch->conditions.reads < CONDITION_READS_MAX) {
            *ret_verdict = COMMIT_AGAIN;
            return VARVE_OK;
        }
        status = conditions_observe(db, batch, false);
    }
    if (status == VARVE_OK)
        status = conditions_judge_locked(db, batch, view, overlay, db_store_time_ms(db), &hold);
    if (status == VARVE_OK)
        *ret_verdict = hold ? COMMIT_ACCEPTED : COMMIT_CONFLICT;
    return status;
}

/* Judges all members in order, each against what those accepted before it will have written. */
static void group_judge_locked(struct varve_db *db, struct commit_group *group)
{
    struct commit_group accepted = {.first = group->first};
    struct overlay overlay = {0};
    uint64_t sequence = 0;
    struct view *view = view_slot_acquire(&db->view, &db->visible, &sequence);

    for (struct varve_write_request *r = group->first; r != NULL; r = r->next) {
        enum commit_verdict verdict = COMMIT_ACCEPTED;
        enum varve_status status = VARVE_OK;
        if (r->batch->conditions.count > 0)
            status = member_judge_locked(db, r->batch, view, &overlay, &verdict);
        if (status == VARVE_OK && verdict == COMMIT_ACCEPTED)
            status = overlay_add(&overlay, pending_of(r)->sealed.bytes,
                                 db->wal.last_sequence + accepted.count + 1);
        if (status == VARVE_OK && verdict == COMMIT_ACCEPTED)
            commit_group_add(&accepted, r, db->options.sync_writes);
        r->status = status;
        pending_of(r)->verdict = status == VARVE_OK ? verdict : COMMIT_REFUSED;
    }
    overlay_deinit(&overlay);
    view_unref(view);
    *group = accepted;
}

static void group_settle(struct commit_group *group, enum varve_status status)
{
    for (struct varve_write_request *r = group->first; r != NULL; r = r->next) {
        enum commit_verdict verdict = pending_of(r)->verdict;
        /* A conflict with a write of this very group is one only if that write happened. */
        if (verdict == COMMIT_ACCEPTED || (verdict == COMMIT_CONFLICT && status != VARVE_OK))
            r->status = status;
        else if (verdict == COMMIT_CONFLICT)
            r->status = VARVE_CONFLICT;
        if (r->status != VARVE_OK)
            r->revision = 0;
    }
}

void commit_group_run_locked(struct varve_db *db, struct commit_group *group)
{
    assert(mutex_is_held(&db->wal.lock));
    if (group->first == NULL)
        return;
    uint64_t began_us = env_mono_us(db->env);
    atomic_store_explicit(&db->last_commit_us, began_us, memory_order_relaxed);
    enum varve_status status = commit_make_room_locked(db, false, group);
    if (status == VARVE_OK && group->conditional) {
        group_judge_locked(db, group);
        if (group->count == 0) {
            group_settle(group, VARVE_OK);
            return;
        }
    }
    if (status == VARVE_OK) {
        debt_pay_locked(db, group);
        if (group->sync || db->wal.must_seal)
            status = seal_locked(db);
    }
    if (status == VARVE_OK)
        status = memtable_reserve(db->wal.memtable, group->entries, group->entry_bytes);
    if (status == VARVE_OK)
        status = frame_append_locked(db, group);
    if (status == VARVE_OK && group->sync)
        status = frame_sync_locked(db);
    if (status == VARVE_OK) {
        group_publish_locked(db, group);
        db_space_back(db, DB_NO_SPACE_LOG);
        histogram_record(&db->latencies[VARVE_LATENCY_GROUP], env_mono_us(db->env) - began_us);
    }
    group_settle(group, status);
}

void commit_group_complete(struct varve_db *db, struct commit_group *group)
{
    struct varve_write_request *rest = group->first;
    while (rest != NULL) {
        struct varve_write_receiver *receiver = rest->receiver;
        struct varve_write_request *next = rest->next;
        if (receiver == NULL) {
            commit_waiter_wake(pending_of(rest)->waiter, COMMIT_WAITER_DONE);
            rest = next;
            continue;
        }
        if (pending_of(rest)->verdict == COMMIT_AGAIN) {
            commit_again(db, rest);
            rest = next;
            continue;
        }
        struct varve_write_request *list = NULL, **list_end = &list, **link = &rest;
        while (*link != NULL) {
            struct varve_write_request *r = *link;
            if (r->receiver != receiver || pending_of(r)->verdict == COMMIT_AGAIN) {
                link = &r->next;
                continue;
            }
            *link = r->next;
            *list_end = r;
            list_end = &r->next;
        }
        *list_end = NULL;
        receiver->deliver(receiver, list);
    }
}

void commit_mark_locked(struct varve_db *db)
{
    struct wal_writer *writer = &db->wal.writer;
    uint64_t synced_offset = writer->synced_offset;

    if (db->wal.must_switch || db->wal.must_seal || db_state(db) == VARVE_STATE_READ_ONLY)
        return;
    enum varve_status status =
        wal_writer_begin(writer, db->wal.last_sequence + 1, db_store_time_ms(db));
    if (status == VARVE_OK)
        status = wal_writer_commit(writer);
    if (status != VARVE_OK) {
        status = frame_failed_locked(db, status);
        log_write(&db->log, VARVE_LOG_WARNING, "the log's idle mark was not written: %s",
                  varve_status_text(status));
    }
    db->wal.marked_offset = synced_offset;
}
