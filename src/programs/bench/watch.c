/* The look at the end belongs to the workload, so that even a short one is seen once. */
#include "programs/bench/watch.h"

#include <stdbool.h>
#include <stdlib.h>

#include "os/sync.h"
#include "os/thread_pool.h"
#include "programs/bench/process.h"

#define WATCH_EVERY_MS 200

struct watch {
    struct thread_job job; /* the first field, so that a job is its watch */
    struct thread_pool *pool;
    const char *path;          /* may be NULL */
    struct progress *progress; /* likewise */
    uint64_t most_bytes;       /* its thread's alone until that has ended */
    struct {
        struct mutex lock;
        struct cond ends;
        bool is_over;
    } mu;
};

static void look(struct watch *watch)
{
    uint64_t bytes = watch->path != NULL ? process_table_bytes(watch->path) : 0;
    if (bytes > watch->most_bytes)
        watch->most_bytes = bytes;
    if (watch->progress != NULL)
        progress_show(watch->progress, process_now_ns());
}

static void watch_run(struct thread_job *job)
{
    struct watch *watch = (struct watch *)job;
    bool is_over = false;
    while (!is_over) {
        mutex_lock(&watch->mu.lock);
        if (!watch->mu.is_over)
            (void)cond_wait_for(&watch->mu.ends, &watch->mu.lock, WATCH_EVERY_MS);
        is_over = watch->mu.is_over;
        mutex_unlock(&watch->mu.lock);
        look(watch);
    }
}

static void watch_free(struct watch *watch)
{
    cond_deinit(&watch->mu.ends);
    mutex_deinit(&watch->mu.lock);
    free(watch);
}

enum varve_status watch_start(const char *path, struct progress *progress, struct watch **ret_watch)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return status_raise(VARVE_NO_MEMORY);
    watch->path = path;
    watch->progress = progress;
    if (progress != NULL)
        progress_begin(progress, process_now_ns());
    watch->job = (struct thread_job){.run = watch_run, .kind = THREAD_JOB_URGENT};
    mutex_init(&watch->mu.lock);
    cond_init(&watch->mu.ends);
    const struct thread_pool_options workers = {.name = "watch", .urgent_workers = 1};
    enum varve_status status = thread_pool_new(&workers, &watch->pool);
    if (status != VARVE_OK) {
        watch_free(watch);
        return status;
    }
    thread_pool_submit(watch->pool, &watch->job);
    *ret_watch = watch;
    return VARVE_OK;
}

uint64_t watch_stop(struct watch *watch)
{
    if (watch == NULL)
        return 0;
    mutex_lock(&watch->mu.lock);
    watch->mu.is_over = true;
    cond_broadcast(&watch->mu.ends);
    mutex_unlock(&watch->mu.lock);
    thread_pool_free(watch->pool); /* waits for the last look */
    if (watch->progress != NULL)
        progress_clear(watch->progress);
    uint64_t most_bytes = watch->most_bytes;
    watch_free(watch);
    return most_bytes;
}
