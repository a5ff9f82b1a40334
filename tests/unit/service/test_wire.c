/* A header is taken apart here as libmicrohttpd does it, in place, and then bent. */
#include "support.h"

#include <stdint.h>
#include <stdio.h>

#include "service/wire.h"

#define HEADERS_MAX 4

struct parsed {
    char text[256];
    struct header headers[HEADERS_MAX];
    struct wire_header wire;
};

/* Ends the part that stands at `at` where `mark` stood, and gives what is behind it. */
static char *end_part(char *at, const char *mark)
{
    char *end = strstr(at, mark);
    ck_assert_ptr_nonnull(end);
    memset(end, 0, strlen(mark));
    return end + strlen(mark);
}

static void parse(struct parsed *parsed, const char *text)
{
    memset(parsed, 0, sizeof *parsed);
    snprintf(parsed->text, sizeof parsed->text, "%s", text);
    char *at = parsed->text;
    struct wire_header *wire = &parsed->wire;
    wire->method = at;
    at = end_part(at, " ");
    wire->target_at = at;
    at = end_part(at, " ");
    wire->target = varve_slice_str(wire->target_at);
    wire->version = at;
    at = end_part(at, "\r\n");
    while (strncmp(at, "\r\n", 2) != 0) {
        struct header *header = &parsed->headers[wire->header_count++];
        char *name = at;
        at = end_part(at, ":");
        header->name = varve_slice_str(name);
        at += strspn(at, " ");
        char *value = at;
        at = end_part(at, "\r\n");
        header->value = varve_slice_str(value);
    }
    wire->headers = parsed->headers;
    wire->size = (size_t)(at + 2 - parsed->text);
}

static void ck_refused(struct parsed *parsed)
{
    struct problem problem = {0};
    ck_status(wire_check(&parsed->wire, &problem), VARVE_INVALID);
    ck_problem(&problem, PROBLEM_BAD_FRAMING, NULL);
}

static const char good[] = "GET /kv/a?b HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Far:    b c \r\n\r\n";

START_TEST(test_well_formed)
{
    static const char *const texts[] = {good, "PUT / HTTP/1.1\r\nhost:x\r\n\r\n",
                                        "GET / HTTP/1.0\r\n\r\n",
                                        "M-SEARCH * HTTP/1.1\r\n"
                                        "Host: \r\n\r\n"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct parsed parsed;
        struct problem problem = {0};
        parse(&parsed, texts[i]);
        ck_ok(wire_check(&parsed.wire, &problem));
    }
}
END_TEST

START_TEST(test_method_that_is_no_token)
{
    static const char *const texts[] = {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
                                        "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n",
                                        " / HTTP/1.1\r\nHost: a\r\n\r\n"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct parsed parsed;
        parse(&parsed, texts[i]);
        ck_refused(&parsed);
    }
}
END_TEST

START_TEST(test_missing_host)
{
    struct parsed parsed;
    parse(&parsed, "GET / HTTP/1.1\r\nHots: a\r\n\r\n");
    ck_refused(&parsed);
}
END_TEST

START_TEST(test_space_in_target)
{
    struct parsed parsed;
    parse(&parsed, good);
    parsed.wire.target = L("/kv/a b");
    ck_refused(&parsed);
}
END_TEST

START_TEST(test_nul_in_target)
{
    struct parsed parsed;
    parse(&parsed, good);
    parsed.text[6] = '\0';
    parsed.wire.target = varve_slice_str(parsed.wire.target_at);
    ck_refused(&parsed);
}
END_TEST

START_TEST(test_nul_in_value)
{
    struct parsed parsed;
    parse(&parsed, good);
    parsed.headers[2].value.size--;
    ck_refused(&parsed);
}
END_TEST

START_TEST(test_dropped_or_folded_line)
{
    for (size_t dropped = 1; dropped < 3; dropped++) {
        struct parsed parsed;
        parse(&parsed, good);
        for (size_t i = dropped; i + 1 < parsed.wire.header_count; i++)
            parsed.headers[i] = parsed.headers[i + 1];
        parsed.wire.header_count--;
        ck_refused(&parsed);
    }
}
END_TEST

START_TEST(test_bare_line_feed)
{
    struct parsed parsed;
    parse(&parsed, good);
    parsed.headers[0].value.size++;
    ck_refused(&parsed);
}
END_TEST

START_TEST(test_header_that_ends_early)
{
    struct parsed parsed;
    parse(&parsed, good);
    parsed.wire.size += 3; /* ": 1" and its line end, taken for the empty line */
    ck_refused(&parsed);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"well_formed", test_well_formed},
        {"method_that_is_no_token", test_method_that_is_no_token},
        {"missing_host", test_missing_host},
        {"space_in_target", test_space_in_target},
        {"nul_in_target", test_nul_in_target},
        {"nul_in_value", test_nul_in_value},
        {"dropped_or_folded_line", test_dropped_or_folded_line},
        {"bare_line_feed", test_bare_line_feed},
        {"header_that_ends_early", test_header_that_ends_early},
    };
    return SUPPORT_RUN("wire", tests);
}
