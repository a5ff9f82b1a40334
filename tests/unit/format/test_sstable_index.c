/* The index as it is searched: finds what a walk over the separators finds, and takes no block that
 * is not a table's index. */
#include "format/sstable_index.h"

#include <stdlib.h>

#include "budget.h"
#include "format/block.h"
#include "prng.h"
#include "support.h"

#define SEPARATORS_MAX 400u

struct fixture {
    struct buf keys[SEPARATORS_MAX]; /* growing */
    size_t count;
    struct block_builder builder;
    struct varve_slice block;
    struct sstable_properties properties;
    uint64_t block_bytes; /* of the first block; each is a byte larger than the one before it */
    uint64_t data_end;
    struct sstable_index index;
};

static int key_order(const void *a, const void *b)
{
    const struct buf *left = a, *right = b;
    return entry_key_compare(buf_slice(left), buf_slice(right));
}

/* Few different bytes, so that keys begin alike, are prefixes of each other, hold zeros and end in
 * 0xff; `common` in front of all. */
static void key_make(struct prng *prng, const char *common, struct buf *ret)
{
    static const uint8_t alphabet[] = {0x00, 0x01, 'a', 'b', 0xfe, 0xff};
    ck_ok(buf_assign(ret, varve_slice_str(common)));
    size_t bytes = 1 + prng_below(prng, prng_chance(prng, 50) ? 4 : 14);
    for (size_t i = 0; i < bytes; i++)
        ck_ok(buf_append_byte(ret, alphabet[prng_below(prng, sizeof alphabet)]));
    ck_ok(buf_append_fixed64(ret, entry_tag(prng_below(prng, 4), ENTRY_PUT)));
}

static void fixture_init(struct fixture *f, struct prng *prng, const char *common, size_t count)
{
    memset(f, 0, sizeof *f);
    f->block_bytes = 100;
    for (size_t i = 0; i < count; i++)
        key_make(prng, common, &f->keys[i]);
    qsort(f->keys, count, sizeof f->keys[0], key_order);
    for (size_t i = 0; i < count; i++) {
        if (f->count == 0 || key_order(&f->keys[f->count - 1], &f->keys[i]) != 0) {
            struct buf key = f->keys[f->count];
            f->keys[f->count++] = f->keys[i];
            f->keys[i] = key;
        }
    }
    block_builder_init(&f->builder, 1);
    f->properties.smallest = f->keys[0]; /* lent */
    f->properties.largest = f->keys[f->count - 1];
    f->properties.data_block_count = f->count;
}

static void fixture_deinit(struct fixture *f)
{
    sstable_index_deinit(&f->index);
    block_builder_deinit(&f->builder);
    for (size_t i = 0; i < SEPARATORS_MAX; i++)
        buf_deinit(&f->keys[i]);
}

/* The block of the separators; block `odd` lies `gap` bytes from where it should. */
static void block_make(struct fixture *f, size_t odd, int64_t gap)
{
    block_builder_clear(&f->builder);
    f->data_end = 0;
    for (size_t i = 0; i < f->count; i++) {
        uint8_t bytes[BLOCK_HANDLE_BYTES_MAX];
        const struct block_handle handle = {.offset = f->data_end + (i == odd ? (uint64_t)gap : 0),
                                            .size = f->block_bytes + i};
        size_t size = (size_t)(block_handle_encode(bytes, handle) - bytes);
        ck_ok(block_builder_add(&f->builder, buf_slice(&f->keys[i]), varve_slice(bytes, size)));
        f->data_end += handle.size + SSTABLE_BLOCK_TRAILER_BYTES;
    }
    ck_ok(block_builder_finish(&f->builder, &f->block));
}

static enum varve_status index_open(struct fixture *f)
{
    return sstable_index_init(&f->index, f->block, &f->properties, f->data_end);
}

static void ck_found(const struct fixture *f, struct varve_slice target)
{
    size_t at = 0;
    while (at < f->count && entry_key_compare(buf_slice(&f->keys[at]), target) < 0)
        at++;
    ck_assert_uint_eq(sstable_index_find(&f->index, target), at);
}

static void ck_searched(struct fixture *f, struct prng *prng, const char *common)
{
    static const char *const others[] = {"",          "a",          "\xff\xff", "common/",
                                         "common/ke", "common/kez", "common0"};
    struct buf target = {0};
    for (size_t i = 0; i < f->count; i++)
        ck_found(f, buf_slice(&f->keys[i]));
    for (uint64_t round = budget_choose(200, 2000, 2000); round > 0; round--) {
        key_make(prng, prng_chance(prng, 70) ? common : others[prng_below(prng, 7)], &target);
        ck_found(f, buf_slice(&target));
    }
    for (size_t i = 1; i < 7; i++) {
        support_key(&target, others[i], 2, ENTRY_KIND_SEEK);
        ck_found(f, buf_slice(&target));
    }
    buf_deinit(&target);
}

