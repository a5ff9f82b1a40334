/*
 * service/connection.h: what an event loop knows about each of its client connections, so that it
 * can close those that hold it up: libmicrohttpd's own timeout is one of inactivity only, which a
 * byte now and then defeats. For the loop's thread only.
 */
#ifndef SERVICE_CONNECTION_H
#define SERVICE_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "service/config.h"
#include "service/scan.h"

struct settings;

enum connection_phase {
    CONNECTION_NEW,    /* before the first request */
    CONNECTION_IDLE,   /* between requests */
    CONNECTION_HEADER, /* part of a request's header is here */
    CONNECTION_BODY,   /* the header is complete */
    CONNECTION_WORK,   /* the request is complete, its answer is not ready */
    CONNECTION_ANSWER, /* the answer is being sent */
    CONNECTION_STREAM, /* it is being sent while it is made */
};

struct connection {
    struct connection *prev, *next;
    struct settings *settings; /* a reference, for its certificate; NULL without TLS */
    int fd;                    /* borrowed from libmicrohttpd */
    bool over_limit;           /* one too many: to be told so and closed */
    bool shut;                 /* shut down already, soon to be closed */
    struct scan *scan;         /* borrowed: that its request has under way; NULL: none */
    enum connection_phase phase;
    uint64_t since_ms;     /* when the phase began */
    uint64_t body_bytes;   /* BODY: come in so far */
    uint64_t answer_bytes; /* ANSWER: to be sent; STREAM: given to libmicrohttpd so far */
    bool is_charged;       /* ANSWER: to the service's budget */
    uint64_t acked_before; /* ANSWER, if charged: acked_bytes when all before it will be taken */
    uint64_t
        acked_bytes;   /* ANSWER, STREAM: taken by the client, over all of the connection's life */
    uint64_t acked_ms; /* ANSWER, STREAM: when that last grew; 0: not looked at yet */
    bool starved;      /* STREAM: there is nothing to send yet */
};

/* The connections of a loop. A zeroed one is empty. */
struct connection_list {
    struct connection *first;
    size_t count;
};
void connection_list_add(struct connection_list *list, struct connection *connection);
void connection_list_remove(struct connection_list *list, struct connection *connection);

void connection_enter(struct connection *connection, enum connection_phase phase, uint64_t now_ms);
/* ANSWER, with an answer that is charged to the service's budget: it is to be taken at a rate. */
void connection_enter_charged_answer(struct connection *connection, uint64_t now_ms);

enum connection_verdict {
    CONNECTION_STAYS,
    CONNECTION_GONE,    /* its client has ended it, before a whole header */
    CONNECTION_OVERDUE, /* it has had its time */
};
/* It also finds out whether an idle connection has begun a request. `lacks_room`: others have found
 * no room for their answers, so that a charged one is to be taken faster. */
enum connection_verdict connection_judge(struct connection *connection,
                                         const struct service_config *config, uint64_t now_ms,
                                         bool lacks_room);

/* Why its scan is to end, if it is. */
enum scan_cut connection_judge_scan(struct connection *connection,
                                    const struct service_config *config, uint64_t now_ms);

/* Ends it: libmicrohttpd sees that at its next turn and closes it. */
void connection_shut(struct connection *connection);

/* Nothing of a request is here, not even unread. */
bool connection_is_quiet(const struct connection *connection);

#endif
