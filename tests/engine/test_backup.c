/*
 * Backups: what is restored is what was backed up; what was not finished, or came back damaged, is
 * refused, and the file is named.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "copy_rig.h"
#include "crash_env.h"
#include "engine/backup.h"
#include "engine/file_copy.h"
#include "engine/verify.h"
#include "fault_env.h"
#include "format/backup_list.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"
#include "tmpdir.h"

#define BACKUP "/backup"
#define RESTORED "/restored"
#define FILES_MAX 64
#define PATH_MAX_BYTES 64

struct fixture {
    struct crash_env *crash;
    struct env *env;
    struct varve_options options;
    struct varve_db *db;
    struct model model;
    struct prng prng;
    uint64_t revision;
};

static void fill(struct fixture *f, unsigned writes)
{
    uint8_t value[200];
    char key[32];
    for (unsigned i = 0; i < writes; i++) {
        snprintf(key, sizeof key, "key-%03u", (unsigned)prng_below(&f->prng, 300));
        prng_bytes(&f->prng, value, sizeof value);
        struct varve_slice k = varve_slice_str(key), v = varve_slice(value, sizeof value);
        ck_assert_int_eq(varve_put(f->db, k, v, VARVE_SYNC_OFF, &f->revision), VARVE_OK);
        model_put(&f->model, k, v, f->revision);
    }
}

/* A store with tables of two levels and a log, and its backup. */
static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.crash = crash_env_new(1), .prng = prng_make(3)};
    f->env = crash_env_env(f->crash);
    rig_options(&f->options);
    f->db = rig_open(f->env, &f->options);
    crash_env_set_wall_ms(f->crash, 1700000000000);
    fill(f, 400);
    ck_assert_int_eq(varve_compact(f->db, true), VARVE_OK);
    fill(f, 60);
    ck_assert_int_eq(varve_flush(f->db, true), VARVE_OK);
    fill(f, 30);
    struct varve_backup_info info = {0};
    struct varve_error error = {0};
    ck_assert_int_eq(varve_backup_create(f->db, BACKUP, &info, &error), VARVE_OK);
    ck_assert_uint_eq(info.revision, f->revision);
    ck_assert_uint_eq(info.store_time_ms, 1700000000000);
    ck_assert_uint_ge(info.files, 5);
    ck_assert_uint_gt(info.bytes, 300 * 200);
}

static void fixture_deinit(struct fixture *f)
{
    if (f->db != NULL)
        db_abandon(f->db);
    ck_assert_uint_eq(crash_env_handles(f->crash), 0);
    model_deinit(&f->model);
    crash_env_free(f->crash);
}

START_TEST(test_restores_what_was_backed_up)
{
    struct fixture f;
    struct varve_backup_info info = {0}, again = {0};
    struct env_file_info file = {0};
    struct model then = {0};
    fixture_init(&f);
    model_clone(&f.model, &then);
    uint64_t revision = f.revision;
    fill(&f, 300);
    ck_assert_int_eq(varve_compact(f.db, true), VARVE_OK);

    ck_assert_int_eq(backup_verify(BACKUP, f.env, &info, NULL), VARVE_OK);
    ck_assert_int_eq(backup_restore(BACKUP, RESTORED, f.env, &again, NULL), VARVE_OK);
    ck_assert_uint_eq(info.revision, revision);
    ck_assert_mem_eq(&info, &again, sizeof info);
    ck_assert(!copy_exists(f.env, RESTORED "/BACKUP"));
    ck_assert(!copy_exists(f.env, RESTORED ".partial"));
    must_ok(env_info(f.env, RESTORED "/CURRENT", &file));
    ck_assert_uint_eq(file.link_count, 1);
    ck_assert_int_eq(store_verify(f.env, RESTORED, NULL, NULL, NULL, NULL), VARVE_OK);
    copy_expect(f.env, RESTORED, &then, revision);
    ck_assert_int_eq(backup_verify(BACKUP, f.env, NULL, NULL), VARVE_OK);

    /* A target that is there stays as it is. */
    ck_assert_int_eq(backup_restore(BACKUP, RESTORED, f.env, NULL, NULL), VARVE_EXISTS);
    ck_assert_int_eq(backup_restore(BACKUP, RIG_STORE, f.env, NULL, NULL), VARVE_EXISTS);
    rig_expect_model(f.db, NULL, &f.model, true);
    model_deinit(&then);
    fixture_deinit(&f);
}
END_TEST

/* The paths of a backup's files. */
struct file_paths {
    char paths[FILES_MAX][PATH_MAX_BYTES];
    uint64_t bytes[FILES_MAX];
    size_t count;
};

