/*
 * varve/batch.h: a set of writes that are applied together or not at all.
 *
 * A batch is not thread safe. It copies what it is given. Where a key occurs several times, the
 * last write stays. A batch may be kept, cleared and used again once no commit is using it.
 */
#ifndef VARVE_BATCH_H
#define VARVE_BATCH_H

#include <stdbool.h>

#include <varve/slice.h>
#include <varve/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct varve_batch;

/* Caller frees with varve_batch_free. VARVE_NO_MEMORY. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_batch_new(struct varve_batch **ret_batch);
VARVE_API void varve_batch_free(struct varve_batch *batch); /* takes NULL */

/* Keeps the memory for the next use. */
VARVE_API void varve_batch_clear(struct varve_batch *batch);

/* Keys are 1 to VARVE_KEY_BYTES_MAX bytes (else VARVE_INVALID for an empty one, VARVE_TOO_LARGE for
 * a longer one), values 0 to VARVE_VALUE_BYTES_MAX. On failure the batch is as it was. */
VARVE_API VARVE_MUST_CHECK enum varve_status
varve_batch_put(struct varve_batch *batch, struct varve_slice key, struct varve_slice value);
/* The key is absent for every read from `expires_at` (unix seconds, store time) on. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_batch_put_expiring(struct varve_batch *batch,
                                                                      struct varve_slice key,
                                                                      struct varve_slice value,
                                                                      uint64_t expires_at);
VARVE_API VARVE_MUST_CHECK enum varve_status varve_batch_delete(struct varve_batch *batch,
                                                                struct varve_slice key);

/*
 * Conditions, judged in one step with the write: of keys as they stand before the batch. If one
 * does not hold nothing of the batch happens, and the write gives VARVE_CONFLICT.
 */
enum varve_check_kind {
    VARVE_CHECK_IS,     /* the key's revision is one of these; 0 stands for an absent key */
    VARVE_CHECK_IS_NOT, /* the key's revision is none of these */
};
struct varve_check {
    struct varve_slice key;
    enum varve_check_kind kind;
    const uint64_t *revisions;
    size_t revision_count;
};
/* Copies what it is given. As varve_batch_put for the key. */
VARVE_API VARVE_MUST_CHECK enum varve_status varve_batch_check(struct varve_batch *batch,
                                                               const struct varve_check *check);
VARVE_API size_t varve_batch_check_count(const struct varve_batch *batch);

/* After VARVE_CONFLICT: whether the condition that was added as number `index` held, and the key's
 * revision at that moment, 0 when absent. */
VARVE_API bool varve_batch_check_held(const struct varve_batch *batch, size_t index,
                                      uint64_t *ret_revision);

/* Operations added so far, before repeated keys are folded; their encoded size in bytes. */
VARVE_API size_t varve_batch_count(const struct varve_batch *batch);
VARVE_API size_t varve_batch_bytes(const struct varve_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
