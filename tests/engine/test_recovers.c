/*
 * A store that ran out of space, while its clients never pause: once there is space again it takes
 * writes again, and the tries in between leave no files behind.
 */
#include <check.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <varve/varve.h>

#include "engine/db.h"
#include "fault_env.h"
#include "must.h"
#include "os/sync.h"
#include "run_suite.h"
#include "tmpdir.h"

#define WRITES_UNDER_FAULT 300
#define WRITES_UNTIL_WELL_MAX 6000 /* 2 ms apart: a bound, not an expectation */
#define TRIES_UNTIL_TIDY_MAX 10000

struct rig {
    struct tmpdir dir;
    struct fault_env *fault;
    struct varve_db *db;
    struct varve_batch *batch;
    struct varve_write_receiver receiver;
    _Atomic int delivered;
    unsigned next_key;
};

static void deliver(struct varve_write_receiver *receiver, struct varve_write_request *list)
{
    struct rig *rig = (struct rig *)(void *)((char *)receiver - offsetof(struct rig, receiver));
    must(list->next == NULL);
    atomic_store(&rig->delivered, 1);
}

static void rig_init(struct rig *rig)
{
    struct varve_options options;
    varve_options_init(&options);
    options.memtable_bytes = 64 << 10;
    options.memtables_max = 2;
    *rig = (struct rig){.receiver.deliver = deliver};
    tmpdir_make(&rig->dir);
    rig->fault = fault_env_new(env_posix());
    must_ok(varve_batch_new(&rig->batch));
    must_ok(db_open(tmpdir_path(&rig->dir, "store"), &options, fault_env_env(rig->fault), false,
                    &rig->db, NULL));
}

static void rig_deinit(struct rig *rig)
{
    ck_assert_int_eq(varve_close(rig->db), VARVE_OK);
    varve_batch_free(rig->batch);
    fault_env_free(rig->fault);
    tmpdir_remove(&rig->dir);
}

/* One write as an event loop makes them. */
static enum varve_status put(struct rig *rig)
{
    static const char value[1000];
    char key[32];
    struct varve_write_request request = {.batch = rig->batch, .receiver = &rig->receiver};

    snprintf(key, sizeof key, "k%08u", rig->next_key++);
    varve_batch_clear(rig->batch);
    must_ok(varve_batch_put(rig->batch, varve_slice_str(key), varve_slice(value, sizeof value)));
    request.sync = VARVE_SYNC_OFF;
    atomic_store(&rig->delivered, 0);
    enum varve_status status = varve_write_async(rig->db, &request);
    if (status != VARVE_OK)
        return status;
    while (!atomic_load(&rig->delivered))
        sleep_us(20);
    return request.status;
}

static size_t files_count(const struct rig *rig, const char *part)
{
    size_t count = 0;
    DIR *dir = opendir(tmpdir_path(&rig->dir, "store"));
    must(dir != NULL);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += strstr(entry->d_name, part) != NULL;
    closedir(dir);
    return count;
}

static void fill_under(struct rig *rig, const struct fault_rule *rule, enum varve_status expected)
{
    size_t refused = 0;
    fault_env_set_rule(rig->fault, rule);
    for (unsigned i = 0; i < WRITES_UNDER_FAULT; i++) {
        enum varve_status status = put(rig);
        ck_assert_msg(status == VARVE_OK || status == expected, "%s", varve_status_name(status));
        refused += status == expected;
    }
    ck_assert_uint_gt(refused, 0);
    fault_env_set_rule(rig->fault, NULL);
}

/* A failed try stands in the way of whoever would have to wait until the next one has been noted
 * as a success, so each of the three may be refused once more after another was not. */
static enum varve_status try_all(struct rig *rig)
{
    enum varve_status status = put(rig);
    if (status == VARVE_OK)
        status = varve_flush(rig->db, true);
    if (status == VARVE_OK)
        status = varve_compact(rig->db, true);
    ck_assert_msg(status == VARVE_OK || status == VARVE_NO_SPACE, "%s", varve_status_name(status));
    return status;
}

static void write_until_well(struct rig *rig)
{
    unsigned tries = 0;
    while (try_all(rig) != VARVE_OK) {
        ck_assert_uint_lt(++tries, WRITES_UNTIL_WELL_MAX);
        sleep_us(2000);
    }
}

/* What a merge has replaced is removed by a job of its own, a moment later. */
static void expect_tidy(struct rig *rig)
{
    struct varve_stats stats = {0};
    varve_stats_read(rig->db, &stats);
    for (unsigned tries = 0; files_count(rig, ".sst") != stats.tables; tries++) {
        ck_assert_uint_lt(tries, TRIES_UNTIL_TIDY_MAX);
        sleep_us(2000);
    }
    ck_assert_uint_eq(files_count(rig, "manifest-"), 1);
}

START_TEST(flushes_find_space_again)
{
    struct rig rig;
    const struct fault_rule rule = {.operations = FAULT_OPEN,
                                    .pattern = "*.sst",
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_NO_SPACE};
    rig_init(&rig);
    fill_under(&rig, &rule, VARVE_NO_SPACE);
    write_until_well(&rig);
    expect_tidy(&rig);
    rig_deinit(&rig);
}
END_TEST

START_TEST(the_manifest_finds_space_again)
{
    struct rig rig;
    const struct fault_rule rule = {.operations = FAULT_WRITE,
                                    .pattern = "manifest-*",
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_NO_SPACE};
    rig_init(&rig);
    fill_under(&rig, &rule, VARVE_NO_SPACE);
    write_until_well(&rig);
    expect_tidy(&rig);
    rig_deinit(&rig);
}
END_TEST

START_TEST(a_read_only_store_says_so_to_a_merge)
{
    struct rig rig;
    const struct fault_rule rule = {
        .operations = FAULT_SYNC, .pattern = "*.wal", .at = 1, .status = VARVE_IO};
    rig_init(&rig);
    ck_assert_int_eq(put(&rig), VARVE_OK);
    ck_assert_int_eq(varve_flush(rig.db, true), VARVE_OK);
    fault_env_set_rule(rig.fault, &rule);
    ck_assert_int_eq(
        varve_put(rig.db, varve_slice_str("k"), varve_slice_str("v"), VARVE_SYNC_ON, NULL),
        VARVE_OUTCOME_UNKNOWN);
    ck_assert_int_eq(varve_compact(rig.db, true), VARVE_READ_ONLY);
    ck_assert_int_eq(varve_close(rig.db), VARVE_READ_ONLY);
    varve_batch_free(rig.batch);
    fault_env_free(rig.fault);
    tmpdir_remove(&rig.dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recovers");
    TCase *space = tcase_create("space");
    tcase_set_timeout(space, 0);
    tcase_add_test(space, flushes_find_space_again);
    tcase_add_test(space, the_manifest_finds_space_again);
    tcase_add_test(space, a_read_only_store_says_so_to_a_merge);
    suite_add_tcase(suite, space);
    return run_suite(suite);
}
