/*
 * The real environment. Every call but `store` goes straight to the kernel and keeps no state of
 * its own, so thread safety is the kernel's. The lock is an open-file-description lock: unlike a
 * classic fcntl lock it also keeps out a second holder in this process, and closing some other
 * descriptor of the same file does not drop it.
 */
#include "os/env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "os/file_window.h"

/* Less what the process's umask takes away. */
#define FILE_MODE 0640
#define DIRECTORY_MODE 0750

struct posix_file {
    struct env_file base;
    int fd;
    struct file_window window; /* the writer's */
};

struct env_lock {
    int fd;
};

/* Interrupted calls never get here, they are taken up again. */
static enum varve_status status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
        return VARVE_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return VARVE_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return status_raise(VARVE_NO_SPACE);
    case EMFILE:
    case ENFILE:
        return status_raise(VARVE_NO_FILES);
    case ENOMEM:
        return status_raise(VARVE_NO_MEMORY);
    case EXDEV:
    case EOPNOTSUPP:
        return status_raise(VARVE_UNSUPPORTED);
    default:
        return status_raise(VARVE_IO);
    }
}

static enum varve_status status_of_result(int result)
{
    return result == 0 ? VARVE_OK : status_of_errno(errno);
}

static int open_retrying(const char *path, int flags)
{
    int fd = -1;
    do
        fd = open(path, flags | O_CLOEXEC, FILE_MODE);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static struct posix_file *posix_file(struct env_file *file)
{
    return (struct posix_file *)file;
}

static enum varve_status file_read(struct env_file *file, uint64_t offset, void *data, size_t size,
                                   size_t *ret_size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(posix_file(file)->fd, (uint8_t *)data + done, size - done,
                          (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return status_of_errno(errno);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_size = done;
    return VARVE_OK;
}

/* A file system that cannot tell says EOPNOTSUPP; a short read may be one that stopped at a hole in
 * the cache, or the end of the file: both are for a read that may wait. */
static enum varve_status file_read_cached(struct env_file *file, uint64_t offset, void *data,
                                          size_t size, size_t *ret_size)
{
    const struct iovec piece = {.iov_base = data, .iov_len = size};
    ssize_t n = preadv2(posix_file(file)->fd, &piece, 1, (off_t)offset, RWF_NOWAIT);
    if (n < 0 && errno != EAGAIN && errno != EOPNOTSUPP && errno != EINTR)
        return status_of_errno(errno);
    if (n < 0 || (size_t)n < size)
        return VARVE_WOULD_BLOCK;
    *ret_size = size;
    return VARVE_OK;
}

/* The kernel fetches it beside us, whatever was advised for the file as a whole. */
static void file_will_read(struct env_file *file, uint64_t offset, uint64_t size)
{
    posix_fadvise(posix_file(file)->fd, (off_t)offset, (off_t)size, POSIX_FADV_WILLNEED);
}

static enum varve_status file_write(struct env_file *file, uint64_t offset, struct varve_slice data)
{
    size_t done = 0;
    while (done < data.size) {
        ssize_t n = pwrite(posix_file(file)->fd, data.data + done, data.size - done,
                           (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return status_of_errno(errno);
        if (n == 0)
            return status_raise(VARVE_IO);
        done += (size_t)n;
    }
    return VARVE_OK;
}

static enum varve_status file_store(struct env_file *file, uint64_t offset, struct varve_slice data)
{
    struct posix_file *posix = posix_file(file);
    enum varve_status status = file_window_write(&posix->window, posix->fd, offset, data);
    return status == VARVE_UNSUPPORTED ? file_write(file, offset, data) : status;
}

/* Whole pages: one that is about to be written to again waits for the next call, or the sync. A
 * failure shows in the sync, too. */
static void file_will_sync(struct env_file *file, uint64_t offset, uint64_t size)
{
    const uint64_t page = 4096, begin = offset / page * page, end = (offset + size) / page * page;
    if (end > begin)
        sync_file_range(posix_file(file)->fd, (off_t)begin, (off_t)(end - begin),
                        SYNC_FILE_RANGE_WRITE);
}

/* Not repeated even when interrupted: a second try may report success for pages that the first one
 * gave up. Pages that are mapped would have to be protected again, one by one. */
static enum varve_status file_sync(struct env_file *file)
{
    file_window_close(&posix_file(file)->window);
    return status_of_result(fdatasync(posix_file(file)->fd));
}

static enum varve_status file_size(struct env_file *file, uint64_t *ret_bytes)
{
    struct stat st;
    if (fstat(posix_file(file)->fd, &st) != 0)
        return status_of_errno(errno);
    *ret_bytes = (uint64_t)st.st_size;
    return VARVE_OK;
}

static enum varve_status file_truncate(struct env_file *file, uint64_t bytes)
{
    int result = -1;
    do
        result = ftruncate(posix_file(file)->fd, (off_t)bytes);
    while (result != 0 && errno == EINTR);
    return status_of_result(result);
}

/* On Linux the descriptor is gone even when close is interrupted. */
static enum varve_status file_close(struct env_file *file)
{
    file_window_close(&posix_file(file)->window);
    int result = close(posix_file(file)->fd);
    enum varve_status status = result != 0 && errno != EINTR ? status_of_errno(errno) : VARVE_OK;
    free(file);
    return status;
}

static const struct env_file_ops posix_file_ops = {
    .read = file_read,
    .read_cached = file_read_cached,
    .will_read = file_will_read,
    .write = file_write,
    .store = file_store,
    .will_sync = file_will_sync,
    .sync = file_sync,
    .size = file_size,
    .truncate = file_truncate,
    .close = file_close,
};

static enum varve_status posix_open(struct env *env, const char *path, unsigned flags,
                                    struct env_file **ret_file)
{
    int open_flags = (flags & ENV_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY;
    if ((flags & ENV_OPEN_CREATE) != 0)
        open_flags |= O_CREAT;
    if ((flags & ENV_OPEN_EXCLUSIVE) != 0)
        open_flags |= O_EXCL;
    if ((flags & ENV_OPEN_TRUNCATE) != 0)
        open_flags |= O_TRUNC;
    struct posix_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return status_raise(VARVE_NO_MEMORY);
    file->base.ops = &posix_file_ops;
    file->fd = open_retrying(path, open_flags);
    if (file->fd < 0) {
        int error = errno;
        free(file);
        return status_of_errno(error);
    }
    if ((flags & ENV_OPEN_RANDOM) != 0)
        posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM); /* an advice: may fail */
    *ret_file = &file->base;
    return VARVE_OK;
}

static enum varve_status posix_list(struct env *env, const char *path, env_list_fn each,
                                    void *context)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return status_of_errno(errno);
    enum varve_status status = VARVE_OK;
    while (status == VARVE_OK) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            status = errno != 0 ? status_of_errno(errno) : VARVE_OK;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = each(context, entry->d_name);
    }
    closedir(dir);
    return status;
}

static enum varve_status posix_make_dir(struct env *env, const char *path)
{
    return status_of_result(mkdir(path, DIRECTORY_MODE));
}

static enum varve_status posix_remove_dir(struct env *env, const char *path)
{
    return status_of_result(rmdir(path));
}

static enum varve_status posix_sync_dir(struct env *env, const char *path)
{
    int fd = open_retrying(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return status_of_errno(errno);
    enum varve_status status = status_of_result(fsync(fd));
    close(fd);
    return status;
}

static enum varve_status posix_rename(struct env *env, const char *from, const char *to)
{
    return status_of_result(rename(from, to));
}

static enum varve_status posix_remove(struct env *env, const char *path)
{
    return status_of_result(unlink(path));
}

static enum varve_status posix_link(struct env *env, const char *from, const char *to)
{
    return status_of_result(link(from, to));
}

static enum varve_status posix_info(struct env *env, const char *path,
                                    struct env_file_info *ret_info)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return status_of_errno(errno);
    *ret_info = (struct env_file_info){
        .size_bytes = (uint64_t)st.st_size,
        .link_count = (uint64_t)st.st_nlink,
        .is_directory = S_ISDIR(st.st_mode),
    };
    return VARVE_OK;
}

static enum varve_status posix_space(struct env *env, const char *path, uint64_t *ret_free_bytes,
                                     uint64_t *ret_total_bytes)
{
    struct statvfs fs;
    int result = -1;
    do
        result = statvfs(path, &fs);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        return status_of_errno(errno);
    *ret_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    *ret_total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
    return VARVE_OK;
}

static enum varve_status posix_lock(struct env *env, const char *path, struct env_lock **ret_lock)
{
    struct env_lock *lock = calloc(1, sizeof *lock);
    if (lock == NULL)
        return status_raise(VARVE_NO_MEMORY);
    enum varve_status status = VARVE_OK;
    lock->fd = open_retrying(path, O_RDWR | O_CREAT);
    if (lock->fd < 0) {
        status = status_of_errno(errno);
        goto out;
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result = -1;
    do
        result = fcntl(lock->fd, F_OFD_SETLK, &whole);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        status = errno == EAGAIN || errno == EACCES ? status_raise(VARVE_LOCKED)
                                                    : status_of_errno(errno);
out:
    if (status != VARVE_OK) {
        if (lock->fd >= 0)
            close(lock->fd);
        free(lock);
        return status;
    }
    *ret_lock = lock;
    return VARVE_OK;
}

/* The lock goes with its only descriptor. */
static void posix_unlock(struct env *env, struct env_lock *lock)
{
    if (lock == NULL)
        return;
    close(lock->fd);
    free(lock);
}

static uint64_t posix_wall_ms(struct env *env)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t posix_mono_us(struct env *env)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static enum varve_status posix_random(struct env *env, void *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = getrandom((uint8_t *)data + done, size - done, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return status_of_errno(errno);
        done += (size_t)n;
    }
    return VARVE_OK;
}

static const struct env_ops posix_ops = {
    .open = posix_open,
    .list = posix_list,
    .make_dir = posix_make_dir,
    .remove_dir = posix_remove_dir,
    .sync_dir = posix_sync_dir,
    .rename = posix_rename,
    .remove = posix_remove,
    .link = posix_link,
    .info = posix_info,
    .space = posix_space,
    .lock = posix_lock,
    .unlock = posix_unlock,
    .wall_ms = posix_wall_ms,
    .mono_us = posix_mono_us,
    .random = posix_random,
};

struct env *env_posix(void)
{
    static struct env posix = {.ops = &posix_ops};
    return &posix;
}

size_t env_files_max(void)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}
