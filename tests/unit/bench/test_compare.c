/* The table of a comparison, from given figures, and what is taken for a run's account. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs/bench/compare.h"
#include "run_suite.h"

static const struct engine peer = {.name = "peer"}, other = {.name = "other"};
static struct bench_options options;
static struct compare_figures figures;

static void set_up(const struct engine *first, const struct engine *second,
                   const struct engine *third, uint64_t rounds)
{
    const struct engine *const engines[ENGINE_COUNT] = {first, second, third};
    static const char *const names[] = {"fillseq", "readrandom", "stats", "readrandom"};
    memset(&options, 0, sizeof options);
    while (options.compared_count < ENGINE_COUNT && engines[options.compared_count] != NULL) {
        options.compared[options.compared_count] = engines[options.compared_count];
        options.compared_count++;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        options.workloads[options.workload_count++] = workload_find(names[i]);
    options.rounds = rounds;
    ck_assert_int_eq(compare_figures_init(&figures, &options), VARVE_OK);
}

static void set(size_t engine, size_t workload, const double *us_per_op)
{
    for (size_t round = 0; round < options.rounds; round++)
        *compare_figure(&figures, engine, workload, round) = us_per_op[round];
}

static void check_table(const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    compare_print(out, &figures);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_str_eq(text, expected);
    free(text);
    compare_figures_deinit(&figures);
}

START_TEST(medians_with_the_least_and_the_greatest)
{
    set_up(&peer, &engine_varve, &other, 3);
    set(0, 0, (double[]){3, 1, 2});
    set(1, 0, (double[]){0.51, 0.5, 0.49});
    set(2, 0, (double[]){1250, 1250.4, 12});
    set(0, 1, (double[]){8, 8, 8});
    set(1, 1, (double[]){2, 4, 3});
    set(2, 1, (double[]){6, 6, 6});
    set(0, 3, (double[]){1, 1, 1});
    set(1, 3, (double[]){2, 2, 2});
    set(2, 3, (double[]){99.96, 100, 3});
    check_table("| us/op | peer | varve | other | varve of the better peer |\n"
                "|---|---|---|---|---|\n"
                "| fillseq | 2 (1–3) | 0.5 (0.49–0.51) | 1250 (12–1250) | 4.00 |\n"
                "| readrandom | 8 (8–8) | 3 (2–4) | 6 (6–6) | 2.00 |\n"
                "| readrandom 2 | 1 (1–1) | 2 (2–2) | 100 (3–100) | 0.50 |\n");
}
END_TEST

START_TEST(an_even_number_of_rounds)
{
    set_up(&engine_varve, &peer, NULL, 2);
    set(0, 0, (double[]){1, 2});
    set(1, 0, (double[]){3, 6});
    set(0, 1, (double[]){1, 1});
    set(1, 1, (double[]){1, 1});
    set(0, 3, (double[]){1, 1});
    set(1, 3, (double[]){0, 0}); /* has no figure */
    check_table("| us/op | varve | peer | varve of the better peer |\n"
                "|---|---|---|---|\n"
                "| fillseq | 1.5 (1–2) | 4.5 (3–6) | 3.00 |\n"
                "| readrandom | 1 (1–1) | 1 (1–1) | 1.00 |\n"
                "| readrandom 2 | 1 (1–1) | 0 (0–0) | |\n");
}
END_TEST

START_TEST(no_ratio_where_nothing_is_to_be_compared)
{
    const double one[] = {1}, two[] = {2};
    set_up(&peer, &other, NULL, 1);
    for (size_t i = 0; i < 4; i++) {
        set(0, i, one);
        set(1, i, two);
    }
    check_table("| us/op | peer | other |\n"
                "|---|---|---|\n"
                "| fillseq | 1 | 2 |\n"
                "| readrandom | 1 | 2 |\n"
                "| readrandom 2 | 1 | 2 |\n");
    set_up(&engine_varve, NULL, NULL, 1);
    for (size_t i = 0; i < 4; i++)
        set(0, i, two);
    check_table("| us/op | varve |\n"
                "|---|---|\n"
                "| fillseq | 2 |\n"
                "| readrandom | 2 |\n"
                "| readrandom 2 | 2 |\n");
}
END_TEST

START_TEST(only_the_account_of_the_workload_is_taken)
{
    static const char *const wrong[] = {
        "",
        "\n",
        "{\"workload\":\"readrandom\",\"us_per_op\":1}",
        "{\"workload\":\"fill\",\"us_per_op\":1}",
        "{\"workload\":\"fillseqs\",\"us_per_op\":1}",
        "{\"workload\":\"fillseq\"}",
        "{\"us_per_op\":1}",
        "{\"workload\":\"fillseq\",\"us_per_op\":\"1\"}",
        "{\"workload\":\"fillseq\",\"us_per_op\":-1}",
        "{\"workload\":\"fillseq\",\"us_per_op\":nan}",
        "{\"workload\":\"fillseq\",\"us_per_op\":",
        "{\"workload\":1,\"us_per_op\":1}",
    };
    double figure = -1;
    set_up(&engine_varve, &peer, NULL, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(compare_take(&options, wrong[i], 0, &figure) == VARVE_CORRUPT, "%s",
                      wrong[i]);
        ck_assert_double_eq(figure, -1);
    }
    const char *line = "{\"ops\":7,\"workload\":\"fillseq\",\"us_per_op\":1.25}\n";
    ck_assert_int_eq(compare_take(&options, line, 0, &figure), VARVE_OK);
    ck_assert_double_eq(figure, 1.25);
    ck_assert_int_eq(compare_take(&options, line, 4, &figure), VARVE_CORRUPT);
    line = "{\"workload\":\"stats\",\"us_per_op\":null}\n";
    ck_assert_int_eq(compare_take(&options, line, 2, &figure), VARVE_OK);
    ck_assert_double_eq(figure, 0);
    compare_figures_deinit(&figures);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench-compare");
    TCase *tcase = tcase_create("compare");
    tcase_add_test(tcase, medians_with_the_least_and_the_greatest);
    tcase_add_test(tcase, an_even_number_of_rounds);
    tcase_add_test(tcase, no_ratio_where_nothing_is_to_be_compared);
    tcase_add_test(tcase, only_the_account_of_the_workload_is_taken);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
