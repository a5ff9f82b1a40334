/*
 * libmicrohttpd takes the header apart in place: it ends each part with NULs where a space, a colon
 * or CRLF stood. So the parts of a well-formed header follow each other at known distances, and the
 * last one ends where the header does. A folded line, a NUL byte, a bare LF or a line with an empty
 * name, which ends the header for it, leave a gap. Only addresses are compared here.
 *
 * Version 1.0 checks most of that itself and lays the parts out in its own way.
 */
#include "service/wire.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "service/limits.h"

#define VERSION_BYTES 8u /* HTTP/1.1 */
#define CRLF_BYTES 2u

static bool is_token(const char *text)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        char c = *text;
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alphanumeric && strchr(marks, c) == NULL)
            return false;
    }
    return true;
}

static bool holds(struct varve_slice text, char c)
{
    return text.size > 0 && memchr(text.data, c, text.size) != NULL;
}

static bool is_contiguous(const struct wire_header *wire)
{
    uintptr_t begin = (uintptr_t)wire->method;
    uintptr_t at = begin + strlen(wire->method) + 1;
    if ((uintptr_t)wire->target_at != at)
        return false;
    at += wire->target.size + 1;
    if ((uintptr_t)wire->version != at)
        return false;
    at += VERSION_BYTES + CRLF_BYTES;
    for (size_t i = 0; i < wire->header_count; i++) {
        const struct header *header = &wire->headers[i];
        if ((uintptr_t)header->name.data != at)
            return false;
        at += header->name.size + 1;
        if ((uintptr_t)header->value.data < at) /* spaces may stand before it */
            return false;
        at = (uintptr_t)header->value.data + header->value.size + CRLF_BYTES;
    }
    return begin + wire->size == at + CRLF_BYTES;
}

enum varve_status wire_check(const struct wire_header *wire, struct problem *ret_problem)
{
    if (!is_token(wire->method))
        return problem_set(ret_problem, PROBLEM_BAD_FRAMING, "the method is no token");
    if (holds(wire->target, ' ') || holds(wire->target, '\r'))
        return problem_set(ret_problem, PROBLEM_BAD_FRAMING,
                           "the request target holds a space or carriage return");
    if (MHD_VERSION < 0x01000000 && !is_contiguous(wire))
        return problem_set(ret_problem, PROBLEM_BAD_FRAMING,
                           "the header holds NUL bytes, folded lines or malformed line ends");
    bool is_1_0 = strcmp(wire->version, "HTTP/1.0") == 0;
    if (!is_1_0 && header_find(wire->headers, wire->header_count, "Host") == NULL)
        return problem_set(ret_problem, PROBLEM_BAD_FRAMING, "there is no Host");
    if (is_1_0 && header_find(wire->headers, wire->header_count, "Transfer-Encoding") != NULL)
        return problem_set(ret_problem, PROBLEM_BAD_FRAMING, "HTTP/1.0 knows no Transfer-Encoding");
    if (wire->size - wire->target.size > LIMIT_HEADER_BYTES)
        return problem_set_limit(ret_problem, PROBLEM_HEADER_TOO_LARGE, LIMIT_HEADER_BYTES,
                                 wire->size - wire->target.size,
                                 "the header is larger than %u bytes", LIMIT_HEADER_BYTES);
    return VARVE_OK;
}
