/* Files of replaced tables go from the disk, but not on the thread that happens to drop them. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <varve/iterator.h>

#include "engine/db.h"
#include "fault_env.h"
#include "must.h"
#include "run_suite.h"
#include "tmpdir.h"

#define POLL_NS 1000000
#define POLLS_MAX 60000 /* a minute */

struct fixture {
    struct tmpdir dir;
    struct fault_env *fault;
    struct varve_db *db;
    pthread_t main_thread;
    _Atomic size_t removed, removed_here; /* tables; by the test's own thread */
    _Atomic size_t warnings;
};

static void note_remove(void *context)
{
    struct fixture *f = context;
    atomic_fetch_add(&f->removed, 1);
    atomic_fetch_add(&f->removed_here, pthread_equal(pthread_self(), f->main_thread) != 0);
}

static void note_log(void *context, enum varve_log_level level, const char *text)
{
    struct fixture *f = context;
    if (level == VARVE_LOG_WARNING && strstr(text, "cannot remove table") != NULL)
        atomic_fetch_add(&f->warnings, 1);
}

static void open_store(struct fixture *f, bool stepped)
{
    struct varve_options options;
    varve_options_init(&options);
    options.log = note_log;
    options.log_context = f;
    ck_assert_int_eq(db_open(tmpdir_path(&f->dir, "store"), &options, fault_env_env(f->fault),
                             stepped, &f->db, NULL),
                     VARVE_OK);
}

static void set_up(struct fixture *f, enum varve_status remove_status)
{
    memset(f, 0, sizeof *f);
    tmpdir_make(&f->dir);
    f->fault = fault_env_new(env_posix());
    f->main_thread = pthread_self();
    const struct fault_rule rule = {.operations = FAULT_REMOVE,
                                    .pattern = "*.sst",
                                    .at = 1,
                                    .for_good = true,
                                    .status = remove_status,
                                    .hook = note_remove,
                                    .context = f};
    fault_env_set_rule(f->fault, &rule);
}

static void tear_down(struct fixture *f)
{
    ck_assert_uint_eq(fault_env_handles(f->fault), 0);
    fault_env_free(f->fault);
    tmpdir_remove(&f->dir);
}

static enum varve_status count_table(void *context, const char *name)
{
    *(size_t *)context += strstr(name, ".sst") != NULL;
    return VARVE_OK;
}

static size_t files(struct fixture *f)
{
    size_t count = 0;
    must_ok(env_list(env_posix(), tmpdir_path(&f->dir, "store"), count_table, &count));
    return count;
}

/* Two tables that are merged to one while an iterator, which is given back, still reads them. */
static struct varve_iterator *two_merged_tables(struct fixture *f)
{
    struct varve_iterator *it = NULL;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(
            varve_put(f->db, varve_slice_str("key"), varve_slice_str("v"), VARVE_SYNC_OFF, NULL),
            VARVE_OK);
        ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
    }
    ck_assert_int_eq(varve_iterator_new(f->db, NULL, &it), VARVE_OK);
    ck_assert_int_eq(varve_compact(f->db, true), VARVE_OK);
    ck_assert_uint_eq(atomic_load(&f->removed), 0);
    ck_assert_uint_eq(files(f), 3);
    return it;
}

START_TEST(a_worker_removes_them)
{
    static struct fixture f;
    set_up(&f, VARVE_OK);
    open_store(&f, false);
    varve_iterator_free(two_merged_tables(&f));
    for (int i = 0; i < POLLS_MAX && files(&f) > 1; i++)
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    ck_assert_uint_eq(files(&f), 1);
    ck_assert_uint_eq(atomic_load(&f.removed), 2);
    ck_assert_uint_eq(atomic_load(&f.removed_here), 0);
    ck_assert_int_eq(varve_close(f.db), VARVE_OK);
    tear_down(&f);
}
END_TEST

START_TEST(a_close_leaves_none)
{
    for (int round = 0; round < 20; round++) {
        static struct fixture f;
        set_up(&f, VARVE_OK);
        open_store(&f, false);
        varve_iterator_free(two_merged_tables(&f));
        ck_assert_int_eq(varve_close(f.db), VARVE_OK);
        ck_assert_uint_eq(files(&f), 1);
        tear_down(&f);
    }
}
END_TEST

START_TEST(a_stepped_store_removes_them_at_once)
{
    static struct fixture f;
    set_up(&f, VARVE_OK);
    open_store(&f, true);
    varve_iterator_free(two_merged_tables(&f));
    ck_assert_uint_eq(files(&f), 1);
    ck_assert_int_eq(varve_close(f.db), VARVE_OK);
    tear_down(&f);
}
END_TEST

START_TEST(the_next_open_removes_what_could_not_be)
{
    static struct fixture f;
    set_up(&f, VARVE_IO);
    open_store(&f, false);
    varve_iterator_free(two_merged_tables(&f));
    ck_assert_int_eq(varve_close(f.db), VARVE_OK);
    ck_assert_uint_eq(atomic_load(&f.warnings), 2);
    ck_assert_uint_eq(files(&f), 3);
    fault_env_set_rule(f.fault, NULL);
    open_store(&f, false);
    ck_assert_uint_eq(files(&f), 1);
    ck_assert_int_eq(varve_close(f.db), VARVE_OK);
    tear_down(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-removal");
    TCase *tests = tcase_create("removal");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, a_worker_removes_them);
    tcase_add_test(tests, a_close_leaves_none);
    tcase_add_test(tests, a_stepped_store_removes_them_at_once);
    tcase_add_test(tests, the_next_open_removes_what_could_not_be);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
