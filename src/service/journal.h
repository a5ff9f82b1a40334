/*
 * service/journal.h: the log of varved, a line an event, as text or as JSON objects. Control bytes
 * are escaped, so that nothing from a request can forge a line. Thread safe once it is set up.
 */
#ifndef SERVICE_JOURNAL_H
#define SERVICE_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <varve/options.h>
#include <varve/slice.h>

#include "base/status.h"
#include "service/config.h"

#define JOURNAL_LINE_BYTES 2048u /* longer lines are cut */

struct journal {
    int fd;            /* borrowed: each line is one write to it */
    _Atomic int level; /* enum varve_log_level; may change at any time */
    enum config_log_format format;
};

static inline bool journal_wants(const struct journal *journal, enum varve_log_level level)
{
    return (int)level <= atomic_load_explicit(&journal->level, memory_order_relaxed);
}

/* A varve_log_fn; `context` is the journal. */
void journal_log(void *context, enum varve_log_level level, const char *text);

void journal_print(const struct journal *journal, enum varve_log_level level, const char *format,
                   ...) PRINTF_LIKE(3, 4);

/* One line about a request that was answered, at debug level. */
struct journal_request {
    struct varve_slice id, target; /* the target is cut if it is long */
    const char *method;
    unsigned status;
    uint64_t bytes_in, bytes_out, duration_us;
};
void journal_request(const struct journal *journal, const struct journal_request *request);

/* One line about who did what, whatever the level is. */
struct journal_audit {
    struct varve_slice id, target; /* the target is cut if it is long */
    const char *method, *token, *peer, *outcome;
    unsigned status;
    bool is_refusal; /* a warning; else for information */
};
void journal_audit(const struct journal *journal, const struct journal_audit *audit);

#endif
