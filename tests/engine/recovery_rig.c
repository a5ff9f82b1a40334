/* Damage comes by way of the crash environment, or of its own env where a whole file is written. */
#include "recovery_rig.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "must.h"

#define PATH_BYTES 64

void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.crash = crash_env_new(1)};
    f->env = crash_env_env(f->crash);
    rig_options(&f->options);
    f->options.wal_segments_spare = 0;
    f->db = rig_open(f->env, &f->options);
}

void fixture_deinit(struct fixture *f)
{
    if (f->db != NULL)
        db_abandon(f->db);
    ck_assert_uint_eq(crash_env_handles(f->crash), 0);
    crash_env_free(f->crash);
}

void die(struct fixture *f)
{
    db_abandon(f->db);
    f->db = NULL;
}

void shut(struct fixture *f)
{
    ck_assert_int_eq(varve_close(f->db), VARVE_OK);
    f->db = NULL;
}

void reopen(struct fixture *f)
{
    f->db = rig_open(f->env, &f->options);
}

void expect_refused(struct fixture *f, enum varve_status status, const char *name, uint64_t offset)
{
    for (int i = 0; i < 2; i++) {
        struct varve_error error = {0};
        enum varve_status got = rig_try_open(f->env, &f->options, &f->db, &error);
        ck_assert_msg(got == status, "opening gives %s (%s, %s)", varve_status_name(got),
                      error.text, error.path);
        ck_assert_int_eq(error.status, status);
        ck_assert_msg(strstr(error.path, name) != NULL || strstr(error.text, name) != NULL,
                      "%s is not named: %s, %s", name, error.path, error.text);
        if (offset != 0)
            ck_assert_uint_eq(error.offset, offset);
    }
    f->db = NULL;
}

uint64_t active_segment(struct fixture *f)
{
    struct varve_stats stats = {0};
    varve_stats_read(f->db, &stats);
    return stats.wal_segment;
}

const char *segment_path(uint64_t id)
{
    static char path[4][PATH_BYTES];
    static unsigned turn;
    char *at = path[turn++ % 4];
    snprintf(at, PATH_BYTES, RIG_STORE "/%06" PRIu64 ".wal", id);
    return at;
}

struct wal_frame frame_find(struct fixture *f, uint64_t segment, size_t n)
{
    struct wal_reader reader = {0};
    struct wal_frame frame = {0};
    ck_assert_int_eq(wal_reader_open(&reader, f->env, segment_path(segment), segment, 0, NULL),
                     VARVE_OK);
    for (size_t i = 0; i <= n; i++)
        ck_assert_int_eq(wal_reader_next(&reader, &frame), VARVE_OK);
    wal_reader_close(&reader);
    return frame;
}

static void search_each(void *context, const char *path, struct varve_slice content)
{
    struct search *search = context;
    if (strncmp(path, search->prefix, strlen(search->prefix)) != 0 ||
        strstr(path, search->part) == NULL)
        return;
    if (search->count++ > 0)
        return;
    snprintf(search->path, sizeof search->path, "%s", path);
    must_ok(buf_assign(&search->content, content));
}
size_t files_find(struct fixture *f, const char *prefix, const char *part, struct search *ret)
{
    struct search search = {.prefix = prefix, .part = part};
    crash_env_each_file(f->crash, search_each, &search);
    if (ret != NULL)
        *ret = search;
    else
        buf_deinit(&search.content);
    return search.count;
}

void file_write(struct fixture *f, const char *path, const void *data, size_t size)
{
    struct env_file *file = NULL;
    must_ok(env_open(f->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file));
    must_ok(env_file_write(file, 0, varve_slice(data, size)));
    must_ok(env_file_sync(file));
    must_ok(env_file_close(file));
}
