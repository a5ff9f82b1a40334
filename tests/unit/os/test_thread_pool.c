/* Workers of its own for each kind of job, and nothing that was submitted is lost. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "must.h"
#include "os/sync.h"
#include "os/thread_pool.h"
#include "run_suite.h"

#define PATIENCE_MS 20000 /* after which a wait counts as failed */
#define URGENT_WORKERS 1
#define PATIENT_WORKERS 2
#define PATIENT_JOBS 8

/* What the jobs of a test share. */
struct scene {
    struct mutex lock;
    struct cond changed;
    bool gate_open;
    unsigned patient_started, urgent_done, done;
    unsigned patient_running, patient_running_max;
    char order[64];
    struct thread_pool *pool;
};

struct scene_job {
    struct thread_job job;
    struct scene *scene;
    char letter;
    unsigned again;
};

static struct scene scene;

static void setup(void)
{
    scene = (struct scene){.gate_open = false};
    mutex_init(&scene.lock);
    cond_init(&scene.changed);
}

static void teardown(void)
{
    cond_deinit(&scene.changed);
    mutex_deinit(&scene.lock);
}

static enum varve_status pool_new(size_t urgent, size_t patient, const char *name,
                                  struct thread_pool **ret_pool)
{
    const struct thread_pool_options options = {
        .name = name, .urgent_workers = urgent, .patient_workers = patient, .patient_nice = 5};
    return thread_pool_new(&options, ret_pool);
}

static struct scene_job scene_job(enum thread_job_kind kind, void (*run)(struct thread_job *),
                                  char letter)
{
    return (struct scene_job){.job = {.run = run, .kind = kind}, .scene = &scene, .letter = letter};
}

static void note_letter(struct thread_job *job)
{
    struct scene_job *self = (struct scene_job *)job;
    mutex_lock(&scene.lock);
    strncat(scene.order, &self->letter, 1);
    mutex_unlock(&scene.lock);
}

static void submit_again(struct thread_job *job)
{
    struct scene_job *self = (struct scene_job *)job;
    mutex_lock(&scene.lock);
    scene.done++;
    mutex_unlock(&scene.lock);
    if (self->again-- > 0)
        thread_pool_submit(scene.pool, job);
}

static void wait_at_gate(struct thread_job *job)
{
    mutex_lock(&scene.lock);
    scene.patient_started++;
    if (++scene.patient_running > scene.patient_running_max)
        scene.patient_running_max = scene.patient_running;
    cond_broadcast(&scene.changed);
    while (!scene.gate_open)
        cond_wait(&scene.changed, &scene.lock);
    scene.patient_running--;
    scene.done++;
    mutex_unlock(&scene.lock);
}

static void urgent_passes(struct thread_job *job)
{
    mutex_lock(&scene.lock);
    scene.urgent_done++;
    cond_broadcast(&scene.changed);
    mutex_unlock(&scene.lock);
}

/* False when it takes unreasonably long. */
static bool wait_until_locked(const unsigned *counter, unsigned value)
{
    while (*counter < value) {
        if (!cond_wait_for(&scene.changed, &scene.lock, PATIENCE_MS))
            return false;
    }
    return true;
}

START_TEST(stepped_pool_runs_urgent_first)
{
    struct thread_pool *pool = NULL;
    ck_assert_int_eq(pool_new(0, 0, "test", &pool), VARVE_OK);
    ck_assert(!thread_pool_step(pool));
    struct scene_job a = scene_job(THREAD_JOB_PATIENT, note_letter, 'a');
    struct scene_job b = scene_job(THREAD_JOB_URGENT, note_letter, 'b');
    struct scene_job c = scene_job(THREAD_JOB_PATIENT, note_letter, 'c');
    struct scene_job d = scene_job(THREAD_JOB_URGENT, note_letter, 'd');
    thread_pool_submit(pool, &a.job);
    thread_pool_submit(pool, &b.job);
    thread_pool_submit(pool, &c.job);
    thread_pool_submit(pool, &d.job);
    ck_assert_str_eq(scene.order, "");
    ck_assert(thread_pool_step(pool));
    ck_assert_str_eq(scene.order, "b");
    ck_assert(thread_pool_step(pool));
    ck_assert(thread_pool_step(pool));
    ck_assert_str_eq(scene.order, "bda");
    thread_pool_free(pool); /* runs the last one */
    ck_assert_str_eq(scene.order, "bdac");
}
END_TEST

