/*
 * Entries come in internal-key order: of one user key the newest first, and entries above the
 * view's sequence may stand among them (the memtable goes on growing; a snapshot is older).
 *
 * Forward, the merged pass stays on the entry that is shown, and key and value are lent from it.
 * Backward, the oldest entry of a key is met first and the newest visible one last, by when the
 * pass has left it: so key and value are copied, and the merged pass stands before all entries of
 * the key. A change of direction seeks.
 *
 * A key may have any number of entries that are not shown. After HIDDEN_STEPS_MAX steps over them
 * a seek goes past the rest, so that a move costs a few seeks at worst for each key that it passes.
 *
 * There may also be any number of keys that are not shown. With a limit a move pauses before the
 * next key, or entry above the view's sequence, once so many entries were passed. A search needs to
 * know nothing but where the merged pass stands, so the next one goes on from there. The account
 * begins anew with each pause, so at least one key or entry is looked at between two.
 */
#include "engine/db_iterator.h"

#include <assert.h>
#include <stdlib.h>

#define HIDDEN_STEPS_MAX 8u

/* The targets that stand before and behind all entries of a user key. */
#define TAG_BEFORE_ALL UINT64_MAX
#define TAG_BEHIND_ALL UINT64_C(0)

struct varve_iterator {
    struct entry_iterator *merged;
    uint64_t sequence;
    uint64_t now_seconds;
    uint64_t hidden_max; /* 0: none */
    struct buf start, end;
    void (*released)(void *context);
    void *context;

    bool on_key;
    bool paused;
    bool backward;            /* of the last move */
    uint64_t hidden;          /* entries that were passed since the last pause */
    enum varve_status status; /* a failure stays until the next seek */
    struct varve_slice key, value;
    uint64_t revision;
    uint64_t expires_at;

    struct buf current;   /* the user key that a move is at, or has to leave */
    struct buf candidate; /* backward: the value of `current` */
    struct buf target;    /* an internal key to seek */
};

enum varve_status db_iterator_new(const struct db_iterator_source *source,
                                  struct varve_iterator **ret_iterator)
{
    enum varve_status status = VARVE_OK;
    struct varve_iterator *it = calloc(1, sizeof *it);
    if (it == NULL) {
        entry_iterator_free(source->merged);
        if (source->released != NULL)
            source->released(source->context);
        return status_raise(VARVE_NO_MEMORY);
    }
    it->merged = source->merged;
    it->sequence = source->sequence;
    it->now_seconds = source->now_seconds;
    it->hidden_max = source->hidden_max;
    it->released = source->released;
    it->context = source->context;
    status = buf_append_slice(&it->start, source->start);
    if (status == VARVE_OK)
        status = buf_append_slice(&it->end, source->end);
    if (status != VARVE_OK) {
        varve_iterator_free(it);
        return status;
    }
    *ret_iterator = it;
    return VARVE_OK;
}

void varve_iterator_free(struct varve_iterator *it)
{
    if (it == NULL)
        return;
    entry_iterator_free(it->merged);
    if (it->released != NULL)
        it->released(it->context);
    buf_deinit(&it->start);
    buf_deinit(&it->end);
    buf_deinit(&it->current);
    buf_deinit(&it->candidate);
    buf_deinit(&it->target);
    free(it);
}

