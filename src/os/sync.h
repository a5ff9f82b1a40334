/*
 * os/sync.h: mutex, condition and read-write lock. A mutex knows its holder, so that a function
 * named _locked can assert what it needs. Failures of the underlying calls are our own bugs and
 * abort.
 */
#ifndef OS_SYNC_H
#define OS_SYNC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct mutex {
    pthread_mutex_t lock;
    _Atomic(pthread_t) holder; /* 0: none */
};
void mutex_init(struct mutex *mutex);
void mutex_deinit(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
bool mutex_is_held(struct mutex *mutex); /* by this thread */

/* On the monotonic clock. */
struct cond {
    pthread_cond_t cond;
};
void cond_init(struct cond *cond);
void cond_deinit(struct cond *cond);
void cond_wait(struct cond *cond, struct mutex *mutex);
/* False when `timeout_ms` passed first. */
bool cond_wait_for(struct cond *cond, struct mutex *mutex, uint64_t timeout_ms);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);

/* Many readers or one writer; a waiting writer goes before new readers, so readers cannot starve
 * it. Not recursive, in either mode. */
struct rwlock {
    pthread_rwlock_t lock;
};
void rwlock_init(struct rwlock *lock);
void rwlock_deinit(struct rwlock *lock);
void rwlock_read_lock(struct rwlock *lock);
void rwlock_read_unlock(struct rwlock *lock);
void rwlock_write_lock(struct rwlock *lock);
void rwlock_write_unlock(struct rwlock *lock);

/* On the monotonic clock. */
void sleep_us(uint64_t us);

#endif
