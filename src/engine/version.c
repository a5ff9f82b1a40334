/*
 * A version is built once, from a list of tables a level: those of the base that the edit leaves,
 * and those that it adds. Sorted by run and by key the list falls into runs; that no two tables of
 * a run overlap is then seen between neighbours. Nothing here trusts the edit: it may come from a
 * damaged manifest.
 */
#include "engine/version.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/key_prefix.h"

struct table_list {
    struct table **tables; /* each with a reference */
    size_t count;
};

enum varve_status table_new(const struct manifest_table *meta, struct table_owner *owner,
                            struct table **ret_table)
{
    struct table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return status_raise(VARVE_NO_MEMORY);
    table->meta = *meta;
    table->meta.smallest = (struct buf){0};
    table->meta.largest = (struct buf){0};
    enum varve_status status = buf_assign(&table->meta.smallest, buf_slice(&meta->smallest));
    if (status == VARVE_OK)
        status = buf_assign(&table->meta.largest, buf_slice(&meta->largest));
    if (status != VARVE_OK) {
        manifest_table_deinit(&table->meta);
        free(table);
        return status;
    }
    atomic_init(&table->references, 1);
    atomic_init(&table->obsolete, false);
    table->owner = owner;
    *ret_table = table;
    return VARVE_OK;
}

void table_ref(struct table *table)
{
    atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
}

void table_unref(struct table *table)
{
    if (table == NULL ||
        atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) != 1)
        return;
    bool obsolete = atomic_load_explicit(&table->obsolete, memory_order_relaxed);
    struct table_owner *owner = table->owner;
    struct table *before = table->before;
    uint64_t file_id = table->meta.file_id;
    manifest_table_deinit(&table->meta);
    free(table);
    if (before != NULL) {
        if (obsolete)
            atomic_store_explicit(&before->obsolete, true, memory_order_release);
        table_unref(before);
    } else if (obsolete && owner != NULL) {
        owner->dropped(owner, file_id);
    }
}

enum varve_status version_new_empty(struct version **ret_version)
{
    struct version *version = calloc(1, sizeof *version);
    if (version == NULL)
        return status_raise(VARVE_NO_MEMORY);
    atomic_init(&version->references, 1);
    *ret_version = version;
    return VARVE_OK;
}

void version_ref(struct version *version)
{
    atomic_fetch_add_explicit(&version->references, 1, memory_order_relaxed);
}

static void level_deinit(struct level *level)
{
    for (size_t r = 0; r < level->run_count; r++) {
        for (size_t t = 0; t < level->runs[r].table_count; t++)
            table_unref(level->runs[r].tables[t]);
        free(level->runs[r].tables);
    }
    free(level->runs);
}

