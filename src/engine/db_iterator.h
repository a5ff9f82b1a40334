/*
 * engine/db_iterator.h: what a user sees of a merged pass: of each key the newest entry at or below
 * a sequence, deleted and expired ones left out, within bounds, in both directions. Implements the
 * moves of varve/iterator.h; db.c makes the merged pass and its pins.
 */
#ifndef ENGINE_DB_ITERATOR_H
#define ENGINE_DB_ITERATOR_H

#include <varve/iterator.h>

#include "format/entry.h"

struct db_iterator_source {
    struct entry_iterator *merged;   /* taken over */
    uint64_t sequence;               /* visible up to here */
    uint64_t now_seconds;            /* entries that expire at or before it are absent */
    struct varve_slice start, end;   /* copied; empty: no bound */
    uint64_t hidden_max;             /* as of struct varve_iterator_options */
    void (*released)(void *context); /* called once, after `merged` is freed; may be NULL */
    void *context;
};

/* Takes ownership of source->merged and of the context, also when it fails. */
MUST_CHECK enum varve_status db_iterator_new(const struct db_iterator_source *source,
                                             struct varve_iterator **ret_iterator);

#endif
