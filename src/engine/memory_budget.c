/*
 * One relaxed counter a kind. A sum of them is not one moment: it may count a block that goes from
 * one kind to another twice, or not at all. It serves to decide, and an error of a few blocks
 * decides the same.
 */
#include "engine/memory_budget.h"

#include <assert.h>

/* Beyond this share of the limit room is made; the rest is for what must go on meanwhile. */
#define NEAR_PERCENT 90u

static void counter_charge(struct memory_meter *meter, int64_t bytes)
{
    struct memory_counter *counter = (struct memory_counter *)(void *)meter;
    atomic_fetch_add_explicit(&counter->bytes, bytes, memory_order_relaxed);
}

void memory_budget_init(struct memory_budget *budget, size_t limit_bytes)
{
    *budget = (struct memory_budget){.limit_bytes = limit_bytes};
    for (size_t i = 0; i < MEMORY_KIND_COUNT; i++)
        budget->counters[i].meter.charge = counter_charge;
}

void memory_budget_deinit(struct memory_budget *budget)
{
    assert(memory_budget_used(budget) == 0);
    *budget = (struct memory_budget){0};
}

void memory_budget_attach(struct memory_budget *budget, enum memory_kind kind,
                          const _Atomic size_t *bytes)
{
    budget->counters[kind].attached = bytes;
}

void memory_budget_charge(struct memory_budget *budget, enum memory_kind kind, int64_t bytes)
{
    memory_meter_charge(&budget->counters[kind].meter, bytes);
}

struct memory_meter *memory_budget_meter(struct memory_budget *budget, enum memory_kind kind)
{
    return &budget->counters[kind].meter;
}

size_t memory_budget_used_by(const struct memory_budget *budget, enum memory_kind kind)
{
    const struct memory_counter *counter = &budget->counters[kind];
    int64_t bytes = atomic_load_explicit(&counter->bytes, memory_order_relaxed);
    size_t used = bytes > 0 ? (size_t)bytes : 0;
    if (counter->attached != NULL)
        used += atomic_load_explicit(counter->attached, memory_order_relaxed);
    return used;
}

size_t memory_budget_used(const struct memory_budget *budget)
{
    size_t used = 0;
    for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++)
        used += memory_budget_used_by(budget, (enum memory_kind)kind);
    return used;
}

static size_t near_bytes(const struct memory_budget *budget)
{
    return budget->limit_bytes / 100 * NEAR_PERCENT;
}

bool memory_budget_is_near(const struct memory_budget *budget, size_t more_bytes)
{
    return memory_budget_used(budget) + more_bytes > near_bytes(budget);
}

bool memory_budget_is_over(const struct memory_budget *budget, size_t more_bytes)
{
    return memory_budget_used(budget) + more_bytes > budget->limit_bytes;
}

size_t memory_budget_cache_room(const struct memory_budget *budget, size_t more_bytes)
{
    size_t others = memory_budget_used(budget), near = near_bytes(budget);
    size_t cached =
        memory_budget_used_by(budget, MEMORY_CACHE) + memory_budget_used_by(budget, MEMORY_TABLES);
    others = (others > cached ? others - cached : 0) + more_bytes;
    return near > others ? near - others : 0;
}
