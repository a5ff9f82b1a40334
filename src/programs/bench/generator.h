/*
 * programs/bench/generator.h: the keys and values of a benchmark. Everything follows from the seed,
 * so that all engines are given the same bytes in the same order.
 *
 * Keys stand for the numbers 0 to num - 1. A value begins with the number of its key, so that a
 * reader knows whether it was given the right one, whichever write of the key came last.
 */
#ifndef PROGRAMS_BENCH_GENERATOR_H
#define PROGRAMS_BENCH_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/options.h>
#include <varve/slice.h>

#include "base/hash.h"
#include "base/status.h"

/* Room for the byte that makes a key a missing one. */
#define GENERATOR_KEY_BYTES_MAX (VARVE_KEY_BYTES_MAX - 1)

/* What a generator can be asked for: all numbers below have at most 18 digits. */
#define GENERATOR_NUM_MAX 1000000000000000000u

/* Pseudo-random numbers, the same on every machine. Not thread safe. */
struct random {
    uint64_t state;
};

/* `stream` tells apart what is drawn from one seed. */
static inline struct random random_make(uint64_t seed, uint64_t stream)
{
    return (struct random){.state = hash_mix(hash_mix(seed + 1) + stream)};
}
static inline uint64_t random_next(struct random *random)
{
    random->state += 0x9e3779b97f4a7c15ull;
    return hash_mix(random->state);
}
/* 0 to n - 1, n > 0, by the upper half of a product: no division. */
static inline uint64_t random_below(struct random *random, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)random_next(random) * n) >> 64);
}

/* An order in which each of the numbers 0 to num - 1 comes once, without a table. */
struct permutation {
    uint64_t num, mask;
    unsigned shift;
    uint64_t steps[4];
};
/* `num` > 0. */
struct permutation permutation_make(uint64_t num, uint64_t seed);
/* The number at `place`, which is below num. */
uint64_t permutation_at(const struct permutation *permutation, uint64_t place);

/* Which numbers have a key in the store. One thread changes it; while none does, any may read. */
struct key_set {
    uint64_t *words;
    uint64_t num, count;
    uint64_t num_at_first; /* before it grew */
};
/* An empty one. Caller frees with key_set_deinit. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status key_set_init(struct key_set *set, uint64_t num);
void key_set_deinit(struct key_set *set); /* takes a zeroed one */
/* As it was made. */
void key_set_clear(struct key_set *set);
/* Makes it one of `num` numbers, none of the new ones a member. VARVE_NO_MEMORY: it is as it was.
 */
MUST_CHECK enum varve_status key_set_grow(struct key_set *set, uint64_t num);
void key_set_add(struct key_set *set, uint64_t number);
void key_set_add_all(struct key_set *set);
/* Removes those that are members of `others`, a set of as many numbers. */
void key_set_remove_all(struct key_set *set, const struct key_set *others);
/* The first member from `number` on, round from the end to the beginning. The set must not be
 * empty. */
uint64_t key_set_from(const struct key_set *set, uint64_t number);
/* A number of the set, which must not be empty: at random, the first member from there on. */
uint64_t key_set_draw(const struct key_set *set, struct random *random);

/* The bytes from which values are cut: half of them repeat what stands before them, so that they
 * compress to about a half. */
struct value_pool {
    uint8_t *data;
    size_t cuts; /* offsets at which a value may begin */
};
/* Caller frees with value_pool_deinit. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status value_pool_init(struct value_pool *pool, size_t value_bytes,
                                             uint64_t seed);
void value_pool_deinit(struct value_pool *pool); /* takes a zeroed one */

/* One thread's maker of keys and values. */
struct generator {
    const struct value_pool *pool; /* borrowed until generator_deinit */
    struct random random;
    size_t key_bytes, value_bytes;
    uint8_t key[GENERATOR_KEY_BYTES_MAX + 1];
    uint8_t *value;
};
/* `key_bytes` is at most GENERATOR_KEY_BYTES_MAX and has room for the largest number. Caller frees
 * with generator_deinit. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status generator_init(struct generator *generator,
                                            const struct value_pool *pool, size_t key_bytes,
                                            size_t value_bytes, struct random random);
void generator_deinit(struct generator *generator); /* takes a zeroed one */

/* Decimal, with zeros in front. Borrowed until the next key. */
struct varve_slice generator_key(struct generator *generator, uint64_t number);
/* The number whose key this is. False when it is the key of none below `num`. */
bool generator_key_number(const struct generator *generator, struct varve_slice key, uint64_t num,
                          uint64_t *ret_number);
/* Never the key of a number, but right behind one in order. Borrowed until the next key. */
struct varve_slice generator_missing_key(struct generator *generator, uint64_t number);
/* Borrowed until the next value. */
struct varve_slice generator_value(struct generator *generator, uint64_t number);
/* Whether it is, by size and beginning, a value of that number's key. */
bool generator_owns_value(const struct generator *generator, uint64_t number,
                          struct varve_slice value);

#endif
