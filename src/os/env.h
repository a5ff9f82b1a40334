/*
 * os/env.h: everything the engine asks of the machine, as a table of functions, so that tests can
 * put a crash, a fault or a clock of their own in its place. env_posix is the real one.
 *
 * All functions are thread safe; of one file, reads may run beside anything, writes and syncs must
 * be kept apart by the caller. Statuses: VARVE_NOT_FOUND (no such file), VARVE_EXISTS,
 * VARVE_NO_SPACE, VARVE_NO_FILES, VARVE_NO_MEMORY, VARVE_LOCKED, VARVE_UNSUPPORTED (a link across
 * file systems, or where they have none), VARVE_IO for the rest.
 * Interrupted calls are taken up again, short reads and writes are finished.
 */
#ifndef OS_ENV_H
#define OS_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/status.h"

struct env;
struct env_file;
struct env_lock;

enum env_open_flags {
    ENV_OPEN_READ = 0,
    ENV_OPEN_WRITE = 1 << 0,     /* read and write */
    ENV_OPEN_CREATE = 1 << 1,    /* if missing */
    ENV_OPEN_EXCLUSIVE = 1 << 2, /* with CREATE: VARVE_EXISTS if there */
    ENV_OPEN_TRUNCATE = 1 << 3,
    ENV_OPEN_RANDOM = 1 << 4, /* reads will be random: no read-ahead */
};

struct env_file_info {
    uint64_t size_bytes;
    uint64_t link_count;
    bool is_directory;
};

/* Called once per name (without path, "." and ".." left out), in no order. A status other than OK
 * ends the listing and is given back. */
typedef enum varve_status (*env_list_fn)(void *context, const char *name);

struct env_file_ops {
    /* Reads up to `size` bytes, fewer only at the end of the file. */
    enum varve_status (*read)(struct env_file *file, uint64_t offset, void *data, size_t size,
                              size_t *ret_size);
    /* The same from the page cache alone: VARVE_WOULD_BLOCK when any of it is not there. NULL: as
     * read. */
    enum varve_status (*read_cached)(struct env_file *file, uint64_t offset, void *data,
                                     size_t size, size_t *ret_size);
    /* An advice, which never waits: this will be read soon. NULL: of no use here. */
    void (*will_read)(struct env_file *file, uint64_t offset, uint64_t size);
    /* Writes all, extending the file as needed. On failure any part may have been written. */
    enum varve_status (*write)(struct env_file *file, uint64_t offset, struct varve_slice data);
    /* The same, into a part of the file that was written before, for data that need not be synced
     * soon: cheaper than `write`, but the next sync takes longer. NULL: as write. */
    enum varve_status (*store)(struct env_file *file, uint64_t offset, struct varve_slice data);
    /* An advice: what was written there will be synced soon, so bring it on its way to the disk.
     * May wait until the disk takes it. NULL: of no use here. */
    void (*will_sync)(struct env_file *file, uint64_t offset, uint64_t size);
    /* Data, and the metadata needed to read it back (fdatasync). Never repeat a failed one. */
    enum varve_status (*sync)(struct env_file *file);
    enum varve_status (*size)(struct env_file *file, uint64_t *ret_bytes);
    enum varve_status (*truncate)(struct env_file *file, uint64_t bytes);
    /* Frees `file` in any case. */
    enum varve_status (*close)(struct env_file *file);
};
struct env_file {
    const struct env_file_ops *ops;
};

struct env_ops {
    enum varve_status (*open)(struct env *env, const char *path, unsigned flags,
                              struct env_file **ret_file);
    enum varve_status (*list)(struct env *env, const char *path, env_list_fn each, void *context);
    enum varve_status (*make_dir)(struct env *env, const char *path);   /* VARVE_EXISTS */
    enum varve_status (*remove_dir)(struct env *env, const char *path); /* only an empty one */
    enum varve_status (*sync_dir)(struct env *env, const char *path);
    enum varve_status (*rename)(struct env *env, const char *from, const char *to); /* replaces */
    enum varve_status (*remove)(struct env *env, const char *path);
    enum varve_status (*link)(struct env *env, const char *from, const char *to);
    enum varve_status (*info)(struct env *env, const char *path, struct env_file_info *ret_info);
    enum varve_status (*space)(struct env *env, const char *path, uint64_t *ret_free_bytes,
                               uint64_t *ret_total_bytes);
    /* Creates the file if missing; VARVE_LOCKED while another process, or another holder in this
     * one, has it. */
    enum varve_status (*lock)(struct env *env, const char *path, struct env_lock **ret_lock);
    void (*unlock)(struct env *env, struct env_lock *lock); /* frees it */
    uint64_t (*wall_ms)(struct env *env);                   /* since 1970, may jump */
    uint64_t (*mono_us)(struct env *env);                   /* never goes back */
    enum varve_status (*random)(struct env *env, void *data, size_t size);
};
struct env {
    const struct env_ops *ops;
};

