/*
 * Nobody is held up: what may take long runs on a worker while the event loop serves others.
 *
 * One loop, and a pool without threads: the test runs the workers' jobs itself. So a request that
 * is done on the loop after all leaves no job to run; and in the middle of a job, where it reads
 * from the disk, the test asks the same loop for something else and waits for the answer. A loop
 * that is held up could not give it.
 *
 * The linker puts functions of this file in front of the allocator, so that one allocation of the
 * service can fail.
 */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <varve/varve.h>

#include "must.h"
#include "one_loop.h"
#include "os/sync.h"
#include "run_suite.h"
#include "service/limits.h"

/* Of the allocator. */

static atomic_uint allocations_left; /* until one fails; 0: none does */
static _Thread_local bool is_spared;

static bool allocation_fails(void)
{
    unsigned left = atomic_load(&allocations_left);
    if (left == 0 || is_spared)
        return false;
    while (!atomic_compare_exchange_weak(&allocations_left, &left, left - 1)) {
        if (left == 0)
            return false;
    }
    return left == 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(memory, size);
}

/* Of the tests. */

/* From now on the system's page cache is empty, and the first read of a table takes so long that
 * the other client is served meanwhile. */
static void disk_is_slow(void)
{
    static const struct fault_rule cold = {
        .operations = FAULT_READ_CACHED, .at = 1, .for_good = true, .status = VARVE_WOULD_BLOCK};
    static const struct fault_rule slow = {
        .operations = FAULT_READ, .pattern = "*.sst", .at = 1, .hook = ask_for_other};
    fault_env_set_rule(cache, &cold);
    fault_env_set_rule(disk, &slow);
}

static void put_long(const char *key, size_t bytes)
{
    struct text value = {0};
    text_format(&value, "%0*u%c", (int)bytes, 0, '\0');
    put(key, value.data);
    text_deinit(&value);
}

static uint64_t deferred(enum meter_op op)
{
    return atomic_load(&loop->meter.deferred[op]);
}

/* Requests whose reads wait for the disk. */
static const struct cold_request {
    const char *method, *target, *fields, *body;
    enum meter_op op;
    int status;
    const char *part; /* of the answer */
} cold_requests[] = {
    {"GET", "/kv/cold?raw", "", NULL, METER_OP_GET, 200, "ice"},
    {"GET", "/kv/cold", "If-None-Match: W/\"9\"\r\n", NULL, METER_OP_GET, 200, "aWNl"},
    {"GET", "/kv/cole", "", NULL, METER_OP_GET, 404, "not_found"},
    {"POST", "/kv/batch", JSON_FIELD,
     "{\"ops\":[{\"op\":\"get\",\"key\":\"hot\"},{\"op\":\"get\",\"key\":\"cold\"}]}",
     METER_OP_BATCH, 200, "aWNl"},
    {"POST", "/kv/batch", JSON_FIELD,
     "{\"ops\":[{\"op\":\"put\",\"key\":\"new\",\"value\":\"\"},{\"op\":\"get\",\"key\":\"cold\"}]"
     "}",
     METER_OP_BATCH, 200, "aWNl"},
    {"POST", "/kv/batch", JSON_FIELD,
     "{\"ops\":[{\"op\":\"check\",\"key\":\"hot\",\"revision\":0},"
     "{\"op\":\"check\",\"key\":\"cold\",\"revision\":1}]}",
     METER_OP_BATCH, 412, "\"failed_ops\":[{\"index\":0,\"current_revision\":3}]"},
    {"POST", "/kv/batch", JSON_FIELD,
     "{\"ops\":[{\"op\":\"check\",\"key\":\"cold\",\"revision\":1},"
     "{\"op\":\"put\",\"key\":\"cold\",\"value\":\"\"}]}",
     METER_OP_BATCH, 200, "\"revision\":4"},
    {"PUT", "/kv/cold", RAW_FIELD "If-Match: \"1\"\r\n", "melted", METER_OP_PUT, 200,
     "\"revision\":4"},
    {"PUT", "/kv/cold", RAW_FIELD "If-None-Match: *\r\n", "melted", METER_OP_PUT, 412,
     "\"current_revision\":1"},
    {"DELETE", "/kv/cold", "If-Match: \"2\"\r\n", NULL, METER_OP_DELETE, 412,
     "\"current_revision\":1"},
};

START_TEST(a_cold_read_holds_nobody_up)
{
    const struct cold_request *request = &cold_requests[_i];
    disk_is_slow();
    send_request(request->method, request->target, request->fields, request->body);
    run_job();
    expect_answer(request->status, request->part);
    ck_assert_uint_eq(others_answered, 1);
    ck_assert_uint_eq(deferred(request->op), 1);
}
END_TEST

