/*
 * The permutation works on the numbers of the fewest bits that hold num - 1, by steps that each can
 * be undone within so many bits: a shifted exclusive or, a product with an odd number, a sum. Where
 * a number comes out that is too large, it goes through again until one fits; as the way back is as
 * unique as the way there, no two places end at the same number.
 */
#include "programs/bench/generator.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u
#define MISSING_KEY_END '.'

#define POOL_BYTES ((size_t)1 << 20)
#define POOL_PIECE_BYTES 64u

struct permutation permutation_make(uint64_t num, uint64_t seed)
{
    unsigned bits = num > 2 ? WORD_BITS - (unsigned)__builtin_clzll(num - 1) : 1;
    struct random random = random_make(seed, num);
    struct permutation permutation = {
        .num = num,
        .mask = UINT64_MAX >> (WORD_BITS - bits),
        .shift = (bits + 1) / 2,
    };
    for (size_t i = 0; i < sizeof permutation.steps / sizeof permutation.steps[0]; i++)
        permutation.steps[i] = random_next(&random);
    return permutation;
}

uint64_t permutation_at(const struct permutation *permutation, uint64_t place)
{
    uint64_t number = place;
    do {
        for (size_t i = 0; i < sizeof permutation->steps / sizeof permutation->steps[0]; i++) {
            number = (number + permutation->steps[i]) & permutation->mask;
            number ^= number >> permutation->shift;
            number = number * (permutation->steps[i] | 1) & permutation->mask;
        }
    } while (number >= permutation->num);
    return number;
}

static size_t word_count(uint64_t num)
{
    return (size_t)((num + WORD_BITS - 1) / WORD_BITS);
}

enum varve_status key_set_init(struct key_set *set, uint64_t num)
{
    uint64_t *words = calloc(word_count(num), sizeof *words);
    if (words == NULL)
        return status_raise(VARVE_NO_MEMORY);
    *set = (struct key_set){.words = words, .num = num, .num_at_first = num};
    return VARVE_OK;
}

void key_set_deinit(struct key_set *set)
{
    free(set->words);
    *set = (struct key_set){0};
}

void key_set_clear(struct key_set *set)
{
    memset(set->words, 0, word_count(set->num) * sizeof *set->words);
    set->count = 0;
    set->num = set->num_at_first;
}

enum varve_status key_set_grow(struct key_set *set, uint64_t num)
{
    size_t before = word_count(set->num), after = word_count(num);
    uint64_t *words = realloc(set->words, after * sizeof *words);
    if (words == NULL)
        return status_raise(VARVE_NO_MEMORY);
    memset(words + before, 0, (after - before) * sizeof *words);
    set->words = words;
    set->num = num;
    return VARVE_OK;
}

void key_set_add(struct key_set *set, uint64_t number)
{
    uint64_t *word = &set->words[number / WORD_BITS];
    uint64_t bit = (uint64_t)1 << number % WORD_BITS;
    set->count += (*word & bit) == 0;
    *word |= bit;
}

void key_set_add_all(struct key_set *set)
{
    size_t count = word_count(set->num);
    memset(set->words, 0xff, count * sizeof *set->words);
    if (set->num % WORD_BITS != 0)
        set->words[count - 1] >>= WORD_BITS - set->num % WORD_BITS;
    set->count = set->num;
}

void key_set_remove_all(struct key_set *set, const struct key_set *others)
{
    for (size_t i = 0; i < word_count(set->num); i++) {
        set->count -= (uint64_t)__builtin_popcountll(set->words[i] & others->words[i]);
        set->words[i] &= ~others->words[i];
    }
}

uint64_t key_set_from(const struct key_set *set, uint64_t number)
{
    if (set->count == set->num)
        return number;
    size_t at = (size_t)(number / WORD_BITS);
    uint64_t word = set->words[at] & UINT64_MAX << number % WORD_BITS;
    while (word == 0) {
        at = at + 1 < word_count(set->num) ? at + 1 : 0;
        word = set->words[at];
    }
    return at * WORD_BITS + (unsigned)__builtin_ctzll(word);
}

