/* The real environment against a real directory, and the whole-file helpers on top of it. */
#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "crash_env.h"
#include "fault_env.h"
#include "must.h"
#include "os/env.h"
#include "run_suite.h"
#include "tmpdir.h"

static struct tmpdir dir;
static struct env *env;

static void setup(void)
{
    tmpdir_make(&dir);
    env = env_posix();
}

static void teardown(void)
{
    tmpdir_remove(&dir);
}

static const char *in_dir(const char *name)
{
    return tmpdir_path(&dir, name);
}

static struct env_file *open_file(const char *name, unsigned flags)
{
    struct env_file *file = NULL;
    must_ok(env_open(env, in_dir(name), flags, &file));
    return file;
}

START_TEST(file_is_written_and_read_back)
{
    struct env_file *file = open_file("a", ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE);
    ck_assert_int_eq(env_file_write(file, 4, varve_slice("hello", 5)), VARVE_OK);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice(NULL, 0)), VARVE_OK);
    ck_assert_int_eq(env_file_sync(file), VARVE_OK);
    uint64_t bytes = 0;
    ck_assert_int_eq(env_file_size(file, &bytes), VARVE_OK);
    ck_assert_uint_eq(bytes, 9);
    char data[16];
    size_t size = 0;
    ck_assert_int_eq(env_file_read(file, 2, data, sizeof data, &size), VARVE_OK);
    ck_assert_uint_eq(size, 7);
    ck_assert_mem_eq(data, "\0\0hello", 7);
    ck_assert_int_eq(env_file_read(file, 100, data, sizeof data, &size), VARVE_OK);
    ck_assert_uint_eq(size, 0);
    ck_assert_int_eq(env_file_truncate(file, 6), VARVE_OK);
    ck_assert_int_eq(env_file_size(file, &bytes), VARVE_OK);
    ck_assert_uint_eq(bytes, 6);
    ck_assert_int_eq(env_file_close(file), VARVE_OK);
}
END_TEST

START_TEST(large_file_in_one_call)
{
    size_t size = 5u << 20;
    uint8_t *data = must_calloc(1, size);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    struct env_file *file = open_file("a", ENV_OPEN_WRITE | ENV_OPEN_CREATE);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice(data, size)), VARVE_OK);
    uint8_t *back = must_calloc(1, size);
    size_t read = 0;
    ck_assert_int_eq(env_file_read(file, 0, back, size, &read), VARVE_OK);
    ck_assert_uint_eq(read, size);
    ck_assert(memcmp(data, back, size) == 0);
    free(back);
    free(data);
    must_ok(env_file_close(file));
}
END_TEST

START_TEST(open_flags)
{
    struct env_file *file = NULL;
    ck_assert_int_eq(env_open(env, in_dir("a"), ENV_OPEN_READ, &file), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_open(env, in_dir("a"), ENV_OPEN_WRITE, &file), VARVE_NOT_FOUND);
    file = open_file("a", ENV_OPEN_WRITE | ENV_OPEN_CREATE);
    must_ok(env_file_write(file, 0, varve_slice("abc", 3)));
    must_ok(env_file_close(file));
    ck_assert_int_eq(
        env_open(env, in_dir("a"), ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &file),
        VARVE_EXISTS);
    file = open_file("a", ENV_OPEN_READ | ENV_OPEN_RANDOM);
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("x", 1)), VARVE_IO);
    ck_assert_int_eq(env_file_truncate(file, 0), VARVE_IO);
    must_ok(env_file_close(file));
    file = open_file("a", ENV_OPEN_WRITE | ENV_OPEN_TRUNCATE);
    uint64_t bytes = 1;
    must_ok(env_file_size(file, &bytes));
    ck_assert_uint_eq(bytes, 0);
    must_ok(env_file_close(file));
}
END_TEST

static enum varve_status append_name(void *context, const char *name)
{
    return buf_append_format(context, "<%s>", name);
}

static enum varve_status stop_listing(void *context, const char *name)
{
    (*(int *)context)++;
    return VARVE_END;
}

