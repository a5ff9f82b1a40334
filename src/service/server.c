/*
 * The listener is open before the store is: a thread of its own opens that, which may take as long
 * as there is log to replay, while the event loops answer /health and tell everybody else to come
 * again. The first thread only waits: for the store, for signals, for the watchdog.
 *
 * The end goes in this order: not ready any more but still accepting, for those who ask /health
 * before they connect; no new connections; no requests; no event loops' threads; no workers; no
 * store; no loops.
 */
#include "service/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <varve/db.h>

#include "os/thread_pool.h"
#include "service/event_loop.h"
#include "service/json_body.h"
#include "service/listener.h"
#include "service/reload.h"
#include "service/service.h"
#include "service/settings.h"

#define WORKERS 4u
#define PATIENT_WORKERS 3u /* for backups, and waits for what was asked for by hand */
#define SCANNERS_MIN 2u
#define WAIT_MS_MAX 5000
#define RECOVERY_NOTICE "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=recovering"
#define FILES_BESIDE_CONNECTIONS 256u
#define OPEN_TABLES_LEAST 16u /* that the option may ask for */

struct server {
    struct service service;
    struct journal *journal;              /* borrowed */
    const struct reload_sources *sources; /* borrowed */
    int signal_fd;
    int opened_fd;        /* the store is open, or failed to */
    uint64_t watchdog_ms; /* 0: none */
    size_t loops_started;

    pthread_t opener;
    bool opener_runs;
    struct varve_options options;
    enum varve_status open_status; /* set before opened_fd tells */
    struct varve_error open_error;
};

/* What the process needs before anything else. */

static enum varve_status catch_signals(struct server *server)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return status_raise(VARVE_IO);
    server->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    server->opened_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return server->signal_fd >= 0 && server->opened_fd >= 0 ? VARVE_OK
                                                            : status_raise(VARVE_NO_FILES);
}

