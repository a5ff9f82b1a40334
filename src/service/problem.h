/*
 * service/problem.h: what went wrong with a request, and its application/problem+json answer
 * (RFC 9457). Every error answer of a handler comes from the one table below. Not thread safe.
 */
#ifndef SERVICE_PROBLEM_H
#define SERVICE_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"

/* name, code, HTTP status, closes the connection, seconds for Retry-After (0: none), title */
#define PROBLEM_MAP(X)                                                                             \
    X(INVALID_REQUEST, "invalid_request", 400, false, 0, "The request is malformed")               \
    X(INVALID_KEY, "invalid_key", 400, false, 0, "The key is not valid")                           \
    X(INVALID_PARAMETER, "invalid_parameter", 400, false, 0, "A query parameter is not valid")     \
    X(INVALID_CURSOR, "invalid_cursor", 400, false, 0, "The cursor is not valid here")             \
    X(INVALID_JSON, "invalid_json", 400, false, 0, "The body is not valid JSON")                   \
    X(INVALID_BODY, "invalid_body", 400, false, 0, "The body is not what this request takes")      \
    X(BAD_FRAMING, "bad_framing", 400, true, 0, "The request's header fields contradict HTTP")     \
    X(UNAUTHORIZED, "unauthorized", 401, false, 0, "A token is needed")                            \
    X(INVALID_TOKEN, "invalid_token", 401, false, 0, "The token is not known")                     \
    X(INSUFFICIENT_SCOPE, "insufficient_scope", 403, false, 0, "The token does not allow this")    \
    X(NOT_FOUND, "not_found", 404, false, 0, "There is no such key")                               \
    X(NO_SUCH_PATH, "no_such_path", 404, false, 0, "There is no such path")                        \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, false, 0, "The method is not allowed here")   \
    X(NOT_ACCEPTABLE, "not_acceptable", 406, false, 0, "No representation satisfies Accept")       \
    X(CONFLICT, "conflict", 409, false, 0, "It exists already")                                    \
    X(NO_BACKUP_DIR, "no_backup_dir", 409, false, 0, "No folder for backups is configured")        \
    X(LENGTH_REQUIRED, "length_required", 411, false, 0, "The body's length is not known")         \
    X(PRECONDITION_FAILED, "precondition_failed", 412, false, 0, "A condition does not hold")      \
    X(BODY_TOO_LARGE, "body_too_large", 413, true, 0, "The body is too large")                     \
    X(VALUE_TOO_LARGE, "value_too_large", 413, true, 0, "The value is too large")                  \
    X(BATCH_TOO_LARGE, "batch_too_large", 413, true, 0, "The batch is too large")                  \
    X(RESULT_TOO_LARGE, "result_too_large", 413, true, 0, "The answer would be too large")         \
    X(TARGET_TOO_LONG, "target_too_long", 414, true, 0, "The request target is too long")          \
    X(UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415, false, 0,                             \
      "The body's media type is not supported")                                                    \
    X(HEADER_TOO_LARGE, "header_too_large", 431, true, 0, "The header is too large")               \
    X(INTERNAL, "internal", 500, false, 0, "The request failed inside the server")                 \
    X(IO_ERROR, "io_error", 500, false, 0, "Reading or writing the store failed")                  \
    X(CORRUPTION, "corruption", 500, false, 0, "Stored data is damaged")                           \
    X(BUSY, "busy", 503, false, 1, "The store is busy")                                            \
    X(OUT_OF_MEMORY, "out_of_memory", 503, false, 1, "The server is short of memory")              \
    X(OUT_OF_FILES, "out_of_files", 503, false, 1, "The server is short of file descriptors")      \
    X(TOO_MANY_CONNECTIONS, "too_many_connections", 503, true, 1, "Too many connections")          \
    X(RECOVERING, "recovering", 503, false, 1, "The store is being recovered")                     \
    X(DRAINING, "draining", 503, true, 1, "The server is shutting down")                           \
    X(READ_ONLY, "read_only", 503, false, 0, "The store is read-only")                             \
    X(OUTCOME_UNKNOWN, "outcome_unknown", 503, false, 0, "The write may or may not have happened") \
    X(NO_SPACE, "no_space", 507, false, 0, "The disk is full")

enum problem_code {
#define PROBLEM_ENUM(name, code, status, close, retry, title) PROBLEM_##name,
    PROBLEM_MAP(PROBLEM_ENUM)
#undef PROBLEM_ENUM
        PROBLEM_COUNT
};

struct problem_error {
    char pointer[96]; /* JSON pointer into the body, cut if longer */
    char detail[160];
};

struct problem_failed_op {
    size_t index;              /* of the operation in its batch */
    uint64_t current_revision; /* of its key */
};

/* A zeroed struct is empty. */
struct problem {
    enum problem_code code;
    char detail[256];
    bool has_limit, has_actual;
    uint64_t limit, actual;
    const char *allow;            /* static text: the Allow field of a 405; NULL: none */
    const char *challenge;        /* static text: WWW-Authenticate of a 401 or 403; NULL: none */
    struct problem_error *errors; /* owned */
    size_t error_count;
    bool has_current_revision;
    uint64_t current_revision; /* 0: the key is absent */
    struct buf failed_ops;     /* owned: struct problem_failed_op each */
};

/* Takes a zeroed one. */
void problem_deinit(struct problem *problem);

/* Puts a code and a detail into `ret_problem`, which may hold another problem before, and gives the
 * status that callers forward: VARVE_TOO_LARGE for a 413 or 414, VARVE_NOT_FOUND for a 404,
 * VARVE_NO_MEMORY for OUT_OF_MEMORY, else VARVE_INVALID. Longer details are cut. Details may hold
 * bytes of the request: the answer escapes what JSON and UTF-8 do not take. */
enum varve_status problem_set(struct problem *ret_problem, enum problem_code code,
                              const char *format, ...) PRINTF_LIKE(3, 4);

/* As problem_set, with "limit" and "actual". */
enum varve_status problem_set_limit(struct problem *ret_problem, enum problem_code code,
                                    uint64_t limit, uint64_t actual, const char *format, ...)
    PRINTF_LIKE(5, 6);

/* A failure of the store as a problem: code and detail by `status`. Gives `status` back. */
enum varve_status problem_set_status(struct problem *ret_problem, enum varve_status status);

/* Adds an entry to "errors", up to LIMIT_PROBLEM_ERRORS; what is over that, or finds no memory, is
 * left out. False when there is no room for another. */
bool problem_add_error(struct problem *problem, const char *pointer, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Adds an entry to "failed_ops". VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status problem_add_failed_op(struct problem *problem, size_t index,
                                                   uint64_t current_revision);

int problem_http_status(const struct problem *problem);
bool problem_closes(const struct problem *problem);            /* answer with Connection: close */
unsigned problem_retry_after_s(const struct problem *problem); /* 0: no Retry-After */
const char *problem_code_text(enum problem_code code);         /* "value_too_large" */

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* Appends the body. `request_id` as of request_id_choose. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status problem_encode(const struct problem *problem,
                                            struct varve_slice request_id, struct buf *out);

#endif