START_TEST(directories)
{
    ck_assert_int_eq(env_make_dir(env, in_dir("d")), VARVE_OK);
    ck_assert_int_eq(env_make_dir(env, in_dir("d")), VARVE_EXISTS);
    struct buf names = {0};
    ck_assert_int_eq(env_list(env, in_dir("d"), append_name, &names), VARVE_OK);
    ck_assert_uint_eq(names.size, 0);
    must_ok(env_file_close(open_file("d/a", ENV_OPEN_WRITE | ENV_OPEN_CREATE)));
    ck_assert_int_eq(env_sync_dir(env, in_dir("d")), VARVE_OK);
    ck_assert_int_eq(env_list(env, in_dir("d"), append_name, &names), VARVE_OK);
    ck_assert_str_eq((const char *)names.data, "<a>");
    ck_assert_int_eq(env_list(env, in_dir("none"), append_name, &names), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_sync_dir(env, in_dir("none")), VARVE_NOT_FOUND);
    must_ok(env_file_close(open_file("d/b", ENV_OPEN_WRITE | ENV_OPEN_CREATE)));
    int calls = 0;
    ck_assert_int_eq(env_list(env, in_dir("d"), stop_listing, &calls), VARVE_END);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(env_remove_dir(env, in_dir("d")), VARVE_EXISTS);
    must_ok(env_remove(env, in_dir("d/a")));
    must_ok(env_remove(env, in_dir("d/b")));
    ck_assert_int_eq(env_remove_dir(env, in_dir("d")), VARVE_OK);
    buf_deinit(&names);
}
END_TEST

START_TEST(names_and_links)
{
    must_ok(env_file_close(open_file("a", ENV_OPEN_WRITE | ENV_OPEN_CREATE)));
    struct env_file_info info = {0};
    ck_assert_int_eq(env_link(env, in_dir("a"), in_dir("b")), VARVE_OK);
    ck_assert_int_eq(env_link(env, in_dir("a"), in_dir("b")), VARVE_EXISTS);
    ck_assert_int_eq(env_info(env, in_dir("a"), &info), VARVE_OK);
    ck_assert_uint_eq(info.link_count, 2);
    ck_assert(!info.is_directory);
    ck_assert_int_eq(env_remove(env, in_dir("a")), VARVE_OK);
    ck_assert_int_eq(env_remove(env, in_dir("a")), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_rename(env, in_dir("a"), in_dir("c")), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_rename(env, in_dir("b"), in_dir("c")), VARVE_OK);
    ck_assert_int_eq(env_info(env, in_dir("b"), &info), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_info(env, in_dir("c"), &info), VARVE_OK);
    ck_assert_uint_eq(info.link_count, 1);
    ck_assert_int_eq(env_info(env, dir.path, &info), VARVE_OK);
    ck_assert(info.is_directory);
}
END_TEST

/* The kernel then writes less than was asked; the rest must not be forgotten. */
START_TEST(short_write_is_taken_up_again)
{
    struct rlimit before = {0};
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 100, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct env_file *file = open_file("a", ENV_OPEN_WRITE | ENV_OPEN_CREATE);
    uint8_t data[200] = {0};
    must(setrlimit(RLIMIT_FSIZE, &small) == 0); /* from here on Check cannot write either */
    enum varve_status status = env_file_write(file, 0, varve_slice(data, sizeof data));
    must(setrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, handler);
    ck_assert_int_eq(status, VARVE_IO);
    uint64_t bytes = 0;
    must_ok(env_file_size(file, &bytes));
    ck_assert_uint_eq(bytes, 100);
    must_ok(env_file_close(file));
}
END_TEST

START_TEST(descriptors_run_out)
{
    struct rlimit before = {0};
    struct env_file *file = NULL;
    struct env_lock *lock = NULL;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    must(setrlimit(RLIMIT_NOFILE, &none) == 0);
    enum varve_status opened = env_open(env, in_dir("a"), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file);
    enum varve_status locked = env_lock_file(env, in_dir("LOCK"), &lock);
    enum varve_status listed = env_list(env, dir.path, append_name, NULL);
    must(setrlimit(RLIMIT_NOFILE, &before) == 0);
    ck_assert_int_eq(opened, VARVE_NO_FILES);
    ck_assert_int_eq(locked, VARVE_NO_FILES);
    ck_assert_int_eq(listed, VARVE_NO_FILES);
}
END_TEST

