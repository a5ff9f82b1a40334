/*
 * Blocking and asynchronous writers, readers, iterators, snapshots, flushes, merges and figures,
 * all at once on one small store. Each writer owns its keys and counts up, so that every reader can
 * tell a value that goes back, a batch that is seen in part, or a moment that changes. In the end
 * everything is verified, before and after opening anew. Threads use must(): a failure aborts.
 */
#include <check.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash_env.h"
#include "must.h"
#include "os/sync.h"
#include "run_suite.h"
#include "store_rig.h"

#define BLOCKING 3u
#define ASYNC 2u
#define WRITERS (BLOCKING + ASYNC)
#define KEYS 40u /* of each writer; the first two are always written together */
#define WINDOW 16u
#define PADDING_BYTES 180u

struct value_form {
    uint64_t writer, count;
    uint8_t padding[PADDING_BYTES];
};

struct storm {
    struct varve_db *db;
    uint64_t writes; /* of each writer */
    uint64_t *revisions[WRITERS];
    uint64_t last[WRITERS][KEYS];           /* the count that each key holds at the end */
    _Atomic uint64_t acknowledged[WRITERS]; /* of key 0: readers may rely on it */
    _Atomic unsigned writers_left;
    _Atomic uint64_t reads, scans, snapshots, flushes;
};

struct task {
    struct storm *storm;
    unsigned number;
    pthread_t thread;
};

static struct varve_slice key_make(char key[32], unsigned writer, unsigned number)
{
    return varve_slice(key, (size_t)snprintf(key, 32, "w%u-%03u", writer, number));
}

static struct value_form value_make(unsigned writer, uint64_t count)
{
    struct value_form value = {.writer = writer, .count = count};
    memset(value.padding, (int)(count % 256), sizeof value.padding);
    return value;
}

static uint64_t value_count(struct varve_slice data, unsigned writer)
{
    struct value_form value;
    must(data.size == sizeof value);
    memcpy(&value, data.data, sizeof value);
    must(value.writer == writer);
    must(value.padding[0] == value.count % 256);
    must(value.padding[PADDING_BYTES - 1] == value.count % 256);
    return value.count;
}

/* The `count`-th write of a writer: keys 0 and 1 together, or another one alone. */
static void batch_fill(struct storm *storm, struct varve_batch *batch, unsigned writer,
                       uint64_t count)
{
    char key[32];
    struct value_form value = value_make(writer, count);
    unsigned number = count % 3 == 0 ? 0 : 2 + (unsigned)(count * 7 % (KEYS - 2));
    varve_batch_clear(batch);
    for (unsigned i = 0; i < (number == 0 ? 2 : 1); i++) {
        must_ok(varve_batch_put(batch, key_make(key, writer, number + i),
                                varve_slice(&value, sizeof value)));
        storm->last[writer][number + i] = count;
    }
}

static void *blocking_writer(void *context)
{
    struct task *task = context;
    struct storm *storm = task->storm;
    struct varve_batch *batch = NULL;
    must_ok(varve_batch_new(&batch));
    for (uint64_t count = 1; count <= storm->writes; count++) {
        uint64_t *revision = &storm->revisions[task->number][count];
        enum varve_status status = VARVE_OK;
        batch_fill(storm, batch, task->number, count);
        do
            status = varve_write(storm->db, batch, count % 4 == 0 ? VARVE_SYNC_ON : VARVE_SYNC_OFF,
                                 revision);
        while (status == VARVE_BUSY);
        must_ok(status);
        must(*revision > storm->revisions[task->number][count - 1]);
        if (count % 3 == 0)
            atomic_store(&storm->acknowledged[task->number], count);
    }
    varve_batch_free(batch);
    atomic_fetch_sub(&storm->writers_left, 1);
    return NULL;
}

/* A window of requests, each with its batch; `free` ones are the writer's. */
struct async_slot {
    struct varve_write_request request; /* first */
    uint64_t count;
    bool queued;
};
struct async_writer {
    struct varve_write_receiver receiver; /* first */
    struct storm *storm;
    unsigned number;
    struct async_slot slots[WINDOW];
    struct {
        struct mutex lock;
        struct cond delivered;
        size_t free;
        uint64_t delivered_count;
    } mu;
};

