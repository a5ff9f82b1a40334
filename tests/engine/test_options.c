/* Limits, refusals and the ways to open a store; and how a store with threads gets over a shortage
 * by itself. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash_env.h"
#include "fault_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"
#include "tmpdir.h"

static struct varve_slice bytes_make(void *memory, size_t size)
{
    memset(memory, 'x', size);
    return varve_slice(memory, size);
}

START_TEST(sizes_of_keys_and_values)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    varve_options_init(&options);
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    uint8_t key[VARVE_KEY_BYTES_MAX + 1];
    uint8_t *large = must_calloc(1, (16u << 20) + 1);
    struct varve_value value = {0};
    struct varve_slice small = varve_slice_str("v"), empty = varve_slice(NULL, 0);
    uint64_t before = 0, after = 0;

    ck_assert_int_eq(varve_put(db, bytes_make(key, 1), small, VARVE_SYNC_OFF, &before), VARVE_OK);
    ck_assert_int_eq(varve_put(db, empty, small, VARVE_SYNC_OFF, NULL), VARVE_INVALID);
    ck_assert_int_eq(varve_delete(db, empty, VARVE_SYNC_OFF, NULL), VARVE_INVALID);
    ck_assert_int_eq(varve_get(db, empty, NULL, &value), VARVE_INVALID);
    ck_assert_int_eq(varve_put(db, bytes_make(key, 4097), small, VARVE_SYNC_OFF, NULL),
                     VARVE_TOO_LARGE);
    ck_assert_int_eq(varve_put(db, varve_slice_str("l"), bytes_make(large, (16u << 20) + 1),
                               VARVE_SYNC_OFF, NULL),
                     VARVE_TOO_LARGE);
    ck_assert_int_eq(varve_put(db, bytes_make(key, 4096), empty, VARVE_SYNC_OFF, &after), VARVE_OK);
    ck_assert_uint_eq(after, before + 1);
    ck_assert_int_eq(
        varve_put(db, varve_slice_str("l"), bytes_make(large, 16u << 20), VARVE_SYNC_OFF, NULL),
        VARVE_OK);
    for (int round = 0; round < 3; round++) { /* from the memtable, a table, after an opening */
        ck_assert_int_eq(varve_get(db, bytes_make(key, 4096), NULL, &value), VARVE_OK);
        ck_assert_uint_eq(value.data.size, 0);
        varve_value_release(&value);
        ck_assert_int_eq(varve_get(db, varve_slice_str("l"), NULL, &value), VARVE_OK);
        ck_assert(varve_slice_compare(value.data, varve_slice(large, 16u << 20)) == 0);
        varve_value_release(&value);
        if (round == 0)
            ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
        if (round == 1) {
            db_abandon(db);
            db = rig_open(crash_env_env(crash), &options);
        }
    }
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
    free(large);
}
END_TEST

static void ignore(struct varve_write_receiver *receiver, struct varve_write_request *list)
{
    (void)receiver;
    (void)list;
}

START_TEST(batches_that_are_refused)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_options options;
    struct varve_batch *batch = NULL;
    struct varve_write_receiver receiver = {.deliver = ignore};
    uint64_t revision = 0;
    uint8_t large[40000];
    rig_options(&options);
    options.batch_bytes_max = 64 << 10;
    struct varve_db *db = rig_open(crash_env_env(crash), &options);
    ck_assert_int_eq(varve_batch_new(&batch), VARVE_OK);
    struct varve_write_request request = {.batch = batch, .receiver = &receiver};

    rig_put(db, "a", "1", VARVE_SYNC_OFF);
    ck_assert_int_eq(varve_write(db, batch, VARVE_SYNC_ON, &revision), VARVE_OK);
    ck_assert_uint_eq(revision, 1);
    ck_assert_int_eq(varve_write_async(db, &request), VARVE_INVALID);
    request.batch = NULL;
    ck_assert_int_eq(varve_write_async(db, &request), VARVE_INVALID);
    request.batch = batch;
    request.receiver = NULL;
    ck_assert_int_eq(varve_write_async(db, &request), VARVE_INVALID);
    request.receiver = &receiver;

    /* A refused operation leaves the batch as it was. */
    ck_assert_int_eq(varve_batch_put(batch, varve_slice_str("b"), varve_slice_str("1")), VARVE_OK);
    ck_assert_int_eq(varve_batch_put(batch, varve_slice(NULL, 0), varve_slice_str("1")),
                     VARVE_INVALID);
    ck_assert_uint_eq(varve_batch_count(batch), 1);
    ck_assert_int_eq(varve_write(db, batch, VARVE_SYNC_OFF, &revision), VARVE_OK);
    ck_assert_uint_eq(revision, 2);

    ck_assert_int_eq(varve_batch_put(batch, varve_slice_str("c"), bytes_make(large, sizeof large)),
                     VARVE_OK);
    ck_assert_int_eq(varve_batch_put(batch, varve_slice_str("d"), bytes_make(large, sizeof large)),
                     VARVE_OK);
    ck_assert_int_eq(varve_write(db, batch, VARVE_SYNC_OFF, NULL), VARVE_TOO_LARGE);
    ck_assert_int_eq(varve_write_async(db, &request), VARVE_TOO_LARGE);
    rig_expect(db, "c", NULL);
    varve_batch_free(batch);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

