/* Adds before it moves, so that no two looks at the memtable agree: what another thread could do
 * between two steps of a move happens at each of them, and the same way in every run. */
#include "unsteady_iterator.h"

#include <stdlib.h>

#include "must.h"

#define KEY_BYTES_MAX 4u

struct unsteady {
    struct entry_iterator base;
    struct entry_iterator *child;
    struct memtable *memtable;
    struct prng prng;
    uint64_t sequence;
};

static void memtable_put(struct memtable *memtable, struct varve_slice key, uint64_t tag,
                         struct varve_slice value)
{
    struct batch_op op = {.kind = entry_tag_kind(tag), .key = key, .value = value};
    must_ok(memtable_reserve(memtable, 1, key.size + value.size));
    memtable_add(memtable, entry_tag_sequence(tag), &op);
}

static struct entry_iterator *unsteady_begin(struct entry_iterator *base)
{
    struct unsteady *it = (struct unsteady *)base;
    uint8_t bytes[KEY_BYTES_MAX];
    size_t size = prng_between(&it->prng, 1, KEY_BYTES_MAX);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(prng_below(&it->prng, 2) * 'k');
    uint64_t tag = entry_tag(++it->sequence, (enum entry_kind)prng_below(&it->prng, 2));
    memtable_put(it->memtable, varve_slice(bytes, size), tag, varve_slice(NULL, 0));
    return it->child;
}

static void unsteady_end(struct entry_iterator *base)
{
    struct unsteady *it = (struct unsteady *)base;
    base->valid = it->child->valid;
    base->status = it->child->status;
    base->key = it->child->key;
    base->value = it->child->value;
}

#define UNSTEADY_MOVE(name)                                                                        \
    static void unsteady_##name(struct entry_iterator *base)                                       \
    {                                                                                              \
        struct entry_iterator *child = unsteady_begin(base);                                       \
        child->ops->name(child);                                                                   \
        unsteady_end(base);                                                                        \
    }
UNSTEADY_MOVE(seek_first)
UNSTEADY_MOVE(seek_last)
UNSTEADY_MOVE(next)
UNSTEADY_MOVE(prev)

static void unsteady_seek(struct entry_iterator *base, struct varve_slice internal_key)
{
    struct entry_iterator *child = unsteady_begin(base);
    child->ops->seek(child, internal_key);
    unsteady_end(base);
}

static void unsteady_free(struct entry_iterator *base)
{
    struct unsteady *it = (struct unsteady *)base;
    entry_iterator_free(it->child);
    memtable_unref(it->memtable);
    free(it);
}

static const struct entry_iterator_ops unsteady_ops = {
    .seek_first = unsteady_seek_first,
    .seek_last = unsteady_seek_last,
    .seek = unsteady_seek,
    .next = unsteady_next,
    .prev = unsteady_prev,
    .free = unsteady_free,
};

struct entry_iterator *unsteady_iterator_new(struct memtable_pool *pool, const struct array *array,
                                             struct prng *seeds, uint64_t sequence)
{
    struct unsteady *it = must_calloc(1, sizeof *it);
    it->base.ops = &unsteady_ops;
    it->prng = prng_make(prng_next(seeds));
    it->sequence = sequence;
    must_ok(memtable_new(pool, 1, varve_slice(NULL, 0), &it->memtable));
    for (uint64_t s = 1; s <= sequence; s++)
        for (size_t i = 0; i < array->count; i++) {
            struct varve_slice key = buf_slice(&array->entries[i].key);
            if (entry_tag_sequence(entry_key_tag(key)) == s)
                memtable_put(it->memtable, entry_user_key(key), entry_key_tag(key),
                             buf_slice(&array->entries[i].value));
        }
    must_ok(memtable_iterator_new(it->memtable, &it->child));
    return &it->base;
}
