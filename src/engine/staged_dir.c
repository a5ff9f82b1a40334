/*
 * The lock tells a directory in the making from one that a crash left. It lies in the directory and
 * goes with it. Only files whose names are ours are ever removed, so that a directory of somebody
 * else that happens to be called so loses nothing.
 */
#include "engine/staged_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "format/backup_list.h"

#define PARTIAL_SUFFIX ".partial"
#define TEMPORARY_SUFFIX ".tmp" /* of env_replace_file */

static bool name_is_ours(const char *name)
{
    enum file_kind kind = FILE_CURRENT;
    uint64_t id = 0;
    if (filename_parse(name, &kind, &id))
        return kind != FILE_LOCK && kind != FILE_LOST_DIR;
    return strcmp(name, BACKUP_LIST_NAME) == 0 ||
           strcmp(name, BACKUP_LIST_NAME TEMPORARY_SUFFIX) == 0;
}

/* Gathers names, each with its NUL. */
static enum varve_status name_gather(void *context, const char *name)
{
    struct buf *names = context;
    return name_is_ours(name) ? buf_append(names, name, strlen(name) + 1) : VARVE_OK;
}

/* Removes the files that are ours, but not LOCK. */
static enum varve_status files_remove(struct env *env, const char *dir)
{
    struct buf names = {0}, path = {0};
    enum varve_status status = env_list(env, dir, name_gather, &names);
    for (size_t at = 0; status == VARVE_OK && at < names.size;
         at += strlen((const char *)names.data + at) + 1) {
        buf_clear(&path);
        status = buf_append_format(&path, "%s/%s", dir, (const char *)names.data + at);
        if (status == VARVE_OK)
            status = env_remove(env, (const char *)path.data);
    }
    buf_deinit(&names);
    buf_deinit(&path);
    return status;
}

static enum varve_status foreign_refuse(void *context, const char *name)
{
    enum file_kind kind = FILE_CURRENT;
    uint64_t id = 0;
    (void)context;
    return filename_parse(name, &kind, &id) && kind == FILE_LOCK ? VARVE_OK
                                                                 : status_raise(VARVE_EXISTS);
}

static enum varve_status paths_make(struct staged_dir *dir, const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    if (size == 0)
        return status_raise(VARVE_INVALID);
    if (size + strlen(PARTIAL_SUFFIX) >= sizeof dir->partial)
        return status_raise(VARVE_TOO_LARGE);
    snprintf(dir->path, sizeof dir->path, "%.*s", (int)size, path);
    snprintf(dir->partial, sizeof dir->partial, "%.*s" PARTIAL_SUFFIX, (int)size, path);
    return VARVE_OK;
}

/* The directory and its lock; what a crash left in it goes. */
static enum varve_status partial_take(struct staged_dir *dir)
{
    char path[FILENAME_BYTES_MAX];
    enum varve_status status = env_make_dir(dir->env, dir->partial);
    bool is_new = status == VARVE_OK;
    if (status == VARVE_EXISTS)
        status = VARVE_OK;
    if (status == VARVE_OK)
        status = filename_path(path, dir->partial, FILE_LOCK, 0);
    if (status == VARVE_OK)
        status = env_lock_file(dir->env, path, &dir->lock);
    dir->made = status == VARVE_OK || is_new;
    if (status == VARVE_OK && !is_new) {
        status = files_remove(dir->env, dir->partial);
        if (status == VARVE_OK)
            status = env_list(dir->env, dir->partial, foreign_refuse, NULL);
        dir->made = status == VARVE_OK;
    }
    return status;
}

enum varve_status staged_dir_begin(struct staged_dir *dir, struct env *env, const char *path,
                                   struct varve_error *ret_error)
{
    struct env_file_info info = {0};
    *dir = (struct staged_dir){.env = env};
    enum varve_status status = paths_make(dir, path);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET,
                         "the directory's name is empty or too long");
    status = env_info(env, dir->path, &info);
    if (status == VARVE_OK)
        return error_set(ret_error, VARVE_EXISTS, dir->path, STATUS_NO_OFFSET, "exists already");
    if (status == VARVE_NOT_FOUND)
        status = partial_take(dir);
    if (status == VARVE_OK)
        return VARVE_OK;
    return error_set(ret_error, status, dir->partial, STATUS_NO_OFFSET,
                     status == VARVE_LOCKED   ? "somebody else is making it"
                     : status == VARVE_EXISTS ? "exists already, with files in it that are not ours"
                                              : "cannot be made: %s",
                     varve_status_text(status));
}

/* Syncs the directory that holds `path`. */
static enum varve_status parent_sync(struct env *env, const char *path)
{
    char parent[FILENAME_BYTES_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        return env_sync_dir(env, ".");
    slash[slash == parent ? 1 : 0] = '\0';
    return env_sync_dir(env, parent);
}

enum varve_status staged_dir_commit(struct staged_dir *dir, struct varve_error *ret_error)
{
    enum varve_status status = env_rename(dir->env, dir->partial, dir->path);
    dir->named = status == VARVE_OK;
    if (status == VARVE_OK)
        status = parent_sync(dir->env, dir->path);
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir->path, STATUS_NO_OFFSET, "cannot get its name: %s",
                         varve_status_text(status));
    dir->made = false;
    return VARVE_OK;
}

void staged_dir_end(struct staged_dir *dir)
{
    char path[FILENAME_BYTES_MAX];
    const char *name = dir->named ? dir->path : dir->partial;
    if (dir->made) {
        /* What cannot be removed stays behind under its partial name, for the next one. */
        enum varve_status status = files_remove(dir->env, name);
        if (status == VARVE_OK)
            status = filename_path(path, name, FILE_LOCK, 0);
        if (status == VARVE_OK)
            status = env_remove(dir->env, path);
        if (status == VARVE_OK || status == VARVE_NOT_FOUND)
            status = env_remove_dir(dir->env, name);
        (void)status;
    }
    if (dir->lock != NULL)
        env_unlock_file(dir->env, dir->lock);
    *dir = (struct staged_dir){0};
}
