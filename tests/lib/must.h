/*
 * tests/lib/must.h: what the test library itself cannot do without. A failure here is one of the
 * test's surroundings and ends the program.
 */
#ifndef TESTS_LIB_MUST_H
#define TESTS_LIB_MUST_H

#include <stddef.h>

#include "base/status.h"

/* Prints what failed and aborts unless `condition`. */
#define must(condition) ((condition) ? (void)0 : must_fail(__FILE__, __LINE__, #condition))
#define must_ok(status) must((status) == VARVE_OK)
__attribute__((noreturn)) void must_fail(const char *file, int line, const char *what);

/* Zeroed memory. Caller frees with free. */
void *must_calloc(size_t count, size_t size);
void *must_realloc(void *memory, size_t count, size_t size);
char *must_strdup(const char *text);

#endif
