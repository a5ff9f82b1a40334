/*
 * os/log.h: how library code reports: through the callback it was given, never by printing.
 */
#ifndef OS_LOG_H
#define OS_LOG_H

#include <varve/options.h>

#include "base/status.h"

struct log {
    varve_log_fn write; /* may be NULL */
    void *context;
};

/* One line; a longer one than 1 KiB is cut, control bytes are replaced by '?'. Thread safe. */
void log_write(const struct log *log, enum varve_log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
