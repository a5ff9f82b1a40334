/*
 * Gets are answered first, from one snapshot and the batch's own earlier writes, so that an answer
 * that would be too large refuses the batch before anything is written. Earlier writes are found
 * through a hash table of the last write of each key so far, made only if the batch has gets.
 *
 * What was read has to be true still at the commit. So each key that a writing batch reads from the
 * store becomes a condition of the commit, as the batch's own checks are: these come first among
 * the conditions, the hidden ones behind them. A failed check is a 412; if only hidden ones fail,
 * the batch is prepared anew. A batch that writes nothing is judged on the snapshot alone.
 *
 * A worker prepares large batches, for the loop has others to serve meanwhile, and those that read
 * what is not in memory or much: the loop finds that out and leaves all of the preparing to it.
 */
#include "service/batch.h"

#include <microhttpd.h>
#include <stdlib.h>

#include <varve/db.h>

#include "base/hash.h"
#include "service/headers.h"
#include "service/json_answer.h"
#include "service/json_body.h"
#include "service/kv_handlers.h"
#include "service/limits.h"

/* Open addressing; an entry is the place of a write in the batch, counted from 1; 0 is empty. */
struct write_index {
    uint32_t *entries; /* owned */
    size_t mask;
};

struct batch_work {
    struct batch_ops ops; /* kept as long as they may be needed again */
    bool on_worker;
    bool prepares;     /* a worker does, just now */
    bool long_to_make; /* its answer is: seen on the loop */
    bool writes, reads, checks;
    uint64_t expiry_base_s; /* when it was accepted */
    unsigned conflicts;     /* of what was read with the commit */
    uint64_t revision;      /* of the snapshot */
    /* while it is being prepared */
    const struct varve_snapshot *snapshot; /* NULL where none is needed */
    struct write_index index;
};

void batch_work_free(struct batch_work *work)
{
    if (work == NULL)
        return;
    batch_ops_deinit(&work->ops);
    free(work);
}

static enum varve_status write_index_init(struct write_index *index, size_t count)
{
    size_t size = 16;
    while (size < count * 2)
        size *= 2;
    index->entries = calloc(size, sizeof *index->entries);
    index->mask = size - 1;
    return index->entries != NULL ? VARVE_OK : status_raise(VARVE_NO_MEMORY);
}

/* The entry of `key`, or the empty one where it belongs. */
static uint32_t *write_index_find(const struct write_index *index, const struct batch_ops *ops,
                                  struct varve_slice key)
{
    size_t at = hash_slice(key) & index->mask;
    while (index->entries[at] != 0 &&
           varve_slice_compare(ops->ops[index->entries[at] - 1].key, key) != 0)
        at = (at + 1) & index->mask;
    return &index->entries[at];
}

static uint64_t expiry_of(const struct batch_work *work, const struct batch_op *op)
{
    return op->ttl_s > 0 ? work->expiry_base_s + op->ttl_s : 0;
}

static enum varve_status add_check(struct varve_batch *batch, struct varve_slice key,
                                   uint64_t revision)
{
    struct varve_check check = {
        .key = key, .kind = VARVE_CHECK_IS, .revisions = &revision, .revision_count = 1};
    return varve_batch_check(batch, &check);
}

/* The value of `key` on the snapshot; a missing one has revision 0. On the loop VARVE_WOULD_BLOCK
 * where the disk would have to be waited for. */
