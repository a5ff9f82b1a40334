/*
 * What opening accepts of manifest, CURRENT and tables, and what it refuses: one case for each rule
 * in "Recovery" of DESIGN.md that is about them; and creations that were interrupted.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/coding.h"
#include "format/manifest_log.h"
#include "must.h"
#include "recovery_rig.h"
#include "run_suite.h"

/* The last record of the manifest is a merge's: without it tables are named that are gone. */
START_TEST(a_cut_manifest_needs_the_files_that_it_names)
{
    struct fixture f;
    struct search manifest = {0};
    fixture_init(&f);
    for (int i = 0; i < 2; i++) {
        rig_put(f.db, "a", "1", VARVE_SYNC_ON);
        ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    }
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);
    die(&f);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/manifest-", "", &manifest), 1);
    ck_assert(crash_env_cut_file(f.crash, manifest.path, manifest.content.size - 3));
    expect_refused(&f, VARVE_CORRUPT, ".sst", 0);
    buf_deinit(&manifest.content);
    fixture_deinit(&f);
}
END_TEST

/* The last record is a flush's: its segment is still there, its table becomes an orphan. */
START_TEST(a_cut_manifest_sets_orphans_aside)
{
    struct fixture f;
    struct search manifest = {0}, table = {0}, lost = {0};
    fixture_init(&f);
    f.options.wal_segments_spare = 4;
    shut(&f);
    reopen(&f); /* with spares: the flushed segment stays as it is */
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    die(&f);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/", ".sst", &table), 1);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/manifest-", "", &manifest), 1);
    ck_assert(crash_env_cut_file(f.crash, manifest.path, manifest.content.size - 3));

    f.options.recovery_mode = VARVE_RECOVERY_STRICT;
    expect_refused(&f, VARVE_CORRUPT, manifest.path, 0);
    f.options.recovery_mode = VARVE_RECOVERY_TAIL;
    reopen(&f);
    rig_expect(f.db, "a", "1");
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", ".sst", &lost), 1);
    ck_assert(varve_slice_compare(buf_slice(&lost.content), buf_slice(&table.content)) == 0);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/lost/", "manifest-", NULL), 1);
    buf_deinit(&manifest.content);
    buf_deinit(&table.content);
    buf_deinit(&lost.content);
    fixture_deinit(&f);
}
END_TEST

/* The second record is a switch's. Cut there, the state would have all its files: only that a
 * record follows tells damage from a torn tail. */
