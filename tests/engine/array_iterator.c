/* Sorted arrays of entries, and passes over them that are strict with their users. */
#include "array_iterator.h"

#include <stdlib.h>
#include <string.h>

static void need(bool condition)
{
    if (!condition)
        abort();
}

void array_deinit(struct array *array)
{
    for (size_t i = 0; i < array->count; i++) {
        buf_deinit(&array->entries[i].key);
        buf_deinit(&array->entries[i].value);
    }
    free(array->entries);
    *array = (struct array){0};
}

void array_add(struct array *array, struct varve_slice user_key, uint64_t tag,
               struct varve_slice value)
{
    if (array->count == array->capacity) {
        array->capacity = array->capacity == 0 ? 16 : 2 * array->capacity;
        array->entries = realloc(array->entries, array->capacity * sizeof *array->entries);
        need(array->entries != NULL);
    }
    struct array_entry *entry = &array->entries[array->count++];
    *entry = (struct array_entry){0};
    need(buf_append_slice(&entry->key, user_key) == VARVE_OK);
    need(buf_append_fixed64(&entry->key, tag) == VARVE_OK);
    need(buf_append_slice(&entry->value, value) == VARVE_OK);
}

static int compare_entries(const void *a, const void *b)
{
    const struct array_entry *entry_a = a, *entry_b = b;
    return entry_key_compare(buf_slice(&entry_a->key), buf_slice(&entry_b->key));
}

void array_sort(struct array *array)
{
    if (array->count > 0)
        qsort(array->entries, array->count, sizeof *array->entries, compare_entries);
}

size_t array_lower_bound(const struct array *array, struct varve_slice internal_key)
{
    size_t low = 0, high = array->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_key_compare(buf_slice(&array->entries[middle].key), internal_key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint8_t *copy(const struct buf *from)
{
    uint8_t *bytes = malloc(from->size + 1);
    need(bytes != NULL);
    if (from->size > 0)
        memcpy(bytes, from->data, from->size);
    return bytes;
}

/* `at` beyond the array is an end (also one below 0, which wraps). */
static void stand_at(struct array_iterator *it, size_t at)
{
    free(it->key);
    free(it->value);
    it->key = it->value = NULL;
    it->at = at;
    it->base.valid = at < it->array->count;
    it->base.status = VARVE_OK;
    if (it->moves != NULL)
        ++*it->moves;
    if (it->fail_after != NULL && (*it->fail_after)-- == 0) {
        *it->fail_after = 0;
        it->base.valid = false;
        it->base.status = VARVE_IO;
    }
    if (!it->base.valid)
        return;
    const struct array_entry *entry = &it->array->entries[at];
    it->key = copy(&entry->key);
    it->value = copy(&entry->value);
    it->base.key = varve_slice(it->key, entry->key.size);
    it->base.value = varve_slice(it->value, entry->value.size);
}

static void array_seek_first(struct entry_iterator *base)
{
    stand_at((struct array_iterator *)base, 0);
}

static void array_seek_last(struct entry_iterator *base)
{
    struct array_iterator *it = (struct array_iterator *)base;
    stand_at(it, it->array->count - 1);
}

static void array_seek(struct entry_iterator *base, struct varve_slice internal_key)
{
    struct array_iterator *it = (struct array_iterator *)base;
    stand_at(it, array_lower_bound(it->array, internal_key));
}

static void array_next(struct entry_iterator *base)
{
    struct array_iterator *it = (struct array_iterator *)base;
    need(base->valid);
    stand_at(it, it->at + 1);
}

static void array_prev(struct entry_iterator *base)
{
    struct array_iterator *it = (struct array_iterator *)base;
    need(base->valid);
    stand_at(it, it->at - 1);
}

static void array_free(struct entry_iterator *base)
{
    struct array_iterator *it = (struct array_iterator *)base;
    free(it->key);
    free(it->value);
    free(it);
}

static const struct entry_iterator_ops array_ops = {
    .seek_first = array_seek_first,
    .seek_last = array_seek_last,
    .seek = array_seek,
    .next = array_next,
    .prev = array_prev,
    .free = array_free,
};

struct entry_iterator *array_iterator_new(const struct array *array, uint64_t *moves,
                                          uint64_t *fail_after)
{
    struct array_iterator *it = calloc(1, sizeof *it);
    need(it != NULL);
    it->base.ops = &array_ops;
    it->array = array;
    it->moves = moves;
    it->fail_after = fail_after;
    return &it->base;
}
