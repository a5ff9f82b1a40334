/*
 * engine/view.h: one reference to all that a read needs: the active memtable, the waiting ones, the
 * version. Immutable but for its count; a change publishes a new one.
 */
#ifndef ENGINE_VIEW_H
#define ENGINE_VIEW_H

#include <stdatomic.h>

#include "engine/memtable.h"
#include "engine/version.h"
#include "os/sync.h"

/* More than the option memtables_max allows by far: a disk that is full in the middle of a frame
 * ends a memtable early. */
#define VIEW_WAITING_MAX 128

struct view {
    _Atomic uint32_t references;
    struct memtable *active;
    struct version *version;
    size_t waiting_count;
    struct memtable *waiting[VIEW_WAITING_MAX]; /* newest first */
};

/* An empty one, to be filled by view_follow. One reference, the caller's. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status view_new(struct view **ret_view);

/* Makes an empty view the one that follows `before` (NULL: it is the first), with references of its
 * own to all of it: with `active` a new active memtable, and the one before joins the waiting ones,
 * for which there must be room; with `flushed` that waiting one is gone. Cannot fail. */
void view_follow(struct view *view, const struct view *before, struct version *version,
                 struct memtable *active, const struct memtable *flushed);
void view_ref(struct view *view);
void view_unref(struct view *view); /* takes NULL; may remove files: hold no lock */

/* The view in force. Readers take it shared. */
struct view_slot {
    struct mutex change; /* held while the next view is made and published */
    struct {
        struct rwlock lock;
        struct view *view;
    } rw;
};
void view_slot_init(struct view_slot *slot);
void view_slot_deinit(struct view_slot *slot); /* drops the view */

/* The view in force, referenced, and a sequence that goes with it: the two are one moment. */
struct view *view_slot_acquire(struct view_slot *slot, const _Atomic uint64_t *visible,
                               uint64_t *ret_sequence);

/* Publishes `view`, whose reference it takes over, under `change`, and gives the one before (NULL
 * at first), to be dropped when no lock is held. */
struct view *view_slot_replace(struct view_slot *slot, struct view *view);

#endif