void version_unref(struct version *version)
{
    if (version == NULL ||
        atomic_fetch_sub_explicit(&version->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        level_deinit(&version->levels[l]);
    free(version);
}

static size_t level_table_count(const struct level *level)
{
    size_t count = 0;
    for (size_t r = 0; r < level->run_count; r++)
        count += level->runs[r].table_count;
    return count;
}

/* The base level's tables, with room for all that the edit could add. */
static enum varve_status table_list_init(struct table_list *list, const struct level *level,
                                         size_t room)
{
    size_t count = level_table_count(level) + room;
    if (count == 0)
        return VARVE_OK;
    list->tables = calloc(count, sizeof *list->tables);
    if (list->tables == NULL)
        return status_raise(VARVE_NO_MEMORY);
    for (size_t r = 0; r < level->run_count; r++)
        for (size_t t = 0; t < level->runs[r].table_count; t++) {
            struct table *table = level->runs[r].tables[t];
            table_ref(table);
            list->tables[list->count++] = table;
        }
    return VARVE_OK;
}

static void table_list_deinit(struct table_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        table_unref(list->tables[i]);
    free(list->tables);
}

static enum varve_status list_remove(struct table_list *lists,
                                     const struct manifest_removed *removed,
                                     struct varve_error *ret_error)
{
    struct table_list *list = removed->level < VARVE_LEVELS_MAX ? &lists[removed->level] : NULL;
    for (size_t i = 0; list != NULL && i < list->count; i++)
        if (list->tables[i]->meta.file_id == removed->file_id) {
            table_unref(list->tables[i]);
            list->tables[i] = list->tables[--list->count];
            return VARVE_OK;
        }
    return error_set(ret_error, VARVE_CORRUPT, NULL, STATUS_NO_OFFSET,
                     "an edit removes table %llu, which level %u does not have",
                     (unsigned long long)removed->file_id, removed->level);
}

/* The table of `base` that the edit removes to add it elsewhere; NULL when the file is new. */
static struct table *moved_table(const struct version *base, const struct manifest_edit *edit,
                                 uint64_t file_id)
{
    for (size_t i = 0; i < edit->removed_count; i++) {
        if (edit->removed[i].file_id != file_id)
            continue;
        const struct level *level = &base->levels[edit->removed[i].level];
        for (size_t r = 0; r < level->run_count; r++)
            for (size_t t = 0; t < level->runs[r].table_count; t++)
                if (level->runs[r].tables[t]->meta.file_id == file_id)
                    return level->runs[r].tables[t];
    }
    return NULL;
}

static enum varve_status list_add(struct table_list *lists, const struct version *base,
                                  const struct manifest_edit *edit,
                                  const struct manifest_table *meta, struct table_owner *owner,
                                  struct varve_error *ret_error)
{
    struct varve_slice smallest = buf_slice(&meta->smallest), largest = buf_slice(&meta->largest);
    if (meta->level >= VARVE_LEVELS_MAX || !entry_key_is_valid(smallest) ||
        !entry_key_is_valid(largest) || entry_key_compare(smallest, largest) > 0)
        return error_set(ret_error, VARVE_CORRUPT, NULL, STATUS_NO_OFFSET,
                         "an edit adds table %llu with a bad level or key range",
                         (unsigned long long)meta->file_id);
    struct table *table = NULL;
    enum varve_status status = table_new(meta, owner, &table);
    if (status != VARVE_OK)
        return status;
    table->before = moved_table(base, edit, meta->file_id);
    if (table->before != NULL)
        table_ref(table->before);
    struct table_list *list = &lists[meta->level];
    list->tables[list->count++] = table;
    return VARVE_OK;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t id_a = *(const uint64_t *)a, id_b = *(const uint64_t *)b;
    return (id_a > id_b) - (id_a < id_b);
}

/* Every table once in the whole version. */
static enum varve_status lists_check_unique(const struct table_list *lists,
                                            struct varve_error *ret_error)
{
    size_t count = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        count += lists[l].count;
    if (count == 0)
        return VARVE_OK;
    uint64_t *ids = calloc(count, sizeof *ids);
    if (ids == NULL)
        return status_raise(VARVE_NO_MEMORY);
    size_t at = 0;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t i = 0; i < lists[l].count; i++)
            ids[at++] = lists[l].tables[i]->meta.file_id;
    qsort(ids, count, sizeof *ids, compare_ids);
    enum varve_status status = VARVE_OK;
    for (size_t i = 1; i < count && status == VARVE_OK; i++)
        if (ids[i] == ids[i - 1])
            status =
                error_set(ret_error, VARVE_CORRUPT, NULL, STATUS_NO_OFFSET,
                          "an edit adds table %llu, which is there", (unsigned long long)ids[i]);
    free(ids);
    return status;
}

/* Newest run first, within a run by key. */
static int compare_tables(const void *a, const void *b)
{
    const struct table *table_a = *(struct table *const *)a, *table_b = *(struct table *const *)b;
    if (table_a->meta.run_id != table_b->meta.run_id)
        return table_a->meta.run_id > table_b->meta.run_id ? -1 : 1;
    return entry_key_compare(table_smallest(table_a), table_smallest(table_b));
}

/* Two neighbours of a run: one user key's entries are never spread over both. */
static bool tables_overlap(const struct table *table, const struct table *next)
{
    return varve_slice_compare(entry_user_key(table_largest(table)),
                               entry_user_key(table_smallest(next))) >= 0;
}

/* Takes `count` tables out of a sorted list, with their references. */
static enum varve_status run_init(struct run *run, struct table **tables, size_t count,
                                  struct varve_error *ret_error)
{
    for (size_t i = 1; i < count; i++)
        if (tables_overlap(tables[i - 1], tables[i]))
            return error_set(ret_error, VARVE_CORRUPT, NULL, STATUS_NO_OFFSET,
                             "tables %llu and %llu of run %llu overlap",
                             (unsigned long long)tables[i - 1]->meta.file_id,
                             (unsigned long long)tables[i]->meta.file_id,
                             (unsigned long long)tables[i]->meta.run_id);
    run->tables = calloc(count, sizeof *run->tables);
    if (run->tables == NULL)
        return status_raise(VARVE_NO_MEMORY);
    memcpy(run->tables, tables, count * sizeof *tables);
    run->id = tables[0]->meta.run_id;
    run->table_count = count;
    for (size_t i = 0; i < count; i++)
        table_ref(tables[i]);
    return VARVE_OK;
}

/* Sorts the list and makes runs of it. What is made so far stays in `level` on failure. */
static enum varve_status level_build(struct level *level, struct table_list *list,
                                     struct varve_error *ret_error)
{
    if (list->count == 0)
        return VARVE_OK;
    qsort(list->tables, list->count, sizeof *list->tables, compare_tables);
    size_t runs = 1;
    for (size_t i = 1; i < list->count; i++)
        runs += list->tables[i]->meta.run_id != list->tables[i - 1]->meta.run_id;
    level->runs = calloc(runs, sizeof *level->runs);
    if (level->runs == NULL)
        return status_raise(VARVE_NO_MEMORY);
    for (size_t first = 0, last = 0; first < list->count; first = last) {
        uint64_t id = list->tables[first]->meta.run_id;
        while (last < list->count && list->tables[last]->meta.run_id == id)
            last++;
        enum varve_status status =
            run_init(&level->runs[level->run_count], &list->tables[first], last - first, ret_error);
        if (status != VARVE_OK)
            return status;
        level->run_count++;
    }
    return VARVE_OK;
}

static enum varve_status lists_apply(struct table_list *lists, const struct version *base,
                                     const struct manifest_edit *edit, struct table_owner *owner,
                                     struct varve_error *ret_error)
{
    for (size_t i = 0; i < edit->removed_count; i++) {
        enum varve_status status = list_remove(lists, &edit->removed[i], ret_error);
        if (status != VARVE_OK)
            return status;
    }
    for (size_t i = 0; i < edit->added_count; i++) {
        enum varve_status status = list_add(lists, base, edit, &edit->added[i], owner, ret_error);
        if (status != VARVE_OK)
            return status;
    }
    return lists_check_unique(lists, ret_error);
}

enum varve_status version_apply(const struct version *base, const struct manifest_edit *edit,
                                struct table_owner *owner, struct version **ret_version,
                                struct varve_error *ret_error)
{
    struct table_list lists[VARVE_LEVELS_MAX] = {{0}};
    struct version *version = NULL;
    enum varve_status status = version_new_empty(&version);
    for (size_t l = 0; l < VARVE_LEVELS_MAX && status == VARVE_OK; l++)
        status = table_list_init(&lists[l], &base->levels[l], edit->added_count);
    if (status == VARVE_OK)
        status = lists_apply(lists, base, edit, owner, ret_error);
    for (size_t l = 0; l < VARVE_LEVELS_MAX && status == VARVE_OK; l++)
        status = level_build(&version->levels[l], &lists[l], ret_error);

    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        table_list_deinit(&lists[l]);
    if (status != VARVE_OK) {
        version_unref(version);
        return status;
    }
    *ret_version = version;
    return VARVE_OK;
}

enum varve_status version_to_edit(const struct version *version, struct manifest_edit *edit)
{
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            const struct run *run = &version->levels[l].runs[r];
            for (size_t t = 0; t < run->table_count; t++) {
                enum varve_status status = manifest_edit_add_table(edit, &run->tables[t]->meta);
                if (status != VARVE_OK)
                    return status;
            }
        }
    return VARVE_OK;
}

