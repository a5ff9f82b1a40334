/*
 * base/memory_meter.h: where a part that takes memory tells how much, so that somebody above can
 * keep account. Any thread.
 */
#ifndef BASE_MEMORY_METER_H
#define BASE_MEMORY_METER_H

#include <stddef.h>
#include <stdint.h>

struct memory_meter {
    /* `bytes` more, or fewer where it is negative. Cannot fail. */
    void (*charge)(struct memory_meter *meter, int64_t bytes);
};

/* Takes NULL: nobody keeps account. */
static inline void memory_meter_charge(struct memory_meter *meter, int64_t bytes)
{
    if (meter != NULL && bytes != 0)
        meter->charge(meter, bytes);
}

#endif
