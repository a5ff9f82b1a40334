/* The block cache: what it keeps and what it lets go, that pinned blocks stay whole, and all of it
 * from several threads at once. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/block_cache.h"
#include "format/filename.h"
#include "prng.h"
#include "table_files.h"

#define SHARDS 16u
#define ADMISSION_PERIOD 8 /* one in so many comes into a full shard */
#define TABLES 2u
#define ENTRIES 2000u
#define BLOCK_BYTES_MAX (2 * TABLE_FILES_BLOCK_BYTES) /* in the cache, all told */
#define ROOMY_BYTES (64u << 20)

struct fixture {
    struct tmpdir dir;
    struct array array;
    struct table *tables[TABLES];
    struct sstable_reader *readers[TABLES];
    struct block_handle *blocks[TABLES];
    size_t block_count; /* of each table */
    struct memory_budget memory;
    struct block_cache *cache;
    struct block_fetcher *fetcher;
};

static void set_up_together(struct fixture *f, size_t budget_bytes, size_t together_bytes)
{
    *f = (struct fixture){0};
    tmpdir_make(&f->dir);
    table_files_fill(&f->array, ENTRIES, 100);
    for (size_t i = 0; i < TABLES; i++) {
        uint64_t file_id = 10 + i;
        char path[FILENAME_BYTES_MAX];
        f->tables[i] = table_files_write(&f->dir, file_id, &f->array, 0, ENTRIES);
        ck_assert_int_eq(filename_path(path, f->dir.path, FILE_TABLE, file_id), VARVE_OK);
        ck_assert_int_eq(sstable_reader_open(env_posix(), path, file_id,
                                             f->tables[i]->meta.file_bytes, &f->readers[i], NULL),
                         VARVE_OK);
        f->blocks[i] = table_files_blocks(f->readers[i], &f->block_count);
    }
    ck_assert_uint_gt(f->block_count, 300);
    memory_budget_init(&f->memory, SIZE_MAX);
    ck_assert_int_eq(block_cache_new(budget_bytes, together_bytes, &f->memory, &f->cache),
                     VARVE_OK);
    f->fetcher = block_cache_fetcher(f->cache);
}

static void set_up(struct fixture *f, size_t budget_bytes)
{
    set_up_together(f, budget_bytes, budget_bytes);
}

static void tear_down(struct fixture *f)
{
    block_cache_free(f->cache);
    memory_budget_deinit(&f->memory);
    for (size_t i = 0; i < TABLES; i++) {
        free(f->blocks[i]);
        sstable_reader_free(f->readers[i]);
        table_unref(f->tables[i]);
    }
    array_deinit(&f->array);
    tmpdir_remove(&f->dir);
}

static struct block_ref fetch(struct fixture *f, size_t table, size_t block, bool fill)
{
    struct block_ref ref = {0};
    ck_assert_int_eq(
        f->fetcher->fetch(f->fetcher, f->readers[table], f->blocks[table][block], fill, &ref),
        VARVE_OK);
    return ref;
}

static void release(struct fixture *f, struct block_ref *ref)
{
    f->fetcher->release(f->fetcher, ref);
    ck_assert_ptr_null(ref->pin);
    f->fetcher->release(f->fetcher, ref); /* a zeroed one */
}

static bool holds_block(struct fixture *f, size_t table, size_t block, struct varve_slice data)
{
    uint8_t *expected = NULL;
    size_t size = 0;
    if (sstable_reader_read_block(f->readers[table], f->blocks[table][block], &expected, &size) !=
        VARVE_OK)
        return false;
    bool same = varve_slice_compare(varve_slice(expected, size), data) == 0;
    free(expected);
    return same;
}

static struct block_cache_stats stats_of(struct fixture *f)
{
    struct block_cache_stats stats = {0};
    block_cache_stats(f->cache, &stats);
    return stats;
}

