/*
 * programs/bench/pace.h: when each operation of one thread begins, and from when it is timed.
 *
 * Without a rate it begins when the one before has ended. With one the loop is open: every
 * operation has a start that was meant for it before the run began, at even distances, the threads
 * taking turns. One that is late begins at once, and is timed from the start that was meant: what
 * it had to wait behind a slow one counts as its own time, as it would for a user.
 */
#ifndef PROGRAMS_BENCH_PACE_H
#define PROGRAMS_BENCH_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    uint64_t count;          /* of operations; no more begin */
    uint64_t duration_ns;    /* none begins so long after the run; 0: the count alone ends it */
    uint64_t rate;           /* operations a second of all threads; 0: one follows the other */
    uint64_t threads, index; /* which of them this is */

    uint64_t begin_ns; /* of the run */
    uint64_t since_ns; /* from which the operation under way is timed */
    uint64_t begun;    /* operations */
};

/* Before the first operation, when the time of the run's begin is known. */
void pace_begin(struct pace *pace, uint64_t begin_ns);

/* When the thread's operation `i` is meant to begin. Only with a rate. */
uint64_t pace_intended_ns(const struct pace *pace, uint64_t i);

/* Whether one more operation begins, at `now_ns`; if so `ret_start_ns` is when: it may lie ahead.
 * pace_next without the waiting. */
bool pace_plan(struct pace *pace, uint64_t now_ns, uint64_t *ret_start_ns);

/* Waits until the next operation is to begin. False: there is none. */
bool pace_next(struct pace *pace);

/* The operation under way has ended: how long it took. */
uint64_t pace_end(struct pace *pace, uint64_t now_ns);

#endif
