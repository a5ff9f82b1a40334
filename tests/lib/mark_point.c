/*
 * libcheck writes the place of each assertion that held to a file, for the case that a test's own
 * process dies before the next one. Without such processes (CK_FORK=no, as the suite sets it)
 * nobody reads that, and loops of assertions spend most of their time on it: there it is left out.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void __wrap__mark_point(const char *file, int line);
void __real__mark_point(const char *file, int line);

static bool is_read = true;

__attribute__((constructor)) static void choose(void)
{
    const char *forks = getenv("CK_FORK");
    is_read = forks == NULL || strcmp(forks, "no") != 0;
}

void __wrap__mark_point(const char *file, int line)
{
    if (is_read)
        __real__mark_point(file, line);
}
