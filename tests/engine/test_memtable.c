/* Memtables: what is put in is found, counters and the pool; and readers beside the writer, who
 * must see every published entry whole and in order. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/memtable.h"
#include "prng.h"

#define CHUNK_BYTES (64u << 10)
#define FILTER_BYTES 4096u

static struct memory_budget memory; /* set up anew by each test */

static void add(struct memtable *memtable, uint64_t sequence, enum entry_kind kind,
                struct varve_slice key, struct varve_slice value)
{
    struct batch_op op = {.kind = kind, .key = key, .value = value};
    ck_assert_int_eq(memtable_reserve(memtable, 1, key.size + value.size), VARVE_OK);
    memtable_add(memtable, sequence, &op);
}

static enum varve_status get(struct memtable *memtable, struct varve_slice key, uint64_t sequence,
                             uint64_t *ret_tag, struct varve_slice *ret_value)
{
    uint8_t target[64];
    memcpy(target, key.data, key.size);
    fixed64_encode(target + key.size, entry_tag(sequence, ENTRY_KIND_SEEK));
    return memtable_get(memtable, varve_slice(target, key.size + ENTRY_TAG_BYTES), ret_tag,
                        ret_value);
}

START_TEST(gets_and_counters)
{
    struct memtable_pool *pool = NULL;
    memory_budget_init(&memory, SIZE_MAX);
    struct memtable *memtable = NULL;
    ck_assert_int_eq(memtable_pool_new(CHUNK_BYTES, 0, FILTER_BYTES, &memory, &pool), VARVE_OK);
    ck_assert_int_eq(memtable_new(pool, 17, varve_slice(NULL, 0), &memtable), VARVE_OK);
    uint64_t first = 1, last = 1, tag = 0;
    memtable_sequences(memtable, &first, &last);
    ck_assert_uint_eq(first, 0);
    ck_assert_uint_eq(last, 0);
    ck_assert_uint_eq(memtable_entries(memtable), 0);
    ck_assert_uint_eq(memtable_segment_id(memtable), 17);
    size_t bytes = memtable_bytes(memtable);

    struct varve_slice key = varve_slice_str("key"), value = {0};
    add(memtable, 5, ENTRY_PUT, key, varve_slice_str("five"));
    add(memtable, 7, ENTRY_DELETE, key, varve_slice(NULL, 0));
    add(memtable, 9, ENTRY_PUT_EXPIRING, key, varve_slice_str("12345678nine"));
    ck_assert_int_eq(get(memtable, key, 4, &tag, &value), VARVE_NOT_FOUND);
    ck_assert_int_eq(get(memtable, key, 6, &tag, &value), VARVE_OK);
    ck_assert_uint_eq(tag, entry_tag(5, ENTRY_PUT));
    ck_assert_int_eq(varve_slice_compare(value, varve_slice_str("five")), 0);
    ck_assert_int_eq(get(memtable, key, 7, &tag, &value), VARVE_OK);
    ck_assert_uint_eq(tag, entry_tag(7, ENTRY_DELETE));
    ck_assert_uint_eq(value.size, 0);
    ck_assert_int_eq(get(memtable, key, 100, &tag, &value), VARVE_OK);
    ck_assert_uint_eq(tag, entry_tag(9, ENTRY_PUT_EXPIRING));
    ck_assert_uint_eq(value.size, 12);
    ck_assert_int_eq(get(memtable, varve_slice_str("ke"), 100, &tag, &value), VARVE_NOT_FOUND);
    ck_assert_int_eq(get(memtable, varve_slice_str("key2"), 100, &tag, &value), VARVE_NOT_FOUND);

    memtable_sequences(memtable, &first, &last);
    ck_assert_uint_eq(first, 5);
    ck_assert_uint_eq(last, 9);
    ck_assert_uint_eq(memtable_entries(memtable), 3);
    ck_assert_uint_gt(memtable_bytes(memtable), bytes + 3 * 11 + 16);
    memtable_unref(memtable);
    memtable_unref(NULL);
    memtable_pool_free(pool);
    memory_budget_deinit(&memory);
    memtable_pool_free(NULL);
}
END_TEST

