/*
 * os/heap.h: how the C library's allocator gives memory back. For programs: it is the process's, so
 * a library leaves it alone.
 */
#ifndef OS_HEAP_H
#define OS_HEAP_H

/* Keeps resident size near to what is allocated. Once, before threads; it only tunes and cannot
 * fail. */
void heap_set_up(void);

#endif