static void async_deliver(struct varve_write_receiver *receiver, struct varve_write_request *list)
{
    struct async_writer *writer = (struct async_writer *)receiver;
    uint64_t before = 0;
    mutex_lock(&writer->mu.lock);
    while (list != NULL) {
        struct async_slot *slot = (struct async_slot *)list;
        struct varve_write_request *next = list->next;
        must(slot->queued);
        slot->queued = false;
        must_ok(list->status);
        must(list->revision > before);
        before = list->revision;
        writer->storm->revisions[writer->number][slot->count] = list->revision;
        writer->mu.free++;
        writer->mu.delivered_count++;
        list = next;
    }
    cond_signal(&writer->mu.delivered);
    mutex_unlock(&writer->mu.lock);
}

static struct async_slot *slot_take(struct async_writer *writer)
{
    struct async_slot *slot = NULL;
    mutex_lock(&writer->mu.lock);
    while (writer->mu.free == 0)
        cond_wait(&writer->mu.delivered, &writer->mu.lock);
    for (size_t i = 0; i < WINDOW && slot == NULL; i++)
        if (!writer->slots[i].queued)
            slot = &writer->slots[i];
    writer->mu.free--;
    slot->queued = true;
    mutex_unlock(&writer->mu.lock);
    return slot;
}

static void *async_writer(void *context)
{
    struct task *task = context;
    struct storm *storm = task->storm;
    struct async_writer writer = {.receiver = {.deliver = async_deliver},
                                  .storm = storm,
                                  .number = task->number,
                                  .mu = {.free = WINDOW}};
    mutex_init(&writer.mu.lock);
    cond_init(&writer.mu.delivered);
    for (size_t i = 0; i < WINDOW; i++)
        must_ok(varve_batch_new(&writer.slots[i].request.batch));
    for (uint64_t count = 1; count <= storm->writes; count++) {
        struct async_slot *slot = slot_take(&writer);
        batch_fill(storm, slot->request.batch, task->number, count);
        slot->count = count;
        slot->request.receiver = &writer.receiver;
        slot->request.sync = count % 8 == 0 ? VARVE_SYNC_ON : VARVE_SYNC_OFF;
        enum varve_status status = VARVE_OK;
        do
            status = varve_write_async(storm->db, &slot->request);
        while (status == VARVE_BUSY);
        must_ok(status);
    }
    mutex_lock(&writer.mu.lock);
    while (writer.mu.free < WINDOW)
        cond_wait(&writer.mu.delivered, &writer.mu.lock);
    must(writer.mu.delivered_count == storm->writes);
    mutex_unlock(&writer.mu.lock);
    for (uint64_t count = 1; count <= storm->writes; count++)
        must(storm->revisions[task->number][count] > storm->revisions[task->number][count - 1]);
    for (size_t i = 0; i < WINDOW; i++)
        varve_batch_free(writer.slots[i].request.batch);
    cond_deinit(&writer.mu.delivered);
    mutex_deinit(&writer.mu.lock);
    atomic_fetch_sub(&storm->writers_left, 1);
    return NULL;
}

static bool goes_on(struct storm *storm)
{
    return atomic_load(&storm->writers_left) > 0;
}

/* 0 when it is absent. */
static uint64_t count_get(struct storm *storm, unsigned writer, unsigned number,
                          const struct varve_snapshot *snapshot)
{
    char key[32];
    struct varve_value value = {0};
    enum varve_status status =
        varve_get(storm->db, key_make(key, writer, number), snapshot, &value);
    if (status == VARVE_NOT_FOUND)
        return 0;
    must_ok(status);
    uint64_t count = value_count(value.data, writer);
    varve_value_release(&value);
    return count;
}

/* What a key holds never goes back, and what was acknowledged is seen. */
static void *reader(void *context)
{
    struct task *task = context;
    struct storm *storm = task->storm;
    struct prng prng = prng_make(task->number);
    uint64_t seen[WRITERS][KEYS] = {{0}};
    while (goes_on(storm)) {
        unsigned writer = (unsigned)prng_below(&prng, WRITERS);
        unsigned number = prng_chance(&prng, 30) ? 0 : (unsigned)prng_below(&prng, KEYS);
        uint64_t acknowledged =
            number == 0 && writer < BLOCKING ? atomic_load(&storm->acknowledged[writer]) : 0;
        uint64_t count = count_get(storm, writer, number, NULL);
        must(count >= seen[writer][number]);
        must(count >= acknowledged);
        seen[writer][number] = count;
        atomic_fetch_add(&storm->reads, 1);
    }
    return NULL;
}

