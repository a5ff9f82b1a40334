/*
 * service/config.h: the settings of varved. One table gives each setting its name, type, default,
 * bounds and help; the file, the environment, the flags and the printed form all follow from it.
 *
 *   file         name = value, a setting a line, flat: no [sections]. Comments are lines that begin
 *                with # or ;, and what stands behind a ; that follows white space.
 *   environment  VARVE_NAME=value
 *   flags        --name=value or --name value, with - for _; a bool's value may be left out (true),
 *                and takes the form with = otherwise
 *
 * Flags beat the environment, which beats the file, which beats the defaults. Sizes take K, M, G
 * (also KiB, MiB, GiB), durations ms, s, m (none: ms). An unknown name, one that a file has twice,
 * a bad value or one out of bounds is an error that names the setting, where it came from and its
 * line. Not thread safe.
 */
#ifndef SERVICE_CONFIG_H
#define SERVICE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/options.h>

#include "base/buf.h"
#include "base/status.h"

#define CONFIG_CONNECTIONS_MAX 1000000u
#define CONFIG_TEXT_BYTES 512u /* a setting's text with its NUL; longer: refused */

enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct service_config {
    char listen[CONFIG_TEXT_BYTES]; /* address:port, [address]:port */
    char data_dir[CONFIG_TEXT_BYTES];
    /* empty: none */
    char tls_cert_file[CONFIG_TEXT_BYTES];
    char tls_key_file[CONFIG_TEXT_BYTES];
    char token_file[CONFIG_TEXT_BYTES];
    char backup_dir[CONFIG_TEXT_BYTES];

    bool insecure;       /* listen on any address, with or without the above */
    size_t http_threads; /* 0: a thread a core */
    enum varve_log_level log_level;
    enum config_log_format log_format;

    size_t max_connections;
    size_t max_streams;
    size_t stream_timeout_ms;
    size_t stream_idle_ms;
    size_t max_body_bytes;
    size_t bodies_in_flight_bytes;
    size_t answers_in_flight_bytes;
    size_t header_timeout_ms;
    size_t body_min_rate;   /* bytes a second; 0: none */
    size_t answer_min_rate; /* the same */
    size_t idle_timeout_ms;
    size_t request_timeout_ms;
    size_t drain_delay_ms;
    size_t drain_timeout_ms;

    struct varve_options engine; /* `sync` is its sync_writes, `max_value_bytes` value_bytes_max */

    /* of `listen` */
    char listen_host[CONFIG_TEXT_BYTES]; /* without brackets */
    uint16_t listen_port;
};

/* Whether other machines may be let in: by TLS and tokens, or because somebody insists. */
static inline bool config_allows_others(const struct service_config *config)
{
    return config->insecure || (config->tls_cert_file[0] != '\0' && config->token_file[0] != '\0');
}

/* Sets every setting to its default. */
void config_init(struct service_config *config);

enum config_action {
    CONFIG_RUN,
    CONFIG_PRINT,   /* --print-config: write config_print's text and exit */
    CONFIG_CHECK,   /* --check-config: look at the files that are named, too, and exit */
    CONFIG_VERSION, /* --version */
    CONFIG_HELP,    /* --help: write config_help's text and exit */
};

/* Reads the file that --config (or VARVE_CONFIG) names, `environment` (name=value texts up to a
 * NULL, as environ; may be NULL) and the flags `arguments[1]` to `arguments[count - 1]`, and checks
 * that it all fits together. VARVE_INVALID, VARVE_NOT_FOUND (no such file), VARVE_IO; `ret_error`
 * then says what (path: the file, or empty; text: setting, line and reason). With --version or
 * --help nothing else is looked at. */
MUST_CHECK enum varve_status config_load(struct service_config *ret_config, int count,
                                         char *const *arguments, char *const *environment,
                                         enum config_action *ret_action,
                                         struct varve_error *ret_error);

/* A setting that a new configuration would change. */
struct config_change {
    const char *name;                                    /* static */
    char from[CONFIG_TEXT_BYTES], to[CONFIG_TEXT_BYTES]; /* as config_print shows them */
    bool needs_restart;
};
typedef void (*config_change_fn)(void *context, const struct config_change *change);

/* Takes from `fresh` what can change while varved runs; calls `each`, which may be NULL, for each
 * setting that differs. */
void config_take_over(struct service_config *running, const struct service_config *fresh,
                      config_change_fn each, void *context);

/* Appends all settings as a file that config_load reads back. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status config_print(const struct service_config *config, struct buf *out);

/* Appends what --help prints after the usage line: each flag with its default. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status config_help(struct buf *out);

/* A setting by its place in the table: for answers that show the configuration, and for tests.
 * False behind the last one. */
struct config_setting {
    const char *name;             /* static */
    const char *help;             /* static */
    const char *default_text;     /* static */
    char text[CONFIG_TEXT_BYTES]; /* as config_print shows it */
};
bool config_setting_at(const struct service_config *config, size_t index,
                       struct config_setting *ret_setting);

#endif
