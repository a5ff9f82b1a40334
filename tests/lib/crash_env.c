/*
 * struct env round a crash_fs: handles, the lock, the count of operations and the moment of the
 * cut. An operation is first checked, then done, then counted; the one that exceeds the count is
 * done too (but for syncs) and reports a failure all the same.
 */
#include "crash_env.h"

#include <stdlib.h>
#include <string.h>

#include "crash_fs.h"
#include "must.h"
#include "os/sync.h"
#include "prng.h"

#define SPACE_BYTES (1ull << 40) /* what it says is free */
#define START_WALL_MS 1700000000000ull

struct crash_env {
    struct env base;
    struct {
        struct mutex lock;
        struct crash_fs fs;
        struct prng prng;
        uint64_t operations, cut_after;
        bool is_cut;
        uint64_t wall_ms;
        size_t handles;
    } mu;
};

struct crash_file {
    struct env_file base;
    struct crash_env *crash;
    struct crash_inode *inode;
    bool may_write;
};

struct env_lock {
    struct crash_inode *inode;
};

static struct crash_env *crash_of(struct env *env)
{
    return (struct crash_env *)env;
}

static struct crash_file *file_of(struct env_file *file)
{
    return (struct crash_file *)file;
}

/* Locks; VARVE_IO, and not locked, after the cut. */
static enum varve_status crash_begin(struct crash_env *crash)
{
    mutex_lock(&crash->mu.lock);
    if (!crash->mu.is_cut)
        return VARVE_OK;
    mutex_unlock(&crash->mu.lock);
    return VARVE_IO;
}

static enum varve_status crash_end(struct crash_env *crash, enum varve_status status)
{
    mutex_unlock(&crash->mu.lock);
    return status;
}

/* Counts an operation. VARVE_IO when the power goes in the middle of it. */
static enum varve_status crash_count_locked(struct crash_env *crash)
{
    if (crash->mu.operations >= crash->mu.cut_after) {
        crash->mu.is_cut = true;
        return VARVE_IO;
    }
    crash->mu.operations++;
    return VARVE_OK;
}

static enum varve_status file_read(struct env_file *file, uint64_t offset, void *data, size_t size,
                                   size_t *ret_size)
{
    struct crash_file *self = file_of(file);
    if (crash_begin(self->crash) != VARVE_OK)
        return VARVE_IO;
    const struct buf *now = &self->inode->now;
    size_t there = offset < now->size ? now->size - (size_t)offset : 0;
    if (there > size)
        there = size;
    if (there > 0)
        memcpy(data, now->data + offset, there);
    *ret_size = there;
    return crash_end(self->crash, VARVE_OK);
}

static enum varve_status file_write(struct env_file *file, uint64_t offset, struct varve_slice data)
{
    struct crash_file *self = file_of(file);
    if (!self->may_write || crash_begin(self->crash) != VARVE_OK)
        return VARVE_IO;
    crash_inode_write(self->inode, offset, data);
    return crash_end(self->crash, crash_count_locked(self->crash));
}

static enum varve_status file_truncate(struct env_file *file, uint64_t bytes)
{
    struct crash_file *self = file_of(file);
    if (!self->may_write || crash_begin(self->crash) != VARVE_OK)
        return VARVE_IO;
    crash_inode_resize(self->inode, bytes);
    return crash_end(self->crash, crash_count_locked(self->crash));
}

static enum varve_status file_sync(struct env_file *file)
{
    struct crash_file *self = file_of(file);
    if (crash_begin(self->crash) != VARVE_OK)
        return VARVE_IO;
    enum varve_status status = crash_count_locked(self->crash);
    if (status == VARVE_OK)
        crash_inode_sync(self->inode);
    return crash_end(self->crash, status);
}

static enum varve_status file_size(struct env_file *file, uint64_t *ret_bytes)
{
    struct crash_file *self = file_of(file);
    if (crash_begin(self->crash) != VARVE_OK)
        return VARVE_IO;
    *ret_bytes = self->inode->now.size;
    return crash_end(self->crash, VARVE_OK);
}

