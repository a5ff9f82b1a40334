/*
 * A sleep ends late by the kernel's timer slack, 50 us, and by the time that it takes to come back
 * to a processor. So only what is farther ahead is slept through, to a little before the start, and
 * the rest is spent looking at the clock, each time leaving the processor to whoever else needs it,
 * such as the store's own threads.
 */
#include "programs/bench/pace.h"

#include <sched.h>
#include <time.h>

#include "programs/bench/process.h"

#define NS_PER_S 1000000000u
#define SPIN_NS 100000u

void pace_begin(struct pace *pace, uint64_t begin_ns)
{
    pace->begin_ns = begin_ns;
    pace->since_ns = process_now_ns();
    pace->begun = 0;
}

uint64_t pace_intended_ns(const struct pace *pace, uint64_t i)
{
    unsigned __int128 place = (unsigned __int128)i * pace->threads + pace->index;
    return pace->begin_ns + (uint64_t)(place * NS_PER_S / pace->rate);
}

bool pace_plan(struct pace *pace, uint64_t now_ns, uint64_t *ret_start_ns)
{
    if (pace->begun == pace->count)
        return false;
    uint64_t intended_ns = pace->rate != 0 ? pace_intended_ns(pace, pace->begun) : now_ns;
    uint64_t start_ns = intended_ns > now_ns ? intended_ns : now_ns;
    if (pace->duration_ns != 0 && start_ns - pace->begin_ns >= pace->duration_ns)
        return false;
    if (pace->rate != 0)
        pace->since_ns = intended_ns;
    pace->begun++;
    *ret_start_ns = start_ns;
    return true;
}

static void wait_until(uint64_t until_ns)
{
    uint64_t now_ns = process_now_ns();
    while (now_ns < until_ns) {
        if (until_ns - now_ns > SPIN_NS) {
            uint64_t wake_ns = until_ns - SPIN_NS;
            const struct timespec wake = {.tv_sec = (time_t)(wake_ns / NS_PER_S),
                                          .tv_nsec = (long)(wake_ns % NS_PER_S)};
            (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
        } else {
            sched_yield();
        }
        now_ns = process_now_ns();
    }
}

/* Without a rate the end of the operation before is late enough for now: one look at the clock an
 * operation. */
bool pace_next(struct pace *pace)
{
    uint64_t start_ns = 0;
    if (!pace_plan(pace, pace->rate != 0 ? process_now_ns() : pace->since_ns, &start_ns))
        return false;
    if (pace->rate != 0)
        wait_until(start_ns);
    return true;
}

uint64_t pace_end(struct pace *pace, uint64_t now_ns)
{
    uint64_t took_ns = now_ns > pace->since_ns ? now_ns - pace->since_ns : 0;
    pace->since_ns = now_ns;
    return took_ns;
}
