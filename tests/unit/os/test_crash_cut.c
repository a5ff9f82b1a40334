/* A cut keeps what it says it keeps, loses what it says it may lose, and nothing else. */
#include <check.h>
#include <string.h>

#include "base/buf.h"
#include "crash_env.h"
#include "crash_scene.h"
#include "must.h"
#include "run_suite.h"

START_TEST(synced_content_never_vanishes)
{
    make_durable("/d/a", 's', 3 * SECTOR + 7);
    struct env_file *file = create("/d/a");
    write_fill(file, SECTOR, 'u', SECTOR);
    struct buf content = {0};
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        ck_assert(image_read(image, "/d/a", &content));
        ck_assert_uint_eq(content.size, 3 * SECTOR + 7);
        ck_assert(is_filled(content.data, 's', SECTOR));
        ck_assert(is_filled(content.data + 2 * SECTOR, 's', SECTOR + 7));
        crash_env_free(image);
    }
    must_ok(env_file_sync(file));
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        ck_assert(image_read(image, "/d/a", &content));
        ck_assert(is_filled(content.data + SECTOR, 'u', SECTOR));
        crash_env_free(image);
    }
    buf_deinit(&content);
    must_ok(env_file_close(file));
}
END_TEST

/* Each sector holds one of its versions, whole; every combination of two sectors turns up. */
START_TEST(unsynced_content_tears_at_sectors)
{
    make_durable("/d/a", '0', 2 * SECTOR);
    struct env_file *file = create("/d/a");
    write_fill(file, 0, '1', 2 * SECTOR);
    write_fill(file, 100, '2', SECTOR); /* part of each sector */
    struct buf content = {0};
    unsigned seen[3][3] = {{0}};
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        ck_assert(image_read(image, "/d/a", &content));
        ck_assert_uint_eq(content.size, 2 * SECTOR);
        int first = content.data[100] - '0';
        int second = content.data[SECTOR] - '0';
        ck_assert(first >= 0 && first <= 2 && second >= 0 && second <= 2);
        ck_assert(is_filled(content.data, first == 0 ? '0' : '1', 100));
        ck_assert(is_filled(content.data + 100, (char)('0' + first), SECTOR - 100));
        ck_assert(is_filled(content.data + SECTOR, (char)('0' + second), 100));
        ck_assert(is_filled(content.data + SECTOR + 100, second == 0 ? '0' : '1', SECTOR - 100));
        seen[first][second]++;
        crash_env_free(image);
    }
    for (int first = 0; first < 3; first++) {
        for (int second = 0; second < 3; second++)
            ck_assert_uint_gt(seen[first][second], 0);
    }
    buf_deinit(&content);
    must_ok(env_file_close(file));
}
END_TEST

/* An unsynced extension: lost, zeros, or there, under any of the sizes that it had. */
START_TEST(unsynced_size_is_apart_from_content)
{
    make_durable("/d/a", 's', SECTOR);
    struct env_file *file = create("/d/a");
    write_fill(file, SECTOR, 'u', SECTOR);
    write_fill(file, 2 * SECTOR, 'v', SECTOR);
    write_fill(file, 0, 'w', SECTOR);
    struct buf content = {0};
    bool zeros_seen = false, short_seen = false, middle_seen = false, all_seen = false;
    bool later_seen = false; /* the last change without the first ones */
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        ck_assert(image_read(image, "/d/a", &content));
        ck_assert(content.size >= SECTOR && content.size % SECTOR == 0);
        ck_assert_uint_le(content.size, 3 * SECTOR);
        bool is_later = content.data[0] == 'w';
        ck_assert(is_filled(content.data, is_later ? 'w' : 's', SECTOR));
        later_seen |= is_later && content.size == SECTOR;
        short_seen |= content.size == SECTOR;
        middle_seen |= content.size == 2 * SECTOR;
        if (content.size >= 2 * SECTOR) {
            bool lost = content.data[SECTOR] == 0;
            ck_assert(is_filled(content.data + SECTOR, lost ? 0 : 'u', SECTOR));
            zeros_seen |= lost;
        }
        all_seen |= content.size == 3 * SECTOR && content.data[2 * SECTOR] == 'v';
        crash_env_free(image);
    }
    ck_assert(zeros_seen && short_seen && middle_seen && all_seen && later_seen);
    buf_deinit(&content);
    must_ok(env_file_close(file));
}
END_TEST

