/*
 * tests/lib/tmpdir.h: a temporary directory of a test's own, under $TMPDIR or /tmp. Failures end
 * the program.
 */
#ifndef TESTS_LIB_TMPDIR_H
#define TESTS_LIB_TMPDIR_H

#define TMPDIR_PATH_BYTES 256

struct tmpdir {
    char path[TMPDIR_PATH_BYTES];
};

void tmpdir_make(struct tmpdir *dir);

/* With all that is in it. Takes a zeroed one. */
void tmpdir_remove(struct tmpdir *dir);

/* "path/name" in a static buffer of this thread, borrowed until the fourth call after this one. */
const char *tmpdir_path(const struct tmpdir *dir, const char *name);

#endif