static inline bool slice_equal(struct varve_slice a, struct varve_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Where the merged pass stands; only while it is valid. */
static inline struct varve_slice merged_user_key(const struct varve_iterator *it)
{
    return entry_user_key(it->merged->key);
}
static inline bool merged_is_at_current(const struct varve_iterator *it)
{
    return it->merged->valid && slice_equal(merged_user_key(it), buf_slice(&it->current));
}

static inline bool merged_is_newer(const struct varve_iterator *it)
{
    return it->merged->valid && entry_tag_sequence(entry_key_tag(it->merged->key)) > it->sequence;
}
static inline bool merged_is_beyond_end(const struct varve_iterator *it)
{
    return it->end.size > 0 && varve_slice_compare(merged_user_key(it), buf_slice(&it->end)) >= 0;
}

static enum varve_status fail(struct varve_iterator *it, enum varve_status status)
{
    it->on_key = false;
    it->status = status;
    return status;
}

/* The merged pass has come to an end, or failed. */
static enum varve_status finish(struct varve_iterator *it)
{
    if (!it->merged->valid && it->merged->status != VARVE_OK)
        return fail(it, it->merged->status);
    it->on_key = false;
    return VARVE_END;
}

static inline bool is_spent(const struct varve_iterator *it)
{
    return it->hidden_max > 0 && it->hidden >= it->hidden_max;
}

static enum varve_status pause_search(struct varve_iterator *it)
{
    it->on_key = false;
    it->paused = true;
    it->hidden = 0;
    return VARVE_BUSY;
}

static enum varve_status merged_seek(struct varve_iterator *it, struct varve_slice user_key,
                                     uint64_t tag)
{
    buf_clear(&it->target);
    enum varve_status status = buf_append_slice(&it->target, user_key);
    if (status == VARVE_OK)
        status = buf_append_fixed64(&it->target, tag);
    if (status == VARVE_OK)
        it->merged->ops->seek(it->merged, buf_slice(&it->target));
    return status;
}

/* To the last entry before (user_key, tag); failures of the merged pass are seen by what follows.
 */
static enum varve_status merged_seek_before(struct varve_iterator *it, struct varve_slice user_key,
                                            uint64_t tag)
{
    enum varve_status status = merged_seek(it, user_key, tag);
    if (status != VARVE_OK)
        return status;
    if (it->merged->valid)
        it->merged->ops->prev(it->merged);
    else if (it->merged->status == VARVE_OK)
        it->merged->ops->seek_last(it->merged);
    return VARVE_OK;
}

/* Is an entry to be shown? Takes the expiry off its value. VARVE_NOT_FOUND: deleted or expired. */
static enum varve_status entry_judge(struct varve_iterator *it, enum entry_kind kind,
                                     struct varve_slice *value)
{
    it->expires_at = 0;
    switch (kind) {
    case ENTRY_DELETE:
        return VARVE_NOT_FOUND;
    case ENTRY_PUT:
        return VARVE_OK;
    case ENTRY_PUT_EXPIRING:
        if (value->size < ENTRY_EXPIRY_BYTES)
            break;
        it->expires_at = fixed64_decode(value->data);
        if (it->expires_at <= it->now_seconds)
            return VARVE_NOT_FOUND;
        *value = varve_slice(value->data + ENTRY_EXPIRY_BYTES, value->size - ENTRY_EXPIRY_BYTES);
        return VARVE_OK;
    case ENTRY_KIND_SEEK:
        break;
    }
    return status_raise(VARVE_CORRUPT);
}

/* Forward past all entries of `current`, at one of which the merged pass stands; that one counts
 * already. */
static enum varve_status leave_forward(struct varve_iterator *it)
{
    for (size_t steps = 0; merged_is_at_current(it); steps++) {
        it->hidden += steps > 0;
        if (steps == HIDDEN_STEPS_MAX)
            return merged_seek(it, buf_slice(&it->current), TAG_BEHIND_ALL);
        it->merged->ops->next(it->merged);
    }
    return VARVE_OK;
}

/* Backward past all entries of `current`, at one of which the merged pass stands, as well. */
static enum varve_status leave_backward(struct varve_iterator *it)
{
    for (size_t steps = 0; merged_is_at_current(it); steps++) {
        it->hidden += steps > 0;
        if (steps == HIDDEN_STEPS_MAX)
            return merged_seek_before(it, buf_slice(&it->current), TAG_BEFORE_ALL);
        it->merged->ops->prev(it->merged);
    }
    return VARVE_OK;
}

/* Forward past the entries above the view's sequence at which the merged pass stands, of whatever
 * keys within the bound, or as many as may be. Many of one key are left out by a seek. */
static enum varve_status skip_newer_forward(struct varve_iterator *it)
{
    for (size_t steps = 0; merged_is_newer(it) && !merged_is_beyond_end(it) && !is_spent(it);
         steps++) {
        it->hidden++;
        if (steps == HIDDEN_STEPS_MAX) {
            enum varve_status status = buf_assign(&it->current, merged_user_key(it));
            if (status != VARVE_OK)
                return status;
        }
        it->merged->ops->next(it->merged);
        if (steps == HIDDEN_STEPS_MAX) {
            steps = 0;
            if (merged_is_at_current(it))
                return merged_seek(it, buf_slice(&it->current),
                                   entry_tag(it->sequence, ENTRY_KIND_SEEK));
        }
    }
    return VARVE_OK;
}

/* Shows the first visible key at or behind where the merged pass stands, at the newest entry of a
 * key. */
static enum varve_status find_forward(struct varve_iterator *it)
{
    it->backward = false;
    for (;;) {
        enum varve_status status = skip_newer_forward(it);
        if (status != VARVE_OK)
            return fail(it, status);
        struct entry_iterator *merged = it->merged;
        if (!merged->valid || merged_is_beyond_end(it))
            return finish(it);
        if (is_spent(it))
            return pause_search(it);
        if (merged_is_newer(it))
            continue;
        struct varve_slice user_key = merged_user_key(it), value = merged->value;
        uint64_t tag = entry_key_tag(merged->key);
        status = entry_judge(it, entry_tag_kind(tag), &value);
        if (status == VARVE_OK) {
            it->on_key = true;
            it->key = user_key;
            it->value = value;
            it->revision = entry_tag_sequence(tag);
            return VARVE_OK;
        }
        it->hidden++;
        if (status == VARVE_NOT_FOUND)
            status = buf_assign(&it->current, user_key);
        if (status == VARVE_OK)
            status = leave_forward(it);
        if (status != VARVE_OK)
            return fail(it, status);
    }
}

/* The merged pass stands on the oldest entry of `current`, or on one above the view's sequence.
 * Finds the newest visible one, copies its value to `candidate`, and leaves the key backward.
 * VARVE_NOT_FOUND: none is visible. */
static enum varve_status take_newest_backward(struct varve_iterator *it, uint64_t *ret_tag)
{
    struct entry_iterator *merged = it->merged;
    enum varve_status status = VARVE_OK, result = VARVE_NOT_FOUND;
    bool newest = false;
    for (size_t steps = 0; !newest && merged_is_at_current(it) && !merged_is_newer(it); steps++) {
        if (steps == HIDDEN_STEPS_MAX) {
            newest = true;
            status =
                merged_seek(it, buf_slice(&it->current), entry_tag(it->sequence, ENTRY_KIND_SEEK));
            if (status == VARVE_OK && !merged_is_at_current(it))
                status = merged->status != VARVE_OK ? merged->status : status_raise(VARVE_CORRUPT);
            if (status != VARVE_OK)
                return status;
        }
        status = buf_assign(&it->candidate, merged->value);
        if (status != VARVE_OK)
            return status;
        *ret_tag = entry_key_tag(merged->key);
        result = VARVE_OK;
        it->hidden += steps > 0;
        if (!newest)
            merged->ops->prev(merged);
    }
    status = leave_backward(it);
    return status != VARVE_OK ? status : result;
}

/* Shows the last visible key at or before where the merged pass stands, at the oldest entry of a
 * key. */
static enum varve_status find_backward(struct varve_iterator *it)
{
    it->backward = true;
    while (it->merged->valid) {
        struct varve_slice user_key = merged_user_key(it);
        if (it->start.size > 0 && varve_slice_compare(user_key, buf_slice(&it->start)) < 0)
            break;
        if (is_spent(it))
            return pause_search(it);
        uint64_t tag = 0;
        enum varve_status status = buf_assign(&it->current, user_key);
        if (status == VARVE_OK)
            status = take_newest_backward(it, &tag);
        if (!it->merged->valid && it->merged->status != VARVE_OK)
            break;
        struct varve_slice value = buf_slice(&it->candidate);
        if (status == VARVE_OK)
            status = entry_judge(it, entry_tag_kind(tag), &value);
        if (status == VARVE_OK) {
            it->on_key = true;
            it->key = buf_slice(&it->current);
            it->value = value;
            it->revision = entry_tag_sequence(tag);
            return VARVE_OK;
        }
        if (status != VARVE_NOT_FOUND)
            return fail(it, status);
        it->hidden++;
    }
    return finish(it);
}

/* A seek forgets a failure, and a pause. */
static void begin(struct varve_iterator *it)
{
    it->on_key = false;
    it->paused = false;
    it->status = VARVE_OK;
}

enum varve_status varve_iterator_seek_first(struct varve_iterator *it)
{
    if (it->start.size > 0)
        return varve_iterator_seek(it, buf_slice(&it->start));
    begin(it);
    it->merged->ops->seek_first(it->merged);
    return find_forward(it);
}

enum varve_status varve_iterator_seek_last(struct varve_iterator *it)
{
    begin(it);
    if (it->end.size == 0) {
        it->merged->ops->seek_last(it->merged);
        return find_backward(it);
    }
    enum varve_status status = merged_seek_before(it, buf_slice(&it->end), TAG_BEFORE_ALL);
    return status == VARVE_OK ? find_backward(it) : fail(it, status);
}

enum varve_status varve_iterator_seek(struct varve_iterator *it, struct varve_slice target)
{
    begin(it);
    if (varve_slice_compare(target, buf_slice(&it->start)) < 0)
        target = buf_slice(&it->start);
    enum varve_status status = merged_seek(it, target, entry_tag(it->sequence, ENTRY_KIND_SEEK));
    return status == VARVE_OK ? find_forward(it) : fail(it, status);
}

enum varve_status varve_iterator_seek_for_prev(struct varve_iterator *it, struct varve_slice target)
{
    if (it->end.size > 0 && varve_slice_compare(target, buf_slice(&it->end)) >= 0)
        return varve_iterator_seek_last(it);
    begin(it);
    enum varve_status status = merged_seek_before(it, target, TAG_BEHIND_ALL);
    return status == VARVE_OK ? find_backward(it) : fail(it, status);
}

/* VARVE_OK when next and prev may move from here. */
static enum varve_status check_on_key(const struct varve_iterator *it)
{
    if (it->on_key)
        return VARVE_OK;
    return it->status != VARVE_OK ? it->status : status_raise(VARVE_INVALID);
}

enum varve_status varve_iterator_next(struct varve_iterator *it)
{
    enum varve_status status = check_on_key(it);
    if (status != VARVE_OK)
        return status;
    if (it->backward) {
        status = merged_seek(it, buf_slice(&it->current), TAG_BEHIND_ALL);
    } else {
        status = buf_assign(&it->current, it->key);
        if (status == VARVE_OK)
            status = leave_forward(it);
    }
    return status == VARVE_OK ? find_forward(it) : fail(it, status);
}

enum varve_status varve_iterator_prev(struct varve_iterator *it)
{
    enum varve_status status = check_on_key(it);
    if (status != VARVE_OK)
        return status;
    if (!it->backward) {
        status = buf_assign(&it->current, it->key);
        if (status == VARVE_OK)
            status = leave_backward(it);
    }
    return status == VARVE_OK ? find_backward(it) : fail(it, status);
}

enum varve_status varve_iterator_resume(struct varve_iterator *it)
{
    if (!it->paused)
        return it->status != VARVE_OK ? it->status : status_raise(VARVE_INVALID);
    it->paused = false;
    return it->backward ? find_backward(it) : find_forward(it);
}

struct varve_slice varve_iterator_key(const struct varve_iterator *it)
{
    assert(it->on_key);
    return it->key;
}

struct varve_slice varve_iterator_value(const struct varve_iterator *it)
{
    assert(it->on_key);
    return it->value;
}

uint64_t varve_iterator_revision(const struct varve_iterator *it)
{
    assert(it->on_key);
    return it->revision;
}

uint64_t varve_iterator_expires_at(const struct varve_iterator *it)
{
    assert(it->on_key);
    return it->expires_at;
}

uint64_t varve_iterator_view_revision(const struct varve_iterator *it)
{
    return it->sequence;
}