START_TEST(job_may_submit_itself)
{
    for (size_t workers = 0; workers <= 2; workers++) {
        ck_assert_int_eq(pool_new(workers, workers, "test", &scene.pool), VARVE_OK);
        scene.done = 0;
        struct scene_job urgent = scene_job(THREAD_JOB_URGENT, submit_again, 'u');
        struct scene_job patient = scene_job(THREAD_JOB_PATIENT, submit_again, 'p');
        urgent.again = patient.again = 99;
        thread_pool_submit(scene.pool, &urgent.job);
        thread_pool_submit(scene.pool, &patient.job);
        thread_pool_free(scene.pool);
        ck_assert_uint_eq(scene.done, 200);
    }
}
END_TEST

START_TEST(patient_jobs_never_hold_urgent_ones_up)
{
    struct thread_pool *pool = NULL;
    ck_assert_int_eq(pool_new(URGENT_WORKERS, PATIENT_WORKERS, "test", &pool), VARVE_OK);
    struct scene_job patient[PATIENT_JOBS];
    struct scene_job urgent[3];
    for (int i = 0; i < PATIENT_JOBS; i++) {
        patient[i] = scene_job(THREAD_JOB_PATIENT, wait_at_gate, 'p');
        thread_pool_submit(pool, &patient[i].job);
    }
    mutex_lock(&scene.lock);
    bool started = wait_until_locked(&scene.patient_started, PATIENT_WORKERS);
    mutex_unlock(&scene.lock);
    ck_assert(started);
    for (int i = 0; i < 3; i++) { /* all patient ones are held up at the gate */
        urgent[i] = scene_job(THREAD_JOB_URGENT, urgent_passes, 'u');
        thread_pool_submit(pool, &urgent[i].job);
        mutex_lock(&scene.lock);
        bool passed = wait_until_locked(&scene.urgent_done, (unsigned)i + 1);
        mutex_unlock(&scene.lock);
        ck_assert(passed);
    }
    mutex_lock(&scene.lock);
    scene.gate_open = true;
    cond_broadcast(&scene.changed);
    mutex_unlock(&scene.lock);
    thread_pool_free(pool);
    ck_assert_uint_eq(scene.done, PATIENT_JOBS);
    ck_assert_uint_le(scene.patient_running_max, PATIENT_WORKERS);
}
END_TEST

START_TEST(freeing_runs_what_is_queued)
{
    for (int round = 0; round < 50; round++) {
        struct thread_pool *pool = NULL;
        scene.done = 0;
        scene.gate_open = true;
        ck_assert_int_eq(pool_new(0, 2, "test", &pool), VARVE_OK);
        struct scene_job jobs[PATIENT_JOBS];
        for (int i = 0; i < PATIENT_JOBS; i++) {
            jobs[i] = scene_job(THREAD_JOB_PATIENT, wait_at_gate, 'p');
            thread_pool_submit(pool, &jobs[i].job);
        }
        thread_pool_free(pool);
        ck_assert_uint_eq(scene.done, PATIENT_JOBS);
    }
}
END_TEST

/* The pauses let the workers fall asleep, most times; it must end with or without. */
START_TEST(sleeping_workers_are_woken_to_end)
{
    for (int round = 0; round < 20; round++) {
        struct thread_pool *pool = NULL;
        ck_assert_int_eq(pool_new(URGENT_WORKERS, PATIENT_WORKERS, "test", &pool), VARVE_OK);
        usleep(1000);
        thread_pool_free(pool);
    }
}
END_TEST

