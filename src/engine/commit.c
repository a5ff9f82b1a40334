/*
 * The queue is a list of the callers' own requests, so that queueing takes no memory. What the
 * engine needs per request (struct pending) lives in the request's reserved words.
 */
#include "engine/commit.h"

#include <assert.h>

#include "engine/batch.h"
#include "engine/commit_group.h"
#include "engine/conditions.h"
#include "engine/db.h"

/* How long the queue must have been idle for the mark; also how often failures are tried again. */
#define COMMIT_IDLE_MS 50u

/* How often a busy store looks whether something is to be tried again. */
#define COMMIT_RETRY_LOOK_US 200000u

/* How often an idle store looks whether a table has become garbage by the passing of time. */
#define COMMIT_GARBAGE_LOOK_MS 1000u

void commit_init(struct commit *commit)
{
    *commit = (struct commit){0};
    mutex_init(&commit->queue.lock);
    cond_init(&commit->queue.wake);
    commit->queue.end = &commit->queue.first;
}

void commit_deinit(struct commit *commit)
{
    assert(commit->queue.first == NULL);
    cond_deinit(&commit->queue.wake);
    mutex_deinit(&commit->queue.lock);
}

/* In the cache line of the lock, so that a write pays nothing for it. */
static void held_publish_locked(struct commit *commit)
{
    atomic_store_explicit(&commit->queue.held_bytes,
                          commit->queue.bytes + commit->queue.leading_bytes, memory_order_relaxed);
}

/* The front of the queue, as much as one group holds. */
static void group_take(struct varve_db *db, struct commit_group *group)
{
    struct commit *commit = &db->commit;
    mutex_lock(&commit->queue.lock);
    struct varve_write_request **link = &commit->queue.first;
    while (*link != NULL) {
        const struct pending *pending = pending_of(*link);
        if (group->count > 0 && group->bytes + pending->sealed.bytes.size > db->options.group_bytes)
            break;
        commit_group_add(group, *link, db->options.sync_writes);
        link = &(*link)->next;
    }
    group->first = commit->queue.first;
    commit->queue.first = *link;
    if (commit->queue.first == NULL)
        commit->queue.end = &commit->queue.first;
    *link = NULL;
    commit->queue.bytes -= group->bytes;
    commit->queue.leading_bytes = group->bytes;
    mutex_unlock(&commit->queue.lock);
}

/* True when the log's last frame says less than what has been synced. */
static bool idle_work_is_due(struct varve_db *db)
{
    return db->wal.marked_offset < db->wal.writer.synced_offset;
}

/* Passes leadership on. True when the commit thread, calling, leads on itself. */
static bool lead_pass(struct varve_db *db, bool is_thread, bool idle_due)
{
    struct commit *commit = &db->commit;
    struct commit_waiter *next = NULL;
    bool keep = false;

    mutex_lock(&commit->queue.lock);
    commit->queue.leading_bytes = 0;
    held_publish_locked(commit);
    struct varve_write_request *head = commit->queue.first;
    if (head == NULL) {
        commit->queue.led = false;
        commit->queue.nudged = commit->queue.nudged || idle_due;
        bool wake = (idle_due && commit->queue.thread_sleeps) || commit->queue.closed;
        commit->queue.thread_sleeps = commit->queue.thread_sleeps && !idle_due;
        if (wake)
            cond_broadcast(&commit->queue.wake);
    } else if (is_thread) {
        keep = true;
    } else if (pending_of(head)->waiter != NULL) {
        next = pending_of(head)->waiter;
    } else {
        commit->queue.thread_turn = true;
        cond_broadcast(&commit->queue.wake);
    }
    mutex_unlock(&commit->queue.lock);
    /* Nobody else takes the head from the queue until its owner leads, so the waiter is still
     * there. */
    if (next != NULL)
        commit_waiter_wake(next, COMMIT_WAITER_LEADS);
    return keep;
}

