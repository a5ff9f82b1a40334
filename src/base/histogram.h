/*
 * base/histogram.h: a distribution in log-linear buckets (32 per power of two, so within 3.2 %),
 * after Gil Tene's HdrHistogram. Recording is wait-free with relaxed atomics, from any thread;
 * readers see a close enough picture.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    _Atomic uint64_t count, sum, max;
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* A zeroed struct is an empty histogram. */
void histogram_record(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value at or under which `percent` (0 to 100) of the values lie; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/* The values of one bucket, and the greatest that falls into it. */
uint64_t histogram_bucket_count(const struct histogram *h, size_t bucket);
uint64_t histogram_bucket_top(size_t bucket);

/* How many values are <= bound, up to the width of a bucket. */
uint64_t histogram_count_up_to(const struct histogram *h, uint64_t bound);

#endif
