/*
 * engine/entry_tree.h: entries in internal-key order in memory: a linked list, and over it a B+
 * tree (Bayer and McCreight, 1972) to find a place in it. One writer at a time; readers need no
 * lock and may run beside it. Nothing is removed. All memory is of one arena.
 */
#ifndef ENGINE_ENTRY_TREE_H
#define ENGINE_ENTRY_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/entry.h"
#include "os/arena.h"

#define ENTRY_TREE_LINE_BYTES 64u /* of the processor's cache */

struct tree_node;

/* Immutable once linked, but for the link. The internal key and the value stand behind it. */
struct tree_entry {
    _Atomic(struct tree_entry *) next;
    uint32_t value_bytes;
    uint16_t user_key_bytes;
    uint8_t data[];
};

/* A tree over the list, and what it expects most user keys to begin with; in the arena. */
struct tree_base {
    struct varve_slice expected;
    _Atomic(struct tree_node *) root;
};

struct entry_tree {
    struct arena *arena;
    struct tree_entry *head; /* no entry: links to the first */
    struct tree_base first, learned;
    _Atomic(struct tree_base *) base; /* one of these */
    /* the writer's own */
    struct varve_slice common;   /* what all user keys so far begin with; of the first one */
    size_t shortest_bytes;       /* of user keys */
    struct tree_node *last_leaf; /* where the last insert put its entry */
    size_t last_at;
    size_t levels;
    size_t reserved_bytes;   /* of the last reservation: for nodes */
    struct tree_entry *last; /* inserted */
    bool has_gaps;           /* entries that no leaf names, for there was no memory */
};

/* The arena is borrowed, and the tree goes with it. `expected`: what most user keys will begin
 * with, as far as that is known; it only makes comparisons cheaper. Copied. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status entry_tree_init(struct entry_tree *tree, struct arena *arena,
                                             struct varve_slice expected);

/* What to expect of the next tree's user keys by those in this one. Writer only. Borrowed. */
struct varve_slice entry_tree_expected(const struct entry_tree *tree);

/* Makes sure that the next `entries` inserts, of `bytes` of user keys and values in all, cannot
 * fail. Only the last reservation counts. Writer only. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status entry_tree_reserve(struct entry_tree *tree, size_t entries,
                                                size_t bytes);
/* What that reserves in the arena. Writer only. */
size_t entry_tree_room(const struct entry_tree *tree, size_t entries, size_t bytes);

/* Copies key and value, for which room is reserved; (user key, tag) is new. If keys come in so bad
 * an order that the tree outgrows that room, it asks the arena for more; what it does not get then
 * costs searches time and nothing else. Writer only. */
void entry_tree_insert(struct entry_tree *tree, struct varve_slice user_key, uint64_t tag,
                       struct varve_slice value);

/* NULL where there is none. */
const struct tree_entry *entry_tree_first(const struct entry_tree *tree);
const struct tree_entry *entry_tree_last(const struct entry_tree *tree);
/* The first entry >= the internal key. */
const struct tree_entry *entry_tree_seek(const struct entry_tree *tree,
                                         struct varve_slice internal_key);
const struct tree_entry *entry_tree_prev(const struct entry_tree *tree,
                                         const struct tree_entry *entry);

static inline const struct tree_entry *tree_entry_next(const struct tree_entry *entry)
{
    return atomic_load_explicit(&entry->next, memory_order_acquire);
}

/* Has an entry's first lines fetched from memory: link, key and the beginning of the value. Takes
 * NULL. */
static inline void tree_entry_prefetch(const struct tree_entry *entry)
{
    __builtin_prefetch(entry);
    __builtin_prefetch((const void *)((uintptr_t)entry + ENTRY_TREE_LINE_BYTES));
}

/* Borrowed from the arena. */
static inline struct varve_slice tree_entry_key(const struct tree_entry *entry)
{
    return varve_slice(entry->data, entry->user_key_bytes + ENTRY_TAG_BYTES);
}
static inline struct varve_slice tree_entry_value(const struct tree_entry *entry)
{
    return varve_slice(entry->data + entry->user_key_bytes + ENTRY_TAG_BYTES, entry->value_bytes);
}

#endif