static enum varve_status read_store(struct exchange *exchange, struct varve_slice key,
                                    struct varve_value *ret_value)
{
    struct batch_work *work = exchange->batch_work;
    enum varve_status status = work->prepares
                                   ? varve_get(exchange->db, key, work->snapshot, ret_value)
                                   : varve_get_cached(exchange->db, key, work->snapshot, ret_value);
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

/* On the loop VARVE_WOULD_BLOCK where the results may become large. */
static enum varve_status add_get(struct exchange *exchange, const struct batch_op *op,
                                 struct varve_slice value, struct json_stamp stamp)
{
    struct batch_work *work = exchange->batch_work;
    struct json_results *results = &exchange->results;
    enum value_encoding encoding = op->utf8 ? VALUE_UTF8 : VALUE_BASE64;
    if (!work->prepares &&
        json_results_bytes_max(results) + json_answer_item_bytes_max(op->key, value, encoding) >
            LIMIT_INLINE_JSON_BYTES) {
        work->long_to_make = true;
        return VARVE_WOULD_BLOCK;
    }
    return json_results_add_get(results, value, encoding, stamp);
}

static enum varve_status get_stored(struct exchange *exchange, const struct batch_op *op)
{
    struct batch_work *work = exchange->batch_work;
    struct varve_value value = {0};
    enum varve_status status = read_store(exchange, op->key, &value);
    struct json_stamp stamp = {.revision = value.revision, .expires_at = value.expires_at};
    if (status == VARVE_OK && work->writes)
        status = add_check(exchange->batch, op->key, value.revision);
    if (status == VARVE_OK && value.revision == 0)
        status = json_results_add_missing(&exchange->results);
    else if (status == VARVE_OK)
        status = add_get(exchange, op, value.data, stamp);
    varve_value_release(&value);
    return status;
}

static enum varve_status get(struct exchange *exchange, const struct batch_op *op)
{
    struct batch_work *work = exchange->batch_work;
    uint32_t earlier = *write_index_find(&work->index, &work->ops, op->key);
    if (earlier == 0)
        return get_stored(exchange, op);
    const struct batch_op *write = &work->ops.ops[earlier - 1];
    if (write->kind == BATCH_DELETE)
        return json_results_add_missing(&exchange->results);
    struct json_stamp stamp = {JSON_REVISION_OF_BATCH, expiry_of(work, write)};
    return add_get(exchange, op, write->value, stamp);
}

static enum varve_status put(struct exchange *exchange, const struct batch_op *op)
{
    uint64_t expires_at = expiry_of(exchange->batch_work, op);
    enum varve_status status =
        expires_at > 0 ? varve_batch_put_expiring(exchange->batch, op->key, op->value, expires_at)
                       : varve_batch_put(exchange->batch, op->key, op->value);
    return status == VARVE_OK ? json_results_add_put(&exchange->results) : status;
}

static enum varve_status apply_op(struct exchange *exchange, size_t at)
{
    struct batch_work *work = exchange->batch_work;
    const struct batch_op *op = &work->ops.ops[at];
    enum varve_status status = VARVE_OK;
    switch (op->kind) {
    case BATCH_PUT:
        status = put(exchange, op);
        break;
    case BATCH_DELETE:
        status = varve_batch_delete(exchange->batch, op->key);
        if (status == VARVE_OK)
            status = json_results_add_delete(&exchange->results);
        break;
    case BATCH_GET:
        return get(exchange, op);
    case BATCH_CHECK:
        return json_results_add_check(&exchange->results);
    }
    if (status == VARVE_OK && work->reads)
        *write_index_find(&work->index, &work->ops, op->key) = (uint32_t)at + 1;
    return status;
}

static enum varve_status fail_check(struct exchange *exchange, size_t index, uint64_t revision)
{
    struct problem *problem = &exchange->problem;
    if (problem->failed_ops.size == 0)
        (void)problem_set(problem, PROBLEM_PRECONDITION_FAILED,
                          "a check of the batch does not hold; nothing was applied");
    enum varve_status status = problem_add_failed_op(problem, index, revision);
    return status == VARVE_OK ? VARVE_OK : problem_set_status(problem, status);
}

/* A failure's problem; none of VARVE_WOULD_BLOCK, for that is no answer. */
static enum varve_status explain(struct exchange *exchange, enum varve_status status)
{
    if (status == VARVE_WOULD_BLOCK)
        return status;
    if (status != VARVE_TOO_LARGE)
        return problem_set_status(&exchange->problem, status);
    /* Keys and values have been checked: it is the results. */
    (void)problem_set(&exchange->problem, PROBLEM_RESULT_TOO_LARGE,
                      "the answer would be too large; nothing was applied");
    exchange->problem.has_limit = true;
    exchange->problem.limit = LIMIT_BATCH_ANSWER_BYTES;
    return status;
}

/* Of a batch without writes. VARVE_CONFLICT: the problem is set. VARVE_WOULD_BLOCK as read_store.
 */
static enum varve_status judge_on_snapshot(struct exchange *exchange)
{
    const struct batch_ops *ops = &exchange->batch_work->ops;
    for (size_t i = 0; i < ops->count; i++) {
        struct varve_value value = {0};
        if (ops->ops[i].kind != BATCH_CHECK)
            continue;
        enum varve_status status = read_store(exchange, ops->ops[i].key, &value);
        uint64_t revision = value.revision;
        varve_value_release(&value);
        if (status != VARVE_OK)
            return explain(exchange, status);
        if (revision != ops->ops[i].revision)
            status = fail_check(exchange, i, revision);
        if (status != VARVE_OK)
            return status;
    }
    return exchange->problem.failed_ops.size > 0 ? VARVE_CONFLICT : VARVE_OK;
}

static enum varve_status add_checks(struct exchange *exchange)
{
    const struct batch_ops *ops = &exchange->batch_work->ops;
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < ops->count; i++) {
        if (ops->ops[i].kind == BATCH_CHECK)
            status = add_check(exchange->batch, ops->ops[i].key, ops->ops[i].revision);
    }
    return status;
}

