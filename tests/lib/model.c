/* A sorted array of pointers: slow for millions of keys, but hard to get wrong. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

#define CAPACITY_MIN 16

/* Key and value stand behind the entry, in the same piece of memory. */
static struct model_entry *entry_new(struct varve_slice key, struct varve_slice value,
                                     uint64_t revision)
{
    struct model_entry *entry = must_calloc(1, sizeof *entry + key.size + value.size);
    uint8_t *bytes = (uint8_t *)(entry + 1);
    if (key.size != 0)
        memcpy(bytes, key.data, key.size);
    if (value.size != 0)
        memcpy(bytes + key.size, value.data, value.size);
    entry->key = varve_slice(bytes, key.size);
    entry->value = varve_slice(bytes + key.size, value.size);
    entry->revision = revision;
    return entry;
}

void model_deinit(struct model *model)
{
    if (model == NULL)
        return;
    for (size_t i = 0; i < model->count; i++)
        free(model->entries[i]);
    free(model->entries);
    *model = (struct model){0};
}

size_t model_seek(const struct model *model, struct varve_slice key)
{
    size_t low = 0;
    size_t high = model->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (varve_slice_compare(model->entries[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool stands_at(const struct model *model, size_t i, struct varve_slice key)
{
    return i < model->count && varve_slice_compare(model->entries[i]->key, key) == 0;
}

void model_put(struct model *model, struct varve_slice key, struct varve_slice value,
               uint64_t revision)
{
    struct model_entry *entry = entry_new(key, value, revision);
    size_t i = model_seek(model, key);
    if (stands_at(model, i, key)) {
        free(model->entries[i]);
        model->entries[i] = entry;
        return;
    }
    if (model->count == model->capacity) {
        model->capacity = model->capacity == 0 ? CAPACITY_MIN : 2 * model->capacity;
        model->entries = must_realloc(model->entries, model->capacity, sizeof(void *));
    }
    memmove(&model->entries[i + 1], &model->entries[i], (model->count - i) * sizeof(void *));
    model->entries[i] = entry;
    model->count++;
}

bool model_delete(struct model *model, struct varve_slice key)
{
    size_t i = model_seek(model, key);
    if (!stands_at(model, i, key))
        return false;
    free(model->entries[i]);
    model->count--;
    memmove(&model->entries[i], &model->entries[i + 1], (model->count - i) * sizeof(void *));
    return true;
}

const struct model_entry *model_get(const struct model *model, struct varve_slice key)
{
    size_t i = model_seek(model, key);
    return stands_at(model, i, key) ? model->entries[i] : NULL;
}

void model_clone(const struct model *model, struct model *ret)
{
    *ret = (struct model){.count = model->count, .capacity = model->count};
    if (model->count == 0)
        return;
    ret->entries = must_calloc(model->count, sizeof(void *));
    for (size_t i = 0; i < model->count; i++) {
        const struct model_entry *entry = model->entries[i];
        ret->entries[i] = entry_new(entry->key, entry->value, entry->revision);
    }
}

bool model_equal(const struct model *a, const struct model *b, bool revisions)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct model_entry *x = a->entries[i];
        const struct model_entry *y = b->entries[i];
        if (varve_slice_compare(x->key, y->key) != 0 ||
            varve_slice_compare(x->value, y->value) != 0 ||
            (revisions && x->revision != y->revision))
            return false;
    }
    return true;
}
