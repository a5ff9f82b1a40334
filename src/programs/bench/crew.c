/*
 * All threads are there before the first begins: they wait at a gate, and the clock starts when it
 * opens. The last of those that are measured stops the clock, and ends the one beside them.
 */
#include "programs/bench/crew.h"

#include <stdlib.h>

#include "os/sync.h"
#include "os/thread_pool.h"
#include "programs/bench/process.h"
#include "programs/bench/ycsb.h"

#define NS_PER_S 1000000000u

_Static_assert(OPTIONS_THREADS_MAX <= FLOW_LANES, "each thread needs a lane of its own");

/* Two streams of random numbers a thread, for its keys and for its values. */
#define STREAMS_PER_THREAD 2u
#define STREAMS_PER_STEP (STREAMS_PER_THREAD * (OPTIONS_THREADS_MAX + 1))

struct crew {
    struct {
        struct mutex lock;
        struct cond opened;
        bool is_open;
    } gate;
    atomic_uint_fast64_t running; /* of those that are measured */
    atomic_bool done;
    uint64_t begin_ns, end_ns;
    struct flow *flow;
    struct zipfian zipfian; /* only for a mix */
    size_t count;
    struct member *members;
};

struct member {
    struct thread_job job; /* the first field, so that a job is its member */
    struct crew *crew;
    task_fn run;
    bool measured;
    enum varve_status status;
    struct task task;
};

static void gate_wait(struct crew *crew)
{
    mutex_lock(&crew->gate.lock);
    while (!crew->gate.is_open)
        cond_wait(&crew->gate.opened, &crew->gate.lock);
    mutex_unlock(&crew->gate.lock);
}

static void gate_open(struct crew *crew)
{
    mutex_lock(&crew->gate.lock);
    crew->begin_ns = process_now_ns();
    flow_begin(crew->flow, crew->begin_ns);
    crew->gate.is_open = true;
    cond_broadcast(&crew->gate.opened);
    mutex_unlock(&crew->gate.lock);
}

static void member_run(struct thread_job *job)
{
    struct member *member = (struct member *)job;
    gate_wait(member->crew);
    pace_begin(&member->task.pace, member->crew->begin_ns);
    member->status = member->run(&member->task);
    if (member->measured && atomic_fetch_sub(&member->crew->running, 1) == 1) {
        member->crew->end_ns = process_now_ns();
        atomic_store(&member->crew->done, true);
    }
}

/* The numbers of a thread's keys, from their beginning. */
static struct random numbers_of(const struct crew_orders *orders, size_t index)
{
    return random_make(orders->options->seed,
                       orders->step * STREAMS_PER_STEP + index * STREAMS_PER_THREAD);
}

/* A run that ends by its time has no other end. */
static struct pace pace_of(const struct crew_orders *orders, const struct task *task, uint64_t ops)
{
    const struct bench_options *options = orders->options;
    struct pace pace = {
        .count = ops / task->threads + (task->index < ops % task->threads),
        .threads = task->threads,
        .index = task->index,
    };
    if (!workload_is_drawn(orders->workload))
        return pace;
    pace.rate = options->rate;
    if (options->duration_s != 0) {
        pace.duration_ns = options->duration_s * NS_PER_S;
        pace.count = UINT64_MAX;
    }
    return pace;
}

static enum varve_status member_init(struct member *member, struct crew *crew,
                                     const struct crew_orders *orders, size_t index)
{
    const struct bench_options *options = orders->options;
    const struct workload_counts counts = {
        .keys = options->num,
        .writes = options->writes,
        .reads = options->reads,
    };
    uint64_t ops = workload_ops(orders->workload, &counts);
    uint64_t threads = crew->running;
    member->job = (struct thread_job){.run = member_run, .kind = THREAD_JOB_URGENT};
    member->crew = crew;
    member->measured = index < threads;
    member->run = member->measured ? orders->workload->run : orders->workload->run_beside;
    struct task *task = &member->task;
    task->workload = orders->workload;
    task->engine = options->engine;
    task->store = orders->store;
    task->keys = orders->keys;
    task->sums = orders->sums;
    task->order = orders->order;
    task->zipfian = &crew->zipfian;
    task->index = index;
    task->threads = threads;
    task->flow = orders->flow;
    task->path = orders->path;
    task->sync = options->sync || orders->workload->sync;
    if (member->measured) {
        task->first = ops / threads * index + (index < ops % threads ? index : ops % threads);
        task->pace = pace_of(orders, task, ops);
    }
    task->numbers = numbers_of(orders, index);
    task->readers_done = &crew->done;
    struct random values = random_make(options->seed, orders->step * STREAMS_PER_STEP +
                                                          index * STREAMS_PER_THREAD + 1);
    return generator_init(&task->generator, orders->pool, options->key_bytes, options->value_bytes,
                          values);
}

/* Which keys a filling run has written: its numbers are drawn once more, beside the clock. */
static void keys_note(const struct crew_orders *orders, struct task *task, size_t index)
{
    if (orders->workload->choose == NULL)
        return;
    task->numbers = numbers_of(orders, index);
    for (uint64_t i = 0; i < task->ops && orders->keys->count < orders->keys->num; i++)
        key_set_add(orders->keys, orders->workload->choose(task, i));
}