START_TEST(a_cold_head_holds_nobody_up)
{
    char answer[2048];
    disk_is_slow();
    send_request("HEAD", "/kv/cold?raw", "", NULL);
    run_job();
    ssize_t size = recv(asker.fd, answer, sizeof answer - 1, 0);
    ck_assert_int_gt(size, 0);
    answer[size] = '\0';
    ck_assert_ptr_nonnull(strstr(answer, " 200 "));
    ck_assert_ptr_nonnull(strstr(answer, "Content-Length: 3\r\n"));
    ck_assert_uint_eq(others_answered, 1);
    ck_assert_uint_eq(deferred(METER_OP_GET), 1);
}
END_TEST

START_TEST(a_read_of_memory_is_answered_at_once)
{
    disk_is_slow();
    send_request("GET", "/kv/hot?raw", "", NULL);
    expect_answer(200, "steam");
    send_request("PUT", "/kv/hot", RAW_FIELD "If-Match: \"3\"\r\n", "damp");
    expect_answer(200, "\"revision\":4");
    ck_assert(!thread_pool_step(service.workers));
    ck_assert_uint_eq(deferred(METER_OP_GET) + deferred(METER_OP_PUT), 0);
}
END_TEST

START_TEST(a_scan_holds_nobody_up)
{
    disk_is_slow();
    send_request("GET", "/kv/range", "", NULL);
    run_job_of(service.scanners);
    expect_answer(200, "\"count\":3");
    ck_assert_uint_eq(others_answered, 1);
}
END_TEST

#define HIDDEN_STEPS 3u

/* So many that it takes some steps to pass them. */
static void delete_many(void)
{
    struct varve_batch *batch = NULL;
    must_ok(varve_batch_new(&batch));
    for (unsigned i = 0; i < HIDDEN_STEPS * LIMIT_SCAN_STEP_HIDDEN; i++) {
        char key[16];
        snprintf(key, sizeof key, "d%06u", i);
        must_ok(varve_batch_delete(batch, varve_slice_str(key)));
    }
    must_ok(varve_write(service_db(&service), batch, VARVE_SYNC_OFF, NULL));
    varve_batch_free(batch);
}

/* It goes in steps, behind which others have their turn, and leaves the workers to cold reads. */
START_TEST(a_page_over_deleted_keys_holds_nobody_up)
{
    delete_many();
    send_request("GET", "/kv/range?start=d", "", NULL);
    run_job_of(service.scanners);
    for (unsigned i = 0; i < HIDDEN_STEPS; i++) {
        ask_for_other(NULL);
        ck_assert_uint_eq(atomic_load(&service.scans), 1);
        ck_assert(thread_pool_step(service.scanners));
    }
    ck_assert_uint_eq(others_answered, HIDDEN_STEPS);
    ck_assert(!thread_pool_step(service.scanners));
    ck_assert(!thread_pool_step(service.workers));
    expect_answer(200, "\"items\":[{\"key\":\"hot\"");
}
END_TEST

/* What it has is charged, and where there is no room for that it is refused. */
START_TEST(a_page_that_takes_long_needs_room)
{
    put_long("d", LIMIT_FREE_ANSWER_BYTES);
    delete_many();
    atomic_store(&service.answer_bytes_max, 1);
    atomic_store(_i == 0 ? &service.answer_bytes : &service.scans, 64); /* of others */
    send_request("GET", "/kv/range?start=d", "", NULL);
    run_job_of(service.scanners);
    ck_assert(!thread_pool_step(service.scanners));
    expect_answer(503, "busy");
    atomic_store(_i == 0 ? &service.answer_bytes : &service.scans, 0);
}
END_TEST

START_TEST(a_shutdown_does_not_wait_for_deleted_keys)
{
    char rest[16];
    delete_many();
    send_request("GET", "/kv/range?start=d", "", NULL);
    run_job_of(service.scanners);
    uint64_t now_ms = event_loop_clock_ms();
    event_loop_drain(loop, now_ms, now_ms);
    ck_assert_int_eq(recv(asker.fd, rest, sizeof rest, 0), 0);
    ck_assert(thread_pool_step(service.scanners));
    ck_assert(!thread_pool_step(service.scanners));
    event_loop_join(loop);
    loop_runs = false;
}
END_TEST

/* It reads nothing, but is long to parse. */
START_TEST(a_large_batch_holds_nobody_up)
{
    struct text body = {0};
    text_format(&body, "{\"ops\":[");
    for (unsigned i = 0; i < 5000; i++)
        text_format(&body, "%s{\"op\":\"put\",\"key\":\"k%u\",\"value\":\"\"}", i > 0 ? "," : "",
                    i);
    text_format(&body, "]}%c", '\0');
    send_request("POST", "/kv/batch", JSON_FIELD, body.data);
    text_deinit(&body);
    ask_for_other(NULL);
    ck_assert_uint_eq(others_answered, 1);
    run_job();
    expect_answer(200, "\"revision\":4");
}
END_TEST