/* Commits one group. True when the commit thread leads on. */
static bool lead_once(struct varve_db *db, bool is_thread)
{
    struct commit_group group = {0};

    mutex_lock(&db->wal.lock);
    group_take(db, &group);
    commit_group_run_locked(db, &group);
    bool idle_due = idle_work_is_due(db);
    mutex_unlock(&db->wal.lock);
    bool keep = lead_pass(db, is_thread, idle_due);
    commit_group_complete(db, &group);
    return keep;
}

static void waiter_wait(struct varve_db *db, struct commit_waiter *waiter)
{
    mutex_lock(&waiter->lock);
    while (waiter->state == COMMIT_WAITER_WAITS)
        cond_wait(&waiter->wake, &waiter->lock);
    bool leads = waiter->state == COMMIT_WAITER_LEADS;
    waiter->state = leads ? COMMIT_WAITER_WAITS : waiter->state;
    mutex_unlock(&waiter->lock);
    if (leads)
        (void)lead_once(db, false);
}

static enum varve_status submit_check(struct varve_db *db,
                                      const struct varve_write_request *request)
{
    if (request->batch == NULL || request->batch->count == 0)
        return status_raise(VARVE_INVALID);
    if (request->batch->bytes.size > db->options.batch_bytes_max ||
        request->batch->value_bytes_max > db->options.value_bytes_max)
        return status_raise(VARVE_TOO_LARGE);
    if (db_state(db) == VARVE_STATE_READ_ONLY)
        return status_raise(VARVE_READ_ONLY);
    return VARVE_OK;
}

/* Puts one request at the end of the queue, if there is room. */
static enum varve_status queue_put_locked(struct varve_db *db, struct varve_write_request *request)
{
    struct commit *commit = &db->commit;
    size_t bytes = pending_of(request)->sealed.bytes.size;

    if (commit->queue.closed)
        return VARVE_CLOSED;
    if (commit->queue.bytes > 0 && commit->queue.bytes + bytes > db->write_queue_bytes)
        return VARVE_BUSY;
    request->next = NULL;
    *commit->queue.end = request;
    commit->queue.end = &request->next;
    commit->queue.bytes += bytes;
    held_publish_locked(commit);
    return VARVE_OK;
}

/* Sees to it that somebody leads a queue with members; true when that is the caller. */
static bool queue_lead_locked(struct varve_db *db, bool blocking)
{
    struct commit *commit = &db->commit;
    bool lead = !commit->queue.led && (blocking || db->stepped);
    if (!commit->queue.led && !lead) {
        commit->queue.thread_turn = true;
        cond_broadcast(&commit->queue.wake);
    }
    commit->queue.led = true;
    return lead;
}

/* Queues; says whether the caller is to lead. */
static enum varve_status queue_push(struct varve_db *db, struct varve_write_request *request,
                                    bool *ret_lead)
{
    bool blocking = request->receiver == NULL;
    mutex_lock(&db->commit.queue.lock);
    enum varve_status status = queue_put_locked(db, request);
    if (status == VARVE_OK)
        *ret_lead = queue_lead_locked(db, blocking);
    mutex_unlock(&db->commit.queue.lock);
    return status;
}

/* Reads the keys of its conditions, if any, and queues it. */
static enum varve_status request_queue(struct varve_db *db, struct varve_write_request *request,
                                       bool *ret_lead)
{
    enum varve_status status = VARVE_OK;
    if (request->batch->conditions.count > 0)
        status = conditions_observe(db, request->batch, false);
    return status == VARVE_OK ? queue_push(db, request, ret_lead) : status;
}

void commit_again(struct varve_db *db, struct varve_write_request *request)
{
    bool lead = false;
    enum varve_status status = request_queue(db, request, &lead);
    if (status != VARVE_OK) {
        request->status = status;
        request->revision = 0;
        request->receiver->deliver(request->receiver, request);
    } else if (lead) {
        (void)lead_once(db, false);
    }
}

