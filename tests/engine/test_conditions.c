/*
 * Conditions: what they see, that nothing happens when one fails, and that they are atomic with the
 * commit: between members of one group, across flushes, and among threads.
 */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <varve/varve.h>

#include "crash_env.h"
#include "engine/db.h"
#include "must.h"
#include "run_suite.h"
#include "tmpdir.h"

#define THREADS 6
#define COUNTERS 3
#define INCREMENTS 400

static struct crash_env *crash;
static struct varve_db *db;
static struct varve_batch *batch;

static void store_open(void)
{
    struct varve_options options;
    varve_options_init(&options);
    options.memtable_bytes = 64 << 10;
    crash = crash_env_new(1);
    crash_env_set_wall_ms(crash, 1000000);
    must_ok(db_open("/store", &options, crash_env_env(crash), true, &db, NULL));
    must_ok(varve_batch_new(&batch));
}

static void store_close(void)
{
    varve_batch_free(batch);
    must_ok(varve_close(db));
    crash_env_free(crash);
}

static void check_add(const char *key, enum varve_check_kind kind, uint64_t revision)
{
    ck_assert_int_eq(varve_batch_check(batch, &(struct varve_check){.key = varve_slice_str(key),
                                                                    .kind = kind,
                                                                    .revisions = &revision,
                                                                    .revision_count = 1}),
                     VARVE_OK);
}

static enum varve_status put_if(const char *key, enum varve_check_kind kind, uint64_t revision,
                                uint64_t *ret_revision)
{
    varve_batch_clear(batch);
    check_add(key, kind, revision);
    ck_assert_int_eq(varve_batch_put(batch, varve_slice_str(key), varve_slice_str("v")), VARVE_OK);
    return varve_write(db, batch, VARVE_SYNC_OFF, ret_revision);
}

START_TEST(create_replace_and_delete)
{
    uint64_t first = 0, second = 0, current = 99;
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, &first), VARVE_OK);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, NULL), VARVE_CONFLICT);
    ck_assert(!varve_batch_check_held(batch, 0, &current));
    ck_assert_uint_eq(current, first);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, first, &second), VARVE_OK);
    ck_assert_uint_gt(second, first);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, first, NULL), VARVE_CONFLICT);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS_NOT, second, NULL), VARVE_CONFLICT);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS_NOT, 0, NULL), VARVE_OK);
    ck_assert_int_eq(put_if("absent", VARVE_CHECK_IS_NOT, 0, NULL), VARVE_CONFLICT);
    ck_assert(!varve_batch_check_held(batch, 0, &current));
    ck_assert_uint_eq(current, 0);
    ck_assert_int_eq(varve_delete(db, varve_slice_str("k"), VARVE_SYNC_OFF, NULL), VARVE_OK);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, NULL), VARVE_OK);
}
END_TEST

START_TEST(a_list_holds_with_any_of_its_revisions)
{
    uint64_t revision = 0;
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, &revision), VARVE_OK);
    const uint64_t list[] = {revision + 7, revision, 0};
    varve_batch_clear(batch);
    const struct varve_check check = {.key = varve_slice_str("k"),
                                      .kind = VARVE_CHECK_IS,
                                      .revisions = list,
                                      .revision_count = 3};
    ck_assert_int_eq(varve_batch_check(batch, &check), VARVE_OK);
    ck_assert_int_eq(varve_batch_delete(batch, varve_slice_str("k")), VARVE_OK);
    ck_assert_int_eq(varve_write(db, batch, VARVE_SYNC_OFF, NULL), VARVE_OK);
}
END_TEST

