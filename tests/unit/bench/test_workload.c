/*
 * Each workload on a store in memory that can be told to cheat: an honest one passes, with the
 * counts that belong to it, and each way of cheating is noticed.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs/bench/crew.h"
#include "run_suite.h"

#define NUM 2000
#define NUM_GROWN (2 * NUM) /* with what is inserted */
#define KEY_BYTES 16
#define VALUE_BYTES 20

enum cheat {
    HONEST,
    LOSE_A_KEY,       /* get, seek */
    MIX_UP_VALUES,    /* get, seek */
    SHORTEN_A_VALUE,  /* get, next */
    FIND_WHAT_IS_NOT, /* get */
    SKIP_AN_ENTRY,    /* next, prev */
    REPEAT_AN_ENTRY,  /* next, prev */
    STOP_EARLY,       /* next, prev */
    KEEP_WHAT_GOES,   /* remove */
    FAIL,             /* put, remove, get, next, prev */
};

/* The lock guards all that puts change, but for the values: that of a key which is there stays,
 * unless new values are taken. */
struct memory_store {
    pthread_mutex_t lock;
    enum cheat cheat;
    bool takes_new_values; /* of keys that it has; not with readers beside the writer */
    uint64_t syncs, puts, removes, compactions;
    uint64_t most_read; /* the greatest number that was asked for */
    uint8_t present[NUM_GROWN];
    uint8_t values[NUM_GROWN][VALUE_BYTES];
};

struct memory_iterator {
    struct memory_store *store;
    uint64_t number;
    uint8_t key[KEY_BYTES + 1];
};

#define CHEATED 1234 /* where the store cheats */

static uint64_t number_of(struct varve_slice key)
{
    char text[KEY_BYTES + 1] = {0};
    ck_assert_uint_ge(key.size, KEY_BYTES);
    memcpy(text, key.data, KEY_BYTES);
    return strtoull(text, NULL, 10);
}

static enum varve_status break_down(struct varve_error *ret_error)
{
    return error_set(ret_error, VARVE_IO, NULL, STATUS_NO_OFFSET, "as it was told to");
}

static enum varve_status memory_put(void *self, struct varve_slice key, struct varve_slice value,
                                    bool sync, struct varve_error *ret_error)
{
    struct memory_store *store = self;
    uint64_t number = number_of(key);
    if (store->cheat == FAIL)
        return break_down(ret_error);
    pthread_mutex_lock(&store->lock);
    store->puts++;
    store->syncs += sync;
    /* (All values of a key begin alike, and readers beside take no lock.) */
    if (!store->present[number] || store->takes_new_values) {
        memcpy(store->values[number], value.data, VALUE_BYTES);
        store->present[number] = 1;
    }
    pthread_mutex_unlock(&store->lock);
    return VARVE_OK;
}

static enum varve_status memory_remove(void *self, struct varve_slice key, bool sync,
                                       struct varve_error *ret_error)
{
    struct memory_store *store = self;
    uint64_t number = number_of(key);
    if (store->cheat == FAIL)
        return break_down(ret_error);
    pthread_mutex_lock(&store->lock);
    store->removes++;
    store->syncs += sync;
    if (store->cheat != KEEP_WHAT_GOES)
        store->present[number] = 0;
    pthread_mutex_unlock(&store->lock);
    return VARVE_OK;
}

static enum varve_status memory_get(void *self, struct varve_slice key,
                                    struct engine_value *ret_value, struct varve_error *ret_error)
{
    struct memory_store *store = self;
    uint64_t number = number_of(key);
    if (store->cheat == FAIL)
        return break_down(ret_error);
    pthread_mutex_lock(&store->lock);
    store->most_read = number > store->most_read ? number : store->most_read;
    bool present = store->present[number] != 0;
    pthread_mutex_unlock(&store->lock);
    if (key.size > KEY_BYTES && store->cheat != FIND_WHAT_IS_NOT)
        return VARVE_NOT_FOUND;
    if (!present || (store->cheat == LOSE_A_KEY && number >= CHEATED))
        return VARVE_NOT_FOUND;
    if (store->cheat == MIX_UP_VALUES)
        number = number != 0 ? number - 1 : 1;
    ret_value->data =
        varve_slice(store->values[number], VALUE_BYTES - (store->cheat == SHORTEN_A_VALUE));
    return VARVE_OK;
}

static void memory_value_release(struct engine_value *value)
{
}

