/* The table cache: what is open when, what happens without the file, several threads at once; and
 * the pass over a run's tables against the array they were written from. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/table_cache.h"
#include "format/filename.h"
#include "prng.h"
#include "table_files.h"

#define TABLES 24u
#define ENTRIES 1200u
#define CACHE_BYTES (8u << 20)

struct fixture {
    struct tmpdir dir;
    struct array array;
    struct table *tables[TABLES]; /* file ids 1 to TABLES, equal shares of the array */
    struct memory_budget memory;
    struct block_cache *blocks;
    struct table_cache *cache;
};

static void set_up_cache(struct fixture *f, size_t open_max, size_t cache_bytes,
                         size_t together_bytes)
{
    *f = (struct fixture){0};
    tmpdir_make(&f->dir);
    table_files_fill(&f->array, ENTRIES, 40);
    const size_t share = ENTRIES / TABLES;
    for (size_t i = 0; i < TABLES; i++)
        f->tables[i] = table_files_write(&f->dir, i + 1, &f->array, i * share, share);
    memory_budget_init(&f->memory, SIZE_MAX);
    ck_assert_int_eq(block_cache_new(cache_bytes, together_bytes, &f->memory, &f->blocks),
                     VARVE_OK);
    ck_assert_int_eq(table_cache_new(env_posix(), f->dir.path, open_max, f->blocks, &f->cache),
                     VARVE_OK);
}

static void set_up(struct fixture *f, size_t open_max)
{
    set_up_cache(f, open_max, CACHE_BYTES, CACHE_BYTES);
}

static void tear_down(struct fixture *f)
{
    table_cache_free(f->cache);
    block_cache_free(f->blocks);
    memory_budget_deinit(&f->memory);
    for (size_t i = 0; i < TABLES; i++)
        table_unref(f->tables[i]);
    array_deinit(&f->array);
    tmpdir_remove(&f->dir);
}

static struct table_handle *acquire(struct fixture *f, size_t table)
{
    struct table_handle *handle = NULL;
    struct varve_error error = {0};
    ck_assert_msg(table_cache_acquire(f->cache, f->tables[table], &handle, &error) == VARVE_OK,
                  "%s", error.text);
    ck_assert_uint_eq(sstable_reader_file_id(table_handle_reader(handle)), table + 1);
    return handle;
}

static struct block_cache_stats stats_of(struct fixture *f)
{
    struct block_cache_stats stats = {0};
    block_cache_stats(f->blocks, &stats);
    return stats;
}

START_TEST(opened_once)
{
    struct fixture f;
    set_up(&f, TABLES);
    struct table_handle *first = acquire(&f, 3), *second = acquire(&f, 3);
    ck_assert_ptr_eq(first, second);
    ck_assert_uint_eq(table_cache_open_count(f.cache), 1);
    ck_assert_uint_eq(stats_of(&f).charged_bytes,
                      sstable_reader_memory_bytes(table_handle_reader(first)));
    table_cache_release(f.cache, first);
    table_cache_release(f.cache, second);
    ck_assert_uint_eq(table_cache_open_count(f.cache), 1);
    ck_assert_ptr_eq(table_cache_fetcher(f.cache), block_cache_fetcher(f.blocks));
    tear_down(&f);
}
END_TEST

START_TEST(limit)
{
    struct fixture f;
    set_up(&f, 4);
    for (size_t i = 0; i < 3 * TABLES; i++) {
        table_cache_release(f.cache, acquire(&f, i % TABLES));
        ck_assert_uint_le(table_cache_open_count(f.cache), 4);
    }
    struct table_handle *handles[TABLES];
    for (size_t i = 0; i < TABLES; i++)
        handles[i] = acquire(&f, i);
    ck_assert_uint_eq(table_cache_open_count(f.cache), TABLES);
    for (size_t i = 0; i < TABLES; i++)
        table_cache_release(f.cache, handles[i]);
    ck_assert_uint_eq(table_cache_open_count(f.cache), 4);
    tear_down(&f);
}
END_TEST

