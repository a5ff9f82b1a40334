/*
 * tests/lib/run_suite.h: the body of a test program's main.
 */
#ifndef TESTS_LIB_RUN_SUITE_H
#define TESTS_LIB_RUN_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Takes ownership of `suite`. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