/* A hook holds up the log; the queue behind it fills. */
struct gate {
    struct mutex lock;
    struct cond changed;
    bool reached, open;
    size_t delivered;
};
static void gate_hook(void *context)
{
    struct gate *gate = context;
    mutex_lock(&gate->lock);
    gate->reached = true;
    cond_broadcast(&gate->changed);
    while (!gate->open)
        cond_wait(&gate->changed, &gate->lock);
    mutex_unlock(&gate->lock);
}

struct counting_receiver {
    struct varve_write_receiver receiver; /* first */
    struct gate *gate;
};
static void count_deliver(struct varve_write_receiver *receiver, struct varve_write_request *list)
{
    struct gate *gate = ((struct counting_receiver *)receiver)->gate;
    mutex_lock(&gate->lock);
    for (; list != NULL; list = list->next) {
        must_ok(list->status);
        gate->delivered++;
    }
    cond_broadcast(&gate->changed);
    mutex_unlock(&gate->lock);
}

START_TEST(a_full_queue_is_busy)
{
    enum { REQUESTS = 24 };
    struct crash_env *crash = crash_env_new(1);
    struct fault_env *fault = fault_env_new(crash_env_env(crash));
    struct gate gate = {0};
    struct counting_receiver receiver = {.receiver.deliver = count_deliver, .gate = &gate};
    struct varve_write_request requests[REQUESTS] = {{0}};
    struct varve_options options;
    struct varve_db *db = NULL;
    uint8_t *large = must_calloc(1, 100000);
    size_t taken = 0;

    mutex_init(&gate.lock);
    cond_init(&gate.changed);
    rig_options(&options);
    options.memtable_bytes = 16 << 20;
    options.write_queue_bytes = 1 << 20;
    ck_assert_int_eq(db_open(RIG_STORE, &options, fault_env_env(fault), false, &db, NULL),
                     VARVE_OK);
    const struct fault_rule rule = {.operations = FAULT_SYNC,
                                    .pattern = "*.wal",
                                    .at = 1,
                                    .status = VARVE_OK,
                                    .hook = gate_hook,
                                    .context = &gate};
    fault_env_set_rule(fault, &rule);
    for (size_t i = 0; i < REQUESTS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%zu", i);
        ck_assert_int_eq(varve_batch_new(&requests[i].batch), VARVE_OK);
        ck_assert_int_eq(
            varve_batch_put(requests[i].batch, varve_slice_str(key), varve_slice(large, 100000)),
            VARVE_OK);
        requests[i].receiver = &receiver.receiver;
        requests[i].sync = VARVE_SYNC_ON;
    }
    for (; taken < REQUESTS; taken++) {
        enum varve_status status = varve_write_async(db, &requests[taken]);
        if (status == VARVE_BUSY)
            break;
        ck_assert_int_eq(status, VARVE_OK);
        mutex_lock(&gate.lock);
        while (taken == 0 && !gate.reached)
            cond_wait(&gate.changed, &gate.lock);
        mutex_unlock(&gate.lock);
    }
    ck_assert_uint_ge(taken, 10);
    ck_assert_uint_lt(taken, REQUESTS);
    ck_assert_int_eq(
        varve_put(db, varve_slice_str("b"), varve_slice(large, 100000), VARVE_SYNC_OFF, NULL),
        VARVE_BUSY);
    mutex_lock(&gate.lock);
    gate.open = true;
    cond_broadcast(&gate.changed);
    while (gate.delivered < taken)
        cond_wait(&gate.changed, &gate.lock);
    mutex_unlock(&gate.lock);
    rig_put(db, "after", "1", VARVE_SYNC_ON);
    rig_expect(db, "b", NULL);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    for (size_t i = 0; i < REQUESTS; i++)
        varve_batch_free(requests[i].batch);
    cond_deinit(&gate.changed);
    mutex_deinit(&gate.lock);
    fault_env_free(fault);
    crash_env_free(crash);
    free(large);
}
END_TEST

