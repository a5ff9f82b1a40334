/*
 * A loser tree (Knuth, The Art of Computer Programming, volume 3, 5.4.1). The children are the
 * leaves k to 2k-1 of a complete binary tree whose inner nodes are 1 to k-1; node n's parent is
 * n / 2. tree[n] holds the child that lost the match at n, tree[0] the winner of all. When the
 * winner has moved, only the matches on its way up are played again: ceil(log2 k) comparisons.
 *
 * A pass goes one way at a time. Forward, every child stands on its first entry behind what was
 * given out, and the smallest wins; backward, every child stands on its last entry before it, and
 * the greatest wins. A child at its end loses against all. To turn round, each child but the
 * winner is sought anew around the entry given out.
 *
 * A child may be a memtable that is written to meanwhile: two looks at it need not agree, so after
 * a turn backwards a child is stepped until it really stands before the entry.
 */
#include "engine/merge_iterator.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/key_prefix.h"

/* Where a child stands, next to the others. */
struct merge_head {
    uint64_t prefix;
    struct varve_slice key; /* internal */
    bool valid;
};

struct merge_iterator {
    struct entry_iterator base;
    size_t count;
    bool backward;
    struct entry_iterator **children;
    struct merge_head *heads;
    size_t *tree;
};

static inline int head_compare(const struct merge_head *a, const struct merge_head *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int order = key_compare_behind_prefix(entry_user_key(a->key), entry_user_key(b->key));
    if (order != 0)
        return order;
    uint64_t tag_a = entry_key_tag(a->key), tag_b = entry_key_tag(b->key);
    return (tag_a < tag_b) - (tag_a > tag_b);
}

/* True when child `a` comes out before child `b`. */
static inline bool merge_wins(const struct merge_iterator *it, size_t a, size_t b)
{
    const struct merge_head *head_a = &it->heads[a], *head_b = &it->heads[b];
    if (!head_a->valid || !head_b->valid)
        return head_a->valid;
    int order = head_compare(head_a, head_b);
    return it->backward ? order > 0 : order < 0;
}

/* Takes note of where a child stands. False when it has failed: then the whole has. */
static inline bool merge_take_head(struct merge_iterator *it, size_t child)
{
    const struct entry_iterator *from = it->children[child];
    struct merge_head *head = &it->heads[child];
    head->valid = from->valid;
    if (from->valid) {
        head->key = from->key;
        head->prefix = key_prefix(entry_user_key(from->key));
        return true;
    }
    if (from->status == VARVE_OK)
        return true;
    it->base.valid = false;
    it->base.status = from->status;
    return false;
}

/* Stands on the winner. */
static inline void merge_show(struct merge_iterator *it, size_t winner)
{
    it->tree[0] = winner;
    it->base.valid = it->heads[winner].valid;
    if (it->base.valid) {
        it->base.key = it->children[winner]->key;
        it->base.value = it->children[winner]->value;
    }
}

/* The winner has moved: plays its matches again. */
static void merge_replay(struct merge_iterator *it)
{
    size_t winner = it->tree[0];
    if (!merge_take_head(it, winner))
        return;
    for (size_t node = (winner + it->count) / 2; node > 0; node /= 2) {
        size_t loser = it->tree[node];
        if (merge_wins(it, loser, winner)) {
            it->tree[node] = winner;
            winner = loser;
        }
    }
    merge_show(it, winner);
}

/* The winner of the matches at and below `node`, whose losers are noted. As deep as the tree is
 * high. */
static size_t merge_play(struct merge_iterator *it, size_t node)
{
    if (node >= it->count)
        return node - it->count;
    size_t left = merge_play(it, 2 * node), right = merge_play(it, 2 * node + 1);
    bool left_wins = merge_wins(it, left, right);
    it->tree[node] = left_wins ? right : left;
    return left_wins ? left : right;
}

/* All children have moved: plays every match. */
static void merge_play_all(struct merge_iterator *it)
{
    for (size_t i = 0; i < it->count; i++)
        if (!merge_take_head(it, i))
            return;
    merge_show(it, merge_play(it, 1));
}

static void merge_begin(struct merge_iterator *it, bool backward)
{
    it->base.valid = false;
    it->base.status = VARVE_OK;
    it->backward = backward;
}

static void merge_seek_first(struct entry_iterator *base)
{
    struct merge_iterator *it = (struct merge_iterator *)base;
    merge_begin(it, false);
    for (size_t i = 0; i < it->count; i++)
        it->children[i]->ops->seek_first(it->children[i]);
    merge_play_all(it);
}

static void merge_seek_last(struct entry_iterator *base)
{
    struct merge_iterator *it = (struct merge_iterator *)base;
    merge_begin(it, true);
    for (size_t i = 0; i < it->count; i++)
        it->children[i]->ops->seek_last(it->children[i]);
    merge_play_all(it);
}

