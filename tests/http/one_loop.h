/*
 * tests/http/one_loop.h: a service with one event loop, in the test's own process, on a store whose
 * disk can be made to fail or wait; its workers' jobs are run by the test. Two clients are
 * connected to it. One test at a time has it, between service_start and service_stop.
 */
#ifndef TESTS_HTTP_ONE_LOOP_H
#define TESTS_HTTP_ONE_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <varve/varve.h>

#include "client.h"
#include "fault_env.h"
#include "os/thread_pool.h"
#include "service/event_loop.h"
#include "tmpdir.h"

#define DEADLINE_S 30 /* nothing here takes anywhere near so long, unless it is held up */

#define JSON_FIELD "Content-Type: application/json\r\n"
#define RAW_FIELD "Content-Type: application/octet-stream\r\n"

extern struct tmpdir dir;
extern struct fault_env *disk;  /* calls the hook when it is read */
extern struct fault_env *cache; /* of the system, in front of it: may be cold */
extern struct service service;
extern struct event_loop *loop;
extern struct http_client asker, other;
extern char loop_address[32];
extern unsigned others_answered;
extern bool loop_runs;
extern atomic_bool disk_is_stuck, disk_was_reached;

/* "cold" and "cool" are in a table, "hot" in the memtable. */
void service_start(void);
void service_stop(void);
void loop_drain(void);
void loop_stop(void);

void client_open(struct http_client *client, const char *address);

/* Without HTTP. */
void put(const char *key, const char *value);
bool is_stored(const char *key, const char *value);

/* The other client asks for what is in memory; on the loop's own thread it would wait in vain. */
void ask_for_other(void *context);

/* Of the asker. */
void send_request(const char *method, const char *target, const char *fields, const char *body);
/* `part` is to be found in the body. */
void expect_answer(int status, const char *part);

/* Runs the job that the request has led to, or will. */
void run_job_of(struct thread_pool *pool);
void run_job(void);

/* A hook: notes that it was called and stays as long as the disk is stuck. */
void wait_for_disk(void *context);

#endif
