/*
 * Many keys that all expire at one moment, beside some that never do: before it every key is read,
 * from it on none that expired, and merging takes their bytes from the disk.
 *
 *   expire_many DIRECTORY KEYS SECONDS
 *
 * SECONDS is the time to live; writing and looking through the keys must fit into it. Exits 0 when
 * everything was as it should be; says what was seen either way.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <varve/varve.h>

#include "prng.h"

#define BATCH_KEYS 1000u
#define STAYING_ONE_IN 100u /* keys that never expire */
#define KEY_BYTES 16u
#define VALUE_BYTES 100u
#define SAMPLES 200000u

struct store {
    struct varve_db *db;
    uint64_t keys, staying;
    uint64_t expires_at; /* unix seconds */
};

static void expect(bool holds, const char *what, uint64_t seen)
{
    if (holds)
        return;
    fprintf(stderr, "expire_many: %s: %" PRIu64 "\n", what, seen);
    exit(1);
}

static void done(enum varve_status status)
{
    expect(status == VARVE_OK, varve_status_text(status), 0);
}

static bool stays(uint64_t number)
{
    return number % STAYING_ONE_IN == 0;
}

/* Spread over the key space, so that each table has keys of all times. */
static struct varve_slice key_of(uint64_t number, char key[KEY_BYTES + 1])
{
    snprintf(key, KEY_BYTES + 1, "%016" PRIx64, number * UINT64_C(0x9e3779b97f4a7c15));
    return varve_slice(key, KEY_BYTES);
}

static void value_of(uint64_t number, uint8_t value[VALUE_BYTES])
{
    struct prng prng = prng_make(number);
    prng_bytes(&prng, value, VALUE_BYTES);
}

static void fill(struct store *store)
{
    struct varve_batch *batch = NULL;
    uint8_t value[VALUE_BYTES];
    char key[KEY_BYTES + 1];

    done(varve_batch_new(&batch));
    for (uint64_t number = 0; number < store->keys;) {
        varve_batch_clear(batch);
        for (unsigned i = 0; i < BATCH_KEYS && number < store->keys; i++, number++) {
            value_of(number, value);
            struct varve_slice k = key_of(number, key), v = varve_slice(value, sizeof value);
            done(stays(number) ? varve_batch_put(batch, k, v)
                               : varve_batch_put_expiring(batch, k, v, store->expires_at));
            store->staying += stays(number);
        }
        done(varve_write(store->db, batch, VARVE_SYNC_OFF, NULL));
    }
    varve_batch_free(batch);
}

static uint64_t scan(const struct store *store)
{
    struct varve_iterator_options options = {0};
    struct varve_iterator *it = NULL;
    uint64_t count = 0;
    done(varve_iterator_new(store->db, &options, &it));
    enum varve_status status = varve_iterator_seek_first(it);
    for (; status == VARVE_OK; status = varve_iterator_next(it))
        count++;
    expect(status == VARVE_END, "a scan ends with status", (uint64_t)status);
    varve_iterator_free(it);
    return count;
}

/* Keys at random: those that are there have their value. */
static void sample(const struct store *store, bool expired)
{
    uint8_t expected[VALUE_BYTES];
    char key[KEY_BYTES + 1];
    struct prng prng = prng_make(store->keys);
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t number = prng_below(&prng, store->keys);
        struct varve_value value = {0};
        enum varve_status status = varve_get(store->db, key_of(number, key), NULL, &value);
        bool absent = expired && !stays(number);
        expect(status == (absent ? VARVE_NOT_FOUND : VARVE_OK), "wrong status of key", number);
        if (!absent) {
            value_of(number, expected);
            expect(value.data.size == VALUE_BYTES &&
                       memcmp(value.data.data, expected, VALUE_BYTES) == 0,
                   "wrong value of key", number);
            varve_value_release(&value);
        }
    }
}

static uint64_t now_s(void)
{
    return (uint64_t)time(NULL);
}

static uint64_t entries_of(const struct varve_stats *stats)
{
    uint64_t entries = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        entries += stats->levels[l].entries;
    return entries;
}

static void stats_print(const struct store *store, const char *when, struct varve_stats *ret_stats)
{
    varve_stats_read(store->db, ret_stats);
    printf("%s: %" PRIu64 " tables, %" PRIu64 " entries, %" PRIu64 " bytes, %" PRIu64 " merges\n",
           when, ret_stats->tables, entries_of(ret_stats), ret_stats->table_bytes,
           ret_stats->compactions);
    fflush(stdout);
}

static void before_the_moment(struct store *store)
{
    struct varve_stats stats = {0};
    fill(store);
    done(varve_flush(store->db, true));
    stats_print(store, "written", &stats);
    expect(entries_of(&stats) == store->keys, "entries in tables", entries_of(&stats));
    sample(store, false);
    uint64_t count = scan(store);
    expect(now_s() < store->expires_at, "the time to live was too short; it ended at",
           store->expires_at);
    expect(count == store->keys, "keys before the moment", count);
}

static void after_the_moment(struct store *store)
{
    struct varve_stats stats = {0};
    while (now_s() < store->expires_at)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    sample(store, true);
    uint64_t count = scan(store);
    printf("expired: %" PRIu64 " keys left, read %" PRIu64 " s later at the latest\n", count,
           now_s() - store->expires_at);
    expect(count == store->staying, "keys from the moment on", count);

    stats_print(store, "expired", &stats);
    done(varve_compact(store->db, true));
    stats_print(store, "merged", &stats);
    expect(entries_of(&stats) == store->staying, "entries in tables", entries_of(&stats));
    expect(stats.table_bytes < 2 * store->staying * (KEY_BYTES + VALUE_BYTES), "table bytes",
           stats.table_bytes);
    sample(store, true);
    expect(scan(store) == store->staying, "keys after merging", 0);
}

int main(int argc, char **argv)
{
    struct store store = {0};
    struct varve_options options;
    struct varve_error error = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: expire_many DIRECTORY KEYS SECONDS\n");
        return 2;
    }
    varve_options_init(&options);
    store.keys = strtoull(argv[2], NULL, 10);
    store.expires_at = now_s() + strtoull(argv[3], NULL, 10);
    if (varve_open(argv[1], &options, &store.db, &error) != VARVE_OK) {
        fprintf(stderr, "expire_many: %s: %s\n", error.path, error.text);
        return 1;
    }
    before_the_moment(&store);
    after_the_moment(&store);
    done(varve_close(store.db));

    done(varve_open(argv[1], &options, &store.db, &error));
    expect(scan(&store) == store.staying, "keys after opening anew", 0);
    done(varve_close(store.db));
    printf("all %" PRIu64 " that expired are gone, all %" PRIu64 " others stay\n",
           store.keys - store.staying, store.staying);
    return 0;
}