static enum varve_status memory_iterator_new(void *self, void **ret_iterator,
                                             struct varve_error *ret_error)
{
    struct memory_iterator *iterator = calloc(1, sizeof *iterator);
    ck_assert_ptr_nonnull(iterator);
    iterator->store = self;
    *ret_iterator = iterator;
    return VARVE_OK;
}

/* The number wraps from 0 to beyond the end. */
static enum varve_status entry_give(struct memory_iterator *iterator, int step,
                                    struct engine_entry *ret_entry)
{
    struct memory_store *store = iterator->store;
    pthread_mutex_lock(&store->lock);
    while (iterator->number < NUM_GROWN && !store->present[iterator->number])
        iterator->number += (uint64_t)step;
    pthread_mutex_unlock(&store->lock);
    if (iterator->number >= NUM_GROWN ||
        (store->cheat == STOP_EARLY && (int64_t)(iterator->number - CHEATED) * step >= 0))
        return VARVE_END;
    uint64_t shown = iterator->number;
    if (store->cheat == MIX_UP_VALUES)
        shown = shown != 0 ? shown - 1 : 1;
    snprintf((char *)iterator->key, sizeof iterator->key, "%016lu", iterator->number);
    ret_entry->key = varve_slice(iterator->key, KEY_BYTES);
    ret_entry->value =
        varve_slice(store->values[shown], VALUE_BYTES - (store->cheat == SHORTEN_A_VALUE));
    return VARVE_OK;
}

static enum varve_status memory_iterator_seek(void *self, struct varve_slice key,
                                              struct engine_entry *ret_entry,
                                              struct varve_error *ret_error)
{
    struct memory_iterator *iterator = self;
    iterator->number = key.size != 0 ? number_of(key) : 0;
    if (iterator->store->cheat == LOSE_A_KEY && iterator->number >= CHEATED)
        iterator->number++;
    return entry_give(iterator, 1, ret_entry);
}

static enum varve_status memory_iterator_last(void *self, struct engine_entry *ret_entry,
                                              struct varve_error *ret_error)
{
    struct memory_iterator *iterator = self;
    iterator->number = NUM_GROWN - 1;
    return entry_give(iterator, -1, ret_entry);
}

static enum varve_status memory_step(struct memory_iterator *iterator, int step,
                                     struct engine_entry *ret_entry, struct varve_error *ret_error)
{
    enum cheat cheat = iterator->store->cheat;
    if (cheat == FAIL && iterator->number == CHEATED)
        return break_down(ret_error);
    if (cheat != REPEAT_AN_ENTRY || iterator->number != CHEATED)
        iterator->number += (uint64_t)step;
    if (cheat == SKIP_AN_ENTRY && iterator->number == CHEATED)
        iterator->number += (uint64_t)step;
    return entry_give(iterator, step, ret_entry);
}

static enum varve_status memory_iterator_next(void *self, struct engine_entry *ret_entry,
                                              struct varve_error *ret_error)
{
    return memory_step(self, 1, ret_entry, ret_error);
}

static enum varve_status memory_iterator_prev(void *self, struct engine_entry *ret_entry,
                                              struct varve_error *ret_error)
{
    return memory_step(self, -1, ret_entry, ret_error);
}

static enum varve_status memory_compact(void *self, struct varve_error *ret_error)
{
    struct memory_store *store = self;
    store->compactions++;
    return store->cheat == FAIL ? break_down(ret_error) : VARVE_OK;
}

static const struct engine engine_memory = {
    .name = "memory",
    .put = memory_put,
    .remove = memory_remove,
    .get = memory_get,
    .value_release = memory_value_release,
    .iterator_new = memory_iterator_new,
    .iterator_free = free,
    .iterator_seek = memory_iterator_seek,
    .iterator_next = memory_iterator_next,
    .iterator_last = memory_iterator_last,
    .iterator_prev = memory_iterator_prev,
    .compact = memory_compact,
};

static struct memory_store store;
static struct key_set keys;
static struct value_sums sums;
static struct flow flow;
static struct permutation order;
static struct value_pool pool;
static struct crew_result result;
static struct varve_error error;
static uint64_t step;

static void setup(void)
{
    memset(&store, 0, sizeof store);
    pthread_mutex_init(&store.lock, NULL);
    order = permutation_make(NUM, 1);
    step = 0;
    ck_assert_int_eq(key_set_init(&keys, NUM), VARVE_OK);
    ck_assert_int_eq(value_pool_init(&pool, VALUE_BYTES, 1), VARVE_OK);
}

