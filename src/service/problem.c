/*
 * The table in the header says all that is fixed about a problem; what is known only at the request
 * (detail, limits, entries) is carried by the struct. A problem is set where it is found and
 * encoded where it is answered.
 */
#include "service/problem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/json_writer.h"
#include "service/limits.h"

struct problem_kind {
    const char *code;
    int status;
    bool close;
    unsigned retry_after_s;
    const char *title;
};

static const struct problem_kind kinds[] = {
#define PROBLEM_KIND(name, code, status, close, retry, title) {code, status, close, retry, title},
    PROBLEM_MAP(PROBLEM_KIND)
#undef PROBLEM_KIND
};

static const struct problem_kind *kind_of(enum problem_code code)
{
    assert(code < PROBLEM_COUNT);
    return &kinds[code];
}

void problem_deinit(struct problem *problem)
{
    free(problem->errors);
    buf_deinit(&problem->failed_ops);
    *problem = (struct problem){0};
}

static enum varve_status status_of(enum problem_code code)
{
    switch (kind_of(code)->status) {
    case 404:
        return status_raise(VARVE_NOT_FOUND);
    case 413:
    case 414:
        return status_raise(VARVE_TOO_LARGE);
    default:
        return status_raise(code == PROBLEM_OUT_OF_MEMORY ? VARVE_NO_MEMORY : VARVE_INVALID);
    }
}

static void set(struct problem *problem, enum problem_code code, const char *format, va_list args)
    PRINTF_LIKE(3, 0);
static void set(struct problem *problem, enum problem_code code, const char *format, va_list args)
{
    struct problem fresh = {.code = code};
    vsnprintf(fresh.detail, sizeof fresh.detail, format, args);
    problem_deinit(problem);
    *problem = fresh;
}

enum varve_status problem_set(struct problem *ret_problem, enum problem_code code,
                              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(ret_problem, code, format, args);
    va_end(args);
    return status_of(code);
}

enum varve_status problem_set_limit(struct problem *ret_problem, enum problem_code code,
                                    uint64_t limit, uint64_t actual, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(ret_problem, code, format, args);
    va_end(args);
    ret_problem->has_limit = ret_problem->has_actual = true;
    ret_problem->limit = limit;
    ret_problem->actual = actual;
    return status_of(code);
}

static enum problem_code code_of(enum varve_status status)
{
    switch (status) {
    case VARVE_NOT_FOUND:
        return PROBLEM_NOT_FOUND;
    case VARVE_BUSY:
    case VARVE_WOULD_BLOCK:
    case VARVE_LOCKED:
        return PROBLEM_BUSY;
    case VARVE_CONFLICT:
        return PROBLEM_PRECONDITION_FAILED;
    case VARVE_EXISTS:
        return PROBLEM_CONFLICT;
    case VARVE_INVALID:
        return PROBLEM_INVALID_REQUEST;
    case VARVE_TOO_LARGE:
        return PROBLEM_BODY_TOO_LARGE;
    case VARVE_NO_MEMORY:
        return PROBLEM_OUT_OF_MEMORY;
    case VARVE_NO_FILES:
        return PROBLEM_OUT_OF_FILES;
    case VARVE_IO:
        return PROBLEM_IO_ERROR;
    case VARVE_NO_SPACE:
        return PROBLEM_NO_SPACE;
    case VARVE_CORRUPT:
        return PROBLEM_CORRUPTION;
    case VARVE_READ_ONLY:
        return PROBLEM_READ_ONLY;
    case VARVE_OUTCOME_UNKNOWN:
        return PROBLEM_OUTCOME_UNKNOWN;
    case VARVE_CLOSED:
        return PROBLEM_DRAINING;
    case VARVE_OK:
    case VARVE_END:
    case VARVE_UNSUPPORTED:
        break;
    }
    return PROBLEM_INTERNAL;
}

enum varve_status problem_set_status(struct problem *ret_problem, enum varve_status status)
{
    struct problem fresh = {.code = code_of(status)};
    snprintf(fresh.detail, sizeof fresh.detail, "%s", varve_status_text(status));
    problem_deinit(ret_problem);
    *ret_problem = fresh;
    return status;
}

