/*
 * varve-tool, run as a person would run it: what it prints, its exit codes, and that verifying
 * changes nothing. VARVE_TOOL says where it is.
 */
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "copy_rig.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"
#include "tmpdir.h"

#define OUTPUT_BYTES_MAX ((size_t)1 << 20)

struct fixture {
    struct tmpdir dir;
    struct varve_options options;
    struct model model;
    uint64_t revision;
    struct buf output; /* of the last run, both streams, with a NUL behind */
};

static const char *path_of(struct fixture *f, const char *name)
{
    return tmpdir_path(&f->dir, name);
}

static void write_some(struct fixture *f, struct varve_db *db, unsigned from, unsigned to)
{
    char key[16], value[64];
    for (unsigned i = from; i < to; i++) {
        snprintf(key, sizeof key, "key-%04u", i);
        snprintf(value, sizeof value, "the value of %04u", i);
        must_ok(varve_put(db, varve_slice_str(key), varve_slice_str(value), VARVE_SYNC_OFF,
                          &f->revision));
        model_put(&f->model, varve_slice_str(key), varve_slice_str(value), f->revision);
    }
}

/* A store with two tables, closed. */
static void fixture_init(struct fixture *f)
{
    struct varve_db *db = NULL;
    *f = (struct fixture){0};
    tmpdir_make(&f->dir);
    rig_options(&f->options);
    must_ok(varve_open(path_of(f, "store"), &f->options, &db, NULL));
    write_some(f, db, 0, 500);
    must_ok(varve_flush(db, true));
    write_some(f, db, 500, 600);
    must_ok(varve_close(db));
}

static void fixture_deinit(struct fixture *f)
{
    model_deinit(&f->model);
    buf_deinit(&f->output);
    tmpdir_remove(&f->dir);
}

/* Runs the tool with up to three arguments; gives its exit code. */
static int run_tool(struct fixture *f, const char *a, const char *b, const char *c)
{
    const char *tool = getenv("VARVE_TOOL");
    must(tool != NULL);
    char *const arguments[] = {(char *)"varve-tool", (char *)a, (char *)b, (char *)c, NULL};
    char output[TMPDIR_PATH_BYTES + 8];
    snprintf(output, sizeof output, "%s/out", f->dir.path);
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
            _exit(126);
        execv(tool, arguments);
        _exit(127);
    }
    must(waitpid(child, &status, 0) == child);
    must_ok(env_read_file(env_posix(), output, OUTPUT_BYTES_MAX, &f->output));
    must_ok(buf_append_byte(&f->output, 0));
    ck_assert_msg(WIFEXITED(status), "varve-tool died");
    return WEXITSTATUS(status);
}

static void expect_output(struct fixture *f, const char *text)
{
    ck_assert_msg(strstr((const char *)f->output.data, text) != NULL, "%s is not in: %s", text,
                  (const char *)f->output.data);
}

/* Flips a byte of the first file of a directory whose name ends so. */
struct flip {
    const char *ending;
    char name[64];
};

static enum varve_status flip_find(void *context, const char *name)
{
    struct flip *flip = context;
    size_t size = strlen(name), ending = strlen(flip->ending);
    if (size >= ending && strcmp(name + size - ending, flip->ending) == 0)
        snprintf(flip->name, sizeof flip->name, "%s", name);
    return VARVE_OK;
}

static void flip_byte(struct fixture *f, const char *dir, const char *ending)
{
    struct flip flip = {.ending = ending};
    char path[TMPDIR_PATH_BYTES + 96];
    struct env_file *file = NULL;
    uint8_t byte = 0;
    size_t size = 0;
    must_ok(env_list(env_posix(), path_of(f, dir), flip_find, &flip));
    ck_assert_str_ne(flip.name, "");
    snprintf(path, sizeof path, "%s/%s/%s", f->dir.path, dir, flip.name);
    must_ok(env_open(env_posix(), path, ENV_OPEN_WRITE, &file));
    must_ok(env_file_read(file, 50, &byte, 1, &size));
    byte ^= 1;
    must_ok(env_file_write(file, 50, varve_slice(&byte, 1)));
    must_ok(env_file_close(file));
}

/* Names and contents of a directory, in a number. */
struct digest {
    const char *dir;
    uint32_t sum;
};

static enum varve_status digest_add(void *context, const char *name)
{
    struct digest *digest = context;
    struct buf content = {0};
    char path[TMPDIR_PATH_BYTES + 96];
    snprintf(path, sizeof path, "%s/%s", digest->dir, name);
    must_ok(env_read_file(env_posix(), path, OUTPUT_BYTES_MAX, &content));
    digest->sum += crc32c_extend(crc32c_extend(1, name, strlen(name)), content.data, content.size);
    buf_deinit(&content);
    return VARVE_OK;
}

static uint32_t digest_of(const char *dir)
{
    struct digest digest = {.dir = dir};
    must_ok(env_list(env_posix(), dir, digest_add, &digest));
    return digest.sum;
}

