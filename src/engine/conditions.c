/*
 * What a key's state was at `sequence` is known from the read. Memtables hold whole stretches of
 * sequences: if the oldest one in the view begins at or before sequence + 1, each later write of
 * the key is in one of them, and the newest entry found there decides; if none is newer, nothing
 * changed.
 */
#include "engine/conditions.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "engine/db.h"
#include "engine/read.h"

struct overlay_slot {
    struct varve_slice key; /* data NULL: free */
    struct key_state state;
};

static struct condition *condition_at(const struct varve_batch *batch, size_t index)
{
    return (struct condition *)(void *)batch->conditions.checks.data + index;
}

static struct varve_slice condition_key(const struct varve_batch *batch,
                                        const struct condition *condition)
{
    return varve_slice(batch->conditions.bytes.data + condition->offset +
                           condition->revision_count * sizeof(uint64_t),
                       condition->key_bytes);
}

enum varve_status varve_batch_check(struct varve_batch *batch, const struct varve_check *check)
{
    if (check->key.size == 0 || check->revision_count == 0)
        return status_raise(VARVE_INVALID);
    if (check->key.size > VARVE_KEY_BYTES_MAX || check->revision_count > UINT32_MAX)
        return status_raise(VARVE_TOO_LARGE);
    const struct condition condition = {
        .offset = batch->conditions.bytes.size,
        .revision_count = (uint32_t)check->revision_count,
        .key_bytes = (uint32_t)check->key.size,
        .negated = check->kind == VARVE_CHECK_IS_NOT,
    };
    struct buf *bytes = &batch->conditions.bytes;
    enum varve_status status =
        buf_append(bytes, check->revisions, check->revision_count * sizeof(uint64_t));
    if (status == VARVE_OK)
        status = buf_append_slice(bytes, check->key);
    if (status == VARVE_OK)
        status = buf_append(&batch->conditions.checks, &condition, sizeof condition);
    if (status != VARVE_OK) {
        bytes->size = condition.offset;
        return status;
    }
    batch->conditions.count++;
    return VARVE_OK;
}

size_t varve_batch_check_count(const struct varve_batch *batch)
{
    return batch->conditions.count;
}

bool varve_batch_check_held(const struct varve_batch *batch, size_t index, uint64_t *ret_revision)
{
    assert(index < batch->conditions.count);
    const struct condition *condition = condition_at(batch, index);
    *ret_revision = condition->current;
    return condition->held;
}

static uint64_t state_revision(struct key_state state, uint64_t now_ms)
{
    bool expired = state.expires_at != 0 && state.expires_at <= now_ms / 1000;
    return expired ? 0 : state.revision;
}

/* Notes the judgement on one condition of a key in `state`. */
static bool condition_judge(const struct varve_batch *batch, struct condition *condition,
                            struct key_state state, uint64_t now_ms)
{
    const uint8_t *revisions = batch->conditions.bytes.data + condition->offset;
    bool listed = false;

    condition->current = state_revision(state, now_ms);
    for (uint32_t i = 0; i < condition->revision_count && !listed; i++)
        listed = fixed64_decode(revisions + i * sizeof(uint64_t)) == condition->current;
    condition->held = listed != condition->negated;
    return condition->held;
}

enum varve_status conditions_observe(struct varve_db *db, struct varve_batch *batch,
                                     bool must_not_wait)
{
    struct view *view = view_slot_acquire(&db->view, &db->visible, &batch->conditions.sequence);
    enum varve_status status = VARVE_OK;

    for (size_t i = 0; status == VARVE_OK && i < batch->conditions.count; i++) {
        struct condition *condition = condition_at(batch, i);
        status =
            read_key_state(db, view, batch->conditions.sequence, condition_key(batch, condition),
                           must_not_wait, &condition->observed);
    }
    view_unref(view);
    batch->conditions.reads++;
    return status;
}

bool conditions_hold_observed(struct varve_batch *batch, uint64_t now_ms)
{
    bool hold = true;
    for (size_t i = 0; i < batch->conditions.count; i++) {
        struct condition *condition = condition_at(batch, i);
        hold = condition_judge(batch, condition, condition->observed, now_ms) && hold;
    }
    return hold;
}

void overlay_deinit(struct overlay *overlay)
{
    free(overlay->slots);
    *overlay = (struct overlay){0};
}

