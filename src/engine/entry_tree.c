/*
 * The list alone says what is there; the tree only says from where to look. A slot of a leaf names
 * an entry; a slot of an inner node names the first entry that a child names, and the child. In
 * front of each entry's address stands a number that orders as its key does: eight bytes of it.
 * Invariants, at every moment and for every thread:
 *
 *  1. The list is strictly ordered by internal key. An entry that can be reached is complete: all
 *     but its link was written before the release store that linked it in, and is never written
 *     again. A link once set changes only to an entry that stands nearer.
 *  2. All that a node names is in the list. The slots in use are ordered. (A reader who takes some
 *     of them older than others may see them otherwise, and then begins further in front.)
 *  3. A slot once set changes only to what stands before what it held, and its parts in the order
 *     child, entry, number. (Inserting moves slots up from the last one; a split leaves the upper
 *     half behind where it was and only counts it no longer.)
 *  4. A node's first slot never changes. It is what the node's parent names it by; down the left
 *     edge of the tree it is the head of the list, which stands before all. So whoever comes to a
 *     node seeks what stands behind its first slot.
 *
 * A reader takes a slot whose number it saw to be less than what it seeks, or whose entry it saw to
 * be before that. By 3, what it reads from the slot then, however late, stands before as well; by 4
 * so does what it finds in the child. So whatever the writer does meanwhile, the search ends at an
 * entry of the list before the one sought, and goes on along the list from there: past what was
 * inserted since it looked, and past what a split moved between its look at a node and at the child
 * (mostly half a leaf; at worst, from the root, half of all). It waits for nobody and begins
 * nothing anew.
 *
 * The eight bytes are taken from behind what the keys are expected to begin with, for the first
 * eight of all keys are often the same: what those of the tree before had in common, or those of
 * the store's tables; or, if that tells nothing of the entries in the first leaf, what these have.
 * A wrong guess costs comparisons of whole keys and nothing else.
 *
 * A node is split on the way down to an insert, when it is full. At the right edge of the tree,
 * where keys in order arrive (loads, time series), only the last slot moves, so that nodes stay
 * full behind it. The writer remembers where the last entry went: the next one in order is put
 * behind it without a search.
 */
#include "engine/entry_tree.h"

#include <assert.h>
#include <string.h>

#include "engine/key_prefix.h"

#define FANOUT 32u

struct slot {
    _Atomic uint64_t prefix; /* key_prefix_behind what is expected */
    union {
        _Atomic(struct tree_entry *) entry; /* of a leaf */
        _Atomic(struct tree_node *) child;
    };
};

struct tree_node {
    _Atomic uint32_t count;
    bool is_leaf;
    struct slot slots[FANOUT];
    _Atomic(struct tree_entry *) names[]; /* of an inner node: each child's first entry */
};

/* What is sought, taken apart once. */
struct probe {
    uint64_t prefix;
    struct varve_slice user_key;
    uint64_t tag;
};

static struct probe probe_of(const struct tree_base *base, struct varve_slice user_key,
                             uint64_t tag)
{
    return (struct probe){
        .prefix = key_prefix_behind(base->expected, user_key), .user_key = user_key, .tag = tag};
}

static struct probe probe_of_key(const struct tree_base *base, struct varve_slice internal_key)
{
    return probe_of(base, entry_user_key(internal_key), entry_key_tag(internal_key));
}

static bool entry_is_before(const struct tree_entry *entry, const struct probe *probe)
{
    struct varve_slice key = tree_entry_key(entry);
    int order = varve_slice_compare(entry_user_key(key), probe->user_key);
    if (order != 0)
        return order < 0;
    return entry_key_tag(key) > probe->tag;
}

static inline struct tree_base *tree_base(const struct entry_tree *tree)
{
    return atomic_load_explicit(&tree->base, memory_order_acquire);
}

static inline struct tree_node *base_root(const struct tree_base *base)
{
    return atomic_load_explicit(&base->root, memory_order_acquire);
}