static enum varve_status file_close(struct env_file *file)
{
    struct crash_file *self = file_of(file);
    struct crash_env *crash = self->crash;
    mutex_lock(&crash->mu.lock);
    crash_inode_unref(self->inode);
    crash->mu.handles--;
    enum varve_status status = crash->mu.is_cut ? VARVE_IO : VARVE_OK;
    free(self);
    return crash_end(crash, status);
}

static const struct env_file_ops crash_file_ops = {
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .size = file_size,
    .truncate = file_truncate,
    .close = file_close,
};

static struct env_file *file_new_locked(struct crash_env *crash, struct crash_inode *inode,
                                        unsigned flags)
{
    struct crash_file *file = must_calloc(1, sizeof *file);
    file->base.ops = &crash_file_ops;
    file->crash = crash;
    file->inode = crash_inode_ref(inode);
    file->may_write = (flags & ENV_OPEN_WRITE) != 0;
    crash->mu.handles++;
    return &file->base;
}

/* Finds the file of a path, or makes it; counts if that changes anything. */
static enum varve_status open_inode_locked(struct crash_env *crash, const char *path,
                                           unsigned flags, struct crash_inode **ret_inode)
{
    struct crash_inode *dir = NULL;
    char name[CRASH_NAME_BYTES_MAX];
    if (!crash_fs_resolve(&crash->mu.fs, path, &dir, name))
        return VARVE_NOT_FOUND;
    struct crash_inode *inode = crash_entries_find(&dir->names_now, name);
    if (inode == NULL) {
        if ((flags & ENV_OPEN_CREATE) == 0)
            return VARVE_NOT_FOUND;
        inode = crash_inode_new(false);
        crash_fs_set_name(&crash->mu.fs, dir, name, inode);
        crash_inode_unref(inode); /* the name holds it */
        *ret_inode = inode;
        return crash_count_locked(crash);
    }
    if ((flags & ENV_OPEN_CREATE) != 0 && (flags & ENV_OPEN_EXCLUSIVE) != 0)
        return VARVE_EXISTS;
    if (inode->is_directory)
        return VARVE_IO;
    *ret_inode = inode;
    if ((flags & ENV_OPEN_TRUNCATE) == 0)
        return VARVE_OK;
    crash_inode_resize(inode, 0);
    return crash_count_locked(crash);
}

static enum varve_status crash_open(struct env *env, const char *path, unsigned flags,
                                    struct env_file **ret_file)
{
    struct crash_env *crash = crash_of(env);
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    struct crash_inode *inode = NULL;
    enum varve_status status = open_inode_locked(crash, path, flags, &inode);
    if (status == VARVE_OK)
        *ret_file = file_new_locked(crash, inode, flags);
    return crash_end(crash, status);
}

/* Calls back outside the lock, on a copy. */
static enum varve_status crash_list(struct env *env, const char *path, env_list_fn each,
                                    void *context)
{
    struct crash_env *crash = crash_of(env);
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    struct crash_inode *dir = crash_fs_find(&crash->mu.fs, path);
    if (dir == NULL || !dir->is_directory)
        return crash_end(crash, dir == NULL ? VARVE_NOT_FOUND : VARVE_IO);
    size_t count = dir->names_now.count;
    char **names = must_calloc(count + 1, sizeof names[0]);
    for (size_t i = 0; i < count; i++)
        names[i] = must_strdup(dir->names_now.at[i].name);
    mutex_unlock(&crash->mu.lock);
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; i < count; i++) {
        if (status == VARVE_OK)
            status = each(context, names[i]);
        free(names[i]);
    }
    free(names);
    return status;
}

static enum varve_status crash_make_dir(struct env *env, const char *path)
{
    struct crash_env *crash = crash_of(env);
    struct crash_inode *dir = NULL;
    char name[CRASH_NAME_BYTES_MAX];
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    if (crash_fs_find(&crash->mu.fs, path) != NULL)
        return crash_end(crash, VARVE_EXISTS);
    if (!crash_fs_resolve(&crash->mu.fs, path, &dir, name))
        return crash_end(crash, VARVE_NOT_FOUND);
    struct crash_inode *inode = crash_inode_new(true);
    crash_fs_set_name(&crash->mu.fs, dir, name, inode);
    crash_inode_unref(inode);
    return crash_end(crash, crash_count_locked(crash));
}

