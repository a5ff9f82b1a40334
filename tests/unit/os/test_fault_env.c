/* The fault env fails the calls that its rule chooses, and only those. */
#include <check.h>
#include <string.h>

#include "base/buf.h"
#include "crash_env.h"
#include "fault_env.h"
#include "must.h"
#include "run_suite.h"

static struct crash_env *crash;
static struct fault_env *fault;
static struct env *env;

static void setup(void)
{
    crash = crash_env_new(1);
    fault = fault_env_new(crash_env_env(crash));
    env = fault_env_env(fault);
}

static void teardown(void)
{
    fault_env_free(fault);
    crash_env_free(crash);
}

static struct env_file *create(const char *path)
{
    struct env_file *file = NULL;
    must_ok(env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file));
    return file;
}

START_TEST(kth_call_fails_once)
{
    struct env_file *file = create("/a.wal");
    struct fault_rule rule = {.operations = FAULT_SYNC, .at = 2, .status = VARVE_IO};
    fault_env_set_rule(fault, &rule);
    ck_assert_int_eq(env_file_sync(file), VARVE_OK);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("x", 1)), VARVE_OK);
    ck_assert_int_eq(env_file_sync(file), VARVE_IO);
    ck_assert_int_eq(env_file_sync(file), VARVE_OK);
    ck_assert_uint_eq(fault_env_matched(fault), 3);
    ck_assert_uint_eq(fault_env_chosen(fault), 1);
    ck_assert_uint_eq(fault_env_calls(fault, FAULT_SYNC), 3);
    ck_assert_uint_eq(fault_env_calls(fault, FAULT_SYNC | FAULT_WRITE | FAULT_OPEN), 5);
    must_ok(env_file_close(file));
}
END_TEST

START_TEST(calls_fail_for_good)
{
    struct env_file *file = create("/a.wal");
    struct fault_rule rule = {
        .operations = FAULT_WRITE, .at = 2, .for_good = true, .status = VARVE_NO_SPACE};
    fault_env_set_rule(fault, &rule);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("x", 1)), VARVE_OK);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("x", 1)), VARVE_NO_SPACE);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("x", 1)), VARVE_NO_SPACE);
    fault_env_set_rule(fault, NULL);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("x", 1)), VARVE_OK);
    must_ok(env_file_close(file));
}
END_TEST

START_TEST(pattern_is_for_the_last_part)
{
    must_ok(env_make_dir(env, "/d.wal"));
    struct env_file *wal = create("/d.wal/1.wal");
    struct env_file *table = create("/d.wal/2.sst");
    struct fault_rule rule = {
        .operations = FAULT_ANY, .pattern = "*.wal", .at = 1, .for_good = true, .status = VARVE_IO};
    fault_env_set_rule(fault, &rule);
    ck_assert_int_eq(env_file_write(table, 0, varve_slice("x", 1)), VARVE_OK);
    ck_assert_int_eq(env_file_write(wal, 0, varve_slice("x", 1)), VARVE_IO);
    ck_assert_int_eq(env_rename(env, "/d.wal/1.wal", "/d.wal/x"), VARVE_IO);
    ck_assert_int_eq(env_rename(env, "/d.wal/2.sst", "/d.wal/3.wal"), VARVE_IO);
    ck_assert_int_eq(env_rename(env, "/d.wal/2.sst", "/d.wal/x"), VARVE_OK);
    ck_assert_int_eq(env_file_close(wal), VARVE_IO);
    ck_assert_int_eq(env_file_close(table), VARVE_OK);
    ck_assert_uint_eq(fault_env_handles(fault), 0);
    ck_assert_uint_eq(crash_env_handles(crash), 0);
}
END_TEST