static inline size_t node_count(const struct tree_node *node)
{
    return atomic_load_explicit(&node->count, memory_order_acquire);
}

static inline uint64_t node_prefix(const struct tree_node *node, size_t at)
{
    return atomic_load_explicit(&node->slots[at].prefix, memory_order_acquire);
}

static inline struct tree_entry *node_entry(const struct tree_node *node, size_t at)
{
    return atomic_load_explicit(node->is_leaf ? &node->slots[at].entry : &node->names[at],
                                memory_order_acquire);
}

static inline struct tree_node *node_child(const struct tree_node *node, size_t at)
{
    return atomic_load_explicit(&node->slots[at].child, memory_order_acquire);
}

static inline bool node_is_full(const struct tree_node *node)
{
    return atomic_load_explicit(&node->count, memory_order_relaxed) == FANOUT;
}

static void node_prefetch(const struct tree_node *node)
{
    for (size_t at = 0; at < sizeof *node; at += ENTRY_TREE_LINE_BYTES)
        __builtin_prefetch((const uint8_t *)node + at);
}

/* The same among slots from `rank` on, of which the first has the probe's prefix. */
static __attribute__((noinline)) size_t rank_by_keys(const struct tree_node *node, size_t rank,
                                                     size_t count, const struct probe *probe)
{
    size_t end = count;
    while (rank < end) {
        size_t middle = rank + (end - rank) / 2;
        uint64_t prefix = node_prefix(node, middle);
        bool is_before = prefix != probe->prefix ? prefix < probe->prefix
                                                 : entry_is_before(node_entry(node, middle), probe);
        if (is_before)
            rank = middle + 1;
        else
            end = middle;
    }
    return rank;
}

/* How many of the node's slots stand before the probe. The first one does. */
static inline size_t node_rank(const struct tree_node *node, const struct probe *probe)
{
    const size_t count = node_count(node);
    size_t rank = 1;
    for (size_t left = count - 1; left > 0;) { /* without a branch: each would be a guess */
        size_t half = (left + 1) / 2;
        rank += node_prefix(node, rank + half - 1) < probe->prefix ? half : 0;
        left -= half;
    }
    if (rank < count && node_prefix(node, rank) == probe->prefix)
        return rank_by_keys(node, rank, count, probe);
    return rank;
}

/* The last entry before the probe (the head if none), and the one that stood behind it then: it
 * must not be read from there again, for the writer may have put an entry before the probe in
 * between. */
static struct tree_entry *find_before(const struct tree_base *base, const struct probe *probe,
                                      const struct tree_entry **ret_behind)
{
    const struct tree_node *node = base_root(base);
    while (!node->is_leaf) {
        node = node_child(node, node_rank(node, probe) - 1);
        node_prefetch(node);
    }
    struct tree_entry *entry = node_entry(node, node_rank(node, probe) - 1);
    const struct tree_entry *next = tree_entry_next(entry);
    while (next != NULL && entry_is_before(next, probe)) {
        entry = (struct tree_entry *)next;
        next = tree_entry_next(entry);
    }
    *ret_behind = next;
    return entry;
}

static size_t node_bytes(bool is_leaf)
{
    return sizeof(struct tree_node) + (is_leaf ? 0 : FANOUT * sizeof(struct tree_entry *));
}

/* One that was reserved, or one beside all that is promised. NULL: out of memory. */
static struct tree_node *node_new(struct entry_tree *tree, bool is_leaf)
{
    const size_t bytes = node_bytes(is_leaf);
    const bool is_reserved = bytes <= tree->reserved_bytes;
    struct tree_node *node = (is_reserved ? arena_alloc : arena_alloc_beside)(tree->arena, bytes);
    if (node == NULL)
        return NULL;
    if (is_reserved)
        tree->reserved_bytes -= bytes;
    atomic_init(&node->count, 0);
    node->is_leaf = is_leaf;
    return node;
}

/* Writes a slot that no reader has looked into, or that moves down in the order. `child`: NULL in a
 * leaf. */
