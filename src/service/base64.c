/*
 * Whole groups of three bytes, or of four characters, are coded here: libb64 takes a text byte by
 * byte through its states, which costs a small answer as much as all the rest of its JSON. What is
 * left at the end, with its padding, is libb64's, which is used nowhere else. It is lenient where
 * this interface is strict, so a text is checked in full before it is decoded.
 */
#include "service/base64.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <b64/cdecode.h>
#include <b64/cencode.h>

#define GROUP_BYTES 3u
#define GROUP_CHARS 4u

enum { IN_STANDARD = 1, IN_URL = 2 };

static const uint8_t alphabets[256] = {
    ['A' ... 'Z'] = IN_STANDARD | IN_URL,
    ['a' ... 'z'] = IN_STANDARD | IN_URL,
    ['0' ... '9'] = IN_STANDARD | IN_URL,
    ['+'] = IN_STANDARD,
    ['/'] = IN_STANDARD,
    ['-'] = IN_URL,
    ['_'] = IN_URL,
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Of the characters of both alphabets. */
static const uint8_t digit_values[256] = {
    ['A'] = 0,  ['B'] = 1,  ['C'] = 2,  ['D'] = 3,  ['E'] = 4,  ['F'] = 5,  ['G'] = 6,  ['H'] = 7,
    ['I'] = 8,  ['J'] = 9,  ['K'] = 10, ['L'] = 11, ['M'] = 12, ['N'] = 13, ['O'] = 14, ['P'] = 15,
    ['Q'] = 16, ['R'] = 17, ['S'] = 18, ['T'] = 19, ['U'] = 20, ['V'] = 21, ['W'] = 22, ['X'] = 23,
    ['Y'] = 24, ['Z'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
    ['g'] = 32, ['h'] = 33, ['i'] = 34, ['j'] = 35, ['k'] = 36, ['l'] = 37, ['m'] = 38, ['n'] = 39,
    ['o'] = 40, ['p'] = 41, ['q'] = 42, ['r'] = 43, ['s'] = 44, ['t'] = 45, ['u'] = 46, ['v'] = 47,
    ['w'] = 48, ['x'] = 49, ['y'] = 50, ['z'] = 51, ['0'] = 52, ['1'] = 53, ['2'] = 54, ['3'] = 55,
    ['4'] = 56, ['5'] = 57, ['6'] = 58, ['7'] = 59, ['8'] = 60, ['9'] = 61, ['+'] = 62, ['/'] = 63,
    ['-'] = 62, ['_'] = 63,
};

/* The text without its padding, `*ret_body`, if it is a legal one. */
static bool check_text(struct varve_slice text, uint8_t alphabet, struct varve_slice *ret_body)
{
    struct varve_slice body = text;
    while (body.size > 0 && text.size - body.size < 2 && body.data[body.size - 1] == '=')
        body.size--;
    bool padded = body.size < text.size;
    size_t rest = body.size % 4;
    if (rest == 1 || (padded && (rest == 0 || text.size % 4 != 0)))
        return false;
    if (alphabet == IN_STANDARD && rest != 0 && !padded)
        return false;

    uint8_t all = alphabet;
    for (size_t i = 0; i < body.size; i++)
        all &= alphabets[body.data[i]];
    if (all == 0)
        return false;
    if (rest != 0) {
        unsigned last = digit_values[body.data[body.size - 1]];
        if ((last & (rest == 2 ? 0xf : 0x3)) != 0)
            return false;
    }
    *ret_body = body;
    return true;
}

static size_t body_decoded_size(size_t body_size)
{
    return body_size / 4 * 3 + (body_size % 4 != 0 ? body_size % 4 - 1 : 0);
}

static void encode_groups(const uint8_t *from, size_t count, char *to)
{
    for (; count > 0; count--, from += GROUP_BYTES, to += GROUP_CHARS) {
        uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        to[0] = digits[bits >> 18];
        to[1] = digits[bits >> 12 & 0x3f];
        to[2] = digits[bits >> 6 & 0x3f];
        to[3] = digits[bits & 0x3f];
    }
}

/* Less than a group, with its padding. libb64 ends it with a line break, which is not counted. */
static size_t encode_rest(const uint8_t *from, size_t size, char *to)
{
    base64_encodestate state;
    base64_init_encodestate(&state);
    size_t done = (size_t)base64_encode_block((const char *)from, (int)size, to, &state);
    return done + (size_t)base64_encode_blockend(to + done, &state) - 1;
}

enum varve_status base64_encode(struct varve_slice bytes, struct buf *out)
{
    size_t text_size = base64_encoded_size(bytes.size);
    enum varve_status status = buf_reserve(out, text_size + 1); /* a line break, dropped */
    if (status != VARVE_OK)
        return status;

    char *at = (char *)out->data + out->size;
    size_t groups = bytes.size / GROUP_BYTES, rest = bytes.size % GROUP_BYTES;
    encode_groups(bytes.data, groups, at);
    at += groups * GROUP_CHARS;
    if (rest > 0)
        at += encode_rest(bytes.data + groups * GROUP_BYTES, rest, at);
    assert(at == (char *)out->data + out->size + text_size);
    out->size += text_size;
    return VARVE_OK;
}

enum varve_status base64url_encode(struct varve_slice bytes, struct buf *out)
{
    size_t from = out->size;
    enum varve_status status = base64_encode(bytes, out);
    if (status != VARVE_OK)
        return status;
    out->size = from + bytes.size / 3 * 4 + (bytes.size % 3 != 0 ? bytes.size % 3 + 1 : 0);
    for (uint8_t *at = out->data + from; at < out->data + out->size; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    return VARVE_OK;
}

static void decode_groups(const uint8_t *from, size_t count, uint8_t *to)
{
    for (; count > 0; count--, from += GROUP_CHARS, to += GROUP_BYTES) {
        uint32_t bits = (uint32_t)digit_values[from[0]] << 18 |
                        (uint32_t)digit_values[from[1]] << 12 |
                        (uint32_t)digit_values[from[2]] << 6 | digit_values[from[3]];
        to[0] = (uint8_t)(bits >> 16);
        to[1] = (uint8_t)(bits >> 8);
        to[2] = (uint8_t)bits;
    }
}

/* Less than a group. libb64 knows one alphabet, and writes a byte or two ahead of what it has
 * decoded. */
static size_t decode_rest(const uint8_t *from, size_t size, uint8_t *to)
{
    char standard[GROUP_CHARS];
    base64_decodestate state = {0};
    for (size_t i = 0; i < size; i++)
        standard[i] = digits[digit_values[from[i]]];
    base64_init_decodestate(&state);
    return (size_t)base64_decode_block(standard, (int)size, (char *)to, &state);
}

static enum varve_status decode(struct varve_slice text, uint8_t alphabet, struct buf *out)
{
    struct varve_slice body = {0};
    if (!check_text(text, alphabet, &body))
        return status_raise(VARVE_INVALID);
    size_t size = body_decoded_size(body.size);
    enum varve_status status = buf_reserve(out, size + BASE64_DECODE_SLACK);
    if (status != VARVE_OK)
        return status;

    uint8_t *at = out->data + out->size;
    size_t groups = body.size / GROUP_CHARS, rest = body.size % GROUP_CHARS;
    decode_groups(body.data, groups, at);
    at += groups * GROUP_BYTES;
    if (rest > 0)
        at += decode_rest(body.data + groups * GROUP_CHARS, rest, at);
    assert(at == out->data + out->size + size);
    out->size += size;
    return VARVE_OK;
}

enum varve_status base64_decode(struct varve_slice text, struct buf *out)
{
    return decode(text, IN_STANDARD, out);
}

enum varve_status base64url_decode(struct varve_slice text, struct buf *out)
{
    return decode(text, IN_URL, out);
}
