/*
 * programs/bench/compare.h: engines beside each other, in turn and round after round. Each run is a
 * process of its own, this program once more, and has a store of its own.
 */
#ifndef PROGRAMS_BENCH_COMPARE_H
#define PROGRAMS_BENCH_COMPARE_H

#include <stddef.h>
#include <stdio.h>

#include "base/status.h"
#include "programs/bench/options.h"

/* Microseconds an operation of every run. */
struct compare_figures {
    const struct bench_options *options; /* borrowed: the engines, the workloads, the rounds */
    double *us_per_op;                   /* see compare_figure; 0: it has none */
};
/* All without one. Caller frees with compare_figures_deinit. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status compare_figures_init(struct compare_figures *figures,
                                                  const struct bench_options *options);
void compare_figures_deinit(struct compare_figures *figures); /* takes a zeroed one */
/* By the places of the engine and the workload in the options. */
double *compare_figure(const struct compare_figures *figures, size_t engine, size_t workload,
                       size_t round);

/* One line that a run with --json has printed, about its workload at this place: takes the figure
 * from it. VARVE_CORRUPT: it is no such line. */
MUST_CHECK enum varve_status compare_take(const struct bench_options *options, const char *line,
                                          size_t workload, double *ret_us_per_op);

/* A Markdown table: for each workload and engine the median, the least and the greatest, and how
 * many times faster than the best of the others varve is, if it is among them. */
void compare_print(FILE *out, const struct compare_figures *figures);

/* Runs all and prints the table. `arguments` are those from which the options came. Stops at the
 * first failure; what a run said of it, it has said on standard error. */
MUST_CHECK enum varve_status compare_run(const struct bench_options *options, size_t count,
                                         char *const *arguments, FILE *out,
                                         struct varve_error *ret_error);

#endif