static void teardown(void)
{
    key_set_deinit(&keys);
    value_sums_deinit(&sums);
    value_pool_deinit(&pool);
    pthread_mutex_destroy(&store.lock);
}

static enum varve_status run(const char *name, uint64_t threads)
{
    struct bench_options options = {
        .engine = &engine_memory,
        .num = NUM,
        .writes = NUM,
        .reads = NUM / 2,
        .threads = threads,
        .key_bytes = KEY_BYTES,
        .value_bytes = VALUE_BYTES,
        .seed = 1,
    };
    struct crew_orders orders = {
        .options = &options,
        .workload = workload_find(name),
        .step = step++,
        .store = &store,
        .keys = &keys,
        .sums = &sums,
        .order = &order,
        .flow = &flow,
        .path = ".",
        .pool = &pool,
    };
    ck_assert_ptr_nonnull(orders.workload);
    memset(&result, 0, sizeof result);
    memset(&error, 0, sizeof error);
    store.puts = store.removes = store.most_read = 0;
    return crew_run(&orders, &result, &error);
}

/* Of all that is timed; of a whole pass that is one entry in 17. */
static void check_flow(uint64_t ops)
{
    ck_assert_uint_eq(flow_ops(&flow), ops);
    ck_assert_uint_gt(flow.longest_pause_ns, 0);
    ck_assert_double_le((double)flow.longest_pause_ns, result.seconds * 1e9 + 1);
}

static uint64_t present_count(void)
{
    uint64_t count = 0;
    for (size_t i = 0; i < NUM_GROWN; i++)
        count += store.present[i];
    return count;
}

START_TEST(fills_write_each_key_once)
{
    static const char *const names[] = {"fillseq", "filluniquerandom"};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t threads = 1; threads <= 3; threads++) {
            memset(store.present, 0, sizeof store.present);
            key_set_clear(&keys);
            ck_assert_int_eq(run(names[i], threads), VARVE_OK);
            ck_assert_uint_eq(result.threads, threads);
            ck_assert_uint_eq(result.ops, NUM);
            ck_assert_uint_eq(result.puts, NUM);
            ck_assert_uint_eq(result.put_bytes, NUM * (KEY_BYTES + VALUE_BYTES));
            ck_assert_uint_eq(result.user_bytes, result.put_bytes);
            ck_assert_uint_eq(result.times_ns.count, NUM);
            ck_assert_double_gt(result.seconds, 0);
            ck_assert_uint_eq(store.puts, NUM);
            ck_assert_uint_eq(store.syncs, 0);
            ck_assert_uint_eq(present_count(), NUM);
            ck_assert_uint_eq(keys.count, NUM);
            check_flow(NUM);
        }
    }
}
END_TEST

/* The set of keys is drawn anew after the run, and must come out as what was written. */
START_TEST(random_fills_are_remembered)
{
    ck_assert_int_eq(run("fillrandom", 3), VARVE_OK);
    ck_assert_uint_eq(store.puts, NUM);
    uint64_t first = present_count();
    ck_assert_uint_gt(first, NUM / 2);
    ck_assert_uint_lt(first, NUM * 3 / 4);
    ck_assert_uint_eq(keys.count, first);
    ck_assert_int_eq(run("overwrite", 2), VARVE_OK);
    ck_assert_uint_gt(present_count(), first);
    ck_assert_uint_eq(keys.count, present_count());
    for (uint64_t i = 0; i < NUM; i++)
        ck_assert_uint_eq(keys.words[i / 64] >> i % 64 & 1, store.present[i]);
}
END_TEST

START_TEST(fillsync_syncs_each_write)
{
    ck_assert_int_eq(run("fillsync", 1), VARVE_OK);
    ck_assert_uint_eq(result.ops, 1000);
    ck_assert_uint_eq(store.syncs, 1000);
    ck_assert_uint_eq(keys.count, present_count());
    const struct workload *workload = workload_find("fillsync");
    ck_assert_uint_eq(workload_ops(workload, &(struct workload_counts){.writes = 10}), 10);
    ck_assert_uint_eq(workload_ops(workload, &(struct workload_counts){.writes = 5000000}), 5000);
}
END_TEST