struct varve_slice version_expected(const struct version *version)
{
    struct varve_slice common = {0};
    size_t shortest = SIZE_MAX;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) {
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            const struct run *run = &version->levels[l].runs[r];
            struct varve_slice first = entry_user_key(table_smallest(run->tables[0]));
            struct varve_slice last =
                entry_user_key(table_largest(run->tables[run->table_count - 1]));
            if (common.data == NULL)
                common = first;
            common.size = key_common_bytes(common, first, common.size);
            common.size = key_common_bytes(common, last, common.size);
            shortest = first.size < shortest ? first.size : shortest;
            shortest = last.size < shortest ? last.size : shortest;
        }
    }
    return key_prefix_expect(common, shortest);
}

uint64_t version_level_bytes(const struct version *version, size_t level)
{
    assert(level < VARVE_LEVELS_MAX);
    uint64_t bytes = 0;
    for (size_t r = 0; r < version->levels[level].run_count; r++) {
        const struct run *run = &version->levels[level].runs[r];
        for (size_t t = 0; t < run->table_count; t++)
            bytes += run->tables[t]->meta.file_bytes;
    }
    return bytes;
}

struct table *run_find(const struct run *run, struct varve_slice user_key)
{
    size_t low = 0, high = run->table_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct varve_slice largest = entry_user_key(table_largest(run->tables[middle]));
        if (varve_slice_compare(largest, user_key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == run->table_count)
        return NULL;
    struct table *table = run->tables[low];
    struct varve_slice smallest = entry_user_key(table_smallest(table));
    return varve_slice_compare(smallest, user_key) <= 0 ? table : NULL;
}

size_t run_lower_bound(const struct run *run, struct varve_slice internal_key)
{
    size_t low = 0, high = run->table_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_key_compare(table_largest(run->tables[middle]), internal_key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