static void look_over(struct batch_work *work)
{
    for (size_t i = 0; i < work->ops.count; i++) {
        enum batch_op_kind kind = work->ops.ops[i].kind;
        work->writes |= kind == BATCH_PUT || kind == BATCH_DELETE;
        work->reads |= kind == BATCH_GET;
        work->checks |= kind == BATCH_CHECK;
    }
}

/* What the operations need is known only now. A check of a batch that writes is a condition. */
static enum varve_status check_access(struct exchange *exchange)
{
    const struct batch_work *work = exchange->batch_work;
    enum varve_status status = VARVE_OK;
    if (work->writes)
        status = access_require(&exchange->access, TOKEN_WRITE, &exchange->problem);
    if (status == VARVE_OK && (work->reads || !work->writes))
        status = access_require(&exchange->access, TOKEN_READ, &exchange->problem);
    return status;
}

static enum varve_status begin_reads(struct exchange *exchange)
{
    struct batch_work *work = exchange->batch_work;
    enum varve_status status = VARVE_OK;
    if (work->reads)
        status = write_index_init(&work->index, work->ops.count);
    if (status == VARVE_OK && (work->reads || !work->writes))
        status = varve_snapshot_acquire(exchange->db, &work->snapshot);
    if (status == VARVE_OK && work->snapshot != NULL)
        work->revision = varve_snapshot_revision(work->snapshot);
    return status;
}

static void end_reads(struct exchange *exchange)
{
    struct batch_work *work = exchange->batch_work;
    if (work->snapshot != NULL)
        varve_snapshot_release(exchange->db, work->snapshot);
    work->snapshot = NULL;
    free(work->index.entries);
    work->index = (struct write_index){0};
}

/* Fills the exchange's batch and results. On failure the problem is set. */
static enum varve_status apply_ops(struct exchange *exchange)
{
    struct batch_work *work = exchange->batch_work;
    json_results_deinit(&exchange->results);
    enum varve_status status = exchange_begin_batch(exchange);
    if (status == VARVE_OK)
        status = begin_reads(exchange);
    if (status == VARVE_OK && work->writes)
        status = add_checks(exchange);
    for (size_t i = 0; status == VARVE_OK && i < work->ops.count; i++)
        status = apply_op(exchange, i);
    if (status != VARVE_OK)
        return explain(exchange, status);
    if (!work->writes)
        status = judge_on_snapshot(exchange);
    if (status == VARVE_OK) /* a write's answer must not fail later */
        status = exchange_reserve_answer(exchange, json_results_bytes_max(&exchange->results));
    return status;
}

/* Everything before the commit, on the loop or on a worker. On failure the problem is set, but for
 * VARVE_WOULD_BLOCK: then a worker has to begin again. */
static enum varve_status prepare(struct exchange *exchange)
{
    struct batch_work *work = exchange->batch_work;
    enum varve_status status = VARVE_OK;
    if (work->ops.ops == NULL) {
        size_t value_bytes_max = exchange->loop->service->config->engine.value_bytes_max;
        enum batch_form form =
            exchange->representation == REPRESENTATION_NDJSON ? BATCH_LINES : BATCH_OBJECT;
        status = json_body_parse_batch(buf_slice(&exchange->body), form, value_bytes_max,
                                       &work->ops, &exchange->problem);
        buf_deinit(&exchange->body); /* it may be large */
        look_over(work);
        if (status == VARVE_OK)
            status = check_access(exchange);
    }
    if (status == VARVE_OK)
        status = apply_ops(exchange);
    end_reads(exchange);
    if (status == VARVE_OK && varve_batch_check_count(exchange->batch) == 0)
        batch_ops_deinit(&work->ops);
    return status;
}

