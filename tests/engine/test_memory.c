/* The memory budget: the account by itself, that each part of a store is charged and gives all of
 * it back, and who gives way when memory runs short. Stores are stepped, so each run is the same.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "crash_env.h"
#include "engine/limits.h"
#include "engine/memory_budget.h"
#include "fault_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)

START_TEST(account)
{
    struct memory_budget memory;
    _Atomic size_t queued = 0;
    memory_budget_init(&memory, 1000);
    memory_budget_attach(&memory, MEMORY_QUEUE, &queued);
    ck_assert_uint_eq(memory_budget_used(&memory), 0);
    for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++) {
        memory_budget_charge(&memory, (enum memory_kind)kind, 10 << kind);
        ck_assert_uint_eq(memory_budget_used_by(&memory, (enum memory_kind)kind), 10 << kind);
        ck_assert_uint_eq(memory_budget_used(&memory), (10 << (kind + 1)) - 10);
    }
    atomic_store(&queued, 70);
    ck_assert_uint_eq(memory_budget_used_by(&memory, MEMORY_QUEUE), (10 << MEMORY_QUEUE) + 70);
    ck_assert_uint_eq(memory_budget_used(&memory), 700);
    /* 900 are 90 %; cache and tables are 20 + 40 of the 700 */
    ck_assert(!memory_budget_is_near(&memory, 200));
    ck_assert(memory_budget_is_near(&memory, 201));
    ck_assert(!memory_budget_is_over(&memory, 300));
    ck_assert(memory_budget_is_over(&memory, 301));
    ck_assert_uint_eq(memory_budget_cache_room(&memory, 0), 900 - 640);
    ck_assert_uint_eq(memory_budget_cache_room(&memory, 100), 900 - 740);
    struct memory_meter *meter = memory_budget_meter(&memory, MEMORY_READS);
    memory_meter_charge(meter, 5000);
    ck_assert_uint_eq(memory_budget_used_by(&memory, MEMORY_READS), (10 << MEMORY_READS) + 5000);
    ck_assert_uint_eq(memory_budget_cache_room(&memory, 0), 0);
    memory_meter_charge(meter, -5000);
    memory_meter_charge(NULL, 1);
    atomic_store(&queued, 0);
    for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++)
        memory_budget_charge(&memory, (enum memory_kind)kind, -(10 << kind));
    memory_budget_deinit(&memory);
}
END_TEST

/* 1 MiB of cache, memtables of 256 KiB in chunks of 32 KiB, a budget that 90 % of is 3.6 MiB. */
static void options_make(struct varve_options *options)
{
    rig_options(options);
    options->memtable_bytes = KIB(256);
    options->memtable_entries = 1000000;
    options->memtables_max = 8;
    options->memory_budget_bytes = MIB(4);
}

static struct varve_stats stats_of(struct varve_db *db)
{
    struct varve_stats stats;
    varve_stats_read(db, &stats);
    return stats;
}

#define VALUE_BYTES 1000u

static enum varve_status put(struct varve_db *db, uint64_t number)
{
    uint8_t value[VALUE_BYTES];
    struct prng prng = prng_make(number);
    prng_bytes(&prng, value, sizeof value);
    uint64_t key = __builtin_bswap64(number);
    return varve_put(db, varve_slice(&key, sizeof key), varve_slice(value, sizeof value),
                     VARVE_SYNC_OFF, NULL);
}

static void put_many(struct varve_db *db, uint64_t from, uint64_t count)
{
    for (uint64_t i = from; i < from + count; i++)
        ck_assert_int_eq(put(db, i), VARVE_OK);
}

static void get(struct varve_db *db, uint64_t number)
{
    struct varve_value value = {0};
    uint64_t key = __builtin_bswap64(number);
    ck_assert_int_eq(varve_get(db, varve_slice(&key, sizeof key), NULL, &value), VARVE_OK);
    ck_assert_uint_eq(value.data.size, VALUE_BYTES);
    varve_value_release(&value);
}

static size_t kinds_sum(const struct varve_stats *stats)
{
    return stats->memory_memtable_bytes + stats->memory_cache_bytes + stats->memory_table_bytes +
           stats->memory_read_bytes + stats->memory_writer_bytes + stats->memory_queue_bytes;
}

/* Every kind rises with what it counts, and falls with it. That all of it is back at last is
 * asserted whenever a store is closed. */
