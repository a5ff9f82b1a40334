/*
 * An exchange waits for a commit or for a worker: its connection is suspended, or lingers first (a
 * commit is soon done), its write request lent, and delivered back to the loop when the wait is
 * over.
 *
 * The loop queues the writes of a turn in one step, which does not wait for the disk. A write whose
 * conditions would have to comes back undone, and a worker queues it.
 */
#include "service/exchange.h"

#include "service/router.h"

enum varve_status exchange_begin_batch(struct exchange *exchange)
{
    if (exchange->batch == NULL)
        return varve_batch_new(&exchange->batch);
    varve_batch_clear(exchange->batch);
    return VARVE_OK;
}

static void wait(struct exchange *exchange)
{
    exchange->phase = EXCHANGE_WAITING;
    exchange->write.receiver = &exchange->loop->receiver;
    event_loop_expect(exchange->loop);
}

enum exchange_step exchange_commit(struct exchange *exchange)
{
    wait(exchange);
    event_loop_linger(exchange);
    exchange->write.batch = exchange->batch;
    exchange->write.sync = exchange->sync;
    event_loop_gather(exchange->loop, exchange->db, &exchange->write);
    return EXCHANGE_WAITS;
}

enum exchange_step exchange_work(struct exchange *exchange, enum thread_job_kind kind,
                                 void (*run)(struct thread_job *job))
{
    wait(exchange);
    event_loop_suspend(exchange);
    exchange->job.run = run;
    exchange->job.kind = kind;
    thread_pool_submit(exchange->loop->service->workers, &exchange->job);
    return EXCHANGE_WAITS;
}

enum exchange_step exchange_defer(struct exchange *exchange, void (*run)(struct thread_job *job))
{
    meter_record_deferred(&exchange->loop->meter, exchange->route->meter, exchange->method);
    return exchange_work(exchange, THREAD_JOB_URGENT, run);
}

enum exchange_step exchange_scan(struct exchange *exchange, void (*run)(struct thread_job *job))
{
    exchange->phase = EXCHANGE_WAITING;
    exchange->peer->scan = exchange->scan;
    event_loop_suspend(exchange);
    exchange_submit_scan(exchange, run);
    return EXCHANGE_WAITS;
}

void exchange_submit_scan(struct exchange *exchange, void (*run)(struct thread_job *job))
{
    event_loop_expect(exchange->loop);
    exchange->write.receiver = &exchange->loop->receiver;
    exchange->job.run = run;
    exchange->job.kind = THREAD_JOB_URGENT;
    thread_pool_submit(exchange->loop->service->scanners, &exchange->job);
}

struct exchange *exchange_of_job(struct thread_job *job)
{
    return (struct exchange *)(void *)((char *)job - offsetof(struct exchange, job));
}

void exchange_job_done(struct exchange *exchange, enum varve_status status)
{
    exchange->write.status = status;
    exchange->write.next = NULL;
    exchange->write.receiver->deliver(exchange->write.receiver, &exchange->write);
}

/* Once it is queued the exchange is the store's. */
static void run_commit(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    enum varve_status status = varve_write_async(exchange->db, &exchange->write);
    if (status != VARVE_OK)
        exchange_job_done(exchange, status);
}

enum exchange_step exchange_go_on(struct exchange *exchange)
{
    if (exchange->write.status == VARVE_WOULD_BLOCK) /* keys of conditions are not in memory */
        return exchange_defer(exchange, run_commit);
    return exchange->route->finish(exchange);
}