/* An iterator keeps the memtable; what is added meanwhile shows. */
START_TEST(iterator_holds_a_reference)
{
    struct memtable_pool *pool = NULL;
    memory_budget_init(&memory, SIZE_MAX);
    struct memtable *memtable = NULL;
    struct entry_iterator *it = NULL;
    ck_assert_int_eq(memtable_pool_new(CHUNK_BYTES, 0, FILTER_BYTES, &memory, &pool), VARVE_OK);
    ck_assert_int_eq(memtable_new(pool, 1, varve_slice(NULL, 0), &memtable), VARVE_OK);
    ck_assert_int_eq(memtable_iterator_new(memtable, &it), VARVE_OK);
    it->ops->seek_first(it);
    ck_assert(!it->valid);
    add(memtable, 1, ENTRY_PUT, varve_slice_str("a"), varve_slice_str("1"));
    add(memtable, 2, ENTRY_PUT, varve_slice_str("c"), varve_slice_str("2"));
    it->ops->seek_last(it);
    ck_assert(it->valid);
    add(memtable, 3, ENTRY_PUT, varve_slice_str("b"), varve_slice_str("3"));
    memtable_unref(memtable);
    it->ops->prev(it);
    ck_assert_uint_eq(it->value.data[0], '3');
    it->ops->prev(it);
    ck_assert_uint_eq(it->value.data[0], '1');
    it->ops->prev(it);
    ck_assert(!it->valid);
    ck_assert_int_eq(it->status, VARVE_OK);
    it->ops->seek_first(it);
    it->ops->next(it);
    it->ops->next(it);
    ck_assert_uint_eq(it->value.data[0], '2');
    entry_iterator_free(it);
    memtable_pool_free(pool);
    memory_budget_deinit(&memory);
}
END_TEST

/* Chunks serve the next memtable, which begins as an empty one all the same. */
START_TEST(recycled_chunks_do_not_count)
{
    struct memtable_pool *pool = NULL;
    memory_budget_init(&memory, SIZE_MAX);
    ck_assert_int_eq(memtable_pool_new(CHUNK_BYTES, 8 * CHUNK_BYTES, FILTER_BYTES, &memory, &pool),
                     VARVE_OK);
    static uint8_t value[10000];
    for (int round = 0; round < 4; round++) {
        struct memtable *memtable = NULL;
        ck_assert_int_eq(memtable_new(pool, 1, varve_slice(NULL, 0), &memtable), VARVE_OK);
        ck_assert_uint_lt(memtable_bytes(memtable), 1000);
        for (uint64_t i = 1; i <= 100; i++) {
            add(memtable, i, ENTRY_PUT, varve_slice_str("key"), varve_slice(value, sizeof value));
            ck_assert_uint_lt(memtable_bytes(memtable), 1000 + i * (sizeof value + 200));
        }
        ck_assert_uint_ge(memtable_bytes(memtable), 100 * sizeof value);
        memtable_unref(memtable);
    }
    memtable_pool_free(pool);
    memory_budget_deinit(&memory);
}
END_TEST

/* While a memtable fills its second chunk the third is made, and no more than one ahead; none for a
 * small memtable, nor where memory is short. */
