/*
 * varve/iterator.h: ordered passes over one consistent view of the store.
 *
 * An iterator sees the store as of the moment it was made (or of its snapshot) to its end, whatever
 * is written, flushed or merged meanwhile. It pins memory and files, so close it when done. One
 * iterator belongs to one thread at a time; different iterators are independent. All iterators must
 * be freed before the store is closed.
 */
#ifndef VARVE_ITERATOR_H
#define VARVE_ITERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/slice.h>
#include <varve/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct varve_db;
struct varve_snapshot;
struct varve_iterator;

struct varve_iterator_options {
    struct varve_slice start;              /* inclusive; empty: no bound. Copied. */
    struct varve_slice end;                /* exclusive; empty: no bound. Copied. */
    const struct varve_snapshot *snapshot; /* NULL: now. Borrowed until the iterator is freed. */
    bool fill_cache;                       /* keep the blocks that it reads in the block cache */
    /* So many entries that are not shown (deleted, expired, overwritten, newer than the view) and a
     * few more may be passed before a move pauses, which may be any number of moves; then they are
     * counted anew. 0: any number, and no move ever pauses. */
    uint64_t hidden_max;
};

/* `options` may be NULL: everything, now. The iterator starts on no key: call a seek first.
 * Caller frees with varve_iterator_free. VARVE_NO_MEMORY, VARVE_IO, VARVE_CORRUPT. */
VARVE_API VARVE_MUST_CHECK enum varve_status
varve_iterator_new(struct varve_db *db, const struct varve_iterator_options *options,
                   struct varve_iterator **ret_iterator);
VARVE_API void varve_iterator_free(struct varve_iterator *iterator); /* takes NULL */

/* Each moves and returns VARVE_OK when it stands on a key, VARVE_END when there is none there (also
 * beyond a bound), or the failure, which stays until the next seek: a failed pass never looks like
 * a shorter one. seek: the first key >= target; seek_for_prev: the last key <= target. next and
 * prev return VARVE_INVALID on an iterator that stands on no key. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_iterator_seek_first(struct varve_iterator *it);
VARVE_API VARVE_MUST_CHECK enum varve_status varve_iterator_seek_last(struct varve_iterator *it);
VARVE_API VARVE_MUST_CHECK enum varve_status varve_iterator_seek(struct varve_iterator *it,
                                                                 struct varve_slice target);
VARVE_API VARVE_MUST_CHECK enum varve_status
varve_iterator_seek_for_prev(struct varve_iterator *it, struct varve_slice target);
VARVE_API VARVE_MUST_CHECK enum varve_status varve_iterator_next(struct varve_iterator *it);
VARVE_API VARVE_MUST_CHECK enum varve_status varve_iterator_prev(struct varve_iterator *it);

/* With hidden_max a move may also return VARVE_BUSY: it has paused, and stands on no key. This goes
 * on with it and returns what the move would have, or VARVE_BUSY again. A seek gives it up.
 * VARVE_INVALID when no move has paused. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_iterator_resume(struct varve_iterator *it);

/* Where it stands. Borrowed until the iterator moves or is freed. Only on a key. */
VARVE_API struct varve_slice varve_iterator_key(const struct varve_iterator *it);
VARVE_API struct varve_slice varve_iterator_value(const struct varve_iterator *it);
VARVE_API uint64_t varve_iterator_revision(const struct varve_iterator *it);
VARVE_API uint64_t varve_iterator_expires_at(const struct varve_iterator *it); /* 0: never */

/* The revision of the view that the iterator reads. */
VARVE_API uint64_t varve_iterator_view_revision(const struct varve_iterator *it);

#ifdef __cplusplus
}
#endif
#endif
