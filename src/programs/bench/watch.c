/* The look at the end belongs to the workload, so that even a short one is seen once. */
#include "programs/bench/watch.h"

#include <stdbool.h>
#include <stdlib.h>

#include "os/sync.h"
#include "os/thread_pool.h"
#include "programs/bench/process.h"

#define WATCH_EVERY_MS 200
#define WATCH_THREADS 2 /* the fewest that a pool has */

struct watch {
    struct thread_job job; /* the first field, so that a job is its watch */
    struct thread_pool *pool;
    const char *path;
    uint64_t most_bytes; /* its thread's alone until that has ended */
    struct {
        struct mutex lock;
        struct cond ends;
        bool is_over;
    } mu;
};

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
        uint64_t bytes = process_table_bytes(watch->path);
        if (bytes > watch->most_bytes)
            watch->most_bytes = bytes;
    }
}

static void watch_free(struct watch *watch)
{
    cond_deinit(&watch->mu.ends);
    mutex_deinit(&watch->mu.lock);
    free(watch);
}

enum varve_status watch_start(const char *path, struct watch **ret_watch)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return status_raise(VARVE_NO_MEMORY);
    watch->path = path;
    watch->job = (struct thread_job){.run = watch_run, .kind = THREAD_JOB_URGENT};
    mutex_init(&watch->mu.lock);
    cond_init(&watch->mu.ends);
    enum varve_status status = thread_pool_new(WATCH_THREADS, "watch", &watch->pool);
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
    mutex_lock(&watch->mu.lock);
    watch->mu.is_over = true;
    cond_broadcast(&watch->mu.ends);
    mutex_unlock(&watch->mu.lock);
    thread_pool_free(watch->pool); /* waits for the last look */
    uint64_t most_bytes = watch->most_bytes;
    watch_free(watch);
    return most_bytes;
}
