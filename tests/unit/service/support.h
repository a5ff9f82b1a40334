/*
 * tests/unit/service/support.h: what the tests of the service's pure parts share.
 */
#ifndef TESTS_UNIT_SERVICE_SUPPORT_H
#define TESTS_UNIT_SERVICE_SUPPORT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "service/problem.h"

#define ck_status(call, expected) ck_assert_int_eq((int)(call), (int)(expected))
#define ck_ok(call) ck_status(call, VARVE_OK)

/* A literal as a slice; it may hold NULs. */
#define L(literal) varve_slice(literal, sizeof(literal) - 1)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Fails unless the bytes are those of `expected`, a text. */
void ck_text(struct varve_slice bytes, const char *expected);
void ck_bytes(struct varve_slice bytes, struct varve_slice expected);

/* Fails unless `problem` has that code and "detail" mentions `word` (may be NULL); deinits it. */
void ck_problem(struct problem *problem, enum problem_code code, const char *word);

/* A copy that ends where its memory ends, so that a read behind it is found by the sanitizer.
 * Caller frees with free. */
uint8_t *exact_copy(struct varve_slice bytes, struct varve_slice *ret_copy);

struct test_entry {
    const char *name;
    const TTest *test;
};

/* Runs the tests, one case each; gives the program's exit code. */
int support_run(const char *suite_name, const struct test_entry *tests, size_t count);
#define SUPPORT_RUN(suite_name, tests) support_run(suite_name, tests, COUNT(tests))

#endif
