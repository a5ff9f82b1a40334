/*
 * tests/engine/array_iterator.h: a pass over entries in memory, and the list to make it from. Each
 * move frees the slices lent before, so that a sanitizer sees who keeps one too long; a pass can be
 * told to fail, and counts its moves. Failures of memory end the program.
 */
#ifndef TESTS_ENGINE_ARRAY_ITERATOR_H
#define TESTS_ENGINE_ARRAY_ITERATOR_H

#include <stddef.h>

#include "format/entry.h"

struct array_entry {
    struct buf key; /* internal */
    struct buf value;
};

struct array {
    struct array_entry *entries;
    size_t count, capacity;
};
void array_deinit(struct array *array);
/* Copies. In any order: array_sort before it is used. */
void array_add(struct array *array, struct varve_slice user_key, uint64_t tag,
               struct varve_slice value);
void array_sort(struct array *array);
/* Index of the first entry >= the internal key. */
size_t array_lower_bound(const struct array *array, struct varve_slice internal_key);

struct array_iterator {
    struct entry_iterator base;
    const struct array *array;
    size_t at;
    uint8_t *key, *value; /* lent */
    uint64_t *moves;      /* counted here unless NULL */
    uint64_t *fail_after; /* fails with VARVE_IO when it is 0, else counts it down; may be NULL */
};

/* The array and counters outlive it. */
struct entry_iterator *array_iterator_new(const struct array *array, uint64_t *moves,
                                          uint64_t *fail_after);

#endif
