/*
 * Nobody tells us of the first byte of a request's header, only of its last one. So the reaper asks
 * the kernel when data came in last: if that was after the connection fell idle, a header is
 * under way, and from then on the header's own deadline counts. A new connection has that deadline
 * from the start. The reaper also finds those whose client has gone in the middle of a header,
 * which libmicrohttpd misses if the last bytes and the end come in one event.
 */
#include "service/connection.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

void connection_list_add(struct connection_list *list, struct connection *connection)
{
    connection->prev = NULL;
    connection->next = list->first;
    if (list->first != NULL)
        list->first->prev = connection;
    list->first = connection;
    list->count++;
}

void connection_list_remove(struct connection_list *list, struct connection *connection)
{
    if (connection->prev != NULL)
        connection->prev->next = connection->next;
    else
        list->first = connection->next;
    if (connection->next != NULL)
        connection->next->prev = connection->prev;
    list->count--;
}

void connection_enter(struct connection *connection, enum connection_phase phase, uint64_t now_ms)
{
    connection->phase = phase;
    connection->since_ms = now_ms;
    connection->body_bytes = 0;
    connection->answer_bytes = 0;
    connection->is_charged = false;
    connection->acked_ms = 0;
    connection->starved = false;
}

#define KERNEL_CLOCK_SLACK_MS 20u /* it counts in ticks */

#define TCP_STATE_CLOSE_WAIT 8 /* as the kernel numbers them */

/* Others wait for its room, but a connection across the world needs some turns to get going. */
#define CHARGED_ANSWER_GRACE_MS 2000u

struct tcp_view {
    bool is_tcp;
    bool peer_ended;
    uint64_t quiet_ms;    /* since data came in */
    uint64_t acked_bytes; /* that the peer has taken */
};

/* Of a socket that is not TCP nothing is known: its idle timeout has to do. */
static struct tcp_view look_at_tcp(const struct connection *connection, uint64_t age_ms)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return (struct tcp_view){.quiet_ms = age_ms};
    return (struct tcp_view){
        .is_tcp = true,
        .peer_ended = info.tcpi_state == TCP_STATE_CLOSE_WAIT,
        .quiet_ms = info.tcpi_last_data_recv,
        .acked_bytes = info.tcpi_bytes_acked,
    };
}

/* What the kernel still holds of earlier answers is no progress of this one. */
void connection_enter_charged_answer(struct connection *connection, uint64_t now_ms)
{
    int unsent = 0;
    connection_enter(connection, CONNECTION_ANSWER, now_ms);
    connection->is_charged = true;
    if (ioctl(connection->fd, TIOCOUTQ, &unsent) != 0 || unsent < 0)
        unsent = 0;
    connection->acked_before = look_at_tcp(connection, 0).acked_bytes + (uint64_t)unsent;
}

static bool has_unread(const struct connection *connection)
{
    int unread = 0;
    return ioctl(connection->fd, FIONREAD, &unread) == 0 && unread > 0;
}

static enum connection_verdict overdue_if(bool overdue)
{
    return overdue ? CONNECTION_OVERDUE : CONNECTION_STAYS;
}

static enum connection_verdict judge_header(struct connection *connection,
                                            const struct service_config *config, uint64_t now_ms,
                                            uint64_t age_ms)
{
    struct tcp_view view = look_at_tcp(connection, age_ms);
    if (view.peer_ended && !has_unread(connection))
        return CONNECTION_GONE;
    if (connection->phase != CONNECTION_IDLE)
        return overdue_if(age_ms > config->header_timeout_ms);
    if (view.quiet_ms + KERNEL_CLOCK_SLACK_MS < age_ms)
        connection_enter(connection, CONNECTION_HEADER, now_ms);
    return overdue_if(age_ms > config->idle_timeout_ms);
}