/* Either the old content, or its front with any of what was appended after. */
START_TEST(lost_truncation_loses_what_follows)
{
    make_durable("/d/a", 's', 4 * SECTOR);
    struct env_file *file = create("/d/a");
    must_ok(env_file_truncate(file, SECTOR));
    write_fill(file, SECTOR, 'n', SECTOR);
    struct buf content = {0};
    bool old_seen = false, new_seen = false;
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        ck_assert(image_read(image, "/d/a", &content));
        ck_assert(is_filled(content.data, 's', SECTOR));
        if (content.size == 4 * SECTOR) {
            ck_assert(is_filled(content.data, 's', 4 * SECTOR));
            old_seen = true;
        } else if (content.size == 2 * SECTOR) {
            bool lost = content.data[SECTOR] == 0;
            ck_assert(is_filled(content.data + SECTOR, lost ? 0 : 'n', SECTOR));
            new_seen |= !lost;
        } else {
            ck_assert_uint_eq(content.size, SECTOR);
        }
        crash_env_free(image);
    }
    ck_assert(old_seen && new_seen);
    buf_deinit(&content);
    must_ok(env_file_close(file));
}
END_TEST

START_TEST(new_file_needs_sync_dir)
{
    struct env_file *file = create("/d/a");
    write_fill(file, 0, 'a', 10);
    must_ok(env_file_sync(file));
    must_ok(env_file_close(file));
    unsigned with = images_with("/d/a");
    ck_assert(with > 0 && with < IMAGES);
    struct crash_env *image = crash_env_cut(crash, 0, CRASH_CUT_NONE);
    ck_assert(!image_has(image, "/d/a"));
    crash_env_free(image);
    image = crash_env_cut(crash, 0, CRASH_CUT_ALL);
    ck_assert(image_has(image, "/d/a"));
    crash_env_free(image);
    must_ok(env_sync_dir(env, "/d"));
    ck_assert_uint_eq(images_with("/d/a"), IMAGES);
}
END_TEST

START_TEST(new_directory_needs_its_parent_synced)
{
    must_ok(env_make_dir(env, "/d/e"));
    must_ok(env_file_close(create("/d/e/a")));
    must_ok(env_sync_dir(env, "/d/e"));
    unsigned with = images_with("/d/e/a");
    ck_assert(with > 0 && with < IMAGES);
    must_ok(env_sync_dir(env, "/d"));
    ck_assert_uint_eq(images_with("/d/e/a"), IMAGES);
}
END_TEST

START_TEST(removed_file_may_come_back)
{
    make_durable("/d/a", 'a', 10);
    must_ok(env_remove(env, "/d/a"));
    unsigned with = images_with("/d/a");
    ck_assert(with > 0 && with < IMAGES);
    must_ok(env_sync_dir(env, "/d"));
    ck_assert_uint_eq(images_with("/d/a"), 0);
}
END_TEST

/* Always one of the two, whole, and never none; the first name goes with the rename. */
START_TEST(rename_is_either_or)
{
    make_durable("/d/old", 'o', 10);
    make_durable("/d/new", 'n', 10);
    must_ok(env_rename(env, "/d/new", "/d/old"));
    struct buf content = {0};
    unsigned renamed = 0;
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        ck_assert(image_read(image, "/d/old", &content));
        bool is_new = content.data[0] == 'n';
        ck_assert(is_filled(content.data, is_new ? 'n' : 'o', 10));
        ck_assert(image_has(image, "/d/new") == !is_new);
        renamed += is_new;
        crash_env_free(image);
    }
    ck_assert(renamed > 0 && renamed < IMAGES);
    buf_deinit(&content);
}
END_TEST

/* Syncing either directory settles a rename between them, and what it builds on. */
START_TEST(rename_across_directories_is_one_change)
{
    must_ok(env_make_dir(env, "/e"));
    must_ok(env_sync_dir(env, "/"));
    must_ok(env_file_close(create("/d/a")));
    must_ok(env_rename(env, "/d/a", "/e/a"));
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        ck_assert(!image_has(image, "/d/a") || !image_has(image, "/e/a"));
        crash_env_free(image);
    }
    must_ok(env_sync_dir(env, "/e"));
    ck_assert_uint_eq(images_with("/e/a"), IMAGES);
    ck_assert_uint_eq(images_with("/d/a"), 0);
}
END_TEST

/* Removed and made anew: the old file, none, or the new one. */
START_TEST(changes_of_a_name_keep_their_order)
{
    make_durable("/d/a", '1', 1);
    must_ok(env_remove(env, "/d/a"));
    struct env_file *file = create("/d/a");
    write_fill(file, 0, '2', 1);
    must_ok(env_file_sync(file));
    must_ok(env_file_close(file));
    struct buf content = {0};
    unsigned seen[3] = {0};
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        if (!image_read(image, "/d/a", &content))
            seen[0]++;
        else
            seen[content.data[0] - '0']++;
        crash_env_free(image);
    }
    ck_assert(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
    buf_deinit(&content);
}
END_TEST

