/* One pass over the directory, sorted by kind. */
#include "engine/recovery_scan.h"

#include <stdlib.h>

#include "format/filename.h"

static int id_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool id_list_has(const struct id_list *list, uint64_t id)
{
    return list->count > 0 &&
           bsearch(&id, list->ids, list->count, sizeof list->ids[0], id_compare) != NULL;
}

static enum varve_status id_list_add(struct id_list *list, uint64_t id)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        uint64_t *ids = realloc(list->ids, capacity * sizeof *ids);
        if (ids == NULL)
            return status_raise(VARVE_NO_MEMORY);
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return VARVE_OK;
}

static void id_list_sort(struct id_list *list)
{
    if (list->count > 1)
        qsort(list->ids, list->count, sizeof list->ids[0], id_compare);
}

static enum varve_status scan_name(void *context, const char *name)
{
    struct recovery_scan *scan = context;
    enum file_kind kind = FILE_CURRENT;
    uint64_t id = 0;

    if (!filename_parse(name, &kind, &id))
        return VARVE_OK;
    if (kind != FILE_WAL && id > scan->id_max)
        scan->id_max = id;
    switch (kind) {
    case FILE_CURRENT:
        scan->has_current = true;
        return VARVE_OK;
    case FILE_MANIFEST:
        return id_list_add(&scan->manifests, id);
    case FILE_WAL:
        return id_list_add(&scan->segments, id);
    case FILE_TABLE:
        return id_list_add(&scan->tables, id);
    case FILE_CURRENT_TEMPORARY:
        scan->has_current_temporary = true;
        return VARVE_OK;
    case FILE_LOCK:
    case FILE_LOST_DIR:
        break;
    }
    return VARVE_OK;
}

enum varve_status recovery_scan_read(struct env *env, const char *dir,
                                     struct recovery_scan *ret_scan)
{
    struct recovery_scan scan = {0};
    enum varve_status status = env_list(env, dir, scan_name, &scan);
    if (status != VARVE_OK) {
        recovery_scan_deinit(&scan);
        return status;
    }
    id_list_sort(&scan.manifests);
    id_list_sort(&scan.segments);
    id_list_sort(&scan.tables);
    *ret_scan = scan;
    return VARVE_OK;
}

void recovery_scan_deinit(struct recovery_scan *scan)
{
    free(scan->manifests.ids);
    free(scan->segments.ids);
    free(scan->tables.ids);
    *scan = (struct recovery_scan){0};
}
