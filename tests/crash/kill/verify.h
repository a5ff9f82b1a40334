/*
 * verify.h: reads the store after a restart and judges it by what the writers know.
 */
#ifndef TESTS_CRASH_KILL_VERIFY_H
#define TESTS_CRASH_KILL_VERIFY_H

#include "model.h"

/* Reads everything over HTTP and compares. On success the models hold what was found (nothing is
 * unanswered any more), and true comes back; else the differences are on stderr. */
bool verify_store(const char *address, struct writer_model *const models[WRITERS]);

#endif