START_TEST(files_are_counted)
{
    struct rlimit before = {0};
    must(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const struct rlimit few = {.rlim_cur = 99, .rlim_max = before.rlim_max};
    must(setrlimit(RLIMIT_NOFILE, &few) == 0);
    ck_assert_uint_eq(env_files_max(), 99);
    must(setrlimit(RLIMIT_NOFILE, &before) == 0);
}
END_TEST

START_TEST(no_space_is_told_apart)
{
    struct env_file *file = NULL;
    must_ok(env_open(env, "/dev/full", ENV_OPEN_WRITE, &file));
    ck_assert_int_eq(env_file_write(file, 0, varve_slice("x", 1)), VARVE_NO_SPACE);
    env_file_close(file);
    uint64_t free_bytes = 0, total_bytes = 0;
    ck_assert_int_eq(env_space(env, dir.path, &free_bytes, &total_bytes), VARVE_OK);
    ck_assert_uint_gt(total_bytes, 0);
    ck_assert_uint_le(free_bytes, total_bytes);
    ck_assert_int_eq(env_space(env, in_dir("none"), &free_bytes, &total_bytes), VARVE_NOT_FOUND);
}
END_TEST

START_TEST(lock_refuses_a_second_holder_in_this_process)
{
    struct env_lock *lock = NULL, *second = NULL;
    ck_assert_int_eq(env_lock_file(env, in_dir("LOCK"), &lock), VARVE_OK);
    ck_assert_int_eq(env_lock_file(env, in_dir("LOCK"), &second), VARVE_LOCKED);
    /* what a classic lock would be lost by */
    must_ok(env_file_close(open_file("LOCK", ENV_OPEN_READ)));
    ck_assert_int_eq(env_lock_file(env, in_dir("LOCK"), &second), VARVE_LOCKED);
    env_unlock_file(env, lock);
    ck_assert_int_eq(env_lock_file(env, in_dir("LOCK"), &second), VARVE_OK);
    env_unlock_file(env, second);
    ck_assert_int_eq(env_lock_file(env, in_dir("none/LOCK"), &lock), VARVE_NOT_FOUND);
}
END_TEST

START_TEST(lock_refuses_another_process)
{
    struct env_lock *lock = NULL;
    ck_assert_int_eq(env_lock_file(env, in_dir("LOCK"), &lock), VARVE_OK);
    pid_t child = fork();
    if (child == 0) {
        struct env_lock *second = NULL;
        _exit(env_lock_file(env, in_dir("LOCK"), &second) == VARVE_LOCKED ? 0 : 1);
    }
    ck_assert_int_gt(child, 0);
    int state = -1;
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert_int_eq(state, 0);
    env_unlock_file(env, lock);
}
END_TEST

START_TEST(clocks_and_random_source)
{
    ck_assert_uint_gt(env_wall_ms(env), 1500000000000ull);
    uint64_t before = env_mono_us(env);
    ck_assert_uint_ge(env_mono_us(env), before);
    uint8_t a[32] = {0}, b[32] = {0};
    ck_assert_int_eq(env_random(env, a, sizeof a), VARVE_OK);
    ck_assert_int_eq(env_random(env, b, sizeof b), VARVE_OK);
    ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

START_TEST(whole_file_is_read)
{
    struct buf content = {0};
    must_ok(buf_append(&content, "before", 6));
    ck_assert_int_eq(env_read_file(env, in_dir("a"), 10, &content), VARVE_NOT_FOUND);
    ck_assert_int_eq(env_replace_file(env, dir.path, in_dir("a"), varve_slice("12345", 5)),
                     VARVE_OK);
    ck_assert_int_eq(env_read_file(env, in_dir("a"), 4, &content), VARVE_TOO_LARGE);
    ck_assert_uint_eq(content.size, 6); /* as it was */
    ck_assert_int_eq(env_read_file(env, in_dir("a"), 5, &content), VARVE_OK);
    ck_assert_uint_eq(content.size, 5);
    ck_assert_mem_eq(content.data, "12345", 5);
    ck_assert_int_eq(env_replace_file(env, dir.path, in_dir("a"), varve_slice(NULL, 0)), VARVE_OK);
    ck_assert_int_eq(env_read_file(env, in_dir("a"), 5, &content), VARVE_OK);
    ck_assert_uint_eq(content.size, 0);
    buf_deinit(&content);
    struct buf names = {0};
    ck_assert_int_eq(env_list(env, dir.path, append_name, &names), VARVE_OK);
    ck_assert_str_eq((const char *)names.data, "<a>"); /* no temporary left */
    buf_deinit(&names);
}
END_TEST

static void check_is_old_or_new(struct crash_env *crash, bool must_be_new)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        struct buf content = {0};
        ck_assert_int_eq(env_read_file(crash_env_env(image), "/a", 10, &content), VARVE_OK);
        ck_assert_uint_eq(content.size, 3);
        bool is_new = memcmp(content.data, "new", 3) == 0;
        ck_assert(is_new || (!must_be_new && memcmp(content.data, "old", 3) == 0));
        buf_deinit(&content);
        crash_env_free(image);
    }
}

