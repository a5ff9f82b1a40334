/*
 * Gets are answered first, from one snapshot and the batch's own earlier writes, so that an answer
 * that would be too large refuses the batch before anything is written. Earlier writes are found
 * through a hash table of the last write of each key so far, made only if the batch has gets.
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

struct work {
    struct exchange *exchange;
    struct batch_ops ops;
    const struct varve_snapshot *snapshot; /* NULL without gets */
    struct write_index writes;
};

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

static enum varve_status read_key(struct work *work, const struct batch_op *op)
{
    struct json_results *results = &work->exchange->results;
    enum value_encoding encoding = op->utf8 ? VALUE_UTF8 : VALUE_BASE64;
    uint32_t earlier = *write_index_find(&work->writes, &work->ops, op->key);
    if (earlier != 0) {
        const struct batch_op *write = &work->ops.ops[earlier - 1];
        if (write->kind == BATCH_DELETE)
            return json_results_add_missing(results);
        return json_results_add_get(results, write->value, encoding, JSON_REVISION_OF_BATCH);
    }
    struct varve_value value = {0};
    enum varve_status status = varve_get(work->exchange->db, op->key, work->snapshot, &value);
    if (status == VARVE_NOT_FOUND)
        return json_results_add_missing(results);
    if (status == VARVE_OK)
        status = json_results_add_get(results, value.data, encoding, value.revision);
    varve_value_release(&value);
    return status;
}

static enum varve_status apply_op(struct work *work, size_t at)
{
    struct exchange *exchange = work->exchange;
    const struct batch_op *op = &work->ops.ops[at];
    enum varve_status status = VARVE_OK;
    switch (op->kind) {
    case BATCH_PUT:
        status = varve_batch_put(exchange->batch, op->key, op->value);
        if (status == VARVE_OK)
            status = json_results_add_put(&exchange->results);
        break;
    case BATCH_DELETE:
        status = varve_batch_delete(exchange->batch, op->key);
        if (status == VARVE_OK)
            status = json_results_add_delete(&exchange->results);
        break;
    case BATCH_GET:
        return read_key(work, op);
    }
    if (status == VARVE_OK && work->snapshot != NULL)
        *write_index_find(&work->writes, &work->ops, op->key) = (uint32_t)at + 1;
    return status;
}

static enum varve_status prepare_reads(struct work *work)
{
    bool reads = false;
    for (size_t i = 0; i < work->ops.count && !reads; i++)
        reads = work->ops.ops[i].kind == BATCH_GET;
    if (!reads)
        return VARVE_OK;
    enum varve_status status = write_index_init(&work->writes, work->ops.count);
    return status == VARVE_OK ? varve_snapshot_acquire(work->exchange->db, &work->snapshot)
                              : status;
}

/* Fills the exchange's batch and results. On failure the problem is set. */
static enum varve_status apply_ops(struct work *work)
{
    struct exchange *exchange = work->exchange;
    enum varve_status status = exchange_begin_batch(exchange);
    if (status == VARVE_OK)
        status = prepare_reads(work);
    for (size_t i = 0; status == VARVE_OK && i < work->ops.count; i++)
        status = apply_op(work, i);
    if (status == VARVE_TOO_LARGE) { /* keys and values have been checked: it is the results */
        (void)problem_set(&exchange->problem, PROBLEM_RESULT_TOO_LARGE,
                          "the answer would be too large; nothing was applied");
        exchange->problem.has_limit = true;
        exchange->problem.limit = LIMIT_BATCH_ANSWER_BYTES;
        return status;
    }
    return status == VARVE_OK ? VARVE_OK : problem_set_status(&exchange->problem, status);
}

static enum exchange_step answer(struct exchange *exchange, uint64_t revision)
{
    exchange->answer.has_revision = true;
    exchange->answer.revision = revision;
    enum varve_status status =
        json_results_finish(&exchange->results, revision, &exchange->answer.body);
    if (status != VARVE_OK)
        return exchange_fail(exchange, status);
    return exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_JSON]);
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
                                     false, &exchange->representation, &exchange->problem);
    return status;
}

static enum exchange_step handle_batch(struct exchange *exchange)
{
    struct work work = {.exchange = exchange};
    enum exchange_step step = EXCHANGE_DONE;
    size_t value_bytes_max = exchange->loop->service->config->engine.value_bytes_max;
    enum varve_status status = json_body_parse_batch(buf_slice(&exchange->body), value_bytes_max,
                                                     &work.ops, &exchange->problem);
    if (status == VARVE_OK)
        status = apply_ops(&work);
    if (status != VARVE_OK)
        step = exchange_refuse(exchange);
    else if (varve_batch_count(exchange->batch) > 0)
        step = exchange_commit(exchange);
    else
        step = answer(exchange, varve_snapshot_revision(work.snapshot));

    if (work.snapshot != NULL)
        varve_snapshot_release(exchange->db, work.snapshot);
    free(work.writes.entries);
    batch_ops_deinit(&work.ops);
    return step;
}

static enum exchange_step finish_batch(struct exchange *exchange)
{
    if (exchange->write.status != VARVE_OK)
        return exchange_fail(exchange, exchange->write.status);
    return answer(exchange, exchange->write.revision);
}

static const char *const batch_params[] = {"sync", NULL};
const struct route batch_route = {
    .meter = METER_BATCH,
    .needs_store = true,
    .takes_body = true,
    .needs_body = true,
    .params = batch_params,
    .prepare = prepare_batch,
    .handle = handle_batch,
    .finish = finish_batch,
};