static inline void slot_set(struct tree_node *node, size_t at, uint64_t prefix,
                            struct tree_entry *entry, struct tree_node *child)
{
    if (node->is_leaf) {
        atomic_store_explicit(&node->slots[at].entry, entry, memory_order_release);
    } else {
        atomic_store_explicit(&node->slots[at].child, child, memory_order_release);
        atomic_store_explicit(&node->names[at], entry, memory_order_release);
    }
    atomic_store_explicit(&node->slots[at].prefix, prefix, memory_order_release);
}

static inline void slot_copy(struct tree_node *to, size_t to_at, const struct tree_node *from,
                             size_t from_at)
{
    slot_set(to, to_at, node_prefix(from, from_at), node_entry(from, from_at),
             from->is_leaf ? NULL : node_child(from, from_at));
}

static inline void node_set_count(struct tree_node *node, size_t count)
{
    atomic_store_explicit(&node->count, (uint32_t)count, memory_order_release);
}

/* The node is not full. */
static void node_insert(struct tree_node *node, size_t at, uint64_t prefix,
                        struct tree_entry *entry, struct tree_node *child)
{
    const size_t count = node_count(node);
    for (size_t i = count; i > at; i--)
        slot_copy(node, i, node, i - 1);
    slot_set(node, at, prefix, entry, child);
    node_set_count(node, count + 1);
}

/* Puts the upper slots of a full child into a new one next to it, in a parent that is not full.
 * False: out of memory. */
static bool child_split(struct entry_tree *tree, struct tree_node *parent, size_t at, size_t moved)
{
    struct tree_node *child = node_child(parent, at);
    struct tree_node *upper = node_new(tree, child->is_leaf);
    if (upper == NULL)
        return false;
    for (size_t i = 0; i < moved; i++)
        slot_copy(upper, i, child, FANOUT - moved + i);
    node_set_count(upper, moved);
    node_insert(parent, at + 1, node_prefix(upper, 0), node_entry(upper, 0), upper);
    node_set_count(child, FANOUT - moved);
    return true;
}

/* A root with room, over the full one if there is memory for that. */
static struct tree_node *root_with_room(struct entry_tree *tree)
{
    struct tree_node *root = base_root(tree_base(tree));
    struct tree_node *higher = node_is_full(root) ? node_new(tree, false) : NULL;
    if (higher == NULL)
        return root;
    node_insert(higher, 0, 0, tree->head, root);
    atomic_store_explicit(&tree_base(tree)->root, higher, memory_order_release);
    tree->levels++;
    return higher;
}

/* The leaf for the probe; with room, but where memory was lacking. */
static struct tree_node *find_leaf(struct entry_tree *tree, const struct probe *probe)
{
    struct tree_node *node = root_with_room(tree);
    bool is_last = true; /* of its level */
    while (!node->is_leaf) {
        size_t at = node_rank(node, probe) - 1;
        struct tree_node *child = node_child(node, at);
        node_prefetch(child);
        is_last = is_last && at + 1 == node_count(node);
        if (node_is_full(child) && !node_is_full(node) &&
            child_split(tree, node, at, is_last ? 1 : FANOUT / 2)) {
            if (node_rank(node, probe) > at + 1)
                child = node_child(node, at + 1);
            else
                is_last = false;
        }
        node = child;
    }
    return node;
}

enum varve_status entry_tree_init(struct entry_tree *tree, struct arena *arena,
                                  struct varve_slice expected)
{
    *tree = (struct entry_tree){.arena = arena, .levels = 1};
    struct tree_entry *head = arena_alloc(arena, sizeof *head + expected.size);
    struct tree_node *root = arena_alloc(arena, node_bytes(true));
    if (head == NULL || root == NULL)
        return status_raise(VARVE_NO_MEMORY);
    atomic_init(&head->next, NULL);
    head->value_bytes = 0;
    head->user_key_bytes = 0;
    if (expected.size > 0)
        memcpy(head->data, expected.data, expected.size);
    tree->first.expected = varve_slice(head->data, expected.size);
    tree->head = head;
    atomic_init(&root->count, 0);
    root->is_leaf = true;
    node_insert(root, 0, 0, head, NULL);
    atomic_init(&tree->first.root, root);
    atomic_init(&tree->base, &tree->first);
    return VARVE_OK;
}