/* A job of either kind whose last act is to submit one of the other, while the pool ends. */
static void submit_other(struct thread_job *job)
{
    struct scene_job *self = (struct scene_job *)job;
    mutex_lock(&scene.lock);
    scene.done++;
    mutex_unlock(&scene.lock);
    job->kind = job->kind == THREAD_JOB_URGENT ? THREAD_JOB_PATIENT : THREAD_JOB_URGENT;
    usleep(100);
    if (self->again-- > 0)
        thread_pool_submit(scene.pool, job);
}

START_TEST(freeing_waits_for_what_jobs_submit)
{
    for (size_t workers = 0; workers <= 2; workers++) {
        for (int kind = 0; kind < THREAD_JOB_KINDS; kind++) {
            ck_assert_int_eq(pool_new(workers, workers, "test", &scene.pool), VARVE_OK);
            scene.done = 0;
            struct scene_job job = scene_job((enum thread_job_kind)kind, submit_other, 'o');
            job.again = 19;
            thread_pool_submit(scene.pool, &job.job);
            thread_pool_free(scene.pool);
            ck_assert_uint_eq(scene.done, 20);
        }
    }
}
END_TEST

static int seen_priority[THREAD_JOB_KINDS];

static void look_at_priority(struct thread_job *job)
{
    seen_priority[job->kind] = getpriority(PRIO_PROCESS, 0);
}

START_TEST(patient_workers_give_way)
{
    struct thread_pool *pool = NULL;
    const int before = getpriority(PRIO_PROCESS, 0);
    ck_assert_int_eq(pool_new(1, 1, "test", &pool), VARVE_OK);
    struct scene_job urgent = scene_job(THREAD_JOB_URGENT, look_at_priority, 'u');
    struct scene_job patient = scene_job(THREAD_JOB_PATIENT, look_at_priority, 'p');
    thread_pool_submit(pool, &urgent.job);
    thread_pool_submit(pool, &patient.job);
    thread_pool_free(pool);
    ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), before);
    ck_assert_int_eq(seen_priority[THREAD_JOB_URGENT], before);
    ck_assert_int_eq(seen_priority[THREAD_JOB_PATIENT], before + 5 < 19 ? before + 5 : 19);
}
END_TEST

static char seen_name[16];
static int seen_blocked;

static void look_at_thread(struct thread_job *job)
{
    sigset_t mask;
    pthread_getname_np(pthread_self(), seen_name, sizeof seen_name);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    seen_blocked = sigismember(&mask, SIGTERM);
}

START_TEST(workers_have_a_name_and_take_no_signals)
{
    struct thread_pool *pool = NULL;
    ck_assert_int_eq(pool_new(1, 1, "a-name-that-is-too-long", &pool), VARVE_OK);
    struct scene_job job = scene_job(THREAD_JOB_URGENT, look_at_thread, 'l');
    thread_pool_submit(pool, &job.job);
    thread_pool_free(pool);
    ck_assert_str_eq(seen_name, "a-name-that-is-");
    ck_assert_int_eq(seen_blocked, 1);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    ck_assert_int_eq(sigismember(&mask, SIGTERM), 0);
}
END_TEST

START_TEST(too_many_workers_are_refused)
{
    struct thread_pool *pool = NULL;
    ck_assert_int_eq(pool_new(SIZE_MAX, 0, "test", &pool), VARVE_NO_MEMORY);
    ck_assert_int_eq(pool_new(1, SIZE_MAX, "test", &pool), VARVE_NO_MEMORY);
    ck_assert_ptr_null(pool);
    thread_pool_free(NULL);
}
END_TEST

static Suite *thread_pool_suite(void)
{
    Suite *suite = suite_create("thread_pool");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, stepped_pool_runs_urgent_first);
    tcase_add_test(tcase, job_may_submit_itself);
    tcase_add_test(tcase, patient_jobs_never_hold_urgent_ones_up);
    tcase_add_test(tcase, freeing_runs_what_is_queued);
    tcase_add_test(tcase, sleeping_workers_are_woken_to_end);
    tcase_add_test(tcase, freeing_waits_for_what_jobs_submit);
    tcase_add_test(tcase, patient_workers_give_way);
    tcase_add_test(tcase, workers_have_a_name_and_take_no_signals);
    tcase_add_test(tcase, too_many_workers_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(thread_pool_suite());
}