START_TEST(a_manifest_damaged_in_the_middle_is_refused)
{
    struct fixture f;
    struct search manifest = {0};
    fixture_init(&f);
    f.options.wal_segments_spare = 4;
    shut(&f);
    reopen(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    ck_assert_int_eq(varve_flush(f.db, true), VARVE_OK);
    die(&f);
    ck_assert_uint_eq(files_find(&f, RIG_STORE "/manifest-", "", &manifest), 1);
    uint64_t second = MANIFEST_HEADER_BYTES + MANIFEST_RECORD_HEADER_BYTES +
                      fixed32_decode(manifest.content.data + MANIFEST_HEADER_BYTES + 4);
    ck_assert(crash_env_flip_byte(f.crash, manifest.path, second + 17, 1));
    expect_refused(&f, VARVE_CORRUPT, manifest.path, second);
    must_ok(env_remove(f.env, manifest.path));
    expect_refused(&f, VARVE_CORRUPT, manifest.path, 0);
    buf_deinit(&manifest.content);
    fixture_deinit(&f);
}
END_TEST

START_TEST(current_missing_beside_data_is_refused)
{
    struct fixture f;
    fixture_init(&f);
    rig_put(f.db, "a", "1", VARVE_SYNC_ON);
    die(&f);
    struct crash_env *whole = crash_env_clone(f.crash);
    must_ok(env_remove(f.env, RIG_STORE "/CURRENT"));
    expect_refused(&f, VARVE_CORRUPT, "CURRENT", 0);
    fixture_deinit(&f);

    f = (struct fixture){.crash = whole, .env = crash_env_env(whole), .options = f.options};
    file_write(&f, RIG_STORE "/CURRENT", "manifest-000001\n", 16);
    expect_refused(&f, VARVE_CORRUPT, "CURRENT", 0);
    fixture_deinit(&f);
}
END_TEST

/* The power goes at each moment of the making of a store: the next opening makes it. */
START_TEST(an_interrupted_creation_is_taken_up_again)
{
    uint64_t cuts = 0;
    for (uint64_t k = 0;; k++) {
        struct crash_env *crash = crash_env_new(k);
        struct varve_db *db = NULL;
        struct varve_error error = {0};
        crash_env_set_cut_after(crash, k);
        enum varve_status status = rig_try_open(crash_env_env(crash), NULL, &db, &error);
        bool done = !crash_env_is_cut(crash);
        if (status == VARVE_OK)
            db_abandon(db);
        for (int mode = CRASH_CUT_NONE; mode <= CRASH_CUT_RANDOM; mode++) {
            struct crash_env *image = crash_env_cut(crash, k, (enum crash_cut)mode);
            db = rig_open(crash_env_env(image), NULL);
            rig_put(db, "a", "1", VARVE_SYNC_ON);
            ck_assert_int_eq(varve_close(db), VARVE_OK);
            db = rig_open(crash_env_env(image), NULL);
            rig_expect(db, "a", "1");
            db_abandon(db);
            crash_env_free(image);
            cuts++;
        }
        crash_env_free(crash);
        if (done)
            break;
    }
    ck_assert_uint_gt(cuts, 24);
}
END_TEST

/* Two tables with the same keys, other values. */
static void two_tables(struct fixture *f, struct search tables[2])
{
    fixture_init(f);
    rig_put(f->db, "a", "1", VARVE_SYNC_ON);
    ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
    ck_assert_uint_eq(files_find(f, RIG_STORE "/", ".sst", &tables[0]), 1);
    rig_put(f->db, "a", "2", VARVE_SYNC_ON);
    shut(f);
    ck_assert_uint_eq(files_find(f, RIG_STORE "/", ".sst", NULL), 2);
    /* The newer one has another name. */
    for (int id = 1; id < 20; id++) {
        char name[16];
        struct search found = {0};
        snprintf(name, sizeof name, "/%06d.sst", id);
        if (strstr(tables[0].path, name) == NULL &&
            files_find(f, RIG_STORE "/", name, &found) == 1) {
            tables[1] = found;
            return;
        }
        buf_deinit(&found.content);
    }
    ck_abort_msg("no second table");
}

START_TEST(tables_must_be_the_right_ones)
{
    for (int what = 0; what < 4; what++) {
        struct fixture f;
        struct search tables[2] = {0};
        two_tables(&f, tables);
        switch (what) {
        case 0:
            must_ok(env_remove(f.env, tables[1].path));
            break;
        case 1: /* exchanged */
            file_write(&f, tables[1].path, tables[0].content.data, tables[0].content.size);
            break;
        case 2:
            ck_assert(crash_env_cut_file(f.crash, tables[1].path, tables[1].content.size - 1));
            break;
        default:
            must_ok(buf_append_zeros(&tables[1].content, 8));
            file_write(&f, tables[1].path, tables[1].content.data, tables[1].content.size);
            break;
        }
        expect_refused(&f, VARVE_CORRUPT, tables[1].path, 0);
        buf_deinit(&tables[0].content);
        buf_deinit(&tables[1].content);
        fixture_deinit(&f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-recovery-files");
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, a_cut_manifest_needs_the_files_that_it_names);
    tcase_add_test(rules, a_cut_manifest_sets_orphans_aside);
    tcase_add_test(rules, a_manifest_damaged_in_the_middle_is_refused);
    tcase_add_test(rules, current_missing_beside_data_is_refused);
    tcase_add_test(rules, an_interrupted_creation_is_taken_up_again);
    tcase_add_test(rules, tables_must_be_the_right_ones);
    suite_add_tcase(suite, rules);
    return run_suite(suite);
}