uint64_t key_set_draw(const struct key_set *set, struct random *random)
{
    return key_set_from(set, random_below(random, set->num));
}

enum varve_status value_pool_init(struct value_pool *pool, size_t value_bytes, uint64_t seed)
{
    size_t size = (POOL_BYTES + value_bytes) / POOL_PIECE_BYTES * POOL_PIECE_BYTES;
    uint8_t *data = malloc(size);
    if (data == NULL)
        return status_raise(VARVE_NO_MEMORY);
    struct random random = random_make(seed, size);
    for (size_t at = 0; at < size; at += POOL_PIECE_BYTES) {
        for (size_t i = 0; i < POOL_PIECE_BYTES / 2; i += sizeof(uint64_t)) {
            uint64_t number = random_next(&random);
            memcpy(data + at + i, &number, sizeof number);
        }
        memcpy(data + at + POOL_PIECE_BYTES / 2, data + at, POOL_PIECE_BYTES / 2);
    }
    *pool = (struct value_pool){.data = data, .cuts = size - value_bytes};
    return VARVE_OK;
}

void value_pool_deinit(struct value_pool *pool)
{
    free(pool->data);
    *pool = (struct value_pool){0};
}

enum varve_status generator_init(struct generator *generator, const struct value_pool *pool,
                                 size_t key_bytes, size_t value_bytes, struct random random)
{
    uint8_t *value = malloc(value_bytes != 0 ? value_bytes : 1);
    if (value == NULL)
        return status_raise(VARVE_NO_MEMORY);
    generator->pool = pool;
    generator->random = random;
    generator->key_bytes = key_bytes;
    generator->value_bytes = value_bytes;
    generator->value = value;
    return VARVE_OK;
}

void generator_deinit(struct generator *generator)
{
    free(generator->value);
    generator->value = NULL;
}

struct varve_slice generator_key(struct generator *generator, uint64_t number)
{
    size_t at = generator->key_bytes;
    do {
        generator->key[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0 && at > 0);
    memset(generator->key, '0', at);
    return varve_slice(generator->key, generator->key_bytes);
}

bool generator_key_number(const struct generator *generator, struct varve_slice key, uint64_t num,
                          uint64_t *ret_number)
{
    uint64_t number = 0;
    if (key.size != generator->key_bytes)
        return false;
    for (size_t i = 0; i < key.size; i++) {
        if (key.data[i] < '0' || key.data[i] > '9' || number >= num)
            return false;
        number = number * 10 + (uint64_t)(key.data[i] - '0');
    }
    if (number >= num)
        return false;
    *ret_number = number;
    return true;
}

struct varve_slice generator_missing_key(struct generator *generator, uint64_t number)
{
    struct varve_slice key = generator_key(generator, number);
    generator->key[key.size] = MISSING_KEY_END;
    return varve_slice(key.data, key.size + 1);
}

/* How much of the number stands in a value. */
static size_t mark_bytes(const struct generator *generator)
{
    return generator->value_bytes < sizeof(uint64_t) ? generator->value_bytes : sizeof(uint64_t);
}

struct varve_slice generator_value(struct generator *generator, uint64_t number)
{
    size_t cut = (size_t)random_below(&generator->random, generator->pool->cuts);
    memcpy(generator->value, generator->pool->data + cut, generator->value_bytes);
    memcpy(generator->value, &number, mark_bytes(generator));
    return varve_slice(generator->value, generator->value_bytes);
}

bool generator_owns_value(const struct generator *generator, uint64_t number,
                          struct varve_slice value)
{
    return value.size == generator->value_bytes &&
           (value.size == 0 || memcmp(value.data, &number, mark_bytes(generator)) == 0);
}
