/*
 * Values under 32 have a bucket each; from there on the five bits behind the leading one choose
 * among 32 buckets of equal width in each power of two.
 */
#include "base/histogram.h"

#include <math.h>

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

static size_t bucket_of(uint64_t value)
{
    if (value < SUB_COUNT)
        return (size_t)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return ((size_t)(shift + 1) << HISTOGRAM_SUB_BITS) + ((value >> shift) & (SUB_COUNT - 1));
}

uint64_t histogram_bucket_top(size_t bucket)
{
    if (bucket < SUB_COUNT)
        return bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t first = (uint64_t)(SUB_COUNT + (bucket & (SUB_COUNT - 1))) << shift;
    return first + (((uint64_t)1 << shift) - 1);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void raise_max(struct histogram *h, uint64_t value)
{
    uint64_t max = load(&h->max);
    while (value > max && !atomic_compare_exchange_weak_explicit(
                              &h->max, &max, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

void histogram_record(struct histogram *h, uint64_t value)
{
    add(&h->buckets[bucket_of(value)], 1);
    add(&h->count, 1);
    add(&h->sum, value);
    raise_max(h, value);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t n = load(&from->buckets[i]);
        if (n != 0)
            add(&into->buckets[i], n);
    }
    add(&into->count, load(&from->count));
    add(&into->sum, load(&from->sum));
    raise_max(into, load(&from->max));
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t count = load(&h->count);
    uint64_t max = load(&h->max);
    if (count == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil((double)count * percent / 100.0);
    if (rank == 0)
        rank = 1;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += load(&h->buckets[i]);
        if (seen >= rank) {
            uint64_t top = histogram_bucket_top(i);
            return top < max ? top : max;
        }
    }
    return max;
}

uint64_t histogram_bucket_count(const struct histogram *h, size_t bucket)
{
    return load(&h->buckets[bucket]);
}

uint64_t histogram_count_up_to(const struct histogram *h, uint64_t bound)
{
    uint64_t seen = 0;
    for (size_t i = 0; i <= bucket_of(bound); i++)
        seen += load(&h->buckets[i]);
    return seen;
}
