/*
 * service/event_loop.h: a thread that serves connections: a libmicrohttpd daemon of its own, driven
 * from outside, and a mailbox for requests that have waited for the store.
 *
 * A loop and all that hangs on it (connections, exchanges) belong to its thread; only what is said
 * to be so may be called from others.
 */
#ifndef SERVICE_EVENT_LOOP_H
#define SERVICE_EVENT_LOOP_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/db.h>

#include "base/status.h"
#include "service/connection.h"
#include "service/meter.h"
#include "service/service.h"

struct exchange;
struct settings;

struct event_loop {
    struct service *service; /* borrowed */
    unsigned index;          /* among the service's loops */
    struct MHD_Daemon *daemon;
    int listen_fd; /* owned; -1 once it is closed */
    int epoll_fd;  /* the daemon's */
    int wake_fd;
    pthread_t thread;

    /* from any thread */
    struct varve_write_receiver receiver; /* of this loop's write requests */
    _Atomic(struct varve_write_request *) delivered;
    _Atomic uint64_t drain_until_ms;   /* 0: not draining */
    _Atomic uint64_t patient_until_ms; /* while draining: when waits are cut short */
    _Atomic uint64_t heartbeat_ms;
    struct meter meter;

    /* the thread's own */
    struct settings *settings; /* a reference, as of this turn */
    uint64_t now_ms;           /* as of this turn */
    uint64_t reaped_ms;        /* when connections were last looked through */
    uint64_t refused_before;   /* answers of all loops, for which there was no room, until then */
    uint64_t serial;           /* of its requests */
    bool resumed;              /* a wait was over since the daemon ran */
    bool moved;                /* the daemon did more than ask those that linger when it ran */
    bool wakes_again;          /* the daemon has more to do at once */
    bool quiesced;             /* the listener is closed */
    size_t waiting;            /* write requests that are to be delivered */
    size_t lingering;          /* of them: those whose connections are not suspended */
    /* writes of this turn, to be queued in one step when the daemon has run */
    struct varve_db *gathered_db;
    struct varve_write_request *gathered, **gathered_end;
    struct connection_list connections;
    struct exchange *spare_exchanges;
    size_t spare_exchange_count;
};

/* Makes a loop that accepts from `listen_fd`, of which it takes ownership in any case.
 * VARVE_NO_MEMORY, VARVE_IO. Caller frees with event_loop_free once it does not run. */
MUST_CHECK enum varve_status event_loop_new(struct service *service, unsigned index, int listen_fd,
                                            struct event_loop **ret_loop);
void event_loop_free(struct event_loop *loop); /* takes NULL */

/* Starts its thread. VARVE_IO. Then, in this order: drain, join. */
MUST_CHECK enum varve_status event_loop_start(struct event_loop *loop);

/* Closes the listener and idle connections, lets requests in flight finish until `until_ms` (of
 * event_loop_clock_ms), then cuts them off, but for those that wait for the store, and ends. From
 * `patient_until_ms` on nobody waits for flushes, merges and backups any more (varve_interrupt), so
 * that there is time to say so. Any thread. */
void event_loop_drain(struct event_loop *loop, uint64_t patient_until_ms, uint64_t until_ms);
void event_loop_join(struct event_loop *loop);

/* Suspends the connection of an exchange until its write request is delivered, which has been
 * expected, or will be. */
void event_loop_suspend(struct exchange *exchange);
/* The same for what is likely to be delivered soon: the daemon asks for the answer turn by turn,
 * and is told each time by event_loop_linger_on that there is none yet. */
void event_loop_linger(struct exchange *exchange);
void event_loop_linger_on(struct exchange *exchange);
/* One write request more will be delivered: the loop does not end before. */
void event_loop_expect(struct event_loop *loop);
/* Queues a write at the end of this turn, with all others of the turn. Its exchange waits already.
 */
void event_loop_gather(struct event_loop *loop, struct varve_db *db,
                       struct varve_write_request *request);

/* Milliseconds and microseconds of the monotonic clock. */
uint64_t event_loop_clock_ms(void);
uint64_t event_loop_clock_us(void);

#endif