START_TEST(kinds_rise_and_fall)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    struct varve_stats empty = stats_of(db);
    ck_assert_uint_eq(empty.memory_budget_bytes, MIB(4));
    ck_assert_uint_eq(empty.memory_used_bytes, kinds_sum(&empty));
    ck_assert_uint_eq(empty.memory_writer_bytes + empty.memory_table_bytes, 0);

    put_many(db, 0, 200);
    struct varve_stats filled = stats_of(db);
    ck_assert_uint_ge(filled.memory_memtable_bytes, 200 * VALUE_BYTES);
    ck_assert_uint_ge(filled.memory_memtable_bytes, filled.memtable_bytes);
    ck_assert_uint_eq(filled.memory_queue_bytes, 0);
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);

    struct varve_iterator *it = NULL;
    struct varve_iterator_options unkept = {.fill_cache = false};
    ck_assert_int_eq(varve_iterator_new(db, &unkept, &it), VARVE_OK);
    ck_assert_int_eq(varve_iterator_seek_first(it), VARVE_OK);
    struct varve_stats reading = stats_of(db);
    ck_assert_uint_ge(reading.memory_read_bytes, VALUE_BYTES);
    ck_assert_uint_ge(reading.memory_table_bytes, 200 * 10 / 8); /* the filter at least */
    ck_assert_uint_eq(reading.memory_cache_bytes, empty.memory_cache_bytes);
    ck_assert_int_eq(varve_iterator_next(it), VARVE_OK);
    varve_iterator_free(it);
    ck_assert_uint_eq(stats_of(db).memory_read_bytes, 0);

    get(db, 7);
    struct varve_stats cached = stats_of(db);
    ck_assert_uint_ge(cached.memory_cache_bytes, empty.memory_cache_bytes + VALUE_BYTES);
    ck_assert_uint_eq(cached.memory_read_bytes, 0);
    ck_assert_uint_eq(cached.memory_used_bytes, kinds_sum(&cached));
    ck_assert_uint_eq(cached.memory_writer_bytes, 0);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

/* A block that somebody has lent outlives its table, and keeps its place in the cache meanwhile. */
START_TEST(pinned_blocks_of_dropped_tables)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    put_many(db, 0, 200);
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    struct varve_value value = {0};
    uint64_t key = __builtin_bswap64(5);
    ck_assert_int_eq(varve_get(db, varve_slice(&key, sizeof key), NULL, &value), VARVE_OK);
    ck_assert_uint_eq(stats_of(db).memory_read_bytes, 0);
    put_many(db, 0, 200);
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK); /* replaces the table */
    ck_assert_uint_ge(stats_of(db).memory_cache_bytes, VALUE_BYTES);
    ck_assert_uint_eq(stats_of(db).memory_read_bytes, 0);
    ck_assert_uint_eq(value.data.size, VALUE_BYTES);
    varve_value_release(&value);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

/* A lent value tells what it keeps in memory: all memtables, or its block. */
START_TEST(what_a_value_pins)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    struct varve_value value = {0};
    uint64_t key = __builtin_bswap64(5);
    ck_assert_uint_eq(varve_value_pinned_bytes(&value), 0);
    put_many(db, 0, 400); /* more than one memtable holds */
    ck_assert_int_eq(varve_get(db, varve_slice(&key, sizeof key), NULL, &value), VARVE_OK);
    ck_assert_uint_eq(stats_of(db).memtables, 2);
    ck_assert_uint_eq(varve_value_pinned_bytes(&value), stats_of(db).memtable_bytes);
    varve_value_release(&value);
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    ck_assert_int_eq(varve_get(db, varve_slice(&key, sizeof key), NULL, &value), VARVE_OK);
    ck_assert_uint_ge(varve_value_pinned_bytes(&value), VALUE_BYTES);
    ck_assert_uint_lt(varve_value_pinned_bytes(&value), 3 * VALUE_BYTES);
    varve_value_release(&value);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

/* Steps the background until nothing is left to do. */
static void settle(struct varve_db *db)
{
    while (db_step(db))
        ;
}

static struct varve_iterator *pin(struct varve_db *db)
{
    struct varve_iterator *it = NULL;
    ck_assert_int_eq(varve_iterator_new(db, NULL, &it), VARVE_OK);
    return it;
}

/* Readers that keep memtables in memory bring the store to 90 %: from there on the active memtable
 * is flushed early, and not before; the store goes on however much they hold; and when they let go
 * it is as before. */
