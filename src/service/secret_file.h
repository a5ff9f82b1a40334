/*
 * service/secret_file.h: reads small files that say who may do what. Thread safe.
 */
#ifndef SERVICE_SECRET_FILE_H
#define SERVICE_SECRET_FILE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"

enum secret_file_rule {
    SECRET_FILE_PRIVATE, /* owned by this user or root, and open to nobody but its owner */
    SECRET_FILE_ANY,
};

/* Appends the whole file. VARVE_INVALID where it is no regular file, breaks the rule or is larger
 * than `bytes_max`, VARVE_NOT_FOUND, VARVE_IO, VARVE_NO_MEMORY, each with `ret_error`. */
MUST_CHECK enum varve_status secret_file_read(const char *path, enum secret_file_rule rule,
                                              size_t bytes_max, struct buf *out,
                                              struct varve_error *ret_error);

#endif
