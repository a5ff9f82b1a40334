/*
 * Without a rate each operation is timed from the end of the one before, so it includes the making
 * of its key and value: that is the same for all stores, and one look at the clock an operation is
 * enough. Steps of a whole pass are too short even for that; one in SCAN_TIMED_STEP is timed by
 * itself.
 */
#include "programs/bench/workload.h"

#include <string.h>
#include <time.h>

#include "programs/bench/process.h"
#include "programs/bench/task.h"
#include "programs/bench/ycsb.h"

#define FILLSYNC_SHARE 1000 /* a synced write costs as much as so many others */
#define FILLSYNC_OPS_MIN 1000
#define QUIET_NS ((uint64_t)10000000000)
#define QUIET_LOOK_NS 200000000
#define QUIET_WAIT_MAX_NS ((uint64_t)1800000000000)
#define HOT_SHARE 100      /* one key in so many is hot */
#define SCAN_TIMED_STEP 17 /* prime, so that it falls in with no size of a block */

static uint64_t choose_in_order(struct task *task, uint64_t i)
{
    return task->first + i;
}

static uint64_t choose_at_random(struct task *task, uint64_t i)
{
    return random_below(&task->numbers, task->keys->num);
}

static uint64_t choose_once_each(struct task *task, uint64_t i)
{
    return permutation_at(task->order, task->first + i);
}

static enum varve_status run_fill(struct task *task)
{
    while (task_next(task)) {
        enum varve_status status = task_put(task, task->workload->choose(task, task->ops));
        if (status != VARVE_OK)
            return status;
        task_done(task);
    }
    task->user_bytes = task->put_bytes;
    return VARVE_OK;
}

/* Of the keys that were there at the beginning, so some go twice. */
static enum varve_status run_delete(struct task *task)
{
    while (task_next(task)) {
        uint64_t number = key_set_draw(task->keys, &task->numbers);
        struct varve_slice key = generator_key(&task->generator, number);
        enum varve_status status = task->engine->remove(task->store, key, task->sync, &task->error);
        if (status != VARVE_OK)
            return status;
        value_sums_forget(task->sums, number);
        task->put_bytes += key.size;
        task_done(task);
    }
    task->user_bytes = task->put_bytes;
    return VARVE_OK;
}

/* From the keys of the first `range` numbers; if none of these is there, from the next one. */
static enum varve_status read_range(struct task *task, uint64_t range)
{
    while (task_next(task)) {
        uint64_t number = key_set_from(task->keys, random_below(&task->numbers, range));
        enum varve_status status = task_get(task, number);
        if (status != VARVE_OK)
            return status;
        task_done(task);
    }
    return VARVE_OK;
}

static enum varve_status run_read_random(struct task *task)
{
    return read_range(task, task->keys->num);
}

static enum varve_status run_read_hot(struct task *task)
{
    return read_range(task, (task->keys->num + HOT_SHARE - 1) / HOT_SHARE);
}

static enum varve_status run_read_missing(struct task *task)
{
    while (task_next(task)) {
        uint64_t number = key_set_draw(task->keys, &task->numbers);
        struct varve_slice key = generator_missing_key(&task->generator, number);
        struct engine_value value = {0};
        enum varve_status status = task->engine->get(task->store, key, &value, &task->error);
        if (status == VARVE_OK) {
            task->engine->value_release(&value);
            return task_wrong(task, "was never written and is found", key);
        }
        if (status != VARVE_NOT_FOUND)
            return status;
        task->user_bytes += key.size;
        task_done(task);
    }
    return VARVE_OK;
}

/* Keys come in strictly growing order, or falling if backwards, every value has its size and is the
 * last one written. */
static enum varve_status entry_check(struct task *task, const struct engine_entry *entry,
                                     bool backwards, uint8_t *last_key, size_t *last_bytes)
{
    int order = varve_slice_compare(entry->key, varve_slice(last_key, *last_bytes));
    if (*last_bytes != 0 && (backwards ? order >= 0 : order <= 0))
        return task_wrong(task, "comes out of order", entry->key);
    if (entry->key.size > GENERATOR_KEY_BYTES_MAX)
        return task_wrong(task, "is longer than any that was written", entry->key);
    if (entry->value.size != task->generator.value_bytes)
        return task_wrong(task, "has a value that was never written to it", entry->key);
    uint64_t number = 0;
    if (!generator_key_number(&task->generator, entry->key, task->keys->num, &number))
        return task_wrong(task, "was never written", entry->key);
    if (!value_sums_match(task->sums, number, entry->value))
        return task_wrong(task, "does not have the value that was written last", entry->key);
    memcpy(last_key, entry->key.data, entry->key.size);
    *last_bytes = entry->key.size;
    return VARVE_OK;
}

