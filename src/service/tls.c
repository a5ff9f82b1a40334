/*
 * libmicrohttpd is given the texts when a daemon starts, for it wants a certificate then; what
 * clients see is set for each connection, so that it can change while the daemon runs.
 */
#include "service/tls.h"

#include <stdlib.h>
#include <string.h>

#include <gnutls/x509.h>

#include "base/buf.h"
#include "service/limits.h"
#include "service/secret_file.h"

struct tls {
    gnutls_certificate_credentials_t credentials;
    struct buf certificate, key; /* as they were read, with a NUL behind */
    time_t expires_at;
};

static enum varve_status read_text(const char *path, struct buf *text,
                                   struct varve_error *ret_error)
{
    enum varve_status status =
        secret_file_read(path, SECRET_FILE_ANY, LIMIT_CERTIFICATE_FILE_BYTES, text, ret_error);
    if (status == VARVE_OK && buf_append_byte(text, 0) != VARVE_OK)
        status = error_set(ret_error, VARVE_NO_MEMORY, path, STATUS_NO_OFFSET, "out of memory");
    return status;
}

static gnutls_datum_t datum_of(const struct buf *text)
{
    return (gnutls_datum_t){.data = text->data, .size = (unsigned)text->size - 1};
}

/* The following give what GnuTLS does: negative for a failure. */

static int add_key(struct tls *tls, gnutls_x509_crt_t *chain, unsigned count)
{
    gnutls_datum_t text = datum_of(&tls->key);
    gnutls_x509_privkey_t key = NULL;
    int result = gnutls_x509_privkey_init(&key);
    if (result < 0)
        return result;
    result = gnutls_x509_privkey_import2(key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result >= 0)
        result = gnutls_certificate_set_x509_key(tls->credentials, chain, (int)count, key);
    gnutls_x509_privkey_deinit(key);
    return result;
}

/* (gnutls_certificate_set_x509_key_mem2 leaks where a certificate is malformed.) */
static int make_credentials(struct tls *tls)
{
    gnutls_datum_t text = datum_of(&tls->certificate);
    gnutls_x509_crt_t *chain = NULL;
    unsigned count = 0;
    int result = gnutls_certificate_allocate_credentials(&tls->credentials);
    if (result < 0)
        return result;
    result = gnutls_x509_crt_list_import2(&chain, &count, &text, GNUTLS_X509_FMT_PEM, 0);
    if (result < 0)
        return result;
    tls->expires_at = gnutls_x509_crt_get_expiration_time(chain[0]);
    result = add_key(tls, chain, count);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    gnutls_free(chain);
    return result;
}

enum varve_status tls_load(const char *certificate_path, const char *key_path, struct tls **ret_tls,
                           struct varve_error *ret_error)
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    enum varve_status status = read_text(certificate_path, &tls->certificate, ret_error);
    if (status == VARVE_OK)
        status = read_text(key_path, &tls->key, ret_error);
    int result = status == VARVE_OK ? make_credentials(tls) : 0;
    if (result < 0)
        status =
            error_set(ret_error, result == GNUTLS_E_MEMORY_ERROR ? VARVE_NO_MEMORY : VARVE_INVALID,
                      certificate_path, STATUS_NO_OFFSET,
                      "is no certificate that can be used with the key in %s: %s", key_path,
                      gnutls_strerror(result));
    if (status != VARVE_OK) {
        tls_free(tls);
        return status;
    }
    *ret_tls = tls;
    return VARVE_OK;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    if (tls->credentials != NULL)
        gnutls_certificate_free_credentials(tls->credentials);
    if (tls->key.size > 0)
        gnutls_memset(tls->key.data, 0, tls->key.size);
    buf_deinit(&tls->certificate);
    buf_deinit(&tls->key);
    free(tls);
}

enum varve_status tls_use(const struct tls *tls, gnutls_session_t session)
{
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials) != 0)
        return status_raise(VARVE_NO_MEMORY);
    return VARVE_OK;
}

time_t tls_expires_at(const struct tls *tls)
{
    return tls->expires_at;
}

const char *tls_certificate_text(const struct tls *tls)
{
    return (const char *)tls->certificate.data;
}

const char *tls_key_text(const struct tls *tls)
{
    return (const char *)tls->key.data;
}
