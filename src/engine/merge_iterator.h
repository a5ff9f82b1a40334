/*
 * engine/merge_iterator.h: several sorted passes as one, by a tournament among their heads. No two
 * children hold an equal internal key.
 */
#ifndef ENGINE_MERGE_ITERATOR_H
#define ENGINE_MERGE_ITERATOR_H

#include <stddef.h>

#include "format/entry.h"

/* Takes ownership of the children, also when it fails, but not of the array. A failed child makes
 * the whole fail: it never counts as ended. With one child, that child itself is given back. */
MUST_CHECK enum varve_status merge_iterator_new(struct entry_iterator **children, size_t count,
                                                struct entry_iterator **ret_iterator);

#endif