/* The k-th allocation fails on the way to an answer: what it says of the write is true all the
 * same. Key and value are so long that the request, the batch and the answer take more memory than
 * an exchange keeps. */

#define LONG_KEY_BYTES 4096
#define LONG_VALUE_BYTES 9000

/* The answer's status; 0: the connection was closed without one. */
static int ask_with_failure(unsigned at, const char *key, const char *value, bool *ret_unsure)
{
    static const char unsure[] = "outcome_unknown";
    char target[LONG_KEY_BYTES + 16];
    struct http_answer answer = {0};
    snprintf(target, sizeof target, "/kv/%s", key);
    http_client_close(&asker);
    client_open(&asker, loop_address);
    atomic_store(&allocations_left, at);
    send_request("PUT", target, RAW_FIELD, value);
    bool answered = http_client_receive(&asker, &answer);
    *ret_unsure = !answered || memmem(answer.body, answer.body_bytes, unsure, strlen(unsure));
    return answered ? answer.status : 0;
}

START_TEST(a_refusal_for_want_of_memory_is_true)
{
    char key[LONG_KEY_BYTES + 1];
    unsigned refused = 0, unsure = 0;
    bool failed = true;
    memset(key, '"', LONG_KEY_BYTES);
    key[LONG_KEY_BYTES] = '\0';
    is_spared = true;
    for (unsigned at = 1; failed; at++) {
        char value[LONG_VALUE_BYTES + 1];
        bool is_unsure = false;
        snprintf(value, sizeof value, "%0*u", LONG_VALUE_BYTES, at);
        int status = ask_with_failure(at, key, value, &is_unsure);
        failed = atomic_exchange(&allocations_left, 0) == 0;
        if (!is_unsure)
            ck_assert_msg(is_stored(key, value) == (status == 200), "allocation %u: %d", at,
                          status);
        refused += !is_unsure && status != 200;
        unsure += is_unsure && status != 0;
    }
    is_spared = false;
    ck_assert_uint_ge(refused, 1);
    ck_assert_uint_ge(unsure, 1);
}
END_TEST

static void expect_work(int status, const char *part)
{
    ask_for_other(NULL);
    ck_assert_uint_eq(others_answered, 1);
    run_job();
    expect_answer(status, part);
    ck_assert(!thread_pool_step(service.workers));
    ck_assert_uint_eq(deferred(METER_OP_GET) + deferred(METER_OP_PUT) + deferred(METER_OP_BATCH),
                      0);
}

static void send_put(size_t bytes, const char *end, const char *fields)
{
    struct text body = {0};
    text_format(&body, "{\"value\":\"%0*u%s\",\"encoding\":\"utf8\"}%c", (int)bytes, 0, end, '\0');
    send_request("PUT", "/kv/large", fields, body.data);
    text_deinit(&body);
}

static const struct large_put {
    const char *fields, *end;
    int status;
    const char *part;
} large_puts[] = {
    {JSON_FIELD "If-None-Match: *\r\n", "", 200, "\"revision\":4"},
    {JSON_FIELD "If-Match: \"9\"\r\n", "", 412, "precondition_failed"},
    {JSON_FIELD, "\\x", 400, "invalid_json"},
};

START_TEST(a_large_put_holds_nobody_up)
{
    send_put(LIMIT_INLINE_JSON_BYTES, large_puts[_i].end, large_puts[_i].fields);
    expect_work(large_puts[_i].status, large_puts[_i].part);
}
END_TEST

static const struct large_get {
    const char *method, *target, *body;
    size_t bytes; /* of the value */
    const char *part;
} large_gets[] = {
    {"GET", "/kv/large", NULL, LIMIT_INLINE_JSON_BYTES / 4 * 3, "MDAw"},
    {"GET", "/kv/large?encoding=utf8", NULL, LIMIT_INLINE_JSON_BYTES, "0000"},
    {"GET", "/kv/large?encoding=utf8", NULL, LIMIT_INLINE_JSON_BYTES / 6, "0000"},
    {"POST", "/kv/batch", "{\"ops\":[{\"op\":\"get\",\"key\":\"large\"}]}",
     LIMIT_INLINE_JSON_BYTES / 4 * 3, "MDAw"},
    {"POST", "/kv/batch",
     "{\"ops\":[{\"op\":\"get\",\"key\":\"large\"},{\"op\":\"put\",\"key\":\"n\",\"value\":\"\"},"
     "{\"op\":\"get\",\"key\":\"large\"}]}",
     LIMIT_INLINE_JSON_BYTES / 8 * 3, "\"revision\":5"},
};