/* Which keys a mix has inserted. */
static enum varve_status keys_insert(const struct crew_orders *orders, const struct crew *crew)
{
    uint64_t first = orders->keys->num, num = first;
    for (size_t i = 0; i < crew->count; i++) {
        const struct task *task = &crew->members[i].task;
        if (task->inserted != 0 && ycsb_inserted_number(task, first, task->inserted - 1) >= num)
            num = ycsb_inserted_number(task, first, task->inserted - 1) + 1;
    }
    if (num == first)
        return VARVE_OK;
    enum varve_status status = key_set_grow(orders->keys, num);
    for (size_t i = 0; status == VARVE_OK && i < crew->count; i++) {
        const struct task *task = &crew->members[i].task;
        for (uint64_t k = 0; k < task->inserted; k++)
            key_set_add(orders->keys, ycsb_inserted_number(task, first, k));
    }
    return status;
}

/* Which keys a removing run has removed: likewise, all of them drawn before the first goes. */
static enum varve_status keys_forget(const struct crew_orders *orders, const struct crew *crew)
{
    struct key_set removed = {0};
    enum varve_status status = key_set_init(&removed, orders->keys->num);
    if (status != VARVE_OK)
        return status;
    for (size_t i = 0; i < crew->count; i++) {
        struct random numbers = numbers_of(orders, i);
        for (uint64_t op = 0; op < crew->members[i].task.ops; op++)
            key_set_add(&removed, key_set_draw(orders->keys, &numbers));
    }
    key_set_remove_all(orders->keys, &removed);
    key_set_deinit(&removed);
    return VARVE_OK;
}

static enum varve_status crew_finish(struct crew *crew, const struct crew_orders *orders,
                                     struct crew_result *ret_result, struct varve_error *ret_error)
{
    for (size_t i = 0; i < crew->count; i++) {
        if (crew->members[i].status != VARVE_OK) {
            *ret_error = crew->members[i].task.error;
            return crew->members[i].status;
        }
    }
    for (size_t i = 0; i < crew->count; i++) {
        struct task *task = &crew->members[i].task;
        ret_result->threads += crew->members[i].measured;
        ret_result->ops += task->ops;
        ret_result->user_bytes += task->user_bytes;
        ret_result->puts += task->puts;
        ret_result->put_bytes += task->put_bytes;
        histogram_merge(&ret_result->times_ns, &task->times_ns);
        keys_note(orders, task, i);
    }
    ret_result->seconds = (double)(crew->end_ns - crew->begin_ns) / 1e9;
    if ((orders->workload->mix != NULL && keys_insert(orders, crew) != VARVE_OK) ||
        (orders->workload->removes && keys_forget(orders, crew) != VARVE_OK))
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    return VARVE_OK;
}

enum varve_status crew_run(const struct crew_orders *orders, struct crew_result *ret_result,
                           struct varve_error *ret_error)
{
    if (orders->workload->needs_keys && orders->keys->count == 0)
        return error_set(ret_error, VARVE_NOT_FOUND, NULL, STATUS_NO_OFFSET,
                         "%s: no key is left in the store", orders->workload->name);
    struct crew crew = {.flow = orders->flow};
    struct thread_pool *pool = NULL;
    mutex_init(&crew.gate.lock);
    cond_init(&crew.gate.opened);
    atomic_init(&crew.running,
                orders->workload->extent == WORKLOAD_ONE ? 1 : orders->options->threads);
    crew.count = crew.running + (orders->workload->run_beside != NULL);
    crew.members = calloc(crew.count, sizeof *crew.members);
    if (orders->workload->mix != NULL)
        crew.zipfian = zipfian_make(orders->keys->num);
    enum varve_status status = crew.members != NULL ? VARVE_OK : status_raise(VARVE_NO_MEMORY);
    for (size_t i = 0; status == VARVE_OK && i < crew.count; i++)
        status = member_init(&crew.members[i], &crew, orders, i);
    if (status == VARVE_OK)
        status = thread_pool_new(
            &(struct thread_pool_options){.name = "bench", .urgent_workers = crew.count}, &pool);
    if (status != VARVE_OK) {
        status = error_set(ret_error, status, NULL, STATUS_NO_OFFSET, "%s: cannot begin: %s",
                           orders->workload->name, varve_status_text(status));
        goto out;
    }
    for (size_t i = 0; i < crew.count; i++)
        thread_pool_submit(pool, &crew.members[i].job);
    gate_open(&crew);
    thread_pool_free(pool);
    status = crew_finish(&crew, orders, ret_result, ret_error);
out:
    for (size_t i = 0; crew.members != NULL && i < crew.count; i++)
        generator_deinit(&crew.members[i].task.generator);
    free(crew.members);
    cond_deinit(&crew.gate.opened);
    mutex_deinit(&crew.gate.lock);
    return status;
}
