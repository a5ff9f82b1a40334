/*
 * service/settings.h: the settings that count now, with the files that they name. They never change
 * once they are loaded: a reload makes new ones and puts them in the place of the old, which go
 * with the last reference. So whoever holds a reference reads without a lock and sees one state of
 * everything. Thread safe.
 */
#ifndef SERVICE_SETTINGS_H
#define SERVICE_SETTINGS_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/status.h"
#include "service/config.h"
#include "service/tls.h"
#include "service/tokens.h"

struct settings {
    _Atomic size_t references;
    struct service_config config;
    struct token_list *tokens; /* owned; NULL: everybody may do everything */
    struct tls *tls;           /* owned; NULL: plain HTTP */
};

/* As token_list_load and tls_load fail. The caller holds the one reference. */
MUST_CHECK enum varve_status settings_load(const struct service_config *config,
                                           struct settings **ret_settings,
                                           struct varve_error *ret_error);

/* Gives `settings` back. */
struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings); /* takes NULL */

#endif