START_TEST(chunks_are_made_ahead)
{
    const bool short_of_memory = _i == 1;
    struct memtable_pool *pool = NULL;
    struct thread_pool *workers = NULL;
    struct memtable *memtable = NULL;
    memory_budget_init(&memory, short_of_memory ? (size_t)4 * CHUNK_BYTES : SIZE_MAX);
    ck_assert_int_eq(thread_pool_new(&(struct thread_pool_options){.name = "test"}, &workers),
                     VARVE_OK);
    ck_assert_int_eq(memtable_pool_new(CHUNK_BYTES, 8 * CHUNK_BYTES, FILTER_BYTES, &memory, &pool),
                     VARVE_OK);
    memtable_pool_work_ahead(pool, workers);
    ck_assert_int_eq(memtable_new(pool, 1, varve_slice(NULL, 0), &memtable), VARVE_OK);
    if (short_of_memory) /* three chunks are within 90 %, and four not */
        memory_budget_charge(&memory, MEMORY_READS, CHUNK_BYTES);
    static uint8_t value[1000];
    uint64_t sequence = 0;
    size_t held = 0;
    while ((held = memory_budget_used_by(&memory, MEMORY_MEMTABLES)) < 2 * CHUNK_BYTES) {
        ck_assert(!thread_pool_step(workers));
        sequence++;
        add(memtable, sequence, ENTRY_PUT, varve_slice_str("key"),
            varve_slice(value, sizeof value));
    }
    ck_assert(thread_pool_step(workers));
    ck_assert(!thread_pool_step(workers));
    const size_t ahead = short_of_memory ? 0 : CHUNK_BYTES;
    ck_assert_uint_eq(memory_budget_used_by(&memory, MEMORY_MEMTABLES), held + ahead);
    size_t had = 0; /* until it takes the third chunk, and the fourth is to be made */
    do {
        ck_assert_uint_lt(memtable_bytes(memtable), 3 * CHUNK_BYTES);
        had = memory_budget_used_by(&memory, MEMORY_MEMTABLES);
        ck_assert_uint_eq(had, held + ahead);
        sequence++;
        add(memtable, sequence, ENTRY_PUT, varve_slice_str("key"),
            varve_slice(value, sizeof value));
        had = memory_budget_used_by(&memory, MEMORY_MEMTABLES);
    } while (!thread_pool_step(workers));
    ck_assert_uint_eq(had, held + CHUNK_BYTES);
    memtable_unref(memtable);
    if (!short_of_memory) { /* all that it had rests now */
        ck_assert_uint_eq(memory_budget_used_by(&memory, MEMORY_MEMTABLES), 4 * CHUNK_BYTES);
        ck_assert_int_eq(memtable_new(pool, 2, varve_slice(NULL, 0), &memtable), VARVE_OK);
        while (memtable_bytes(memtable) < CHUNK_BYTES + CHUNK_BYTES / 2)
            add(memtable, ++sequence, ENTRY_PUT, varve_slice_str("key"),
                varve_slice(value, sizeof value));
        ck_assert(!thread_pool_step(workers));
        memtable_unref(memtable);
    }
    thread_pool_free(workers);
    memtable_pool_free(pool);
    if (short_of_memory)
        memory_budget_charge(&memory, MEMORY_READS, -(int64_t)CHUNK_BYTES);
    memory_budget_deinit(&memory);
}
END_TEST

/* What readers give back while nobody writes does not rest either; for a writer it does again. */
START_TEST(calm_pool_keeps_little)
{
    static uint8_t value[1000];
    struct memtable_pool *pool = NULL;
    memory_budget_init(&memory, SIZE_MAX);
    ck_assert_int_eq(memtable_pool_new(CHUNK_BYTES, 8 * CHUNK_BYTES, FILTER_BYTES, &memory, &pool),
                     VARVE_OK);
    for (int round = 0; round < 2; round++) {
        struct memtable *memtable = NULL;
        ck_assert_int_eq(memtable_new(pool, 1, varve_slice(NULL, 0), &memtable), VARVE_OK);
        for (uint64_t i = 1; memtable_bytes(memtable) < 5 * CHUNK_BYTES; i++)
            add(memtable, i, ENTRY_PUT, varve_slice_str("key"), varve_slice(value, sizeof value));
        ck_assert(!memtable_pool_is_calm(pool));
        if (round == 0)
            memtable_pool_calm(pool, 2 * CHUNK_BYTES);
        ck_assert(memtable_pool_is_calm(pool) == (round == 0));
        memtable_unref(memtable);
        const size_t rests = memory_budget_used_by(&memory, MEMORY_MEMTABLES);
        if (round == 0)
            ck_assert_uint_eq(rests, 2 * CHUNK_BYTES);
        else
            ck_assert_uint_ge(rests, 5 * CHUNK_BYTES);
    }
    memtable_pool_calm(pool, CHUNK_BYTES);
    ck_assert_uint_eq(memory_budget_used_by(&memory, MEMORY_MEMTABLES), CHUNK_BYTES);
    memtable_pool_free(pool);
    memory_budget_deinit(&memory);
}
END_TEST