/* Cut after each of its operations; done means durable. */
START_TEST(replacement_survives_a_power_cut)
{
    bool done = false;
    for (uint64_t k = 0; !done; k++) {
        struct crash_env *crash = crash_env_new(k);
        struct env *inside = crash_env_env(crash);
        must_ok(env_replace_file(inside, "/", "/a", varve_slice("old", 3)));
        crash_env_set_cut_after(crash, crash_env_operations(crash) + k);
        done = env_replace_file(inside, "/", "/a", varve_slice("new", 3)) == VARVE_OK;
        check_is_old_or_new(crash, done);
        crash_env_free(crash);
    }
}
END_TEST

/* Each call fails in turn: the failure is reported, the old content stays, or the new is there. */
START_TEST(replacement_reports_every_failure)
{
    for (uint64_t k = 1;; k++) {
        struct crash_env *crash = crash_env_new(k);
        struct fault_env *fault = fault_env_new(crash_env_env(crash));
        must_ok(env_replace_file(crash_env_env(crash), "/", "/a", varve_slice("old", 3)));
        struct fault_rule rule = {.operations = FAULT_ANY, .at = k, .status = VARVE_NO_SPACE};
        fault_env_set_rule(fault, &rule);
        enum varve_status status =
            env_replace_file(fault_env_env(fault), "/", "/a", varve_slice("new", 3));
        bool chosen = fault_env_chosen(fault) > 0;
        ck_assert_int_eq(status, chosen ? VARVE_NO_SPACE : VARVE_OK);
        check_is_old_or_new(crash, !chosen);
        struct env_file_info info = {0};
        ck_assert_int_eq(env_info(crash_env_env(crash), "/a.tmp", &info), VARVE_NOT_FOUND);
        ck_assert_uint_eq(fault_env_handles(fault), 0);
        fault_env_free(fault);
        crash_env_free(crash);
        if (!chosen)
            break;
    }
}
END_TEST

static Suite *env_posix_suite(void)
{
    Suite *suite = suite_create("env_posix");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, file_is_written_and_read_back);
    tcase_add_test(tcase, large_file_in_one_call);
    tcase_add_test(tcase, open_flags);
    tcase_add_test(tcase, directories);
    tcase_add_test(tcase, names_and_links);
    tcase_add_test(tcase, short_write_is_taken_up_again);
    tcase_add_test(tcase, descriptors_run_out);
    tcase_add_test(tcase, files_are_counted);
    tcase_add_test(tcase, no_space_is_told_apart);
    tcase_add_test(tcase, lock_refuses_a_second_holder_in_this_process);
    tcase_add_test(tcase, lock_refuses_another_process);
    tcase_add_test(tcase, clocks_and_random_source);
    tcase_add_test(tcase, whole_file_is_read);
    tcase_add_test(tcase, replacement_survives_a_power_cut);
    tcase_add_test(tcase, replacement_reports_every_failure);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(env_posix_suite());
}
