/*
 * tests/lib/budget.h: how much a test does that could go on for ever. VARVE_BUDGET says it: `small`
 * where each step is dear (under the sanitizers), `long` where there are hours; else the standard.
 * What is left out of a shorter run is drawn by VARVE_SEED, so that many of them see all of it.
 */
#ifndef TESTS_LIB_BUDGET_H
#define TESTS_LIB_BUDGET_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline uint64_t budget_choose(uint64_t small, uint64_t standard, uint64_t large)
{
    const char *budget = getenv("VARVE_BUDGET");
    if (budget == NULL)
        return standard;
    if (strcmp(budget, "small") == 0)
        return small;
    return strcmp(budget, "long") == 0 ? large : standard;
}

/* Where to begin with every `stride`-th of many cases: 0 to stride - 1. */
static inline uint64_t budget_offset(uint64_t stride)
{
    const char *seed = getenv("VARVE_SEED");
    return (seed != NULL ? strtoull(seed, NULL, 10) : 0) % stride;
}

#endif
