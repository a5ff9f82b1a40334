/*
 * A queue a kind, one lock. A worker takes jobs of its own kind alone: so merges, which may last
 * for minutes, never keep a flush waiting, and those who carry them out can be of lower priority
 * for good (without privileges a thread cannot take that back).
 *
 * Wake-ups: each submission signals one worker of its kind. Whoever ends a job looks at its queue
 * again, so a signal that nobody waits for is not missed. A job may submit one of the other kind,
 * so while the pool ends no worker goes before the last job of all is done, and that wakes them.
 */
#include "os/thread_pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/sync.h"

#define THREAD_NAME_BYTES 16 /* the kernel's limit, NUL included */

struct job_queue {
    struct thread_job *first;
    struct thread_job **end;
    struct cond wake;
};

struct worker {
    struct thread_pool *pool;
    enum thread_job_kind kind;
    pthread_t thread;
};

struct thread_pool {
    size_t worker_count; /* as asked for; fixed, as is the next */
    size_t worker_counts[THREAD_JOB_KINDS];
    int patient_nice;
    size_t started_count;
    char name[THREAD_NAME_BYTES];
    struct {
        struct mutex lock;
        struct job_queue queues[THREAD_JOB_KINDS];
        size_t unfinished; /* jobs, queued or running */
        bool stopping;
    } mu;
    struct worker workers[];
};

static void queue_init(struct job_queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
    cond_init(&queue->wake);
}

static void queue_push(struct job_queue *queue, struct thread_job *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

static struct thread_job *queue_pop(struct job_queue *queue)
{
    struct thread_job *job = queue->first;
    if (job == NULL)
        return NULL;
    queue->first = job->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    job->next = NULL;
    return job;
}

static void pool_wake_all_locked(struct thread_pool *pool)
{
    for (size_t i = 0; i < THREAD_JOB_KINDS; i++)
        cond_broadcast(&pool->mu.queues[i].wake);
}

/* The job is its owner's again once `run` begins. */
static void pool_run_locked(struct thread_pool *pool, struct thread_job *job)
{
    assert(mutex_is_held(&pool->mu.lock));
    mutex_unlock(&pool->mu.lock);
    job->run(job);
    mutex_lock(&pool->mu.lock);
    if (--pool->mu.unfinished == 0 && pool->mu.stopping)
        pool_wake_all_locked(pool);
}

static void *worker_main(void *context)
{
    struct worker *worker = context;
    struct thread_pool *pool = worker->pool;
    struct job_queue *queue = &pool->mu.queues[worker->kind];
    pthread_setname_np(pthread_self(), pool->name);
    /* Of this thread alone, on Linux. Where it is refused, merges take a full share. */
    if (worker->kind == THREAD_JOB_PATIENT)
        (void)!nice(pool->patient_nice);
    mutex_lock(&pool->mu.lock);
    for (;;) {
        struct thread_job *job = queue_pop(queue);
        if (job != NULL)
            pool_run_locked(pool, job);
        else if (pool->mu.stopping && pool->mu.unfinished == 0)
            break;
        else
            cond_wait(&queue->wake, &pool->mu.lock);
    }
    mutex_unlock(&pool->mu.lock);
    return NULL;
}

/* Workers take no signals: those belong to the threads of the program. */
static enum varve_status pool_start_worker(struct thread_pool *pool, enum thread_job_kind kind)
{
    struct worker *worker = &pool->workers[pool->started_count];
    sigset_t all, before;
    *worker = (struct worker){.pool = pool, .kind = kind};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return status_raise(VARVE_IO);
    pool->started_count++;
    return VARVE_OK;
}

enum varve_status thread_pool_new(const struct thread_pool_options *options,
                                  struct thread_pool **ret_pool)
{
    const size_t urgent = options->urgent_workers, patient = options->patient_workers;
    const size_t most = (SIZE_MAX - sizeof(struct thread_pool)) / sizeof(struct worker);
    if (urgent > most || patient > most - urgent)
        return status_raise(VARVE_NO_MEMORY);
    const size_t workers = urgent + patient;
    struct thread_pool *pool = calloc(1, sizeof *pool + workers * sizeof pool->workers[0]);
    if (pool == NULL)
        return status_raise(VARVE_NO_MEMORY);
    pool->worker_count = workers;
    pool->worker_counts[THREAD_JOB_URGENT] = urgent;
    pool->worker_counts[THREAD_JOB_PATIENT] = patient;
    pool->patient_nice = options->patient_nice;
    snprintf(pool->name, sizeof pool->name, "%s", options->name);
    mutex_init(&pool->mu.lock);
    for (size_t i = 0; i < THREAD_JOB_KINDS; i++)
        queue_init(&pool->mu.queues[i]);
    enum varve_status status = VARVE_OK;
    while (status == VARVE_OK && pool->started_count < workers)
        status = pool_start_worker(pool, pool->started_count < urgent ? THREAD_JOB_URGENT
                                                                      : THREAD_JOB_PATIENT);
    if (status != VARVE_OK) {
        thread_pool_free(pool);
        return status;
    }
    *ret_pool = pool;
    return VARVE_OK;
}

void thread_pool_free(struct thread_pool *pool)
{
    if (pool == NULL)
        return;
    mutex_lock(&pool->mu.lock);
    pool->mu.stopping = true;
    pool_wake_all_locked(pool);
    mutex_unlock(&pool->mu.lock);
    for (size_t i = 0; i < pool->started_count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    if (pool->worker_count == 0) {
        while (thread_pool_step(pool)) {
        }
    }
    for (size_t i = 0; i < THREAD_JOB_KINDS; i++)
        cond_deinit(&pool->mu.queues[i].wake);
    mutex_deinit(&pool->mu.lock);
    free(pool);
}

void thread_pool_submit(struct thread_pool *pool, struct thread_job *job)
{
    struct job_queue *queue = &pool->mu.queues[job->kind];
    assert(pool->worker_count == 0 || pool->worker_counts[job->kind] > 0);
    mutex_lock(&pool->mu.lock);
    queue_push(queue, job);
    pool->mu.unfinished++;
    cond_signal(&queue->wake);
    mutex_unlock(&pool->mu.lock);
}

bool thread_pool_step(struct thread_pool *pool)
{
    assert(pool->worker_count == 0);
    mutex_lock(&pool->mu.lock);
    struct thread_job *job = queue_pop(&pool->mu.queues[THREAD_JOB_URGENT]);
    if (job == NULL)
        job = queue_pop(&pool->mu.queues[THREAD_JOB_PATIENT]);
    if (job != NULL)
        pool_run_locked(pool, job);
    mutex_unlock(&pool->mu.lock);
    return job != NULL;
}
