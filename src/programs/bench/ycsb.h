/*
 * programs/bench/ycsb.h: the core workloads of YCSB (Cooper, Silberstein, Tam, Ramakrishnan and
 * Sears, "Benchmarking cloud serving systems with YCSB", SoCC 2010): mixes of operations on keys of
 * which few are asked for often.
 */
#ifndef PROGRAMS_BENCH_YCSB_H
#define PROGRAMS_BENCH_YCSB_H

#include <stdbool.h>

#include "programs/bench/workload.h"

/* Shares of a hundred operations. The rest are reads. */
struct ycsb_mix {
    unsigned updates, inserts, scans, modifies;
    bool latest; /* the newest keys are read most; else keys here and there */
};

extern const struct ycsb_mix ycsb_a, ycsb_b, ycsb_c, ycsb_d, ycsb_e, ycsb_f;

/* What a thread does in a workload that has a mix. */
enum varve_status ycsb_run(struct task *task);

/* The number of the key that a task inserts after `inserted` others, in a run before which the set
 * had the numbers below `first`. */
uint64_t ycsb_inserted_number(const struct task *task, uint64_t first, uint64_t inserted);

#endif
