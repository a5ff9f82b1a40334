/* When operations begin, from when they are timed, what counts as a pause, and what is told of a
 * run that goes on: from given times, as far as that goes. */
#include <check.h>
#include <string.h>

#include "programs/bench/flow.h"
#include "programs/bench/pace.h"
#include "programs/bench/process.h"
#include "programs/bench/progress.h"
#include "run_suite.h"

#define MS 1000000u
#define S 1000000000u
#define BEGIN ((uint64_t)77 * S)

static struct pace make(uint64_t rate, uint64_t threads, uint64_t index)
{
    return (struct pace){.count = 1000,
                         .rate = rate,
                         .threads = threads,
                         .index = index,
                         .begin_ns = BEGIN,
                         .since_ns = BEGIN};
}

START_TEST(threads_share_the_rate_in_turns)
{
    for (uint64_t index = 0; index < 3; index++) {
        struct pace pace = make(1000, 3, index);
        for (uint64_t i = 0; i < 5; i++)
            ck_assert_uint_eq(pace_intended_ns(&pace, i), BEGIN + (3 * i + index) * MS);
    }
    struct pace pace = make(3, 1, 0);
    ck_assert_uint_eq(pace_intended_ns(&pace, 1), BEGIN + 333333333);
    ck_assert_uint_eq(pace_intended_ns(&pace, 3000000000000), BEGIN + (uint64_t)1000000000000 * S);
}
END_TEST

/* The second operation is slow: the four that were meant to begin meanwhile have waited for it. */
START_TEST(latency_is_from_the_start_that_was_meant)
{
    static const struct {
        uint64_t now_ms, start_ms, end_ms, took_ms;
    } ops[] = {
        {0, 0, 2, 2},     {2, 10, 55, 45}, {55, 55, 56, 36}, {56, 56, 57, 27},
        {57, 57, 58, 18}, {58, 58, 59, 9}, {59, 60, 61, 1},
    };
    struct pace pace = make(100, 1, 0);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        uint64_t start_ns = 0;
        ck_assert(pace_plan(&pace, BEGIN + ops[i].now_ms * MS, &start_ns));
        ck_assert_uint_eq(start_ns, BEGIN + ops[i].start_ms * MS);
        ck_assert_uint_eq(pace_end(&pace, BEGIN + ops[i].end_ms * MS), ops[i].took_ms * MS);
    }
}
END_TEST

START_TEST(without_a_rate_one_follows_the_other)
{
    struct pace pace = make(0, 2, 1);
    uint64_t start_ns = 0;
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert(pace_plan(&pace, BEGIN + 7 * i * MS, &start_ns));
        ck_assert_uint_eq(start_ns, BEGIN + 7 * i * MS);
        ck_assert_uint_eq(pace_end(&pace, BEGIN + 7 * (i + 1) * MS), 7 * MS);
    }
}
END_TEST

START_TEST(a_run_ends_by_its_count_or_its_time)
{
    struct pace pace = make(0, 1, 0);
    uint64_t start_ns = 0;
    pace.count = 2;
    ck_assert(pace_plan(&pace, BEGIN, &start_ns));
    ck_assert(pace_plan(&pace, BEGIN + 1, &start_ns));
    ck_assert(!pace_plan(&pace, BEGIN + 2, &start_ns));

    pace = make(0, 1, 0);
    pace.duration_ns = S;
    ck_assert(pace_plan(&pace, BEGIN + S - 1, &start_ns));
    ck_assert(!pace_plan(&pace, BEGIN + S, &start_ns));

    /* Meant for the end itself: it is not even waited for. */
    pace = make(10, 1, 0);
    pace.duration_ns = S;
    for (size_t i = 0; i < 10; i++)
        ck_assert(pace_plan(&pace, BEGIN, &start_ns));
    ck_assert(!pace_plan(&pace, BEGIN, &start_ns));
    /* What is due, but late, is left out too. */
    pace = make(10, 1, 0);
    pace.duration_ns = S;
    ck_assert(!pace_plan(&pace, BEGIN + S, &start_ns));
}
END_TEST

/* Some starts are slept up to, for others the clock is looked at. */
START_TEST(no_operation_begins_before_its_time)
{
    static const uint64_t rates[] = {500, 20000};
    for (size_t k = 0; k < 2; k++) {
        struct pace pace = make(rates[k], 1, 0);
        pace_begin(&pace, process_now_ns());
        for (uint64_t i = 0; i < 20; i++) {
            ck_assert(pace_next(&pace));
            ck_assert_uint_ge(process_now_ns(), pace_intended_ns(&pace, i));
            ck_assert_uint_eq(pace.since_ns, pace_intended_ns(&pace, i));
        }
    }
}
END_TEST

