/*
 * tests/unit/os/crash_scene.h: what the tests of the crash env share: one, with a durable directory
 * "/d", and short ways to fill it and to look into images.
 */
#ifndef TESTS_UNIT_OS_CRASH_SCENE_H
#define TESTS_UNIT_OS_CRASH_SCENE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "crash_env.h"
#include "must.h"

#define IMAGES 200
#define SECTOR CRASH_SECTOR_BYTES

static struct crash_env *crash;
static struct env *env;

static inline void setup(void)
{
    crash = crash_env_new(1);
    env = crash_env_env(crash);
    must_ok(env_make_dir(env, "/d"));
    must_ok(env_sync_dir(env, "/"));
}

static inline void teardown(void)
{
    crash_env_free(crash);
}

static inline struct env_file *create(const char *path)
{
    struct env_file *file = NULL;
    must_ok(env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file));
    return file;
}

static inline void write_fill(struct env_file *file, uint64_t offset, char fill, size_t size)
{
    uint8_t *bytes = must_calloc(1, size);
    memset(bytes, fill, size);
    must_ok(env_file_write(file, offset, varve_slice(bytes, size)));
    free(bytes);
}

/* A durable file of `size` bytes of `fill`. */
static inline void make_durable(const char *path, char fill, size_t size)
{
    struct env_file *file = create(path);
    write_fill(file, 0, fill, size);
    must_ok(env_file_sync(file));
    must_ok(env_file_close(file));
    must_ok(env_sync_dir(env, "/d"));
}

/* What an image holds in a file; false if it has none. */
static inline bool image_read(struct crash_env *image, const char *path, struct buf *ret)
{
    buf_clear(ret);
    enum varve_status status = env_read_file(crash_env_env(image), path, SIZE_MAX, ret);
    ck_assert(status == VARVE_OK || status == VARVE_NOT_FOUND);
    return status == VARVE_OK;
}

static inline bool image_has(struct crash_env *image, const char *path)
{
    struct env_file_info info = {0};
    return env_info(crash_env_env(image), path, &info) == VARVE_OK;
}

static inline bool is_filled(const uint8_t *bytes, char fill, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (uint8_t)fill)
            return false;
    }
    return true;
}

/* How many of the random images have the file. */
static inline unsigned images_with(const char *path)
{
    unsigned with = 0;
    for (uint64_t seed = 0; seed < IMAGES; seed++) {
        struct crash_env *image = crash_env_cut(crash, seed, CRASH_CUT_RANDOM);
        with += image_has(image, path);
        crash_env_free(image);
    }
    return with;
}

#endif
