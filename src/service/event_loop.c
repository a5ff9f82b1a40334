/*
 * The daemon runs in external epoll mode: in its own epoll threads it waits for ever when a wake-up
 * brings exactly as many events as its array holds. The loop polls the daemon's epoll descriptor
 * and its own eventfd.
 *
 * Finished writes come as lists. A committing thread pushes each list as one link of a stack (the
 * link is `reserved[0]`, ours again on delivery) and writes to the eventfd only if the stack was
 * empty, for then nobody else has; the loop takes the whole stack at once. So a commit group costs
 * one wake-up at most, however many connections wait for it. A resumed connection is not in any
 * epoll set: the daemon has to be run at once to go on with it.
 *
 * A suspended connection is taken out of the epoll set and put in again, and its socket is read
 * from to see what it has missed: three system calls, where a request and its answer take two. So a
 * commit is first waited for without that (it lingers): libmicrohttpd then calls the handler at
 * every turn, and has no time to sleep, it says. The loop sleeps all the same once a run of the
 * daemon has called nobody else. If libmicrohttpd has left something to do in such a run, and said
 * so to nobody, it is done in the next one, which comes with the commit at the latest. What lingers
 * for LINGER_TURNS is suspended after all, so that a turn does not become dear where many wait for
 * long. libmicrohttpd watches a connection that lingers, and may close it: its exchange is then an
 * orphan until the store is done with it.
 *
 * A turn: sleep unless there is something to do, take what was delivered, run the daemon, queue the
 * writes that it brought in one step, now and then look for connections that have had their time.
 */
#include "service/event_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "service/exchange.h"
#include "service/settings.h"

/* Header fields, request line, their parsed form and the answer's header share this memory. It is
 * cleared for every request, so no larger than needed for 16 KiB of header, or for 18 KiB of header
 * and target with 64 bytes a field. */
#define CONNECTION_MEMORY_BYTES (20u << 10)
/* Over the service's own limit, so that one too many can be told so. Further ones are closed at
 * once: the daemon's limit could not change while it runs. */
#define CONNECTIONS_TO_REFUSE 64u
#define LISTEN_BACKLOG 1024u
#define SLEEP_MS 250
#define LINGER_TURNS 32u
#define DRAIN_SLEEP_MS 20
#define REAP_EVERY_MS 500u

uint64_t event_loop_clock_us(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t event_loop_clock_ms(void)
{
    return event_loop_clock_us() / 1000;
}

static void loop_signal(struct event_loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written; /* fails only when the counter is full, and then the loop is awake */
}

/* Called by a committing thread. */
static void receive(struct varve_write_receiver *receiver, struct varve_write_request *list)
{
    struct event_loop *loop =
        (struct event_loop *)(void *)((char *)receiver - offsetof(struct event_loop, receiver));
    struct varve_write_request *head = atomic_load_explicit(&loop->delivered, memory_order_relaxed);
    do {
        list->reserved[0] = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->delivered, &head, list,
                                                    memory_order_release, memory_order_relaxed));
    if (head == NULL)
        loop_signal(loop);
}

void event_loop_suspend(struct exchange *exchange)
{
    MHD_suspend_connection(exchange->connection);
    exchange->suspended = true;
}

void event_loop_expect(struct event_loop *loop)
{
    loop->waiting++;
}

void event_loop_linger(struct exchange *exchange)
{
    exchange->lingers = true;
    exchange->turns_waited = 0;
    exchange->loop->lingering++;
}

/* True if it did. */
static bool stop_lingering(struct exchange *exchange)
{
    bool lingered = exchange->lingers;
    exchange->lingers = false;
    exchange->loop->lingering -= lingered;
    return lingered;
}

void event_loop_linger_on(struct exchange *exchange)
{
    if (++exchange->turns_waited == LINGER_TURNS && stop_lingering(exchange))
        event_loop_suspend(exchange);
}