/* Blocks until the request is done, leading when it is its turn. */
static void request_wait(struct varve_db *db, struct commit_waiter *waiter, bool lead)
{
    if (lead)
        (void)lead_once(db, false);
    while (!commit_waiter_is_done(waiter))
        waiter_wait(db, waiter);
}

static enum varve_status submit_blocking(struct varve_db *db, struct varve_write_request *request)
{
    struct commit_waiter waiter;
    struct pending *pending = pending_of(request);
    enum varve_status status = VARVE_OK;
    bool again = true;

    commit_waiter_init(&waiter);
    pending->waiter = &waiter;
    while (status == VARVE_OK && again) {
        bool lead = false;
        waiter.state = COMMIT_WAITER_WAITS;
        status = request_queue(db, request, &lead);
        if (status == VARVE_OK)
            request_wait(db, &waiter, lead);
        again = pending->verdict == COMMIT_AGAIN;
    }
    commit_waiter_deinit(&waiter);
    return status;
}

/* Checks and seals a request: after it only queueing is left. */
static enum varve_status request_prepare(struct varve_db *db, struct varve_write_request *request)
{
    struct pending *pending = pending_of(request);
    enum varve_status status = submit_check(db, request);
    if (status == VARVE_OK)
        status = batch_seal(request->batch, &pending->sealed);
    if (status != VARVE_OK)
        return status;
    request->batch->conditions.reads = 0;
    pending->verdict = COMMIT_ACCEPTED;
    pending->waiter = NULL;
    return VARVE_OK;
}

enum varve_status commit_submit(struct varve_db *db, struct varve_write_request *request)
{
    bool lead = false;
    enum varve_status status = request_prepare(db, request);
    if (status != VARVE_OK)
        return status;
    if (request->receiver == NULL)
        return submit_blocking(db, request);
    status = request_queue(db, request, &lead);
    if (status == VARVE_OK && lead)
        (void)lead_once(db, false);
    return status;
}

/* Takes the requests that are refused out of `list` and gives them back as a list. */
static struct varve_write_request *list_prepare(struct varve_db *db,
                                                struct varve_write_request **list)
{
    struct varve_write_request *refused = NULL, **refused_end = &refused, **link = list;
    while (*link != NULL) {
        struct varve_write_request *request = *link;
        request->status = request_prepare(db, request);
        if (request->status == VARVE_OK && request->batch->conditions.count > 0)
            request->status = conditions_observe(db, request->batch, true);
        if (request->status == VARVE_OK) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        request->next = NULL;
        *refused_end = request;
        refused_end = &request->next;
    }
    return refused;
}

/* Queues a prepared list; gives back what found no room. */
static struct varve_write_request *list_push(struct varve_db *db, struct varve_write_request *list,
                                             bool *ret_lead)
{
    mutex_lock(&db->commit.queue.lock);
    while (list != NULL) {
        struct varve_write_request *next = list->next;
        list->status = queue_put_locked(db, list);
        if (list->status != VARVE_OK) {
            list->next = next;
            break;
        }
        *ret_lead = queue_lead_locked(db, false) || *ret_lead;
        list = next;
    }
    for (struct varve_write_request *r = list; r != NULL; r = r->next)
        r->status = list->status;
    mutex_unlock(&db->commit.queue.lock);
    return list;
}

static void list_deliver(struct varve_db *db, struct varve_write_request *list)
{
    for (struct varve_write_request *r = list; r != NULL; r = r->next) {
        r->revision = 0;
        pending_of(r)->verdict = COMMIT_REFUSED;
    }
    commit_group_complete(db, &(struct commit_group){.first = list});
}

void commit_submit_list(struct varve_db *db, struct varve_write_request *list)
{
    bool lead = false;
    list_deliver(db, list_prepare(db, &list));
    list_deliver(db, list_push(db, list, &lead));
    if (lead)
        (void)lead_once(db, false);
}

