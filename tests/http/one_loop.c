/* The pool has no threads: the test runs the workers' jobs itself. */
#include "one_loop.h"

#include <arpa/inet.h>
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/db.h"
#include "must.h"
#include "os/sync.h"
#include "service/settings.h"

struct tmpdir dir;
struct fault_env *disk, *cache;
struct service service;
struct event_loop *loop;
struct http_client asker, other;
char loop_address[32];
unsigned others_answered;
bool loop_runs;
atomic_bool disk_is_stuck, disk_was_reached;

static struct service_config config;
static struct journal journal;

static int listen_anywhere(char ret_address[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0);
    must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    must(listen(fd, 16) == 0);
    must(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    snprintf(ret_address, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

void client_open(struct http_client *client, const char *address)
{
    struct timeval patience = {.tv_sec = DEADLINE_S};
    must(http_client_open(client, address) == 0);
    must(setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
}

void put(const char *key, const char *value)
{
    ck_assert_int_eq(varve_put(service_db(&service), varve_slice_str(key), varve_slice_str(value),
                               VARVE_SYNC_OFF, NULL),
                     VARVE_OK);
}

/* "cold" and "cool" are in a table, "hot" in the memtable. */
static void store_open(void)
{
    struct varve_db *db = NULL;
    disk = fault_env_new(env_posix());
    cache = fault_env_new(fault_env_env(disk));
    must_ok(db_open(tmpdir_path(&dir, "store"), &config.engine, fault_env_env(cache), false, &db,
                    NULL));
    atomic_store(&service.db, db);
    atomic_store(&service.state, SERVICE_READY);
    put("cold", "ice");
    put("cool", "water");
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
    put("hot", "steam");
}

void service_start(void)
{
    struct settings *settings = NULL;
    json_object_seed(0);
    tmpdir_make(&dir);
    config_init(&config);
    journal = (struct journal){.fd = STDERR_FILENO, .level = VARVE_LOG_ERROR};
    service = (struct service){.config = &config, .journal = &journal};
    service.loops = &loop;
    service.loop_count = 1;
    mutex_init(&service.mu.lock);
    must_ok(settings_load(&config, &settings, NULL));
    service_set_settings(&service, settings);
    must_ok(thread_pool_new(&(struct thread_pool_options){.name = "work"}, &service.workers));
    must_ok(thread_pool_new(&(struct thread_pool_options){.name = "scan"}, &service.scanners));
    must_ok(event_loop_new(&service, 0, listen_anywhere(loop_address), &loop));
    store_open();
    must_ok(event_loop_start(loop));
    loop_runs = true;
    client_open(&asker, loop_address);
    client_open(&other, loop_address);
    others_answered = 0;
}

void loop_drain(void)
{
    uint64_t now_ms = event_loop_clock_ms();
    event_loop_drain(loop, now_ms, now_ms + 2000 * DEADLINE_S);
}

void loop_stop(void)
{
    loop_drain();
    event_loop_join(loop);
    loop_runs = false;
}

void service_stop(void)
{
    atomic_store(&disk_is_stuck, false);
    http_client_close(&asker);
    http_client_close(&other);
    while (thread_pool_step(service.workers) || thread_pool_step(service.scanners)) {
    }
    if (loop_runs)
        loop_stop();
    thread_pool_free(service.workers);
    thread_pool_free(service.scanners);
    ck_assert_int_eq(varve_close(service_db(&service)), VARVE_OK);
    event_loop_free(loop);
    settings_unref(service.mu.settings);
    mutex_deinit(&service.mu.lock);
    fault_env_free(cache);
    fault_env_free(disk);
    tmpdir_remove(&dir);
}

/* The other client asks for what is in memory. On the loop's own thread it would wait in vain. */
void ask_for_other(void *context)
{
    struct http_answer answer = {0};
    if (http_client_ask(&other, "GET", "/kv/hot?raw", &answer) && answer.status == 200)
        others_answered++;
}

void send_request(const char *method, const char *target, const char *fields, const char *body)
{
    struct text request = {0};
    text_format(&request, "%s %s HTTP/1.1\r\nHost: varve\r\n%s", method, target, fields);
    if (body != NULL)
        text_format(&request, "Content-Length: %zu\r\n", strlen(body));
    text_format(&request, "\r\n%s", body != NULL ? body : "");
    ck_assert(http_client_send(&asker, request.data, request.bytes));
    text_deinit(&request);
}

/* Runs the job that the request has led to, or will. */
void run_job_of(struct thread_pool *pool)
{
    uint64_t until_ms = event_loop_clock_ms() + DEADLINE_S * 1000;
    while (!thread_pool_step(pool)) {
        ck_assert_msg(event_loop_clock_ms() < until_ms, "nothing was left to a worker");
        sleep_us(500);
    }
}

void run_job(void)
{
    run_job_of(service.workers);
}

/* `part` is to be found in the body. */
void expect_answer(int status, const char *part)
{
    struct http_answer answer = {0};
    ck_assert(http_client_receive(&asker, &answer));
    ck_assert_int_eq(answer.status, status);
    ck_assert_msg(memmem(answer.body, answer.body_bytes, part, strlen(part)) != NULL,
                  "%s is not in %.*s", part, (int)answer.body_bytes, answer.body);
}

bool is_stored(const char *key, const char *value)
{
    struct varve_value found = {0};
    enum varve_status status = varve_get(service_db(&service), varve_slice_str(key), NULL, &found);
    bool same = status == VARVE_OK && varve_slice_compare(found.data, varve_slice_str(value)) == 0;
    varve_value_release(&found);
    return same;
}

void wait_for_disk(void *context)
{
    atomic_store(&disk_was_reached, true);
    while (atomic_load(&disk_is_stuck))
        sleep_us(500);
}