static enum varve_status scan(struct task *task, void *iterator, bool backwards)
{
    const struct engine *engine = task->engine;
    uint8_t last_key[GENERATOR_KEY_BYTES_MAX];
    size_t last_bytes = 0;
    uint64_t begin_ns = process_now_ns();
    struct engine_entry entry = {0};
    enum varve_status status =
        backwards ? engine->iterator_last(iterator, &entry, &task->error)
                  : engine->iterator_seek(iterator, (struct varve_slice){0}, &entry, &task->error);
    while (status == VARVE_OK) {
        bool timed = task->ops % SCAN_TIMED_STEP == 0;
        task->ops++;
        task->user_bytes += entry.key.size + entry.value.size;
        status = entry_check(task, &entry, backwards, last_key, &last_bytes);
        if (status != VARVE_OK)
            return status;
        if (timed && task->ops > 1)
            begin_ns = process_now_ns();
        status = backwards ? engine->iterator_prev(iterator, &entry, &task->error)
                           : engine->iterator_next(iterator, &entry, &task->error);
        if (timed)
            task_tick(task, &begin_ns);
    }
    return status == VARVE_END ? VARVE_OK : status;
}

static enum varve_status read_all(struct task *task, bool backwards)
{
    void *iterator = NULL;
    enum varve_status status = task->engine->iterator_new(task->store, &iterator, &task->error);
    if (status != VARVE_OK)
        return status;
    status = scan(task, iterator, backwards);
    task->engine->iterator_free(iterator);
    if (status == VARVE_OK && task->ops != task->keys->count)
        return error_set(&task->error, VARVE_CORRUPT, NULL, STATUS_NO_OFFSET,
                         "%s: %lu entries were read, %lu keys were written", task->workload->name,
                         task->ops, task->keys->count);
    return status;
}

static enum varve_status run_read_sequence(struct task *task)
{
    return read_all(task, false);
}

static enum varve_status run_read_reverse(struct task *task)
{
    return read_all(task, true);
}

/* A pass of one entry: the making and freeing of the iterator belong to it. */
static enum varve_status seek_once(struct task *task, uint64_t number)
{
    void *iterator = NULL;
    enum varve_status status = task->engine->iterator_new(task->store, &iterator, &task->error);
    if (status != VARVE_OK)
        return status;
    struct varve_slice key = generator_key(&task->generator, number);
    struct engine_entry entry = {0};
    status = task->engine->iterator_seek(iterator, key, &entry, &task->error);
    if (status == VARVE_END || (status == VARVE_OK && varve_slice_compare(entry.key, key) != 0))
        status = task_wrong(task, "was written and is not found by a seek", key);
    else if (status == VARVE_OK && !generator_owns_value(&task->generator, number, entry.value))
        status = task_wrong(task, "has a value that was never written to it", key);
    task->user_bytes += entry.key.size + entry.value.size;
    task->engine->iterator_free(iterator);
    return status;
}

static enum varve_status run_seek_random(struct task *task)
{
    while (task_next(task)) {
        enum varve_status status = seek_once(task, key_set_draw(task->keys, &task->numbers));
        if (status != VARVE_OK)
            return status;
        task_done(task);
    }
    return VARVE_OK;
}

/* Once at least, however soon the readers are done. */
static enum varve_status run_writer(struct task *task)
{
    enum varve_status status = VARVE_OK;
    do {
        status = task_put(task, key_set_draw(task->keys, &task->numbers));
    } while (status == VARVE_OK && !atomic_load_explicit(task->readers_done, memory_order_relaxed));
    return status;
}

static enum varve_status run_compact(struct task *task)
{
    uint64_t last_ns = process_now_ns();
    enum varve_status status = task->engine->compact(task->store, &task->error);
    task->ops = 1;
    task_tick(task, &last_ns);
    return status;
}

/* No store tells all that it still has in mind, so its silence does. What it sees of that counts as
 * its time, the silence too. */
static enum varve_status run_wait_for_compaction(struct task *task)
{
    uint64_t begin_ns = process_now_ns(), last_ns = begin_ns, quiet_since_ns = begin_ns;
    uint64_t written = process_written_bytes(), tables = process_table_bytes(task->path);
    while (last_ns - quiet_since_ns < QUIET_NS) {
        if (last_ns - begin_ns > QUIET_WAIT_MAX_NS)
            return error_set(&task->error, VARVE_BUSY, NULL, STATUS_NO_OFFSET,
                             "%s: the store does not come to rest", task->workload->name);
        nanosleep(&(struct timespec){.tv_nsec = QUIET_LOOK_NS}, NULL);
        uint64_t written_now = process_written_bytes();
        uint64_t tables_now = process_table_bytes(task->path);
        last_ns = process_now_ns();
        if (written_now != written || tables_now != tables)
            quiet_since_ns = last_ns;
        written = written_now;
        tables = tables_now;
    }
    task->ops = 1;
    task_tick(task, &begin_ns);
    return VARVE_OK;
}