static void path_gather(void *context, const char *path, struct varve_slice content)
{
    struct file_paths *files = context;
    if (strncmp(path, BACKUP "/", strlen(BACKUP "/")) != 0 || strstr(path, "/LOCK") != NULL)
        return;
    must(files->count < FILES_MAX);
    snprintf(files->paths[files->count], PATH_MAX_BYTES, "%s", path);
    files->bytes[files->count++] = content.size;
}

/* Neither verifying nor restoring takes it, and both say which file it is. */
static void expect_refused(struct env *env, const char *path)
{
    struct varve_error error = {0};
    enum varve_status status = backup_verify(BACKUP, env, NULL, &error);
    ck_assert_msg(status == VARVE_CORRUPT, "%s: verifying gives %s", path,
                  varve_status_name(status));
    ck_assert_str_eq(error.path, path);
    error = (struct varve_error){0};
    status = backup_restore(BACKUP, RESTORED, env, NULL, &error);
    ck_assert_msg(status == VARVE_CORRUPT, "%s: restoring gives %s", path,
                  varve_status_name(status));
    ck_assert_str_eq(error.path, path);
    ck_assert(!copy_exists(env, RESTORED) && !copy_exists(env, RESTORED ".partial"));
}

/* How much of a file counts. */
static uint64_t bytes_that_count(struct env *env, const char *path, uint64_t bytes)
{
    struct buf text = {0};
    struct backup_list list = {0};
    must_ok(env_read_file(env, BACKUP "/" BACKUP_LIST_NAME, 1 << 20, &text));
    must_ok(backup_list_decode(buf_slice(&text), &list));
    for (size_t i = 0; i < list.count; i++) {
        char name[FILENAME_BYTES_MAX];
        must_ok(filename_path(name, BACKUP, list.files[i].kind, list.files[i].id));
        if (strcmp(name, path) == 0)
            bytes = list.files[i].bytes;
    }
    backup_list_deinit(&list);
    buf_deinit(&text);
    return bytes;
}

static void file_lengthen(struct env *env, const char *path, uint64_t bytes)
{
    struct env_file *file = NULL;
    must_ok(env_open(env, path, ENV_OPEN_WRITE, &file));
    must_ok(env_file_write(file, bytes, varve_slice_str("x")));
    must_ok(env_file_close(file));
}

/* Lengths are looked at before a file is read, so this is for one that shrinks meanwhile. */
START_TEST(test_a_file_that_ends_too_early)
{
    struct fixture f;
    uint32_t crc = 0;
    struct env_file_info info = {0};
    fixture_init(&f);
    must_ok(env_info(f.env, BACKUP "/CURRENT", &info));
    ck_assert_int_eq(file_checksum(f.env, BACKUP "/CURRENT", info.size_bytes, &crc), VARVE_OK);
    ck_assert_int_eq(file_checksum(f.env, BACKUP "/CURRENT", info.size_bytes + 1, &crc),
                     VARVE_CORRUPT);
    ck_assert_int_eq(file_copy(f.env, BACKUP "/CURRENT", "/x", info.size_bytes + 1, &crc),
                     VARVE_CORRUPT);
    ck_assert_int_eq(file_copy(f.env, BACKUP "/CURRENT", "/x", 1, &crc), VARVE_EXISTS);
    fixture_deinit(&f);
}
END_TEST

START_TEST(test_refuses_a_damaged_file)
{
    struct fixture f;
    struct file_paths files = {0};
    fixture_init(&f);
    crash_env_each_file(f.crash, path_gather, &files);
    ck_assert_uint_ge(files.count, 6);
    for (size_t i = 0; i < files.count; i++) {
        const char *path = files.paths[i];
        uint64_t bytes = bytes_that_count(f.env, path, files.bytes[i]);
        const uint64_t offsets[] = {0, bytes / 2, bytes - 1};
        for (size_t k = 0; k < 3; k++) {
            struct crash_env *image = crash_env_clone(f.crash);
            ck_assert(crash_env_flip_byte(image, path, offsets[k], 0x10));
            expect_refused(crash_env_env(image), path);
            crash_env_free(image);
        }
        const uint64_t lengths[] = {0, bytes / 2, bytes - 1};
        for (size_t k = 0; k < 3; k++) {
            struct crash_env *image = crash_env_clone(f.crash);
            ck_assert(crash_env_cut_file(image, path, lengths[k]));
            expect_refused(crash_env_env(image), path);
            crash_env_free(image);
        }
        if (strstr(path, ".wal") == NULL) {
            struct crash_env *image = crash_env_clone(f.crash);
            file_lengthen(crash_env_env(image), path, files.bytes[i]);
            expect_refused(crash_env_env(image), path);
            crash_env_free(image);
        }
        struct crash_env *image = crash_env_clone(f.crash);
        must_ok(env_remove(crash_env_env(image), path));
        expect_refused(crash_env_env(image), path);
        crash_env_free(image);
    }
    fixture_deinit(&f);
}
END_TEST

