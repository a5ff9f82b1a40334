/*
 * service/tls.h: a certificate with its key, ready for use. It never changes once it is loaded, and
 * is thread safe.
 */
#ifndef SERVICE_TLS_H
#define SERVICE_TLS_H

#include <time.h>

#include <gnutls/gnutls.h>

#include "base/status.h"

/* TLS 1.2 and 1.3, keys that are forgotten after the connection, ciphers that also authenticate. */
#define TLS_PRIORITIES                                                                             \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-AES-256-CBC:-AES-128-CBC:%SERVER_PRECEDENCE"

struct tls;

/* Reads both files, in PEM; the first may hold a chain, the server's own certificate first.
 * VARVE_INVALID (they are malformed, or do not belong together), VARVE_NOT_FOUND, VARVE_IO,
 * VARVE_NO_MEMORY, each with `ret_error`. Caller frees with tls_free. */
MUST_CHECK enum varve_status tls_load(const char *certificate_path, const char *key_path,
                                      struct tls **ret_tls, struct varve_error *ret_error);
void tls_free(struct tls *tls); /* takes NULL */

/* Lets a session that has not begun show this certificate. `tls` must outlive the session.
 * VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status tls_use(const struct tls *tls, gnutls_session_t session);

time_t tls_expires_at(const struct tls *tls); /* of the server's own certificate */

/* The two files as texts. Borrowed until `tls` is freed. */
const char *tls_certificate_text(const struct tls *tls);
const char *tls_key_text(const struct tls *tls);

#endif
