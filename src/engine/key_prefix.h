/*
 * engine/key_prefix.h: the first 8 bytes of a user key as a number, so that most comparisons of
 * keys need no look at the keys themselves.
 */
#ifndef ENGINE_KEY_PREFIX_H
#define ENGINE_KEY_PREFIX_H

#include <stdint.h>
#include <string.h>

#include <varve/slice.h>

#define KEY_PREFIX_BYTES 8u

/* Big-endian, zeros behind a shorter key. Of two keys with different prefixes the one with the
 * smaller prefix is the smaller: at the first byte that differs either both keys have a byte, or
 * one has ended and the zero that stands for it is less than what the other has there. Equal
 * prefixes say nothing ("a" and "a\0"): ask key_compare_behind_prefix. */
static inline uint64_t key_prefix(struct varve_slice user_key)
{
    uint64_t bytes = 0;
    if (user_key.size >= KEY_PREFIX_BYTES)
        memcpy(&bytes, user_key.data, KEY_PREFIX_BYTES);
    else if (user_key.size > 0)
        memcpy(&bytes, user_key.data, user_key.size);
    return __builtin_bswap64(bytes);
}

/* The same for keys that mostly begin with the same bytes, which then decide nothing: of what
 * stands behind `common`. Keys that lie before all that begin so get the least number, those behind
 * the greatest; so here too the smaller key never has the greater number, but equal ones say
 * nothing at all: compare the whole keys. */
static inline uint64_t key_prefix_behind(struct varve_slice common, struct varve_slice user_key)
{
    size_t shorter = common.size < user_key.size ? common.size : user_key.size;
    int order = shorter > 0 ? memcmp(user_key.data, common.data, shorter) : 0;
    if (order != 0)
        return order < 0 ? 0 : UINT64_MAX;
    if (user_key.size < common.size)
        return 0;
    return key_prefix(varve_slice(user_key.data + shorter, user_key.size - shorter));
}

/* What to take for common by what some keys have in common: no more of it than leaves the shortest
 * of them a whole number. That decides as much, and holds for more keys. */
static inline struct varve_slice key_prefix_expect(struct varve_slice common, size_t shortest_bytes)
{
    size_t most = shortest_bytes > KEY_PREFIX_BYTES ? shortest_bytes - KEY_PREFIX_BYTES : 0;
    return varve_slice(common.data, common.size < most ? common.size : most);
}

/* How many bytes, of at most `most`, two keys have in common at their beginning. */
static inline size_t key_common_bytes(struct varve_slice a, struct varve_slice b, size_t most)
{
    most = most < a.size ? most : a.size;
    most = most < b.size ? most : b.size;
    size_t same = 0;
    while (same < most && a.data[same] == b.data[same])
        same++;
    return same;
}

/* The order of two user keys with equal prefixes. */
static inline int key_compare_behind_prefix(struct varve_slice a, struct varve_slice b)
{
    if (a.size <= KEY_PREFIX_BYTES || b.size <= KEY_PREFIX_BYTES)
        return (a.size > b.size) - (a.size < b.size);
    return varve_slice_compare(varve_slice(a.data + KEY_PREFIX_BYTES, a.size - KEY_PREFIX_BYTES),
                               varve_slice(b.data + KEY_PREFIX_BYTES, b.size - KEY_PREFIX_BYTES));
}

#endif
