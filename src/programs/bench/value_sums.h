/*
 * programs/bench/value_sums.h: a model of the store for --verify: a checksum of the last value of
 * each key, from which a scan tells whether it was given just that.
 *
 * Not thread safe: one writer, and no reader beside it. A zeroed one remembers nothing and takes
 * every value for right.
 */
#ifndef PROGRAMS_BENCH_VALUE_SUMS_H
#define PROGRAMS_BENCH_VALUE_SUMS_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/status.h"

struct value_sums {
    uint64_t *sums; /* by the key's number; 0: it was not written */
    uint64_t num;
};

/* For the keys 0 to num - 1, none written. Caller frees with value_sums_deinit. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status value_sums_init(struct value_sums *sums, uint64_t num);
void value_sums_deinit(struct value_sums *sums); /* takes a zeroed one */
void value_sums_clear(struct value_sums *sums);

/* Makes room for the sum of one more key, whatever its number. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status value_sums_reserve(struct value_sums *sums, uint64_t number);
void value_sums_note(struct value_sums *sums, uint64_t number, struct varve_slice value);
/* The key was removed: it has no value any more. */
void value_sums_forget(struct value_sums *sums, uint64_t number);
/* Whether `value` is the last one noted for the key; of a key without one it never is. */
bool value_sums_match(const struct value_sums *sums, uint64_t number, struct varve_slice value);

#endif
