/*
 * service/service.h: what all event loops and handlers of one varved share. The server owns it; the
 * fields that are not atomic never change while a loop runs.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "os/sync.h"
#include "service/config.h"
#include "service/journal.h"

struct event_loop;
struct thread_pool;
struct settings;
struct varve_db;

enum service_state {
    SERVICE_RECOVERING, /* listening; the store is not open yet */
    SERVICE_READY,
    SERVICE_DRAINING, /* still answers, but wants no new clients */
};

struct service {
    const struct service_config *config; /* borrowed: as it was at the start */
    const struct journal *journal;       /* borrowed */
    struct event_loop **loops;           /* complete before a loop runs */
    size_t loop_count;
    struct thread_pool *workers;  /* for what must not hold an event loop up */
    struct thread_pool *scanners; /* for steps of scans, which may be any number */
    uint64_t random;              /* of this process */
    time_t started_at;            /* wall clock */

    struct {
        struct mutex lock;
        struct settings *settings; /* a reference */
    } mu;
    _Atomic(struct settings *) settings_now; /* the same, to see whether they have changed */

    _Atomic(struct varve_db *) db; /* NULL until it is open; closed after the loops have ended */
    _Atomic int state;             /* enum service_state */

    _Atomic uint64_t reloads, reloads_failed;

    _Atomic size_t connections;       /* now, over all loops */
    _Atomic size_t scans;             /* of whole ranges, now */
    _Atomic size_t body_bytes;        /* now, reserved for bodies in flight */
    _Atomic size_t body_bytes_max;    /* of the settings that count */
    _Atomic size_t answer_bytes;      /* now, reserved for large answers in flight */
    _Atomic size_t answer_bytes_max;  /* of the settings that count */
    _Atomic uint64_t answers_refused; /* for which there was no room */
};

/* The settings that count from now on; takes ownership of the reference. */
void service_set_settings(struct service *service, struct settings *settings);
/* A reference to those that count now. Caller gives it up with settings_unref. */
struct settings *service_get_settings(struct service *service);
/* Exchanges a reference that is no longer to those that count now. */
void service_follow_settings(struct service *service, struct settings **settings);

static inline enum service_state service_state(struct service *service)
{
    return (enum service_state)atomic_load_explicit(&service->state, memory_order_acquire);
}

/* NULL while the store is being opened. */
static inline struct varve_db *service_db(struct service *service)
{
    return atomic_load_explicit(&service->db, memory_order_acquire);
}

/* The second of store time, begun or next: what is accepted now with a time to live expires so many
 * seconds behind it, not sooner, also while the wall clock has been set back. The store is open. */
uint64_t service_expiry_base_s(struct service *service);

/* Takes `size` bytes of the budget for bodies in flight; false when there is not so much left. */
bool service_has_body_room(struct service *service, size_t size); /* now, without taking it */
bool service_reserve_body(struct service *service, size_t size);
void service_release_body(struct service *service, size_t size);

/* The same for answers, `size` bytes more for who has `held` already. Who would be the only one
 * always gets it. Thread safe. */
bool service_reserve_answer(struct service *service, size_t held, size_t size);
void service_release_answer(struct service *service, size_t size);

/* One scan more under way; false when there are `limit` already. */
bool service_begin_scan(struct service *service, size_t limit);
void service_end_scan(struct service *service);

#endif
