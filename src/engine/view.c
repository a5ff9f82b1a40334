/* See DESIGN.md, "Life of a read": why the visible sequence is read under the slot's lock. */
#include "engine/view.h"

#include <assert.h>
#include <stdlib.h>

enum varve_status view_new(struct view **ret_view)
{
    struct view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return status_raise(VARVE_NO_MEMORY);
    atomic_init(&view->references, 1);
    *ret_view = view;
    return VARVE_OK;
}

static void waiting_add(struct view *view, struct memtable *memtable)
{
    assert(view->waiting_count < VIEW_WAITING_MAX);
    memtable_ref(memtable);
    view->waiting[view->waiting_count++] = memtable;
}

void view_follow(struct view *view, const struct view *before, struct version *version,
                 struct memtable *active, const struct memtable *flushed)
{
    if (before != NULL && active != NULL)
        waiting_add(view, before->active);
    for (size_t i = 0; before != NULL && i < before->waiting_count; i++)
        if (before->waiting[i] != flushed)
            waiting_add(view, before->waiting[i]);
    view->active = active != NULL ? active : before->active;
    memtable_ref(view->active);
    view->version = version;
    version_ref(version);
}

void view_ref(struct view *view)
{
    atomic_fetch_add_explicit(&view->references, 1, memory_order_relaxed);
}

void view_unref(struct view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->references, 1, memory_order_acq_rel) != 1)
        return;
    memtable_unref(view->active);
    for (size_t i = 0; i < view->waiting_count; i++)
        memtable_unref(view->waiting[i]);
    version_unref(view->version);
    free(view);
}

void view_slot_init(struct view_slot *slot)
{
    *slot = (struct view_slot){0};
    mutex_init(&slot->change);
    rwlock_init(&slot->rw.lock);
}

void view_slot_deinit(struct view_slot *slot)
{
    view_unref(slot->rw.view);
    rwlock_deinit(&slot->rw.lock);
    mutex_deinit(&slot->change);
}

struct view *view_slot_acquire(struct view_slot *slot, const _Atomic uint64_t *visible,
                               uint64_t *ret_sequence)
{
    rwlock_read_lock(&slot->rw.lock);
    struct view *view = slot->rw.view;
    view_ref(view);
    *ret_sequence = atomic_load_explicit(visible, memory_order_acquire);
    rwlock_read_unlock(&slot->rw.lock);
    return view;
}

struct view *view_slot_replace(struct view_slot *slot, struct view *view)
{
    rwlock_write_lock(&slot->rw.lock);
    struct view *before = slot->rw.view;
    slot->rw.view = view;
    rwlock_write_unlock(&slot->rw.lock);
    return before;
}