/* Tables that take more than the cache has for them are closed, down to as many as a few reads
 * need. */
START_TEST(memory)
{
    struct fixture f;
    set_up(&f, TABLES);
    for (size_t i = 0; i < TABLES; i++)
        table_cache_release(f.cache, acquire(&f, i));
    ck_assert_uint_eq(table_cache_open_count(f.cache), TABLES);
    const size_t all = stats_of(&f).charged_bytes, one = all / TABLES;
    tear_down(&f);

    const size_t cache_bytes = (all - 4 * one + one / 2) * 8 / 7;
    set_up_cache(&f, TABLES, cache_bytes, cache_bytes);
    for (size_t i = 0; i < 3 * TABLES; i++) {
        table_cache_release(f.cache, acquire(&f, i % TABLES));
        ck_assert_uint_le(table_cache_open_count(f.cache), TABLES - 4);
    }
    ck_assert_uint_eq(table_cache_open_count(f.cache), TABLES - 4);

    /* What others take of the limit the cache has not. */
    f.memory.limit_bytes = 2 * all;
    memory_budget_charge(&f.memory, MEMORY_MEMTABLES, (int64_t)(2 * all));
    ck_assert_uint_eq(table_cache_open_count(f.cache), TABLES - 4);
    table_cache_trim(f.cache, 0);
    ck_assert_uint_eq(table_cache_open_count(f.cache), 16);
    memory_budget_charge(&f.memory, MEMORY_MEMTABLES, -(int64_t)(2 * all));
    tear_down(&f);
}
END_TEST

/* Beyond the cache's budget they stay open where there is room, and leave blocks an eighth. */
START_TEST(memory_beyond_the_cache)
{
    struct fixture f;
    set_up(&f, TABLES);
    table_cache_release(f.cache, acquire(&f, 0));
    const size_t one = stats_of(&f).charged_bytes, all = TABLES * (one + 16);
    tear_down(&f);

    const size_t cache_bytes = all / 2;
    set_up_cache(&f, TABLES, cache_bytes, all + cache_bytes / 8);
    for (size_t i = 0; i < TABLES; i++)
        table_cache_release(f.cache, acquire(&f, i));
    ck_assert_uint_eq(table_cache_open_count(f.cache), TABLES);
    ck_assert_uint_gt(stats_of(&f).charged_bytes, cache_bytes);
    table_cache_trim(f.cache, 0);
    ck_assert_uint_eq(table_cache_open_count(f.cache), TABLES);

    /* What others take of the limit neither tables nor blocks have. */
    f.memory.limit_bytes = 2 * all;
    memory_budget_charge(&f.memory, MEMORY_MEMTABLES, (int64_t)all);
    table_cache_trim(f.cache, 0);
    const size_t open = table_cache_open_count(f.cache);
    ck_assert_uint_lt(open, TABLES);
    ck_assert_uint_gt(open, 16);
    memory_budget_charge(&f.memory, MEMORY_MEMTABLES, -(int64_t)all);
    tear_down(&f);
}
END_TEST

/* A table asked for all the time stays open. */
START_TEST(second_chance)
{
    struct fixture f;
    set_up(&f, 4);
    struct table_handle *hot = acquire(&f, 0);
    table_cache_release(f.cache, hot);
    for (size_t i = 0; i < 10 * TABLES; i++) {
        struct table_handle *again = acquire(&f, 0);
        ck_assert_ptr_eq(again, hot);
        table_cache_release(f.cache, again);
        table_cache_release(f.cache, acquire(&f, 1 + i % 2));
        if (i % 4 == 0)
            table_cache_release(f.cache, acquire(&f, 3 + i % (TABLES - 3)));
    }
    tear_down(&f);
}
END_TEST

static struct block_ref fetch_first(struct fixture *f, struct table_handle *handle)
{
    struct sstable_reader *reader = table_handle_reader(handle);
    struct block_fetcher *fetcher = table_cache_fetcher(f->cache);
    struct block_ref ref = {0};
    ck_assert_int_eq(fetcher->fetch(fetcher, reader,
                                    sstable_index_handle(sstable_reader_index(reader), 0), true,
                                    &ref),
                     VARVE_OK);
    return ref;
}

