/*
 * The list is `height` chains, one a level. Invariants, at every moment and for every thread:
 *
 *  1. Each chain is strictly ordered by internal key, and every node of level l + 1 is also in
 *     level l. Level 0 holds all.
 *  2. A node that can be reached is complete: all but its `next` pointers was written before the
 *     release store that linked it in, and is never written again.
 *  3. A pointer once set changes only to a node that stands nearer. A reader that holds an old
 *     one misses at most what was inserted since it looked.
 *
 * The one writer links a node from level 0 upwards, each level by one release store into its
 * predecessor; readers follow with acquire loads. So a reader meets the node on all, some or none
 * of the levels, and from each level it finds its way down. `height` is only a hint of where to
 * begin: from too low a search takes longer, from too high it meets the end of an empty chain.
 *
 * A node's height comes from a counter, mixed: skiplist_room can look ahead what the next ones
 * will be. It begins at a number that a client cannot know, else keys could be chosen so that all
 * high nodes gather in one place.
 *
 * Keys are compared by a number first, which stands in the node: eight bytes of the key. The first
 * eight of all keys are often the same, so they are taken from behind what the keys are expected to
 * begin with: what those of the list before, or of the whole store, had in common. A wrong guess
 * costs comparisons of whole keys and nothing else.
 *
 * Inserts in key order are common (loads, time series): the writer remembers the last node
 * inserted and its predecessors. When the next key falls directly behind that node, these are its
 * predecessors too, for no node of any level stands between.
 */
#include "engine/skiplist.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "engine/key_prefix.h"

#define RANDOM_STEP UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */
#define BRANCHING_BITS 2u                        /* a level has a quarter of the one below */

/* What is sought, taken apart once. */
struct probe {
    uint64_t prefix;
    struct varve_slice user_key;
    uint64_t tag;
};

static struct probe probe_of(const struct skiplist *list, struct varve_slice user_key, uint64_t tag)
{
    return (struct probe){
        .prefix = key_prefix_behind(list->expected, user_key), .user_key = user_key, .tag = tag};
}

static inline struct skiplist_node *node_next(const struct skiplist_node *node, size_t level)
{
    return atomic_load_explicit(&node->next[level], memory_order_acquire);
}

static __attribute__((noinline)) bool node_is_before_full(const struct skiplist_node *node,
                                                          const struct probe *probe)
{
    struct varve_slice key = skiplist_key(node);
    int order = varve_slice_compare(entry_user_key(key), probe->user_key);
    if (order != 0)
        return order < 0;
    return entry_key_tag(key) > probe->tag;
}

static inline bool node_is_before(const struct skiplist_node *node, const struct probe *probe)
{
    if (node->prefix != probe->prefix)
        return node->prefix < probe->prefix;
    return node_is_before_full(node, probe);
}

/* The last node before the probe (the head if none), and the one that stood behind it then: it must
 * not be read from there again, for the writer may have put a node before the probe in between. On
 * the way down notes the last node of each level in `splice` unless NULL. */
static inline __attribute__((always_inline)) struct skiplist_node *
find_before(const struct skiplist *list, const struct probe *probe, struct skiplist_node **splice,
            struct skiplist_node **ret_behind)
{
    struct skiplist_node *node = list->head;
    const struct skiplist_node *beyond = NULL; /* known to stand at or behind the probe */
    size_t level = atomic_load_explicit(&list->height, memory_order_relaxed) - 1;
    for (;;) {
        struct skiplist_node *next = node_next(node, level);
        if (level > 0) /* wanted as often as not, when `next` has been read */
            __builtin_prefetch(node_next(node, level - 1));
        if (next != beyond && next != NULL && node_is_before(next, probe)) {
            node = next;
            continue;
        }
        if (splice != NULL)
            splice[level] = node;
        if (level == 0) {
            *ret_behind = next;
            return node;
        }
        beyond = next;
        level--;
    }
}

static size_t height_of(uint64_t random)
{
    uint64_t bits = hash_mix(random) | UINT64_C(1) << (BRANCHING_BITS * (SKIPLIST_HEIGHT_MAX - 1));
    return 1 + (size_t)__builtin_ctzll(bits) / BRANCHING_BITS;
}

static size_t node_bytes(size_t height)
{
    return sizeof(struct skiplist_node) + height * sizeof(struct skiplist_node *);
}

enum varve_status skiplist_init(struct skiplist *list, struct arena *arena,
                                struct varve_slice expected)
{
    size_t head_bytes = node_bytes(SKIPLIST_HEIGHT_MAX);
    struct skiplist_node *head = arena_alloc(arena, head_bytes + expected.size);
    if (head == NULL)
        return status_raise(VARVE_NO_MEMORY);
    memset(head, 0, head_bytes);
    uint8_t *copy = (uint8_t *)head + head_bytes;
    if (expected.size > 0)
        memcpy(copy, expected.data, expected.size);
    list->expected = varve_slice(copy, expected.size);
    list->common = varve_slice(NULL, 0);
    head->height = SKIPLIST_HEIGHT_MAX;
    for (size_t level = 0; level < SKIPLIST_HEIGHT_MAX; level++) {
        atomic_init(&head->next[level], NULL);
        list->splice[level] = head;
    }
    list->arena = arena;
    list->head = head;
    list->random = hash_mix((uintptr_t)head);
    atomic_init(&list->height, 1);
    return VARVE_OK;
}