START_TEST(pinned_memtables)
{
    enum { PINS = 24 };
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    struct varve_iterator *pins[PINS];
    uint64_t number = 0;
    size_t near = options.memory_budget_bytes / 10 * 9;
    bool was_near = false;

    for (size_t i = 0; i < PINS; i++) {
        uint64_t early = stats_of(db).early_flushes;
        while (stats_of(db).memtable_bytes < KIB(200)) {
            put_many(db, number++, 1);
            if (stats_of(db).early_flushes > early)
                break;
        }
        struct varve_stats stats = stats_of(db);
        if (!was_near && stats.memory_used_bytes < near - KIB(64))
            ck_assert_uint_eq(stats.early_flushes, 0);
        was_near = was_near || stats.memory_used_bytes >= near;
        pins[i] = pin(db);
        ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
        settle(db);
    }
    ck_assert(was_near);
    struct varve_stats held = stats_of(db);
    ck_assert_uint_ge(held.early_flushes, 3);
    ck_assert_uint_gt(held.memory_memtable_bytes, near / 2);
    ck_assert_uint_lt(held.cache_bytes_max, options.block_cache_bytes);
    ck_assert_uint_eq(held.cache_bytes_max, options.block_cache_bytes / 4);

    /* Beyond the limit and nothing to wait for: writes pass, reads pass, nothing hangs. */
    for (size_t i = 0; i < 2000; i++)
        put_many(db, number++, 1);
    for (uint64_t i = 0; i < number; i += 7)
        get(db, i);
    held = stats_of(db);
    ck_assert_uint_lt(held.flushes, 2000 / 25); /* no storm of tiny tables */
    for (size_t i = 0; i < PINS; i++)
        varve_iterator_free(pins[i]);
    settle(db);
    struct varve_stats after = stats_of(db);
    ck_assert_uint_lt(after.memory_used_bytes, near);
    ck_assert_uint_gt(after.cache_bytes_max, options.block_cache_bytes / 4);
    put_many(db, number, 400);
    ck_assert_uint_eq(stats_of(db).early_flushes, after.early_flushes);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

/* Where flushes lag, writes wait for them beyond the limit, and do not before. */
START_TEST(writes_wait_for_flushes)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options);
    options.memtable_bytes = MIB(1);
    options.memtables_max = 64;
    options.block_cache_bytes = MIB(1);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    uint64_t number = 0;
    while (stats_of(db).memory_stalls == 0 && number < 20000)
        put_many(db, number++, 1);
    struct varve_stats stats = stats_of(db);
    ck_assert_uint_ge(stats.memory_stalls, 1);
    ck_assert_uint_le(stats.memory_stalls, 2); /* a job of the log may come before the flush */
    ck_assert_uint_gt(stats.memory_used_bytes, options.memory_budget_bytes / 2);
    ck_assert_uint_le(stats.memory_used_bytes, options.memory_budget_bytes);
    ck_assert_uint_ge(number * VALUE_BYTES, options.memory_budget_bytes / 2);
    for (uint64_t i = 0; i < 20000; i++) {
        put_many(db, number++, 1);
        if (i % 100 == 0)
            ck_assert_uint_le(stats_of(db).memory_used_bytes, options.memory_budget_bytes);
    }
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

/* A full cache is what goes first: no memtable is flushed early for it. */
START_TEST(cache_gives_way)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options);
    options.block_cache_bytes = MIB(3);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    put_many(db, 0, 4000);
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    settle(db);
    for (uint64_t i = 0; i < 4000; i++)
        get(db, i);
    struct varve_stats full = stats_of(db);
    ck_assert_uint_gt(full.memory_cache_bytes, MIB(2));
    struct varve_iterator *pins[4];
    uint64_t number = 4000;
    for (size_t i = 0; i < 4; i++) {
        put_many(db, number, 200);
        number += 200;
        pins[i] = pin(db);
        ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    }
    put_many(db, number, 100);
    struct varve_stats tight = stats_of(db);
    ck_assert_uint_lt(tight.memory_cache_bytes, full.memory_cache_bytes - KIB(200));
    ck_assert_uint_lt(tight.cache_bytes_max, full.cache_bytes_max);
    ck_assert_uint_le(tight.memory_used_bytes, options.memory_budget_bytes);
    ck_assert_uint_eq(tight.early_flushes, full.early_flushes);
    for (size_t i = 0; i < 4; i++)
        varve_iterator_free(pins[i]);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

#define LONG_KEY_BYTES 400u
#define LONG_KEYS_ALIKE 16u

/* Of keys that differ from their neighbours at the end alone, an index holds nearly all. */
static struct varve_slice long_key(uint64_t number, uint8_t key[LONG_KEY_BYTES])
{
    const uint64_t alike = __builtin_bswap64(number / LONG_KEYS_ALIKE);
    struct prng prng = prng_make(alike);
    memcpy(key, &alike, sizeof alike);
    prng_bytes(&prng, key + sizeof alike, LONG_KEY_BYTES - sizeof alike);
    key[LONG_KEY_BYTES - 1] = (uint8_t)(number % LONG_KEYS_ALIKE);
    return varve_slice(key, LONG_KEY_BYTES);
}

