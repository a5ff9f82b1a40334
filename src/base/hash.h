/*
 * base/hash.h: the hash of keys, XXH3 (64 bits, seed 0). Filters on disk depend on it: it never
 * changes within a format version.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

uint64_t hash_bytes(const void *data, size_t size);

static inline uint64_t hash_slice(struct varve_slice s)
{
    return hash_bytes(s.data, s.size);
}

/* Spreads a number that is not random over all bits (murmur3's finaliser). */
static inline uint64_t hash_mix(uint64_t v)
{
    v ^= v >> 33;
    v *= 0xff51afd7ed558ccdull;
    v ^= v >> 33;
    v *= 0xc4ceb9fe1a85ec53ull;
    return v ^ (v >> 33);
}

#endif
