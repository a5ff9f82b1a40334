/* service/server.h: the life of varved, from its first socket to its last byte. */
#ifndef SERVICE_SERVER_H
#define SERVICE_SERVER_H

#include "base/status.h"
#include "service/config.h"
#include "service/journal.h"
#include "service/reload.h"

/* What varved exits with. */
enum server_exit {
    SERVER_EXIT_OK = 0,
    SERVER_EXIT_FAILURE = 1, /* it could not start, or not close the store cleanly */
    SERVER_EXIT_CONFIG = 2,
    SERVER_EXIT_LOCKED = 3,  /* another process has the directory or the address */
    SERVER_EXIT_DAMAGED = 4, /* the store needs a person */
};

/* Reads the files that the settings name. Any status but VARVE_OK: `ret_error` says all. */
MUST_CHECK enum varve_status server_check(const struct service_config *config,
                                          struct varve_error *ret_error);

/* Serves until SIGTERM or SIGINT; SIGHUP reads `sources` again. Blocks those and ignores SIGPIPE
 * for the whole process, so call it from the first thread, before any other. */
enum server_exit server_run(const struct service_config *config,
                            const struct reload_sources *sources, struct journal *journal);

#endif