/* After one reservation a whole group fits, and takes no more than was reserved. */
START_TEST(reserve_for_many)
{
    struct memtable_pool *pool = NULL;
    memory_budget_init(&memory, SIZE_MAX);
    struct memtable *memtable = NULL;
    ck_assert_int_eq(memtable_pool_new(CHUNK_BYTES, 0, FILTER_BYTES, &memory, &pool), VARVE_OK);
    ck_assert_int_eq(memtable_new(pool, 1, varve_slice(NULL, 0), &memtable), VARVE_OK);
    uint64_t sequence = 0;
    for (int group = 0; group < 20; group++) {
        ck_assert_int_eq(memtable_reserve(memtable, 1000, 1000 * (8 + 100)), VARVE_OK);
        const size_t held = memory_budget_used_by(&memory, MEMORY_MEMTABLES);
        for (int i = 0; i < 1000; i++) {
            static uint8_t value[100];
            uint64_t key = hash_mix(++sequence);
            struct batch_op op = {.kind = ENTRY_PUT,
                                  .key = varve_slice(&key, sizeof key),
                                  .value = varve_slice(value, sizeof value)};
            memtable_add(memtable, sequence, &op);
        }
        ck_assert_uint_eq(memory_budget_used_by(&memory, MEMORY_MEMTABLES), held);
    }
    ck_assert_uint_eq(memtable_entries(memtable), 20000);
    memtable_unref(memtable);
    memtable_pool_free(pool);
    memory_budget_deinit(&memory);
}
END_TEST

/* The filter lets every key pass that is there, also in memory that served before, and at two bytes
 * an entry one in fifty of the others at most. */
START_TEST(filter_knows_the_keys)
{
    enum { KEYS_THERE = FILTER_BYTES / 2, KEYS_ABSENT = 10 * KEYS_THERE };
    struct memtable_pool *pool = NULL;
    memory_budget_init(&memory, SIZE_MAX);
    ck_assert_int_eq(memtable_pool_new(CHUNK_BYTES, 8 * CHUNK_BYTES, FILTER_BYTES, &memory, &pool),
                     VARVE_OK);
    for (uint64_t round = 0; round < 3; round++) {
        struct memtable *memtable = NULL;
        size_t passed = 0;
        ck_assert_int_eq(memtable_new(pool, 1, varve_slice(NULL, 0), &memtable), VARVE_OK);
        for (uint64_t i = 1; i <= KEYS_THERE; i++) {
            uint64_t key = hash_mix(i + (round << 32));
            struct varve_slice bytes = varve_slice(&key, sizeof key);
            if (i == 1)
                ck_assert(!memtable_may_contain(memtable, hash_slice(bytes)));
            add(memtable, i, i % 5 == 0 ? ENTRY_DELETE : ENTRY_PUT, bytes, varve_slice_str("v"));
        }
        for (uint64_t i = 1; i <= KEYS_THERE + KEYS_ABSENT; i++) {
            uint64_t key = hash_mix(i + (round << 32));
            bool passes = memtable_may_contain(memtable, hash_bytes(&key, sizeof key));
            ck_assert(passes || i > KEYS_THERE);
            passed += passes && i > KEYS_THERE;
        }
        ck_assert_uint_le(passed, KEYS_ABSENT / 50);
        memtable_unref(memtable);
    }
    memtable_pool_free(pool);
    memory_budget_deinit(&memory);
}
END_TEST

enum { ENTRIES = 20000, READERS = 3, KEY_BYTES = 24 };

/* Many versions of few keys; one of each of many, random or in order; all with the same beginning,
 * which the memtable learns of. */
static const struct workload {
    uint64_t keys;
    bool is_ordered;
} workloads[] = {{16, false}, {ENTRIES, false}, {ENTRIES, true}};

struct shared {
    struct memtable *memtable;
    struct workload workload;
    _Atomic uint64_t visible;
    uint64_t errors[READERS];
};

static struct varve_slice key_of(const struct shared *shared, uint64_t sequence, uint8_t *at)
{
    uint64_t number = sequence % shared->workload.keys;
    number = shared->workload.is_ordered ? __builtin_bswap64(number) : hash_mix(number);
    memset(at, 'k', KEY_BYTES);
    memcpy(at + KEY_BYTES - sizeof number, &number, sizeof number);
    return varve_slice(at, KEY_BYTES);
}

