/*
 * Inserted keys have the numbers behind those that the set knows, dealt out to the threads in turn,
 * so a thread knows without a word with the others which of them are there: its own. The newest
 * keys are for each thread its own inserts, newest first, and then the set from its end.
 */
#include "programs/bench/ycsb.h"

#include "programs/bench/task.h"

#define HUNDRED 100
#define SCAN_ENTRIES_MAX 100

const struct ycsb_mix ycsb_a = {.updates = 50};
const struct ycsb_mix ycsb_b = {.updates = 5};
const struct ycsb_mix ycsb_c = {0};
const struct ycsb_mix ycsb_d = {.inserts = 5, .latest = true};
const struct ycsb_mix ycsb_e = {.inserts = 5, .scans = 95};
const struct ycsb_mix ycsb_f = {.modifies = 50};

uint64_t ycsb_inserted_number(const struct task *task, uint64_t first, uint64_t inserted)
{
    return first + inserted * task->threads + task->index;
}

/* Hashed, the keys that are asked for often lie here and there. */
static uint64_t draw_scattered(struct task *task)
{
    uint64_t rank = zipfian_draw(task->zipfian, &task->numbers);
    return key_set_from(task->keys, hash_mix(rank + 1) % task->keys->num);
}

static uint64_t draw_latest(struct task *task)
{
    uint64_t rank = zipfian_draw(task->zipfian, &task->numbers);
    if (rank < task->inserted)
        return ycsb_inserted_number(task, task->keys->num, task->inserted - 1 - rank);
    return key_set_from(task->keys, task->keys->num - 1 - (rank - task->inserted));
}

static enum varve_status insert(struct task *task)
{
    enum varve_status status =
        task_put(task, ycsb_inserted_number(task, task->keys->num, task->inserted));
    if (status == VARVE_OK)
        task->inserted++;
    return status;
}

/* Others may insert meanwhile: of an entry only its own key and value can be told. */
static enum varve_status scan_check(struct task *task, const struct engine_entry *entry,
                                    uint64_t *next_number)
{
    uint64_t number = 0;
    if (!generator_key_number(&task->generator, entry->key, GENERATOR_NUM_MAX, &number))
        return task_wrong(task, "was never written", entry->key);
    if (number < *next_number)
        return task_wrong(task, "comes out of order", entry->key);
    if (!generator_owns_value(&task->generator, number, entry->value))
        return task_wrong(task, "has a value that was never written to it", entry->key);
    task->user_bytes += entry->key.size + entry->value.size;
    *next_number = number + 1;
    return VARVE_OK;
}

static enum varve_status scan_from(struct task *task, void *iterator, uint64_t number,
                                   uint64_t entries)
{
    struct engine_entry entry = {0};
    struct varve_slice key = generator_key(&task->generator, number);
    enum varve_status status = task->engine->iterator_seek(iterator, key, &entry, &task->error);
    if (status == VARVE_END || (status == VARVE_OK && varve_slice_compare(entry.key, key) != 0))
        return task_wrong(task, "was written and is not found by a seek", key);
    uint64_t next_number = number;
    while (status == VARVE_OK) {
        status = scan_check(task, &entry, &next_number);
        if (status != VARVE_OK || --entries == 0)
            return status;
        status = task->engine->iterator_next(iterator, &entry, &task->error);
    }
    return status == VARVE_END ? VARVE_OK : status;
}

static enum varve_status scan(struct task *task, uint64_t number)
{
    void *iterator = NULL;
    uint64_t entries = 1 + random_below(&task->numbers, SCAN_ENTRIES_MAX);
    enum varve_status status = task->engine->iterator_new(task->store, &iterator, &task->error);
    if (status != VARVE_OK)
        return status;
    status = scan_from(task, iterator, number, entries);
    task->engine->iterator_free(iterator);
    return status;
}

static enum varve_status modify(struct task *task, uint64_t number)
{
    enum varve_status status = task_get(task, number);
    return status == VARVE_OK ? task_put(task, number) : status;
}

static enum varve_status step(struct task *task)
{
    const struct ycsb_mix *mix = task->workload->mix;
    uint64_t lot = random_below(&task->numbers, HUNDRED);
    if (lot < mix->inserts)
        return insert(task);
    uint64_t number = mix->latest ? draw_latest(task) : draw_scattered(task);
    lot -= mix->inserts;
    if (lot < mix->updates)
        return task_put(task, number);
    lot -= mix->updates;
    if (lot < mix->scans)
        return scan(task, number);
    lot -= mix->scans;
    return lot < mix->modifies ? modify(task, number) : task_get(task, number);
}

enum varve_status ycsb_run(struct task *task)
{
    while (task_next(task)) {
        enum varve_status status = step(task);
        if (status != VARVE_OK)
            return status;
        task_done(task);
    }
    task->user_bytes += task->put_bytes;
    return VARVE_OK;
}