START_TEST(pauses_are_of_all_threads_together)
{
    static struct flow flow;
    flow_begin(&flow, BEGIN);
    ck_assert_uint_eq(flow.longest_pause_ns, 0);
    flow_note(&flow, 0, 1, BEGIN + 30 * MS); /* the first pause is from the begin */
    ck_assert_uint_eq(flow.longest_pause_ns, 30 * MS);
    /* Each thread alone would have one of 80 ms. */
    for (uint64_t i = 1; i <= 10; i++)
        flow_note(&flow, i % 2, i, BEGIN + (30 + 40 * i) * MS);
    ck_assert_uint_eq(flow.longest_pause_ns, 40 * MS);
    /* One that tells of its end late makes no new pause. */
    flow_note(&flow, 1, 11, BEGIN + 300 * MS);
    flow_note(&flow, 0, 12, BEGIN + 460 * MS);
    ck_assert_uint_eq(flow.longest_pause_ns, 40 * MS);
    ck_assert_uint_eq(flow_ops(&flow), 12 + 11);
    flow_begin(&flow, BEGIN + S);
    ck_assert_uint_eq(flow.longest_pause_ns + flow_ops(&flow), 0);
}
END_TEST

START_TEST(ends_that_follow_closely_are_one)
{
    static struct flow flow;
    flow_begin(&flow, BEGIN);
    flow_note(&flow, 0, 1, BEGIN + MS);
    flow_note(&flow, 0, 2, BEGIN + MS + FLOW_GRAIN_NS - 1);
    flow_note(&flow, 0, 3, BEGIN + 5 * MS);
    ck_assert_uint_eq(flow.longest_pause_ns, 4 * MS);
    flow_note(&flow, 0, 4, BEGIN + 5 * MS + FLOW_GRAIN_NS);
    flow_note(&flow, 0, 5, BEGIN + 10 * MS);
    ck_assert_uint_eq(flow.longest_pause_ns, 5 * MS - FLOW_GRAIN_NS);
}
END_TEST

START_TEST(whole_seconds_without_an_end_are_counted)
{
    static struct flow flow;
    flow_begin(&flow, BEGIN);
    flow_note(&flow, 0, 1, BEGIN + 900 * MS);
    flow_note(&flow, 0, 2, BEGIN + 1900 * MS); /* a second of silence, but not of a whole one */
    ck_assert_uint_eq(flow.silent_seconds, 0);
    flow_note(&flow, 0, 3, BEGIN + 4100 * MS);
    ck_assert_uint_eq(flow.silent_seconds, 2);
    flow_note(&flow, 0, 4, BEGIN + (uint64_t)5 * S - 1);
    flow_note(&flow, 0, 5, BEGIN + (uint64_t)5 * S); /* close behind, and yet in its own second */
    flow_note(&flow, 0, 6, BEGIN + (uint64_t)6 * S);
    ck_assert_uint_eq(flow.silent_seconds, 2);
    flow_note(&flow, 0, 7, BEGIN + (uint64_t)9 * S);
    ck_assert_uint_eq(flow.silent_seconds, 4);
}
END_TEST

static const char *told(const struct progress *progress, uint64_t now_ns, uint64_t ops)
{
    static char text[100];
    progress_format(progress, now_ns, ops, text, sizeof text);
    return text;
}

START_TEST(progress_is_by_count_by_time_or_unknown)
{
    struct progress progress = {.workload = "readrandom", .ops = 4000};
    progress_begin(&progress, BEGIN);
    ck_assert_str_eq(told(&progress, BEGIN, 0), "readrandom: 0 operations, 0 %, 0 a second");
    ck_assert_str_eq(told(&progress, BEGIN + S / 2, 1000),
                     "readrandom: 1000 operations, 25 %, 2000 a second");
    progress.last_ns = BEGIN + S; /* the rate is that since the last look */
    progress.last_ops = 1000;
    ck_assert_str_eq(told(&progress, BEGIN + (uint64_t)2 * S, 1500),
                     "readrandom: 1500 operations, 38 %, 500 a second");
    progress.duration_ns = (uint64_t)10 * S;
    ck_assert_str_eq(told(&progress, BEGIN + (uint64_t)2 * S, 1500),
                     "readrandom: 1500 operations, 20 %, 500 a second");
    ck_assert_ptr_nonnull(strstr(told(&progress, BEGIN + (uint64_t)11 * S, 1500), " 100 %"));
    progress.duration_ns = progress.ops = 0;
    progress.workload = "compact";
    ck_assert_str_eq(told(&progress, BEGIN + (uint64_t)3 * S, 0), "compact: 3 s");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench-pace");
    TCase *tcase = tcase_create("pace");
    tcase_add_test(tcase, threads_share_the_rate_in_turns);
    tcase_add_test(tcase, latency_is_from_the_start_that_was_meant);
    tcase_add_test(tcase, without_a_rate_one_follows_the_other);
    tcase_add_test(tcase, a_run_ends_by_its_count_or_its_time);
    tcase_add_test(tcase, no_operation_begins_before_its_time);
    tcase_add_test(tcase, pauses_are_of_all_threads_together);
    tcase_add_test(tcase, ends_that_follow_closely_are_one);
    tcase_add_test(tcase, whole_seconds_without_an_end_are_counted);
    tcase_add_test(tcase, progress_is_by_count_by_time_or_unknown);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
