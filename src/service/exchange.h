/*
 * service/exchange.h: a request and its answer, from the request line to the last byte sent. It
 * knows libmicrohttpd, so that the handlers need not. For the loop's thread only; a handler that
 * waits lends the exchange's write request to another thread.
 */
#ifndef SERVICE_EXCHANGE_H
#define SERVICE_EXCHANGE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/db.h>

#include "base/buf.h"
#include "base/status.h"
#include "os/thread_pool.h"
#include "service/access.h"
#include "service/connection.h"
#include "service/entity_tag.h"
#include "service/event_loop.h"
#include "service/headers.h"
#include "service/json_answer.h"
#include "service/problem.h"
#include "service/range_query.h"
#include "service/scan.h"
#include "service/target.h"

struct route;
struct batch_work;

enum exchange_phase {
    EXCHANGE_NEW,     /* the request line is here */
    EXCHANGE_BODY,    /* the header is checked, the body comes in */
    EXCHANGE_WAITING, /* suspended */
    EXCHANGE_ANSWERED,
};

/* What a handler did. */
enum exchange_step {
    EXCHANGE_DONE,  /* the answer, or the problem, is set */
    EXCHANGE_WAITS, /* the route's finish goes on once the write request is delivered */
    EXCHANGE_DROPS, /* nobody wants an answer: the connection is closed */
};

/* A zeroed one is empty. */
struct answer {
    unsigned status;          /* 0: none yet */
    const char *content_type; /* static; NULL: no body */
    struct buf body;
    struct varve_value lent; /* owned: is the body where it holds one */
    bool is_length_only;     /* the body is not sent, nor made: only its length is known */
    size_t length;
    bool has_revision;
    uint64_t revision;
    bool has_tag; /* of revision */
    enum entity_form tag_form;
    bool nosniff;
    bool streams;           /* the exchange's scan is the body */
    unsigned retry_after_s; /* 0: none */
};

static inline struct varve_slice answer_bytes(const struct answer *answer)
{
    return answer->lent.data.size > 0 ? answer->lent.data : buf_slice(&answer->body);
}

/* Of an answer that is made while it is sent (service/stream.h). A zeroed one has not begun. */
struct stream {
    struct buf chunks[2]; /* owned; a scanner fills the one that is not being sent */
    unsigned sending;     /* which is */
    size_t sent;          /* bytes of it */
    bool works;           /* a scanner does */
    bool has_next;        /* the other chunk is full */
    bool ended;           /* and the last one */
    uint64_t items;       /* counted so far */
};

struct exchange {
    struct event_loop *loop;
    struct connection *peer;
    struct MHD_Connection *connection;
    struct exchange *next_spare;
    enum exchange_phase phase;
    uint64_t started_us;

    /* the request; what points into libmicrohttpd's memory is good until the answer is sent */
    const char *method_text;
    enum request_method method;
    const char *raw_target_at; /* where the target stood */
    struct buf raw_target;
    struct buf header_list; /* struct header each */
    struct framing framing;
    struct request_id id;
    struct access access;
    struct target target;
    const struct route *route; /* NULL: not found */
    struct varve_db *db;       /* set where the route needs it */

    struct buf body;
    size_t body_limit;    /* of what is kept, or dropped where no body is taken */
    size_t body_reserved; /* of the service's budget, for what has come */
    uint64_t body_seen;
    bool drops_body;

    /* of the key-value handlers */
    enum representation representation; /* of the body of a write, or of the answer to a read */
    enum value_encoding encoding;
    enum varve_sync sync;
    uint64_t ttl_s; /* 0: none */
    bool prepares;  /* a worker does, before the commit */
    struct buf value;
    struct varve_batch *batch; /* kept for the next exchange */
    struct json_results results;
    struct batch_work *batch_work; /* owned; of a batch under way */
    enum range_form range_form;
    struct scan *scan;                /* owned; of a range */
    struct stream stream;             /* of the scan, if it is one */
    struct varve_write_request write; /* delivered: the wait is over */
    struct thread_job job;
    bool waits_for_job;
    struct varve_slice job_start, job_end; /* of a merge; empty: no bound */
    bool suspended;                        /* its connection is, until `write` is delivered */
    bool lingers;                          /* the same without that: it is asked turn by turn */
    unsigned turns_waited;                 /* how often it was */
    bool orphaned; /* its connection has gone; freed when `write` is delivered */

    bool has_problem; /* beats the answer */
    struct problem problem;
    struct answer answer;
    size_t answer_reserved; /* of the service's budget */
};

/* libmicrohttpd's callbacks; `context` is the event loop. */
void *exchange_on_target(void *context, const char *target, struct MHD_Connection *connection);
enum MHD_Result exchange_on_request(void *context, struct MHD_Connection *connection,
                                    const char *url, const char *method, const char *version,
                                    const char *data, size_t *size, void **context_of_request);
void exchange_on_completed(void *context, struct MHD_Connection *connection, void **exchange,
                           enum MHD_RequestTerminationCode reason);

/* The exchange's write request is delivered. False if the exchange has gone with that. */
bool exchange_on_delivered(struct exchange *exchange);

void exchange_free(struct exchange *exchange); /* takes NULL */

static inline const struct header *exchange_headers(const struct exchange *exchange)
{
    return (const struct header *)(const void *)exchange->header_list.data;
}
static inline size_t exchange_header_count(const struct exchange *exchange)
{
    return exchange->header_list.size / sizeof(struct header);
}

/* For handlers: the answer's status and type; its body is appended to answer.body. */
enum exchange_step exchange_answer(struct exchange *exchange, unsigned status,
                                   const char *content_type);
/* Charges an answer of `size` bytes, if it is a large one that is to be sent, to the service's
 * budget, before it is made; sending charges what is still missing. On failure the problem is set.
 * On whichever thread has the exchange. */
MUST_CHECK enum varve_status exchange_reserve_answer(struct exchange *exchange, size_t size);
/* The problem is set already. */
enum exchange_step exchange_refuse(struct exchange *exchange);
/* The store, or memory, failed. */
enum exchange_step exchange_fail(struct exchange *exchange, enum varve_status status);

/* An empty batch of the exchange's own. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status exchange_begin_batch(struct exchange *exchange);
/* Waits and commits `batch`; the route's finish finds status and revision in `write`. Keys of
 * conditions that are not in memory are read by a worker. */
enum exchange_step exchange_commit(struct exchange *exchange);
/* Suspends and has `run` (a job of this exchange) done by a worker, which ends with
 * exchange_job_done; patient is what may wait for very long itself. */
enum exchange_step exchange_work(struct exchange *exchange, enum thread_job_kind kind,
                                 void (*run)(struct thread_job *job));
/* Suspends and has the steps of the exchange's scan done by scanners: `run` submits the job again
 * to service->scanners, or ends with exchange_job_done. */
enum exchange_step exchange_scan(struct exchange *exchange, void (*run)(struct thread_job *job));
/* The same for reads that the loop would have had to wait for the disk for. They are counted. */
enum exchange_step exchange_defer(struct exchange *exchange, void (*run)(struct thread_job *job));
/* The same without a wait. */
void exchange_submit_scan(struct exchange *exchange, void (*run)(struct thread_job *job));
struct exchange *exchange_of_job(struct thread_job *job);
void exchange_job_done(struct exchange *exchange, enum varve_status status);
/* For exchange.c: what was waited for is there. */
enum exchange_step exchange_go_on(struct exchange *exchange);

#endif