/* Takes away the name of a file or of an empty directory. */
static enum varve_status remove_name(struct env *env, const char *path, bool is_directory)
{
    struct crash_env *crash = crash_of(env);
    struct crash_inode *dir = NULL;
    char name[CRASH_NAME_BYTES_MAX];
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    struct crash_inode *inode = NULL;
    if (crash_fs_resolve(&crash->mu.fs, path, &dir, name))
        inode = crash_entries_find(&dir->names_now, name);
    if (inode == NULL)
        return crash_end(crash, VARVE_NOT_FOUND);
    if (inode->is_directory != is_directory)
        return crash_end(crash, VARVE_IO);
    if (inode->names_now.count > 0)
        return crash_end(crash, VARVE_EXISTS);
    crash_fs_set_name(&crash->mu.fs, dir, name, NULL);
    return crash_end(crash, crash_count_locked(crash));
}

static enum varve_status crash_remove_dir(struct env *env, const char *path)
{
    return remove_name(env, path, true);
}

static enum varve_status crash_remove(struct env *env, const char *path)
{
    return remove_name(env, path, false);
}

static enum varve_status crash_sync_dir(struct env *env, const char *path)
{
    struct crash_env *crash = crash_of(env);
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    struct crash_inode *dir = crash_fs_find(&crash->mu.fs, path);
    if (dir == NULL || !dir->is_directory)
        return crash_end(crash, dir == NULL ? VARVE_NOT_FOUND : VARVE_IO);
    enum varve_status status = crash_count_locked(crash);
    if (status == VARVE_OK)
        crash_fs_sync_dir(&crash->mu.fs, dir);
    return crash_end(crash, status);
}

/* Both ends of a rename or link. `ret_target` is what `from` names, `ret_there` what `to` names,
 * NULL if nothing. */
struct two_names {
    struct crash_inode *from_dir, *to_dir, *target, *there;
    char from[CRASH_NAME_BYTES_MAX], to[CRASH_NAME_BYTES_MAX];
};

static enum varve_status resolve_two_locked(struct crash_env *crash, const char *from,
                                            const char *to, struct two_names *ret)
{
    *ret = (struct two_names){0};
    if (!crash_fs_resolve(&crash->mu.fs, from, &ret->from_dir, ret->from) ||
        !crash_fs_resolve(&crash->mu.fs, to, &ret->to_dir, ret->to))
        return VARVE_NOT_FOUND;
    ret->target = crash_entries_find(&ret->from_dir->names_now, ret->from);
    ret->there = crash_entries_find(&ret->to_dir->names_now, ret->to);
    return ret->target != NULL ? VARVE_OK : VARVE_NOT_FOUND;
}

static enum varve_status crash_rename(struct env *env, const char *from, const char *to)
{
    struct crash_env *crash = crash_of(env);
    struct two_names names = {0};
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    enum varve_status status = resolve_two_locked(crash, from, to, &names);
    if (status != VARVE_OK)
        return crash_end(crash, status);
    if (names.there == names.target) /* as POSIX has it, both names stay */
        return crash_end(crash, VARVE_OK);
    if (names.there != NULL && names.there->is_directory)
        return crash_end(crash, VARVE_EXISTS);
    crash_fs_rename(&crash->mu.fs, names.from_dir, names.from, names.to_dir, names.to);
    return crash_end(crash, crash_count_locked(crash));
}

static enum varve_status crash_link(struct env *env, const char *from, const char *to)
{
    struct crash_env *crash = crash_of(env);
    struct two_names names = {0};
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    enum varve_status status = resolve_two_locked(crash, from, to, &names);
    if (status != VARVE_OK)
        return crash_end(crash, status);
    if (names.there != NULL)
        return crash_end(crash, VARVE_EXISTS);
    if (names.target->is_directory)
        return crash_end(crash, VARVE_IO);
    crash_fs_set_name(&crash->mu.fs, names.to_dir, names.to, names.target);
    return crash_end(crash, crash_count_locked(crash));
}