bool problem_add_error(struct problem *problem, const char *pointer, const char *format, ...)
{
    if (problem->error_count == LIMIT_PROBLEM_ERRORS)
        return false;
    if (problem->errors == NULL)
        problem->errors = calloc(LIMIT_PROBLEM_ERRORS, sizeof *problem->errors);
    if (problem->errors == NULL)
        return false;
    struct problem_error *error = &problem->errors[problem->error_count++];
    snprintf(error->pointer, sizeof error->pointer, "%s", pointer);
    va_list args;
    va_start(args, format);
    vsnprintf(error->detail, sizeof error->detail, format, args);
    va_end(args);
    return problem->error_count < LIMIT_PROBLEM_ERRORS;
}

enum varve_status problem_add_failed_op(struct problem *problem, size_t index,
                                        uint64_t current_revision)
{
    struct problem_failed_op op = {.index = index, .current_revision = current_revision};
    return buf_append(&problem->failed_ops, &op, sizeof op);
}

int problem_http_status(const struct problem *problem)
{
    return kind_of(problem->code)->status;
}

bool problem_closes(const struct problem *problem)
{
    return kind_of(problem->code)->close;
}

unsigned problem_retry_after_s(const struct problem *problem)
{
    return kind_of(problem->code)->retry_after_s;
}

const char *problem_code_text(enum problem_code code)
{
    return kind_of(code)->code;
}

/* "/errors/value-too-large" */
static void write_type(struct json_writer *w, const char *code)
{
    char type[64];
    snprintf(type, sizeof type, "/errors/%s", code);
    for (char *at = type; *at != '\0'; at++) {
        if (*at == '_')
            *at = '-';
    }
    json_write_name(w, "type");
    json_write_text(w, type);
}

static void write_instance(struct json_writer *w, struct varve_slice request_id)
{
    char text[32 + LIMIT_REQUEST_ID_BYTES];
    int size = snprintf(text, sizeof text, "urn:varve:request:%.*s", (int)request_id.size,
                        (const char *)request_id.data);
    json_write_name(w, "instance");
    json_write_bytes_lossy(w, varve_slice(text, (size_t)size));
}

static void write_errors(struct json_writer *w, const struct problem *problem)
{
    json_write_name(w, "errors");
    json_write_array_begin(w);
    for (size_t i = 0; i < problem->error_count; i++) {
        json_write_object_begin(w);
        json_write_name(w, "pointer");
        json_write_bytes_lossy(w, varve_slice_str(problem->errors[i].pointer));
        json_write_name(w, "detail");
        json_write_bytes_lossy(w, varve_slice_str(problem->errors[i].detail));
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_failed_ops(struct json_writer *w, const struct problem *problem)
{
    json_write_name(w, "failed_ops");
    json_write_array_begin(w);
    for (size_t at = 0; at < problem->failed_ops.size; at += sizeof(struct problem_failed_op)) {
        struct problem_failed_op op;
        memcpy(&op, problem->failed_ops.data + at, sizeof op);
        json_write_object_begin(w);
        json_write_name(w, "index");
        json_write_uint(w, op.index);
        json_write_name(w, "current_revision");
        json_write_uint(w, op.current_revision);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

enum varve_status problem_encode(const struct problem *problem, struct varve_slice request_id,
                                 struct buf *out)
{
    assert(request_id.size <= LIMIT_REQUEST_ID_BYTES);
    const struct problem_kind *kind = kind_of(problem->code);
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    write_type(&w, kind->code);
    json_write_name(&w, "title");
    json_write_text(&w, kind->title);
    json_write_name(&w, "status");
    json_write_uint(&w, (uint64_t)kind->status);
    if (problem->detail[0] != '\0') {
        json_write_name(&w, "detail");
        json_write_bytes_lossy(&w, varve_slice_str(problem->detail));
    }
    write_instance(&w, request_id);
    json_write_name(&w, "code");
    json_write_text(&w, kind->code);
    if (problem->has_limit) {
        json_write_name(&w, "limit");
        json_write_uint(&w, problem->limit);
    }
    if (problem->has_actual) {
        json_write_name(&w, "actual");
        json_write_uint(&w, problem->actual);
    }
    if (problem->allow != NULL) {
        json_write_name(&w, "allow");
        json_write_text(&w, problem->allow);
    }
    if (problem->error_count > 0)
        write_errors(&w, problem);
    if (problem->has_current_revision) {
        json_write_name(&w, "current_revision");
        json_write_uint(&w, problem->current_revision);
    }
    if (problem->failed_ops.size > 0)
        write_failed_ops(&w, problem);
    json_write_object_end(&w);
    return json_writer_status(&w);
}
