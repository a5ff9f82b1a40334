/*
 * Thin covers of the pthread calls. None of these calls can fail but by misuse, hence the abort.
 * The holder is stored after locking and cleared before unlocking; a thread only ever compares it
 * with itself, so a relaxed load cannot mislead it.
 */
#include "os/sync.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define MS_PER_S 1000u
#define NS_PER_MS 1000000
#define NS_PER_S 1000000000
#define WAIT_S_MAX (365u * 24 * 3600) /* keeps the deadline within time_t */

static void must(int error)
{
    if (error != 0)
        abort();
}

static void set_holder(struct mutex *mutex, pthread_t holder)
{
    atomic_store_explicit(&mutex->holder, holder, memory_order_relaxed);
}

void mutex_init(struct mutex *mutex)
{
    must(pthread_mutex_init(&mutex->lock, NULL));
    set_holder(mutex, 0);
}

void mutex_deinit(struct mutex *mutex)
{
    if (mutex != NULL)
        must(pthread_mutex_destroy(&mutex->lock));
}

void mutex_lock(struct mutex *mutex)
{
    assert(!mutex_is_held(mutex));
    must(pthread_mutex_lock(&mutex->lock));
    set_holder(mutex, pthread_self());
}

void mutex_unlock(struct mutex *mutex)
{
    assert(mutex_is_held(mutex));
    set_holder(mutex, 0);
    must(pthread_mutex_unlock(&mutex->lock));
}

bool mutex_is_held(struct mutex *mutex)
{
    return atomic_load_explicit(&mutex->holder, memory_order_relaxed) == pthread_self();
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes));
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    must(pthread_cond_init(&cond->cond, &attributes));
    must(pthread_condattr_destroy(&attributes));
}

void cond_deinit(struct cond *cond)
{
    if (cond != NULL)
        must(pthread_cond_destroy(&cond->cond));
}

void cond_wait(struct cond *cond, struct mutex *mutex)
{
    assert(mutex_is_held(mutex));
    set_holder(mutex, 0);
    must(pthread_cond_wait(&cond->cond, &mutex->lock));
    set_holder(mutex, pthread_self());
}

static struct timespec deadline_after(uint64_t timeout_ms)
{
    struct timespec at = {0};
    must(clock_gettime(CLOCK_MONOTONIC, &at));
    uint64_t seconds = timeout_ms / MS_PER_S;
    at.tv_sec += (time_t)(seconds < WAIT_S_MAX ? seconds : WAIT_S_MAX);
    at.tv_nsec += (long)(timeout_ms % MS_PER_S) * NS_PER_MS;
    if (at.tv_nsec >= NS_PER_S) {
        at.tv_nsec -= NS_PER_S;
        at.tv_sec++;
    }
    return at;
}

bool cond_wait_for(struct cond *cond, struct mutex *mutex, uint64_t timeout_ms)
{
    assert(mutex_is_held(mutex));
    struct timespec deadline = deadline_after(timeout_ms);
    set_holder(mutex, 0);
    int error = pthread_cond_timedwait(&cond->cond, &mutex->lock, &deadline);
    set_holder(mutex, pthread_self());
    if (error == ETIMEDOUT)
        return false;
    must(error);
    return true;
}

void cond_signal(struct cond *cond)
{
    must(pthread_cond_signal(&cond->cond));
}

void cond_broadcast(struct cond *cond)
{
    must(pthread_cond_broadcast(&cond->cond));
}

void rwlock_init(struct rwlock *lock)
{
    pthread_rwlockattr_t attributes;
    must(pthread_rwlockattr_init(&attributes));
    must(pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP));
    must(pthread_rwlock_init(&lock->lock, &attributes));
    must(pthread_rwlockattr_destroy(&attributes));
}

void rwlock_deinit(struct rwlock *lock)
{
    if (lock != NULL)
        must(pthread_rwlock_destroy(&lock->lock));
}

void rwlock_read_lock(struct rwlock *lock)
{
    must(pthread_rwlock_rdlock(&lock->lock));
}

void rwlock_read_unlock(struct rwlock *lock)
{
    must(pthread_rwlock_unlock(&lock->lock));
}

void rwlock_write_lock(struct rwlock *lock)
{
    must(pthread_rwlock_wrlock(&lock->lock));
}

void rwlock_write_unlock(struct rwlock *lock)
{
    must(pthread_rwlock_unlock(&lock->lock));
}

void sleep_us(uint64_t us)
{
    struct timespec rest = {.tv_sec = (time_t)(us / 1000000),
                            .tv_nsec = (long)(us % 1000000 * 1000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, &rest) == EINTR)
        ;
}
