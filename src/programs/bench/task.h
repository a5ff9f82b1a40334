/*
 * programs/bench/task.h: the single operations of which the workloads are made.
 */
#ifndef PROGRAMS_BENCH_TASK_H
#define PROGRAMS_BENCH_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "programs/bench/workload.h"

/* Tells what is wrong with what the store gave: VARVE_CORRUPT. */
enum varve_status task_wrong(struct task *task, const char *what, struct varve_slice key);

/* Whether the task has one more operation, which begins now; it may have waited for its time. */
bool task_next(struct task *task);
/* It has ended well: counts and records it. */
void task_done(struct task *task);
/* For what is timed in another way: records what went by since `last_ns`, and sets it to now. */
void task_tick(struct task *task, uint64_t *last_ns);

MUST_CHECK enum varve_status task_put(struct task *task, uint64_t number);
/* Of a key that is there. */
MUST_CHECK enum varve_status task_get(struct task *task, uint64_t number);

#endif
