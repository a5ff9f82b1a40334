/*
 * programs/bench/progress.h: a line about the workload that runs, for somebody who waits for it.
 */
#ifndef PROGRAMS_BENCH_PROGRESS_H
#define PROGRAMS_BENCH_PROGRESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "programs/bench/flow.h"

struct progress {
    FILE *out; /* a terminal */
    const char *workload;
    struct flow *flow;
    uint64_t ops;         /* that the run has; 0: not known */
    uint64_t duration_ns; /* after which it ends; 0: by its operations */

    uint64_t begin_ns, last_ns, last_ops; /* set by progress_begin; of the last look */
};

void progress_begin(struct progress *progress, uint64_t now_ns);

/* What the line says at `now_ns`, cut to `size`. */
void progress_format(const struct progress *progress, uint64_t now_ns, uint64_t ops, char *text,
                     size_t size);

/* Writes the line over the one before. */
void progress_show(struct progress *progress, uint64_t now_ns);
/* Leaves an empty line. */
void progress_clear(struct progress *progress);

#endif
