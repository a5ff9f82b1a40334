/*
 * base/status.h: raising a status. Every failure that begins in varve's own code begins here, so
 * one breakpoint on status_raise catches it.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

#include <varve/status.h>

#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define MUST_CHECK VARVE_MUST_CHECK
#define STATUS_NO_OFFSET UINT64_MAX

/* Gives `status` back. */
enum varve_status status_raise(enum varve_status status);

/* Fills `ret_error` (may be NULL; then only the status counts) and gives `status` back through
 * status_raise. `path` may be NULL. Longer texts are cut. */
enum varve_status error_set(struct varve_error *ret_error, enum varve_status status,
                            const char *path, uint64_t offset, const char *format, ...)
    PRINTF_LIKE(5, 6);

/* True for a failure (negative). */
static inline bool status_failed(enum varve_status status)
{
    return (int)status < 0;
}

#endif
