/* Relaxed throughout: the figures order nothing, and a run's threads are joined before the last
 * look at them. */
#include "programs/bench/flow.h"

#include <stdbool.h>

#define NS_PER_S 1000000000u

static uint64_t load(atomic_uint_fast64_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

static void store(atomic_uint_fast64_t *figure, uint64_t value)
{
    atomic_store_explicit(figure, value, memory_order_relaxed);
}

/* False when there is a greater one already; else `ret_before` is the one that it replaced. */
static bool raise_to(atomic_uint_fast64_t *figure, uint64_t value, uint64_t *ret_before)
{
    *ret_before = load(figure);
    while (value > *ret_before) {
        if (atomic_compare_exchange_weak_explicit(figure, ret_before, value, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

static uint64_t second_of(const struct flow *flow, uint64_t now_ns)
{
    return (now_ns - flow->begin_ns) / NS_PER_S;
}

void flow_begin(struct flow *flow, uint64_t now_ns)
{
    flow->begin_ns = now_ns;
    store(&flow->last_ns, now_ns);
    store(&flow->longest_pause_ns, 0);
    store(&flow->silent_seconds, 0);
    for (size_t i = 0; i < FLOW_LANES; i++)
        store(&flow->lanes[i].ops, 0);
}

void flow_note(struct flow *flow, size_t lane, uint64_t ops, uint64_t now_ns)
{
    store(&flow->lanes[lane].ops, ops);
    uint64_t last_ns = load(&flow->last_ns);
    if (now_ns < last_ns + FLOW_GRAIN_NS && second_of(flow, now_ns) <= second_of(flow, last_ns))
        return;
    if (!raise_to(&flow->last_ns, now_ns, &last_ns))
        return;
    uint64_t ignored = 0;
    (void)raise_to(&flow->longest_pause_ns, now_ns - last_ns, &ignored);
    uint64_t seconds = second_of(flow, now_ns) - second_of(flow, last_ns);
    if (seconds > 1)
        atomic_fetch_add_explicit(&flow->silent_seconds, seconds - 1, memory_order_relaxed);
}

uint64_t flow_ops(struct flow *flow)
{
    uint64_t ops = 0;
    for (size_t i = 0; i < FLOW_LANES; i++)
        ops += load(&flow->lanes[i].ops);
    return ops;
}