START_TEST(honest_reads_pass)
{
    static const char *const names[] = {"readrandom", "readmissing", "seekrandom",
                                        "readwhilewriting"};
    ck_assert_int_eq(run("fillrandom", 1), VARVE_OK);
    for (uint64_t threads = 1; threads <= 3; threads++) {
        for (size_t i = 0; i < 4; i++) {
            ck_assert_int_eq(run(names[i], threads), VARVE_OK);
            ck_assert_uint_eq(result.threads, threads);
            ck_assert_uint_eq(result.ops, NUM / 2);
            ck_assert_uint_eq(result.times_ns.count, NUM / 2);
            uint64_t bytes = i == 1 ? KEY_BYTES + 1 : KEY_BYTES + VALUE_BYTES;
            ck_assert_uint_eq(result.user_bytes, NUM / 2 * bytes);
            ck_assert_uint_eq(result.puts, store.puts);
            ck_assert_int_eq(result.puts != 0, i == 3);
        }
        ck_assert_int_eq(run("readseq", threads), VARVE_OK);
        ck_assert_uint_eq(result.ops, threads * present_count());
        ck_assert_uint_gt(result.times_ns.count, 0);
        ck_assert_uint_le(result.times_ns.count, result.ops / 17 + threads);
    }
    ck_assert_int_eq(run("compact", 3), VARVE_OK);
    ck_assert_uint_eq(result.threads, 1);
    ck_assert_uint_eq(result.ops, 1);
    ck_assert_uint_eq(store.compactions, 1);
}
END_TEST

START_TEST(backwards_reads_pass)
{
    ck_assert_int_eq(run("fillrandom", 1), VARVE_OK);
    for (uint64_t threads = 1; threads <= 3; threads++) {
        ck_assert_int_eq(run("readreverse", threads), VARVE_OK);
        ck_assert_uint_eq(result.ops, threads * present_count());
        ck_assert_uint_eq(result.user_bytes, result.ops * (KEY_BYTES + VALUE_BYTES));
    }
}
END_TEST

START_TEST(hot_reads_stay_with_the_first_keys)
{
    ck_assert_int_eq(run("fillseq", 1), VARVE_OK);
    ck_assert_int_eq(run("readhot", 2), VARVE_OK);
    ck_assert_uint_eq(result.ops, NUM / 2);
    ck_assert_uint_eq(store.most_read, NUM / 100 - 1);
    ck_assert_int_eq(run("readrandom", 2), VARVE_OK);
    ck_assert_uint_gt(store.most_read, NUM / 2);
}
END_TEST

/* The set of keys and the model follow what is removed, or the reads behind would fail. */
START_TEST(removed_keys_are_forgotten)
{
    for (uint64_t threads = 1; threads <= 3; threads++) {
        memset(store.present, 0, sizeof store.present);
        key_set_clear(&keys);
        ck_assert_int_eq(run("fillrandom", 1), VARVE_OK);
        uint64_t before = present_count();
        ck_assert_int_eq(run("deleterandom", threads), VARVE_OK);
        ck_assert_uint_eq(store.removes, NUM);
        ck_assert_uint_eq(result.ops, NUM);
        ck_assert_uint_eq(result.times_ns.count, NUM);
        ck_assert_uint_eq(result.puts, 0);
        ck_assert_uint_eq(result.put_bytes, NUM * KEY_BYTES);
        ck_assert_uint_lt(present_count(), before / 2);
        ck_assert_uint_gt(present_count(), 0);
        ck_assert_uint_eq(keys.count, present_count());
        for (uint64_t i = 0; i < NUM; i++)
            ck_assert_uint_eq(keys.words[i / 64] >> i % 64 & 1, store.present[i]);
        ck_assert_int_eq(run("readrandom", threads), VARVE_OK);
        ck_assert_int_eq(run("readseq", threads), VARVE_OK);
    }
}
END_TEST

START_TEST(removed_keys_that_stay_are_noticed)
{
    ck_assert_int_eq(value_sums_init(&sums, NUM), VARVE_OK);
    ck_assert_int_eq(run("fillseq", 1), VARVE_OK);
    store.cheat = KEEP_WHAT_GOES;
    ck_assert_int_eq(run("deleterandom", 1), VARVE_OK);
    ck_assert_int_ne(run("readseq", 1), VARVE_OK);
    ck_assert_msg(strstr(error.text, "written last") != NULL, "%s", error.text);
    value_sums_deinit(&sums);
    ck_assert_int_ne(run("readreverse", 1), VARVE_OK);
    ck_assert_msg(strstr(error.text, "2000 entries") != NULL, "%s", error.text);
}
END_TEST

