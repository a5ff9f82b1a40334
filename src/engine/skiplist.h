/*
 * engine/skiplist.h: entries in internal-key order in memory (Pugh, 1990). One writer at a time;
 * readers need no lock and may run beside it. Nothing is removed. All memory is of one arena.
 */
#ifndef ENGINE_SKIPLIST_H
#define ENGINE_SKIPLIST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "format/entry.h"
#include "os/arena.h"

/* With a branching of 4: good for 4^16 entries. */
#define SKIPLIST_LINE_BYTES 64u /* of the processor's cache */
#define SKIPLIST_HEIGHT_MAX 16u

/* Immutable once linked, but for its pointers. The internal key and the value stand behind them. */
struct skiplist_node {
    uint64_t prefix; /* key_prefix_behind what the list's keys are expected to begin with */
    uint32_t value_bytes;
    uint16_t user_key_bytes;
    uint16_t height;
    _Atomic(struct skiplist_node *) next[];
};

struct skiplist {
    struct arena *arena;
    struct skiplist_node *head;  /* no entry; as high as can be */
    _Atomic uint32_t height;     /* of the highest node, at least 1 */
    struct varve_slice expected; /* in the arena */
    /* the writer's own */
    uint64_t random;
    struct skiplist_node *splice[SKIPLIST_HEIGHT_MAX]; /* per level, where the last insert ended */
    struct varve_slice common; /* what all user keys so far begin with; of the first one */
};

/* The arena is borrowed, and the list goes with it. `expected`: what most user keys will begin
 * with, as far as that is known; it only makes comparisons cheaper. Copied. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status skiplist_init(struct skiplist *list, struct arena *arena,
                                           struct varve_slice expected);

/* What all user keys in the list begin with; nothing while it is empty. Writer only. Borrowed. */
struct varve_slice skiplist_common(const struct skiplist *list);

/* What to reserve in the arena for the next `entries` inserts, of `bytes` of user keys and values
 * in all. Writer only. */
size_t skiplist_room(const struct skiplist *list, size_t entries, size_t bytes);

/* Copies key and value. The arena has the room reserved; (user key, tag) is new. Writer only. */
void skiplist_insert(struct skiplist *list, struct varve_slice user_key, uint64_t tag,
                     struct varve_slice value);

/* NULL where there is none. */
const struct skiplist_node *skiplist_first(const struct skiplist *list);
const struct skiplist_node *skiplist_last(const struct skiplist *list);
/* The first entry >= the internal key. */
const struct skiplist_node *skiplist_seek(const struct skiplist *list,
                                          struct varve_slice internal_key);
const struct skiplist_node *skiplist_prev(const struct skiplist *list,
                                          const struct skiplist_node *node);

static inline const struct skiplist_node *skiplist_next(const struct skiplist_node *node)
{
    return atomic_load_explicit(&node->next[0], memory_order_acquire);
}

/* Has a node's first lines fetched from memory: links, key and the beginning of the value. Takes
 * NULL. */
static inline void skiplist_prefetch(const struct skiplist_node *node)
{
    __builtin_prefetch(node);
    __builtin_prefetch((const void *)((uintptr_t)node + SKIPLIST_LINE_BYTES));
}

/* Borrowed from the arena. */
static inline struct varve_slice skiplist_key(const struct skiplist_node *node)
{
    return varve_slice(&node->next[node->height], node->user_key_bytes + ENTRY_TAG_BYTES);
}
static inline struct varve_slice skiplist_value(const struct skiplist_node *node)
{
    const uint8_t *key = (const uint8_t *)&node->next[node->height];
    return varve_slice(key + node->user_key_bytes + ENTRY_TAG_BYTES, node->value_bytes);
}

#endif
