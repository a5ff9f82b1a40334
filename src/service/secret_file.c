/*
 * What is checked is the file that was opened, not its name, so that nobody can exchange it in
 * between. It is opened without blocking, for it might be a pipe.
 */
#include "service/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_MASK 077u

static enum varve_status system_error(const char *path, struct varve_error *ret_error)
{
    return error_set(ret_error, errno == ENOENT ? VARVE_NOT_FOUND : VARVE_IO, path,
                     STATUS_NO_OFFSET, "cannot be read: %s", strerror(errno));
}

static enum varve_status check_file(int fd, const char *path, enum secret_file_rule rule,
                                    size_t bytes_max, struct varve_error *ret_error)
{
    struct stat info = {0};
    if (fstat(fd, &info) != 0)
        return system_error(path, ret_error);
    if (!S_ISREG(info.st_mode))
        return error_set(ret_error, VARVE_INVALID, path, STATUS_NO_OFFSET, "is no regular file");
    if (rule == SECRET_FILE_PRIVATE && info.st_uid != 0 && info.st_uid != geteuid())
        return error_set(ret_error, VARVE_INVALID, path, STATUS_NO_OFFSET,
                         "belongs to user %u; it must be this process's (%u) or root's",
                         (unsigned)info.st_uid, (unsigned)geteuid());
    if (rule == SECRET_FILE_PRIVATE && (info.st_mode & OTHERS_MASK) != 0)
        return error_set(
            ret_error, VARVE_INVALID, path, STATUS_NO_OFFSET,
            "has mode %04o, so that others than its owner have access; it must be 0600 "
            "or stricter (chmod 600)",
            (unsigned)info.st_mode & 07777u);
    if (info.st_size < 0 || (uint64_t)info.st_size > bytes_max)
        return error_set(ret_error, VARVE_INVALID, path, STATUS_NO_OFFSET,
                         "is larger than %zu bytes", bytes_max);
    return VARVE_OK;
}

/* It may grow meanwhile, but not over the limit. */
static enum varve_status read_all(int fd, const char *path, size_t bytes_max, struct buf *out,
                                  struct varve_error *ret_error)
{
    char piece[4096];
    size_t total = 0;
    for (;;) {
        ssize_t size = read(fd, piece, sizeof piece);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return system_error(path, ret_error);
        if (size == 0)
            return VARVE_OK;
        total += (size_t)size;
        if (total > bytes_max)
            return error_set(ret_error, VARVE_INVALID, path, STATUS_NO_OFFSET,
                             "is larger than %zu bytes", bytes_max);
        enum varve_status status = buf_append(out, piece, (size_t)size);
        if (status != VARVE_OK)
            return error_set(ret_error, status, path, STATUS_NO_OFFSET, "out of memory");
    }
}

enum varve_status secret_file_read(const char *path, enum secret_file_rule rule, size_t bytes_max,
                                   struct buf *out, struct varve_error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return system_error(path, ret_error);
    enum varve_status status = check_file(fd, path, rule, bytes_max, ret_error);
    if (status == VARVE_OK)
        status = read_all(fd, path, bytes_max, out, ret_error);
    close(fd);
    return status;
}