static enum varve_status crash_info(struct env *env, const char *path,
                                    struct env_file_info *ret_info)
{
    struct crash_env *crash = crash_of(env);
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    const struct crash_inode *inode = crash_fs_find(&crash->mu.fs, path);
    if (inode == NULL)
        return crash_end(crash, VARVE_NOT_FOUND);
    *ret_info = (struct env_file_info){
        .size_bytes = inode->now.size,
        .link_count = inode->link_count,
        .is_directory = inode->is_directory,
    };
    return crash_end(crash, VARVE_OK);
}

static enum varve_status crash_space(struct env *env, const char *path, uint64_t *ret_free_bytes,
                                     uint64_t *ret_total_bytes)
{
    struct crash_env *crash = crash_of(env);
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    if (crash_fs_find(&crash->mu.fs, path) == NULL)
        return crash_end(crash, VARVE_NOT_FOUND);
    *ret_free_bytes = SPACE_BYTES;
    *ret_total_bytes = SPACE_BYTES;
    return crash_end(crash, VARVE_OK);
}

static enum varve_status crash_lock(struct env *env, const char *path, struct env_lock **ret_lock)
{
    struct crash_env *crash = crash_of(env);
    if (crash_begin(crash) != VARVE_OK)
        return VARVE_IO;
    struct crash_inode *inode = NULL;
    enum varve_status status = open_inode_locked(crash, path, ENV_OPEN_CREATE, &inode);
    if (status == VARVE_OK && inode->is_locked)
        status = VARVE_LOCKED;
    if (status != VARVE_OK)
        return crash_end(crash, status);
    struct env_lock *lock = must_calloc(1, sizeof *lock);
    lock->inode = crash_inode_ref(inode);
    inode->is_locked = true;
    crash->mu.handles++;
    *ret_lock = lock;
    return crash_end(crash, VARVE_OK);
}

static void crash_unlock(struct env *env, struct env_lock *lock)
{
    struct crash_env *crash = crash_of(env);
    if (lock == NULL)
        return;
    mutex_lock(&crash->mu.lock);
    lock->inode->is_locked = false;
    crash_inode_unref(lock->inode);
    crash->mu.handles--;
    mutex_unlock(&crash->mu.lock);
    free(lock);
}

static uint64_t crash_wall_ms(struct env *env)
{
    struct crash_env *crash = crash_of(env);
    mutex_lock(&crash->mu.lock);
    uint64_t wall_ms = crash->mu.wall_ms;
    mutex_unlock(&crash->mu.lock);
    return wall_ms;
}

static uint64_t crash_mono_us(struct env *env)
{
    return env_mono_us(env_posix());
}

static enum varve_status crash_random(struct env *env, void *data, size_t size)
{
    struct crash_env *crash = crash_of(env);
    mutex_lock(&crash->mu.lock);
    prng_bytes(&crash->mu.prng, data, size);
    mutex_unlock(&crash->mu.lock);
    return VARVE_OK;
}

static const struct env_ops crash_ops = {
    .open = crash_open,
    .list = crash_list,
    .make_dir = crash_make_dir,
    .remove_dir = crash_remove_dir,
    .sync_dir = crash_sync_dir,
    .rename = crash_rename,
    .remove = crash_remove,
    .link = crash_link,
    .info = crash_info,
    .space = crash_space,
    .lock = crash_lock,
    .unlock = crash_unlock,
    .wall_ms = crash_wall_ms,
    .mono_us = crash_mono_us,
    .random = crash_random,
};

/* Without a file system yet. */
static struct crash_env *env_new_bare(struct prng prng, uint64_t wall_ms)
{
    struct crash_env *crash = must_calloc(1, sizeof *crash);
    crash->base.ops = &crash_ops;
    mutex_init(&crash->mu.lock);
    crash->mu.prng = prng;
    crash->mu.cut_after = CRASH_NEVER;
    crash->mu.wall_ms = wall_ms;
    return crash;
}

struct crash_env *crash_env_new(uint64_t seed)
{
    struct crash_env *crash = env_new_bare(prng_make(seed), START_WALL_MS);
    crash_fs_init(&crash->mu.fs);
    return crash;
}