static void put_long(struct varve_db *db, uint64_t number)
{
    uint8_t key[LONG_KEY_BYTES];
    ck_assert_int_eq(varve_put(db, long_key(number, key), varve_slice(&number, sizeof number),
                               VARVE_SYNC_OFF, NULL),
                     VARVE_OK);
}

static void get_long(struct varve_db *db, uint64_t number)
{
    uint8_t key[LONG_KEY_BYTES];
    struct varve_value value = {0};
    ck_assert_int_eq(varve_get(db, long_key(number, key), NULL, &value), VARVE_OK);
    ck_assert_uint_eq(value.data.size, sizeof number);
    ck_assert_int_eq(memcmp(value.data.data, &number, sizeof number), 0);
    varve_value_release(&value);
}

#define LONG_KEYS 14000u
#define LARGE_BYTES 150000u

static void put_all_long(struct varve_db *db)
{
    for (uint64_t i = 0; i < LONG_KEYS; i++)
        put_long(db, i);
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    settle(db);
}

static void get_all_long(struct varve_db *db)
{
    for (uint64_t i = 0; i < LONG_KEYS; i++)
        get_long(db, i);
}

/* Index and filter of all tables take more than the cache. Where the budget has room for them no
 * get opens a table; where it has not, tables are closed, and gets find all the same. */
START_TEST(more_index_than_cache)
{
    struct crash_env *crash = crash_env_new(1);
    struct fault_env *calls = fault_env_new(crash_env_env(crash));
    struct varve_options options;
    options_make(&options);
    options.block_restart_interval = 1;
    options.memory_budget_bytes = 0;
    struct varve_db *db = rig_open(fault_env_env(calls), &options);
    put_all_long(db);
    get_all_long(db);
    const struct varve_stats roomy = stats_of(db);
    ck_assert_uint_gt(roomy.memory_table_bytes, options.block_cache_bytes / 2 * 3);
    ck_assert_uint_le(roomy.cache_bytes, roomy.cache_bytes_max);
    ck_assert_uint_eq(roomy.tables_open, roomy.tables);
    uint64_t opens = fault_env_calls(calls, FAULT_OPEN);
    const uint64_t reads = fault_env_calls(calls, FAULT_READ);
    get_all_long(db);
    ck_assert_uint_eq(fault_env_calls(calls, FAULT_OPEN), opens);
    ck_assert_uint_le(fault_env_calls(calls, FAULT_READ), reads + LONG_KEYS);
    ck_assert_int_eq(varve_close(db), VARVE_OK);

    options.memory_budget_bytes = MIB(4); /* memtables and a full queue leave less than the cache */
    db = rig_open(fault_env_env(calls), &options);
    get_all_long(db);
    opens = fault_env_calls(calls, FAULT_OPEN);
    get_all_long(db);
    ck_assert_uint_gt(fault_env_calls(calls, FAULT_OPEN), opens);
    const struct varve_stats tight = stats_of(db);
    ck_assert_uint_eq(tight.tables_open, 16); /* the fewest */
    ck_assert_uint_gt(tight.tables, 16);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    fault_env_free(calls);
    crash_env_free(crash);
}
END_TEST

/* Where others take what was left, writes close tables and flush nothing early. */
START_TEST(tables_give_way)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options);
    options.block_restart_interval = 1;
    options.memory_budget_bytes = MIB(8);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    put_all_long(db);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    db = rig_open(crash_env_env(crash), &options); /* no chunks rest in this one */
    get_all_long(db);
    const struct varve_stats roomy = stats_of(db);
    ck_assert_uint_gt(roomy.memory_table_bytes, options.block_cache_bytes / 2 * 3);
    const int64_t others = (int64_t)(MIB(8) / 10 * 9 - roomy.memory_used_bytes);
    memory_budget_charge(&db->memory, MEMORY_READS, others);
    const uint64_t memtable_bytes = stats_of(db).memory_memtable_bytes;
    uint8_t *value = must_calloc(1, LARGE_BYTES); /* each more than blocks could give back */
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(varve_put(db, varve_slice(&i, sizeof i), varve_slice(value, LARGE_BYTES),
                                   VARVE_SYNC_OFF, NULL),
                         VARVE_OK);
    free(value);
    const struct varve_stats tight = stats_of(db);
    ck_assert_uint_gt(tight.memory_memtable_bytes, memtable_bytes + LARGE_BYTES);
    ck_assert_uint_lt(tight.tables_open, roomy.tables_open);
    ck_assert_uint_gt(tight.tables_open, 16);
    ck_assert_uint_le(tight.memory_used_bytes, MIB(8) / 10 * 9);
    ck_assert_uint_eq(tight.early_flushes, roomy.early_flushes);
    ck_assert_uint_eq(tight.memory_stalls, roomy.memory_stalls);
    memory_budget_charge(&db->memory, MEMORY_READS, -others);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

