/*
 * programs/bench/zipfian.h: ranks of which few are drawn often and most hardly ever, after Gray,
 * Sundaresan, Englert, Baclawski and Weinberger, "Quickly generating billion-record synthetic
 * databases", SIGMOD 1994, with the skew of the YCSB core workloads.
 */
#ifndef PROGRAMS_BENCH_ZIPFIAN_H
#define PROGRAMS_BENCH_ZIPFIAN_H

#include <stdint.h>

#include "programs/bench/generator.h"

#define ZIPFIAN_SKEW 0.99

struct zipfian {
    uint64_t num;
    double zeta, eta;
};

/* `num` > 0. */
struct zipfian zipfian_make(uint64_t num);
/* 0 to num - 1; rank i is drawn in proportion to 1 / (i + 1) ^ ZIPFIAN_SKEW. */
uint64_t zipfian_draw(const struct zipfian *zipfian, struct random *random);

/* The sum of 1 / i ^ ZIPFIAN_SKEW for i from 1 to num. */
double zipfian_zeta(uint64_t num);

#endif