START_TEST(mixes_are_what_ycsb_says)
{
    static const struct {
        const char *name;
        unsigned puts, inserts; /* of a hundred operations */
    } cases[] = {
        {"ycsba", 50, 0}, {"ycsbb", 5, 0}, {"ycsbc", 0, 0},
        {"ycsbd", 5, 5},  {"ycsbe", 5, 5}, {"ycsbf", 50, 0},
    };
    for (uint64_t threads = 1; threads <= 3; threads++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            memset(store.present, 0, sizeof store.present);
            key_set_clear(&keys);
            ck_assert_int_eq(run("fillrandom", 1), VARVE_OK);
            uint64_t before = present_count();
            ck_assert_msg(run(cases[i].name, threads) == VARVE_OK, "%s", error.text);
            ck_assert_uint_eq(result.ops, NUM / 2);
            ck_assert_uint_eq(result.times_ns.count, NUM / 2);
            ck_assert_uint_eq(result.puts, store.puts);
            uint64_t puts = NUM / 2 * cases[i].puts / 100;
            ck_assert_uint_ge(result.puts, puts * 2 / 3);
            ck_assert_uint_le(result.puts, puts * 3 / 2);
            uint64_t inserted = present_count() - before;
            ck_assert_uint_eq(inserted, cases[i].inserts != 0 ? result.puts : 0);
            ck_assert_uint_eq(keys.count, present_count());
            uint64_t read_bytes = result.user_bytes - result.put_bytes;
            uint64_t read_entries = read_bytes / (KEY_BYTES + VALUE_BYTES);
            if (strcmp(cases[i].name, "ycsbe") == 0)
                ck_assert_uint_gt(read_entries, (result.ops - result.puts) * 30);
            else if (strcmp(cases[i].name, "ycsbf") == 0)
                ck_assert_uint_eq(read_entries, result.ops);
            else
                ck_assert_uint_eq(read_entries, result.ops - result.puts);
            ck_assert_int_eq(run("readseq", threads), VARVE_OK);
        }
    }
}
END_TEST

START_TEST(inserts_are_held_against_the_model)
{
    ck_assert_int_eq(value_sums_init(&sums, NUM), VARVE_OK);
    store.takes_new_values = true;
    ck_assert_int_eq(run("fillseq", 1), VARVE_OK);
    ck_assert_int_eq(run("ycsbd", 1), VARVE_OK);
    ck_assert_int_eq(run("ycsbe", 1), VARVE_OK);
    ck_assert_int_eq(run("ycsba", 1), VARVE_OK);
    ck_assert_uint_gt(keys.num, NUM);
    ck_assert_int_eq(run("readseq", 1), VARVE_OK);
    ck_assert_uint_eq(result.ops, keys.count);
    store.present[keys.num - 1] = 0;
    ck_assert_int_ne(run("readseq", 1), VARVE_OK);
    key_set_clear(&keys);
    ck_assert_uint_eq(keys.num, NUM);
}
END_TEST

START_TEST(an_empty_store_is_not_read)
{
    ck_assert_int_eq(run("readrandom", 1), VARVE_NOT_FOUND);
    ck_assert_msg(strstr(error.text, "no key is left") != NULL, "%s", error.text);
}
END_TEST