START_TEST(second_fetch_hits)
{
    struct fixture f;
    set_up(&f, ROOMY_BYTES);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < f.block_count; i++)
            for (size_t t = 0; t < TABLES; t++) {
                struct block_ref ref = fetch(&f, t, i, true), again = fetch(&f, t, i, false);
                ck_assert(holds_block(&f, t, i, ref.data));
                ck_assert_ptr_eq(ref.pin, again.pin);
                release(&f, &ref);
                release(&f, &again);
            }
    struct block_cache_stats stats = stats_of(&f);
    /* Those that fill nothing are not counted. */
    ck_assert_uint_eq(stats.lookups, 2 * TABLES * f.block_count);
    ck_assert_uint_eq(stats.hits, TABLES * f.block_count);
    ck_assert_uint_eq(stats.block_reads, TABLES * f.block_count);
    ck_assert_uint_gt(stats.block_read_bytes, stats.block_reads * 100);
    ck_assert_uint_ge(stats.bytes, stats.block_read_bytes);
    ck_assert_uint_eq(stats.bytes_max, ROOMY_BYTES);
    ck_assert_uint_eq(stats.evictions, 0);
    tear_down(&f);
}
END_TEST

START_TEST(not_worth_keeping)
{
    struct fixture f;
    set_up(&f, ROOMY_BYTES);
    for (int round = 0; round < 3; round++) {
        struct block_ref ref = fetch(&f, 0, 5, false);
        ck_assert(holds_block(&f, 0, 5, ref.data));
        release(&f, &ref);
    }
    ck_assert_uint_eq(stats_of(&f).block_reads, 3);
    ck_assert_uint_eq(stats_of(&f).bytes, 0);
    tear_down(&f);
}
END_TEST

START_TEST(budget_is_kept)
{
    struct fixture f;
    const size_t budget = SHARDS * 4 * BLOCK_BYTES_MAX;
    set_up(&f, budget);
    struct block_ref pinned[3];
    for (size_t i = 0; i < 3; i++)
        pinned[i] = fetch(&f, 0, i, true);
    for (size_t i = 0; i < ADMISSION_PERIOD * f.block_count; i++) {
        struct block_ref ref = fetch(&f, 1, i % f.block_count, true);
        release(&f, &ref);
        ck_assert_uint_le(stats_of(&f).bytes, budget);
    }
    struct block_cache_stats stats = stats_of(&f);
    ck_assert_uint_gt(stats.evictions, f.block_count / 2);
    ck_assert_uint_gt(stats.bytes, budget / 4);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(holds_block(&f, 0, i, pinned[i].data));
        struct block_ref ref = fetch(&f, 0, i, true);
        ck_assert_ptr_eq(ref.pin, pinned[i].pin); /* it was never evicted */
        release(&f, &ref);
        release(&f, &pinned[i]);
    }
    tear_down(&f);
}
END_TEST

/* A block asked for all the time outlives a scan of others. */
START_TEST(second_chance)
{
    struct fixture f;
    set_up(&f, SHARDS * 8 * BLOCK_BYTES_MAX);
    size_t misses = 0;
    for (size_t i = 0; i < ADMISSION_PERIOD * f.block_count; i++) {
        uint64_t reads = stats_of(&f).block_reads;
        struct block_ref hot = fetch(&f, 0, 7, true);
        release(&f, &hot);
        misses += stats_of(&f).block_reads != reads;
        struct block_ref ref = fetch(&f, 1, i % f.block_count, true);
        release(&f, &ref);
    }
    ck_assert_uint_gt(stats_of(&f).evictions, 100);
    ck_assert_uint_eq(misses, 1);
    tear_down(&f);
}
END_TEST

/* Of a loop over more than fits a good part stays, though each block comes after all others. */
START_TEST(loop_over_more_than_fits)
{
    struct fixture f;
    set_up(&f, SHARDS * 8 * BLOCK_BYTES_MAX);
    const size_t rounds = 10;
    for (size_t i = 0; i < rounds * f.block_count; i++) {
        struct block_ref ref = fetch(&f, 1, i % f.block_count, true);
        ck_assert(holds_block(&f, 1, i % f.block_count, ref.data));
        release(&f, &ref);
    }
    struct block_cache_stats stats = stats_of(&f);
    ck_assert_uint_gt(stats.evictions, f.block_count / 2);
    ck_assert_uint_gt(stats.hits, f.block_count);
    tear_down(&f);
}
END_TEST

