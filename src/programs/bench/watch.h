/*
 * programs/bench/watch.h: what is true of a store while a workload runs, and not at its end: the
 * most bytes that its tables took up at any moment.
 */
#ifndef PROGRAMS_BENCH_WATCH_H
#define PROGRAMS_BENCH_WATCH_H

#include <stdint.h>

#include "base/status.h"

struct watch;

/* Looks at the directory several times a second, on a thread of its own, until watch_stop. `path`
 * is borrowed until then. VARVE_NO_MEMORY, VARVE_IO. */
MUST_CHECK enum varve_status watch_start(const char *path, struct watch **ret_watch);

/* Ends it, frees it, and gives the most bytes that were seen. */
uint64_t watch_stop(struct watch *watch);

#endif
