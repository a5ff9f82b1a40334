/*
 * programs/bench/options.h: what varve-bench is asked for.
 */
#ifndef PROGRAMS_BENCH_OPTIONS_H
#define PROGRAMS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "programs/bench/engine.h"
#include "programs/bench/workload.h"

#define OPTIONS_WORKLOADS_MAX 64
#define OPTIONS_THREADS_MAX 64

struct bench_options {
    bool help;
    const struct engine *engine;
    const struct workload *workloads[OPTIONS_WORKLOADS_MAX];
    size_t workload_count;
    uint64_t num, writes, reads, threads, key_bytes, value_bytes, cache_bytes, seed;
    uint64_t memtable_bytes, memory_budget_bytes;
    uint64_t duration_s; /* of each workload that is drawn; 0: it ends by its count */
    uint64_t rate;       /* of the same, operations a second; 0: as many as there can be */
    bool sync, json, use_existing_db, software_crc, verify, watch, histogram;
    const struct engine *compared[ENGINE_COUNT]; /* instead of `engine`, in this order */
    size_t compared_count;                       /* 0: nothing is compared */
    uint64_t rounds;                             /* of a comparison */
    enum engine_compaction compaction;
    enum engine_compression compression;
    const char *db; /* borrowed from the arguments; NULL: a temporary directory */
};

/* `arguments` without the program's name. VARVE_INVALID, VARVE_NOT_FOUND (an engine's name) or
 * VARVE_UNSUPPORTED (an engine that was not built in), with the text for the user in `ret_error`.
 * With --help the rest is not looked at. */
MUST_CHECK enum varve_status bench_options_parse(size_t count, char *const *arguments,
                                                 struct bench_options *ret_options,
                                                 struct varve_error *ret_error);

/* Appends the text of --help. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status bench_options_help(struct buf *text);

#endif