/* Its blocks are no longer kept, but for one in use; those of others are. */
START_TEST(dropped_table)
{
    struct fixture f;
    set_up(&f, TABLES);
    struct block_fetcher *fetcher = table_cache_fetcher(f.cache);
    struct table_handle *handle = acquire(&f, 2), *pinned = acquire(&f, 4), *other = acquire(&f, 5);
    struct block_ref first = fetch_first(&f, handle), used = fetch_first(&f, pinned),
                     kept = fetch_first(&f, other);
    fetcher->release(fetcher, &first);
    fetcher->release(fetcher, &kept);
    const size_t bytes = stats_of(&f).bytes;
    table_cache_drop(f.cache, 3);
    const size_t less = stats_of(&f).bytes;
    ck_assert_uint_lt(less, bytes);
    table_cache_drop(f.cache, 5);
    ck_assert_uint_eq(stats_of(&f).bytes, less);
    fetcher->release(fetcher, &used);
    table_cache_release(f.cache, pinned);
    kept = fetch_first(&f, other);
    ck_assert(!kept.was_read);
    fetcher->release(fetcher, &kept);
    table_cache_release(f.cache, other);
    table_cache_drop(f.cache, 6);
    ck_assert_uint_eq(table_cache_open_count(f.cache), 1); /* pinned */
    ck_assert_uint_eq(sstable_reader_file_id(table_handle_reader(handle)), 3);
    table_cache_release(f.cache, handle);
    ck_assert_uint_eq(table_cache_open_count(f.cache), 0);
    ck_assert_uint_eq(stats_of(&f).charged_bytes, 0);
    table_cache_drop(f.cache, 3); /* not open */
    tear_down(&f);
}
END_TEST

static void table_path(const struct fixture *f, size_t table, char path[FILENAME_BYTES_MAX])
{
    ck_assert_int_eq(filename_path(path, f->dir.path, FILE_TABLE, table + 1), VARVE_OK);
}

/* What cannot be opened is damage, and is tried again the next time. */
START_TEST(missing_and_exchanged_tables)
{
    struct fixture f;
    char path[FILENAME_BYTES_MAX], other[FILENAME_BYTES_MAX];
    set_up(&f, TABLES);
    table_path(&f, 1, path);
    table_path(&f, 2, other);
    const char *aside = tmpdir_path(&f.dir, "aside");
    ck_assert_int_eq(rename(path, aside), 0);
    struct table_handle *handle = NULL;
    struct varve_error error = {0};
    ck_assert_int_eq(table_cache_acquire(f.cache, f.tables[1], &handle, &error), VARVE_CORRUPT);
    ck_assert_str_eq(error.path, path);
    ck_assert_int_eq(error.status, VARVE_CORRUPT);
    ck_assert_int_eq(table_cache_acquire(f.cache, f.tables[1], &handle, NULL), VARVE_CORRUPT);
    ck_assert_int_eq(rename(other, path), 0);
    ck_assert_int_eq(table_cache_acquire(f.cache, f.tables[1], &handle, NULL), VARVE_CORRUPT);
    ck_assert_ptr_null(handle);
    ck_assert_uint_eq(table_cache_open_count(f.cache), 0);
    ck_assert_int_eq(rename(aside, path), 0);
    table_cache_release(f.cache, acquire(&f, 1));
    tear_down(&f);
}
END_TEST

enum { THREADS = 4, ROUNDS = 1500 };

struct worker {
    struct fixture *f;
    uint64_t seed;
    uint64_t errors;
};

