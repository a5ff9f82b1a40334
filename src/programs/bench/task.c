/* Every answer of the store is checked. */
#include "programs/bench/task.h"

#include "programs/bench/process.h"

enum varve_status task_wrong(struct task *task, const char *what, struct varve_slice key)
{
    return error_set(&task->error, VARVE_CORRUPT, NULL, STATUS_NO_OFFSET, "%s: key %.*s %s",
                     task->workload->name, (int)key.size, (const char *)key.data, what);
}

bool task_next(struct task *task)
{
    return pace_next(&task->pace);
}

void task_done(struct task *task)
{
    uint64_t now_ns = process_now_ns();
    task->ops++;
    histogram_record(&task->times_ns, pace_end(&task->pace, now_ns));
    flow_note(task->flow, task->index, task->ops, now_ns);
}

void task_tick(struct task *task, uint64_t *last_ns)
{
    uint64_t now_ns = process_now_ns();
    histogram_record(&task->times_ns, now_ns - *last_ns);
    flow_note(task->flow, task->index, task->ops, now_ns);
    *last_ns = now_ns;
}

enum varve_status task_put(struct task *task, uint64_t number)
{
    struct varve_slice key = generator_key(&task->generator, number);
    struct varve_slice value = generator_value(&task->generator, number);
    enum varve_status status = value_sums_reserve(task->sums, number);
    if (status != VARVE_OK)
        return error_set(&task->error, status, NULL, STATUS_NO_OFFSET, "out of memory");
    status = task->engine->put(task->store, key, value, task->sync, &task->error);
    if (status == VARVE_OK) {
        value_sums_note(task->sums, number, value);
        task->puts++;
        task->put_bytes += key.size + value.size;
    }
    return status;
}

enum varve_status task_get(struct task *task, uint64_t number)
{
    struct varve_slice key = generator_key(&task->generator, number);
    struct engine_value value = {0};
    enum varve_status status = task->engine->get(task->store, key, &value, &task->error);
    if (status == VARVE_NOT_FOUND)
        return task_wrong(task, "was written and is not found", key);
    if (status != VARVE_OK)
        return status;
    bool owned = generator_owns_value(&task->generator, number, value.data);
    task->user_bytes += key.size + value.data.size;
    task->engine->value_release(&value);
    return owned ? VARVE_OK : task_wrong(task, "has a value that was never written to it", key);
}