static void wake(struct event_loop *loop, struct exchange *exchange)
{
    bool lingered = stop_lingering(exchange);
    loop->waiting--;
    if (!exchange_on_delivered(exchange) || (!lingered && !exchange->suspended))
        return;
    loop->resumed = true;
    if (!exchange->suspended)
        return;
    exchange->suspended = false;
    MHD_resume_connection(exchange->connection);
}

void event_loop_gather(struct event_loop *loop, struct varve_db *db,
                       struct varve_write_request *request)
{
    loop->gathered_db = db;
    request->next = NULL;
    *loop->gathered_end = request;
    loop->gathered_end = &request->next;
}

static void queue_gathered(struct event_loop *loop)
{
    struct varve_write_request *list = loop->gathered;
    if (list == NULL)
        return;
    loop->gathered = NULL;
    loop->gathered_end = &loop->gathered;
    varve_write_async_list(loop->gathered_db, list);
}

static struct exchange *exchange_of_write(struct varve_write_request *request)
{
    return (struct exchange *)(void *)((char *)request - offsetof(struct exchange, write));
}

static void take_delivered(struct event_loop *loop)
{
    if (atomic_load_explicit(&loop->delivered, memory_order_relaxed) == NULL)
        return;
    struct varve_write_request *list =
        atomic_exchange_explicit(&loop->delivered, NULL, memory_order_acquire);
    while (list != NULL) {
        struct varve_write_request *next_list = list->reserved[0];
        while (list != NULL) {
            struct varve_write_request *next = list->next;
            wake(loop, exchange_of_write(list));
            list = next;
        }
        list = next_list;
    }
}

static void sleep_for_events(struct event_loop *loop)
{
    bool draining = atomic_load_explicit(&loop->drain_until_ms, memory_order_relaxed) != 0;
    struct pollfd polled[] = {
        {.fd = loop->epoll_fd, .events = POLLIN},
        {.fd = loop->wake_fd, .events = POLLIN},
    };
    int ready = poll(polled, 2, draining ? DRAIN_SLEEP_MS : SLEEP_MS);
    if (ready > 0 && polled[1].revents != 0) {
        uint64_t count = 0;
        ssize_t size = read(loop->wake_fd, &count, sizeof count);
        (void)size;
    }
}

/* Whether the daemon has left something to do, other than to ask those that linger. */
static bool has_more_to_do(struct event_loop *loop)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    return (loop->lingering == 0 || loop->moved) &&
           MHD_get_timeout(loop->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0;
}

static void run_daemon(struct event_loop *loop)
{
    loop->resumed = false;
    loop->moved = false;
    MHD_run(loop->daemon);
    queue_gathered(loop);
    loop->wakes_again = loop->resumed || has_more_to_do(loop);
}

static void reap_scan(struct event_loop *loop, struct connection *c)
{
    enum scan_cut cut = connection_judge_scan(c, &loop->settings->config, loop->now_ms);
    if (cut == SCAN_RUNS)
        return;
    scan_cut(c->scan, cut);
    if (c->phase == CONNECTION_STREAM && !c->shut)
        connection_shut(c);
}

static void reap_connection(struct event_loop *loop, struct connection *c, bool lacks_room)
{
    enum connection_verdict verdict =
        connection_judge(c, &loop->settings->config, loop->now_ms, lacks_room);
    if (verdict == CONNECTION_STAYS)
        return;
    connection_shut(c);
    if (verdict == CONNECTION_OVERDUE)
        meter_add(&loop->meter.connections_timed_out, 1);
}

static void reap(struct event_loop *loop)
{
    if (loop->now_ms - loop->reaped_ms < REAP_EVERY_MS)
        return;
    loop->reaped_ms = loop->now_ms;
    uint64_t refused = atomic_load_explicit(&loop->service->answers_refused, memory_order_relaxed);
    bool lacks_room = refused != loop->refused_before;
    loop->refused_before = refused;
    for (struct connection *c = loop->connections.first; c != NULL; c = c->next) {
        if (c->scan != NULL)
            reap_scan(loop, c);
        else if (!c->shut)
            reap_connection(loop, c, lacks_room);
    }
}

