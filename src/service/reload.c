/*
 * Everything is loaded and checked before anything is put in the place of what counts, and that is
 * one exchange of a pointer. The names of the token file and of the certificate's files take a
 * restart, so that no reload can change what the address that is listened on was allowed for.
 */
#include "service/reload.h"

#include "service/settings.h"

static void report_failure(const struct journal *journal, const struct varve_error *error)
{
    journal_print(journal, VARVE_LOG_ERROR, "reload: nothing was changed: %s%s%s", error->path,
                  error->path[0] != '\0' ? ": " : "", error->text);
}

static void report_change(void *context, const struct config_change *change)
{
    const struct journal *journal = context;
    if (change->needs_restart)
        journal_print(journal, VARVE_LOG_WARNING,
                      "reload: %s = %s takes a restart; until then it is %s", change->name,
                      change->to, change->from);
    else
        journal_print(journal, VARVE_LOG_INFO, "reload: %s = %s, which was %s", change->name,
                      change->to, change->from);
}

static void report_certificate(const struct journal *journal, const struct settings *settings)
{
    char date[32] = "";
    time_t expires_at = tls_expires_at(settings->tls);
    bool has_expired = expires_at <= time(NULL);
    struct tm utc = {0};
    if (gmtime_r(&expires_at, &utc) != NULL)
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    journal_print(journal, has_expired ? VARVE_LOG_WARNING : VARVE_LOG_INFO,
                  "the certificate in %s %s %s", settings->config.tls_cert_file,
                  has_expired ? "has expired at" : "is good until", date);
}

void reload_report_files(const struct journal *journal, const struct settings *settings)
{
    if (settings->tokens != NULL)
        journal_print(journal, VARVE_LOG_INFO, "%zu tokens in %s",
                      token_list_count(settings->tokens), settings->config.token_file);
    if (settings->tls != NULL)
        report_certificate(journal, settings);
}

static enum varve_status load(const struct service_config *running,
                              const struct reload_sources *sources,
                              struct service_config *ret_fresh, struct settings **ret_settings,
                              struct varve_error *ret_error)
{
    enum config_action action = CONFIG_RUN;
    struct service_config merged = *running;
    enum varve_status status = config_load(ret_fresh, sources->count, sources->arguments,
                                           sources->environment, &action, ret_error);
    if (status != VARVE_OK)
        return status;
    config_take_over(&merged, ret_fresh, NULL, NULL);
    return settings_load(&merged, ret_settings, ret_error);
}

void reload_run(struct service *service, const struct reload_sources *sources,
                struct journal *journal)
{
    struct service_config before = service->mu.settings->config, fresh;
    struct settings *settings = NULL;
    struct varve_error error = {0};
    if (load(&before, sources, &fresh, &settings, &error) != VARVE_OK) {
        atomic_fetch_add_explicit(&service->reloads_failed, 1, memory_order_relaxed);
        report_failure(journal, &error);
        return;
    }
    atomic_store_explicit(&journal->level, settings->config.log_level, memory_order_relaxed);
    service_set_settings(service, settings);
    atomic_fetch_add_explicit(&service->reloads, 1, memory_order_relaxed);
    config_take_over(&before, &fresh, report_change, (void *)(uintptr_t)journal);
    reload_report_files(journal, settings);
    journal_print(journal, VARVE_LOG_INFO, "reload: done");
}