/* Keys grow (or fall, backwards), the pair of each writer is of one batch, nothing is newer than
 * the view. Gives the number of keys. */
static unsigned scan_once(struct varve_iterator *it, bool backwards)
{
    uint64_t pair[WRITERS][2] = {{0}};
    char before[32] = {0};
    unsigned keys = 0;
    enum varve_status status =
        backwards ? varve_iterator_seek_last(it) : varve_iterator_seek_first(it);
    for (; status == VARVE_OK;
         status = backwards ? varve_iterator_prev(it) : varve_iterator_next(it)) {
        char key[32] = {0};
        unsigned writer = 0, number = 0;
        must(varve_iterator_key(it).size < sizeof key);
        memcpy(key, varve_iterator_key(it).data, varve_iterator_key(it).size);
        must(sscanf(key, "w%u-%u", &writer, &number) == 2 && writer < WRITERS && number < KEYS);
        must(keys == 0 || (backwards ? strcmp(key, before) < 0 : strcmp(key, before) > 0));
        memcpy(before, key, sizeof key);
        uint64_t count = value_count(varve_iterator_value(it), writer);
        if (number < 2)
            pair[writer][number] = count;
        must(varve_iterator_revision(it) <= varve_iterator_view_revision(it));
        keys++;
    }
    must(status == VARVE_END);
    for (unsigned w = 0; w < WRITERS; w++)
        must(pair[w][0] == pair[w][1]);
    return keys;
}

static void *scanner(void *context)
{
    struct task *task = context;
    while (goes_on(task->storm)) {
        const struct varve_iterator_options options = {.fill_cache = task->number % 2 == 0};
        struct varve_iterator *it = NULL;
        must_ok(varve_iterator_new(task->storm->db, &options, &it));
        unsigned forwards = scan_once(it, false);
        must(scan_once(it, true) == forwards);
        varve_iterator_free(it);
        atomic_fetch_add(&task->storm->scans, 1);
    }
    return NULL;
}

/* A snapshot gives the same answers however long it is kept. */
static void *snapshotter(void *context)
{
    struct task *task = context;
    struct storm *storm = task->storm;
    while (goes_on(storm)) {
        const struct varve_snapshot *snapshot = NULL;
        uint64_t first[WRITERS][KEYS];
        must_ok(varve_snapshot_acquire(storm->db, &snapshot));
        for (unsigned w = 0; w < WRITERS; w++) {
            for (unsigned k = 0; k < KEYS; k++)
                first[w][k] = count_get(storm, w, k, snapshot);
            must(first[w][0] == first[w][1]);
        }
        for (unsigned round = 0; round < 3; round++)
            for (unsigned w = 0; w < WRITERS; w++)
                for (unsigned k = 0; k < KEYS; k++)
                    must(count_get(storm, w, k, snapshot) == first[w][k]);
        varve_snapshot_release(storm->db, snapshot);
        atomic_fetch_add(&storm->snapshots, 1);
    }
    return NULL;
}

static void *keeper(void *context)
{
    struct task *task = context;
    struct storm *storm = task->storm;
    uint64_t revision = 0;
    for (unsigned round = 0; goes_on(storm); round++) {
        struct varve_stats stats = {0};
        struct varve_latency_stats latency = {0};
        enum varve_status status = round % 3 == 0 ? varve_compact(storm->db, round % 2 == 0)
                                                  : varve_flush(storm->db, round % 2 == 0);
        must(status == VARVE_OK || status == VARVE_BUSY);
        varve_stats_read(storm->db, &stats);
        must(stats.state == VARVE_STATE_OK);
        must(stats.revision >= revision);
        revision = stats.revision;
        varve_latency_read(storm->db, VARVE_LATENCY_GROUP, &latency);
        must(latency.p50_us <= latency.max_us);
        atomic_fetch_add(&storm->flushes, 1);
    }
    return NULL;
}