/* Of nodes. One insert can split one of each level, and the first leaf of all is made anew; many
 * inserts split, by halves, one leaf each FANOUT / 2, and few others. */
static size_t reserve_bytes(const struct entry_tree *tree, size_t entries)
{
    return (tree->levels + 2 + entries / (FANOUT / 2)) * node_bytes(false);
}

size_t entry_tree_room(const struct entry_tree *tree, size_t entries, size_t bytes)
{
    const size_t padding = 7; /* the arena rounds each piece up to 8 */
    const size_t entry_bytes = offsetof(struct tree_entry, data) + ENTRY_TAG_BYTES + padding;
    return bytes + entries * entry_bytes + reserve_bytes(tree, entries);
}

enum varve_status entry_tree_reserve(struct entry_tree *tree, size_t entries, size_t bytes)
{
    tree->reserved_bytes = reserve_bytes(tree, entries);
    return arena_reserve(tree->arena, entry_tree_room(tree, entries, bytes));
}

static struct tree_entry *entry_new(struct arena *arena, const struct probe *probe,
                                    struct varve_slice value)
{
    const size_t key_bytes = probe->user_key.size + ENTRY_TAG_BYTES;
    struct tree_entry *entry =
        arena_alloc(arena, offsetof(struct tree_entry, data) + key_bytes + value.size);
    assert(entry != NULL); /* reserved */
    entry->value_bytes = (uint32_t)value.size;
    entry->user_key_bytes = (uint16_t)probe->user_key.size;
    memcpy(entry->data, probe->user_key.data, probe->user_key.size);
    fixed64_encode(entry->data + probe->user_key.size, probe->tag);
    if (value.size > 0)
        memcpy(entry->data + key_bytes, value.data, value.size);
    return entry;
}

/* True when the probe's slot is seen to be the one behind the last insert's. */
static bool follows_last(const struct entry_tree *tree, const struct probe *probe)
{
    const struct tree_node *leaf = tree->last_leaf;
    if (leaf == NULL || node_is_full(leaf))
        return false;
    const size_t at = tree->last_at;
    if (at + 1 < node_count(leaf))
        return node_prefix(leaf, at) < probe->prefix && probe->prefix < node_prefix(leaf, at + 1);
    const struct tree_entry *last = node_entry(leaf, at);
    return tree_entry_next(last) == NULL && entry_is_before(last, probe);
}

/* The last entry before the probe, from one that a leaf names on, or from the last one inserted. */
static struct tree_entry *skip_gap(const struct entry_tree *tree, struct tree_entry *entry,
                                   const struct probe *probe)
{
    if (entry_is_before(tree->last, probe) &&
        (entry == tree->head ||
         entry_key_compare(tree_entry_key(entry), tree_entry_key(tree->last)) < 0))
        entry = tree->last;
    for (;;) {
        struct tree_entry *next = atomic_load_explicit(&entry->next, memory_order_relaxed);
        if (next == NULL || !entry_is_before(next, probe))
            return entry;
        entry = next;
    }
}

static void note_key(struct entry_tree *tree, const struct tree_entry *entry)
{
    const struct varve_slice user_key = entry_user_key(tree_entry_key(entry));
    if (tree->shortest_bytes == 0)
        tree->common = user_key;
    else
        tree->common.size = key_common_bytes(tree->common, user_key, tree->common.size);
    if (tree->shortest_bytes == 0 || user_key.size < tree->shortest_bytes)
        tree->shortest_bytes = user_key.size;
}

struct varve_slice entry_tree_expected(const struct entry_tree *tree)
{
    if (tree->shortest_bytes == 0)
        return tree_base(tree)->expected;
    return key_prefix_expect(tree->common, tree->shortest_bytes);
}

