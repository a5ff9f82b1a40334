/*
 * A batch is kept in its encoded form from the first operation on, so that committing copies bytes
 * and nothing else. Folding needs to know which keys occur twice: an open-addressing table of
 * operation offsets, made only for batches of more than one operation, walked once from the front.
 * A key met again marks its earlier operation as dropped; only if there was one, the bytes are
 * moved together.
 */
#include "engine/batch.h"

#include <stdlib.h>

#include "base/hash.h"
#include "format/batch_codec.h"

enum varve_status varve_batch_new(struct varve_batch **ret_batch)
{
    struct varve_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return status_raise(VARVE_NO_MEMORY);
    *ret_batch = batch;
    return VARVE_OK;
}

void batch_deinit(struct varve_batch *batch)
{
    buf_deinit(&batch->bytes);
    buf_deinit(&batch->scratch);
    buf_deinit(&batch->conditions.bytes);
    buf_deinit(&batch->conditions.checks);
    *batch = (struct varve_batch){0};
}

void varve_batch_free(struct varve_batch *batch)
{
    if (batch == NULL)
        return;
    batch_deinit(batch);
    free(batch);
}

void varve_batch_clear(struct varve_batch *batch)
{
    buf_clear(&batch->bytes);
    batch->count = 0;
    batch->value_bytes_max = 0;
    batch->user_bytes = 0;
    batch->folded = true;
    buf_clear(&batch->conditions.bytes);
    buf_clear(&batch->conditions.checks);
    batch->conditions.count = 0;
}

size_t varve_batch_count(const struct varve_batch *batch)
{
    return batch->count;
}

size_t varve_batch_bytes(const struct varve_batch *batch)
{
    return batch->bytes.size;
}

static enum varve_status batch_add(struct varve_batch *batch, const struct batch_op *op)
{
    enum varve_status status = VARVE_OK;
    size_t value_bytes = op->value.size - (op->kind == ENTRY_PUT_EXPIRING ? ENTRY_EXPIRY_BYTES : 0);

    if (op->key.size == 0)
        return status_raise(VARVE_INVALID);
    if (op->key.size > VARVE_KEY_BYTES_MAX || value_bytes > VARVE_VALUE_BYTES_MAX ||
        batch->count == UINT32_MAX)
        return status_raise(VARVE_TOO_LARGE);
    if (batch->count == 0) {
        buf_clear(&batch->bytes);
        status = buf_append_zeros(&batch->bytes, BATCH_HEADER_BYTES);
        if (status != VARVE_OK)
            return status;
    }
    status = batch_op_encode(&batch->bytes, op);
    if (status != VARVE_OK)
        return status;
    batch->count++;
    batch->folded = batch->count == 1;
    batch->user_bytes += op->key.size + value_bytes;
    if (value_bytes > batch->value_bytes_max)
        batch->value_bytes_max = value_bytes;
    return VARVE_OK;
}

enum varve_status varve_batch_put(struct varve_batch *batch, struct varve_slice key,
                                  struct varve_slice value)
{
    return batch_add(batch, &(struct batch_op){.kind = ENTRY_PUT, .key = key, .value = value});
}

enum varve_status varve_batch_put_expiring(struct varve_batch *batch, struct varve_slice key,
                                           struct varve_slice value, uint64_t expires_at)
{
    if (value.size > VARVE_VALUE_BYTES_MAX)
        return status_raise(VARVE_TOO_LARGE);
    buf_clear(&batch->scratch);
    enum varve_status status = buf_append_fixed64(&batch->scratch, expires_at);
    if (status == VARVE_OK)
        status = buf_append_slice(&batch->scratch, value);
    if (status != VARVE_OK)
        return status;
    return batch_add(batch, &(struct batch_op){.kind = ENTRY_PUT_EXPIRING,
                                               .key = key,
                                               .value = buf_slice(&batch->scratch)});
}

enum varve_status varve_batch_delete(struct varve_batch *batch, struct varve_slice key)
{
    return batch_add(batch, &(struct batch_op){.kind = ENTRY_DELETE, .key = key});
}

/* One operation as folding sees it. */
struct fold_op {
    struct varve_slice key;
    uint32_t offset, end; /* in the batch's bytes */
    bool dropped;
};

/* Marks operations that a later one of the same key replaces; says how many. */
static size_t fold_mark(struct fold_op *ops, size_t count, uint32_t *table, size_t table_size)
{
    size_t dropped = 0;

    for (size_t i = 0; i < count; i++) {
        size_t slot = hash_slice(ops[i].key) & (table_size - 1);
        while (table[slot] != 0 && varve_slice_compare(ops[table[slot] - 1].key, ops[i].key) != 0)
            slot = (slot + 1) & (table_size - 1);
        if (table[slot] != 0) {
            ops[table[slot] - 1].dropped = true;
            dropped++;
        }
        table[slot] = (uint32_t)i + 1;
    }
    return dropped;
}

static void fold_compact(struct varve_batch *batch, const struct fold_op *ops, size_t count)
{
    uint8_t *data = batch->bytes.data;
    size_t at = BATCH_HEADER_BYTES;

    for (size_t i = 0; i < count; i++) {
        if (ops[i].dropped)
            continue;
        memmove(data + at, data + ops[i].offset, ops[i].end - ops[i].offset);
        at += ops[i].end - ops[i].offset;
    }
    batch->bytes.size = at;
}

static enum varve_status batch_fold(struct varve_batch *batch)
{
    size_t table_size = 16;
    while (table_size < batch->count * 2)
        table_size *= 2;
    size_t ops_bytes = batch->count * sizeof(struct fold_op);
    buf_clear(&batch->scratch);
    enum varve_status status =
        buf_append_zeros(&batch->scratch, ops_bytes + table_size * sizeof(uint32_t));
    if (status != VARVE_OK)
        return status;
    struct fold_op *ops = (struct fold_op *)(void *)batch->scratch.data;
    uint32_t *table = (uint32_t *)(void *)(batch->scratch.data + ops_bytes);

    fixed32_encode(batch->bytes.data, (uint32_t)batch->count);
    struct batch_reader reader = {0};
    status = batch_reader_init(&reader, buf_slice(&batch->bytes));
    for (size_t i = 0; status == VARVE_OK && i < batch->count; i++) {
        struct batch_op op = {0};
        ops[i].offset = (uint32_t)(reader.rest.data - batch->bytes.data);
        status = batch_reader_next(&reader, &op);
        ops[i].key = op.key;
        ops[i].end = (uint32_t)(reader.rest.data - batch->bytes.data);
    }
    if (status != VARVE_OK)
        return status;
    size_t dropped = fold_mark(ops, batch->count, table, table_size);
    if (dropped > 0) {
        fold_compact(batch, ops, batch->count);
        batch->count -= dropped;
    }
    batch->folded = true;
    return VARVE_OK;
}

enum varve_status batch_seal(struct varve_batch *batch, struct batch_sealed *ret_sealed)
{
    if (batch->count > 1 && !batch->folded) {
        enum varve_status status = batch_fold(batch);
        if (status != VARVE_OK)
            return status;
    }
    fixed32_encode(batch->bytes.data, (uint32_t)batch->count);
    *ret_sealed = (struct batch_sealed){
        .bytes = buf_slice(&batch->bytes),
        .op_count = (uint32_t)batch->count,
        .entry_bytes = batch->bytes.size,
    };
    return VARVE_OK;
}
