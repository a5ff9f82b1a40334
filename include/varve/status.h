/*
 * varve/status.h: how every call of the library says what happened.
 *
 * 0 is success. A positive status is an expected outcome that the caller handles (there is no such
 * key, the iterator is at its end, try again later). A negative status is a failure that a caller
 * forwards unless it can mend it. All functions here are thread safe and never fail.
 */
#ifndef VARVE_STATUS_H
#define VARVE_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VARVE_API __attribute__((visibility("default")))
#define VARVE_MUST_CHECK __attribute__((warn_unused_result))

/* name, number, text for people, HTTP status that the service answers with */
#define VARVE_STATUS_MAP(X)                                                                        \
    X(OK, 0, "ok", 200)                                                                            \
    X(NOT_FOUND, 1, "not found", 404)                                                              \
    X(END, 2, "end reached", 200)                                                                  \
    X(BUSY, 3, "busy, try again later", 503)                                                       \
    X(CONFLICT, 4, "a condition does not hold", 412)                                               \
    X(EXISTS, 5, "exists already", 409)                                                            \
    X(WOULD_BLOCK, 6, "would have to wait for the disk", 503)                                      \
    X(INVALID, -1, "invalid argument", 400)                                                        \
    X(TOO_LARGE, -2, "too large", 413)                                                             \
    X(NO_MEMORY, -3, "out of memory", 503)                                                         \
    X(NO_FILES, -4, "out of file descriptors", 503)                                                \
    X(IO, -5, "input/output error", 500)                                                           \
    X(NO_SPACE, -6, "no space left on device", 507)                                                \
    X(CORRUPT, -7, "damaged data", 500)                                                            \
    X(READ_ONLY, -8, "the store is read-only", 503)                                                \
    X(OUTCOME_UNKNOWN, -9, "the write may or may not have happened", 503)                          \
    X(CLOSED, -10, "the store is closed", 503)                                                     \
    X(LOCKED, -11, "another process holds the store", 503)                                         \
    X(UNSUPPORTED, -12, "a newer or unknown format", 500)

enum varve_status {
#define VARVE_STATUS_ENUM(name, number, text, http) VARVE_##name = (number),
    VARVE_STATUS_MAP(VARVE_STATUS_ENUM)
#undef VARVE_STATUS_ENUM
};

/* The name without its prefix ("NOT_FOUND"), the text, the HTTP status. Static storage; an unknown
 * number gives "UNKNOWN", "unknown status" and 500. */
VARVE_API const char *varve_status_name(enum varve_status status);
VARVE_API const char *varve_status_text(enum varve_status status);
VARVE_API int varve_status_http(enum varve_status status);

/* What a person needs to know where a bare status says too little: open, recovery, options.
 * Filled only on failure. `path` is empty and `offset` is UINT64_MAX where they do not apply. */
struct varve_error {
    enum varve_status status;
    uint64_t offset;
    char path[512];
    char text[512];
};

#ifdef __cplusplus
}
#endif
#endif
