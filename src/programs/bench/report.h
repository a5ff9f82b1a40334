/*
 * programs/bench/report.h: what came out of a workload, for people or for programs.
 */
#ifndef PROGRAMS_BENCH_REPORT_H
#define PROGRAMS_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/histogram.h"

struct report {
    const char *engine, *workload;
    const char *stats; /* the store's own account; NULL: none was asked for */
    uint64_t threads;
    uint64_t ops, user_bytes;
    double seconds;
    const struct histogram *times_ns;
    bool with_histogram;       /* all of it is told */
    uint64_t rate;             /* operations a second that were meant to be; 0: any */
    bool has_pauses;           /* else the next two mean nothing */
    uint64_t longest_pause_ns; /* see flow.h */
    uint64_t silent_seconds;
    uint64_t puts, put_bytes;
    uint64_t table_bytes, all_bytes, device_bytes; /* written for these puts */
    uint64_t space_bytes, rss_bytes;
    uint64_t rss_most_bytes;                            /* since the process began */
    uint64_t table_space_bytes, table_space_most_bytes; /* tables only; most: 0 if not watched */
};

void report_print_head(FILE *out, bool json);
void report_print(FILE *out, bool json, const struct report *report);

#endif
