/* service/listener.h: the sockets that the event loops accept from. */
#ifndef SERVICE_LISTENER_H
#define SERVICE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include <varve/status.h>

#include "base/status.h"
#include "service/config.h"

#define LISTENER_ADDRESS_BYTES 128u

/* Whether other machines may reach a socket: not on a loopback address or of the local kind. */
bool listener_is_exposed(int fd);

/* Opens `count` non-blocking sockets on the configured address, which share it; or, if systemd
 * handed a socket over, gives that one `count` times. `ret_address` is what clients connect to, for
 * people. VARVE_IO, VARVE_INVALID (no such address, or a
 * socket handed over that config_allows_others is against), VARVE_LOCKED (it is in use) with
 * `ret_error`. The caller closes them. */
MUST_CHECK enum varve_status listener_open(const struct service_config *config, size_t count,
                                           int *ret_fds, char ret_address[LISTENER_ADDRESS_BYTES],
                                           struct varve_error *ret_error);

#endif