/* Whoever has connected already is still served. */
static void quiesce(struct event_loop *loop)
{
    struct pollfd polled = {.fd = loop->listen_fd, .events = POLLIN};
    for (unsigned i = 0; i < LISTEN_BACKLOG && poll(&polled, 1, 0) > 0; i++)
        run_daemon(loop);
    int fd = MHD_quiesce_daemon(loop->daemon);
    if (fd >= 0)
        close(fd);
    loop->listen_fd = -1;
    loop->quiesced = true;
}

/* Some have waited long enough for what takes long. */
static void lose_patience(struct event_loop *loop)
{
    struct varve_db *db = service_db(loop->service);
    uint64_t until_ms = atomic_load_explicit(&loop->patient_until_ms, memory_order_relaxed);
    if (loop->waiting > 0 && loop->now_ms >= until_ms && db != NULL)
        varve_interrupt(db);
}

/* True when nothing is left to wait for. */
static bool drain(struct event_loop *loop, uint64_t until_ms)
{
    if (!loop->quiesced)
        quiesce(loop);
    lose_patience(loop);
    bool overtime = loop->now_ms >= until_ms;
    for (struct connection *c = loop->connections.first; c != NULL; c = c->next) {
        if (overtime && c->scan != NULL)
            scan_cut(c->scan, SCAN_DRAINED);
        if (!c->shut && (overtime || connection_is_quiet(c)))
            connection_shut(c);
    }
    return loop->waiting == 0 && (overtime || loop->connections.count == 0);
}

static void *loop_main(void *context)
{
    struct event_loop *loop = context;
    bool ended = false;
    while (!ended) {
        if (!loop->wakes_again)
            sleep_for_events(loop);
        loop->now_ms = event_loop_clock_ms();
        atomic_store_explicit(&loop->heartbeat_ms, loop->now_ms, memory_order_relaxed);
        service_follow_settings(loop->service, &loop->settings);
        take_delivered(loop);
        run_daemon(loop);
        reap(loop);
        uint64_t until_ms = atomic_load_explicit(&loop->drain_until_ms, memory_order_acquire);
        if (until_ms != 0)
            ended = drain(loop, until_ms);
    }
    MHD_stop_daemon(loop->daemon);
    loop->daemon = NULL;
    loop->epoll_fd = -1;
    while (loop->waiting > 0) { /* for scans that were cut off */
        sleep_for_events(loop);
        take_delivered(loop);
    }
    return NULL;
}

/* False: it cannot be served. The certificate stays as long as the connection. */
static bool begin_tls(struct event_loop *loop, struct connection *connection,
                      struct MHD_Connection *mhd_connection)
{
    if (loop->settings->tls == NULL)
        return true;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd_connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    connection->settings = settings_ref(loop->settings);
    return info != NULL && tls_use(loop->settings->tls, info->tls_session) == VARVE_OK;
}

static void on_connection(void *context, struct MHD_Connection *mhd_connection,
                          void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    struct event_loop *loop = context;
    struct service *service = loop->service;
    loop->moved = true;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct connection *connection = calloc(1, sizeof *connection);
        *socket_context = connection;
        if (connection == NULL)
            return; /* its first request is then closed */
        connection->fd =
            MHD_get_connection_info(mhd_connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        size_t others = atomic_fetch_add_explicit(&service->connections, 1, memory_order_relaxed);
        size_t limit = loop->settings->config.max_connections;
        connection->over_limit = others >= limit;
        connection_enter(connection, CONNECTION_NEW, loop->now_ms);
        connection_list_add(&loop->connections, connection);
        if (others >= limit + CONNECTIONS_TO_REFUSE || !begin_tls(loop, connection, mhd_connection))
            connection_shut(connection);
        meter_add(connection->over_limit ? &loop->meter.connections_refused
                                         : &loop->meter.connections_accepted,
                  1);
        return;
    }
    struct connection *connection = *socket_context;
    if (connection == NULL)
        return;
    connection_list_remove(&loop->connections, connection);
    atomic_fetch_sub_explicit(&service->connections, 1, memory_order_relaxed);
    settings_unref(connection->settings);
    free(connection);
}

