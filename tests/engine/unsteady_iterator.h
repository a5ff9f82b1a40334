/*
 * tests/engine/unsteady_iterator.h: a pass over a memtable that gets a newer entry before every
 * single move of it. Failures end the program.
 */
#ifndef TESTS_ENGINE_UNSTEADY_ITERATOR_H
#define TESTS_ENGINE_UNSTEADY_ITERATOR_H

#include "array_iterator.h"
#include "engine/memtable.h"
#include "prng.h"

/* The memtable begins with the entries of `array`; what is added has sequences above `sequence` and
 * keys of 1 to 4 bytes, each 0 or 'k'. The pool outlives it. */
struct entry_iterator *unsteady_iterator_new(struct memtable_pool *pool, const struct array *array,
                                             struct prng *seeds, uint64_t sequence);

#endif
