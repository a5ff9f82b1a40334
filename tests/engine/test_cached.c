/*
 * Reads that must not wait for the disk: answered from memtables, block cache and page cache; else
 * told so, and nothing is read.
 */
#include <check.h>
#include <stdio.h>

#include <varve/varve.h>

#include "crash_env.h"
#include "fault_env.h"
#include "run_suite.h"
#include "store_rig.h"

static struct crash_env *crash;
static struct fault_env *fault;
static struct varve_db *db;

static void store_open(void)
{
    crash = crash_env_new(3);
    fault = fault_env_new(crash_env_env(crash));
    db = rig_open(fault_env_env(fault), NULL);
}

static void store_close(void)
{
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    fault_env_free(fault);
    crash_env_free(crash);
}

static enum varve_status cached(const char *key)
{
    struct varve_value value = {0};
    enum varve_status status = varve_get_cached(db, varve_slice_str(key), NULL, &value);
    if (status == VARVE_OK)
        ck_assert(varve_slice_compare(value.data, varve_slice_str("v")) == 0);
    varve_value_release(&value);
    return status;
}

/* "k" and a neighbour, in one table. */
static void put_and_flush(void)
{
    rig_put(db, "k", "v", VARVE_SYNC_OFF);
    rig_put(db, "m", "v", VARVE_SYNC_OFF);
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
}

/* From now on nothing is in the page cache, or everything. */
static void page_cache_set(bool cold)
{
    static const struct fault_rule rule = {
        .operations = FAULT_READ_CACHED, .at = 1, .for_good = true, .status = VARVE_WOULD_BLOCK};
    fault_env_set_rule(fault, cold ? &rule : NULL);
}

START_TEST(memtables_never_wait)
{
    page_cache_set(true);
    rig_put(db, "k", "v", VARVE_SYNC_OFF);
    ck_assert_int_eq(cached("k"), VARVE_OK);
    ck_assert_int_eq(cached("absent"), VARVE_NOT_FOUND);
    ck_assert_int_eq(varve_delete(db, varve_slice_str("k"), VARVE_SYNC_OFF, NULL), VARVE_OK);
    ck_assert_int_eq(cached("k"), VARVE_NOT_FOUND);
}
END_TEST

START_TEST(a_cold_block_is_not_read)
{
    put_and_flush();
    page_cache_set(true);
    ck_assert_int_eq(cached("k"), VARVE_WOULD_BLOCK); /* the table is not even open */
    rig_expect(db, "l", NULL);                        /* opens it; its filter says no */
    uint64_t reads = fault_env_calls(fault, FAULT_READ);
    ck_assert_int_eq(cached("k"), VARVE_WOULD_BLOCK);
    ck_assert_uint_eq(fault_env_calls(fault, FAULT_READ), reads);
    rig_expect(db, "k", "v"); /* waits, and leaves the block in the cache */
    ck_assert_int_eq(cached("k"), VARVE_OK);
}
END_TEST

START_TEST(a_block_of_the_page_cache_is_read)
{
    put_and_flush();
    rig_expect(db, "l", NULL);
    page_cache_set(false);
    ck_assert_int_eq(cached("k"), VARVE_OK);
}
END_TEST

START_TEST(a_get_that_would_wait_is_not_counted)
{
    struct varve_stats stats = {0};
    put_and_flush();
    page_cache_set(true);
    ck_assert_int_eq(cached("k"), VARVE_WOULD_BLOCK);
    varve_stats_read(db, &stats);
    ck_assert_uint_eq(stats.gets, 0);
}
END_TEST

static struct varve_write_request *delivered;

static void deliver(struct varve_write_receiver *receiver, struct varve_write_request *list)
{
    delivered = list;
}

/* Queued as a list, a write does not wait for the disk; alone it does. */
START_TEST(a_condition_that_would_wait_comes_back_undone)
{
    static const uint64_t first = 1;
    struct varve_check check = {varve_slice_str("k"), VARVE_CHECK_IS, &first, 1};
    struct varve_write_receiver receiver = {.deliver = deliver};
    struct varve_write_request request = {.receiver = &receiver};

    put_and_flush();
    page_cache_set(true);
    ck_assert_int_eq(varve_batch_new(&request.batch), VARVE_OK);
    ck_assert_int_eq(varve_batch_check(request.batch, &check), VARVE_OK);
    ck_assert_int_eq(varve_batch_delete(request.batch, check.key), VARVE_OK);
    varve_write_async_list(db, &request);
    ck_assert_ptr_eq(delivered, &request);
    ck_assert_int_eq(request.status, VARVE_WOULD_BLOCK);

    delivered = NULL;
    ck_assert_int_eq(varve_write_async(db, &request), VARVE_OK);
    ck_assert_ptr_eq(delivered, &request);
    ck_assert_int_eq(request.status, VARVE_OK);
    rig_expect(db, "k", NULL);
    varve_batch_free(request.batch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cached");
    TCase *reads = tcase_create("reads");
    tcase_add_checked_fixture(reads, store_open, store_close);
    tcase_add_test(reads, memtables_never_wait);
    tcase_add_test(reads, a_cold_block_is_not_read);
    tcase_add_test(reads, a_block_of_the_page_cache_is_read);
    tcase_add_test(reads, a_get_that_would_wait_is_not_counted);
    tcase_add_test(reads, a_condition_that_would_wait_comes_back_undone);
    suite_add_tcase(suite, reads);
    return run_suite(suite);
}