START_TEST(a_closing_store_refuses_writes)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_db *db = rig_open(crash_env_env(crash), NULL);
    rig_put(db, "a", "1", VARVE_SYNC_OFF);
    commit_stop(db); /* the first thing that closing does */
    ck_assert_int_eq(
        varve_put(db, varve_slice_str("b"), varve_slice_str("2"), VARVE_SYNC_OFF, NULL),
        VARVE_CLOSED);
    rig_expect(db, "a", "1");
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    ck_assert_int_eq(varve_close(NULL), VARVE_OK);
    db = rig_open(crash_env_env(crash), NULL);
    rig_expect(db, "a", "1");
    rig_expect(db, "b", NULL);
    db_abandon(db);
    crash_env_free(crash);
}
END_TEST

static enum varve_status try_open(const char *path, const struct varve_options *options)
{
    struct varve_db *db = NULL;
    struct varve_error error = {0};
    enum varve_status status = varve_open(path, options, &db, &error);
    if (status == VARVE_OK)
        ck_assert_int_eq(varve_close(db), VARVE_OK);
    else
        ck_assert(error.status == status && error.text[0] != '\0');
    return status;
}

START_TEST(ways_to_open)
{
    struct tmpdir dir = {0};
    struct varve_options options;
    struct varve_error error = {0};
    struct varve_db *db = NULL;
    tmpdir_make(&dir);
    const char *path = tmpdir_path(&dir, "store");

    varve_options_init(&options);
    options.create_if_missing = false;
    ck_assert_int_eq(try_open(path, &options), VARVE_NOT_FOUND);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(try_open(tmpdir_path(&dir, "no/store"), NULL), VARVE_NOT_FOUND);
    ck_assert_int_eq(try_open("", NULL), VARVE_INVALID);
    FILE *file = fopen(tmpdir_path(&dir, "file"), "w");
    must(file != NULL && fclose(file) == 0);
    ck_assert_int_eq(try_open(tmpdir_path(&dir, "file"), NULL), VARVE_INVALID);

    ck_assert_int_eq(varve_open(path, NULL, &db, &error), VARVE_OK);
    ck_assert_int_eq(try_open(path, NULL), VARVE_LOCKED);
    ck_assert_int_eq(varve_destroy(path, &error), VARVE_LOCKED);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        struct varve_db *other = NULL;
        _exit(varve_open(path, NULL, &other, NULL) == VARVE_LOCKED ? 0 : 1);
    }
    int how = -1;
    must(waitpid(child, &how, 0) == child);
    ck_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    rig_put(db, "a", "1", VARVE_SYNC_ON);
    ck_assert_int_eq(varve_close(db), VARVE_OK);

    options.create_if_missing = true;
    options.error_if_exists = true;
    ck_assert_int_eq(try_open(path, &options), VARVE_EXISTS);
    options.error_if_exists = false;
    options.create_if_missing = false;
    ck_assert_int_eq(try_open(path, &options), VARVE_OK);
    ck_assert_int_eq(varve_destroy(path, &error), VARVE_OK);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(varve_destroy(path, &error), VARVE_NOT_FOUND);
    tmpdir_remove(&dir);
}
END_TEST