static size_t together_bytes(const struct varve_options *options)
{
    struct memory_budget unused = {0};
    memory_budget_init(&unused, limits_memory_bytes(options));
    const size_t bytes = limits_cache_bytes(options, &unused);
    memory_budget_deinit(&unused);
    return bytes;
}

/* Blocks and tables have 64 MiB more than the cache, or what a budget leaves of these. */
START_TEST(what_blocks_and_tables_may_take)
{
    struct varve_options options;
    varve_options_init(&options);
    ck_assert_uint_eq(together_bytes(&options), MIB(256 + 64));
    options.memory_budget_bytes = MIB(1024);
    ck_assert_uint_eq(together_bytes(&options), MIB(256 + 64));
    options.memory_budget_bytes = MIB(800); /* 720, of which memtables 256 and the queue 200 */
    ck_assert_uint_eq(together_bytes(&options), MIB(264));
    options.memory_budget_bytes = MIB(700);
    ck_assert_uint_eq(together_bytes(&options), MIB(256));
}
END_TEST

START_TEST(budgets_that_do_not_fit)
{
    struct varve_options options;
    struct varve_error error = {0};
    varve_options_init(&options);
    ck_assert_uint_eq(options.memory_budget_bytes, 0);
    size_t least = options.block_cache_bytes + 2 * options.memtable_bytes;
    options.memory_budget_bytes = least;
    ck_assert_int_eq(varve_options_check(&options, &error), VARVE_OK);
    options.memory_budget_bytes = least - 1;
    ck_assert_int_eq(varve_options_check(&options, &error), VARVE_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "memory_budget_bytes"));
    ck_assert_ptr_nonnull(strstr(error.text, "block_cache_bytes"));
    options.memory_budget_bytes = 1;
    ck_assert_int_eq(varve_options_check(&options, &error), VARVE_INVALID);
}
END_TEST

/* With none set it is the sum of what the parts may take, so that nothing is early. */
START_TEST(budget_by_itself)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    options_make(&options);
    options.memory_budget_bytes = 0;
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    ck_assert_uint_eq(stats_of(db).memory_budget_bytes, 8 * KIB(256) + options.block_cache_bytes +
                                                            MIB(64) + options.write_queue_bytes);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

static uint64_t clock_us;

static uint64_t clock_read(struct env *env)
{
    (void)env;
    return clock_us;
}

/* Chunks of several memtables rest for the next ones, but only of one when nobody writes. */
START_TEST(chunks_go_when_idle)
{
    const uint64_t idle_us = 5000000;
    struct crash_env *crash = crash_env_new(1);
    struct env *env = crash_env_env(crash);
    struct env_ops ops = *env->ops;
    ops.mono_us = clock_read;
    env->ops = &ops;
    clock_us = 1000000;
    struct varve_options options;
    options_make(&options);
    struct varve_db *db = rig_open(env, &options);
    put_many(db, 0, 3 * KIB(256) / VALUE_BYTES);
    ck_assert_uint_gt(stats_of(db).memory_memtable_bytes, 3 * KIB(256));
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    settle(db);
    clock_us += idle_us - 1;
    db_idle(db);
    ck_assert_uint_gt(stats_of(db).memory_memtable_bytes, 3 * KIB(256));
    clock_us += 1;
    db_idle(db);
    ck_assert_uint_le(stats_of(db).memory_memtable_bytes, KIB(256) + 2 * KIB(32));
    ck_assert_uint_ge(stats_of(db).memory_memtable_bytes, KIB(256));
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tests = tcase_create("memory");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, account);
    tcase_add_test(tests, kinds_rise_and_fall);
    tcase_add_test(tests, pinned_blocks_of_dropped_tables);
    tcase_add_test(tests, what_a_value_pins);
    tcase_add_test(tests, pinned_memtables);
    tcase_add_test(tests, writes_wait_for_flushes);
    tcase_add_test(tests, cache_gives_way);
    tcase_add_test(tests, more_index_than_cache);
    tcase_add_test(tests, tables_give_way);
    tcase_add_test(tests, what_blocks_and_tables_may_take);
    tcase_add_test(tests, budgets_that_do_not_fit);
    tcase_add_test(tests, budget_by_itself);
    tcase_add_test(tests, chunks_go_when_idle);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
