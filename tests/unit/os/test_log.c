/* One clean line reaches the callback, whatever was in the arguments. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "os/log.h"
#include "run_suite.h"

struct seen {
    int lines;
    enum varve_log_level level;
    char text[2048];
};

static void see(void *context, enum varve_log_level level, const char *text)
{
    struct seen *seen = context;
    seen->lines++;
    seen->level = level;
    snprintf(seen->text, sizeof seen->text, "%s", text);
}

START_TEST(line_is_formatted)
{
    struct seen seen = {0};
    struct log log = {.write = see, .context = &seen};
    log_write(&log, VARVE_LOG_WARNING, "%s at %d", "damage", 42);
    ck_assert_int_eq(seen.lines, 1);
    ck_assert_int_eq(seen.level, VARVE_LOG_WARNING);
    ck_assert_str_eq(seen.text, "damage at 42");
}
END_TEST

START_TEST(control_bytes_are_replaced)
{
    struct seen seen = {0};
    struct log log = {.write = see, .context = &seen};
    log_write(&log, VARVE_LOG_INFO, "a%sb", "\n\x1b[31m\t\x7f\xc3\xbc");
    ck_assert_str_eq(seen.text, "a??[31m??\xc3\xbc"
                                "b");
}
END_TEST

START_TEST(long_line_is_cut)
{
    struct seen seen = {0};
    struct log log = {.write = see, .context = &seen};
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_write(&log, VARVE_LOG_INFO, "%s", text);
    ck_assert_int_eq(seen.lines, 1);
    ck_assert_uint_eq(strlen(seen.text), 1024);
}
END_TEST

START_TEST(no_callback_is_fine)
{
    struct log log = {0};
    log_write(&log, VARVE_LOG_ERROR, "nobody hears");
    log_write(NULL, VARVE_LOG_ERROR, "nobody hears");
}
END_TEST

static Suite *log_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, line_is_formatted);
    tcase_add_test(tcase, control_bytes_are_replaced);
    tcase_add_test(tcase, long_line_is_cut);
    tcase_add_test(tcase, no_callback_is_fine);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(log_suite());
}