/* What is not the store's stays. */
START_TEST(destroying_leaves_strangers)
{
    struct tmpdir dir = {0};
    tmpdir_make(&dir);
    const char *path = tmpdir_path(&dir, "store");
    ck_assert_int_eq(try_open(path, NULL), VARVE_OK);
    FILE *file = fopen(tmpdir_path(&dir, "store/notes.txt"), "w");
    must(file != NULL && fclose(file) == 0);
    ck_assert_int_eq(varve_destroy(path, NULL), VARVE_OK);
    ck_assert_int_eq(access(tmpdir_path(&dir, "store/notes.txt"), F_OK), 0);
    ck_assert_int_ne(access(tmpdir_path(&dir, "store/CURRENT"), F_OK), 0);
    ck_assert_int_eq(try_open(path, NULL), VARVE_OK);
    tmpdir_remove(&dir);
}
END_TEST

START_TEST(options_out_of_bounds)
{
    struct varve_options options;
    struct varve_error error = {0};
    varve_options_init(&options);
    ck_assert_int_eq(varve_options_check(&options, &error), VARVE_OK);
    options.memtables_max = 1;
    ck_assert_int_eq(varve_options_check(&options, &error), VARVE_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "memtables_max"));
    varve_options_init(&options);
    options.level0_stop = options.level0_trigger;
    ck_assert_int_eq(varve_options_check(&options, &error), VARVE_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "level0_stop"));
    varve_options_init(&options);
    options.recovery_mode = (enum varve_recovery_mode)77;
    ck_assert_int_eq(varve_options_check(&options, &error), VARVE_INVALID);
    varve_options_init(&options);
    options.compaction = (enum varve_compaction)77;
    ck_assert_int_eq(varve_options_check(&options, &error), VARVE_INVALID);
}
END_TEST

START_TEST(figures_are_plausible)
{
    struct crash_env *crash = crash_env_new(1);
    struct varve_db *db = rig_open(crash_env_env(crash), NULL);
    struct varve_stats stats = {0};
    struct varve_latency_stats latency = {0};
    rig_put(db, "a", "12345", VARVE_SYNC_ON);
    rig_put(db, "b", "1", VARVE_SYNC_OFF);
    ck_assert_int_eq(varve_delete(db, varve_slice_str("b"), VARVE_SYNC_OFF, NULL), VARVE_OK);
    rig_expect(db, "a", "12345");
    rig_expect(db, "b", NULL);
    varve_stats_read(db, &stats);
    ck_assert_uint_eq(stats.revision, 3);
    ck_assert_uint_eq(stats.puts, 2);
    ck_assert_uint_eq(stats.deletes, 1);
    ck_assert_uint_eq(stats.gets, 2);
    ck_assert_uint_eq(stats.gets_found, 1);
    ck_assert_uint_eq(stats.user_write_bytes, 6 + 2 + 1);
    ck_assert_uint_eq(stats.memtable_entries, 3);
    ck_assert_uint_eq(stats.wal_groups, 3);
    ck_assert_uint_eq(stats.wal_syncs, 1);
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    varve_stats_read(db, &stats);
    ck_assert_uint_eq(stats.memtable_entries, 0);
    ck_assert_uint_eq(stats.flushes, 1);
    ck_assert_uint_eq(stats.tables, 1);
    ck_assert_uint_eq(stats.table_bytes, stats.flush_bytes);
    varve_latency_read(db, VARVE_LATENCY_SYNC, &latency);
    ck_assert_uint_ge(latency.count, 1);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    crash_env_free(crash);
}
END_TEST

