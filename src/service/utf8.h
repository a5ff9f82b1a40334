/*
 * service/utf8.h: is it UTF-8? Strict as of RFC 3629: no overlong forms, no surrogates, nothing
 * beyond U+10FFFF. Thread safe.
 */
#ifndef SERVICE_UTF8_H
#define SERVICE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include <varve/slice.h>

bool utf8_is_valid(struct varve_slice bytes);

/* Valid and without NUL: what "key" and values as text may hold. */
bool utf8_is_text(struct varve_slice bytes);

/* The length of the character at the front of `bytes` (1 to 4); 0 if there is no valid one. */
size_t utf8_char_size(struct varve_slice bytes);

#endif
