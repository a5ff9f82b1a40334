/*
 * tests/lib/model.h: what a store should hold: a sorted map from keys to values and revisions. Not
 * thread safe. Memory that it cannot get ends the program.
 */
#ifndef TESTS_LIB_MODEL_H
#define TESTS_LIB_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

struct model_entry {
    struct varve_slice key, value; /* owned by the model */
    uint64_t revision;
};

/* A zeroed struct is an empty model. `entries` is in the order of keys, so a pass either way is a
 * pass over it. */
struct model {
    struct model_entry **entries;
    size_t count, capacity;
};

void model_deinit(struct model *model);

/* Copies both. Replaces. */
void model_put(struct model *model, struct varve_slice key, struct varve_slice value,
               uint64_t revision);
/* False when it was not there. */
bool model_delete(struct model *model, struct varve_slice key);

/* NULL when it is not there. Borrowed until that key changes. */
const struct model_entry *model_get(const struct model *model, struct varve_slice key);

/* Where the first key >= `key` stands; `count` if there is none. */
size_t model_seek(const struct model *model, struct varve_slice key);

/* Into an empty model. */
void model_clone(const struct model *model, struct model *ret);

/* Same keys and values, and with `revisions` the same revisions. */
bool model_equal(const struct model *a, const struct model *b, bool revisions);

#endif
