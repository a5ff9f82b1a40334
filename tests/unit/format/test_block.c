/* Blocks: passes both ways against a plain array, and hostile bytes. */
#include "format/block.h"

#include <stdio.h>
#include <stdlib.h>

#include "prng.h"
#include "support.h"

#define ENTRIES_MAX 400

struct table_of_entries {
    struct buf keys[ENTRIES_MAX], values[ENTRIES_MAX];
    size_t count;
};

/* Keys with shared prefixes of all lengths, some with several versions, some values empty. */
static void entries_make(struct table_of_entries *t, size_t count, uint64_t seed)
{
    struct prng prng = prng_make(seed);
    char text[64];
    unsigned number = 0;
    memset(t, 0, sizeof *t);
    while (t->count < count) {
        number += 1 + (unsigned)prng_below(&prng, 40);
        snprintf(text, sizeof text, "key/%08u%.*s", number, (int)prng_below(&prng, 20),
                 "abcdefghijklmnopqrstuvwxyz");
        size_t versions = 1 + prng_below(&prng, 3);
        for (size_t v = 0; v < versions && t->count < count; v++) {
            support_key(&t->keys[t->count], text, 100 - v, ENTRY_PUT);
            uint8_t value[300];
            size_t size = prng_below(&prng, 2) * prng_below(&prng, sizeof value);
            prng_bytes(&prng, value, size);
            ck_ok(buf_assign(&t->values[t->count], varve_slice(value, size)));
            t->count++;
        }
    }
}

static void entries_free(struct table_of_entries *t)
{
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        buf_deinit(&t->keys[i]);
        buf_deinit(&t->values[i]);
    }
}

static void block_make(const struct table_of_entries *t, size_t restart_interval,
                       struct block_builder *builder, struct varve_slice *ret)
{
    block_builder_init(builder, restart_interval);
    for (size_t i = 0; i < t->count; i++)
        ck_ok(block_builder_add(builder, buf_slice(&t->keys[i]), buf_slice(&t->values[i])));
    size_t bytes = block_builder_bytes(builder);
    ck_ok(block_builder_finish(builder, ret));
    ck_assert_uint_eq(ret->size, bytes);
}

static void ck_stands(const struct block_iterator *it, const struct table_of_entries *t, size_t i)
{
    if (i >= t->count) {
        ck_assert(!it->base.valid);
        ck_ok(it->base.status);
        return;
    }
    ck_assert(it->base.valid);
    ck_slice_eq(it->base.key, buf_slice(&t->keys[i]));
    ck_slice_eq(it->base.value, buf_slice(&t->values[i]));
}

static void check_passes(const struct table_of_entries *t, struct block_iterator *it)
{
    block_iterator_seek_first(it);
    for (size_t i = 0; i < t->count; i++) {
        ck_stands(it, t, i);
        block_iterator_next(it);
    }
    ck_stands(it, t, t->count);
    block_iterator_seek_last(it);
    for (size_t i = t->count; i-- > 0;) {
        ck_stands(it, t, i);
        block_iterator_prev(it);
    }
    ck_stands(it, t, t->count);
}

static void check_seeks(const struct table_of_entries *t, struct block_iterator *it)
{
    struct buf target = {0};
    for (size_t i = 0; i < t->count; i++) {
        block_iterator_seek(it, buf_slice(&t->keys[i]));
        ck_stands(it, t, i);
        /* an older version than this one, of the same key: the next entry */
        ck_ok(buf_assign(&target, buf_slice(&t->keys[i])));
        uint64_t tag = entry_key_tag(buf_slice(&target));
        fixed64_encode(target.data + target.size - ENTRY_TAG_BYTES, tag - 1);
        block_iterator_seek(it, buf_slice(&target));
        ck_stands(it, t, i + 1);
        if (it->base.valid) {
            block_iterator_prev(it);
            ck_stands(it, t, i);
        }
    }
    support_key(&target, "k", 1, ENTRY_PUT);
    block_iterator_seek(it, buf_slice(&target));
    ck_stands(it, t, 0);
    support_key(&target, "z", 1, ENTRY_PUT);
    block_iterator_seek(it, buf_slice(&target));
    ck_stands(it, t, t->count);
    buf_deinit(&target);
}

START_TEST(against_an_array)
{
    static const size_t intervals[] = {1, 2, 3, 16, 256};
    static const size_t counts[] = {1, 2, 15, 16, 17, 33, ENTRIES_MAX};
    struct block_iterator it = {0};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct table_of_entries t;
        entries_make(&t, counts[c], c);
        for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
            struct block_builder builder;
            struct varve_slice block = {0};
            block_make(&t, intervals[i], &builder, &block);
            /* a copy of the exact size, so that a reach beyond it is seen */
            uint8_t *copy = malloc(block.size);
            ck_assert_ptr_nonnull(copy);
            memcpy(copy, block.data, block.size);
            ck_ok(block_iterator_init(&it, varve_slice(copy, block.size)));
            check_passes(&t, &it);
            check_seeks(&t, &it);
            free(copy);
            block_builder_deinit(&builder);
        }
        entries_free(&t);
    }
    block_iterator_deinit(&it);
}
END_TEST

