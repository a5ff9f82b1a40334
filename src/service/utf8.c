/*
 * By the table of well-formed sequences in RFC 3629 (section 4): the first byte gives the length
 * and the bounds of the second, all later ones are 80 to BF. ASCII is passed over eight bytes at a
 * time.
 */
#include "service/utf8.h"

#include <stdint.h>
#include <string.h>

static size_t sequence_size(uint8_t first, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = 0x80;
    *ret_high = 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *ret_low = 0xa0; /* shorter forms exist below */
        if (first == 0xed)
            *ret_high = 0x9f; /* surrogates above */
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *ret_low = 0x90;
        if (first == 0xf4)
            *ret_high = 0x8f; /* beyond U+10FFFF above */
        return 4;
    }
    return 0;
}

size_t utf8_char_size(struct varve_slice bytes)
{
    if (bytes.size == 0)
        return 0;
    uint8_t low, high;
    size_t size = sequence_size(bytes.data[0], &low, &high);
    if (size <= 1)
        return size;
    if (size > bytes.size || bytes.data[1] < low || bytes.data[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (bytes.data[i] < 0x80 || bytes.data[i] > 0xbf)
            return 0;
    }
    return size;
}

bool utf8_is_valid(struct varve_slice bytes)
{
    size_t at = 0;
    while (at < bytes.size) {
        uint64_t eight;
        if (bytes.size - at >= sizeof eight) {
            memcpy(&eight, bytes.data + at, sizeof eight);
            if ((eight & 0x8080808080808080ull) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        size_t size = utf8_char_size(varve_slice(bytes.data + at, bytes.size - at));
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

bool utf8_is_text(struct varve_slice bytes)
{
    if (bytes.size != 0 && memchr(bytes.data, 0, bytes.size) != NULL)
        return false;
    return utf8_is_valid(bytes);
}
