/*
 * service/reload.h: takes the configuration anew while varved runs.
 */
#ifndef SERVICE_RELOAD_H
#define SERVICE_RELOAD_H

#include "service/journal.h"
#include "service/service.h"

/* As config_load takes them. Borrowed as long as varved runs. */
struct reload_sources {
    int count;
    char *const *arguments;
    char *const *environment;
};

/* Reads the configuration from where it came from at the start, and the token file and the
 * certificate with it. What is wrong anywhere is written to the log, and then nothing changes. Else
 * what can change counts from the event loops' next turn on, and what cannot is named in the log.
 * For the one thread that sets the service's settings. */
void reload_run(struct service *service, const struct reload_sources *sources,
                struct journal *journal);

/* Writes what is to be known of the files that the settings name to the log. */
void reload_report_files(const struct journal *journal, const struct settings *settings);

#endif
