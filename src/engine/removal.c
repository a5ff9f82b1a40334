/*
 * The job takes all ids that wait and looks again when it has removed them; under the lock under
 * which it finds none it says that it ends, so no id is left behind. It is an urgent one, for a
 * patient one would wait for a merge to end, and the space with it.
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
    struct buf ids = {0};
    bool more = true;
    while (more) {
        mutex_lock(&removal->mu.lock);
        ids = removal->mu.ids;
        removal->mu.ids = (struct buf){0};
        more = removal->mu.queued = ids.size > 0;
        mutex_unlock(&removal->mu.lock);
        for (size_t at = 0; at < ids.size; at += sizeof(uint64_t))
            table_remove(removal->db, fixed64_decode(ids.data + at));
        buf_deinit(&ids);
    }
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
