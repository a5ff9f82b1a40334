/*
 * programs/bench/bench.h: runs the workloads that were asked for, one after the other, and prints
 * what came out of each.
 */
#ifndef PROGRAMS_BENCH_BENCH_H
#define PROGRAMS_BENCH_BENCH_H

#include <stdio.h>

#include "base/status.h"
#include "programs/bench/options.h"

/* Stops at the first failure. A store in a temporary directory is removed in any case. */
MUST_CHECK enum varve_status bench_run(const struct bench_options *options, FILE *out,
                                       struct varve_error *ret_error);

#endif