START_TEST(builder_is_used_again)
{
    struct table_of_entries t;
    entries_make(&t, 20, 7);
    struct block_builder builder;
    struct varve_slice block = {0};
    block_make(&t, 4, &builder, &block);
    struct buf first = {0};
    ck_ok(buf_assign(&first, block));
    block_builder_clear(&builder);
    for (size_t i = 0; i < t.count; i++)
        ck_ok(block_builder_add(&builder, buf_slice(&t.keys[i]), buf_slice(&t.values[i])));
    ck_ok(block_builder_finish(&builder, &block));
    ck_slice_eq(block, buf_slice(&first));
    buf_deinit(&first);
    block_builder_deinit(&builder);
    entries_free(&t);
}
END_TEST

START_TEST(longest_key)
{
    struct buf key = {0};
    uint8_t room[BLOCK_KEY_ROOM_BYTES];
    ck_ok(buf_append_zeros(&key, VARVE_KEY_BYTES_MAX));
    ck_ok(buf_append_fixed64(&key, entry_tag(1, ENTRY_PUT)));
    struct block_builder builder;
    block_builder_init(&builder, 16);
    ck_ok(block_builder_add(&builder, buf_slice(&key), varve_slice_str("v")));
    key.data[VARVE_KEY_BYTES_MAX - 1] = 1;
    ck_ok(block_builder_add(&builder, buf_slice(&key), varve_slice_str("w")));
    struct varve_slice block = {0};
    ck_ok(block_builder_finish(&builder, &block));
    struct block_iterator it = {0};
    block_iterator_lend_key_room(&it, room);
    ck_ok(block_iterator_init(&it, block));
    block_iterator_seek(&it, buf_slice(&key));
    ck_assert(it.base.valid);
    ck_slice_eq(it.base.value, varve_slice_str("w"));
    ck_assert_ptr_eq(it.key.data, room);
    block_builder_deinit(&builder);
    buf_deinit(&key);
}
END_TEST

/* Walks and seeks in whatever way the bytes allow; it must end, and touch nothing outside. */
static void exercise(struct varve_slice bytes, struct varve_slice target)
{
    uint8_t *copy = malloc(bytes.size != 0 ? bytes.size : 1);
    ck_assert_ptr_nonnull(copy);
    if (bytes.size != 0)
        memcpy(copy, bytes.data, bytes.size);
    struct block_iterator it = {0};
    if (block_iterator_init(&it, varve_slice(copy, bytes.size)) == VARVE_OK) {
        size_t steps = 0;
        for (block_iterator_seek_first(&it); it.base.valid; block_iterator_next(&it))
            ck_assert_uint_lt(steps++, bytes.size);
        steps = 0;
        for (block_iterator_seek_last(&it); it.base.valid; block_iterator_prev(&it))
            ck_assert_uint_lt(steps++, bytes.size);
        block_iterator_seek(&it, target);
        ck_assert(it.base.valid || it.base.status == VARVE_OK || it.base.status == VARVE_CORRUPT);
    }
    block_iterator_deinit(&it);
    free(copy);
}

START_TEST(hostile_bytes)
{
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    struct table_of_entries t;
    entries_make(&t, 24, 3);
    struct block_builder builder;
    struct varve_slice block = {0};
    block_make(&t, 4, &builder, &block);
    uint8_t *bytes = malloc(block.size);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < block.size; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            memcpy(bytes, block.data, block.size);
            bytes[i] ^= masks[m];
            exercise(varve_slice(bytes, block.size), buf_slice(&t.keys[12]));
        }
        exercise(varve_slice(block.data, i), buf_slice(&t.keys[12]));
        exercise(varve_slice(block.data + i, block.size - i), buf_slice(&t.keys[12]));
    }
    free(bytes);
    block_builder_deinit(&builder);
    entries_free(&t);
}
END_TEST

START_TEST(refused_shapes)
{
    struct block_iterator it = {0};
    static const uint8_t no_restarts[] = {0, 9, 0, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t many_restarts[] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t no_entry[] = {0, 0, 0, 0, 1, 0, 0, 0};
    /* the first entry shares a byte with nothing */
    static const uint8_t shares[] = {1, 8, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0};
    ck_status(block_iterator_init(&it, varve_slice(NULL, 0)), VARVE_CORRUPT);
    ck_status(block_iterator_init(&it, varve_slice(no_restarts, sizeof no_restarts)),
              VARVE_CORRUPT);
    ck_status(block_iterator_init(&it, varve_slice(many_restarts, sizeof many_restarts)),
              VARVE_CORRUPT);
    ck_status(block_iterator_init(&it, varve_slice(no_entry, sizeof no_entry)), VARVE_CORRUPT);
    ck_ok(block_iterator_init(&it, varve_slice(shares, sizeof shares)));
    block_iterator_seek_first(&it);
    ck_assert(!it.base.valid);
    ck_status(it.base.status, VARVE_CORRUPT);

    static const uint8_t reaches[] = {0, 9, 2, 1, 1, 1, 1, 1, 1, 1, 1,
                                      1, 1, 0, 0, 0, 0, 1, 0, 0, 0};
    ck_ok(block_iterator_init(&it, varve_slice(reaches, sizeof reaches)));
    block_iterator_seek_first(&it); /* its value would reach into the restarts */
    ck_assert(!it.base.valid);
    ck_status(it.base.status, VARVE_CORRUPT);
    block_iterator_deinit(&it);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"against_an_array", against_an_array}, {"builder_is_used_again", builder_is_used_again},
        {"longest_key", longest_key},           {"hostile_bytes", hostile_bytes},
        {"refused_shapes", refused_shapes},
    };
    return SUPPORT_RUN("block", tests);
}