size_t skiplist_room(const struct skiplist *list, size_t entries, size_t bytes)
{
    const size_t padding = 7; /* the arena rounds each piece up to 8 */
    size_t room = bytes;
    uint64_t random = list->random;
    for (size_t i = 0; i < entries; i++) {
        random += RANDOM_STEP;
        room += node_bytes(height_of(random)) + ENTRY_TAG_BYTES + padding;
    }
    return room;
}

static struct skiplist_node *node_new(struct skiplist *list, const struct probe *probe,
                                      struct varve_slice value)
{
    list->random += RANDOM_STEP;
    size_t height = height_of(list->random);
    struct skiplist_node *node = arena_alloc(
        list->arena, node_bytes(height) + probe->user_key.size + ENTRY_TAG_BYTES + value.size);
    assert(node != NULL); /* reserved */
    node->prefix = probe->prefix;
    node->value_bytes = (uint32_t)value.size;
    node->user_key_bytes = (uint16_t)probe->user_key.size;
    node->height = (uint16_t)height;
    uint8_t *at = (uint8_t *)&node->next[height];
    memcpy(at, probe->user_key.data, probe->user_key.size);
    at += probe->user_key.size;
    fixed64_encode(at, probe->tag);
    if (value.size > 0)
        memcpy(at + ENTRY_TAG_BYTES, value.data, value.size);
    return node;
}

/* True when the probe falls directly behind the last node inserted, so that the splice holds. */
static bool splice_fits(const struct skiplist *list, const struct probe *probe)
{
    const struct skiplist_node *last = list->splice[0];
    if (last == list->head || !node_is_before(last, probe))
        return false;
    const struct skiplist_node *next = node_next(last, 0);
    return next == NULL || !node_is_before(next, probe);
}

void skiplist_insert(struct skiplist *list, struct varve_slice user_key, uint64_t tag,
                     struct varve_slice value)
{
    assert(user_key.size > 0 && user_key.size <= VARVE_KEY_BYTES_MAX && value.size <= UINT32_MAX);
    struct probe probe = probe_of(list, user_key, tag);
    struct skiplist_node *behind = NULL;
    if (!splice_fits(list, &probe))
        find_before(list, &probe, list->splice, &behind);

    const bool is_first = node_next(list->head, 0) == NULL;
    /* Above the list's height the splice is the head, from the beginning. */
    struct skiplist_node *node = node_new(list, &probe, value);
    if (is_first)
        list->common = entry_user_key(skiplist_key(node));
    else
        list->common.size = key_common_bytes(list->common, user_key, list->common.size);
    for (size_t level = 0; level < node->height; level++) {
        struct skiplist_node *before = list->splice[level];
        struct skiplist_node *after =
            atomic_load_explicit(&before->next[level], memory_order_relaxed);
        atomic_init(&node->next[level], after);
        atomic_store_explicit(&before->next[level], node, memory_order_release);
        list->splice[level] = node;
    }
    if (node->height > atomic_load_explicit(&list->height, memory_order_relaxed))
        atomic_store_explicit(&list->height, node->height, memory_order_relaxed);
}

struct varve_slice skiplist_common(const struct skiplist *list)
{
    return list->common;
}

const struct skiplist_node *skiplist_first(const struct skiplist *list)
{
    return node_next(list->head, 0);
}

const struct skiplist_node *skiplist_last(const struct skiplist *list)
{
    const struct skiplist_node *node = list->head;
    size_t level = atomic_load_explicit(&list->height, memory_order_relaxed);
    while (level > 0) {
        const struct skiplist_node *next = node_next(node, level - 1);
        if (next != NULL)
            node = next;
        else
            level--;
    }
    return node != list->head ? node : NULL;
}

const struct skiplist_node *skiplist_seek(const struct skiplist *list,
                                          struct varve_slice internal_key)
{
    struct probe probe = probe_of(list, entry_user_key(internal_key), entry_key_tag(internal_key));
    struct skiplist_node *behind = NULL;
    find_before(list, &probe, NULL, &behind);
    return behind;
}

const struct skiplist_node *skiplist_prev(const struct skiplist *list,
                                          const struct skiplist_node *node)
{
    struct varve_slice key = skiplist_key(node);
    struct probe probe = probe_of(list, entry_user_key(key), entry_key_tag(key));
    struct skiplist_node *behind = NULL;
    const struct skiplist_node *before = find_before(list, &probe, NULL, &behind);
    return before != list->head ? before : NULL;
}