/* How long the client has taken nothing of what there is to take. */
static uint64_t answer_idle_ms(struct connection *connection, const struct tcp_view *view,
                               uint64_t now_ms)
{
    if (connection->acked_ms == 0 || connection->starved ||
        view->acked_bytes != connection->acked_bytes) {
        connection->acked_bytes = view->acked_bytes;
        connection->acked_ms = now_ms;
    }
    return now_ms - connection->acked_ms;
}

/* Whether `bytes` take longer than they may: at the least rate (0: any), and some more to begin
 * with. */
static bool is_too_slow(uint64_t age_ms, uint64_t grace_ms, uint64_t bytes, uint64_t bytes_per_s)
{
    return bytes_per_s > 0 && age_ms > grace_ms + bytes * 1000 / bytes_per_s;
}

/* A charged answer holds room that others need, so its time runs with what has been taken of it; a
 * small one has the time for all of it. */
static bool answer_is_overdue(struct connection *connection, const struct service_config *config,
                              uint64_t now_ms, uint64_t age_ms, bool lacks_room)
{
    struct tcp_view view = look_at_tcp(connection, age_ms);
    uint64_t bytes = connection->answer_bytes;
    if (answer_idle_ms(connection, &view, now_ms) > config->idle_timeout_ms)
        return true;
    if (connection->is_charged && view.is_tcp) {
        uint64_t before = connection->acked_before;
        bytes = view.acked_bytes > before ? view.acked_bytes - before : 0;
        if (lacks_room &&
            is_too_slow(age_ms, CHARGED_ANSWER_GRACE_MS, bytes, config->answer_min_rate))
            return true;
    }
    return is_too_slow(age_ms, config->idle_timeout_ms, bytes, config->body_min_rate);
}

enum connection_verdict connection_judge(struct connection *connection,
                                         const struct service_config *config, uint64_t now_ms,
                                         bool lacks_room)
{
    uint64_t age_ms = now_ms > connection->since_ms ? now_ms - connection->since_ms : 0;
    switch (connection->phase) {
    case CONNECTION_NEW:
    case CONNECTION_IDLE:
    case CONNECTION_HEADER:
        return judge_header(connection, config, now_ms, age_ms);
    case CONNECTION_BODY:
        return overdue_if(age_ms > config->request_timeout_ms ||
                          is_too_slow(age_ms, config->header_timeout_ms, connection->body_bytes,
                                      config->body_min_rate));
    case CONNECTION_WORK:
    case CONNECTION_STREAM:
        return CONNECTION_STAYS; /* the store always answers, and scans are judged apart */
    case CONNECTION_ANSWER:
        return overdue_if(answer_is_overdue(connection, config, now_ms, age_ms, lacks_room));
    }
    return CONNECTION_STAYS;
}

/* While a request waits nobody reads from its connection, so nobody would see it end. A client that
 * has ended its own half only is taken for one that has gone. */
static bool peer_has_gone(const struct connection *connection)
{
    struct pollfd polled = {.fd = connection->fd, .events = POLLRDHUP};
    return poll(&polled, 1, 0) > 0;
}

enum scan_cut connection_judge_scan(struct connection *connection,
                                    const struct service_config *config, uint64_t now_ms)
{
    uint64_t age_ms = now_ms > connection->since_ms ? now_ms - connection->since_ms : 0;
    if (age_ms > config->stream_timeout_ms)
        return SCAN_TIMED_OUT;
    if (connection->phase != CONNECTION_STREAM)
        return peer_has_gone(connection) ? SCAN_CLIENT_GONE : SCAN_RUNS;
    struct tcp_view view = look_at_tcp(connection, age_ms);
    return answer_idle_ms(connection, &view, now_ms) > config->stream_idle_ms ? SCAN_STUCK
                                                                              : SCAN_RUNS;
}

void connection_shut(struct connection *connection)
{
    connection->shut = true;
    shutdown(connection->fd, SHUT_RDWR);
}

bool connection_is_quiet(const struct connection *connection)
{
    return connection->phase <= CONNECTION_IDLE && !has_unread(connection);
}
