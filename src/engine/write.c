/* The public writes: a batch, a request, the queue. */
#include <varve/db.h>

#include "engine/batch.h"
#include "engine/commit.h"
#include "engine/conditions.h"
#include "engine/db.h"

enum varve_status varve_write_async(struct varve_db *db, struct varve_write_request *request)
{
    if (request->receiver == NULL || request->batch == NULL)
        return status_raise(VARVE_INVALID);
    return commit_submit(db, request);
}

void varve_write_async_list(struct varve_db *db, struct varve_write_request *list)
{
    commit_submit_list(db, list);
}

enum varve_status varve_write(struct varve_db *db, struct varve_batch *batch, enum varve_sync sync,
                              uint64_t *ret_revision)
{
    struct varve_write_request request = {.batch = batch, .sync = sync};
    uint64_t revision = 0;
    enum varve_status status = VARVE_OK;

    if (varve_batch_count(batch) == 0) {
        status = conditions_observe(db, batch, false);
        revision = batch->conditions.sequence;
        if (status == VARVE_OK && !conditions_hold_observed(batch, db_store_time_ms(db)))
            status = VARVE_CONFLICT;
    } else {
        status = commit_submit(db, &request);
        if (status == VARVE_OK)
            status = request.status;
        revision = request.revision;
    }
    if (status == VARVE_OK && ret_revision != NULL)
        *ret_revision = revision;
    return status;
}

enum varve_status varve_put(struct varve_db *db, struct varve_slice key, struct varve_slice value,
                            enum varve_sync sync, uint64_t *ret_revision)
{
    struct varve_batch batch = {0};
    enum varve_status status = varve_batch_put(&batch, key, value);
    if (status == VARVE_OK)
        status = varve_write(db, &batch, sync, ret_revision);
    batch_deinit(&batch);
    return status;
}

enum varve_status varve_delete(struct varve_db *db, struct varve_slice key, enum varve_sync sync,
                               uint64_t *ret_revision)
{
    struct varve_batch batch = {0};
    enum varve_status status = varve_batch_delete(&batch, key);
    if (status == VARVE_OK)
        status = varve_write(db, &batch, sync, ret_revision);
    batch_deinit(&batch);
    return status;
}