/* Whether the first leaf's keys are of another kind than was expected, or all have one number. */
static bool is_misled(const struct entry_tree *tree, const struct tree_node *leaf)
{
    const size_t expected = tree->first.expected.size;
    return key_common_bytes(tree->first.expected, tree->common, expected) < expected ||
           node_prefix(leaf, 1) == node_prefix(leaf, FANOUT - 1);
}

/* When the first leaf is full and what was expected proves to be of no use, makes another leaf by
 * what its keys have in common. Who still searches the old one finds the same. */
static void learn(struct entry_tree *tree)
{
    const struct tree_node *old = base_root(&tree->first);
    if (tree->levels > 1 || tree_base(tree) != &tree->first || !node_is_full(old) ||
        !is_misled(tree, old))
        return;
    struct tree_node *leaf = node_new(tree, true);
    if (leaf == NULL)
        return;
    tree->learned.expected = entry_tree_expected(tree);
    for (size_t at = 0; at < FANOUT; at++) {
        struct tree_entry *entry = node_entry(old, at);
        struct varve_slice user_key = entry_user_key(tree_entry_key(entry));
        node_insert(leaf, at, at > 0 ? key_prefix_behind(tree->learned.expected, user_key) : 0,
                    entry, NULL);
    }
    atomic_init(&tree->learned.root, leaf);
    atomic_store_explicit(&tree->base, &tree->learned, memory_order_release);
}

void entry_tree_insert(struct entry_tree *tree, struct varve_slice user_key, uint64_t tag,
                       struct varve_slice value)
{
    assert(user_key.size > 0 && user_key.size <= VARVE_KEY_BYTES_MAX && value.size <= UINT32_MAX);
    learn(tree);
    const struct probe probe = probe_of(tree_base(tree), user_key, tag);
    if (follows_last(tree, &probe)) {
        tree->last_at++;
    } else {
        tree->last_leaf = find_leaf(tree, &probe);
        tree->last_at = node_rank(tree->last_leaf, &probe);
    }
    struct tree_node *leaf = tree->last_leaf;
    const size_t at = tree->last_at;
    struct tree_entry *before = node_entry(leaf, at - 1);
    __builtin_prefetch(before, 1);

    struct tree_entry *entry = entry_new(tree->arena, &probe, value);
    note_key(tree, entry);
    if (tree->has_gaps)
        before = skip_gap(tree, before, &probe);
    atomic_init(&entry->next, atomic_load_explicit(&before->next, memory_order_relaxed));
    atomic_store_explicit(&before->next, entry, memory_order_release);
    if (!node_is_full(leaf)) {
        node_insert(leaf, at, probe.prefix, entry, NULL);
    } else {
        tree->has_gaps = true;
        tree->last_leaf = NULL;
    }
    tree->last = entry;
}

const struct tree_entry *entry_tree_first(const struct entry_tree *tree)
{
    return tree_entry_next(tree->head);
}

const struct tree_entry *entry_tree_last(const struct entry_tree *tree)
{
    const struct tree_node *node = base_root(tree_base(tree));
    while (!node->is_leaf)
        node = node_child(node, node_count(node) - 1);
    const struct tree_entry *entry = node_entry(node, node_count(node) - 1);
    for (const struct tree_entry *next = entry; next != NULL; next = tree_entry_next(next))
        entry = next;
    return entry != tree->head ? entry : NULL;
}

const struct tree_entry *entry_tree_seek(const struct entry_tree *tree,
                                         struct varve_slice internal_key)
{
    const struct tree_base *base = tree_base(tree);
    const struct probe probe = probe_of_key(base, internal_key);
    const struct tree_entry *behind = NULL;
    find_before(base, &probe, &behind);
    return behind;
}

const struct tree_entry *entry_tree_prev(const struct entry_tree *tree,
                                         const struct tree_entry *entry)
{
    const struct tree_base *base = tree_base(tree);
    const struct probe probe = probe_of_key(base, tree_entry_key(entry));
    const struct tree_entry *behind = NULL;
    const struct tree_entry *before = find_before(base, &probe, &behind);
    return before != tree->head ? before : NULL;
}