static struct overlay_slot *overlay_find(const struct overlay *overlay, struct varve_slice key)
{
    size_t at = hash_slice(key) & (overlay->slot_count - 1);
    while (overlay->slots[at].key.data != NULL &&
           varve_slice_compare(overlay->slots[at].key, key) != 0)
        at = (at + 1) & (overlay->slot_count - 1);
    return &overlay->slots[at];
}

static enum varve_status overlay_reserve(struct overlay *overlay, size_t more)
{
    struct overlay grown = {.slot_count = overlay->slot_count > 0 ? overlay->slot_count : 64};
    while ((overlay->used + more) * 2 > grown.slot_count)
        grown.slot_count *= 2;
    if (grown.slot_count == overlay->slot_count)
        return VARVE_OK;
    grown.slots = calloc(grown.slot_count, sizeof *grown.slots);
    if (grown.slots == NULL)
        return status_raise(VARVE_NO_MEMORY);
    for (size_t i = 0; i < overlay->slot_count; i++)
        if (overlay->slots[i].key.data != NULL)
            *overlay_find(&grown, overlay->slots[i].key) = overlay->slots[i];
    grown.used = overlay->used;
    free(overlay->slots);
    *overlay = grown;
    return VARVE_OK;
}

static struct key_state op_state(const struct batch_op *op, uint64_t sequence)
{
    struct key_state state = {.revision = op->kind == ENTRY_DELETE ? 0 : sequence};
    if (op->kind == ENTRY_PUT_EXPIRING)
        state.expires_at = fixed64_decode(op->value.data);
    return state;
}

enum varve_status overlay_add(struct overlay *overlay, struct varve_slice batch, uint64_t sequence)
{
    struct batch_reader reader = {0};
    struct batch_op op = {0};

    enum varve_status status = batch_reader_init(&reader, batch);
    if (status == VARVE_OK)
        status = overlay_reserve(overlay, reader.count);
    if (status != VARVE_OK)
        return status;
    while ((status = batch_reader_next(&reader, &op)) == VARVE_OK) {
        struct overlay_slot *slot = overlay_find(overlay, op.key);
        overlay->used += slot->key.data == NULL;
        *slot = (struct overlay_slot){.key = op.key, .state = op_state(&op, sequence)};
    }
    return status == VARVE_END ? VARVE_OK : status;
}

bool conditions_are_covered(const struct varve_batch *batch, const struct view *view,
                            uint64_t last_sequence)
{
    uint64_t oldest = last_sequence + 1, first = 0, last = 0;
    for (size_t i = 0; i < view->waiting_count; i++) {
        memtable_sequences(view->waiting[i], &first, &last);
        if (first != 0 && first < oldest)
            oldest = first;
    }
    memtable_sequences(view->active, &first, &last);
    if (first != 0 && first < oldest)
        oldest = first;
    return batch->conditions.sequence + 1 >= oldest;
}

static enum varve_status key_state_now(const struct varve_batch *batch,
                                       const struct condition *condition, const struct view *view,
                                       const struct overlay *overlay, struct key_state *ret_state)
{
    struct varve_slice key = condition_key(batch, condition);
    if (overlay->slot_count > 0) {
        const struct overlay_slot *slot = overlay_find(overlay, key);
        if (slot->key.data != NULL) {
            *ret_state = slot->state;
            return VARVE_OK;
        }
    }
    struct key_state newest = {0};
    enum varve_status status = read_memtables_state(view, key, batch->conditions.sequence, &newest);
    if (status == VARVE_OK)
        *ret_state = newest;
    else if (status == VARVE_NOT_FOUND)
        *ret_state = condition->observed;
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

enum varve_status conditions_judge_locked(struct varve_db *db, struct varve_batch *batch,
                                          const struct view *view, const struct overlay *overlay,
                                          uint64_t now_ms, bool *ret_hold)
{
    assert(mutex_is_held(&db->wal.lock));
    bool hold = true;
    for (size_t i = 0; i < batch->conditions.count; i++) {
        struct condition *condition = condition_at(batch, i);
        struct key_state state = {0};
        enum varve_status status = key_state_now(batch, condition, view, overlay, &state);
        if (status != VARVE_OK)
            return status;
        hold = condition_judge(batch, condition, state, now_ms) && hold;
    }
    *ret_hold = hold;
    return VARVE_OK;
}
