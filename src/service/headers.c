/*
 * The rules follow RFC 9110 (fields, Accept, Content-Type) and RFC 9112 section 6 (framing). Where
 * two readings of a message could differ between us and a proxy, the message is refused.
 */
#include "service/headers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "service/digits.h"

#define VALUE_SHOWN_BYTES 64 /* of a field's value, in a problem's detail */
#define QUALITY_MAX 1000     /* q=1, in thousandths */

const char *const representation_types[REPRESENTATION_COUNT] = {
    [REPRESENTATION_JSON] = "application/json",
    [REPRESENTATION_RAW] = "application/octet-stream",
    [REPRESENTATION_NDJSON] = "application/x-ndjson",
};

static bool equals(struct varve_slice slice, const char *text)
{
    return slice.size == strlen(text) &&
           strncasecmp((const char *)slice.data, text, slice.size) == 0;
}

static struct varve_slice trim(struct varve_slice s)
{
    while (s.size > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = varve_slice(s.data + 1, s.size - 1);
    while (s.size > 0 && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t'))
        s.size--;
    return s;
}

static bool ends_in_space(struct varve_slice s)
{
    return s.size > 0 && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t');
}

static bool is_token(struct varve_slice s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alphanumeric && (c == '\0' || strchr(marks, c) == NULL))
            return false;
    }
    return s.size > 0;
}

static const struct header *find_from(const struct header *headers, size_t count, size_t from,
                                      const char *name)
{
    for (size_t i = from; i < count; i++) {
        if (equals(headers[i].name, name))
            return &headers[i];
    }
    return NULL;
}

const struct header *header_find(const struct header *headers, size_t count, const char *name)
{
    return find_from(headers, count, 0, name);
}

static enum varve_status check_fields(const struct header *headers, size_t count,
                                      struct problem *ret_problem)
{
    static const char *const single[] = {"Content-Length", "Transfer-Encoding", "Host",
                                         "Authorization"};
    for (size_t i = 0; i < count; i++) {
        if (!is_token(headers[i].name))
            return problem_set(ret_problem, PROBLEM_BAD_FRAMING,
                               "the name of a header field is not a token");
        if (headers[i].value.size > 0 &&
            memchr(headers[i].value.data, '\r', headers[i].value.size) != NULL)
            return problem_set(ret_problem, PROBLEM_BAD_FRAMING,
                               "the value of a header field holds a carriage return");
    }
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        const struct header *first = header_find(headers, count, single[i]);
        if (first != NULL &&
            find_from(headers, count, (size_t)(first - headers) + 1, single[i]) != NULL)
            return problem_set(ret_problem, PROBLEM_BAD_FRAMING, "%s occurs twice", single[i]);
    }
    return VARVE_OK;
}

/* A length beyond 64 bits is UINT64_MAX: too large for any limit. */
static bool parse_length(struct varve_slice text, uint64_t *ret_length)
{
    uint64_t length = 0;
    bool overflows = false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        overflows |= __builtin_mul_overflow(length, 10, &length);
        overflows |= __builtin_add_overflow(length, (uint64_t)(text.data[i] - '0'), &length);
    }
    *ret_length = overflows ? UINT64_MAX : length;
    return text.size > 0;
}

enum varve_status framing_check(const struct header *headers, size_t count, bool needs_body,
                                uint64_t body_bytes_max, struct framing *ret_framing,
                                struct problem *ret_problem)
{
    enum varve_status status = check_fields(headers, count, ret_problem);
    if (status != VARVE_OK)
        return status;

    struct framing framing = {0};
    const struct header *encoding = header_find(headers, count, "Transfer-Encoding");
    const struct header *length = header_find(headers, count, "Content-Length");
    if (encoding != NULL && length != NULL)
        return problem_set(ret_problem, PROBLEM_BAD_FRAMING,
                           "Transfer-Encoding and Content-Length exclude each other");
    /* With white space behind it libmicrohttpd would not take it for "chunked". */
    if (encoding != NULL &&
        (!equals(trim(encoding->value), "chunked") || ends_in_space(encoding->value)))
        return problem_set(ret_problem, PROBLEM_BAD_FRAMING,
                           "the only Transfer-Encoding is \"chunked\"");
    if (length != NULL && !parse_length(trim(length->value), &framing.length))
        return problem_set(ret_problem, PROBLEM_BAD_FRAMING, "Content-Length is not a number");
    framing.chunked = encoding != NULL;
    framing.has_length = length != NULL;
    if (needs_body && !framing.chunked && !framing.has_length)
        return problem_set(ret_problem, PROBLEM_LENGTH_REQUIRED,
                           "the body needs a Content-Length or chunked transfer");
    if (framing.length > body_bytes_max)
        return problem_set_limit(ret_problem, PROBLEM_BODY_TOO_LARGE, body_bytes_max,
                                 framing.length, "the body is larger than %" PRIu64 " bytes",
                                 body_bytes_max);
    *ret_framing = framing;
    return VARVE_OK;
}

/* Takes what stands before the next `separator` that is not in a quoted string, trimmed. False when
 * nothing is left. */
static bool take_part(struct varve_slice *rest, char separator, struct varve_slice *ret_part)
{
    if (rest->data == NULL)
        return false;
    bool quoted = false;
    size_t at = 0;
    for (; at < rest->size; at++) {
        char c = (char)rest->data[at];
        if (quoted && c == '\\' && at + 1 < rest->size)
            at++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == separator && !quoted)
            break;
    }
    *ret_part = trim(varve_slice(rest->data, at));
    *rest = at < rest->size ? varve_slice(rest->data + at + 1, rest->size - at - 1)
                            : (struct varve_slice){0};
    return true;
}