/* The process's real environment. Static storage. */
struct env *env_posix(void);

/* How many files the process may have open at present (RLIMIT_NOFILE). */
size_t env_files_max(void);

/* Short forms. */
#define ENV_CALL static inline MUST_CHECK enum varve_status
ENV_CALL env_open(struct env *env, const char *path, unsigned flags, struct env_file **ret_file)
{
    return env->ops->open(env, path, flags, ret_file);
}
ENV_CALL env_list(struct env *env, const char *path, env_list_fn each, void *context)
{
    return env->ops->list(env, path, each, context);
}
ENV_CALL env_make_dir(struct env *env, const char *path)
{
    return env->ops->make_dir(env, path);
}
ENV_CALL env_remove_dir(struct env *env, const char *path)
{
    return env->ops->remove_dir(env, path);
}
ENV_CALL env_sync_dir(struct env *env, const char *path)
{
    return env->ops->sync_dir(env, path);
}
ENV_CALL env_rename(struct env *env, const char *from, const char *to)
{
    return env->ops->rename(env, from, to);
}
ENV_CALL env_remove(struct env *env, const char *path)
{
    return env->ops->remove(env, path);
}
ENV_CALL env_link(struct env *env, const char *from, const char *to)
{
    return env->ops->link(env, from, to);
}
ENV_CALL env_info(struct env *env, const char *path, struct env_file_info *ret_info)
{
    return env->ops->info(env, path, ret_info);
}
ENV_CALL env_space(struct env *env, const char *path, uint64_t *ret_free_bytes,
                   uint64_t *ret_total_bytes)
{
    return env->ops->space(env, path, ret_free_bytes, ret_total_bytes);
}
ENV_CALL env_lock_file(struct env *env, const char *path, struct env_lock **ret_lock)
{
    return env->ops->lock(env, path, ret_lock);
}
static inline void env_unlock_file(struct env *env, struct env_lock *lock)
{
    env->ops->unlock(env, lock);
}
static inline uint64_t env_wall_ms(struct env *env)
{
    return env->ops->wall_ms(env);
}
static inline uint64_t env_mono_us(struct env *env)
{
    return env->ops->mono_us(env);
}
ENV_CALL env_random(struct env *env, void *data, size_t size)
{
    return env->ops->random(env, data, size);
}
ENV_CALL env_file_read(struct env_file *file, uint64_t offset, void *data, size_t size,
                       size_t *ret_size)
{
    return file->ops->read(file, offset, data, size, ret_size);
}
ENV_CALL env_file_read_cached(struct env_file *file, uint64_t offset, void *data, size_t size,
                              size_t *ret_size)
{
    if (file->ops->read_cached == NULL)
        return file->ops->read(file, offset, data, size, ret_size);
    return file->ops->read_cached(file, offset, data, size, ret_size);
}
static inline void env_file_will_read(struct env_file *file, uint64_t offset, uint64_t size)
{
    if (file->ops->will_read != NULL)
        file->ops->will_read(file, offset, size);
}
ENV_CALL env_file_write(struct env_file *file, uint64_t offset, struct varve_slice data)
{
    return file->ops->write(file, offset, data);
}
ENV_CALL env_file_store(struct env_file *file, uint64_t offset, struct varve_slice data)
{
    if (file->ops->store == NULL)
        return file->ops->write(file, offset, data);
    return file->ops->store(file, offset, data);
}
static inline void env_file_will_sync(struct env_file *file, uint64_t offset, uint64_t size)
{
    if (file->ops->will_sync != NULL)
        file->ops->will_sync(file, offset, size);
}
ENV_CALL env_file_sync(struct env_file *file)
{
    return file->ops->sync(file);
}
ENV_CALL env_file_size(struct env_file *file, uint64_t *ret_bytes)
{
    return file->ops->size(file, ret_bytes);
}
ENV_CALL env_file_truncate(struct env_file *file, uint64_t bytes)
{
    return file->ops->truncate(file, bytes);
}
static inline enum varve_status env_file_close(struct env_file *file)
{
    return file->ops->close(file);
}
#undef ENV_CALL

/* Whole small files. The read one is refused with VARVE_TOO_LARGE beyond `max_bytes`. The write is
 * to a temporary name, synced, renamed over `path`, the directory `dir` synced. */
struct buf;
MUST_CHECK enum varve_status env_read_file(struct env *env, const char *path, size_t max_bytes,
                                           struct buf *ret);
MUST_CHECK enum varve_status env_replace_file(struct env *env, const char *dir, const char *path,
                                              struct varve_slice content);

#endif