START_TEST(cheating_is_noticed)
{
    static const struct {
        const char *workload;
        enum cheat cheat;
        const char *text;
    } cases[] = {
        {"readrandom", LOSE_A_KEY, "not found"},
        {"readrandom", MIX_UP_VALUES, "never written"},
        {"readrandom", SHORTEN_A_VALUE, "never written"},
        {"readrandom", FAIL, "told to"},
        {"readwhilewriting", LOSE_A_KEY, "not found"},
        {"readwhilewriting", MIX_UP_VALUES, "never written"},
        {"readmissing", FIND_WHAT_IS_NOT, "is found"},
        {"readmissing", FAIL, "told to"},
        {"seekrandom", LOSE_A_KEY, "not found"},
        {"seekrandom", MIX_UP_VALUES, "never written"},
        {"seekrandom", STOP_EARLY, "not found"},
        {"readseq", SKIP_AN_ENTRY, "1999 entries"},
        {"readseq", REPEAT_AN_ENTRY, "out of order"},
        {"readseq", STOP_EARLY, "1234 entries"},
        {"readseq", SHORTEN_A_VALUE, "never written"},
        {"readseq", FAIL, "told to"},
        {"readreverse", SKIP_AN_ENTRY, "1999 entries"},
        {"readreverse", REPEAT_AN_ENTRY, "out of order"},
        {"readreverse", STOP_EARLY, "765 entries"},
        {"readreverse", SHORTEN_A_VALUE, "never written"},
        {"readreverse", FAIL, "told to"},
        {"readhot", FAIL, "told to"},
        {"deleterandom", FAIL, "told to"},
        {"ycsba", LOSE_A_KEY, "not found"},
        {"ycsbc", MIX_UP_VALUES, "never written"},
        {"ycsbe", MIX_UP_VALUES, "never written"},
        {"ycsbe", LOSE_A_KEY, "not found"},
        {"ycsbe", REPEAT_AN_ENTRY, "out of order"},
        {"ycsbf", FAIL, "told to"},
        {"overwrite", FAIL, "told to"},
        {"compact", FAIL, "told to"},
    };
    ck_assert_int_eq(run("fillseq", 1), VARVE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint64_t threads = 1; threads <= 2; threads++) {
            store.cheat = cases[i].cheat;
            ck_assert_msg(run(cases[i].workload, threads) != VARVE_OK, "%s %d", cases[i].workload,
                          cases[i].cheat);
            ck_assert_msg(strstr(error.text, cases[i].text) != NULL, "%s: %s", cases[i].workload,
                          error.text);
            store.cheat = HONEST;
        }
    }
}
END_TEST

START_TEST(scans_are_held_against_the_model)
{
    ck_assert_int_eq(value_sums_init(&sums, NUM), VARVE_OK);
    store.takes_new_values = true;
    ck_assert_int_eq(run("fillrandom", 1), VARVE_OK);
    ck_assert_int_eq(run("overwrite", 1), VARVE_OK);
    ck_assert_int_eq(run("readseq", 1), VARVE_OK);
    store.takes_new_values = false; /* it keeps a value that was replaced */
    ck_assert_int_eq(run("overwrite", 1), VARVE_OK);
    ck_assert_int_ne(run("readseq", 1), VARVE_OK);
    ck_assert_msg(strstr(error.text, "written last") != NULL, "%s", error.text);
    value_sums_clear(&sums);
    ck_assert_int_ne(run("readseq", 1), VARVE_OK); /* nothing was written as far as it knows */
}
END_TEST

START_TEST(extents_are_what_was_asked_for)
{
    static const struct workload_counts counts = {.keys = 10, .writes = 50, .reads = 7};
    static const struct {
        const char *name;
        uint64_t ops;
    } cases[] = {
        {"fillseq", 10},      {"filluniquerandom", 10}, {"readseq", 10},   {"fillrandom", 50},
        {"overwrite", 50},    {"fillsync", 50},         {"readrandom", 7}, {"readmissing", 7},
        {"seekrandom", 7},    {"readwhilewriting", 7},  {"readhot", 7},    {"ycsbe", 7},
        {"deleterandom", 50}, {"readreverse", 10},      {"compact", 1},    {"waitforcompaction", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(workload_ops(workload_find(cases[i].name), &counts) == cases[i].ops, "%s",
                      cases[i].name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench-workload");
    TCase *tcase = tcase_create("workload");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, fills_write_each_key_once);
    tcase_add_test(tcase, random_fills_are_remembered);
    tcase_add_test(tcase, fillsync_syncs_each_write);
    tcase_add_test(tcase, honest_reads_pass);
    tcase_add_test(tcase, backwards_reads_pass);
    tcase_add_test(tcase, hot_reads_stay_with_the_first_keys);
    tcase_add_test(tcase, removed_keys_are_forgotten);
    tcase_add_test(tcase, removed_keys_that_stay_are_noticed);
    tcase_add_test(tcase, mixes_are_what_ycsb_says);
    tcase_add_test(tcase, inserts_are_held_against_the_model);
    tcase_add_test(tcase, an_empty_store_is_not_read);
    tcase_add_test(tcase, cheating_is_noticed);
    tcase_add_test(tcase, scans_are_held_against_the_model);
    tcase_add_test(tcase, extents_are_what_was_asked_for);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
