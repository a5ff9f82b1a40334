/*
 * How tables are written, by level: which compression and how many bits a key for the filter; and
 * that tables which were only moved into the last level get its form once nobody writes.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "crash_env.h"
#include "format/sstable.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define KEYS 400u
#define LAST (VARVE_LEVELS_MAX - 1)
#define IDLE_US 5000000u

struct fixture {
    struct crash_env *crash;
    struct env_ops ops;
    struct varve_options options;
    struct varve_db *db;
};
static uint64_t clock_us;

static uint64_t clock_read(struct env *env)
{
    (void)env;
    return clock_us;
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.crash = crash_env_new(1)};
    struct env *env = crash_env_env(f->crash);
    f->ops = *env->ops;
    f->ops.mono_us = clock_read;
    env->ops = &f->ops;
    clock_us = 1000000;
    rig_options(&f->options);
    f->options.level0_trigger = 2;
    f->options.memtable_bytes = 1 << 20;
}

static void fixture_deinit(struct fixture *f)
{
    ck_assert_int_eq(varve_close(f->db), VARVE_OK);
    crash_env_free(f->crash);
}

/* A table of level 0 with values that shrink to a small part. */
static void fill(struct fixture *f, char letter)
{
    char key[16], value[200];
    memset(value, letter, sizeof value);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "%c%07u", letter, i);
        ck_assert_int_eq(varve_put(f->db, varve_slice_str(key), varve_slice(value, sizeof value),
                                   VARVE_SYNC_OFF, NULL),
                         VARVE_OK);
    }
    ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
}

static void work(struct fixture *f)
{
    while (db_step(f->db)) {
    }
}

static double filter_bits(struct fixture *f, const struct manifest_table *meta)
{
    struct env *env = crash_env_env(f->crash);
    char path[FILENAME_BYTES_MAX];
    struct env_file *file = NULL;
    uint8_t bytes[SSTABLE_FOOTER_BYTES];
    struct sstable_footer footer = {0};
    size_t size = 0;
    must_ok(filename_path(path, RIG_STORE, FILE_TABLE, meta->file_id));
    must_ok(env_open(env, path, ENV_OPEN_READ, &file));
    must_ok(file->ops->read(file, meta->file_bytes - sizeof bytes, bytes, sizeof bytes, &size));
    must_ok(sstable_footer_decode(bytes, meta->file_bytes, &footer));
    must_ok(file->ops->close(file));
    return (double)footer.filter.size * 8 / (double)meta->entry_count;
}

/* All tables are in `level`, and of this form. */
static void expect_form(struct fixture *f, size_t level, enum compression compression, double bits)
{
    uint64_t sequence = 0, tables = 0;
    struct view *view = view_slot_acquire(&f->db->view, &f->db->visible, &sequence);
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < view->version->levels[l].run_count; r++)
            for (size_t t = 0; t < view->version->levels[l].runs[r].table_count; t++) {
                const struct manifest_table *meta =
                    &view->version->levels[l].runs[r].tables[t]->meta;
                bool shrunk = meta->file_bytes < meta->entry_count * 100;
                ck_assert_uint_eq(l, level);
                ck_assert_int_eq(meta->compression, compression);
                ck_assert_int_eq(shrunk, compression != COMPRESSION_NONE);
                ck_assert_double_eq_tol(filter_bits(f, meta), bits, 1.9);
                tables++;
            }
    view_unref(view);
    ck_assert_uint_gt(tables, 0);
}

static uint64_t compactions_of(struct fixture *f)
{
    struct varve_stats stats = {0};
    varve_stats_read(f->db, &stats);
    return stats.compactions;
}

START_TEST(forms_of_levels)
{
    struct fixture f;
    fixture_init(&f);
    f.options.compression = _i == 0 ? VARVE_COMPRESSION_NONE : VARVE_COMPRESSION_LZ4;
    f.options.compression_bottom = _i == 0 ? VARVE_COMPRESSION_LZ4 : VARVE_COMPRESSION_ZSTD;
    f.db = rig_open(crash_env_env(f.crash), &f.options);
    fill(&f, 'a');
    expect_form(&f, 0, _i == 0 ? COMPRESSION_NONE : COMPRESSION_LZ4, 14);
    fill(&f, 'a');
    work(&f);
    expect_form(&f, LAST, _i == 0 ? COMPRESSION_LZ4 : COMPRESSION_ZSTD, 10);
    ck_assert_int_eq(varve_close(f.db), VARVE_OK);
    f.db = rig_open(crash_env_env(f.crash), &f.options);
    expect_form(&f, LAST, _i == 0 ? COMPRESSION_LZ4 : COMPRESSION_ZSTD, 10);
    fixture_deinit(&f);
}
END_TEST

START_TEST(moved_tables_get_their_form_when_idle)
{
    struct fixture f;
    fixture_init(&f);
    f.db = rig_open(crash_env_env(f.crash), &f.options);
    fill(&f, 'a');
    fill(&f, 'b');
    work(&f);
    expect_form(&f, LAST, COMPRESSION_NONE, 14);
    ck_assert_uint_eq(compactions_of(&f), 0);
    if (_i == 1) { /* known across an opening, too */
        ck_assert_int_eq(varve_close(f.db), VARVE_OK);
        f.db = rig_open(crash_env_env(f.crash), &f.options);
    }
    clock_us += IDLE_US - 1;
    db_idle(f.db);
    work(&f);
    if (_i == 0)
        expect_form(&f, LAST, COMPRESSION_NONE, 14);
    clock_us += 1;
    db_idle(f.db);
    work(&f);
    expect_form(&f, LAST, COMPRESSION_LZ4, 10);
    uint64_t compactions = compactions_of(&f);
    clock_us += 2 * IDLE_US;
    db_idle(f.db);
    work(&f);
    ck_assert_uint_eq(compactions_of(&f), compactions);
    rig_expect(f.db, "a", NULL);
    fixture_deinit(&f);
}
END_TEST

START_TEST(moved_tables_stay_where_the_form_is_the_same)
{
    struct fixture f;
    fixture_init(&f);
    f.options.compression_bottom = VARVE_COMPRESSION_NONE;
    f.db = rig_open(crash_env_env(f.crash), &f.options);
    fill(&f, 'a');
    fill(&f, 'b');
    work(&f);
    clock_us += IDLE_US;
    db_idle(f.db);
    work(&f);
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    expect_form(&f, LAST, COMPRESSION_NONE, 14); /* more bits than it would have: no harm */
    ck_assert_uint_eq(compactions_of(&f), 0);
    fixture_deinit(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-forms");
    TCase *tests = tcase_create("forms");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, forms_of_levels, 0, 2);
    tcase_add_loop_test(tests, moved_tables_get_their_form_when_idle, 0, 2);
    tcase_add_test(tests, moved_tables_stay_where_the_form_is_the_same);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
