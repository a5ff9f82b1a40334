/* Batches: what is encoded comes back; whatever else there is, is refused. */
#include "format/batch_codec.h"

#include <stdlib.h>

#include "support.h"

static const struct batch_op ops[] = {
    {.kind = ENTRY_PUT, .key = {(const uint8_t *)"a", 1}, .value = {NULL, 0}},
    {.kind = ENTRY_DELETE, .key = {(const uint8_t *)"bc", 2}},
    {.kind = ENTRY_PUT_EXPIRING,
     .key = {(const uint8_t *)"d", 1},
     .value = {(const uint8_t *)"01234567v", 9}},
};
#define OPS (sizeof ops / sizeof ops[0])

static void batch_make(struct buf *buf)
{
    ck_ok(buf_append_fixed32(buf, OPS));
    for (size_t i = 0; i < OPS; i++) {
        size_t before = buf->size;
        ck_ok(batch_op_encode(buf, &ops[i]));
        ck_assert_uint_eq(buf->size - before, batch_op_encoded_size(&ops[i]));
    }
}

/* The status that ends a pass; END when all is well. */
static enum varve_status batch_walk(struct varve_slice batch, size_t *ret_ops)
{
    struct batch_reader reader = {0};
    struct batch_op op = {0};
    *ret_ops = 0;
    enum varve_status status = batch_reader_init(&reader, batch);
    while (status == VARVE_OK) {
        status = batch_reader_next(&reader, &op);
        *ret_ops += status == VARVE_OK;
    }
    return status;
}

START_TEST(round_trip)
{
    struct buf buf = {0};
    batch_make(&buf);
    struct batch_reader reader = {0};
    ck_ok(batch_reader_init(&reader, buf_slice(&buf)));
    for (size_t i = 0; i < OPS; i++) {
        struct batch_op op = {0};
        ck_ok(batch_reader_next(&reader, &op));
        ck_assert_int_eq(op.kind, ops[i].kind);
        ck_slice_eq(op.key, ops[i].key);
        ck_slice_eq(op.value, ops[i].value);
    }
    struct batch_op op = {0};
    ck_status(batch_reader_next(&reader, &op), VARVE_END);
    buf_deinit(&buf);
}
END_TEST

START_TEST(cuts_and_left_overs)
{
    struct buf buf = {0};
    size_t count = 0;
    batch_make(&buf);
    for (size_t size = 0; size < buf.size; size++)
        ck_status(batch_walk(varve_slice(buf.data, size), &count), VARVE_CORRUPT);
    ck_ok(buf_append_byte(&buf, 0));
    ck_status(batch_walk(buf_slice(&buf), &count), VARVE_CORRUPT);
    ck_assert_uint_eq(count, OPS);
    buf_deinit(&buf);
}
END_TEST

static enum varve_status walk_one(const struct batch_op *op)
{
    struct buf buf = {0};
    size_t count = 0;
    ck_ok(buf_append_fixed32(&buf, 1));
    ck_ok(batch_op_encode(&buf, op));
    enum varve_status status = batch_walk(buf_slice(&buf), &count);
    buf_deinit(&buf);
    return status;
}

START_TEST(limits)
{
    uint8_t *big = calloc(1, VARVE_VALUE_BYTES_MAX + 9);
    ck_assert_ptr_nonnull(big);
    struct batch_op op = {.kind = ENTRY_PUT, .key = varve_slice(big, VARVE_KEY_BYTES_MAX)};
    ck_status(walk_one(&op), VARVE_END);
    op.key.size++;
    ck_status(walk_one(&op), VARVE_CORRUPT);
    op.key.size = 0;
    ck_status(walk_one(&op), VARVE_CORRUPT);
    op.key.size = 1;
    op.value = varve_slice(big, VARVE_VALUE_BYTES_MAX + 8);
    ck_status(walk_one(&op), VARVE_END);
    op.value.size++;
    ck_status(walk_one(&op), VARVE_CORRUPT);
    op.kind = ENTRY_PUT_EXPIRING;
    op.value.size = 7;
    ck_status(walk_one(&op), VARVE_CORRUPT);
    op.kind = (enum entry_kind)(ENTRY_KIND_MAX + 1);
    op.value.size = 8;
    ck_status(walk_one(&op), VARVE_CORRUPT);
    free(big);
}
END_TEST

START_TEST(counts)
{
    struct buf buf = {0};
    size_t count = 0;
    batch_make(&buf);
    const uint32_t wrong[] = {0, OPS - 1, OPS + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fixed32_encode(buf.data, wrong[i]);
        ck_status(batch_walk(buf_slice(&buf), &count), VARVE_CORRUPT);
    }
    buf_deinit(&buf);
}
END_TEST

START_TEST(huge_lengths)
{
    /* a key length near 2^64 must not wrap round */
    static const uint8_t batch[] = {1,    0,    0,    0,    ENTRY_PUT, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff,      0xff, 0x01, 'k'};
    size_t count = 0;
    ck_status(batch_walk(varve_slice(batch, sizeof batch), &count), VARVE_CORRUPT);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"round_trip", round_trip},
        {"cuts_and_left_overs", cuts_and_left_overs},
        {"limits", limits},
        {"counts", counts},
        {"huge_lengths", huge_lengths},
    };
    return SUPPORT_RUN("batch_codec", tests);
}
