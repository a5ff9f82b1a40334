/* The crash env is a file system like any, until the power goes; and what else it offers. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "crash_env.h"
#include "crash_scene.h"
#include "must.h"
#include "run_suite.h"
#include "tmpdir.h"

START_TEST(files_work_as_files)
{
    struct env_file *file = create("/d/a");
    write_fill(file, 10, 'x', 1000);
    uint8_t bytes[2000];
    size_t size = 0;
    ck_assert_int_eq(env_file_read(file, 0, bytes, sizeof bytes, &size), VARVE_OK);
    ck_assert_uint_eq(size, 1010);
    ck_assert(is_filled(bytes, 0, 10) && is_filled(bytes + 10, 'x', 1000));
    ck_assert_int_eq(env_file_read(file, 2000, bytes, sizeof bytes, &size), VARVE_OK);
    ck_assert_uint_eq(size, 0);
    ck_assert_int_eq(env_file_truncate(file, 20), VARVE_OK);
    ck_assert_int_eq(env_file_truncate(file, 30), VARVE_OK);
    ck_assert_int_eq(env_file_read(file, 0, bytes, sizeof bytes, &size), VARVE_OK);
    ck_assert_uint_eq(size, 30);
    ck_assert(is_filled(bytes + 10, 'x', 10) && is_filled(bytes + 20, 0, 10));
    ck_assert_uint_eq(crash_env_handles(crash), 1);
    ck_assert_int_eq(env_file_close(file), VARVE_OK);
    ck_assert_uint_eq(crash_env_handles(crash), 0);
}
END_TEST

START_TEST(names_work_as_names)
{
    struct env_file *file = NULL;
    struct env_file_info info = {0};
    ck_assert_int_eq(env_open(env, "/d/a", ENV_OPEN_READ, &file), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_open(env, "/e/a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file),
                     VARVE_NOT_FOUND);
    make_durable("/d/a", 'a', 5);
    ck_assert_int_eq(env_open(env, "/d/a", ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &file),
                     VARVE_EXISTS);
    ck_assert_int_eq(env_link(env, "/d/a", "/d/b"), VARVE_OK);
    ck_assert_int_eq(env_link(env, "/d/a", "/d/b"), VARVE_EXISTS);
    ck_assert_int_eq(env_info(env, "d//b", &info), VARVE_OK);
    ck_assert_uint_eq(info.link_count, 2);
    ck_assert_uint_eq(info.size_bytes, 5);
    ck_assert_int_eq(env_remove_dir(env, "/d"), VARVE_EXISTS);
    ck_assert_int_eq(env_rename(env, "/d/b", "/c"), VARVE_OK);
    ck_assert_int_eq(env_remove(env, "/d/a"), VARVE_OK);
    ck_assert_int_eq(env_remove(env, "/d/a"), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_remove_dir(env, "/d"), VARVE_OK);
    ck_assert_int_eq(env_info(env, "/c", &info), VARVE_OK);
    ck_assert_uint_eq(info.link_count, 1);
    ck_assert_int_eq(env_info(env, "/", &info), VARVE_OK);
    ck_assert(info.is_directory);
}
END_TEST

START_TEST(power_goes_after_operation_k)
{
    make_durable("/d/a", 'a', SECTOR);
    struct env_file *file = create("/d/a");
    uint64_t done = crash_env_operations(crash);
    crash_env_set_cut_after(crash, done + 1);
    write_fill(file, 0, 'b', SECTOR);
    ck_assert_uint_eq(crash_env_operations(crash), done + 1);
    ck_assert(!crash_env_is_cut(crash));
    ck_assert_int_eq(env_file_sync(file), VARVE_IO);
    ck_assert(crash_env_is_cut(crash));
    ck_assert_uint_eq(crash_env_operations(crash), done + 1);
    uint8_t byte = 0;
    size_t size = 0;
    ck_assert_int_eq(env_file_read(file, 0, &byte, 1, &size), VARVE_IO);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("c", 1)), VARVE_IO);
    ck_assert_int_eq(env_remove(env, "/d/a"), VARVE_IO);
    ck_assert_int_eq(env_make_dir(env, "/f"), VARVE_IO);
    struct env_lock *lock = NULL;
    ck_assert_int_eq(env_lock_file(env, "/d/LOCK", &lock), VARVE_IO);
    ck_assert_int_eq(env_file_close(file), VARVE_IO);

    struct buf content = {0};
    struct crash_env *image = crash_env_cut(crash, 0, CRASH_CUT_NONE);
    ck_assert(image_read(image, "/d/a", &content));
    ck_assert(is_filled(content.data, 'a', SECTOR));
    crash_env_free(image);
    image = crash_env_cut(crash, 0, CRASH_CUT_ALL);
    ck_assert(image_read(image, "/d/a", &content));
    ck_assert(is_filled(content.data, 'b', SECTOR));
    ck_assert_uint_eq(crash_env_operations(image), 0);
    crash_env_free(image);
    buf_deinit(&content);

    crash_env_set_cut_after(crash, CRASH_NEVER);
    ck_assert_int_eq(env_remove(env, "/d/a"), VARVE_OK);
}
END_TEST

START_TEST(nothing_works_without_power)
{
    struct env_file *file = create("/d/a"), *other = NULL;
    struct env_file_info info = {0};
    uint64_t number = 0;
    crash_env_set_cut_after(crash, 0);
    ck_assert_int_eq(env_file_truncate(file, 10), VARVE_IO);
    ck_assert_int_eq(env_file_truncate(file, 20), VARVE_IO);
    ck_assert_int_eq(env_file_sync(file), VARVE_IO);
    ck_assert_int_eq(env_file_size(file, &number), VARVE_IO);
    ck_assert_int_eq(env_open(env, "/d/a", ENV_OPEN_READ, &other), VARVE_IO);
    ck_assert_int_eq(env_list(env, "/d", NULL, NULL), VARVE_IO);
    ck_assert_int_eq(env_make_dir(env, "/e"), VARVE_IO);
    ck_assert_int_eq(env_remove_dir(env, "/d"), VARVE_IO);
    ck_assert_int_eq(env_sync_dir(env, "/d"), VARVE_IO);
    ck_assert_int_eq(env_rename(env, "/d/a", "/d/b"), VARVE_IO);
    ck_assert_int_eq(env_link(env, "/d/a", "/d/b"), VARVE_IO);
    ck_assert_int_eq(env_remove(env, "/d/a"), VARVE_IO);
    ck_assert_int_eq(env_info(env, "/d/a", &info), VARVE_IO);
    ck_assert_int_eq(env_space(env, "/", &number, &number), VARVE_IO);
    crash_env_set_cut_after(crash, CRASH_NEVER);
    ck_assert_int_eq(env_info(env, "/d/a", &info), VARVE_OK);
    ck_assert_uint_eq(info.size_bytes, 10); /* from the call in flight, none after it */
    ck_assert_int_eq(env_space(env, "/", &number, &number), VARVE_OK);
    must_ok(env_file_close(file));
}
END_TEST

