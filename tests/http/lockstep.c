/*
 * lockstep.c: many connections that all send at once, wait for all answers, and send again.
 *
 * lockstep --address A:P --clients N --seconds D [--value-bytes V] [--round-seconds R]
 *
 * This is the load that stops a server which loses a wake-up when a whole burst is ready at the
 * same time. Each round sends one durable PUT on each connection before any answer is read. A round
 * that takes longer than R seconds (10), an answer that is not 200 and a connection that ends are
 * failures. Prints one line: clients, rounds, requests/s, the longest round, failures; exits 1 on
 * any failure.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUND_SECONDS_MAX 10u
#define CLIENTS_MAX 16384u
#define EVENTS_MAX 1024
#define ANSWER_BYTES_MAX 4096u

struct client {
    int fd;
    bool answered;
    struct text request;
    size_t sent;
    size_t received;
    char answer[ANSWER_BYTES_MAX];
};

struct run {
    const char *address;
    unsigned clients_count;
    unsigned seconds;
    unsigned value_bytes;
    uint64_t round_us_max;
    int epoll;
    struct client *clients;
    unsigned waiting; /* clients whose answer of this round is due */
    uint64_t rounds;
    uint64_t longest_us;
    uint64_t failures;
};

static void prepare_request(struct run *run, unsigned number)
{
    struct text body = {0};
    char target[64] = "";
    snprintf(target, sizeof target, "/kv/lockstep/%05u", number);
    text_format(&body, "{\"value\":\"");
    for (unsigned i = 0; i < run->value_bytes / 3; i++)
        text_append(&body, "bG9j", 4);
    text_format(&body, "\"}");
    text_append_request(&run->clients[number].request, "PUT", target, "application/json", body.data,
                        body.bytes);
    text_deinit(&body);
}

static int connect_all(struct run *run)
{
    for (unsigned i = 0; i < run->clients_count; i++) {
        struct client *client = &run->clients[i];
        prepare_request(run, i);
        client->fd = http_connect(run->address);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (client->fd < 0 || fcntl(client->fd, F_SETFL, O_NONBLOCK) != 0 ||
            epoll_ctl(run->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0) {
            fprintf(stderr, "client %u cannot connect to %s: %s\n", i, run->address,
                    strerror(errno));
            return -1;
        }
    }
    return 0;
}

/* A client that failed takes no part any more. */
static void fail_client(struct run *run, struct client *client, const char *why)
{
    if (run->failures < 5)
        fprintf(stderr, "round %llu, client %u: %s\n", (unsigned long long)run->rounds,
                (unsigned)(client - run->clients), why);
    run->failures++;
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    if (!client->answered)
        run->waiting--;
    client->answered = true;
}

static void send_request(struct run *run, struct client *client)
{
    while (client->sent < client->request.bytes) {
        ssize_t sent = send(client->fd, client->request.data + client->sent,
                            client->request.bytes - client->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) { /* a request this small always fits into an idle connection's buffer */
            fail_client(run, client, strerror(errno));
            return;
        }
        client->sent += (size_t)sent;
    }
}

static void receive_answer(struct run *run, struct client *client)
{
    ssize_t got =
        recv(client->fd, client->answer + client->received, ANSWER_BYTES_MAX - client->received, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        fail_client(run, client, got == 0 ? "closed by the peer" : strerror(errno));
        return;
    }
    client->received += (size_t)got;
    struct http_answer answer = {0};
    size_t bytes = 0;
    switch (http_answer_parse(client->answer, client->received, &answer, &bytes)) {
    case HTTP_MORE:
        if (client->received == ANSWER_BYTES_MAX)
            fail_client(run, client, "an answer that is far too long");
        return;
    case HTTP_MALFORMED:
        fail_client(run, client, "an answer that is no HTTP");
        return;
    case HTTP_WHOLE:
        break;
    }
    if (answer.status != 200 || answer.closes || bytes != client->received || client->answered) {
        fail_client(run, client, "not one answer 200 that keeps the connection");
        return;
    }
    client->answered = true;
    run->waiting--;
}

/* false if no client is left. */
static bool run_round(struct run *run)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t start = http_now_us();
    run->waiting = 0;
    for (unsigned i = 0; i < run->clients_count; i++) {
        struct client *client = &run->clients[i];
        if (client->fd < 0)
            continue;
        client->answered = false;
        client->sent = client->received = 0;
        run->waiting++;
        send_request(run, client);
    }
    bool any = run->waiting > 0;
    while (run->waiting > 0) {
        uint64_t spent = http_now_us() - start;
        if (spent >= run->round_us_max)
            break;
        int ready = epoll_wait(run->epoll, events, EVENTS_MAX,
                               (int)((run->round_us_max - spent) / 1000) + 1);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (client->fd >= 0)
                receive_answer(run, client);
        }
    }
    for (unsigned i = 0; i < run->clients_count; i++)
        if (run->clients[i].fd >= 0 && !run->clients[i].answered)
            fail_client(run, &run->clients[i], "no answer in time");
    uint64_t took = http_now_us() - start;
    if (took > run->longest_us)
        run->longest_us = took;
    run->rounds++;
    return any;
}

static int run_all(struct run *run)
{
    run->clients = calloc(run->clients_count, sizeof *run->clients);
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run->clients || run->epoll < 0 || connect_all(run) != 0)
        return 1;
    uint64_t start = http_now_us();
    uint64_t end = start + (uint64_t)run->seconds * 1000000u;
    while (http_now_us() < end && run_round(run))
        continue;
    double seconds = (double)(http_now_us() - start) / 1e6;
    printf("%u clients: %llu rounds, %.0f requests/s, longest round %.1f ms, %llu failures\n",
           run->clients_count, (unsigned long long)run->rounds,
           (double)run->rounds * run->clients_count / seconds, (double)run->longest_us / 1e3,
           (unsigned long long)run->failures);
    for (unsigned i = 0; i < run->clients_count; i++) {
        if (run->clients[i].fd >= 0)
            close(run->clients[i].fd);
        text_deinit(&run->clients[i].request);
    }
    free(run->clients);
    close(run->epoll);
    return run->failures > 0 || run->rounds == 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: lockstep --address A:P --clients N --seconds D [--value-bytes V] "
                    "[--round-seconds R]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"address", required_argument, NULL, 'a'},
                                            {"clients", required_argument, NULL, 'c'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"value-bytes", required_argument, NULL, 'v'},
                                            {"round-seconds", required_argument, NULL, 'r'},
                                            {0}};
    struct run run = {.address = "127.0.0.1:7070",
                      .clients_count = 128,
                      .seconds = 30,
                      .value_bytes = 99,
                      .round_us_max = ROUND_SECONDS_MAX * 1000000u};
    for (int flag = 0; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (flag == 'a')
            run.address = optarg;
        else if (flag == 'c')
            run.clients_count = (unsigned)atoi(optarg);
        else if (flag == 's')
            run.seconds = (unsigned)atoi(optarg);
        else if (flag == 'v')
            run.value_bytes = (unsigned)atoi(optarg);
        else if (flag == 'r')
            run.round_us_max = (uint64_t)atoi(optarg) * 1000000u;
        else
            return usage();
    }
    if (optind != argc || run.clients_count == 0 || run.clients_count > CLIENTS_MAX)
        return usage();
    struct rlimit files = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    return run_all(&run);
}