/* Every kind of call can be failed, and a failed one never reaches the base. */
START_TEST(every_kind_of_call_can_fail)
{
    struct env_file *file = create("/a"), *other = NULL;
    struct env_lock *lock = NULL;
    struct env_file_info info = {0};
    uint64_t number = 0;
    uint8_t byte = 0;
    size_t size = 0;
    uint64_t done = crash_env_operations(crash);
    struct fault_rule rule = {
        .operations = FAULT_ANY, .at = 1, .for_good = true, .status = VARVE_NO_FILES};
    fault_env_set_rule(fault, &rule);
    ck_assert_int_eq(env_open(env, "/b", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &other), VARVE_NO_FILES);
    ck_assert_int_eq(env_file_read(file, 0, &byte, 1, &size), VARVE_NO_FILES);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("xy", 2)), VARVE_NO_FILES);
    ck_assert_int_eq(env_file_sync(file), VARVE_NO_FILES);
    ck_assert_int_eq(env_file_size(file, &number), VARVE_NO_FILES);
    ck_assert_int_eq(env_file_truncate(file, 1), VARVE_NO_FILES);
    ck_assert_int_eq(env_list(env, "/", NULL, NULL), VARVE_NO_FILES);
    ck_assert_int_eq(env_make_dir(env, "/d"), VARVE_NO_FILES);
    ck_assert_int_eq(env_remove_dir(env, "/d"), VARVE_NO_FILES);
    ck_assert_int_eq(env_sync_dir(env, "/"), VARVE_NO_FILES);
    ck_assert_int_eq(env_rename(env, "/a", "/b"), VARVE_NO_FILES);
    ck_assert_int_eq(env_remove(env, "/a"), VARVE_NO_FILES);
    ck_assert_int_eq(env_link(env, "/a", "/b"), VARVE_NO_FILES);
    ck_assert_int_eq(env_info(env, "/a", &info), VARVE_NO_FILES);
    ck_assert_int_eq(env_space(env, "/", &number, &number), VARVE_NO_FILES);
    ck_assert_int_eq(env_lock_file(env, "/L", &lock), VARVE_NO_FILES);
    ck_assert_int_eq(env_random(env, &byte, 1), VARVE_NO_FILES);
    ck_assert_uint_eq(fault_env_chosen(fault), FAULT_KINDS - 1);
    ck_assert_uint_eq(crash_env_operations(crash), done);
    ck_assert_int_eq(env_file_close(file), VARVE_NO_FILES);
    ck_assert_uint_eq(fault_env_chosen(fault), FAULT_KINDS);
}
END_TEST

START_TEST(short_write_leaves_half)
{
    struct env_file *file = create("/a");
    struct fault_rule rule = {
        .operations = FAULT_WRITE, .at = 1, .status = VARVE_NO_SPACE, .short_write = true};
    fault_env_set_rule(fault, &rule);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("abcdef", 6)), VARVE_NO_SPACE);
    uint64_t bytes = 0;
    ck_assert_int_eq(env_file_size(file, &bytes), VARVE_OK);
    ck_assert_uint_eq(bytes, 3);
    must_ok(env_file_close(file));
}
END_TEST

static void count_up(void *context)
{
    (*(int *)context)++;
}

START_TEST(hook_runs_before_the_call)
{
    int runs = 0;
    struct env_file *file = create("/a");
    struct fault_rule rule = {
        .operations = FAULT_SYNC, .at = 2, .for_good = true, .hook = count_up, .context = &runs};
    fault_env_set_rule(fault, &rule);
    uint64_t done = crash_env_operations(crash);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(env_file_sync(file), VARVE_OK);
    ck_assert_int_eq(runs, 2);
    ck_assert_uint_eq(crash_env_operations(crash), done + 3);
    must_ok(env_file_close(file));
}
END_TEST

START_TEST(wall_clock_can_be_moved)
{
    crash_env_set_wall_ms(crash, 10000);
    fault_env_set_wall_offset_ms(fault, -4000);
    ck_assert_uint_eq(env_wall_ms(env), 6000);
    fault_env_set_wall_offset_ms(fault, 4000);
    ck_assert_uint_eq(env_wall_ms(env), 14000);
}
END_TEST

START_TEST(handles_are_counted)
{
    struct env_file *file = create("/a");
    struct env_lock *lock = NULL;
    ck_assert_int_eq(env_lock_file(env, "/L", &lock), VARVE_OK);
    ck_assert_uint_eq(fault_env_handles(fault), 2);
    must_ok(env_file_close(file));
    env_unlock_file(env, lock);
    ck_assert_uint_eq(fault_env_handles(fault), 0);
}
END_TEST

static Suite *fault_env_suite(void)
{
    Suite *suite = suite_create("fault_env");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, kth_call_fails_once);
    tcase_add_test(tcase, calls_fail_for_good);
    tcase_add_test(tcase, pattern_is_for_the_last_part);
    tcase_add_test(tcase, every_kind_of_call_can_fail);
    tcase_add_test(tcase, short_write_leaves_half);
    tcase_add_test(tcase, hook_runs_before_the_call);
    tcase_add_test(tcase, wall_clock_can_be_moved);
    tcase_add_test(tcase, handles_are_counted);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(fault_env_suite());
}