/* With all room pinned, or none for a block at all, blocks are served all the same. */
START_TEST(no_room)
{
    static const size_t budgets[] = {0, SHARDS * 100, SHARDS * 2 * BLOCK_BYTES_MAX};
    for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++) {
        struct fixture f;
        set_up(&f, budgets[b]);
        struct block_ref *refs = calloc(f.block_count, sizeof *refs);
        ck_assert_ptr_nonnull(refs);
        for (size_t i = 0; i < f.block_count; i++)
            refs[i] = fetch(&f, 0, i, true);
        ck_assert_uint_le(stats_of(&f).bytes, budgets[b]);
        for (size_t i = 0; i < f.block_count; i++) {
            ck_assert(holds_block(&f, 0, i, refs[i].data));
            release(&f, &refs[i]);
        }
        free(refs);
        tear_down(&f);
    }
}
END_TEST

START_TEST(charges_count)
{
    struct fixture f;
    const int64_t budget = SHARDS * 16 * BLOCK_BYTES_MAX;
    set_up(&f, (size_t)budget);
    for (size_t i = 0; i < f.block_count; i++) {
        struct block_ref ref = fetch(&f, 0, i, true);
        release(&f, &ref);
    }
    ck_assert_uint_gt(stats_of(&f).bytes, (uint64_t)budget / 2);
    block_cache_charge(f.cache, budget * 3 / 4);
    ck_assert_uint_eq(stats_of(&f).charged_bytes, (uint64_t)budget * 3 / 4);
    ck_assert_uint_le(stats_of(&f).bytes, (uint64_t)budget / 4);
    block_cache_charge(f.cache, budget);
    ck_assert_uint_eq(stats_of(&f).bytes, 0);
    struct block_ref ref = fetch(&f, 0, 1, true);
    release(&f, &ref);
    ck_assert_uint_eq(stats_of(&f).bytes, 0);
    block_cache_charge(f.cache, -budget);
    block_cache_charge(f.cache, -budget * 3 / 4);
    ck_assert_uint_eq(stats_of(&f).charged_bytes, 0);
    ref = fetch(&f, 0, 1, true);
    release(&f, &ref);
    ck_assert_uint_gt(stats_of(&f).bytes, 0);
    tear_down(&f);
}
END_TEST

static void fetch_all(struct fixture *f)
{
    for (size_t t = 0; t < TABLES; t++)
        for (size_t i = 0; i < f->block_count; i++) {
            struct block_ref ref = fetch(f, t, i, true);
            release(f, &ref);
        }
}

/* Tables that go beyond the budget leave blocks an eighth of it, as far as there is room. */
START_TEST(charges_beyond_the_budget)
{
    struct fixture f;
    const int64_t budget = SHARDS * 64 * BLOCK_BYTES_MAX;
    set_up_together(&f, (size_t)budget, (size_t)budget * 2);
    block_cache_charge(f.cache, budget * 5 / 4); /* there is room for more than the eighth */
    fetch_all(&f);
    ck_assert_uint_le(stats_of(&f).bytes, (uint64_t)budget / 8);
    ck_assert_uint_gt(stats_of(&f).bytes, (uint64_t)budget / 32);
    ck_assert_uint_eq(stats_of(&f).bytes_max, (uint64_t)budget * 2);
    block_cache_charge(f.cache, budget / 2);
    ck_assert(!block_cache_tables_are_over(f.cache, 0));
    f.memory.limit_bytes = (size_t)budget * 3;
    ck_assert(!block_cache_tables_are_over(f.cache, 0));
    ck_assert(block_cache_tables_are_over(f.cache, (size_t)budget));
    f.memory.limit_bytes = (size_t)budget / 4 * 7; /* less than tables take is left of 90 % of it */
    block_cache_trim(f.cache, 0);
    ck_assert(block_cache_tables_are_over(f.cache, 0));
    ck_assert_uint_eq(stats_of(&f).bytes, 0);
    f.memory.limit_bytes = SIZE_MAX;
    block_cache_charge(f.cache, budget * 3 / 16);
    ck_assert(block_cache_tables_are_over(f.cache, 0));
    fetch_all(&f);
    ck_assert_uint_le(stats_of(&f).bytes, (uint64_t)budget / 16);
    ck_assert_uint_gt(stats_of(&f).bytes, 0);
    block_cache_charge(f.cache, budget / 16);
    ck_assert_uint_eq(stats_of(&f).bytes, 0);
    block_cache_charge(f.cache, -2 * budget);
    ck_assert(!block_cache_tables_are_over(f.cache, 0));
    tear_down(&f);
}
END_TEST

