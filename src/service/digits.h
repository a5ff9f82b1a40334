/*
 * service/digits.h: numbers as text on the way of every request, where formatting with printf costs
 * more than the rest of a header field. Thread safe.
 */
#ifndef SERVICE_DIGITS_H
#define SERVICE_DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGITS_MAX 20u     /* of 2^64 - 1 */
#define HEX_DIGITS_ALL 16u /* of 64 bits */

/* The number's decimal digits, without NUL. Gives how many there are. */
static inline size_t digits_write(uint64_t number, char ret_digits[DIGITS_MAX])
{
    char digits[DIGITS_MAX];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    memcpy(ret_digits, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

/* All sixteen digits of the number, in lower case, without NUL. */
static inline void hex_digits_write(uint64_t number, char ret_digits[HEX_DIGITS_ALL])
{
    for (size_t i = HEX_DIGITS_ALL; i-- > 0; number >>= 4)
        ret_digits[i] = "0123456789abcdef"[number & 0xf];
}

#endif
