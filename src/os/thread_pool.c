/*
 * Two queues, one lock. A worker takes an urgent job if there is one; a patient one only while
 * fewer than workers - 1 run, so one worker is always free for the next urgent job.
 *
 * Wake-ups: each submission signals once. A worker that finds only patient jobs beyond their limit
 * sleeps on, or while the pool ends, goes; that loses nothing, as whoever ends a job looks at the
 * queues again itself.
 */
#include "os/thread_pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/sync.h"

#define THREAD_NAME_BYTES 16 /* the kernel's limit, NUL included */

struct job_queue {
    struct thread_job *first;
    struct thread_job **end;
};

struct thread_pool {
    size_t worker_count; /* as asked for; fixed */
    size_t started_count;
    char name[THREAD_NAME_BYTES];
    struct {
        struct mutex lock;
        struct cond wake;
        struct job_queue urgent, patient;
        size_t patient_running;
        bool stopping;
    } mu;
    pthread_t threads[];
};

static void queue_init(struct job_queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
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

/* The next job that a worker may run now, or NULL. */
static struct thread_job *pool_take_locked(struct thread_pool *pool)
{
    assert(mutex_is_held(&pool->mu.lock));
    struct thread_job *job = queue_pop(&pool->mu.urgent);
    if (job != NULL)
        return job;
    if (pool->worker_count != 0 && pool->mu.patient_running >= pool->worker_count - 1)
        return NULL;
    return queue_pop(&pool->mu.patient);
}

/* The job is its owner's again once `run` begins, so its kind is read before. */
static void pool_run_locked(struct thread_pool *pool, struct thread_job *job)
{
    assert(mutex_is_held(&pool->mu.lock));
    bool patient = job->kind == THREAD_JOB_PATIENT;
    pool->mu.patient_running += patient;
    mutex_unlock(&pool->mu.lock);
    job->run(job);
    mutex_lock(&pool->mu.lock);
    pool->mu.patient_running -= patient;
}

static void *worker_main(void *context)
{
    struct thread_pool *pool = context;
    pthread_setname_np(pthread_self(), pool->name);
    mutex_lock(&pool->mu.lock);
    for (;;) {
        struct thread_job *job = pool_take_locked(pool);
        if (job != NULL)
            pool_run_locked(pool, job);
        else if (pool->mu.stopping)
            break;
        else
            cond_wait(&pool->mu.wake, &pool->mu.lock);
    }
    mutex_unlock(&pool->mu.lock);
    return NULL;
}

/* Workers take no signals: those belong to the threads of the program. */
static enum varve_status pool_start_worker(struct thread_pool *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&pool->threads[pool->started_count], NULL, worker_main, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return status_raise(VARVE_IO);
    pool->started_count++;
    return VARVE_OK;
}

enum varve_status thread_pool_new(size_t workers, const char *name, struct thread_pool **ret_pool)
{
    if (workers == 1)
        return status_raise(VARVE_INVALID);
    if (workers > (SIZE_MAX - sizeof(struct thread_pool)) / sizeof(pthread_t))
        return status_raise(VARVE_NO_MEMORY);
    struct thread_pool *pool = calloc(1, sizeof *pool + workers * sizeof pool->threads[0]);
    if (pool == NULL)
        return status_raise(VARVE_NO_MEMORY);
    pool->worker_count = workers;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    mutex_init(&pool->mu.lock);
    cond_init(&pool->mu.wake);
    queue_init(&pool->mu.urgent);
    queue_init(&pool->mu.patient);
    enum varve_status status = VARVE_OK;
    while (status == VARVE_OK && pool->started_count < workers)
        status = pool_start_worker(pool);
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
    cond_broadcast(&pool->mu.wake);
    mutex_unlock(&pool->mu.lock);
    for (size_t i = 0; i < pool->started_count; i++)
        pthread_join(pool->threads[i], NULL);
    if (pool->worker_count == 0) {
        while (thread_pool_step(pool)) {
        }
    }
    cond_deinit(&pool->mu.wake);
    mutex_deinit(&pool->mu.lock);
    free(pool);
}

void thread_pool_submit(struct thread_pool *pool, struct thread_job *job)
{
    mutex_lock(&pool->mu.lock);
    queue_push(job->kind == THREAD_JOB_URGENT ? &pool->mu.urgent : &pool->mu.patient, job);
    cond_signal(&pool->mu.wake);
    mutex_unlock(&pool->mu.lock);
}

bool thread_pool_step(struct thread_pool *pool)
{
    assert(pool->worker_count == 0);
    mutex_lock(&pool->mu.lock);
    struct thread_job *job = pool_take_locked(pool);
    if (job != NULL)
        pool_run_locked(pool, job);
    mutex_unlock(&pool->mu.lock);
    return job != NULL;
}