static void storm_verify(struct storm *storm)
{
    uint64_t present = 0, found = 0;
    for (unsigned w = 0; w < WRITERS; w++)
        for (unsigned k = 0; k < KEYS; k++) {
            ck_assert_uint_eq(count_get(storm, w, k, NULL), storm->last[w][k]);
            present += storm->last[w][k] != 0;
        }
    struct varve_iterator *it = NULL;
    ck_assert_int_eq(varve_iterator_new(storm->db, NULL, &it), VARVE_OK);
    found = scan_once(it, false);
    ck_assert_uint_eq(found, present);
    varve_iterator_free(it);
}

static int number_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Every write has a revision of its own, and none is left out. */
static void revisions_verify(struct storm *storm)
{
    uint64_t *all = must_calloc(WRITERS * storm->writes, sizeof *all);
    for (unsigned w = 0; w < WRITERS; w++)
        memcpy(all + w * storm->writes, storm->revisions[w] + 1, storm->writes * sizeof *all);
    qsort(all, WRITERS * storm->writes, sizeof *all, number_compare);
    for (uint64_t i = 0; i < WRITERS * storm->writes; i++)
        ck_assert_uint_eq(all[i], i + 1);
    free(all);
}

static void *(*const roles[])(void *) = {reader, reader, scanner, scanner, snapshotter, keeper};
#define ROLES (sizeof roles / sizeof roles[0])

static void storm_run(uint64_t writes, enum varve_compaction style)
{
    struct storm *storm = must_calloc(1, sizeof *storm);
    struct task tasks[WRITERS + ROLES];
    struct crash_env *crash = crash_env_new(writes);
    struct varve_options options;
    rig_options(&options);
    options.compaction = style;
    options.memtables_max = 2;
    options.group_bytes = 4 << 10;
    options.compaction_workers = 3;
    storm->writes = writes;
    atomic_store(&storm->writers_left, WRITERS);
    ck_assert_int_eq(db_open(RIG_STORE, &options, crash_env_env(crash), false, &storm->db, NULL),
                     VARVE_OK);
    for (unsigned i = 0; i < WRITERS + ROLES; i++) {
        tasks[i] = (struct task){.storm = storm, .number = i};
        if (i < WRITERS)
            storm->revisions[i] = must_calloc(writes + 1, sizeof(uint64_t));
        must(pthread_create(&tasks[i].thread, NULL,
                            i < BLOCKING  ? blocking_writer
                            : i < WRITERS ? async_writer
                                          : roles[i - WRITERS],
                            &tasks[i]) == 0);
    }
    for (unsigned i = 0; i < WRITERS + ROLES; i++)
        must(pthread_join(tasks[i].thread, NULL) == 0);

    struct varve_stats stats = {0};
    varve_stats_read(storm->db, &stats);
    printf("%" PRIu64 " writes in %" PRIu64 " groups, %" PRIu64 " reads, %" PRIu64
           " scans, %" PRIu64 " snapshots; %" PRIu64 " flushes, %" PRIu64 " merges, %" PRIu64
           " waits\n",
           stats.batches, stats.wal_groups, storm->reads, storm->scans, storm->snapshots,
           stats.flushes, stats.compactions, stats.stalls);
    ck_assert_uint_eq(stats.batches, WRITERS * writes);
    ck_assert_uint_gt(stats.flushes, 3);
    ck_assert_uint_gt(storm->scans, 0);
    ck_assert_uint_gt(storm->snapshots, 0);
    revisions_verify(storm);
    storm_verify(storm);
    ck_assert_int_eq(varve_close(storm->db), VARVE_OK);
    storm->db = rig_open(crash_env_env(crash), &options);
    storm_verify(storm);
    ck_assert_int_eq(varve_close(storm->db), VARVE_OK);
    for (unsigned i = 0; i < WRITERS; i++)
        free(storm->revisions[i]);
    ck_assert_uint_eq(crash_env_handles(crash), 0);
    crash_env_free(crash);
    free(storm);
}

START_TEST(a_storm)
{
    storm_run(rig_budget_is_long() ? 200000 : 5000,
              _i == 0 ? VARVE_COMPACTION_TIERED : VARVE_COMPACTION_LEVELED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-concurrent");
    TCase *storms = tcase_create("storms");
    tcase_set_timeout(storms, 0);
    tcase_add_loop_test(storms, a_storm, 0, 2);
    suite_add_tcase(suite, storms);
    return run_suite(suite);
}
