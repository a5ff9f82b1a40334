/* Until the power goes, the crash env answers as the real environment does: the same random calls
 * on both, and every status and every byte compared. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "crash_env.h"
#include "must.h"
#include "prng.h"
#include "run_suite.h"
#include "tmpdir.h"

#define STEPS 5000
#define NAMES 8
#define FILE_BYTES_MAX 3000
#define PATH_BYTES (TMPDIR_PATH_BYTES + 16)

static const char *const directories[] = {"", "/d", "/e"};

/* The same place in both. */
struct place {
    char crash[PATH_BYTES], real[PATH_BYTES];
};

static struct tmpdir dir;
static struct crash_env *crash;
static struct env *envs[2];
static struct prng prng;

static void setup(void)
{
    tmpdir_make(&dir);
    crash = crash_env_new(1);
    envs[0] = crash_env_env(crash);
    envs[1] = env_posix();
    prng = prng_make(42);
}

static void teardown(void)
{
    crash_env_free(crash);
    tmpdir_remove(&dir);
}

static struct place place_of(const char *path)
{
    struct place place = {0};
    snprintf(place.crash, sizeof place.crash, "%s", path);
    snprintf(place.real, sizeof place.real, "%s%s", dir.path, path);
    return place;
}

static struct place random_file(void)
{
    char path[16];
    snprintf(path, sizeof path, "%s/f%u", directories[prng_below(&prng, 3)],
             (unsigned)prng_below(&prng, NAMES));
    return place_of(path);
}

static struct place random_dir(void)
{
    return place_of(directories[prng_between(&prng, 1, 2)]);
}

static const char *path_in(const struct place *place, int which)
{
    return which == 0 ? place->crash : place->real;
}

static void step_names(void)
{
    struct place from = random_file(), to = random_file(), directory = random_dir();
    uint64_t action = prng_below(&prng, 6);
    enum varve_status got[2] = {VARVE_OK, VARVE_OK};
    for (int i = 0; i < 2; i++) {
        if (action == 0)
            got[i] = env_rename(envs[i], path_in(&from, i), path_in(&to, i));
        else if (action == 1)
            got[i] = env_link(envs[i], path_in(&from, i), path_in(&to, i));
        else if (action == 2)
            got[i] = env_remove(envs[i], path_in(&from, i));
        else if (action == 3)
            got[i] = env_make_dir(envs[i], path_in(&directory, i));
        else if (action == 4)
            got[i] = env_remove_dir(envs[i], path_in(&directory, i));
        else
            got[i] = env_sync_dir(envs[i], path_in(&directory, i));
    }
    ck_assert_int_eq(got[0], got[1]);
}

/* Opens with random flags, and writes, truncates and reads at random. */
static void step_file(void)
{
    struct place place = random_file();
    unsigned flags = (unsigned)prng_below(&prng, ENV_OPEN_RANDOM << 1);
    if ((flags & ENV_OPEN_CREATE) == 0)
        flags &= ~(unsigned)ENV_OPEN_EXCLUSIVE; /* has no meaning then */
    if ((flags & ENV_OPEN_WRITE) == 0)
        flags &= ~(unsigned)ENV_OPEN_TRUNCATE;
    uint64_t write_at = prng_below(&prng, FILE_BYTES_MAX);
    uint64_t size = prng_below(&prng, FILE_BYTES_MAX);
    uint64_t read_at = prng_below(&prng, 2 * FILE_BYTES_MAX);
    bool truncates = prng_chance(&prng, 30);
    uint8_t data[FILE_BYTES_MAX], back[2][FILE_BYTES_MAX] = {{0}};
    prng_bytes(&prng, data, size);
    enum varve_status got[2][5] = {{VARVE_OK}};
    uint64_t bytes[2] = {0};
    size_t read[2] = {0};
    for (int i = 0; i < 2; i++) {
        struct env_file *file = NULL;
        got[i][0] = env_open(envs[i], path_in(&place, i), flags, &file);
        if (got[i][0] != VARVE_OK)
            continue;
        if ((flags & ENV_OPEN_WRITE) != 0)
            got[i][1] = env_file_write(file, write_at, varve_slice(data, size));
        if (truncates && (flags & ENV_OPEN_WRITE) != 0)
            got[i][2] = env_file_truncate(file, read_at);
        got[i][3] = env_file_read(file, read_at / 2, back[i], size, &read[i]);
        got[i][4] = env_file_size(file, &bytes[i]);
        must_ok(env_file_close(file));
    }
    ck_assert_mem_eq(got[0], got[1], sizeof got[0]);
    ck_assert_uint_eq(bytes[0], bytes[1]);
    ck_assert_uint_eq(read[0], read[1]);
    ck_assert(memcmp(back[0], back[1], read[0]) == 0);
}

static enum varve_status count_name(void *context, const char *name)
{
    (*(unsigned *)context)++;
    return VARVE_OK;
}

static void compare_all(void)
{
    for (size_t d = 0; d < 3; d++) {
        struct place directory = place_of(directories[d]);
        unsigned counts[2] = {0};
        enum varve_status crash_status = env_list(envs[0], directory.crash, count_name, &counts[0]);
        enum varve_status real_status = env_list(envs[1], directory.real, count_name, &counts[1]);
        ck_assert_int_eq(crash_status, real_status);
        ck_assert_uint_eq(counts[0], counts[1]);
        for (unsigned n = 0; n < NAMES; n++) {
            char path[16];
            snprintf(path, sizeof path, "%s/f%u", directories[d], n);
            struct place place = place_of(path);
            struct env_file_info info[2] = {{0}};
            struct buf content[2] = {{0}};
            enum varve_status status = env_info(envs[0], place.crash, &info[0]);
            ck_assert_int_eq(status, env_info(envs[1], place.real, &info[1]));
            ck_assert_uint_eq(info[0].size_bytes, info[1].size_bytes);
            ck_assert_uint_eq(info[0].link_count, info[1].link_count);
            ck_assert_int_eq(env_read_file(envs[0], place.crash, SIZE_MAX, &content[0]), status);
            ck_assert_int_eq(env_read_file(envs[1], place.real, SIZE_MAX, &content[1]), status);
            ck_assert_int_eq(varve_slice_compare(buf_slice(&content[0]), buf_slice(&content[1])),
                             0);
            buf_deinit(&content[0]);
            buf_deinit(&content[1]);
        }
    }
}

START_TEST(random_calls_agree)
{
    for (unsigned step = 0; step < STEPS; step++) {
        if (prng_chance(&prng, 50))
            step_names();
        else
            step_file();
        if (step % 100 == 0)
            compare_all();
    }
    compare_all();
}
END_TEST

static Suite *crash_posix_suite(void)
{
    Suite *suite = suite_create("crash_posix");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, random_calls_agree);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(crash_posix_suite());
}