static void merge_seek(struct entry_iterator *base, struct varve_slice internal_key)
{
    struct merge_iterator *it = (struct merge_iterator *)base;
    merge_begin(it, false);
    for (size_t i = 0; i < it->count; i++)
        it->children[i]->ops->seek(it->children[i], internal_key);
    merge_play_all(it);
}

/* To the child's last entry before `key`. */
static void child_seek_before(struct entry_iterator *child, struct varve_slice key)
{
    child->ops->seek(child, key);
    if (child->valid)
        child->ops->prev(child);
    else if (child->status == VARVE_OK)
        child->ops->seek_last(child);
    while (child->valid && entry_key_compare(child->key, key) >= 0)
        child->ops->prev(child);
}

/* Turns round: all children but the winner to the other side of where it stands. The winner does
 * not move meanwhile, so its key stays. */
static void merge_turn(struct merge_iterator *it, bool backward)
{
    struct varve_slice key = it->base.key;
    for (size_t i = 0; i < it->count; i++) {
        if (i == it->tree[0])
            continue;
        if (backward)
            child_seek_before(it->children[i], key);
        else
            it->children[i]->ops->seek(it->children[i], key);
    }
    it->backward = backward;
}

static void merge_next(struct entry_iterator *base)
{
    struct merge_iterator *it = (struct merge_iterator *)base;
    assert(base->valid);
    struct entry_iterator *winner = it->children[it->tree[0]];
    if (!it->backward) {
        winner->ops->next(winner);
        merge_replay(it);
        return;
    }
    merge_turn(it, false);
    winner->ops->next(winner);
    merge_play_all(it);
}

static void merge_prev(struct entry_iterator *base)
{
    struct merge_iterator *it = (struct merge_iterator *)base;
    assert(base->valid);
    struct entry_iterator *winner = it->children[it->tree[0]];
    if (it->backward) {
        winner->ops->prev(winner);
        merge_replay(it);
        return;
    }
    merge_turn(it, true);
    winner->ops->prev(winner);
    merge_play_all(it);
}

static void merge_free(struct entry_iterator *base)
{
    struct merge_iterator *it = (struct merge_iterator *)base;
    for (size_t i = 0; i < it->count; i++)
        entry_iterator_free(it->children[i]);
    free(it->children);
    free(it->heads);
    free(it->tree);
    free(it);
}

static const struct entry_iterator_ops merge_ops = {
    .seek_first = merge_seek_first,
    .seek_last = merge_seek_last,
    .seek = merge_seek,
    .next = merge_next,
    .prev = merge_prev,
    .free = merge_free,
};

/* No children: always at its end. */
static void empty_seek(struct entry_iterator *base)
{
    base->valid = false;
}

static void empty_seek_key(struct entry_iterator *base, struct varve_slice internal_key)
{
    base->valid = false;
}

static void empty_free(struct entry_iterator *base)
{
    free(base);
}

static const struct entry_iterator_ops empty_ops = {
    .seek_first = empty_seek,
    .seek_last = empty_seek,
    .seek = empty_seek_key,
    .next = empty_seek,
    .prev = empty_seek,
    .free = empty_free,
};

static enum varve_status empty_iterator_new(struct entry_iterator **ret_iterator)
{
    struct entry_iterator *it = calloc(1, sizeof *it);
    if (it == NULL)
        return status_raise(VARVE_NO_MEMORY);
    it->ops = &empty_ops;
    *ret_iterator = it;
    return VARVE_OK;
}

enum varve_status merge_iterator_new(struct entry_iterator **children, size_t count,
                                     struct entry_iterator **ret_iterator)
{
    if (count == 0)
        return empty_iterator_new(ret_iterator);
    if (count == 1) {
        *ret_iterator = children[0];
        return VARVE_OK;
    }
    struct merge_iterator *it = calloc(1, sizeof *it);
    if (it == NULL)
        goto out;
    it->children = calloc(count, sizeof *it->children);
    it->heads = calloc(count, sizeof *it->heads);
    it->tree = calloc(count, sizeof *it->tree);
    if (it->children == NULL || it->heads == NULL || it->tree == NULL)
        goto out;
    it->base.ops = &merge_ops;
    it->count = count;
    memcpy(it->children, children, count * sizeof *children);
    *ret_iterator = &it->base;
    return VARVE_OK;

out:
    if (it != NULL) {
        free(it->children);
        free(it->heads);
        free(it->tree);
        free(it);
    }
    for (size_t i = 0; i < count; i++)
        entry_iterator_free(children[i]);
    return status_raise(VARVE_NO_MEMORY);
}
