/*
 * Commits that take long, or whose client does not wait for them: how connections wait for the
 * store (service/event_loop.c).
 */
#include <check.h>
#include <stdio.h>
#include <sys/socket.h>

#include "must.h"
#include "one_loop.h"
#include "os/sync.h"
#include "run_suite.h"

/* A commit has come to its sync and stays there. */
static void begin_stuck_put(const char *target)
{
    static const struct fault_rule stuck = {
        .operations = FAULT_SYNC, .pattern = "*.wal", .at = 1, .hook = wait_for_disk};
    atomic_store(&disk_was_reached, false);
    atomic_store(&disk_is_stuck, true);
    fault_env_set_rule(disk, &stuck);
    send_request("PUT", target, RAW_FIELD, "steam");
    while (!atomic_load(&disk_was_reached))
        sleep_us(500);
}

/* More than a connection is asked for before it is suspended. */
START_TEST(a_commit_that_takes_many_turns_is_answered)
{
    begin_stuck_put("/kv/late");
    for (unsigned i = 0; i < 100; i++)
        ask_for_other(NULL);
    ck_assert_uint_eq(others_answered, 100);
    atomic_store(&disk_is_stuck, false);
    expect_answer(200, "\"revision\":4");
}
END_TEST

START_TEST(a_client_may_go_during_its_commit)
{
    const struct linger at_once = {.l_onoff = 1};
    begin_stuck_put("/kv/left");
    must(setsockopt(asker.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    http_client_close(&asker);
    while (atomic_load(&service.connections) > 1)
        sleep_us(500);
    ask_for_other(NULL);
    ck_assert_uint_eq(others_answered, 1);
    atomic_store(&disk_is_stuck, false);
    client_open(&asker, loop_address);
    for (int revision = 5; revision < 8; revision++) {
        char part[32];
        snprintf(part, sizeof part, "\"revision\":%d", revision);
        send_request("PUT", "/kv/next", RAW_FIELD, "steam");
        expect_answer(200, part);
    }
    ck_assert(is_stored("left", "steam"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("commit_wait");
    TCase *waits = tcase_create("waits");
    tcase_set_timeout(waits, 10 * DEADLINE_S);
    tcase_add_checked_fixture(waits, service_start, service_stop);
    tcase_add_test(waits, a_commit_that_takes_many_turns_is_answered);
    tcase_add_test(waits, a_client_may_go_during_its_commit);
    suite_add_tcase(suite, waits);
    return run_suite(suite);
}