/* libmicrohttpd would decode the path in place and cut it at %00. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static void on_daemon_log(void *context, const char *format, va_list args) PRINTF_LIKE(2, 0);
static void on_daemon_log(void *context, const char *format, va_list args)
{
    struct event_loop *loop = context;
    if (!journal_wants(loop->service->journal, VARVE_LOG_DEBUG))
        return;
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    size_t size = strcspn(text, "\n");
    text[size] = '\0';
    journal_print(loop->service->journal, VARVE_LOG_DEBUG, "http: %s", text);
}

/* Its own connection timeout stays off: see reap. Strictness about requests is service/wire.h's.
 * The certificate is the daemon's as long as no connection has another one. */
static enum varve_status start_daemon(struct event_loop *loop)
{
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, loop->listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, CONFIG_CONNECTIONS_MAX + CONNECTIONS_TO_REFUSE, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY_BYTES, NULL},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_escaped, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)exchange_on_target, loop},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)exchange_on_completed, loop},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, loop},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct tls *tls = loop->settings->tls;
    struct MHD_OptionItem tls_options[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? (void *)(uintptr_t)tls_certificate_text(tls) : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? (void *)(uintptr_t)tls_key_text(tls) : NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (tls != NULL ? MHD_USE_TLS : 0);
    loop->daemon = MHD_start_daemon(flags, 0, NULL, NULL, exchange_on_request, loop,
                                    MHD_OPTION_EXTERNAL_LOGGER, on_daemon_log, loop,
                                    MHD_OPTION_ARRAY, options, MHD_OPTION_ARRAY,
                                    tls != NULL ? tls_options : &tls_options[3], MHD_OPTION_END);
    if (loop->daemon == NULL)
        return status_raise(VARVE_IO);
    loop->epoll_fd = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return VARVE_OK;
}

enum varve_status event_loop_new(struct service *service, unsigned index, int listen_fd,
                                 struct event_loop **ret_loop)
{
    struct event_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return status_raise(VARVE_NO_MEMORY);
    loop->service = service;
    loop->index = index;
    loop->listen_fd = listen_fd;
    loop->settings = service_get_settings(service);
    loop->receiver.deliver = receive;
    loop->gathered_end = &loop->gathered;
    loop->now_ms = event_loop_clock_ms();
    loop->reaped_ms = loop->now_ms;
    atomic_store_explicit(&loop->heartbeat_ms, loop->now_ms, memory_order_relaxed);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum varve_status status =
        loop->wake_fd >= 0 ? start_daemon(loop) : status_raise(VARVE_NO_FILES);
    if (status != VARVE_OK) {
        event_loop_free(loop);
        return status;
    }
    *ret_loop = loop;
    return VARVE_OK;
}

void event_loop_free(struct event_loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->daemon != NULL)
        MHD_stop_daemon(loop->daemon); /* closes the listener too */
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    while (loop->spare_exchanges != NULL) {
        struct exchange *exchange = loop->spare_exchanges;
        loop->spare_exchanges = exchange->next_spare;
        exchange_free(exchange);
    }
    settings_unref(loop->settings);
    free(loop);
}

enum varve_status event_loop_start(struct event_loop *loop)
{
    if (pthread_create(&loop->thread, NULL, loop_main, loop) != 0)
        return status_raise(VARVE_IO);
    char name[16];
    snprintf(name, sizeof name, "http-%u", loop->index);
    pthread_setname_np(loop->thread, name);
    return VARVE_OK;
}

void event_loop_drain(struct event_loop *loop, uint64_t patient_until_ms, uint64_t until_ms)
{
    atomic_store_explicit(&loop->patient_until_ms, patient_until_ms, memory_order_relaxed);
    atomic_store_explicit(&loop->drain_until_ms, until_ms, memory_order_release);
    loop_signal(loop);
}

void event_loop_join(struct event_loop *loop)
{
    pthread_join(loop->thread, NULL);
}
