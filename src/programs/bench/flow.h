/*
 * programs/bench/flow.h: the operations of a run as they come to their end, of all threads
 * together: how many there are so far, and the longest time in which none came.
 *
 * A pause is the time between two operations that ended one after the other, whichever threads they
 * were of; the first begins with the run. So that threads do not fight over one cache line, an end
 * that follows another within FLOW_GRAIN_NS is not looked at: a pause is told too long by at most
 * so much.
 */
#ifndef PROGRAMS_BENCH_FLOW_H
#define PROGRAMS_BENCH_FLOW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_LANES 64
#define FLOW_LINE_BYTES 64 /* of a cache */
#define FLOW_GRAIN_NS 10000u

struct flow {
    uint64_t begin_ns;            /* set before the threads go */
    atomic_uint_fast64_t last_ns; /* the latest end that was looked at */
    atomic_uint_fast64_t longest_pause_ns;
    atomic_uint_fast64_t silent_seconds; /* of the run's whole seconds, those in which none ended */
    struct {
        atomic_uint_fast64_t ops;
        uint8_t padding[FLOW_LINE_BYTES - sizeof(atomic_uint_fast64_t)];
    } lanes[FLOW_LANES]; /* one a thread, which alone writes it */
};

/* As a run begins; no thread of it goes yet. */
void flow_begin(struct flow *flow, uint64_t now_ns);

/* An operation has ended now, and the thread of this lane has done `ops` so far. */
void flow_note(struct flow *flow, size_t lane, uint64_t ops, uint64_t now_ns);

/* Those of all lanes so far. Thread safe. */
uint64_t flow_ops(struct flow *flow);

#endif