START_TEST(nothing_of_a_refused_batch_happens)
{
    struct varve_value value = {0};
    uint64_t revision = 0, after = 0;
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, &revision), VARVE_OK);
    varve_batch_clear(batch);
    check_add("k", VARVE_CHECK_IS, revision);
    check_add("other", VARVE_CHECK_IS, 5);
    ck_assert_int_eq(varve_batch_put(batch, varve_slice_str("x"), varve_slice_str("1")), VARVE_OK);
    ck_assert_int_eq(varve_batch_delete(batch, varve_slice_str("k")), VARVE_OK);
    ck_assert_int_eq(varve_write(db, batch, VARVE_SYNC_ON, NULL), VARVE_CONFLICT);
    ck_assert(varve_batch_check_held(batch, 0, &after));
    ck_assert(!varve_batch_check_held(batch, 1, &after));
    ck_assert_int_eq(varve_get(db, varve_slice_str("x"), NULL, &value), VARVE_NOT_FOUND);
    ck_assert_int_eq(varve_get(db, varve_slice_str("k"), NULL, &value), VARVE_OK);
    varve_value_release(&value);
    ck_assert_int_eq(
        varve_put(db, varve_slice_str("y"), varve_slice_str(""), VARVE_SYNC_OFF, &after), VARVE_OK);
    ck_assert_uint_eq(after, revision + 1); /* a refused batch takes no sequence */
}
END_TEST

START_TEST(conditions_see_through_flush_merge_and_reopening)
{
    struct varve_options options;
    uint64_t revision = 0;
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, &revision), VARVE_OK);
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, revision, &revision), VARVE_OK);
    ck_assert_int_eq(varve_compact(db, true), VARVE_OK);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, revision - 1, NULL), VARVE_CONFLICT);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    varve_options_init(&options);
    ck_assert_int_eq(db_open("/store", &options, crash_env_env(crash), true, &db, NULL), VARVE_OK);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, NULL), VARVE_CONFLICT);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, revision, NULL), VARVE_OK);
}
END_TEST

START_TEST(an_expired_key_is_absent)
{
    uint64_t revision = 0;
    ck_assert_int_eq(
        varve_batch_put_expiring(batch, varve_slice_str("k"), varve_slice_str("v"), 1010),
        VARVE_OK);
    ck_assert_int_eq(varve_write(db, batch, VARVE_SYNC_OFF, &revision), VARVE_OK);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, NULL), VARVE_CONFLICT);
    crash_env_set_wall_ms(crash, 1010000);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, revision, NULL), VARVE_CONFLICT);
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, NULL), VARVE_OK);
}
END_TEST

START_TEST(without_operations_they_are_judged_and_nothing_is_committed)
{
    uint64_t revision = 0, judged = 0;
    ck_assert_int_eq(put_if("k", VARVE_CHECK_IS, 0, &revision), VARVE_OK);
    varve_batch_clear(batch);
    check_add("k", VARVE_CHECK_IS, revision);
    ck_assert_int_eq(varve_write(db, batch, VARVE_SYNC_OFF, &judged), VARVE_OK);
    ck_assert_uint_eq(judged, revision);
    check_add("k", VARVE_CHECK_IS, revision + 1);
    ck_assert_int_eq(varve_write(db, batch, VARVE_SYNC_OFF, NULL), VARVE_CONFLICT);
}
END_TEST

/* Members of one group: taken while the leader is held up by nothing but wal.lock. */
struct racer {
    pthread_t thread;
    enum varve_status status;
};

static void *race(void *context)
{
    struct racer *racer = context;
    struct varve_batch *own = NULL;
    uint64_t zero = 0;
    must_ok(varve_batch_new(&own));
    must_ok(varve_batch_check(own, &(struct varve_check){.key = varve_slice_str("prize"),
                                                         .kind = VARVE_CHECK_IS,
                                                         .revisions = &zero,
                                                         .revision_count = 1}));
    must_ok(varve_batch_put(own, varve_slice_str("prize"), varve_slice_str("mine")));
    racer->status = varve_write(db, own, VARVE_SYNC_OFF, NULL);
    varve_batch_free(own);
    return NULL;
}

static struct tmpdir dir;

static void real_open(size_t memtable_entries)
{
    struct varve_options options;
    varve_options_init(&options);
    options.memtable_entries = memtable_entries;
    tmpdir_make(&dir);
    must_ok(varve_open(tmpdir_path(&dir, "store"), &options, &db, NULL));
}

