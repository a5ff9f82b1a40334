/* What the tests of the service's pure parts share. */
#include "support.h"

void ck_bytes(struct varve_slice bytes, struct varve_slice expected)
{
    ck_assert_msg(varve_slice_compare(bytes, expected) == 0, "got \"%.*s\", expected \"%.*s\"",
                  (int)bytes.size, (const char *)bytes.data, (int)expected.size,
                  (const char *)expected.data);
}

void ck_text(struct varve_slice bytes, const char *expected)
{
    ck_bytes(bytes, varve_slice_str(expected));
}

void ck_problem(struct problem *problem, enum problem_code code, const char *word)
{
    ck_assert_msg(problem->code == code, "got %s (%s), expected %s",
                  problem_code_text(problem->code), problem->detail, problem_code_text(code));
    ck_assert_msg(problem->detail[0] != '\0', "%s without a detail", problem_code_text(code));
    if (word != NULL)
        ck_assert_msg(strstr(problem->detail, word) != NULL, "\"%s\" does not mention %s",
                      problem->detail, word);
    problem_deinit(problem);
}

uint8_t *exact_copy(struct varve_slice bytes, struct varve_slice *ret_copy)
{
    uint8_t *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    ck_assert_ptr_nonnull(copy);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    *ret_copy = varve_slice(copy, bytes.size);
    return copy;
}

int support_run(const char *suite_name, const struct test_entry *tests, size_t count)
{
    Suite *suite = suite_create(suite_name);
    for (size_t i = 0; i < count; i++) {
        TCase *tcase = tcase_create(tests[i].name);
        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, tests[i].test);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