/* Behind the sealed length stands the segment's former life. */
START_TEST(test_a_segment_counts_to_its_sealed_length)
{
    struct fixture f;
    struct file_paths files = {0};
    unsigned seen = 0;
    fixture_init(&f);
    crash_env_each_file(f.crash, path_gather, &files);
    for (size_t i = 0; i < files.count; i++) {
        uint64_t bytes = bytes_that_count(f.env, files.paths[i], files.bytes[i]);
        if (bytes == files.bytes[i])
            continue;
        ck_assert(strstr(files.paths[i], ".wal") != NULL);
        ck_assert(crash_env_flip_byte(f.crash, files.paths[i], bytes, 0xff));
        seen++;
    }
    ck_assert_uint_gt(seen, 0);
    ck_assert_int_eq(backup_verify(BACKUP, f.env, NULL, NULL), VARVE_OK);
    ck_assert_int_eq(backup_restore(BACKUP, RESTORED, f.env, NULL, NULL), VARVE_OK);
    copy_expect(f.env, RESTORED, &f.model, f.revision);
    fixture_deinit(&f);
}
END_TEST

START_TEST(test_refuses_what_is_no_backup)
{
    struct fixture f;
    struct varve_error error = {0};
    fixture_init(&f);
    ck_assert_int_eq(varve_checkpoint(f.db, "/checkpoint", NULL), VARVE_OK);
    ck_assert_int_eq(backup_restore("/checkpoint", RESTORED, f.env, NULL, &error), VARVE_CORRUPT);
    ck_assert_str_eq(error.path, "/checkpoint/BACKUP");
    ck_assert_int_eq(backup_restore("/nowhere", RESTORED, f.env, NULL, &error), VARVE_NOT_FOUND);
    ck_assert(!copy_exists(f.env, RESTORED));

    /* Open as a store, which changes it. */
    struct varve_db *opened = NULL;
    must_ok(db_open(BACKUP, &f.options, f.env, true, &opened, NULL));
    ck_assert_int_eq(backup_verify(BACKUP, f.env, NULL, &error), VARVE_LOCKED);
    ck_assert_int_eq(backup_restore(BACKUP, RESTORED, f.env, NULL, &error), VARVE_LOCKED);
    ck_assert_int_eq(varve_close(opened), VARVE_OK);
    ck_assert_int_eq(backup_verify(BACKUP, f.env, NULL, &error), VARVE_CORRUPT);
    fixture_deinit(&f);
}
END_TEST

/* Damage in the source is found when the backup is made, not when it is needed. */
START_TEST(test_does_not_preserve_damage)
{
    struct fixture f;
    struct varve_error error = {0};
    char path[FILENAME_BYTES_MAX];
    fixture_init(&f);
    const struct version *version = f.db->manifest.mu.state.version;
    size_t l = 1;
    while (version->levels[l].run_count == 0)
        l++;
    uint64_t id = version->levels[l].runs[0].tables[0]->meta.file_id;
    must_ok(filename_path(path, RIG_STORE, FILE_TABLE, id));
    ck_assert(crash_env_flip_byte(f.crash, path, 100, 1));
    ck_assert_int_eq(varve_backup_create(f.db, "/second", NULL, &error), VARVE_CORRUPT);
    ck_assert(strstr(error.path, strrchr(path, '/')) != NULL);
    ck_assert(!copy_exists(f.env, "/second") && !copy_exists(f.env, "/second.partial"));
    fixture_deinit(&f);
}
END_TEST

/* A power cut at any moment of a backup or of its restoring leaves all of it or nothing. */
struct cut_check {
    struct fixture *f;
    const char *path;
    bool is_backup;
    struct prng prng;
    unsigned images, found;
};

