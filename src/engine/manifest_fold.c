/*
 * A step is a table that was added or removed. Sorted by table, and for each in the order of the
 * edits, adding and removing must take turns, beginning with adding; a table whose last step is
 * that it was added is one that is left.
 */
#include "engine/manifest_fold.h"

#include <stdlib.h>

#define STEPS_LEAST 64u

struct fold_step {
    uint64_t file_id;
    size_t number; /* in the order of the edits; within one, removals first */
    uint32_t level;
    bool adds;
    size_t table; /* if it adds: which one of fold->tables */
};

void manifest_fold_deinit(struct manifest_fold *fold)
{
    manifest_edit_deinit(&fold->tables);
    free(fold->steps);
    *fold = (struct manifest_fold){0};
}

static enum varve_status step_add(struct manifest_fold *fold, struct fold_step step)
{
    if (fold->step_count == fold->step_capacity) {
        size_t capacity = fold->step_capacity == 0 ? STEPS_LEAST : 2 * fold->step_capacity;
        struct fold_step *steps = realloc(fold->steps, capacity * sizeof *steps);
        if (steps == NULL)
            return status_raise(VARVE_NO_MEMORY);
        fold->steps = steps;
        fold->step_capacity = capacity;
    }
    step.number = fold->step_count;
    fold->steps[fold->step_count++] = step;
    return VARVE_OK;
}

enum varve_status manifest_fold_edit(struct manifest_fold *fold, const struct manifest_edit *edit)
{
    struct manifest_edit rest = *edit;
    struct version *version = NULL;
    enum varve_status status = VARVE_OK;

    for (size_t i = 0; status == VARVE_OK && i < edit->removed_count; i++)
        status = step_add(fold, (struct fold_step){.file_id = edit->removed[i].file_id,
                                                   .level = edit->removed[i].level});
    for (size_t i = 0; status == VARVE_OK && i < edit->added_count; i++) {
        status = step_add(fold, (struct fold_step){.file_id = edit->added[i].file_id,
                                                   .level = edit->added[i].level,
                                                   .adds = true,
                                                   .table = fold->tables.added_count});
        if (status == VARVE_OK)
            status = manifest_edit_add_table(&fold->tables, &edit->added[i]);
    }
    rest.removed_count = rest.added_count = 0;
    if (status == VARVE_OK)
        status = manifest_state_prepare(fold->state, &rest, fold->owner, &version, NULL);
    if (status == VARVE_OK)
        manifest_state_apply(fold->state, &rest, version);
    return status;
}

static int step_compare(const void *a, const void *b)
{
    const struct fold_step *x = a, *y = b;
    if (x->file_id != y->file_id)
        return x->file_id < y->file_id ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* Goes through the sorted steps; `left` has room for every table. */
static enum varve_status steps_settle(const struct manifest_fold *fold, struct manifest_edit *left,
                                      struct varve_error *ret_error)
{
    const struct fold_step *before = NULL; /* by which the step's table is there */
    for (size_t i = 0; i < fold->step_count; i++) {
        const struct fold_step *step = &fold->steps[i];
        if (before != NULL && before->file_id != step->file_id) {
            left->added[left->added_count++] = fold->tables.added[before->table];
            before = NULL;
        }
        if (step->adds && before != NULL)
            return error_set(ret_error, VARVE_CORRUPT, NULL, STATUS_NO_OFFSET,
                             "an edit adds table %llu, which is there",
                             (unsigned long long)step->file_id);
        if (!step->adds && (before == NULL || before->level != step->level))
            return error_set(ret_error, VARVE_CORRUPT, NULL, STATUS_NO_OFFSET,
                             "an edit removes table %llu, which level %u does not have",
                             (unsigned long long)step->file_id, step->level);
        before = step->adds ? step : NULL;
    }
    if (before != NULL)
        left->added[left->added_count++] = fold->tables.added[before->table];
    return VARVE_OK;
}

enum varve_status manifest_fold_end(struct manifest_fold *fold, struct varve_error *ret_error)
{
    struct manifest_edit left = {0}; /* its tables are lent by fold->tables */
    struct version *version = NULL;

    if (fold->step_count == 0)
        return VARVE_OK;
    left.added = calloc(fold->step_count, sizeof *left.added);
    if (left.added == NULL)
        return status_raise(VARVE_NO_MEMORY);
    qsort(fold->steps, fold->step_count, sizeof *fold->steps, step_compare);
    enum varve_status status = steps_settle(fold, &left, ret_error);
    if (status == VARVE_OK)
        status = version_apply(fold->state->version, &left, fold->owner, &version, ret_error);
    if (status == VARVE_OK) {
        version_unref(fold->state->version);
        fold->state->version = version;
    }
    free(left.added);
    return status;
}