START_TEST(truncating_open_is_an_operation)
{
    make_durable("/d/a", 'a', 10);
    uint64_t done = crash_env_operations(crash);
    struct env_file *file = NULL;
    ck_assert_int_eq(env_open(env, "/d/a", ENV_OPEN_WRITE | ENV_OPEN_TRUNCATE, &file), VARVE_OK);
    must_ok(env_file_close(file));
    ck_assert_uint_eq(crash_env_operations(crash), done + 1);
    struct buf content = {0};
    struct crash_env *image = crash_env_cut(crash, 0, CRASH_CUT_NONE);
    ck_assert(image_read(image, "/d/a", &content) && content.size == 10);
    crash_env_free(image);
    image = crash_env_cut(crash, 0, CRASH_CUT_ALL);
    ck_assert(image_read(image, "/d/a", &content) && content.size == 0);
    crash_env_free(image);
    buf_deinit(&content);
}
END_TEST

START_TEST(refused_operations_do_not_count)
{
    uint64_t done = crash_env_operations(crash);
    struct env_file *file = NULL;
    ck_assert_int_eq(env_open(env, "/d/a", ENV_OPEN_WRITE, &file), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_make_dir(env, "/d"), VARVE_EXISTS);
    ck_assert_int_eq(env_remove(env, "/d/a"), VARVE_NOT_FOUND);
    ck_assert_uint_eq(crash_env_operations(crash), done);
}
END_TEST

START_TEST(locks_go_with_the_power)
{
    struct env_lock *lock = NULL, *second = NULL;
    ck_assert_int_eq(env_lock_file(env, "/d/LOCK", &lock), VARVE_OK);
    ck_assert_int_eq(env_lock_file(env, "/d/LOCK", &second), VARVE_LOCKED);
    must_ok(env_sync_dir(env, "/d"));
    struct crash_env *image = crash_env_cut(crash, 0, CRASH_CUT_ALL);
    ck_assert_int_eq(env_lock_file(crash_env_env(image), "/d/LOCK", &second), VARVE_OK);
    env_unlock_file(crash_env_env(image), second);
    crash_env_free(image);
    env_unlock_file(env, lock);
    ck_assert_int_eq(env_lock_file(env, "/d/LOCK", &second), VARVE_OK);
    env_unlock_file(env, second);
}
END_TEST

