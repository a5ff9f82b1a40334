/* The crash env keeps what it says it keeps, loses what it says it may lose, and nothing else. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "crash_env.h"
#include "must.h"
#include "run_suite.h"
#include "tmpdir.h"

#define IMAGES 200
#define SECTOR CRASH_SECTOR_BYTES

static struct crash_env *crash;
static struct env *env;

static void setup(void)
{
    crash = crash_env_new(1);
    env = crash_env_env(crash);
    must_ok(env_make_dir(env, "/d"));
    must_ok(env_sync_dir(env, "/"));
}

static void teardown(void)
{
    crash_env_free(crash);
}

static struct env_file *create(const char *path)
{
    struct env_file *file = NULL;
    must_ok(env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file));
    return file;
}

static void write_fill(struct env_file *file, uint64_t offset, char fill, size_t size)
{
    uint8_t *bytes = must_calloc(1, size);
    memset(bytes, fill, size);
    must_ok(env_file_write(file, offset, varve_slice(bytes, size)));
    free(bytes);
}

/* A durable file of `size` bytes of `fill`. */
static void make_durable(const char *path, char fill, size_t size)
{
    struct env_file *file = create(path);
    write_fill(file, 0, fill, size);
    must_ok(env_file_sync(file));
    must_ok(env_file_close(file));
    must_ok(env_sync_dir(env, "/d"));
}

/* What an image holds in a file; false if it has none. */
static bool image_read(struct crash_env *image, const char *path, struct buf *ret)
{
    buf_clear(ret);
    enum varve_status status = env_read_file(crash_env_env(image), path, SIZE_MAX, ret);
    ck_assert(status == VARVE_OK || status == VARVE_NOT_FOUND);
    return status == VARVE_OK;
}

static bool image_has(struct crash_env *image, const char *path)
{
    struct env_file_info info = {0};
    return env_info(crash_env_env(image), path, &info) == VARVE_OK;
}

static bool is_filled(const uint8_t *bytes, char fill, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (uint8_t)fill)
            return false;
    }
    return true;
}

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

/* How many of the random images have the file. */
static unsigned images_with(const char *path)
{
    unsigned with = 0;
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        with += image_has(image, path);
        crash_env_free(image);
    }
    return with;
}

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

static Suite *crash_env_suite(void)
{
    Suite *suite = suite_create("crash_env");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, files_work_as_files);
    tcase_add_test(tcase, names_work_as_names);
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
    tcase_add_test(tcase, power_goes_after_operation_k);
    tcase_add_test(tcase, operation_in_flight_may_have_happened);
    tcase_add_test(tcase, refused_operations_do_not_count);
    tcase_add_test(tcase, locks_go_with_the_power);
    tcase_add_test(tcase, hard_links_stay_one_file);
    tcase_add_test(tcase, medium_can_be_damaged);
    tcase_add_test(tcase, clock_and_random_source_are_given);
    tcase_add_test(tcase, files_can_be_listed_and_dumped);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(crash_env_suite());
}