/* No later name without the earlier ones: the file is always under exactly one. */
START_TEST(renames_in_a_row_keep_their_order)
{
    make_durable("/d/a", 'a', 1);
    must_ok(env_rename(env, "/d/a", "/d/b"));
    must_ok(env_rename(env, "/d/b", "/d/c"));
    unsigned seen[3] = {0};
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        unsigned a = image_has(image, "/d/a");
        unsigned b = image_has(image, "/d/b");
        unsigned c = image_has(image, "/d/c");
        ck_assert_uint_eq(a + b + c, 1);
        seen[0] += a;
        seen[1] += b;
        seen[2] += c;
        crash_env_free(image);
    }
    ck_assert(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
}
END_TEST

/* An image is all durable, and loses again only what is changed in it. */
START_TEST(image_can_be_cut_again)
{
    struct env_file *file = create("/d/a");
    write_fill(file, 0, 'a', 3 * SECTOR);
    must_ok(env_file_close(file));
    struct crash_env *image = crash_env_cut(crash, 0, CRASH_CUT_ALL);
    must_ok(env_open(crash_env_env(image), "/d/a", ENV_OPEN_WRITE, &file));
    write_fill(file, SECTOR, 'b', SECTOR);
    must_ok(env_file_close(file));
    struct crash_env *second = crash_env_cut(image, 0, CRASH_CUT_NONE);
    struct buf content = {0};
    ck_assert(image_read(second, "/d/a", &content));
    ck_assert_uint_eq(content.size, 3 * SECTOR);
    ck_assert(is_filled(content.data, 'a', 3 * SECTOR));
    buf_deinit(&content);
    crash_env_free(second);
    crash_env_free(image);
}
END_TEST

START_TEST(equal_seeds_give_equal_images)
{
    struct env_file *file = create("/d/a");
    for (unsigned i = 0; i < 50; i++)
        write_fill(file, i * 300, (char)i, 300);
    struct buf one = {0}, two = {0};
    bool differs = false;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct crash_env *a = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        struct crash_env *clone = crash_env_clone(crash);
        struct crash_env *b = crash_env_cut(clone, seed, CRASH_CUT_RANDOM);
        bool there = image_read(a, "/d/a", &one);
        ck_assert(image_read(b, "/d/a", &two) == there);
        if (there)
            ck_assert_int_eq(varve_slice_compare(buf_slice(&one), buf_slice(&two)), 0);
        differs |= there && !is_filled(one.data, 0, one.size);
        crash_env_free(a);
        crash_env_free(b);
        crash_env_free(clone);
    }
    ck_assert(differs);
    buf_deinit(&one);
    buf_deinit(&two);
    must_ok(env_file_close(file));
}
END_TEST

/* The operation that the power goes in reports a failure, but may have happened. */
START_TEST(operation_in_flight_may_have_happened)
{
    make_durable("/d/a", 'a', 1);
    crash_env_set_cut_after(crash, crash_env_operations(crash));
    ck_assert_int_eq(env_rename(env, "/d/a", "/d/b"), VARVE_IO);
    unsigned with = images_with("/d/b");
    ck_assert(with > 0 && with < IMAGES);
    ck_assert_uint_eq(images_with("/d/a"), IMAGES - with);
}
END_TEST

START_TEST(hard_links_stay_one_file)
{
    make_durable("/d/a", 'a', 10);
    must_ok(env_link(env, "/d/a", "/d/b"));
    must_ok(env_sync_dir(env, "/d"));
    struct crash_env *image = crash_env_cut(crash, 0, CRASH_CUT_RANDOM);
    struct env_file *file = NULL;
    must_ok(env_open(crash_env_env(image), "/d/a", ENV_OPEN_WRITE, &file));
    must_ok(env_file_write(file, 0, varve_slice("z", 1)));
    must_ok(env_file_close(file));
    struct buf content = {0};
    ck_assert(image_read(image, "/d/b", &content));
    ck_assert_int_eq(content.data[0], 'z');
    buf_deinit(&content);
    crash_env_free(image);
}
END_TEST

static Suite *crash_cut_suite(void)
{
    Suite *suite = suite_create("crash_cut");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, synced_content_never_vanishes);
    tcase_add_test(tcase, unsynced_content_tears_at_sectors);
    tcase_add_test(tcase, unsynced_size_is_apart_from_content);
    tcase_add_test(tcase, lost_truncation_loses_what_follows);
    tcase_add_test(tcase, new_file_needs_sync_dir);
    tcase_add_test(tcase, new_directory_needs_its_parent_synced);
    tcase_add_test(tcase, removed_file_may_come_back);
    tcase_add_test(tcase, rename_is_either_or);
    tcase_add_test(tcase, rename_across_directories_is_one_change);
    tcase_add_test(tcase, changes_of_a_name_keep_their_order);
    tcase_add_test(tcase, renames_in_a_row_keep_their_order);
    tcase_add_test(tcase, image_can_be_cut_again);
    tcase_add_test(tcase, equal_seeds_give_equal_images);
    tcase_add_test(tcase, operation_in_flight_may_have_happened);
    tcase_add_test(tcase, hard_links_stay_one_file);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(crash_cut_suite());
}
