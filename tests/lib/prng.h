/*
 * tests/lib/prng.h: pseudo-random numbers from a seed, the same on every machine. Not thread safe.
 */
#ifndef TESTS_LIB_PRNG_H
#define TESTS_LIB_PRNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct prng {
    uint64_t state;
};

static inline struct prng prng_make(uint64_t seed)
{
    return (struct prng){.state = hash_mix(seed + 1)};
}

/* A counter with an odd step, each value of it mixed. */
static inline uint64_t prng_next(struct prng *prng)
{
    prng->state += 0x9e3779b97f4a7c15ull;
    return hash_mix(prng->state);
}

/* 0 to n - 1; n > 0. (The bias is far below what a test could notice.) */
static inline uint64_t prng_below(struct prng *prng, uint64_t n)
{
    return prng_next(prng) % n;
}

/* Both ends included. */
static inline uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
    return low + prng_below(prng, high - low + 1);
}

static inline bool prng_chance(struct prng *prng, unsigned percent)
{
    return prng_below(prng, 100) < percent;
}

static inline void prng_bytes(struct prng *prng, void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)(prng_next(prng) >> 56);
}

#endif
