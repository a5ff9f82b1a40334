/*
 * counters.c: clients that increment the same counters by compare-and-set.
 *
 * counters --address A:P [--clients N] [--counters N] [--seconds D] [--prefix TEXT]
 *
 * Each client reads counters at random and writes back the next number on condition that the
 * counter is still at the revision that was read: by PUT with If-Match, or two at once by a batch
 * with a check of each. A counter that is absent is created with If-None-Match: *. Afterwards each
 * counter must be what the clients together say that they added, and the sum of all must be the
 * number of increments that were acknowledged. Prints one line; exits 1 on a difference or on an
 * answer that has no place here.
 */
#include "client.h"

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 256u
#define COUNTERS_MAX 10000u
#define BATCH_ONE_IN 4u
#define DIGITS_MAX 20u

struct run {
    const char *address;
    const char *prefix;
    unsigned clients_count;
    unsigned counters_count;
    unsigned seconds;
    uint64_t end_us;
};

struct client {
    const struct run *run;
    struct http_client http;
    uint64_t random;
    uint64_t *added; /* acknowledged increments of each counter */
    uint64_t refused;
    bool failed;
};

/* What a counter is: its number and revision, both 0 if it is absent. */
struct reading {
    unsigned counter;
    uint64_t number;
    uint64_t revision;
};

static unsigned draw(struct client *client, unsigned below)
{
    client->random = http_mix64(client->random);
    return (unsigned)(client->random % below);
}

static bool fail(struct client *client, const char *what, const struct http_answer *answer)
{
    fprintf(stderr, "%s: status %d, %.*s\n", what, answer->status, (int)answer->body_bytes,
            answer->body ? answer->body : "");
    client->failed = true;
    return false;
}

static bool read_counter(struct client *client, unsigned counter, struct reading *ret_reading)
{
    char target[128] = "";
    struct http_answer answer = {0};
    snprintf(target, sizeof target, "/kv/%s/%u?raw", client->run->prefix, counter);
    if (!http_client_ask(&client->http, "GET", target, &answer))
        return fail(client, "a GET was not answered", &answer);
    *ret_reading = (struct reading){.counter = counter};
    if (answer.status == 404)
        return true;
    char digits[DIGITS_MAX + 1] = "";
    if (answer.status != 200 || answer.body_bytes > DIGITS_MAX || answer.revision == 0)
        return fail(client, "GET", &answer);
    memcpy(digits, answer.body, answer.body_bytes);
    ret_reading->number = strtoull(digits, NULL, 10);
    ret_reading->revision = answer.revision;
    return true;
}

static void compose_put(struct client *client, const struct reading *old, struct text *request)
{
    char digits[DIGITS_MAX + 1] = "";
    int bytes = snprintf(digits, sizeof digits, "%llu", (unsigned long long)old->number + 1);
    text_format(request, "PUT /kv/%s/%u HTTP/1.1\r\nHost: localhost\r\n", client->run->prefix,
                old->counter);
    if (old->revision)
        text_format(request, "If-Match: \"%llu\"\r\n", (unsigned long long)old->revision);
    else
        text_format(request, "If-None-Match: *\r\n");
    text_format(request, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s",
                bytes, digits);
}

static void compose_batch(struct client *client, const struct reading *old, struct text *request)
{
    struct text body = {0};
    text_format(&body, "{\"ops\":[");
    for (unsigned i = 0; i < 2; i++)
        text_format(&body,
                    "%s{\"op\":\"check\",\"key\":\"%s/%u\",\"revision\":%llu},"
                    "{\"op\":\"put\",\"key\":\"%s/%u\",\"encoding\":\"utf8\",\"value\":\"%llu\"}",
                    i ? "," : "", client->run->prefix, old[i].counter,
                    (unsigned long long)old[i].revision, client->run->prefix, old[i].counter,
                    (unsigned long long)old[i].number + 1);
    text_format(&body, "]}");
    text_append_request(request, "POST", "/kv/batch", "application/json", body.data, body.bytes);
    text_deinit(&body);
}