/* 0 to 1 with up to three decimals, in thousandths. */
static bool parse_quality(struct varve_slice text, int *ret_quality)
{
    if (text.size == 0 || text.size > 5 || text.data[0] < '0' || text.data[0] > '1' ||
        (text.size > 1 && text.data[1] != '.'))
        return false;
    int quality = (text.data[0] - '0') * QUALITY_MAX;
    int unit = 100;
    for (size_t i = 2; i < text.size; i++, unit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        quality += (text.data[i] - '0') * unit;
    }
    *ret_quality = quality;
    return quality <= QUALITY_MAX;
}

/* How closely a media range fits: 3 the type itself, 2 its family, 1 anything, 0 not. */
static int range_fit(struct varve_slice range, const char *type)
{
    if (equals(range, type))
        return 3;
    if (equals(range, "*/*"))
        return 1;
    size_t family = (size_t)(strchr(type, '/') - type) + 1;
    if (range.size == family + 1 && range.data[family] == '*' &&
        strncasecmp((const char *)range.data, type, family) == 0)
        return 2;
    return 0;
}

/* One element of Accept. False if its q is malformed: then it does not count. */
static bool parse_range(struct varve_slice element, struct varve_slice *ret_range, int *ret_quality)
{
    struct varve_slice part = {0};
    *ret_quality = QUALITY_MAX;
    if (!take_part(&element, ';', ret_range))
        return false;
    while (take_part(&element, ';', &part)) {
        if (part.size >= 2 && (part.data[0] | 0x20) == 'q' && part.data[1] == '=' &&
            !parse_quality(varve_slice(part.data + 2, part.size - 2), ret_quality))
            return false;
    }
    return true;
}

/* The q of `type` by the range that fits it most closely; 0 if none does. Counts the elements. */
static int accept_quality(const struct header *headers, size_t count, const char *type,
                          size_t *ret_elements)
{
    int best_fit = 0, best_quality = 0;
    *ret_elements = 0;
    for (size_t i = 0; i < count; i++) {
        if (!equals(headers[i].name, "Accept"))
            continue;
        struct varve_slice rest = headers[i].value, element = {0}, range = {0};
        while (take_part(&rest, ',', &element)) {
            int quality = 0;
            if (element.size == 0)
                continue;
            ++*ret_elements;
            if (!parse_range(element, &range, &quality))
                continue;
            int fit = range_fit(range, type);
            if (fit > best_fit || (fit > 0 && fit == best_fit && quality > best_quality)) {
                best_fit = fit;
                best_quality = quality;
            }
        }
    }
    return best_quality;
}

enum varve_status accept_choose(const struct header *headers, size_t count,
                                const char *const *offers, size_t offer_count, size_t *ret_choice,
                                struct problem *ret_problem)
{
    size_t choice = 0, elements = 0;
    int best = 0;
    for (size_t i = 0; i < offer_count; i++) {
        int quality = accept_quality(headers, count, offers[i], &elements);
        if (quality > best) {
            best = quality;
            choice = i;
        }
    }
    if (elements > 0 && best == 0) {
        char list[160] = "";
        for (size_t i = 0, at = 0; i < offer_count && at < sizeof list; i++)
            at +=
                (size_t)snprintf(list + at, sizeof list - at, "%s%s", i > 0 ? ", " : "", offers[i]);
        return problem_set(ret_problem, PROBLEM_NOT_ACCEPTABLE, "this answer comes as %s", list);
    }
    *ret_choice = choice;
    return VARVE_OK;
}

enum varve_status content_type_choose(const struct header *headers, size_t count,
                                      enum representation other,
                                      enum representation *ret_representation,
                                      struct problem *ret_problem)
{
    const struct header *field = header_find(headers, count, "Content-Type");
    struct varve_slice rest = field != NULL ? field->value : (struct varve_slice){0}, type = {0};
    if (!take_part(&rest, ';', &type) || type.size == 0 || equals(type, "application/json") ||
        equals(type, "application/x-www-form-urlencoded")) {
        *ret_representation = REPRESENTATION_JSON;
        return VARVE_OK;
    }
    if (equals(type, representation_types[other])) {
        *ret_representation = other;
        return VARVE_OK;
    }
    static const char *const hints[REPRESENTATION_COUNT] = {
        [REPRESENTATION_JSON] = "",
        [REPRESENTATION_RAW] = ", or application/octet-stream for the value's bytes as they are",
        [REPRESENTATION_NDJSON] = ", or application/x-ndjson with an operation a line",
    };
    int shown = type.size < VALUE_SHOWN_BYTES ? (int)type.size : VALUE_SHOWN_BYTES;
    return problem_set(ret_problem, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                       "\"%.*s\" is not supported; send application/json%s", shown,
                       (const char *)type.data, hints[other]);
}

static bool is_printable(struct varve_slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < 0x20 || s.data[i] > 0x7e)
            return false;
    }
    return true;
}

void request_id_choose(struct request_id *ret_id, const struct header *headers, size_t count,
                       uint64_t random, uint64_t serial)
{
    const struct header *field = header_find(headers, count, "X-Request-Id");
    struct request_id id = {0};
    if (field != NULL && field->value.size > 0 && field->value.size <= LIMIT_REQUEST_ID_BYTES &&
        is_printable(field->value)) {
        memcpy(id.text, field->value.data, field->value.size);
        id.size = field->value.size;
    } else {
        hex_digits_write(random, id.text);
        hex_digits_write(serial, id.text + HEX_DIGITS_ALL);
        id.size = 2 * (size_t)HEX_DIGITS_ALL;
    }
    *ret_id = id;
}