static void cut_hook(void *context)
{
    struct cut_check *check = context;
    const enum crash_cut modes[] = {CRASH_CUT_NONE, CRASH_CUT_ALL, CRASH_CUT_RANDOM,
                                    CRASH_CUT_RANDOM};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct crash_env *image = crash_env_cut(check->f->crash, prng_next(&check->prng), modes[i]);
        struct env *env = crash_env_env(image);
        check->images++;
        if (copy_exists(env, check->path)) {
            check->found++;
            ck_assert_int_eq(check->is_backup
                                 ? backup_verify(check->path, env, NULL, NULL)
                                 : store_verify(env, check->path, NULL, NULL, NULL, NULL),
                             VARVE_OK);
        }
        crash_env_free(image);
    }
}

START_TEST(test_power_cuts)
{
    struct fixture f;
    struct varve_backup_info info = {0};
    fixture_init(&f);
    fill(&f, 20);
    db_abandon(f.db);
    struct fault_env *fault = fault_env_new(f.env);
    struct env *env = fault_env_env(fault);
    f.db = rig_open(env, &f.options);
    struct cut_check check = {.f = &f, .path = "/second", .is_backup = true, .prng = prng_make(1)};
    const struct fault_rule rule = {.operations =
                                        FAULT_ANY & ~(FAULT_READ | FAULT_SIZE | FAULT_INFO),
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_OK,
                                    .hook = cut_hook,
                                    .context = &check};
    fault_env_set_rule(fault, &rule);
    ck_assert_int_eq(varve_backup_create(f.db, "/second", &info, NULL), VARVE_OK);
    check.path = RESTORED;
    check.is_backup = false;
    ck_assert_int_eq(backup_restore("/second", RESTORED, env, NULL, NULL), VARVE_OK);
    fault_env_set_rule(fault, NULL);
    struct crash_env *image = crash_env_cut(f.crash, 1, CRASH_CUT_NONE);
    ck_assert_int_eq(backup_verify("/second", crash_env_env(image), NULL, NULL), VARVE_OK);
    copy_expect(crash_env_env(image), RESTORED, &f.model, info.revision);
    crash_env_free(image);
    ck_assert_uint_gt(check.images, 100);
    ck_assert_uint_ge(check.found, 2);
    db_abandon(f.db);
    f.db = NULL;
    ck_assert_uint_eq(fault_env_handles(fault), 0);
    fault_env_free(fault);
    fixture_deinit(&f);
}
END_TEST

static const char list_text[] = "varve-backup 1 revision=9 time_ms=8 files=4\n"
                                "000003.sst 10 0000000a\n"
                                "000002.wal 4096 000000ff\n"
                                "manifest-000005 7 00000001\n"
                                "CURRENT 41 12345678\n";

static enum varve_status list_try(const char *body)
{
    struct buf text = {0};
    struct backup_list list = {0};
    must_ok(buf_append_format(&text, "%s", body));
    must_ok(
        buf_append_format(&text, "crc32c=%08" PRIx32 "\n", crc32c_extend(0, text.data, text.size)));
    enum varve_status status = backup_list_decode(buf_slice(&text), &list);
    backup_list_deinit(&list);
    buf_deinit(&text);
    return status;
}