/* One attempt to increment one counter, or two of them in one commit. */
static bool increment(struct client *client)
{
    struct reading old[2] = {0};
    struct text request = {0};
    struct http_answer answer = {0};
    unsigned count = draw(client, BATCH_ONE_IN) == 0 && client->run->counters_count > 1 ? 2 : 1;
    unsigned first = draw(client, client->run->counters_count);
    for (unsigned i = 0; i < count; i++)
        if (!read_counter(client, (first + i) % client->run->counters_count, &old[i]))
            return false;
    if (count == 2)
        compose_batch(client, old, &request);
    else
        compose_put(client, old, &request);
    bool answered = http_client_send(&client->http, request.data, request.bytes) &&
                    http_client_receive(&client->http, &answer);
    text_deinit(&request);
    if (!answered)
        return fail(client, "a write was not answered", &answer);
    if (answer.status == 412)
        client->refused++;
    else if (answer.status != 200)
        return fail(client, "a write", &answer);
    for (unsigned i = 0; i < count && answer.status == 200; i++)
        client->added[old[i].counter]++;
    return true;
}

static void *client_work(void *argument)
{
    struct client *client = argument;
    while (http_now_us() < client->run->end_us && increment(client))
        continue;
    return NULL;
}

/* The number of wrong counters; their sums go to the out-parameters. */
static unsigned compare(const struct run *run, struct client *clients, uint64_t *ret_found,
                        uint64_t *ret_added)
{
    unsigned wrong = 0;
    for (unsigned c = 0; c < run->counters_count; c++) {
        struct reading now = {0};
        uint64_t added = 0;
        for (unsigned i = 0; i < run->clients_count; i++)
            added += clients[i].added[c];
        if (!read_counter(&clients[0], c, &now) || now.number != added) {
            fprintf(stderr, "counter %u is %llu, acknowledged were %llu increments\n", c,
                    (unsigned long long)now.number, (unsigned long long)added);
            wrong++;
        }
        *ret_found += now.number;
        *ret_added += added;
    }
    return wrong;
}

static int run_all(struct run *run)
{
    pthread_t threads[CLIENTS_MAX];
    struct client *clients = calloc(run->clients_count, sizeof *clients);
    run->end_us = http_now_us() + (uint64_t)run->seconds * 1000000u;
    for (unsigned i = 0; i < run->clients_count; i++) {
        clients[i] = (struct client){.run = run, .random = http_mix64(http_now_us() + i)};
        clients[i].added = calloc(run->counters_count, sizeof *clients[i].added);
        if (!clients[i].added || http_client_open(&clients[i].http, run->address) != 0) {
            perror("a client cannot start");
            return 1;
        }
    }
    for (unsigned i = 0; i < run->clients_count; i++)
        if (pthread_create(&threads[i], NULL, client_work, &clients[i]) != 0)
            return 1;
    uint64_t refused = 0, found = 0, added = 0;
    bool failed = false;
    for (unsigned i = 0; i < run->clients_count; i++) {
        pthread_join(threads[i], NULL);
        refused += clients[i].refused;
        failed |= clients[i].failed;
    }
    unsigned wrong = failed ? 0 : compare(run, clients, &found, &added);
    printf("%u clients, %u counters, %u s: %llu increments acknowledged, %llu found, %llu refused "
           "for a change in between, %u counters wrong\n",
           run->clients_count, run->counters_count, run->seconds, (unsigned long long)added,
           (unsigned long long)found, (unsigned long long)refused, wrong);
    for (unsigned i = 0; i < run->clients_count; i++) {
        http_client_close(&clients[i].http);
        free(clients[i].added);
    }
    free(clients);
    return failed || wrong > 0 || added == 0 || found != added;
}

static int usage(void)
{
    fprintf(stderr, "usage: counters --address A:P [--clients N] [--counters N] [--seconds D] "
                    "[--prefix TEXT]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"address", required_argument, NULL, 'a'},  {"clients", required_argument, NULL, 'c'},
        {"counters", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'},
        {"prefix", required_argument, NULL, 'p'},   {0}};
    struct run run = {.address = "127.0.0.1:7070",
                      .prefix = "counters",
                      .clients_count = 16,
                      .counters_count = 100,
                      .seconds = 30};
    for (int flag = 0; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (flag == 'a')
            run.address = optarg;
        else if (flag == 'p')
            run.prefix = optarg;
        else if (flag == 'c')
            run.clients_count = (unsigned)atoi(optarg);
        else if (flag == 'n')
            run.counters_count = (unsigned)atoi(optarg);
        else if (flag == 's')
            run.seconds = (unsigned)atoi(optarg);
        else
            return usage();
    }
    if (optind != argc || run.clients_count == 0 || run.clients_count > CLIENTS_MAX ||
        run.counters_count == 0 || run.counters_count > COUNTERS_MAX)
        return usage();
    return run_all(&run);
}
