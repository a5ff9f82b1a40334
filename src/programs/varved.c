/* varved: the service. Reads its settings, then serves until it is told to stop. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <varve/db.h>

#include "base/buf.h"
#include "os/heap.h"
#include "service/config.h"
#include "service/journal.h"
#include "service/server.h"

extern char **environ;

static int print(enum varve_status status, const struct buf *text)
{
    if (status != VARVE_OK || fwrite(text->data, 1, text->size, stdout) != text->size ||
        fflush(stdout) != 0) {
        fprintf(stderr, "varved: cannot write the output\n");
        return SERVER_EXIT_FAILURE;
    }
    return SERVER_EXIT_OK;
}

static int print_help(void)
{
    struct buf text = {0};
    enum varve_status status = buf_append_format(
        &text, "usage: varved [--config=FILE] [--SETTING=VALUE ...]\n"
               "       varved --print-config | --check-config | --version | --help\n\n");
    if (status == VARVE_OK)
        status = config_help(&text);
    int result = print(status, &text);
    buf_deinit(&text);
    return result;
}

static int print_config(const struct service_config *config)
{
    struct buf text = {0};
    enum varve_status status = config_print(config, &text);
    int result = print(status, &text);
    buf_deinit(&text);
    return result;
}

static int serve(const struct service_config *config, const struct reload_sources *sources)
{
    struct journal journal = {
        .fd = STDERR_FILENO,
        .level = config->log_level,
        .format = config->log_format,
    };
    return server_run(config, sources, &journal);
}

static int refuse(const struct varve_error *error)
{
    fprintf(stderr, "varved: %s%s%s\n", error->path, error->path[0] != '\0' ? ": " : "",
            error->text);
    return SERVER_EXIT_CONFIG;
}

static int check(const struct service_config *config)
{
    struct varve_error error = {0};
    return server_check(config, &error) == VARVE_OK ? SERVER_EXIT_OK : refuse(&error);
}

int main(int count, char **arguments)
{
    static struct service_config config;
    struct varve_error error = {0};
    enum config_action action = CONFIG_RUN;
    heap_set_up();
    if (config_load(&config, count, arguments, environ, &action, &error) != VARVE_OK)
        return refuse(&error);
    switch (action) {
    case CONFIG_PRINT:
        return print_config(&config);
    case CONFIG_HELP:
        return print_help();
    case CONFIG_VERSION:
        printf("varved %s (format %u)\n", varve_version(), varve_format_version());
        return SERVER_EXIT_OK;
    case CONFIG_CHECK:
        return check(&config);
    case CONFIG_RUN:
        break;
    }
    struct reload_sources sources = {count, arguments, environ};
    return serve(&config, &sources);
}
