/*
 * empty_handler.c: the most that libmicrohttpd can do on event loops shaped as varved's.
 *
 * empty_handler --port P [--threads N]
 *
 * Each thread has a daemon of its own in external epoll mode on a socket of its own with
 * SO_REUSEPORT, polls the daemon's epoll descriptor beside an eventfd, and runs the daemon when
 * there is something to do. A request's body is read and dropped; every request gets one constant
 * answer of the size that a PUT gets. Nothing can be faster over the same library, so varved's
 * figures are stated as a share of this one. Runs until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#define THREADS_MAX 64u
#define BACKLOG 1024
#define IDLE_TIMEOUT_MS 1000
#define POOL_BYTES 16384
#define CONNECTIONS_MAX 4096u

static const char answer_text[] = "{\"key\":\"bench/000001\",\"revision\":1234567}";

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_bytes, void **request)
{
    struct MHD_Response *answer = context;
    static int seen;
    if (!*request) {
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_bytes) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, answer);
}

static int open_listener(uint16_t port)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0 &&
        bind(fd, (struct sockaddr *)&own, sizeof own) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    fprintf(stderr, "cannot listen on port %u: %s\n", port, strerror(errno));
    exit(1);
}

static void *run_loop(void *context)
{
    int listener = open_listener(*(const uint16_t *)context);
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct MHD_Response *answer = MHD_create_response_from_buffer(
        sizeof answer_text - 1, (void *)(uintptr_t)answer_text, MHD_RESPMEM_PERSISTENT);
    if (wake < 0 || !answer || !MHD_add_response_header(answer, "Content-Type", "application/json"))
        exit(1);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handle, answer, MHD_OPTION_LISTEN_SOCKET,
                         listener, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
                         MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        daemon ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        fprintf(stderr, "libmicrohttpd does not start\n");
        exit(1);
    }
    struct pollfd polled[2] = {{.fd = info->epoll_fd, .events = POLLIN},
                               {.fd = wake, .events = POLLIN}};
    for (;;) {
        MHD_UNSIGNED_LONG_LONG due_ms = IDLE_TIMEOUT_MS;
        if (MHD_get_timeout(daemon, &due_ms) == MHD_YES && due_ms > IDLE_TIMEOUT_MS)
            due_ms = IDLE_TIMEOUT_MS;
        if (poll(polled, 2, (int)due_ms) < 0 && errno != EINTR)
            exit(1);
        MHD_run(daemon);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'}, {"threads", required_argument, NULL, 't'}, {0}};
    static uint16_t port = 7071;
    unsigned threads_count = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t thread = {0};
    for (int flag = 0; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (flag == 'p')
            port = (uint16_t)atoi(optarg);
        else if (flag == 't')
            threads_count = (unsigned)atoi(optarg);
        else
            return 2;
    }
    if (threads_count == 0 || threads_count > THREADS_MAX)
        return 2;
    for (unsigned i = 0; i < threads_count; i++)
        if (pthread_create(&thread, NULL, run_loop, &port) != 0)
            return 1;
    pthread_join(thread, NULL);
    return 0;
}
