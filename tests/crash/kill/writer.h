/*
 * writer.h: a thread that writes over HTTP until the daemon is gone, and keeps account of it.
 */
#ifndef TESTS_CRASH_KILL_WRITER_H
#define TESTS_CRASH_KILL_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "model.h"

struct writer {
    struct writer_model model;
    const char *address;
    FILE *log;                  /* what was sent (S) and acknowledged (A) */
    uint64_t random;            /* state of the generator */
    atomic_uint_fast64_t *acks; /* of all writers together */
    atomic_uint *ended;         /* writers that stopped, by a broken connection or a failure */
    bool failed;                /* saw an answer that must not be; read after the join */
    pthread_t thread;
};

/* Writes until the connection breaks. Runs on a thread of its own; `context` is a struct writer. */
void *writer_run(void *context);

#endif