/* Of all keys, separator `at` has its own alone. */
static void ck_user_keys(const struct fixture *f, size_t at)
{
    const struct varve_slice own = entry_user_key(buf_slice(&f->keys[at]));
    for (size_t i = 0; i < f->count; i++) {
        const struct varve_slice user_key = entry_user_key(buf_slice(&f->keys[i]));
        ck_assert_int_eq(sstable_index_user_key_is(&f->index, at, user_key),
                         varve_slice_compare(user_key, own) == 0);
    }
    ck_assert(own.size == 0 ||
              !sstable_index_user_key_is(&f->index, at, varve_slice(own.data, own.size - 1)));
}

START_TEST(finds_what_a_walk_finds)
{
    static const char *const commons[] = {"", "c", "common/", "common/key/of/some/length"};
    static const size_t counts[] = {1, 2, 3, 7, 64, SEPARATORS_MAX};
    struct prng prng = prng_make(1);
    for (size_t c = 0; c < 4; c++) {
        for (size_t n = 0; n < sizeof counts / sizeof counts[0]; n++) {
            struct fixture f;
            fixture_init(&f, &prng, commons[c], counts[n]);
            block_make(&f, SIZE_MAX, 0);
            ck_ok(index_open(&f));
            ck_assert_uint_eq(f.index.count, f.count);
            ck_assert_uint_gt(sstable_index_memory_bytes(&f.index), f.count * 25);
            uint64_t offset = 0;
            for (size_t i = 0; i < f.count; i++) {
                struct block_handle handle = sstable_index_handle(&f.index, i);
                ck_assert_uint_eq(handle.offset, offset);
                ck_assert_uint_eq(handle.size, 100 + i);
                ck_user_keys(&f, i);
                offset += handle.size + SSTABLE_BLOCK_TRAILER_BYTES;
            }
            ck_searched(&f, &prng, commons[c]);
            fixture_deinit(&f);
        }
    }
}
END_TEST

/* Offsets below 4 GiB, and beyond. */
START_TEST(data_of_many_gigabytes)
{
    struct prng prng = prng_make(6);
    struct fixture f;
    fixture_init(&f, &prng, "", 7);
    ck_assert_uint_ge(f.count, 5);
    f.properties.data_block_count = f.count = 5;
    f.properties.largest = f.keys[4];
    static const uint64_t block_bytes[] = {100, 1 << 29, 1 << 30, UINT64_C(1) << 33};
    for (size_t n = 0; n < 4; n++) {
        f.block_bytes = block_bytes[n];
        block_make(&f, SIZE_MAX, 0);
        ck_ok(index_open(&f));
        ck_assert_int_eq(f.index.far != NULL, n >= 2);
        uint64_t offset = 0;
        for (size_t i = 0; i < f.count; i++) {
            ck_assert_uint_eq(sstable_index_handle(&f.index, i).offset, offset);
            ck_assert_uint_eq(sstable_index_handle(&f.index, i).size, f.block_bytes + i);
            offset += f.block_bytes + i + SSTABLE_BLOCK_TRAILER_BYTES;
        }
        ck_assert_uint_eq(sstable_index_offset(&f.index, f.count), f.data_end);
        sstable_index_deinit(&f.index);
    }
    fixture_deinit(&f);
}
END_TEST

