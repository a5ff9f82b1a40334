/*
 * programs/bench/workload.h: the workloads, named as db_bench names them, and what one thread does
 * in each. The threads of a workload share its operations evenly.
 */
#ifndef PROGRAMS_BENCH_WORKLOAD_H
#define PROGRAMS_BENCH_WORKLOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/status.h"
#include "programs/bench/engine.h"
#include "programs/bench/flow.h"
#include "programs/bench/generator.h"
#include "programs/bench/pace.h"
#include "programs/bench/value_sums.h"
#include "programs/bench/zipfian.h"

/* One thread's part in a run of a workload. */
struct task {
    /* set by the harness; borrowed until the run is over */
    const struct workload *workload;
    const struct engine *engine;
    void *store;
    const struct key_set *keys; /* in the store; no thread changes it during a run */
    struct value_sums *sums;
    const struct permutation *order;
    const struct zipfian *zipfian; /* over the numbers of the set; only for a mix */
    const char *path;              /* the store's directory */
    bool sync;
    uint64_t first;                  /* of all the run's operations, the first that is its own */
    uint64_t index, threads;         /* which it is of those that are measured */
    struct pace pace;                /* of its operations, and how many it has at most */
    struct flow *flow;               /* of the run's */
    struct random numbers;           /* from which the keys are drawn */
    struct generator generator;      /* of its own */
    const atomic_bool *readers_done; /* ends the writer beside them */

    /* results */
    struct histogram times_ns;
    uint64_t ops, user_bytes; /* keys and values that were asked for and came */
    uint64_t puts, put_bytes; /* keys and values that were written; bytes of removed keys too */
    uint64_t inserted;        /* keys that were new; see ycsb_inserted_number */
    struct varve_error error; /* of the failure that ended it */
};

typedef enum varve_status (*task_fn)(struct task *task);

/* How many operations a workload has. */
enum workload_extent {
    WORKLOAD_KEYS,   /* as many as there are keys */
    WORKLOAD_WRITES, /* --writes */
    WORKLOAD_READS,  /* --reads */
    WORKLOAD_ONE,    /* one, on one thread, whatever is asked for */
};

struct ycsb_mix;

struct workload {
    const char *name, *text; /* the text for the help */
    enum workload_extent extent;
    bool fresh;                 /* begins with an empty store */
    bool needs_keys;            /* the store must not be empty */
    bool sync;                  /* every write is synced */
    bool removes;               /* the keys that are drawn from the set, as many as operations */
    const struct ycsb_mix *mix; /* of operations; NULL: the workload is no mix */
    task_fn run;                /* of each thread; NULL: the store only gives account of itself */
    task_fn run_beside;         /* of one more thread, which is not measured; may be NULL */
    /* The number of the key that a filling task writes in its i-th operation; NULL: the workload
     * adds no key. */
    uint64_t (*choose)(struct task *task, uint64_t i);
};

/* NULL: there is none of that name. */
const struct workload *workload_find(const char *name);
/* In the order of the help; NULL at the end. */
const struct workload *workload_at(size_t i);

/* Whether its operations are drawn one by one, so that there may be any number of them, at any
 * rate: those of --writes and --reads. */
bool workload_is_drawn(const struct workload *workload);

struct workload_counts {
    uint64_t keys, writes, reads;
};
uint64_t workload_ops(const struct workload *workload, const struct workload_counts *counts);

#endif