static enum exchange_step answer(struct exchange *exchange, uint64_t revision)
{
    exchange->answer.has_revision = true;
    exchange->answer.revision = revision;
    enum varve_status status =
        json_results_finish(&exchange->results, revision, &exchange->answer.body);
    json_results_deinit(&exchange->results);
    if (status != VARVE_OK) /* what is written must not be told to have failed */
        return exchange_fail(exchange,
                             exchange->batch_work->writes ? VARVE_OUTCOME_UNKNOWN : status);
    return exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_JSON]);
}

static void run_prepare(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    exchange_job_done(exchange, prepare(exchange));
}

/* It is prepared. */
static enum exchange_step go_on(struct exchange *exchange, enum varve_status status)
{
    if (status != VARVE_OK)
        return exchange_refuse(exchange);
    if (exchange->batch_work->writes)
        return exchange_commit(exchange);
    return answer(exchange, exchange->batch_work->revision);
}

static enum exchange_step start(struct exchange *exchange)
{
    struct batch_work *work = exchange->batch_work;
    if (!work->on_worker) {
        enum varve_status status = prepare(exchange);
        if (status != VARVE_WOULD_BLOCK)
            return go_on(exchange, status);
        problem_deinit(&exchange->problem);
        work->on_worker = work->prepares = true;
        if (!work->long_to_make) /* it is the disk */
            return exchange_defer(exchange, run_prepare);
    }
    work->prepares = true;
    return exchange_work(exchange, THREAD_JOB_URGENT, run_prepare);
}

/* Conditions of the commit did not hold. */
static enum exchange_step judge_conflict(struct exchange *exchange)
{
    struct batch_work *work = exchange->batch_work;
    enum varve_status status = VARVE_OK;
    for (size_t i = 0, check = 0; status == VARVE_OK && i < work->ops.count; i++) {
        uint64_t revision = 0;
        if (work->ops.ops[i].kind == BATCH_CHECK &&
            !varve_batch_check_held(exchange->batch, check++, &revision))
            status = fail_check(exchange, i, revision);
    }
    if (status != VARVE_OK || exchange->problem.failed_ops.size > 0)
        return exchange_refuse(exchange);
    if (++work->conflicts < LIMIT_BATCH_ATTEMPTS)
        return start(exchange);
    (void)problem_set(&exchange->problem, PROBLEM_BUSY,
                      "keys that the batch reads keep changing; nothing was applied");
    return exchange_refuse(exchange);
}

static enum varve_status prepare_batch(struct exchange *exchange)
{
    size_t choice = 0;
    enum varve_status status = kv_read_sync(exchange);
    if (status == VARVE_OK)
        status = accept_choose(exchange_headers(exchange), exchange_header_count(exchange),
                               &representation_types[REPRESENTATION_JSON], 1, &choice,
                               &exchange->problem);
    if (status == VARVE_OK)
        status = content_type_choose(exchange_headers(exchange), exchange_header_count(exchange),
                                     REPRESENTATION_NDJSON, &exchange->representation,
                                     &exchange->problem);
    return status;
}

static enum exchange_step handle_batch(struct exchange *exchange)
{
    struct batch_work *work = calloc(1, sizeof *work);
    exchange->batch_work = work;
    if (work == NULL)
        return exchange_fail(exchange, status_raise(VARVE_NO_MEMORY));
    work->expiry_base_s = service_expiry_base_s(exchange->loop->service);
    work->on_worker = exchange->body.size > LIMIT_INLINE_JSON_BYTES;
    return start(exchange);
}

static enum exchange_step finish_batch(struct exchange *exchange)
{
    enum varve_status status = exchange->write.status;
    if (exchange->batch_work->prepares) {
        exchange->batch_work->prepares = false;
        return go_on(exchange, status);
    }
    if (status == VARVE_CONFLICT)
        return judge_conflict(exchange);
    return status == VARVE_OK ? answer(exchange, exchange->write.revision)
                              : exchange_fail(exchange, status);
}

static const char *const batch_params[] = {"sync", NULL};
const struct route batch_route = {
    .meter = METER_BATCH,
    .scopes = TOKEN_READ | TOKEN_WRITE,
    .needs_store = true,
    .takes_body = true,
    .needs_body = true,
    .params = batch_params,
    .prepare = prepare_batch,
    .handle = handle_batch,
    .finish = finish_batch,
};
