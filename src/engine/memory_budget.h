/*
 * engine/memory_budget.h: how much memory a store takes, by kind, against one limit. It only keeps
 * account: nothing waits in here and nothing is refused. Who gives way, and who waits, is argued
 * under "Memory" in DESIGN.md. Thread safe but for init, attach and deinit.
 */
#ifndef ENGINE_MEMORY_BUDGET_H
#define ENGINE_MEMORY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory_meter.h"

enum memory_kind {
    MEMORY_MEMTABLES, /* their chunks: active, waiting, pinned by readers, at rest in the pool */
    MEMORY_CACHE,     /* blocks that the block cache keeps, and its hash tables */
    MEMORY_TABLES,    /* index and filter of open tables */
    MEMORY_READS,     /* blocks that are in use, but not kept by the cache */
    MEMORY_WRITERS,   /* tables being written: output, index and filter to come */
    MEMORY_QUEUE,     /* encoded batches that are queued or being committed */
    MEMORY_KIND_COUNT
};

struct memory_budget {
    size_t limit_bytes;
    struct memory_counter {
        struct memory_meter meter; /* first: charges this very counter */
        _Atomic int64_t bytes;
        const _Atomic size_t *attached;
        char apart[64 - sizeof(struct memory_meter) - sizeof(_Atomic int64_t) - sizeof(void *)];
    } counters[MEMORY_KIND_COUNT]; /* no two in one cache line */
};
void memory_budget_init(struct memory_budget *budget, size_t limit_bytes);
/* Everything has been given back (asserted). Takes a zeroed one. */
void memory_budget_deinit(struct memory_budget *budget);

/* Counts what `*bytes` says as well, which its owner keeps up to date. One a kind; borrowed until
 * the budget goes. */
void memory_budget_attach(struct memory_budget *budget, enum memory_kind kind,
                          const _Atomic size_t *bytes);

/* `bytes` more of that kind, or fewer where it is negative. */
void memory_budget_charge(struct memory_budget *budget, enum memory_kind kind, int64_t bytes);
/* The same as an argument to parts that know no budget. Borrowed until the budget goes. */
struct memory_meter *memory_budget_meter(struct memory_budget *budget, enum memory_kind kind);

size_t memory_budget_used_by(const struct memory_budget *budget, enum memory_kind kind);
size_t memory_budget_used(const struct memory_budget *budget); /* of all kinds */

/* With `more_bytes`: beyond 90 % of the limit. */
bool memory_budget_is_near(const struct memory_budget *budget, size_t more_bytes);
/* With `more_bytes`: beyond the limit. */
bool memory_budget_is_over(const struct memory_budget *budget, size_t more_bytes);

/* What cached blocks and open tables may take together so that, with all else and `more_bytes`, no
 * more than 90 % are used. */
size_t memory_budget_cache_room(const struct memory_budget *budget, size_t more_bytes);

#endif
