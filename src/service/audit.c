/*
 * A refused token is anybody's text and may be a mistyped password: the line has its owner's
 * address, but nothing of the token.
 */
#include "service/audit.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "service/exchange.h"
#include "service/journal.h"
#include "service/router.h"

#define PEER_BYTES 96u

static void describe_peer(const struct exchange *exchange, char ret_text[PEER_BYTES])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info != NULL ? info->client_addr : NULL;
    char host[PEER_BYTES - 16] = "";
    char port[8] = "";
    socklen_t size = address == NULL                  ? 0
                     : address->sa_family == AF_INET  ? sizeof(struct sockaddr_in)
                     : address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                      : 0;
    if (size == 0 || getnameinfo(address, size, host, sizeof host, port, sizeof port,
                                 NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(ret_text, PEER_BYTES, "local");
    else
        snprintf(ret_text, PEER_BYTES, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                 port);
}

/* METER_DENIAL_COUNT: it was let in. */
static enum meter_denial find_denial(const struct exchange *exchange)
{
    if (!exchange->has_problem)
        return METER_DENIAL_COUNT;
    switch (exchange->problem.code) {
    case PROBLEM_UNAUTHORIZED:
        return METER_DENIAL_MISSING_TOKEN;
    case PROBLEM_INVALID_TOKEN:
        return METER_DENIAL_INVALID_TOKEN;
    case PROBLEM_INSUFFICIENT_SCOPE:
        return METER_DENIAL_INSUFFICIENT_SCOPE;
    default:
        return METER_DENIAL_COUNT;
    }
}

void audit_exchange(struct exchange *exchange)
{
    struct event_loop *loop = exchange->loop;
    enum meter_denial denial = find_denial(exchange);
    if (denial != METER_DENIAL_COUNT)
        meter_add(&loop->meter.denials[denial], 1);
    bool is_admin = exchange->route != NULL && exchange->route->meter == METER_ADMIN;
    bool is_refused_token =
        denial == METER_DENIAL_INVALID_TOKEN || denial == METER_DENIAL_INSUFFICIENT_SCOPE;
    if (!is_admin && !is_refused_token)
        return;
    char peer[PEER_BYTES];
    describe_peer(exchange, peer);
    struct journal_audit line = {
        .id = varve_slice(exchange->id.text, exchange->id.size),
        .target = buf_slice(&exchange->raw_target),
        .method = exchange->method_text,
        .token = exchange->access.name[0] != '\0' ? exchange->access.name : "-",
        .peer = peer,
        .outcome = exchange->has_problem ? problem_code_text(exchange->problem.code) : "ok",
        .status = exchange->answer.status,
        .is_refusal = denial != METER_DENIAL_COUNT,
    };
    journal_audit(loop->service->journal, &line);
}
