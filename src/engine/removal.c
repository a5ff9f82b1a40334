/*
 * The job removes the table that has waited longest and queues itself anew; under the lock under
 * which it finds none it says that it ends, so no id is left behind. It is an urgent one, for a
 * patient one would wait for a merge to end, and the space with it; and one table a turn, for a
 * flush must not wait for many.
 */
#include "engine/removal.h"

#include "base/coding.h"
#include "engine/db.h"
#include "engine/merge.h"

static void table_remove(struct varve_db *db, uint64_t file_id)
{
    table_cache_drop(db->tables, file_id);
    merge_remove_table(db, file_id);
}

static void removal_run(struct thread_job *job)
{
    struct removal *removal =
        (struct removal *)(void *)((char *)job - offsetof(struct removal, job));
    struct buf *ids = &removal->mu.ids;
    uint64_t file_id = 0;
    mutex_lock(&removal->mu.lock);
    bool more = removal->mu.queued = ids->size > removal->mu.begin;
    if (more) {
        file_id = fixed64_decode(ids->data + removal->mu.begin);
        removal->mu.begin += sizeof file_id;
    } else {
        buf_clear(ids);
        removal->mu.begin = 0;
    }
    mutex_unlock(&removal->mu.lock);
    if (!more)
        return;
    table_remove(removal->db, file_id);
    thread_pool_submit(removal->db->pool, job);
}

void removal_init(struct removal *removal, struct varve_db *db)
{
    *removal = (struct removal){.db = db, .job = {.run = removal_run, .kind = THREAD_JOB_URGENT}};
    mutex_init(&removal->mu.lock);
}

void removal_deinit(struct removal *removal)
{
    buf_deinit(&removal->mu.ids);
    mutex_deinit(&removal->mu.lock);
}

void removal_add(struct removal *removal, uint64_t file_id)
{
    bool submit = false, taken = false;
    mutex_lock(&removal->mu.lock);
    if (!removal->mu.closing && !removal->db->stepped &&
        buf_append_fixed64(&removal->mu.ids, file_id) == VARVE_OK) {
        taken = true;
        submit = !removal->mu.queued;
        removal->mu.queued = true;
    }
    mutex_unlock(&removal->mu.lock);
    if (submit)
        thread_pool_submit(removal->db->pool, &removal->job);
    if (!taken)
        table_remove(removal->db, file_id);
}

void removal_close(struct removal *removal)
{
    mutex_lock(&removal->mu.lock);
    removal->mu.closing = true;
    mutex_unlock(&removal->mu.lock);
}