static void raise_file_limit(const struct server *server)
{
    const struct service_config *config = &server->service.mu.settings->config;
    rlim_t wanted =
        config->max_connections + config->engine.open_tables_max + FILES_BESIDE_CONNECTIONS;
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        journal_print(server->service.journal, VARVE_LOG_WARNING,
                      "only %llu file descriptors are allowed where up to %llu may be needed",
                      (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

/* As many as were asked for, or as the descriptors that there are leave beside connections. */
static size_t open_tables_most(const struct service_config *config)
{
    const rlim_t others = config->max_connections + FILES_BESIDE_CONNECTIONS;
    const size_t asked = config->engine.open_tables_max;
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= others + asked)
        return asked;
    return limit.rlim_cur > others + OPEN_TABLES_LEAST ? (size_t)(limit.rlim_cur - others)
                                                       : OPEN_TABLES_LEAST;
}

static size_t loop_count(const struct service_config *config)
{
    if (config->http_threads > 0)
        return config->http_threads;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (size_t)cores : 1;
}

/* The next signal that has come; 0 if there is none. */
static int take_signal(struct server *server)
{
    struct signalfd_siginfo info;
    if (read(server->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    return (int)info.ssi_signo;
}

/* Starting. */

static enum varve_status make_loops(struct server *server, char *ret_address, bool *ret_exposed,
                                    struct varve_error *ret_error)
{
    struct service *service = &server->service;
    size_t count = loop_count(service->config);
    int *fds = calloc(count, sizeof *fds);
    service->loops = calloc(count, sizeof(struct event_loop *));
    enum varve_status status = VARVE_OK;
    if (fds == NULL || service->loops == NULL)
        status = error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    if (status == VARVE_OK)
        status = listener_open(service->config, count, fds, ret_address, ret_error);
    if (status == VARVE_OK)
        *ret_exposed = listener_is_exposed(fds[0]);
    for (size_t i = 0; status == VARVE_OK && i < count; i++) {
        status = event_loop_new(service, (unsigned)i, fds[i], &service->loops[i]);
        if (status == VARVE_OK)
            service->loop_count = i + 1;
        else
            (void)error_set(ret_error, status, NULL, STATUS_NO_OFFSET, "cannot make an event loop");
    }
    free(fds);
    return status;
}

static enum varve_status start_loops(struct server *server, struct varve_error *ret_error)
{
    struct service *service = &server->service;
    size_t scanners = service->loop_count > SCANNERS_MIN ? service->loop_count : SCANNERS_MIN;
    const struct thread_pool_options workers = {
        .name = "work", .urgent_workers = WORKERS, .patient_workers = PATIENT_WORKERS};
    const struct thread_pool_options scan_workers = {.name = "scan", .urgent_workers = scanners};
    enum varve_status status = thread_pool_new(&workers, &service->workers);
    if (status == VARVE_OK)
        status = thread_pool_new(&scan_workers, &service->scanners);
    for (size_t i = 0; status == VARVE_OK && i < service->loop_count; i++) {
        status = event_loop_start(service->loops[i]);
        if (status == VARVE_OK)
            server->loops_started++;
    }
    if (status != VARVE_OK)
        return error_set(ret_error, status, NULL, STATUS_NO_OFFSET, "cannot start a thread");
    return VARVE_OK;
}

static void *open_store(void *context)
{
    struct server *server = context;
    struct varve_db *db = NULL;
    server->open_status =
        varve_open(server->service.config->data_dir, &server->options, &db, &server->open_error);
    if (server->open_status == VARVE_OK)
        atomic_store_explicit(&server->service.db, db, memory_order_release);
    uint64_t one = 1;
    ssize_t written = write(server->opened_fd, &one, sizeof one);
    (void)written;
    return NULL;
}

static enum varve_status start_opener(struct server *server, struct varve_error *ret_error)
{
    server->options = server->service.config->engine;
    server->options.open_tables_max = open_tables_most(server->service.config);
    server->options.log = journal_log;
    server->options.log_context = (void *)(uintptr_t)server->service.journal;
    if (pthread_create(&server->opener, NULL, open_store, server) != 0)
        return error_set(ret_error, VARVE_IO, NULL, STATUS_NO_OFFSET, "cannot start a thread");
    server->opener_runs = true;
    return VARVE_OK;
}

enum varve_status server_check(const struct service_config *config, struct varve_error *ret_error)
{
    struct settings *settings = NULL;
    enum varve_status status = settings_load(config, &settings, ret_error);
    settings_unref(settings);
    return status;
}

static enum varve_status load_settings(struct server *server, struct varve_error *ret_error)
{
    struct settings *settings = NULL;
    enum varve_status status = settings_load(server->service.config, &settings, ret_error);
    if (status == VARVE_OK)
        service_set_settings(&server->service, settings);
    return status;
}

/* What somebody should know who reads the log. */
static void report_access(const struct server *server, const char *address, bool is_exposed)
{
    const struct service *service = &server->service;
    const struct settings *settings = service->mu.settings;
    if (is_exposed && settings->tokens == NULL)
        journal_print(service->journal, VARVE_LOG_WARNING,
                      "insecure: whoever reaches %s can read and write everything", address);
    if (is_exposed && settings->tls == NULL)
        journal_print(service->journal, VARVE_LOG_WARNING,
                      "insecure: what passes through %s can be read and changed on its way",
                      address);
    reload_report_files(service->journal, settings);
}

static enum varve_status start(struct server *server, struct varve_error *ret_error)
{
    char address[LISTENER_ADDRESS_BYTES] = "";
    enum varve_status status = catch_signals(server);
    if (status != VARVE_OK)
        return error_set(ret_error, status, NULL, STATUS_NO_OFFSET, "cannot catch signals");
    status = load_settings(server, ret_error);
    if (status != VARVE_OK)
        return status;
    raise_file_limit(server);
    json_body_setup();
    bool is_exposed = false;
    status = make_loops(server, address, &is_exposed, ret_error);
    if (status == VARVE_OK)
        status = start_loops(server, ret_error);
    if (status == VARVE_OK)
        status = start_opener(server, ret_error);
    if (status != VARVE_OK)
        return status;
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        server->watchdog_ms = watchdog_us / 1000;
    journal_print(server->service.journal, VARVE_LOG_INFO,
                  "varved %s listens on %s%s, %zu event loops, data in %s", varve_version(),
                  address, server->service.mu.settings->tls != NULL ? " with TLS" : "",
                  server->service.loop_count, server->service.config->data_dir);
    report_access(server, address, is_exposed);
    return VARVE_OK;
}

/* Waiting. */

static bool loops_are_alive(struct server *server)
{
    uint64_t now_ms = event_loop_clock_ms();
    for (size_t i = 0; i < server->service.loop_count; i++) {
        uint64_t beat_ms =
            atomic_load_explicit(&server->service.loops[i]->heartbeat_ms, memory_order_relaxed);
        if (now_ms > beat_ms && now_ms - beat_ms > server->watchdog_ms)
            return false;
    }
    return true;
}

static int wait_ms(const struct server *server)
{
    uint64_t half_ms = server->watchdog_ms / 2;
    return half_ms > 0 && half_ms < WAIT_MS_MAX ? (int)half_ms : WAIT_MS_MAX;
}

/* The opener has ended: its status. */
static enum varve_status end_opening(struct server *server)
{
    pthread_join(server->opener, NULL);
    server->opener_runs = false;
    uint64_t count = 0;
    ssize_t size = read(server->opened_fd, &count, sizeof count);
    (void)size;
    if (server->open_status != VARVE_OK)
        return server->open_status;
    atomic_store_explicit(&server->service.state, SERVICE_READY, memory_order_release);
    journal_print(server->service.journal, VARVE_LOG_INFO, "the store is open");
    sd_notify(0, "READY=1\nSTATUS=serving");
    return VARVE_OK;
}

static void reload(struct server *server)
{
    bool is_ready = service_state(&server->service) == SERVICE_READY;
    journal_print(server->journal, VARVE_LOG_INFO, "SIGHUP: reading the configuration again");
    if (is_ready)
        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
                   (unsigned long long)event_loop_clock_us());
    reload_run(&server->service, server->sources, server->journal);
    raise_file_limit(server);
    if (is_ready)
        sd_notify(0, "READY=1\nSTATUS=serving");
}

/* True if the server is to stop. */
static bool handle_signal(struct server *server)
{
    int number = take_signal(server);
    if (number == SIGHUP)
        reload(server);
    if (number != SIGTERM && number != SIGINT)
        return false;
    journal_print(server->journal, VARVE_LOG_INFO, "%s: shutting down",
                  number == SIGTERM ? "SIGTERM" : "SIGINT");
    return true;
}

/* Returns when the server is to stop, or the store could not be opened. */
static enum varve_status wait_for_end(struct server *server)
{
    bool stops = false;
    while (!stops || server->opener_runs) {
        struct pollfd polled[] = {
            {.fd = server->signal_fd, .events = POLLIN},
            {.fd = server->opened_fd, .events = POLLIN},
        };
        poll(polled, 2, wait_ms(server));
        if (polled[0].revents != 0 && handle_signal(server))
            stops = true;
        if (polled[1].revents != 0) {
            enum varve_status status = end_opening(server);
            if (status != VARVE_OK)
                return status;
        }
        if (server->opener_runs)
            sd_notify(0, RECOVERY_NOTICE);
        else if (server->watchdog_ms > 0 && loops_are_alive(server))
            sd_notify(0, "WATCHDOG=1");
    }
    return VARVE_OK;
}

/* Stopping. */

static void drain(struct server *server)
{
    struct service *service = &server->service;
    atomic_store_explicit(&service->state, SERVICE_DRAINING, memory_order_release);
    sd_notify(0, "STOPPING=1\nSTATUS=draining");
    struct pollfd polled = {.fd = server->signal_fd, .events = POLLIN};
    uint64_t now_ms = event_loop_clock_ms();
    uint64_t until_ms = now_ms + service->mu.settings->config.drain_delay_ms;
    for (bool cut_short = false; !cut_short && now_ms < until_ms; now_ms = event_loop_clock_ms()) {
        poll(&polled, 1, (int)(until_ms - now_ms));
        int number = polled.revents != 0 ? take_signal(server) : 0;
        cut_short = number == SIGTERM || number == SIGINT;
    }
}

static enum varve_status stop(struct server *server)
{
    struct service *service = &server->service;
    uint64_t now_ms = event_loop_clock_ms(), timeout_ms = 0;
    if (service->mu.settings != NULL)
        timeout_ms = service->mu.settings->config.drain_timeout_ms;
    for (size_t i = 0; i < server->loops_started; i++)
        event_loop_drain(service->loops[i], now_ms + timeout_ms / 2, now_ms + timeout_ms);
    for (size_t i = 0; i < server->loops_started; i++)
        event_loop_join(service->loops[i]);
    if (server->opener_runs)
        pthread_join(server->opener, NULL);
    thread_pool_free(service->workers);
    thread_pool_free(service->scanners);
    enum varve_status status = varve_close(service_db(service));
    /* Only now: whoever delivers to a loop may still be about to wake it when the loop has ended.
     */
    for (size_t i = 0; i < service->loop_count; i++)
        event_loop_free(service->loops[i]);
    free(service->loops);
    settings_unref(service->mu.settings);
    mutex_deinit(&service->mu.lock);
    if (server->signal_fd >= 0)
        close(server->signal_fd);
    if (server->opened_fd >= 0)
        close(server->opened_fd);
    return status;
}

static enum server_exit report_failure(const struct journal *journal, const char *what,
                                       const struct varve_error *error)
{
    char place[sizeof error->path + 64] = "";
    if (error->path[0] != '\0' && error->offset != STATUS_NO_OFFSET)
        snprintf(place, sizeof place, " (%s, offset %llu)", error->path,
                 (unsigned long long)error->offset);
    else if (error->path[0] != '\0')
        snprintf(place, sizeof place, " (%s)", error->path);
    journal_print(journal, VARVE_LOG_ERROR, "%s: %s%s", what,
                  error->text[0] != '\0' ? error->text : varve_status_text(error->status), place);
    switch (error->status) {
    case VARVE_LOCKED:
        return SERVER_EXIT_LOCKED;
    case VARVE_CORRUPT:
    case VARVE_UNSUPPORTED:
        return SERVER_EXIT_DAMAGED;
    case VARVE_INVALID:
        return SERVER_EXIT_CONFIG;
    default:
        return SERVER_EXIT_FAILURE;
    }
}

enum server_exit server_run(const struct service_config *config,
                            const struct reload_sources *sources, struct journal *journal)
{
    struct server *server = calloc(1, sizeof *server);
    struct varve_error error = {.offset = STATUS_NO_OFFSET};
    if (server == NULL)
        return SERVER_EXIT_FAILURE;
    server->signal_fd = -1;
    server->opened_fd = -1;
    mutex_init(&server->service.mu.lock);
    server->service.config = config;
    server->service.journal = journal;
    server->journal = journal;
    server->sources = sources;
    server->service.started_at = time(NULL);
    server->open_error.offset = STATUS_NO_OFFSET;

    enum server_exit result = SERVER_EXIT_OK;
    if (getrandom(&server->service.random, sizeof server->service.random, 0) < 0)
        server->service.random = event_loop_clock_us();
    if (start(server, &error) != VARVE_OK) {
        result = report_failure(journal, "cannot start", &error);
    } else if (wait_for_end(server) != VARVE_OK) {
        server->open_error.status = server->open_status;
        result = report_failure(journal, "cannot open the store", &server->open_error);
    } else {
        drain(server);
    }
    enum varve_status closed = stop(server);
    if (closed != VARVE_OK) {
        journal_print(journal, VARVE_LOG_ERROR, "the store did not close cleanly: %s",
                      varve_status_text(closed));
        result = SERVER_EXIT_FAILURE;
    }
    if (result == SERVER_EXIT_OK)
        journal_print(journal, VARVE_LOG_INFO, "stopped");
    free(server);
    return result;
}