/* The newest write of a key at or below `visible` is found, with its own value. */
static bool reader_get(struct shared *shared, struct prng *prng, uint64_t visible)
{
    uint64_t sequence =
        visible -
        prng_below(prng, visible < shared->workload.keys ? visible : shared->workload.keys);
    uint8_t key[KEY_BYTES];
    uint64_t tag = 0, value = 0;
    struct varve_slice found = {0};
    if (get(shared->memtable, key_of(shared, sequence, key), visible, &tag, &found) != VARVE_OK)
        return false;
    memcpy(&value, found.data, sizeof value);
    return tag == entry_tag(sequence, ENTRY_PUT) && value == hash_mix(~sequence);
}

/* A pass meets everything that was visible when it began, strictly in order. */
static bool reader_scan(struct shared *shared, uint64_t visible, bool backward)
{
    struct entry_iterator *it = NULL;
    if (memtable_iterator_new(shared->memtable, &it) != VARVE_OK)
        return false;
    bool right = true;
    uint64_t met = 0;
    struct varve_slice last = {0};
    (backward ? it->ops->seek_last : it->ops->seek_first)(it);
    while (it->valid) {
        int order = last.size != 0 ? entry_key_compare(last, it->key) : 0;
        right = right && (last.size == 0 || (backward ? order > 0 : order < 0));
        met += entry_tag_sequence(entry_key_tag(it->key)) <= visible;
        last = it->key;
        (backward ? it->ops->prev : it->ops->next)(it);
    }
    entry_iterator_free(it);
    return right && met == visible;
}

struct reader {
    struct shared *shared;
    size_t number;
};

static void *read_along(void *context)
{
    struct reader *reader = context;
    struct shared *shared = reader->shared;
    struct prng prng = prng_make(reader->number);
    uint64_t visible = 0, scans = 0;
    do {
        visible = atomic_load_explicit(&shared->visible, memory_order_acquire);
        for (int i = 0; i < 200 && visible > 0; i++)
            shared->errors[reader->number] += !reader_get(shared, &prng, visible);
        shared->errors[reader->number] += !reader_scan(shared, visible, scans++ % 2 != 0);
        if (memtable_entries(shared->memtable) > ENTRIES)
            shared->errors[reader->number]++;
    } while (visible < ENTRIES);
    return NULL;
}

START_TEST(readers_beside_the_writer)
{
    struct memtable_pool *pool = NULL;
    memory_budget_init(&memory, SIZE_MAX);
    struct shared shared = {.workload = workloads[_i]};
    ck_assert_int_eq(memtable_pool_new(CHUNK_BYTES, 0, FILTER_BYTES, &memory, &pool), VARVE_OK);
    ck_assert_int_eq(memtable_new(pool, 1, varve_slice(NULL, 0), &shared.memtable), VARVE_OK);
    pthread_t threads[READERS];
    struct reader readers[READERS];
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){&shared, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_along, &readers[i]), 0);
    }
    for (uint64_t sequence = 1; sequence <= ENTRIES; sequence++) {
        uint8_t key[KEY_BYTES];
        uint64_t value = hash_mix(~sequence);
        add(shared.memtable, sequence, ENTRY_PUT, key_of(&shared, sequence, key),
            varve_slice(&value, sizeof value));
        atomic_store_explicit(&shared.visible, sequence, memory_order_release);
    }
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(shared.errors[i], 0);
    }
    memtable_unref(shared.memtable);
    memtable_pool_free(pool);
    memory_budget_deinit(&memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memtable");
    TCase *tests = tcase_create("memtable");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, gets_and_counters);
    tcase_add_test(tests, iterator_holds_a_reference);
    tcase_add_test(tests, recycled_chunks_do_not_count);
    tcase_add_loop_test(tests, chunks_are_made_ahead, 0, 2);
    tcase_add_test(tests, calm_pool_keeps_little);
    tcase_add_test(tests, reserve_for_many);
    tcase_add_test(tests, filter_knows_the_keys);
    tcase_add_loop_test(tests, readers_beside_the_writer, 0,
                        (int)(sizeof workloads / sizeof *workloads));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
