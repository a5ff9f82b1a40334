/*
 * Before base64url:
 *
 *     u8       version, 1
 *     u8       flags: 1 = reverse
 *     varint   length of the last key, then the key
 *     varint   length of the bound ahead, then the bound
 *     fixed64  hash of the bound behind
 *     fixed32  crc32c of all before
 *
 * A crc finds every change of up to 32 neighbouring bits, and base64url is read only in its one
 * canonical, unpadded form: no altered character goes unseen.
 */
#include "service/cursor.h"

#include <varve/options.h>

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "service/base64.h"

#define CURSOR_VERSION 1u
#define FLAG_REVERSE 1u
#define CHECKSUM_BYTES 4u

uint64_t cursor_bound_hash(struct varve_slice bound)
{
    return hash_slice(bound);
}

static enum varve_status append_payload(const struct cursor *cursor, struct buf *bytes)
{
    const uint8_t head[] = {CURSOR_VERSION, cursor->reverse ? FLAG_REVERSE : 0};
    enum varve_status status = buf_append(bytes, head, sizeof head);
    if (status == VARVE_OK)
        status = buf_append_prefixed(bytes, cursor->last_key);
    if (status == VARVE_OK)
        status = buf_append_prefixed(bytes, cursor->ahead);
    if (status == VARVE_OK)
        status = buf_append_fixed64(bytes, cursor->behind_hash);
    if (status == VARVE_OK)
        status = buf_append_fixed32(bytes, crc32c_extend(0, bytes->data, bytes->size));
    return status;
}

enum varve_status cursor_encode(const struct cursor *cursor, struct buf *out)
{
    struct buf bytes = {0};
    enum varve_status status = append_payload(cursor, &bytes);
    if (status == VARVE_OK)
        status = base64url_encode(buf_slice(&bytes), out);
    buf_deinit(&bytes);
    return status;
}

static bool parse_payload(struct varve_slice payload, struct cursor *ret_cursor)
{
    struct cursor cursor = {0};
    uint8_t version = 0, flags = 0;
    if (!slice_take_byte(&payload, &version) || version != CURSOR_VERSION ||
        !slice_take_byte(&payload, &flags) || flags > FLAG_REVERSE ||
        !slice_take_prefixed(&payload, &cursor.last_key) ||
        !slice_take_prefixed(&payload, &cursor.ahead) ||
        !slice_take_fixed64(&payload, &cursor.behind_hash) || payload.size != 0)
        return false;
    if (cursor.last_key.size == 0 || cursor.last_key.size > VARVE_KEY_BYTES_MAX ||
        cursor.ahead.size > VARVE_KEY_BYTES_MAX)
        return false;
    cursor.reverse = flags == FLAG_REVERSE;
    *ret_cursor = cursor;
    return true;
}

enum varve_status cursor_decode(struct varve_slice text, struct buf *storage,
                                struct cursor *ret_cursor)
{
    if (text.size == 0 || text.size > CURSOR_TEXT_BYTES_MAX || text.data[text.size - 1] == '=')
        return status_raise(VARVE_INVALID);
    buf_clear(storage);
    enum varve_status status = base64url_decode(text, storage);
    if (status != VARVE_OK)
        return status;
    if (storage->size < CHECKSUM_BYTES)
        return status_raise(VARVE_INVALID);
    struct varve_slice payload = varve_slice(storage->data, storage->size - CHECKSUM_BYTES);
    uint32_t checksum = crc32c_extend(0, payload.data, payload.size);
    if (checksum != fixed32_decode(payload.data + payload.size) ||
        !parse_payload(payload, ret_cursor))
        return status_raise(VARVE_INVALID);
    return VARVE_OK;
}
