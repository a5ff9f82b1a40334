/*
 * Whole small files on top of any environment. A replacement is written under another name and
 * synced before it is renamed, so that at any time `path` is either the old content or the new.
 */
#include "os/env.h"

#include "base/buf.h"

#define TEMPORARY_SUFFIX ".tmp"

enum varve_status env_read_file(struct env *env, const char *path, size_t max_bytes,
                                struct buf *ret)
{
    struct env_file *file = NULL;
    enum varve_status status = env_open(env, path, ENV_OPEN_READ, &file);
    if (status != VARVE_OK)
        return status;
    struct buf content = {0};
    uint64_t bytes = 0;
    status = env_file_size(file, &bytes);
    if (status != VARVE_OK)
        goto out;
    if (bytes > max_bytes) {
        status = status_raise(VARVE_TOO_LARGE);
        goto out;
    }
    status = buf_reserve(&content, (size_t)bytes);
    if (status != VARVE_OK)
        goto out;
    status = env_file_read(file, 0, content.data, (size_t)bytes, &content.size);
out:
    env_file_close(file); /* nothing was written that a failure could lose */
    if (status != VARVE_OK) {
        buf_deinit(&content);
        return status;
    }
    buf_deinit(ret);
    *ret = content;
    return VARVE_OK;
}

static enum varve_status write_and_sync(struct env *env, const char *path,
                                        struct varve_slice content)
{
    struct env_file *file = NULL;
    enum varve_status status =
        env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (status != VARVE_OK)
        return status;
    status = env_file_write(file, 0, content);
    if (status == VARVE_OK)
        status = env_file_sync(file);
    enum varve_status closed = env_file_close(file);
    return status != VARVE_OK ? status : closed;
}

enum varve_status env_replace_file(struct env *env, const char *dir, const char *path,
                                   struct varve_slice content)
{
    struct buf name = {0};
    enum varve_status status = buf_append_format(&name, "%s" TEMPORARY_SUFFIX, path);
    if (status != VARVE_OK)
        return status;
    const char *temporary = (const char *)name.data;
    status = write_and_sync(env, temporary, content);
    if (status == VARVE_OK)
        status = env_rename(env, temporary, path);
    if (status == VARVE_OK) {
        status = env_sync_dir(env, dir);
    } else {
        enum varve_status removed = env_remove(env, temporary);
        (void)removed; /* at worst it stays until the next replacement */
    }
    buf_deinit(&name);
    return status;
}
