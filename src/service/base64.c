/*
 * libb64 does the coding and is used nowhere else. It is lenient where this interface is strict:
 * its decoder passes over whatever is not base64, so a text is checked in full before it is
 * decoded, and its encoder breaks lines, which is prevented by starting its count of groups so far
 * below zero that the length of a line is never reached. It knows one alphabet: the URL one is
 * translated.
 */
#include "service/base64.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <b64/cdecode.h>
#include <b64/cencode.h>

/* libb64 counts in int. A multiple of 3 and of 4, so that no group is cut. */
#define CHUNK_BYTES ((size_t)12 << 20)
#define SCRATCH_CHARS 4096u /* a multiple of 4 */

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

static char standard_char(uint8_t c)
{
    return c == '-' ? '+' : c == '_' ? '/' : (char)c;
}

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
        int last = base64_decode_value(standard_char(body.data[body.size - 1]));
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

enum varve_status base64_encode(struct varve_slice bytes, struct buf *out)
{
    size_t text_size = base64_encoded_size(bytes.size);
    enum varve_status status = buf_reserve(out, text_size + 1); /* a line break, dropped below */
    if (status != VARVE_OK)
        return status;

    base64_encodestate state;
    base64_init_encodestate(&state);
    char *at = (char *)out->data + out->size;
    for (size_t done = 0; done < bytes.size;) {
        size_t chunk = bytes.size - done < CHUNK_BYTES ? bytes.size - done : CHUNK_BYTES;
        state.stepcount = INT_MIN;
        at += base64_encode_block((const char *)bytes.data + done, (int)chunk, at, &state);
        done += chunk;
    }
    at += base64_encode_blockend(at, &state);
    assert(at - 1 == (char *)out->data + out->size + text_size);
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

/* One chunk of checked text. libb64 writes a byte or two ahead of what it has decoded. */
static size_t decode_chunk(base64_decodestate *state, const char *text, size_t size, uint8_t *at)
{
    return (size_t)base64_decode_block(text, (int)size, (char *)at, state);
}

enum varve_status base64_decode(struct varve_slice text, struct buf *out)
{
    struct varve_slice body = {0};
    if (!check_text(text, IN_STANDARD, &body))
        return status_raise(VARVE_INVALID);
    size_t size = body_decoded_size(body.size);
    enum varve_status status = buf_reserve(out, size + BASE64_DECODE_SLACK);
    if (status != VARVE_OK)
        return status;

    base64_decodestate state = {0};
    base64_init_decodestate(&state);
    uint8_t *at = out->data + out->size;
    for (size_t done = 0; done < body.size;) {
        size_t chunk = body.size - done < CHUNK_BYTES ? body.size - done : CHUNK_BYTES;
        at += decode_chunk(&state, (const char *)body.data + done, chunk, at);
        done += chunk;
    }
    assert(at == out->data + out->size + size);
    out->size += size;
    return VARVE_OK;
}

enum varve_status base64url_decode(struct varve_slice text, struct buf *out)
{
    struct varve_slice body = {0};
    if (!check_text(text, IN_URL, &body))
        return status_raise(VARVE_INVALID);
    size_t size = body_decoded_size(body.size);
    enum varve_status status = buf_reserve(out, size + BASE64_DECODE_SLACK);
    if (status != VARVE_OK)
        return status;

    base64_decodestate state = {0};
    base64_init_decodestate(&state);
    uint8_t *at = out->data + out->size;
    for (size_t done = 0; done < body.size;) {
        char scratch[SCRATCH_CHARS];
        size_t chunk = body.size - done < sizeof scratch ? body.size - done : sizeof scratch;
        for (size_t i = 0; i < chunk; i++)
            scratch[i] = standard_char(body.data[done + i]);
        at += decode_chunk(&state, scratch, chunk, at);
        done += chunk;
    }
    assert(at == out->data + out->size + size);
    out->size += size;
    return VARVE_OK;
}