START_TEST(a_large_answer_holds_nobody_up)
{
    const struct large_get *request = &large_gets[_i];
    put_long("large", request->bytes);
    send_request(request->method, request->target, request->body != NULL ? JSON_FIELD : "",
                 request->body);
    expect_work(200, request->part);
}
END_TEST

START_TEST(small_json_is_answered_at_once)
{
    send_put(LIMIT_INLINE_JSON_BYTES / 8, "", JSON_FIELD);
    expect_answer(200, "\"revision\":4");
    send_request("GET", "/kv/large", "", NULL);
    expect_answer(200, "MDAw");
    send_request("POST", "/kv/batch", JSON_FIELD, "{\"ops\":[{\"op\":\"get\",\"key\":\"large\"}]}");
    expect_answer(200, "MDAw");
    ck_assert(!thread_pool_step(service.workers));
}
END_TEST

/* One that waits for what takes long, on a thread of its own; the merge is held up by the disk. */

static void *run_job_elsewhere(void *context)
{
    run_job();
    return NULL;
}

START_TEST(a_shutdown_does_not_wait_for_a_merge)
{
    static const struct fault_rule stuck = {.operations = FAULT_WRITE,
                                            .pattern = "*.sst",
                                            .at = 1,
                                            .for_good = true,
                                            .hook = wait_for_disk};
    struct varve_db *db = service_db(&service);
    pthread_t worker;
    put("cold", "ice");
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    atomic_store(&disk_was_reached, false);
    atomic_store(&disk_is_stuck, true);
    fault_env_set_rule(disk, &stuck);
    must(pthread_create(&worker, NULL, run_job_elsewhere, NULL) == 0);
    send_request("POST", "/admin/compact?wait=true", "", NULL);
    while (!atomic_load(&disk_was_reached))
        sleep_us(500);
    loop_drain();
    expect_answer(503, "draining");
    must(pthread_join(worker, NULL) == 0);
    loop_stop();
    atomic_store(&disk_is_stuck, false);
}
END_TEST

/* With the wall clock set back by an hour what is to live for a minute does. */
START_TEST(a_time_to_live_counts_from_store_time)
{
    static const char batch[] = "{\"ops\":[{\"op\":\"put\",\"key\":\"two\",\"value\":\"YQ==\","
                                "\"ttl\":60}]}";
    fault_env_set_wall_offset_ms(cache, 3600 * 1000);
    put("later", "the store has gone by this time");
    fault_env_set_wall_offset_ms(cache, 0);
    send_request("PUT", "/kv/one?ttl=60", "Content-Type: application/octet-stream\r\n", "a");
    expect_answer(200, "revision");
    send_request("POST", "/kv/batch", JSON_FIELD, batch);
    expect_answer(200, "revision");
    send_request("GET", "/kv/one?raw", "", NULL);
    expect_answer(200, "a");
    send_request("GET", "/kv/two?raw", "", NULL);
    expect_answer(200, "a");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *held_up = tcase_create("held_up");
    tcase_set_timeout(held_up, 10 * DEADLINE_S);
    tcase_add_checked_fixture(held_up, service_start, service_stop);
    tcase_add_loop_test(held_up, a_cold_read_holds_nobody_up, 0,
                        sizeof cold_requests / sizeof cold_requests[0]);
    tcase_add_test(held_up, a_cold_head_holds_nobody_up);
    tcase_add_test(held_up, a_read_of_memory_is_answered_at_once);
    tcase_add_test(held_up, a_scan_holds_nobody_up);
    tcase_add_test(held_up, a_page_over_deleted_keys_holds_nobody_up);
    tcase_add_loop_test(held_up, a_page_that_takes_long_needs_room, 0, 2);
    tcase_add_test(held_up, a_shutdown_does_not_wait_for_deleted_keys);
    tcase_add_test(held_up, a_large_batch_holds_nobody_up);
    tcase_add_test(held_up, a_time_to_live_counts_from_store_time);
    tcase_add_loop_test(held_up, a_large_put_holds_nobody_up, 0,
                        sizeof large_puts / sizeof large_puts[0]);
    tcase_add_loop_test(held_up, a_large_answer_holds_nobody_up, 0,
                        sizeof large_gets / sizeof large_gets[0]);
    tcase_add_test(held_up, small_json_is_answered_at_once);
    tcase_add_test(held_up, a_shutdown_does_not_wait_for_a_merge);
    tcase_add_test(held_up, a_refusal_for_want_of_memory_is_true);
    suite_add_tcase(suite, held_up);
    return run_suite(suite);
}