static bool get_smallest(struct fixture *f, struct table_handle *handle, const struct table *table)
{
    struct block_fetcher *fetcher = table_cache_fetcher(f->cache);
    uint64_t tag = 0;
    struct varve_slice value = {0};
    struct block_ref pin = {0};
    if (sstable_reader_get(table_handle_reader(handle), fetcher, table_smallest(table), true, &tag,
                           &value, &pin) != VARVE_OK)
        return false;
    fetcher->release(fetcher, &pin);
    return tag == entry_tag(1, ENTRY_PUT) && value.size == 40;
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct fixture *f = worker->f;
    struct prng prng = prng_make(worker->seed);
    for (int i = 0; i < ROUNDS; i++) {
        const struct table *table = f->tables[prng_below(&prng, TABLES)];
        struct table_handle *handle = NULL;
        if (table_cache_acquire(f->cache, table, &handle, NULL) != VARVE_OK) {
            worker->errors++;
            continue;
        }
        worker->errors += !get_smallest(f, handle, table);
        if (i % 50 == 0)
            table_cache_drop(f->cache, table->meta.file_id);
        table_cache_release(f->cache, handle);
    }
    return NULL;
}

START_TEST(threads)
{
    struct fixture f;
    set_up(&f, 5);
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
    ck_assert_uint_le(table_cache_open_count(f.cache), 5);
    tear_down(&f);
}
END_TEST

static void assert_stands(const struct fixture *f, const struct entry_iterator *it, size_t at)
{
    ck_assert_int_eq(it->status, VARVE_OK);
    ck_assert_int_eq(it->valid, at < f->array.count);
    if (!it->valid)
        return;
    const struct array_entry *entry = &f->array.entries[at];
    ck_assert_int_eq(varve_slice_compare(it->key, buf_slice(&entry->key)), 0);
    ck_assert_int_eq(varve_slice_compare(it->value, buf_slice(&entry->value)), 0);
}

static struct entry_iterator *run_pass(struct fixture *f, struct run *run)
{
    *run = (struct run){.id = 1, .table_count = TABLES, .tables = f->tables};
    struct entry_iterator *it = NULL;
    ck_assert_int_eq(run_iterator_new(f->cache, run, true, &it), VARVE_OK);
    ck_assert(!it->valid);
    return it;
}

START_TEST(run_both_ways)
{
    struct fixture f;
    set_up(&f, 1);
    struct run run;
    struct entry_iterator *it = run_pass(&f, &run);
    it->ops->seek_first(it);
    for (size_t i = 0; i <= f.array.count; i++) {
        assert_stands(&f, it, i);
        ck_assert_uint_le(table_cache_open_count(f.cache), 1);
        if (it->valid)
            it->ops->next(it);
    }
    it->ops->seek_last(it);
    for (size_t i = f.array.count; i-- > 0;) {
        assert_stands(&f, it, i);
        ck_assert_uint_le(table_cache_open_count(f.cache), 1);
        it->ops->prev(it);
    }
    assert_stands(&f, it, SIZE_MAX);
    entry_iterator_free(it);
    tear_down(&f);
}
END_TEST

START_TEST(run_random_moves)
{
    struct fixture f;
    set_up(&f, 3);
    struct run run;
    struct entry_iterator *it = run_pass(&f, &run);
    struct prng prng = prng_make(21);
    size_t at = SIZE_MAX;
    for (int i = 0; i < 20000; i++) {
        uint64_t which = prng_below(&prng, 10);
        if (it->valid && which < 9) {
            bool forward = which < 5;
            (forward ? it->ops->next : it->ops->prev)(it);
            at = forward ? at + 1 : at - 1;
        } else {
            char key[16 + ENTRY_TAG_BYTES];
            int size = snprintf(key, 16, "k%06u%s", (unsigned)prng_below(&prng, ENTRIES + 3),
                                prng_chance(&prng, 20) ? "x" : "");
            uint64_t tag = prng_chance(&prng, 50) ? UINT64_MAX : 0;
            fixed64_encode((uint8_t *)key + size, tag);
            struct varve_slice target = varve_slice(key, (size_t)size + ENTRY_TAG_BYTES);
            it->ops->seek(it, target);
            at = array_lower_bound(&f.array, target);
        }
        assert_stands(&f, it, at);
    }
    entry_iterator_free(it);
    tear_down(&f);
}
END_TEST