void crash_env_free(struct crash_env *crash)
{
    if (crash == NULL)
        return;
    must(crash->mu.handles == 0);
    crash_fs_deinit(&crash->mu.fs);
    mutex_deinit(&crash->mu.lock);
    free(crash);
}

struct env *crash_env_env(struct crash_env *crash)
{
    return &crash->base;
}

uint64_t crash_env_operations(struct crash_env *crash)
{
    mutex_lock(&crash->mu.lock);
    uint64_t operations = crash->mu.operations;
    mutex_unlock(&crash->mu.lock);
    return operations;
}

void crash_env_set_cut_after(struct crash_env *crash, uint64_t k)
{
    mutex_lock(&crash->mu.lock);
    crash->mu.cut_after = k;
    crash->mu.is_cut = false;
    mutex_unlock(&crash->mu.lock);
}

bool crash_env_is_cut(struct crash_env *crash)
{
    mutex_lock(&crash->mu.lock);
    bool is_cut = crash->mu.is_cut;
    mutex_unlock(&crash->mu.lock);
    return is_cut;
}

struct crash_env *crash_env_cut(struct crash_env *crash, uint64_t seed, enum crash_cut mode)
{
    struct prng prng = prng_make(seed);
    mutex_lock(&crash->mu.lock);
    struct crash_env *image = env_new_bare((struct prng){0}, crash->mu.wall_ms);
    crash_fs_cut(&crash->mu.fs, &prng, mode, &image->mu.fs);
    mutex_unlock(&crash->mu.lock);
    image->mu.prng = prng;
    return image;
}

struct crash_env *crash_env_clone(struct crash_env *crash)
{
    mutex_lock(&crash->mu.lock);
    struct crash_env *clone = env_new_bare(crash->mu.prng, crash->mu.wall_ms);
    clone->mu.operations = crash->mu.operations;
    crash_fs_clone(&crash->mu.fs, &clone->mu.fs);
    mutex_unlock(&crash->mu.lock);
    return clone;
}

void crash_env_set_wall_ms(struct crash_env *crash, uint64_t wall_ms)
{
    mutex_lock(&crash->mu.lock);
    crash->mu.wall_ms = wall_ms;
    mutex_unlock(&crash->mu.lock);
}

bool crash_env_flip_byte(struct crash_env *crash, const char *path, uint64_t offset, uint8_t mask)
{
    mutex_lock(&crash->mu.lock);
    struct crash_inode *inode = crash_fs_find(&crash->mu.fs, path);
    bool there = inode != NULL && offset < inode->now.size;
    if (there)
        inode->now.data[offset] ^= mask;
    if (there && inode->synced_apart && offset < inode->synced.size)
        inode->synced.data[offset] ^= mask;
    mutex_unlock(&crash->mu.lock);
    return there;
}

bool crash_env_cut_file(struct crash_env *crash, const char *path, uint64_t bytes)
{
    mutex_lock(&crash->mu.lock);
    struct crash_inode *inode = crash_fs_find(&crash->mu.fs, path);
    bool there = inode != NULL && !inode->is_directory && bytes <= inode->now.size;
    if (there) {
        crash_inode_resize(inode, bytes);
        crash_inode_sync(inode);
    }
    mutex_unlock(&crash->mu.lock);
    return there;
}

void crash_env_each_file(struct crash_env *crash, crash_env_file_fn each, void *context)
{
    struct crash_walk walk = {.each_file = each, .context = context};
    mutex_lock(&crash->mu.lock);
    crash_fs_walk(&crash->mu.fs, &walk);
    mutex_unlock(&crash->mu.lock);
}

void crash_env_dump(struct crash_env *crash, const char *directory)
{
    mutex_lock(&crash->mu.lock);
    crash_fs_dump(&crash->mu.fs, directory);
    mutex_unlock(&crash->mu.lock);
}

size_t crash_env_handles(struct crash_env *crash)
{
    mutex_lock(&crash->mu.lock);
    size_t handles = crash->mu.handles;
    mutex_unlock(&crash->mu.lock);
    return handles;
}