static const struct workload workloads[] = {
    {.name = "fillseq",
     .text = "write every key once, in order, into an empty store",
     .fresh = true,
     .run = run_fill,
     .choose = choose_in_order},
    {.name = "fillrandom",
     .extent = WORKLOAD_WRITES,
     .text = "write keys drawn at random (some twice, some never) into an empty store",
     .fresh = true,
     .run = run_fill,
     .choose = choose_at_random},
    {.name = "filluniquerandom",
     .text = "write every key once, in random order, into an empty store",
     .fresh = true,
     .run = run_fill,
     .choose = choose_once_each},
    {.name = "overwrite",
     .extent = WORKLOAD_WRITES,
     .text = "write keys drawn at random into the store as it is",
     .run = run_fill,
     .choose = choose_at_random},
    {.name = "fillsync",
     .extent = WORKLOAD_WRITES,
     .text = "fillrandom, each write synced; writes / 1000, at least 1000",
     .fresh = true,
     .sync = true,
     .run = run_fill,
     .choose = choose_at_random},
    {.name = "deleterandom",
     .extent = WORKLOAD_WRITES,
     .text = "delete keys drawn at random from those that are there (some twice, some never)",
     .needs_keys = true,
     .removes = true,
     .run = run_delete},
    {.name = "readrandom",
     .extent = WORKLOAD_READS,
     .text = "get keys drawn at random from those that are there",
     .needs_keys = true,
     .run = run_read_random},
    {.name = "readhot",
     .extent = WORKLOAD_READS,
     .text = "readrandom over the first hundredth of the keys",
     .needs_keys = true,
     .run = run_read_hot},
    {.name = "readmissing",
     .extent = WORKLOAD_READS,
     .text = "get keys that are not there, each right behind one that is",
     .needs_keys = true,
     .run = run_read_missing},
    {.name = "readseq",
     .text = "read all entries in order; every thread reads them all",
     .needs_keys = true,
     .run = run_read_sequence},
    {.name = "readreverse",
     .text = "readseq from the last entry to the first",
     .needs_keys = true,
     .run = run_read_reverse},
    {.name = "seekrandom",
     .extent = WORKLOAD_READS,
     .text = "make an iterator, seek a key that is there, read it, free the iterator",
     .needs_keys = true,
     .run = run_seek_random},
    {.name = "readwhilewriting",
     .extent = WORKLOAD_READS,
     .text = "readrandom while one more thread overwrites keys",
     .needs_keys = true,
     .run = run_read_random,
     .run_beside = run_writer},
    {.name = "ycsba",
     .extent = WORKLOAD_READS,
     .text = "YCSB's workload A: 50 % reads, 50 % updates",
     .needs_keys = true,
     .mix = &ycsb_a,
     .run = ycsb_run},
    {.name = "ycsbb",
     .extent = WORKLOAD_READS,
     .text = "YCSB's workload B: 95 % reads, 5 % updates",
     .needs_keys = true,
     .mix = &ycsb_b,
     .run = ycsb_run},
    {.name = "ycsbc",
     .extent = WORKLOAD_READS,
     .text = "YCSB's workload C: reads",
     .needs_keys = true,
     .mix = &ycsb_c,
     .run = ycsb_run},
    {.name = "ycsbd",
     .extent = WORKLOAD_READS,
     .text = "YCSB's workload D: 95 % reads of the newest keys, 5 % inserts",
     .needs_keys = true,
     .mix = &ycsb_d,
     .run = ycsb_run},
    {.name = "ycsbe",
     .extent = WORKLOAD_READS,
     .text = "YCSB's workload E: 95 % scans of 1 to 100 entries, 5 % inserts",
     .needs_keys = true,
     .mix = &ycsb_e,
     .run = ycsb_run},
    {.name = "ycsbf",
     .extent = WORKLOAD_READS,
     .text = "YCSB's workload F: 50 % reads, 50 % updates of what was read",
     .needs_keys = true,
     .mix = &ycsb_f,
     .run = ycsb_run},
    {.name = "compact",
     .text = "merge the whole store, and wait for the end of it",
     .extent = WORKLOAD_ONE,
     .run = run_compact},
    {.name = "waitforcompaction",
     .text = "wait until the store has written nothing for 10 s",
     .extent = WORKLOAD_ONE,
     .run = run_wait_for_compaction},
    {.name = "stats",
     .text = "print the store's own account, and what it has written since it was opened",
     .extent = WORKLOAD_ONE},
};

const struct workload *workload_at(size_t i)
{
    return i < sizeof workloads / sizeof workloads[0] ? &workloads[i] : NULL;
}

const struct workload *workload_find(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        if (strcmp(name, workloads[i].name) == 0)
            return &workloads[i];
    }
    return NULL;
}

bool workload_is_drawn(const struct workload *workload)
{
    return workload->extent == WORKLOAD_WRITES || workload->extent == WORKLOAD_READS;
}

uint64_t workload_ops(const struct workload *workload, const struct workload_counts *counts)
{
    switch (workload->extent) {
    case WORKLOAD_ONE:
        return 1;
    case WORKLOAD_READS:
        return counts->reads;
    case WORKLOAD_WRITES:
        break;
    case WORKLOAD_KEYS:
        return counts->keys;
    }
    if (!workload->sync)
        return counts->writes;
    uint64_t ops = counts->writes / FILLSYNC_SHARE;
    if (ops < FILLSYNC_OPS_MIN)
        ops = FILLSYNC_OPS_MIN;
    return ops < counts->writes ? ops : counts->writes;
}
