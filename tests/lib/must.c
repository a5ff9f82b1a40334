/*
 * What fails here is told to standard error, with its place, and aborts.
 */
#include "must.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void must_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: the test library needs: %s\n", file, line, what);
    abort();
}

void *must_calloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    must(memory != NULL);
    return memory;
}

void *must_realloc(void *memory, size_t count, size_t size)
{
    must(count <= SIZE_MAX / size);
    memory = realloc(memory, count * size);
    must(memory != NULL);
    return memory;
}

char *must_strdup(const char *text)
{
    char *copy = strdup(text);
    must(copy != NULL);
    return copy;
}
