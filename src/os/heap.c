/*
 * glibc keeps what was freed: in up to 8 arenas a core, each with holes of its own, and once a
 * large piece was freed pieces of its size are no more mapped by themselves. So large pieces
 * (chunks of memtables, bodies, buffers of table writers) are mapped always and go back when they
 * are freed, what is free at a heap's end goes back from a fixed size on, and there are few arenas:
 * small pieces come from caches of each thread anyway.
 */
#include "os/heap.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>

#define ARENAS_MAX 4
#define MAPPED_BYTES_LEAST (256 << 10)
#define TRIM_BYTES (1 << 20)

void heap_set_up(void)
{
    (void)mallopt(M_ARENA_MAX, ARENAS_MAX);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_LEAST);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}
#else
void heap_set_up(void)
{
}
#endif
