/*
 * programs/bench/crew.h: one run of one workload on as many threads as it takes.
 */
#ifndef PROGRAMS_BENCH_CREW_H
#define PROGRAMS_BENCH_CREW_H

#include "base/histogram.h"
#include "base/status.h"
#include "programs/bench/engine.h"
#include "programs/bench/generator.h"
#include "programs/bench/options.h"
#include "programs/bench/workload.h"

/* What a run works on. All of it is borrowed until the run is over. */
struct crew_orders {
    const struct bench_options *options;
    const struct workload *workload;
    uint64_t step; /* which run it is: no two draw the same numbers */
    void *store;
    struct key_set *keys;    /* afterwards with what the run has added and removed */
    struct value_sums *sums; /* of the last values; may remember nothing */
    struct flow *flow;       /* may be looked at meanwhile */
    const struct permutation *order;
    const char *path; /* the store's directory */
    const struct value_pool *pool;
};

struct crew_result {
    uint64_t threads; /* without one that writes beside them */
    uint64_t ops, user_bytes, puts, put_bytes;
    double seconds; /* from the start of the first to the end of the last of these threads */
    struct histogram times_ns;
};

/* `ret_result` must be zeroed; it is large. Failures are those of the store, VARVE_CORRUPT where it
 * gave what it should not have, VARVE_NOT_FOUND where no key is left for the workload,
 * VARVE_NO_MEMORY and VARVE_IO. */
MUST_CHECK enum varve_status crew_run(const struct crew_orders *orders,
                                      struct crew_result *ret_result,
                                      struct varve_error *ret_error);

#endif
