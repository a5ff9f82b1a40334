/* A pass that goes on reads its blocks in stretches: the same entries, in far fewer calls. */
#include "format/block_stretch.h"

#include <stdio.h>

#include "run_suite.h"
#include "sstable_fixture.h"
#include "support.h"

#define BLOCK_BYTES 4096u
#define BLOCKS_LEAST 100u

static struct fixture f;
static uint64_t accounted_blocks, accounted_bytes;
static int64_t held_bytes, held_bytes_most;

static void account(struct block_fetcher *fetcher, uint64_t blocks, uint64_t bytes,
                    int64_t more_held)
{
    accounted_blocks += blocks;
    accounted_bytes += bytes;
    held_bytes += more_held;
    held_bytes_most = held_bytes > held_bytes_most ? held_bytes : held_bytes_most;
}

static void setup(enum compression compression)
{
    fixture_init(&f);
    for (f.count = 0; f.count < ENTRIES_MAX; f.count++) {
        char text[8];
        snprintf(text, sizeof text, "k%05zu", f.count);
        support_key(&f.keys[f.count], text, 1, ENTRY_PUT);
        ck_ok(buf_append_zeros(&f.values[f.count], 200));
        memcpy(f.values[f.count].data, text, sizeof text);
    }
    ck_ok(table_write_compressed(&f, BLOCK_BYTES, 10, compression));
    table_open(&f);
    f.fetcher.base.account = account;
    accounted_blocks = accounted_bytes = 0;
    held_bytes = held_bytes_most = 0;
}

static void teardown(void)
{
    ck_assert_int_eq(held_bytes, 0);
    ck_assert_uint_eq(f.fetcher.pinned, 0);
    fixture_deinit(&f);
}

static struct entry_iterator *iterator(void)
{
    struct entry_iterator *it = NULL;
    ck_ok(sstable_iterator_new(f.reader, &f.fetcher.base, false, &it));
    return it;
}

/* From entry `i` on as it is, to the end. */
static void ck_goes_on(struct entry_iterator *it, size_t i)
{
    for (; i < f.count; i++) {
        ck_assert(it->valid);
        ck_slice_eq(it->key, buf_slice(&f.keys[i]));
        ck_slice_eq(it->value, buf_slice(&f.values[i]));
        it->ops->next(it);
    }
    ck_assert(!it->valid);
    ck_ok(it->status);
}

START_TEST(whole_pass)
{
    setup(_i == 0 ? COMPRESSION_NONE : COMPRESSION_LZ4);
    const size_t blocks = sstable_reader_index(f.reader)->count;
    ck_assert_uint_ge(blocks, BLOCKS_LEAST);
    struct entry_iterator *it = iterator();
    it->ops->seek_first(it);
    ck_goes_on(it, 0);
    ck_assert_uint_eq(f.fetcher.fetched + accounted_blocks, blocks);
    if (_i == 0) { /* compressed it is a tenth as long */
        ck_assert_uint_le(f.fetcher.fetched, blocks / 5);
        ck_assert_int_gt(held_bytes_most, 64 << 10);
    }
    ck_assert_uint_gt(accounted_bytes, 0);
    /* What is read in stretches was advised before, as if it had been fetched. */
    uint64_t advices = 0, advised = 0;
    fault_env_advices(f.fault, &advices, &advised);
    ck_assert_uint_ge(advised, accounted_bytes);
    ck_assert_int_gt(held_bytes_most, 0);
    ck_assert_int_le(held_bytes_most, 128 << 10);
    entry_iterator_free(it);
    teardown();
}
END_TEST

/* Stops of all kinds in the middle of a stretch, and goes on from there. */
START_TEST(jumps_and_turns)
{
    setup(_i == 0 ? COMPRESSION_NONE : COMPRESSION_LZ4);
    struct entry_iterator *it = iterator();
    for (size_t from = 0; from + 1000 < f.count; from += 333) {
        it->ops->seek(it, buf_slice(&f.keys[from]));
        size_t at = from;
        for (size_t steps = 0; steps < 700; steps++, at++)
            it->ops->next(it);
        for (size_t steps = 0; steps < 60; steps++, at--) {
            ck_slice_eq(it->key, buf_slice(&f.keys[at]));
            ck_slice_eq(it->value, buf_slice(&f.values[at]));
            it->ops->prev(it);
        }
        it->ops->seek(it, buf_slice(&f.keys[at + 100]));
        ck_goes_on(it, at + 100);
    }
    ck_assert_uint_gt(accounted_blocks, 0);
    entry_iterator_free(it);
    teardown();
}
END_TEST

START_TEST(cached_blocks_are_fetched)
{
    setup(COMPRESSION_NONE);
    f.fetcher.as_cached = true;
    struct entry_iterator *it = iterator();
    it->ops->seek_first(it);
    ck_goes_on(it, 0);
    ck_assert_uint_eq(accounted_blocks, 0);
    ck_assert_uint_eq(f.fetcher.fetched, sstable_reader_index(f.reader)->count);
    entry_iterator_free(it);
    teardown();
}
END_TEST

/* Each damaged byte ends the pass at its block, with all entries before it told. */
START_TEST(damage_is_told)
{
    setup(COMPRESSION_NONE);
    struct buf file = {0};
    const struct sstable_index *index = sstable_reader_index(f.reader);
    const size_t block = index->count / 2;
    const uint64_t offset = sstable_index_offset(index, block);
    support_file_read(f.path, &file);
    file.data[offset + 100] ^= 1;
    support_file_write(f.path, buf_slice(&file));
    struct entry_iterator *it = iterator();
    size_t told = 0;
    for (it->ops->seek_first(it); it->valid; it->ops->next(it))
        ck_slice_eq(it->key, buf_slice(&f.keys[told++]));
    ck_status(it->status, VARVE_CORRUPT);
    ck_assert_uint_eq(sstable_index_find(index, buf_slice(&f.keys[told])), block);
    ck_assert_uint_eq(sstable_index_find(index, buf_slice(&f.keys[told - 1])), block - 1);
    ck_assert_uint_gt(accounted_blocks, 0);
    buf_deinit(&file);
    entry_iterator_free(it);
    teardown();
}
END_TEST

/* What a stretch cannot read is fetched, which tells what is wrong if it still is. */
START_TEST(failed_stretch_is_fetched)
{
    setup(COMPRESSION_NONE);
    struct entry_iterator *it = iterator();
    it->ops->seek_first(it);
    const struct fault_rule rule = {.operations = FAULT_READ, .at = 2, .status = VARVE_IO};
    fault_env_set_rule(f.fault, &rule);
    ck_goes_on(it, 0);
    ck_assert_uint_eq(fault_env_chosen(f.fault), 1);
    ck_assert_uint_gt(accounted_blocks, 0);
    entry_iterator_free(it);
    teardown();
}
END_TEST

/* All of a table is on its way to the disk before it is synced. */
START_TEST(writing_is_announced)
{
    struct buf file = {0};
    setup(COMPRESSION_NONE);
    support_file_read(f.path, &file);
    ck_assert_uint_eq(fault_env_announced_bytes(f.fault), file.size);
    buf_deinit(&file);
    teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("block_stretch");
    TCase *tests = tcase_create("block_stretch");
    tcase_add_loop_test(tests, whole_pass, 0, 2);
    tcase_add_loop_test(tests, jumps_and_turns, 0, 2);
    tcase_add_test(tests, cached_blocks_are_fetched);
    tcase_add_test(tests, damage_is_told);
    tcase_add_test(tests, failed_stretch_is_fetched);
    tcase_add_test(tests, writing_is_announced);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