/* The greatest number that stands for a key, of several keys. */
START_TEST(prefixes_of_ones)
{
    static const char *const keys[] = {"a", "\xff\xff\xff\xff\xff\xff\xff\xff",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff"
                                       "a",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff"
                                       "b",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    struct prng prng = prng_make(5);
    struct fixture f;
    struct buf target = {0};
    fixture_init(&f, &prng, "", 1);
    for (f.count = 0; f.count < 5; f.count++)
        support_key(&f.keys[f.count], keys[f.count], 1, ENTRY_PUT);
    f.properties = (struct sstable_properties){
        .smallest = f.keys[0], .largest = f.keys[4], .data_block_count = 5};
    block_make(&f, SIZE_MAX, 0);
    ck_ok(index_open(&f));
    for (size_t i = 0; i < 5; i++) {
        for (uint64_t sequence = 0; sequence < 3; sequence++) {
            support_key(&target, keys[i], sequence, ENTRY_PUT);
            ck_found(&f, buf_slice(&target));
        }
    }
    buf_deinit(&target);
    fixture_deinit(&f);
}
END_TEST

static void ck_refused(struct fixture *f)
{
    ck_status(index_open(f), VARVE_CORRUPT);
    ck_assert_ptr_null(f->index.common);
}

START_TEST(handles_that_do_not_tile)
{
    struct prng prng = prng_make(2);
    struct fixture f;
    fixture_init(&f, &prng, "", 20);
    for (size_t odd = 0; odd < f.count; odd++) {
        block_make(&f, odd, 1);
        ck_refused(&f);
        block_make(&f, odd, -1);
        ck_refused(&f);
    }
    block_make(&f, SIZE_MAX, 0);
    f.data_end++;
    ck_refused(&f);
    f.data_end -= 2;
    ck_refused(&f);
    f.data_end++;
    ck_ok(index_open(&f));
    fixture_deinit(&f);
}
END_TEST

START_TEST(not_what_the_properties_say)
{
    struct prng prng = prng_make(3);
    struct fixture f;
    struct buf beyond = {0};
    fixture_init(&f, &prng, "common/", 20);
    block_make(&f, SIZE_MAX, 0);
    const uint64_t counts[] = {0, f.count - 1, f.count + 1, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        f.properties.data_block_count = counts[i];
        ck_refused(&f);
    }
    f.properties.data_block_count = f.count;
    const struct buf smallest = f.properties.smallest, largest = f.properties.largest;
    support_key(&beyond, "x", 1, ENTRY_PUT);
    f.properties.largest = beyond;
    ck_refused(&f);
    f.properties.smallest = beyond;
    f.properties.largest = largest;
    ck_refused(&f);
    f.properties.smallest = smallest;
    ck_ok(index_open(&f));
    buf_deinit(&beyond);
    fixture_deinit(&f);
}
END_TEST

/* Two separators that do not grow, put in each other's place behind the builder's back; sizes that
 * are none; shared bytes, which let a small block stand for much memory. */
START_TEST(entries_that_no_writer_makes)
{
    struct prng prng = prng_make(4);
    struct fixture f;
    fixture_init(&f, &prng, "", 1);
    static const uint8_t swapped[] = {
        0, 9, 2, 'b', 0, 1, 0, 0, 0, 0, 0, 0, 0,   100, /* offset 0, size 100 */
        0, 9, 2, 'a', 0, 1, 0, 0, 0, 0, 0, 0, 105, 100, 0, 0, 0, 0, 14, 0, 0, 0, 2, 0, 0, 0};
    static const uint8_t right[] = {
        0, 9, 2, 'a', 0, 1, 0, 0, 0, 0, 0, 0, 0,   100, /* the same in order */
        0, 9, 2, 'b', 0, 1, 0, 0, 0, 0, 0, 0, 105, 100, 0, 0, 0, 0, 14, 0, 0, 0, 2, 0, 0, 0};
    uint8_t bytes[sizeof right];
    struct buf smallest = {0};
    support_key(&smallest, "a", 1, ENTRY_DELETE);
    f.properties.smallest = f.properties.largest = smallest;
    f.properties.data_block_count = 2;
    f.data_end = 210;
    f.block = varve_slice(swapped, sizeof swapped);
    ck_refused(&f);
    memcpy(bytes, right, sizeof bytes);
    f.block = varve_slice(bytes, sizeof bytes);
    ck_ok(index_open(&f));
    sstable_index_deinit(&f.index);
    bytes[27] = 0; /* an empty block */
    f.data_end = 110;
    ck_refused(&f);
    buf_deinit(&smallest);
    fixture_deinit(&f);

    fixture_init(&f, &prng, "a common part that is longer than what is told of each entry", 300);
    block_builder_init(&f.builder, SIZE_MAX);
    block_make(&f, SIZE_MAX, 0);
    ck_refused(&f);
    fixture_deinit(&f);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"finds_what_a_walk_finds", finds_what_a_walk_finds},
        {"data_of_many_gigabytes", data_of_many_gigabytes},
        {"prefixes_of_ones", prefixes_of_ones},
        {"handles_that_do_not_tile", handles_that_do_not_tile},
        {"not_what_the_properties_say", not_what_the_properties_say},
        {"entries_that_no_writer_makes", entries_that_no_writer_makes},
    };
    return SUPPORT_RUN("sstable_index", tests);
}
