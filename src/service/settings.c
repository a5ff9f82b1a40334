/* A reference is given up with release and acquire, so that the last one frees what all have read.
 */
#include "service/settings.h"

#include <stdlib.h>

enum varve_status settings_load(const struct service_config *config, struct settings **ret_settings,
                                struct varve_error *ret_error)
{
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    atomic_init(&settings->references, 1);
    settings->config = *config;
    enum varve_status status = VARVE_OK;
    if (config->token_file[0] != '\0')
        status = token_list_load(config->token_file, &settings->tokens, ret_error);
    if (status == VARVE_OK && config->tls_cert_file[0] != '\0')
        status = tls_load(config->tls_cert_file, config->tls_key_file, &settings->tls, ret_error);
    if (status != VARVE_OK) {
        settings_unref(settings);
        return status;
    }
    *ret_settings = settings;
    return VARVE_OK;
}

struct settings *settings_ref(struct settings *settings)
{
    atomic_fetch_add_explicit(&settings->references, 1, memory_order_relaxed);
    return settings;
}

void settings_unref(struct settings *settings)
{
    if (settings == NULL ||
        atomic_fetch_sub_explicit(&settings->references, 1, memory_order_acq_rel) > 1)
        return;
    token_list_free(settings->tokens);
    tls_free(settings->tls);
    free(settings);
}
