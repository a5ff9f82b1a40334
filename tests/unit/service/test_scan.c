/* Passes over whole ranges, step by step. */
#include "service/scan.h"

#include <stdio.h>

#include "service/limits.h"
#include "support.h"
#include "tmpdir.h"

struct fixture {
    struct tmpdir dir;
    struct varve_db *db;
    struct query query;
    struct problem problem;
    struct scan *scan;
};

static void fixture_init(struct fixture *f)
{
    struct varve_options options;
    varve_options_init(&options);
    options.sync_writes = false;
    *f = (struct fixture){0};
    tmpdir_make(&f->dir);
    ck_ok(varve_open(f->dir.path, &options, &f->db, NULL));
}

static void end_scan(struct fixture *f)
{
    scan_free(f->scan);
    query_deinit(&f->query);
    problem_deinit(&f->problem);
    f->scan = NULL;
    f->query = (struct query){0};
}

static void fixture_deinit(struct fixture *f)
{
    end_scan(f);
    ck_ok(varve_close(f->db));
    tmpdir_remove(&f->dir);
}

static void begin_scan(struct fixture *f, const char *query, enum range_form form)
{
    end_scan(f);
    ck_ok(scan_new(f->db, &f->scan));
    ck_ok(query_parse(&f->query, varve_slice_str(query), &f->problem));
    ck_ok(range_query_parse(&f->scan->range, &f->query, form, &f->problem));
}

/* Keys 000000, 000001 and so on. */
static void put_numbers(struct fixture *f, unsigned count)
{
    struct varve_batch *batch = NULL;
    ck_ok(varve_batch_new(&batch));
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%06u", i);
        ck_ok(varve_batch_put(batch, varve_slice_str(key), L("value")));
    }
    ck_ok(varve_write(f->db, batch, VARVE_SYNC_DEFAULT, NULL));
    varve_batch_free(batch);
}

static uint64_t count_all(struct fixture *f, const char *query, size_t *ret_steps)
{
    enum varve_status status = VARVE_OK;
    begin_scan(f, query, RANGE_COUNT);
    for (*ret_steps = 0; status == VARVE_OK; ++*ret_steps)
        status = scan_count(f->scan);
    ck_status(status, VARVE_END);
    return f->scan->count;
}

START_TEST(counts)
{
    struct fixture f;
    size_t steps = 0;
    fixture_init(&f);
    ck_assert_uint_eq(count_all(&f, "", &steps), 0);
    ck_assert_uint_eq(f.scan->revision, 0);
    put_numbers(&f, 2 * LIMIT_SCAN_STEP_ITEMS + 2);
    ck_ok(varve_delete(f.db, L("000007"), VARVE_SYNC_DEFAULT, NULL));
    ck_assert_uint_eq(count_all(&f, "", &steps), 2 * LIMIT_SCAN_STEP_ITEMS + 1);
    ck_assert_uint_eq(f.scan->revision, 2);
    ck_assert_uint_eq(steps, 3);
    ck_assert_uint_eq(count_all(&f, "reverse=true", &steps), 2 * LIMIT_SCAN_STEP_ITEMS + 1);
    ck_assert_uint_eq(count_all(&f, "start=000005&end=000010", &steps), 4);
    ck_assert_uint_eq(steps, 1);
    ck_assert_uint_eq(count_all(&f, "prefix=00001", &steps), 10);
    ck_assert_uint_eq(count_all(&f, "start=5&end=5", &steps), 0);
    ck_assert_uint_eq(f.scan->revision, 2);
    fixture_deinit(&f);
}
END_TEST

START_TEST(one_view)
{
    struct fixture f;
    fixture_init(&f);
    put_numbers(&f, LIMIT_SCAN_STEP_ITEMS + 10);
    begin_scan(&f, "", RANGE_COUNT);
    ck_ok(scan_count(f.scan));
    ck_ok(varve_put(f.db, L("zzz"), L(""), VARVE_SYNC_DEFAULT, NULL));
    ck_status(scan_count(f.scan), VARVE_END);
    ck_assert_uint_eq(f.scan->count, LIMIT_SCAN_STEP_ITEMS + 10);
    ck_assert_uint_eq(f.scan->revision, 1);
    fixture_deinit(&f);
}
END_TEST

START_TEST(cut)
{
    struct fixture f;
    fixture_init(&f);
    put_numbers(&f, 2 * LIMIT_SCAN_STEP_ITEMS);
    begin_scan(&f, "", RANGE_COUNT);
    ck_ok(scan_count(f.scan));
    scan_cut(f.scan, SCAN_DRAINED);
    scan_cut(f.scan, SCAN_CLIENT_GONE);
    ck_status(scan_count(f.scan), VARVE_CLOSED);
    ck_assert_int_eq(scan_cut_reason(f.scan), SCAN_DRAINED);
    ck_assert(f.scan->iterator == NULL);
    ck_assert_uint_lt(f.scan->count, LIMIT_SCAN_STEP_ITEMS + 2);
    fixture_deinit(&f);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"counts", counts},
        {"one_view", one_view},
        {"cut", cut},
    };
    return SUPPORT_RUN("scan", tests);
}
