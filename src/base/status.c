/* Statuses by name, and the one place where they are raised. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <varve/status.h>

__attribute__((noinline)) enum varve_status status_raise(enum varve_status status)
{
    __asm__ volatile(""); /* keeps the call, and with it the breakpoint */
    return status;
}

enum varve_status error_set(struct varve_error *ret_error, enum varve_status status,
                            const char *path, uint64_t offset, const char *format, ...)
{
    if (ret_error == NULL)
        return status_raise(status);
    ret_error->status = status;
    ret_error->offset = offset;
    snprintf(ret_error->path, sizeof ret_error->path, "%s", path != NULL ? path : "");
    va_list args;
    va_start(args, format);
    vsnprintf(ret_error->text, sizeof ret_error->text, format, args);
    va_end(args);
    return status_raise(status);
}

const char *varve_status_name(enum varve_status status)
{
    switch (status) {
#define STATUS_NAME(name, number, text, http)                                                      \
    case VARVE_##name:                                                                             \
        return #name;
        VARVE_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    }
    return "UNKNOWN";
}

const char *varve_status_text(enum varve_status status)
{
    switch (status) {
#define STATUS_TEXT(name, number, text, http)                                                      \
    case VARVE_##name:                                                                             \
        return text;
        VARVE_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

int varve_status_http(enum varve_status status)
{
    switch (status) {
#define STATUS_HTTP(name, number, text, http)                                                      \
    case VARVE_##name:                                                                             \
        return http;
        VARVE_STATUS_MAP(STATUS_HTTP)
#undef STATUS_HTTP
    }
    return 500;
}
