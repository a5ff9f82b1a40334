/*
 * os/thread_pool.h: background workers. Jobs come in two kinds, each with workers of its own:
 * urgent ones (flushes), for which somebody waits or will soon, and patient ones (merges), whose
 * workers may be made to give way to other threads where processors are short.
 *
 * A pool with no workers is stepped by hand, one job a call on the calling thread, so that a test
 * replays a run. Thread safe.
 */
#ifndef OS_THREAD_POOL_H
#define OS_THREAD_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct thread_pool;

enum thread_job_kind { THREAD_JOB_URGENT, THREAD_JOB_PATIENT };
#define THREAD_JOB_KINDS 2

/* Embedded by its owner and the owner's again when `run` begins (it may submit itself anew). */
struct thread_job {
    void (*run)(struct thread_job *job);
    enum thread_job_kind kind;
    struct thread_job *next;
};

/* No workers at all: stepped by hand. A kind without workers in a pool that has some is not
 * submitted. `name` (up to 15 bytes) names the threads. */
struct thread_pool_options {
    const char *name;
    size_t urgent_workers, patient_workers;
    int patient_nice; /* so much the patient ones are below the maker's priority, 0 to 19 */
};

/* VARVE_NO_MEMORY, VARVE_IO when a thread cannot be made. Caller frees with thread_pool_free. */
MUST_CHECK enum varve_status thread_pool_new(const struct thread_pool_options *options,
                                             struct thread_pool **ret_pool);

/* Runs what is queued, waits for what runs, ends the threads. Takes NULL. */
void thread_pool_free(struct thread_pool *pool);

/* Never fails and takes no memory. */
void thread_pool_submit(struct thread_pool *pool, struct thread_job *job);

/* Runs one queued job, urgent ones first, on this thread; false when there is none. Only on a pool
 * without workers. */
bool thread_pool_step(struct thread_pool *pool);

#endif
