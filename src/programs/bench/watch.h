/*
 * programs/bench/watch.h: what is true of a store while a workload runs, and not at its end: the
 * most bytes that its tables took up at any moment, and how far the workload has come.
 */
#ifndef PROGRAMS_BENCH_WATCH_H
#define PROGRAMS_BENCH_WATCH_H

#include <stdint.h>

#include "base/status.h"
#include "programs/bench/progress.h"

struct watch;

/* Looks several times a second, on a thread of its own, until watch_stop: at the store's directory
 * (NULL: not), and at the workload, which it tells of (NULL: not). Both are borrowed until then.
 * VARVE_NO_MEMORY, VARVE_IO. */
MUST_CHECK enum varve_status watch_start(const char *path, struct progress *progress,
                                         struct watch **ret_watch);

/* Ends it, frees it, and gives the most bytes that were seen; takes NULL, which has seen none. */
uint64_t watch_stop(struct watch *watch);

#endif