/* A pass that comes to a table that is missing has failed, not ended; elsewhere it still works. */
START_TEST(run_with_a_missing_table)
{
    struct fixture f;
    set_up(&f, TABLES);
    char path[FILENAME_BYTES_MAX];
    table_path(&f, 5, path);
    ck_assert_int_eq(unlink(path), 0);
    const size_t share = ENTRIES / TABLES;
    struct run run;
    struct entry_iterator *it = run_pass(&f, &run);
    size_t count = 0;
    for (it->ops->seek_first(it); it->valid; it->ops->next(it))
        count++;
    ck_assert_int_eq(it->status, VARVE_CORRUPT);
    ck_assert_uint_eq(count, 5 * share);
    count = 0;
    for (it->ops->seek_last(it); it->valid; it->ops->prev(it))
        count++;
    ck_assert_int_eq(it->status, VARVE_CORRUPT);
    ck_assert_uint_eq(count, (TABLES - 6) * share);
    it->ops->seek(it, table_largest(f.tables[5]));
    ck_assert(!it->valid);
    ck_assert_int_eq(it->status, VARVE_CORRUPT);
    it->ops->seek(it, table_smallest(f.tables[6]));
    assert_stands(&f, it, 6 * share);
    entry_iterator_free(it);
    tear_down(&f);
}
END_TEST

/* A pass that comes to a damaged block has failed too: it does not go on with the next table. */
START_TEST(run_with_a_damaged_block)
{
    struct fixture f;
    set_up(&f, TABLES);
    char path[FILENAME_BYTES_MAX];
    table_path(&f, 5, path);
    struct env_file *file = NULL;
    ck_assert_int_eq(env_open(env_posix(), path, ENV_OPEN_WRITE, &file), VARVE_OK);
    ck_assert_int_eq(env_file_write(file, 20, varve_slice("damage", 6)), VARVE_OK);
    ck_assert_int_eq(env_file_close(file), VARVE_OK);
    const size_t share = ENTRIES / TABLES;
    struct run run;
    struct entry_iterator *it = run_pass(&f, &run);
    size_t count = 0;
    for (it->ops->seek_first(it); it->valid; it->ops->next(it))
        count++;
    ck_assert_int_eq(it->status, VARVE_CORRUPT);
    ck_assert_uint_eq(count, 5 * share);
    count = 0;
    for (it->ops->seek_last(it); it->valid; it->ops->prev(it))
        count++;
    ck_assert_int_eq(it->status, VARVE_CORRUPT);
    ck_assert_uint_lt(count, (TABLES - 5) * share);
    ck_assert_uint_gt(count, (TABLES - 6) * share);
    entry_iterator_free(it);
    tear_down(&f);
}
END_TEST

START_TEST(run_without_tables)
{
    struct fixture f;
    set_up(&f, TABLES);
    struct run run = {.id = 1};
    struct entry_iterator *it = NULL;
    ck_assert_int_eq(run_iterator_new(f.cache, &run, true, &it), VARVE_OK);
    it->ops->seek_first(it);
    assert_stands(&f, it, SIZE_MAX);
    it->ops->seek_last(it);
    assert_stands(&f, it, SIZE_MAX);
    it->ops->seek(it, table_smallest(f.tables[0]));
    assert_stands(&f, it, SIZE_MAX);
    entry_iterator_free(it);
    tear_down(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table_cache");
    TCase *tests = tcase_create("table_cache");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, opened_once);
    tcase_add_test(tests, limit);
    tcase_add_test(tests, memory);
    tcase_add_test(tests, memory_beyond_the_cache);
    tcase_add_test(tests, second_chance);
    tcase_add_test(tests, dropped_table);
    tcase_add_test(tests, missing_and_exchanged_tables);
    tcase_add_test(tests, threads);
    tcase_add_test(tests, run_both_ways);
    tcase_add_test(tests, run_random_moves);
    tcase_add_test(tests, run_with_a_missing_table);
    tcase_add_test(tests, run_with_a_damaged_block);
    tcase_add_test(tests, run_without_tables);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