/* With a checksum that holds, anything that is not spelled so is still refused. */
START_TEST(test_the_list_has_one_spelling)
{
    static const struct {
        const char *from, *to;
        enum varve_status status;
    } cases[] = {
        {"1 rev", "1 rev", VARVE_OK},
        {"varve-backup 1", "varve-backup 2", VARVE_UNSUPPORTED},
        {"varve-backup", "Varve-backup", VARVE_CORRUPT},
        {"revision=9", "revision=09", VARVE_CORRUPT},
        {"revision=9", "revision=-9", VARVE_CORRUPT},
        {"revision=9", "revision=99999999999999999999999", VARVE_CORRUPT},
        {"files=4", "files=5", VARVE_CORRUPT},
        {"files=4\n", "files=4 \n", VARVE_CORRUPT},
        {"files=4\n", "files=4\n\n", VARVE_CORRUPT},
        {"000003.sst 10", "000003.sst  10", VARVE_CORRUPT},
        {"000003.sst", "../003.sst", VARVE_CORRUPT},
        {"000003.sst", "LOCK", VARVE_CORRUPT},
        {"000003.sst", "00003.sst", VARVE_CORRUPT},
        {"000003.sst 10", "000003.sst", VARVE_CORRUPT},
        {"0000000a", "0000000A", VARVE_CORRUPT},
        {"0000000a", "a", VARVE_CORRUPT},
        {"000002.wal 4096 000000ff\n", "000003.sst 10 0000000a\n", VARVE_CORRUPT},
        {"000002.wal 4096 000000ff\n", "000002.sst 10 0000000a\n", VARVE_CORRUPT},
        {"000002.wal 4096 000000ff\n", "manifest-000004 1 0000000a\n", VARVE_CORRUPT},
        {"CURRENT 41 12345678\n", "", VARVE_CORRUPT},
        {"CURRENT 41 12345678\n", "CURRENT 41 12345678\nCURRENT 41 12345678\n", VARVE_CORRUPT},
        {"manifest-000005 7 00000001\n", "", VARVE_CORRUPT},
        {"CURRENT 41 12345678\n", "CURRENT 41 12345678", VARVE_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *at = strstr(list_text, cases[i].from);
        struct buf text = {0};
        must(at != NULL);
        must_ok(buf_append_format(&text, "%.*s%s%s", (int)(at - list_text), list_text, cases[i].to,
                                  at + strlen(cases[i].from)));
        enum varve_status status = list_try((const char *)text.data);
        ck_assert_msg(status == cases[i].status, "%s gives %s", cases[i].to,
                      varve_status_name(status));
        buf_deinit(&text);
    }
    /* Another version is believed only with a checksum. */
    static const char newer[] = "varve-backup 2 and more\ncrc32c=00000000\n";
    struct backup_list list = {0};
    ck_assert_int_eq(backup_list_decode(varve_slice_str(newer), &list), VARVE_CORRUPT);
}
END_TEST

/* The list is sound in itself, but not of these files. */
START_TEST(test_refuses_a_list_of_another_revision)
{
    struct fixture f;
    struct buf text = {0};
    struct backup_list list = {0};
    struct varve_error error = {0};
    fixture_init(&f);
    must_ok(env_read_file(f.env, BACKUP "/" BACKUP_LIST_NAME, 1 << 20, &text));
    must_ok(backup_list_decode(buf_slice(&text), &list));
    list.revision++;
    buf_clear(&text);
    must_ok(backup_list_encode(&list, &text));
    must_ok(env_replace_file(f.env, BACKUP, BACKUP "/" BACKUP_LIST_NAME, buf_slice(&text)));
    ck_assert_int_eq(backup_verify(BACKUP, f.env, NULL, &error), VARVE_CORRUPT);
    ck_assert(strstr(error.text, "revision") != NULL);
    backup_list_deinit(&list);
    buf_deinit(&text);
    fixture_deinit(&f);
}
END_TEST

#define LOAD_BACKUPS 10

START_TEST(test_under_load)
{
    struct tmpdir dir;
    struct varve_options options;
    struct varve_db *db = NULL;
    struct varve_backup_info infos[LOAD_BACKUPS] = {0};
    char path[LOAD_BACKUPS][TMPDIR_PATH_BYTES + 16];

    tmpdir_make(&dir);
    rig_options(&options);
    must_ok(varve_open(tmpdir_path(&dir, "store"), &options, &db, NULL));
    struct copy_load *load = copy_load_start(db, 23);
    for (int i = 0; i < LOAD_BACKUPS; i++) {
        snprintf(path[i], sizeof path[i], "%s/backup-%d", dir.path, i);
        copy_load_advance(load, 700);
        ck_assert_int_eq(varve_backup_create(db, path[i], &infos[i], NULL), VARVE_OK);
    }
    copy_load_advance(load, 3000);
    copy_load_stop(load);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    for (int i = 0; i < LOAD_BACKUPS; i++) {
        struct model model = {0};
        const char *restored = tmpdir_path(&dir, "restored");
        copy_load_model(load, infos[i].revision, &model);
        ck_assert_int_eq(varve_backup_verify(path[i], NULL, NULL), VARVE_OK);
        ck_assert_int_eq(varve_backup_restore(path[i], restored, NULL, NULL), VARVE_OK);
        copy_expect(env_posix(), restored, &model, infos[i].revision);
        ck_assert_int_eq(varve_destroy(restored, NULL), VARVE_OK);
        model_deinit(&model);
    }
    copy_load_free(load);
    tmpdir_remove(&dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backup");
    TCase *tests = tcase_create("backup");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, test_restores_what_was_backed_up);
    tcase_add_test(tests, test_a_file_that_ends_too_early);
    tcase_add_test(tests, test_refuses_a_damaged_file);
    tcase_add_test(tests, test_a_segment_counts_to_its_sealed_length);
    tcase_add_test(tests, test_refuses_what_is_no_backup);
    tcase_add_test(tests, test_does_not_preserve_damage);
    tcase_add_test(tests, test_power_cuts);
    tcase_add_test(tests, test_the_list_has_one_spelling);
    tcase_add_test(tests, test_refuses_a_list_of_another_revision);
    tcase_add_test(tests, test_under_load);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