START_TEST(test_there_and_back)
{
    struct fixture f;
    fixture_init(&f);
    ck_assert_int_eq(run_tool(&f, "backup", path_of(&f, "store"), path_of(&f, "backup")), 0);
    expect_output(&f, "revision 600");
    ck_assert_int_eq(run_tool(&f, "verify", path_of(&f, "backup"), NULL), 0);
    expect_output(&f, "sound");
    ck_assert_int_eq(run_tool(&f, "restore", path_of(&f, "backup"), path_of(&f, "again")), 0);
    ck_assert_int_eq(run_tool(&f, "verify", path_of(&f, "again"), NULL), 0);
    copy_expect(env_posix(), path_of(&f, "again"), &f.model, f.revision);

    ck_assert_int_eq(run_tool(&f, "backup", path_of(&f, "store"), path_of(&f, "backup")), 3);
    expect_output(&f, "exists already");
    ck_assert_int_eq(run_tool(&f, "restore", path_of(&f, "backup"), path_of(&f, "again")), 3);
    flip_byte(&f, "backup", ".sst");
    ck_assert_int_eq(run_tool(&f, "verify", path_of(&f, "backup"), NULL), 1);
    expect_output(&f, ".sst");
    ck_assert_int_eq(run_tool(&f, "restore", path_of(&f, "backup"), path_of(&f, "third")), 1);
    ck_assert(!copy_exists(env_posix(), path_of(&f, "third")));
    fixture_deinit(&f);
}
END_TEST

START_TEST(test_verifying_changes_nothing)
{
    struct fixture f;
    struct varve_db *db = NULL;
    char store[TMPDIR_PATH_BYTES];
    fixture_init(&f);
    snprintf(store, sizeof store, "%s", path_of(&f, "store"));

    /* After a crash, with frames in an unsealed segment. */
    must_ok(db_open(store, &f.options, env_posix(), true, &db, NULL));
    write_some(&f, db, 100, 150);
    ck_assert_int_eq(run_tool(&f, "verify", store, NULL), 3);
    expect_output(&f, "open");
    db_abandon(db);
    uint32_t before = digest_of(store);
    ck_assert_int_eq(run_tool(&f, "verify", "--json", store), 0);
    ck_assert_uint_eq(digest_of(store), before);
    must_ok(env_remove(env_posix(), path_of(&f, "store/LOCK")));
    ck_assert_int_eq(run_tool(&f, "verify", "--json", store), 0);
    ck_assert(!copy_exists(env_posix(), path_of(&f, "store/LOCK")));

    json_t *json = json_loads((const char *)f.output.data, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(json_string_value(json_object_get(json, "kind")), "store");
    ck_assert_str_eq(json_string_value(json_object_get(json, "status")), "OK");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "revision")), f.revision);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "frames")), 50);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "entries")), 600);
    json_decref(json);
    fixture_deinit(&f);
}
END_TEST

START_TEST(test_names_what_is_damaged)
{
    struct fixture f;
    fixture_init(&f);
    flip_byte(&f, "store", ".sst");
    ck_assert_int_eq(run_tool(&f, "verify", "--json", path_of(&f, "store")), 1);
    json_t *json = json_loads((const char *)f.output.data, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "problems")), 1);
    const json_t *finding = json_array_get(json_object_get(json, "findings"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(finding, "kind")), "damaged");
    ck_assert(strstr(json_string_value(json_object_get(finding, "path")), ".sst") != NULL);
    json_decref(json);
    ck_assert_int_eq(run_tool(&f, "verify", path_of(&f, "store"), NULL), 1);
    expect_output(&f, "DAMAGED");
    ck_assert_int_eq(run_tool(&f, "backup", path_of(&f, "store"), path_of(&f, "backup")), 1);
    ck_assert(!copy_exists(env_posix(), path_of(&f, "backup")));
    fixture_deinit(&f);
}
END_TEST

START_TEST(test_usage)
{
    struct fixture f;
    fixture_init(&f);
    ck_assert_int_eq(run_tool(&f, NULL, NULL, NULL), 2);
    ck_assert_int_eq(run_tool(&f, "mend", "/a", NULL), 2);
    ck_assert_int_eq(run_tool(&f, "verify", NULL, NULL), 2);
    ck_assert_int_eq(run_tool(&f, "verify", "/a", "/b"), 2);
    ck_assert_int_eq(run_tool(&f, "backup", "--json", "/b"), 2);
    ck_assert_int_eq(run_tool(&f, "--help", NULL, NULL), 0);
    ck_assert_int_eq(run_tool(&f, "--version", NULL, NULL), 0);
    ck_assert_int_eq(run_tool(&f, "verify", path_of(&f, "nowhere"), NULL), 3);
    ck_assert_int_eq(run_tool(&f, "restore", path_of(&f, "nowhere"), path_of(&f, "x")), 3);
    ck_assert_int_eq(run_tool(&f, "backup", path_of(&f, "nowhere"), path_of(&f, "x")), 3);
    ck_assert(!copy_exists(env_posix(), path_of(&f, "nowhere")));
    fixture_deinit(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tool");
    TCase *tests = tcase_create("tool");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, test_there_and_back);
    tcase_add_test(tests, test_verifying_changes_nothing);
    tcase_add_test(tests, test_names_what_is_damaged);
    tcase_add_test(tests, test_usage);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