START_TEST(medium_can_be_damaged)
{
    make_durable("/d/a", 'a', 10);
    ck_assert(crash_env_flip_byte(crash, "/d/a", 3, 0x01));
    ck_assert(!crash_env_flip_byte(crash, "/d/a", 10, 0x01));
    ck_assert(!crash_env_flip_byte(crash, "/d/b", 0, 0x01));
    ck_assert(crash_env_cut_file(crash, "/d/a", 5));
    ck_assert(!crash_env_cut_file(crash, "/d/a", 6));
    struct buf content = {0};
    struct crash_env *image = crash_env_cut(crash, 0, CRASH_CUT_NONE);
    ck_assert(image_read(image, "/d/a", &content));
    ck_assert_uint_eq(content.size, 5);
    ck_assert_mem_eq(content.data, "aaa`a", 5);
    buf_deinit(&content);
    crash_env_free(image);
}
END_TEST

START_TEST(clock_and_random_source_are_given)
{
    crash_env_set_wall_ms(crash, 1234);
    ck_assert_uint_eq(env_wall_ms(env), 1234);
    struct crash_env *image = crash_env_cut(crash, 0, CRASH_CUT_NONE);
    ck_assert_uint_eq(env_wall_ms(crash_env_env(image)), 1234);
    crash_env_free(image);
    struct crash_env *same = crash_env_new(1);
    uint8_t a[16], b[16];
    ck_assert_int_eq(env_random(env, a, sizeof a), VARVE_OK);
    ck_assert_int_eq(env_random(crash_env_env(same), b, sizeof b), VARVE_OK);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_int_eq(env_random(env, b, sizeof b), VARVE_OK);
    ck_assert_mem_ne(a, b, sizeof a);
    crash_env_free(same);
}
END_TEST

static void collect(void *context, const char *path, struct varve_slice content)
{
    must_ok(buf_append_format(context, "%s=%.*s ", path, (int)content.size,
                              (const char *)content.data));
}

START_TEST(files_can_be_listed_and_dumped)
{
    make_durable("/d/b", 'b', 2);
    make_durable("/d/a", 'a', 1);
    make_durable("/c", 'c', 1);
    struct buf text = {0};
    crash_env_each_file(crash, collect, &text);
    ck_assert_str_eq((const char *)text.data, "/c=c /d/a=a /d/b=bb ");
    struct tmpdir dir = {0};
    tmpdir_make(&dir);
    crash_env_dump(crash, dir.path);
    ck_assert_int_eq(env_read_file(env_posix(), tmpdir_path(&dir, "d/b"), 10, &text), VARVE_OK);
    ck_assert_uint_eq(text.size, 2);
    ck_assert_mem_eq(text.data, "bb", 2);
    tmpdir_remove(&dir);
    buf_deinit(&text);
}
END_TEST

#define THREADS 3
#define ROUNDS 100

static enum varve_status ignore_name(void *context, const char *name)
{
    return VARVE_OK;
}

/* Makes, syncs, renames, reads and removes files of its own. */
static void *use_files(void *context)
{
    int thread = *(int *)context;
    char made[32], kept[32];
    struct buf content = {0};
    snprintf(made, sizeof made, "/d/%d.made", thread);
    snprintf(kept, sizeof kept, "/d/%d.kept", thread);
    for (int round = 0; round < ROUNDS; round++) {
        struct env_file *file = create(made);
        write_fill(file, 0, (char)('0' + thread), 700);
        must_ok(env_file_sync(file));
        must_ok(env_file_close(file));
        must_ok(env_rename(env, made, kept));
        must_ok(env_sync_dir(env, "/d"));
        must_ok(env_list(env, "/d", ignore_name, NULL));
        must_ok(env_read_file(env, kept, 700, &content));
        must(is_filled(content.data, (char)('0' + thread), 700));
    }
    buf_deinit(&content);
    return NULL;
}

/* What each thread once made durable is in every later image. */
START_TEST(threads_share_it)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    bool kept[THREADS] = {false};
    struct buf content = {0};
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_files, &numbers[i]), 0);
    }
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_NONE);
        for (int i = 0; i < THREADS; i++) {
            char path[32];
            snprintf(path, sizeof path, "/d/%d.kept", i);
            bool there = image_read(image, path, &content);
            ck_assert(there || !kept[i]);
            ck_assert(!there || is_filled(content.data, (char)('0' + i), 700));
            kept[i] = there;
        }
        crash_env_free(image);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(crash_env_handles(crash), 0);
    buf_deinit(&content);
}
END_TEST

static Suite *crash_env_suite(void)
{
    Suite *suite = suite_create("crash_env");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, files_work_as_files);
    tcase_add_test(tcase, names_work_as_names);
    tcase_add_test(tcase, power_goes_after_operation_k);
    tcase_add_test(tcase, nothing_works_without_power);
    tcase_add_test(tcase, truncating_open_is_an_operation);
    tcase_add_test(tcase, refused_operations_do_not_count);
    tcase_add_test(tcase, locks_go_with_the_power);
    tcase_add_test(tcase, medium_can_be_damaged);
    tcase_add_test(tcase, clock_and_random_source_are_given);
    tcase_add_test(tcase, files_can_be_listed_and_dumped);
    tcase_add_test(tcase, threads_share_it);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(crash_env_suite());
}