/* The disk is full while flushes run, then it is not: the store finds out by itself. */
START_TEST(a_store_with_threads_gets_over_a_shortage)
{
    struct crash_env *crash = crash_env_new(1);
    struct fault_env *fault = fault_env_new(crash_env_env(crash));
    struct varve_options options;
    struct varve_stats stats = {0};
    struct varve_db *db = NULL;
    rig_options(&options);
    ck_assert_int_eq(db_open(RIG_STORE, &options, fault_env_env(fault), false, &db, NULL),
                     VARVE_OK);
    const struct fault_rule rule = {.operations = FAULT_WRITE,
                                    .pattern = _i == 0   ? "*.sst"
                                               : _i == 1 ? "*.wal"
                                                         : "man*",
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_NO_SPACE};
    rig_put(db, "a", "1", VARVE_SYNC_ON);
    fault_env_set_rule(fault, &rule);
    enum varve_status status = varve_flush(db, true);
    if (_i == 1) /* a new segment cannot be made */
        ck_assert_int_eq(status, VARVE_NO_SPACE);
    varve_stats_read(db, &stats);
    ck_assert_int_ne(status, VARVE_OK);
    ck_assert_int_eq(stats.state, VARVE_STATE_NO_SPACE);
    ck_assert_int_ne(stats.state_reason[0], '\0');
    rig_expect(db, "a", "1");
    fault_env_set_rule(fault, NULL);
    /* Nobody writes; however long it takes, it is not for ever. */
    while (stats.state != VARVE_STATE_OK) {
        const struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
        varve_stats_read(db, &stats);
    }
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    rig_put(db, "b", "2", VARVE_SYNC_ON);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    db = rig_open(crash_env_env(crash), &options);
    rig_expect(db, "a", "1");
    rig_expect(db, "b", "2");
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    fault_env_free(fault);
    crash_env_free(crash);
}
END_TEST

#define DESCRIPTORS 80u
#define TABLES_LEAST DESCRIPTORS

/* A value to fill a table of the smallest size, or nearly. */
static void put_table(struct varve_db *db, unsigned i)
{
    static const char value[60000];
    char key[16];
    snprintf(key, sizeof key, "k%04u", i);
    ck_assert_int_eq(
        varve_put(db, varve_slice_str(key), varve_slice(value, sizeof value), VARVE_SYNC_OFF, NULL),
        VARVE_OK);
}

static void get_table(struct varve_db *db, unsigned i)
{
    char key[16];
    struct varve_value value = {0};
    snprintf(key, sizeof key, "k%04u", i);
    ck_assert_int_eq(varve_get(db, varve_slice_str(key), NULL, &value), VARVE_OK);
    ck_assert_uint_eq(value.data.size, 60000);
    varve_value_release(&value);
}

/* More tables than the process may have files: what is open leaves some to others. */
START_TEST(few_descriptors)
{
    struct tmpdir dir;
    struct rlimit before = {0};
    struct varve_options options;
    struct varve_db *db = NULL;
    struct varve_stats stats = {0};
    tmpdir_make(&dir);
    must(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const struct rlimit few = {.rlim_cur = DESCRIPTORS, .rlim_max = before.rlim_max};
    must(setrlimit(RLIMIT_NOFILE, &few) == 0);
    varve_options_init(&options);
    options.memtable_bytes = options.table_bytes = 64 << 10;
    options.block_cache_bytes = 1 << 20;
    ck_assert_int_eq(varve_open(tmpdir_path(&dir, "store"), &options, &db, NULL), VARVE_OK);
    for (unsigned i = 0; i < 2 * TABLES_LEAST; i++)
        put_table(db, i);
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
    for (unsigned i = 0; i < 2 * TABLES_LEAST; i++)
        get_table(db, i);
    varve_stats_read(db, &stats);
    ck_assert_uint_ge(stats.tables, TABLES_LEAST);
    ck_assert_uint_le(stats.tables_open, DESCRIPTORS / 4 * 3);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    must(setrlimit(RLIMIT_NOFILE, &before) == 0);
    tmpdir_remove(&dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-options");
    TCase *limits = tcase_create("limits");
    tcase_set_timeout(limits, 0);
    tcase_add_test(limits, sizes_of_keys_and_values);
    tcase_add_test(limits, batches_that_are_refused);
    tcase_add_test(limits, a_full_queue_is_busy);
    tcase_add_test(limits, a_closing_store_refuses_writes);
    tcase_add_test(limits, ways_to_open);
    tcase_add_test(limits, destroying_leaves_strangers);
    tcase_add_test(limits, options_out_of_bounds);
    tcase_add_test(limits, figures_are_plausible);
    tcase_add_test(limits, few_descriptors);
    tcase_add_loop_test(limits, a_store_with_threads_gets_over_a_shortage, 0, 3);
    suite_add_tcase(suite, limits);
    return run_suite(suite);
}