static void real_close(void)
{
    must_ok(varve_close(db));
    tmpdir_remove(&dir);
}

START_TEST(of_many_in_one_group_one_wins)
{
    struct racer racers[THREADS] = {{0}};
    int winners = 0;
    real_open(1000);
    mutex_lock(&db->wal.lock); /* all of them queue meanwhile */
    for (int i = 0; i < THREADS; i++)
        must(pthread_create(&racers[i].thread, NULL, race, &racers[i]) == 0);
    mutex_unlock(&db->wal.lock);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        ck_assert(racers[i].status == VARVE_OK || racers[i].status == VARVE_CONFLICT);
        winners += racers[i].status == VARVE_OK;
    }
    ck_assert_int_eq(winners, 1);
    real_close();
}
END_TEST

static uint64_t counter_read(struct varve_slice key, uint64_t *ret_number)
{
    struct varve_value value = {0};
    enum varve_status status = varve_get(db, key, NULL, &value);
    *ret_number = 0;
    if (status == VARVE_NOT_FOUND)
        return 0;
    must_ok(status);
    memcpy(ret_number, value.data.data, sizeof *ret_number);
    uint64_t revision = value.revision;
    varve_value_release(&value);
    return revision;
}

static void *increment(void *context)
{
    const unsigned *seed = context;
    struct varve_batch *own = NULL;
    must_ok(varve_batch_new(&own));
    for (unsigned done = 0; done < INCREMENTS;) {
        char name = (char)('a' + (done + *seed) % COUNTERS);
        struct varve_slice key = varve_slice(&name, 1);
        uint64_t number = 0, revision = counter_read(key, &number);
        number++;
        varve_batch_clear(own);
        must_ok(varve_batch_check(own, &(struct varve_check){.key = key,
                                                             .kind = VARVE_CHECK_IS,
                                                             .revisions = &revision,
                                                             .revision_count = 1}));
        must_ok(varve_batch_put(own, key, varve_slice(&number, sizeof number)));
        enum varve_status status = varve_write(db, own, VARVE_SYNC_OFF, NULL);
        must(status == VARVE_OK || status == VARVE_CONFLICT);
        done += status == VARVE_OK;
    }
    varve_batch_free(own);
    return NULL;
}

static void *flush_often(void *context)
{
    const _Atomic bool *stop = context;
    while (!atomic_load(stop))
        must_ok(varve_flush(db, true));
    return NULL;
}

START_TEST(increments_by_compare_and_set_are_exact)
{
    pthread_t threads[THREADS], flusher;
    unsigned seeds[THREADS];
    _Atomic bool stop = false;
    uint64_t sum = 0;
    real_open(1000);
    must(pthread_create(&flusher, NULL, flush_often, &stop) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i;
        must(pthread_create(&threads[i], NULL, increment, &seeds[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    pthread_join(flusher, NULL);
    for (char name = 'a'; name < 'a' + COUNTERS; name++) {
        uint64_t number = 0;
        (void)counter_read(varve_slice(&name, 1), &number);
        sum += number;
    }
    ck_assert_uint_eq(sum, (uint64_t)THREADS * INCREMENTS);
    real_close();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conditions");
    TCase *alone = tcase_create("alone");
    tcase_add_checked_fixture(alone, store_open, store_close);
    tcase_add_test(alone, create_replace_and_delete);
    tcase_add_test(alone, a_list_holds_with_any_of_its_revisions);
    tcase_add_test(alone, nothing_of_a_refused_batch_happens);
    tcase_add_test(alone, conditions_see_through_flush_merge_and_reopening);
    tcase_add_test(alone, an_expired_key_is_absent);
    tcase_add_test(alone, without_operations_they_are_judged_and_nothing_is_committed);
    suite_add_tcase(suite, alone);
    TCase *together = tcase_create("together");
    tcase_set_timeout(together, 0);
    tcase_add_test(together, of_many_in_one_group_one_wins);
    tcase_add_test(together, increments_by_compare_and_set_are_exact);
    suite_add_tcase(suite, together);
    return run_suite(suite);
}
