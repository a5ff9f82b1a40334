/* Mutexes know their holder, conditions time out, waiting writers go before new readers. */
#include <check.h>
#include <errno.h>
#include <sched.h>

#include "os/env.h"
#include "os/sync.h"
#include "run_suite.h"

#define PATIENCE_US (20u * 1000 * 1000) /* after which a wait counts as failed */

static void *is_held_here(void *context)
{
    return mutex_is_held(context) ? context : NULL;
}

START_TEST(mutex_knows_its_holder)
{
    struct mutex mutex;
    mutex_init(&mutex);
    ck_assert(!mutex_is_held(&mutex));
    mutex_lock(&mutex);
    ck_assert(mutex_is_held(&mutex));
    pthread_t thread;
    void *held = &mutex;
    ck_assert_int_eq(pthread_create(&thread, NULL, is_held_here, &mutex), 0);
    ck_assert_int_eq(pthread_join(thread, &held), 0);
    ck_assert_ptr_null(held);
    mutex_unlock(&mutex);
    ck_assert(!mutex_is_held(&mutex));
    mutex_deinit(&mutex);
}
END_TEST

struct counter {
    struct mutex lock;
    unsigned n;
};

static void *count_many(void *context)
{
    struct counter *counter = context;
    for (int i = 0; i < 10000; i++) {
        mutex_lock(&counter->lock);
        counter->n++;
        mutex_unlock(&counter->lock);
    }
    return NULL;
}

START_TEST(mutex_excludes)
{
    struct counter counter = {.n = 0};
    mutex_init(&counter.lock);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_many, &counter), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(counter.n, 40000);
    mutex_deinit(&counter.lock);
}
END_TEST

struct signalled {
    struct mutex lock;
    struct cond cond;
    bool done;
};

static void *do_signal(void *context)
{
    struct signalled *signalled = context;
    mutex_lock(&signalled->lock);
    signalled->done = true;
    cond_broadcast(&signalled->cond);
    mutex_unlock(&signalled->lock);
    return NULL;
}

START_TEST(cond_wakes_and_times_out)
{
    struct signalled signalled = {.done = false};
    mutex_init(&signalled.lock);
    cond_init(&signalled.cond);
    mutex_lock(&signalled.lock);
    uint64_t start_us = env_mono_us(env_posix());
    while (cond_wait_for(&signalled.cond, &signalled.lock, 3)) {
    }
    ck_assert_uint_ge(env_mono_us(env_posix()) - start_us, 3000);
    ck_assert(mutex_is_held(&signalled.lock));
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, do_signal, &signalled), 0);
    while (!signalled.done)
        ck_assert(cond_wait_for(&signalled.cond, &signalled.lock, UINT64_MAX));
    ck_assert(mutex_is_held(&signalled.lock));
    signalled.done = false;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, do_signal, &signalled), 0);
    while (!signalled.done)
        cond_wait(&signalled.cond, &signalled.lock);
    ck_assert(mutex_is_held(&signalled.lock));
    mutex_unlock(&signalled.lock);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    cond_deinit(&signalled.cond);
    mutex_deinit(&signalled.lock);
}
END_TEST

static void *write_once(void *context)
{
    rwlock_write_lock(context);
    rwlock_write_unlock(context);
    return NULL;
}

/* With a reader inside and a writer waiting, the next reader is turned away; until the writer
 * waits, it is let in. */
START_TEST(waiting_writer_goes_before_new_readers)
{
    struct rwlock lock;
    rwlock_init(&lock);
    rwlock_read_lock(&lock);
    ck_assert_int_eq(pthread_rwlock_tryrdlock(&lock.lock), 0);
    rwlock_read_unlock(&lock);
    pthread_t writer;
    ck_assert_int_eq(pthread_create(&writer, NULL, write_once, &lock), 0);
    uint64_t end_us = env_mono_us(env_posix()) + PATIENCE_US;
    bool refused = false;
    while (!refused && env_mono_us(env_posix()) < end_us) {
        int error = pthread_rwlock_tryrdlock(&lock.lock);
        refused = error == EBUSY;
        if (error == 0)
            rwlock_read_unlock(&lock);
        sched_yield();
    }
    ck_assert(refused);
    rwlock_read_unlock(&lock);
    ck_assert_int_eq(pthread_join(writer, NULL), 0);
    rwlock_write_lock(&lock);
    ck_assert_int_eq(pthread_rwlock_tryrdlock(&lock.lock), EBUSY);
    rwlock_write_unlock(&lock);
    rwlock_deinit(&lock);
}
END_TEST

static Suite *sync_suite(void)
{
    Suite *suite = suite_create("sync");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, mutex_knows_its_holder);
    tcase_add_test(tcase, mutex_excludes);
    tcase_add_test(tcase, cond_wakes_and_times_out);
    tcase_add_test(tcase, waiting_writer_goes_before_new_readers);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(sync_suite());
}