void commit_idle(struct varve_db *db)
{
    struct commit *commit = &db->commit;
    mutex_lock(&commit->queue.lock);
    bool lead = !commit->queue.led && !commit->queue.closed;
    if (lead)
        commit->queue.led = true;
    mutex_unlock(&commit->queue.lock);
    if (!lead)
        return;

    mutex_lock(&db->wal.lock);
    if (idle_work_is_due(db))
        commit_mark_locked(db);
    mutex_unlock(&db->wal.lock);
    bool keep = lead_pass(db, !db->stepped, false);
    while (keep)
        keep = lead_once(db, true);
}

void commit_nudge(struct varve_db *db)
{
    struct commit *commit = &db->commit;
    mutex_lock(&commit->queue.lock);
    commit->queue.nudged = true;
    commit->queue.thread_sleeps = false;
    cond_broadcast(&commit->queue.wake);
    mutex_unlock(&commit->queue.lock);
}

/* Until there is something to do; where keys expire, no longer than COMMIT_GARBAGE_LOOK_MS. */
static void thread_sleep_locked(struct varve_db *db)
{
    struct commit *commit = &db->commit;
    bool looks = atomic_load_explicit(&db->garbage_due_s, memory_order_relaxed) != 0;
    bool woken = true;
    while (woken && commit->queue.thread_sleeps && !commit->queue.thread_turn &&
           !commit->queue.stop) {
        if (looks)
            woken = cond_wait_for(&commit->queue.wake, &commit->queue.lock, COMMIT_GARBAGE_LOOK_MS);
        else
            cond_wait(&commit->queue.wake, &commit->queue.lock);
    }
}

/* What failed in the background is tried again however busy the queue is. */
static void retry_now_and_then(struct varve_db *db, uint64_t *looked_us)
{
    uint64_t now_us = env_mono_us(db->env);
    if (now_us - *looked_us < COMMIT_RETRY_LOOK_US)
        return;
    *looked_us = now_us;
    (void)background_retry(db);
}

static void *commit_thread_main(void *context)
{
    struct varve_db *db = context;
    struct commit *commit = &db->commit;
    uint64_t looked_us = 0;

    mutex_lock(&commit->queue.lock);
    while (!commit->queue.stop) {
        if (commit->queue.thread_turn) {
            commit->queue.thread_turn = false;
            mutex_unlock(&commit->queue.lock);
            do
                retry_now_and_then(db, &looked_us);
            while (lead_once(db, true));
            mutex_lock(&commit->queue.lock);
            continue;
        }
        if (cond_wait_for(&commit->queue.wake, &commit->queue.lock, COMMIT_IDLE_MS))
            continue;
        commit->queue.nudged = false;
        mutex_unlock(&commit->queue.lock);
        commit_idle(db);
        bool waits = background_retry(db);
        mutex_lock(&commit->queue.lock);
        /* What came up while it looked would be slept through. */
        commit->queue.thread_sleeps = !waits && !commit->queue.nudged;
        thread_sleep_locked(db);
        commit->queue.thread_sleeps = false;
    }
    mutex_unlock(&commit->queue.lock);
    return NULL;
}

enum varve_status commit_start(struct varve_db *db)
{
    struct commit *commit = &db->commit;
    if (pthread_create(&commit->thread, NULL, commit_thread_main, db) != 0)
        return status_raise(VARVE_IO);
    commit->thread_started = true;
    return VARVE_OK;
}

void commit_stop(struct varve_db *db)
{
    struct commit *commit = &db->commit;
    mutex_lock(&commit->queue.lock);
    commit->queue.closed = true;
    while (commit->queue.led)
        cond_wait(&commit->queue.wake, &commit->queue.lock);
    commit->queue.stop = true;
    cond_broadcast(&commit->queue.wake);
    mutex_unlock(&commit->queue.lock);
    if (commit->thread_started)
        pthread_join(commit->thread, NULL);
    commit->thread_started = false;
}