START_TEST(failed_read_is_not_kept)
{
    struct fixture f;
    set_up(&f, ROOMY_BYTES);
    struct block_handle bad = f.blocks[0][2];
    bad.offset++; /* its crc is bound to the place */
    for (int i = 0; i < 2; i++) {
        struct block_ref ref = {0};
        ck_assert_int_eq(f.fetcher->fetch(f.fetcher, f.readers[0], bad, true, &ref), VARVE_CORRUPT);
        ck_assert_ptr_null(ref.pin);
    }
    ck_assert_uint_eq(stats_of(&f).bytes, 0);
    tear_down(&f);
}
END_TEST

enum { THREADS = 4, FETCHES = 4000, HELD = 6 };

struct worker {
    struct fixture *f;
    uint64_t seed;
    uint64_t errors;
};

static void *work(void *context)
{
    struct worker *worker = context;
    struct fixture *f = worker->f;
    struct prng prng = prng_make(worker->seed);
    struct block_ref held[HELD] = {{.pin = NULL}};
    for (int i = 0; i < FETCHES; i++) {
        struct block_ref *ref = &held[prng_below(&prng, HELD)];
        f->fetcher->release(f->fetcher, ref);
        size_t table = prng_below(&prng, TABLES);
        size_t block = prng_below(&prng, prng_chance(&prng, 50) ? 10 : f->block_count);
        bool fill = prng_chance(&prng, 80);
        if (f->fetcher->fetch(f->fetcher, f->readers[table], f->blocks[table][block], fill, ref) !=
            VARVE_OK)
            worker->errors++;
        else if (i % 16 == 0)
            worker->errors += !holds_block(f, table, block, ref->data);
        if (i % 100 == 50)
            block_cache_charge(f->cache, 8 * BLOCK_BYTES_MAX);
        if (i % 100 == 99)
            block_cache_charge(f->cache, -8 * (int64_t)BLOCK_BYTES_MAX);
    }
    for (size_t i = 0; i < HELD; i++)
        f->fetcher->release(f->fetcher, &held[i]);
    return NULL;
}

START_TEST(threads)
{
    struct fixture f;
    set_up(&f, SHARDS * 6 * BLOCK_BYTES_MAX);
    pthread_t ids[THREADS];
    struct worker workers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.f = &f, .seed = i};
        ck_assert_int_eq(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        ck_assert_uint_eq(workers[i].errors, 0);
    }
    struct block_cache_stats stats = stats_of(&f);
    ck_assert_uint_gt(stats.lookups, THREADS * FETCHES / 2);
    ck_assert_uint_lt(stats.lookups, THREADS * FETCHES);
    ck_assert_uint_le(stats.lookups, stats.hits + stats.block_reads);
    ck_assert_uint_eq(stats.charged_bytes, 0);
    ck_assert_uint_gt(stats.evictions, 0);
    tear_down(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("block_cache");
    TCase *tests = tcase_create("block_cache");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, second_fetch_hits);
    tcase_add_test(tests, not_worth_keeping);
    tcase_add_test(tests, budget_is_kept);
    tcase_add_test(tests, second_chance);
    tcase_add_test(tests, loop_over_more_than_fits);
    tcase_add_test(tests, no_room);
    tcase_add_test(tests, charges_count);
    tcase_add_test(tests, charges_beyond_the_budget);
    tcase_add_test(tests, failed_read_is_not_kept);
    tcase_add_test(tests, threads);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
