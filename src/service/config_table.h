/*
 * service/config_table.h: the table of settings behind service/config.h. Not thread safe.
 */
#ifndef SERVICE_CONFIG_TABLE_H
#define SERVICE_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/config.h"

enum config_kind {
    CONFIG_ADDRESS, /* address:port; sets listen_host and listen_port too */
    CONFIG_TEXT,
    CONFIG_OPTIONAL_TEXT, /* none is none: empty here */
    CONFIG_BOOL,          /* true, false */
    CONFIG_COUNT,         /* digits */
    CONFIG_THREADS,       /* digits, or auto, which is 0 */
    CONFIG_SIZE,          /* digits with K, KiB, M, MiB, G, GiB */
    CONFIG_BUDGET,        /* the same, or auto, which is 0 */
    CONFIG_MILLISECONDS,  /* digits with ms, s, m */
    CONFIG_CHOICE,        /* one of `choices`; its place there is the value */
};

#define CONFIG_KIB(n) ((uint64_t)(n) << 10)
#define CONFIG_MIB(n) ((uint64_t)(n) << 20)
#define CONFIG_GIB(n) ((uint64_t)(n) << 30)

/* kind, name, member, default, least, most, choices, help */
#define CONFIG_MAP(X)                                                                              \
    X(ADDRESS, listen, listen, "127.0.0.1:7070", 0, 0, NULL,                                       \
      "address:port to serve on; [address]:port for IPv6")                                         \
    X(BOOL, insecure, insecure, "false", 0, 0, NULL,                                               \
      "allow an address that other machines reach without both TLS and a token file")              \
    X(OPTIONAL_TEXT, tls_cert_file, tls_cert_file, "none", 0, 0, NULL,                             \
      "certificate of the server and its chain, in PEM; none: no TLS")                             \
    X(OPTIONAL_TEXT, tls_key_file, tls_key_file, "none", 0, 0, NULL,                               \
      "key of the certificate, in PEM")                                                            \
    X(OPTIONAL_TEXT, token_file, token_file, "none", 0, 0, NULL,                                   \
      "tokens that clients must show, and what each may do; none: all is open")                    \
    X(TEXT, data_dir, data_dir, "data", 0, 0, NULL, "directory of the store; made if missing")     \
    X(OPTIONAL_TEXT, backup_dir, backup_dir, "none", 0, 0, NULL,                                   \
      "existing folder for backups that clients ask for; none: they may not")                      \
    X(THREADS, http_threads, http_threads, "auto", 1, 256, NULL, "event loops; auto: one a core")  \
    X(CHOICE, log_level, log_level, "info", 0, 0, "error|warning|info|debug",                      \
      "least important lines that are logged")                                                     \
    X(CHOICE, log_format, log_format, "text", 0, 0, "text|json", "form of a log line")             \
    X(COUNT, max_connections, max_connections, "4096", 1, CONFIG_CONNECTIONS_MAX, NULL,            \
      "open connections; further ones are answered 503")                                           \
    X(COUNT, max_streams, max_streams, "64", 1, 100000, NULL,                                      \
      "scans that take long at the same time; further ones are answered 503")                      \
    X(MILLISECONDS, stream_timeout_ms, stream_timeout_ms, "60m", 100, 604800000, NULL,             \
      "a scan, or a stream from its first byte, is cut off after this time")                       \
    X(MILLISECONDS, stream_idle_ms, stream_idle_ms, "30s", 100, 86400000, NULL,                    \
      "a stream of which the client takes nothing for this time is cut off")                       \
    X(SIZE, max_body_bytes, max_body_bytes, "32MiB", CONFIG_KIB(1), CONFIG_GIB(1), NULL,           \
      "one request body")                                                                          \
    X(SIZE, max_value_bytes, engine.value_bytes_max, "16MiB", 1, VARVE_VALUE_BYTES_MAX, NULL,      \
      "one value")                                                                                 \
    X(SIZE, bodies_in_flight_bytes, bodies_in_flight_bytes, "256MiB", CONFIG_KIB(1),               \
      CONFIG_GIB(64), NULL,                                                                        \
      "all large request bodies in memory together, at least max_body_bytes")                      \
    X(SIZE, answers_in_flight_bytes, answers_in_flight_bytes, "256MiB", CONFIG_KIB(1),             \
      CONFIG_GIB(64), NULL, "all large answers in memory together; one always passes")             \
    X(MILLISECONDS, header_timeout_ms, header_timeout_ms, "10s", 100, 3600000, NULL,               \
      "a request's header must have come within this time")                                        \
    X(SIZE, body_min_rate, body_min_rate, "1KiB", 0, CONFIG_GIB(1), NULL,                          \
      "bytes a second that a body must come, and a large answer be taken, at on average; 0: any")  \
    X(SIZE, answer_min_rate, answer_min_rate, "64KiB", 0, CONFIG_GIB(1), NULL,                     \
      "the same for a large answer while others find no room for theirs; 0: any")                  \
    X(MILLISECONDS, idle_timeout_ms, idle_timeout_ms, "1m", 100, 86400000, NULL,                   \
      "a connection without a request is closed after this time")                                  \
    X(MILLISECONDS, request_timeout_ms, request_timeout_ms, "1m", 100, 86400000, NULL,             \
      "a request's body must have come within this time after its header")                         \
    X(MILLISECONDS, drain_delay_ms, drain_delay_ms, "1s", 0, 3600000, NULL,                        \
      "on SIGTERM: time between turning not ready and closing the listener")                       \
    X(MILLISECONDS, drain_timeout_ms, drain_timeout_ms, "10s", 0, 3600000, NULL,                   \
      "on SIGTERM: time that requests in flight have to finish")                                   \
    X(BOOL, sync, engine.sync_writes, "true", 0, 0, NULL,                                          \
      "a write that does not say is on stable storage before its answer")                          \
    X(BOOL, create_if_missing, engine.create_if_missing, "true", 0, 0, NULL,                       \
      "make the store where there is none")                                                        \
    X(BOOL, error_if_exists, engine.error_if_exists, "false", 0, 0, NULL,                          \
      "refuse to open a store that exists")                                                        \
    X(CHOICE, recovery_mode, engine.recovery_mode, "tail", 0, 0, "tail|strict",                    \
      "tail cuts a torn end off the log, strict refuses any anomaly")                              \
    X(SIZE, memtable_bytes, engine.memtable_bytes, "64MiB", CONFIG_KIB(64), CONFIG_GIB(4), NULL,   \
      "memory table; full, it is flushed to a table file")                                         \
    X(COUNT, memtable_entries, engine.memtable_entries, "500000", 1000, 1000000000, NULL,          \
      "entries at which a memory table is full")                                                   \
    X(COUNT, memtables_max, engine.memtables_max, "4", 2, 64, NULL,                                \
      "memory tables together, the active one and those that wait for flush")                      \
    X(SIZE, group_bytes, engine.group_bytes, "1MiB", CONFIG_KIB(4), CONFIG_MIB(64), NULL,          \
      "writes that are committed as one group")                                                    \
    X(COUNT, wal_segments_spare, engine.wal_segments_spare, "4", 0, 64, NULL,                      \
      "old log segments that are kept for use again")                                              \
    X(SIZE, write_queue_bytes, engine.write_queue_bytes, "256MiB", CONFIG_MIB(1), CONFIG_GIB(64),  \
      NULL, "writes that wait for their commit")                                                   \
    X(SIZE, batch_bytes_max, engine.batch_bytes_max, "64MiB", CONFIG_KIB(64), CONFIG_GIB(1), NULL, \
      "one batch, encoded")                                                                        \
    X(SIZE, block_bytes, engine.block_bytes, "4KiB", CONFIG_KIB(1), CONFIG_MIB(1), NULL,           \
      "data block of a table file, about")                                                         \
    X(COUNT, block_restart_interval, engine.block_restart_interval, "16", 1, 256, NULL,            \
      "keys of a block between two that are stored in full")                                       \
    X(COUNT, bloom_bits_per_key, engine.bloom_bits_per_key, "10", 0, 32, NULL,                     \
      "size of the Bloom filters; 0: none")                                                        \
    X(SIZE, table_bytes, engine.table_bytes, "64MiB", CONFIG_KIB(64), CONFIG_GIB(4), NULL,         \
      "table file, about")                                                                         \
    X(SIZE, block_cache_bytes, engine.block_cache_bytes, "256MiB", CONFIG_MIB(1),                  \
      CONFIG_GIB(1024), NULL, "cache of data, index and filter blocks")                            \
    X(BUDGET, memory_budget, engine.memory_budget_bytes, "auto", CONFIG_MIB(4), CONFIG_GIB(1024),  \
      NULL,                                                                                        \
      "all that the store holds in memory; auto: memory tables, cache and queue as they are set")  \
    X(COUNT, open_tables_max, engine.open_tables_max, "4000", 16, 100000, NULL,                    \
      "table files that are kept open")                                                            \
    X(CHOICE, compaction, engine.compaction, "tiered", 0, 0, "tiered|leveled",                     \
      "tiered writes less, leveled keeps less that is old")                                        \
    X(CHOICE, compression, engine.compression, "none", 0, 0, "none|lz4|zstd",                      \
      "of table files above the last level")                                                       \
    X(CHOICE, compression_bottom, engine.compression_bottom, "lz4", 0, 0, "none|lz4|zstd",         \
      "of table files of the last level, where most of the data is")                               \
    X(COUNT, level0_trigger, engine.level0_trigger, "4", 2, 64, NULL,                              \
      "flushed tables at which a merge begins")                                                    \
    X(COUNT, level0_stop, engine.level0_stop, "24", 3, 1024, NULL,                                 \
      "flushed tables at which writes wait, more than level0_trigger")                             \
    X(COUNT, max_levels, engine.max_levels, "7", 2, VARVE_LEVELS_MAX, NULL, "levels of tables")    \
    X(COUNT, level_multiplier, engine.level_multiplier, "10", 2, 100, NULL,                        \
      "how many times larger each level is than the one above")                                    \
    X(COUNT, compaction_workers, engine.compaction_workers, "1", 1, VARVE_COMPACTION_WORKERS_MAX,  \
      NULL, "merges at the same time; flushes have a thread of their own")

/* What a running varved takes from a new configuration. Everything else takes a restart. */
#define CONFIG_RELOAD_MAP(X)                                                                       \
    X(log_level)                                                                                   \
    X(max_connections)                                                                             \
    X(max_streams)                                                                                 \
    X(stream_timeout_ms)                                                                           \
    X(stream_idle_ms)                                                                              \
    X(max_body_bytes)                                                                              \
    X(bodies_in_flight_bytes)                                                                      \
    X(answers_in_flight_bytes)                                                                     \
    X(header_timeout_ms)                                                                           \
    X(body_min_rate)                                                                               \
    X(answer_min_rate)                                                                             \
    X(idle_timeout_ms)                                                                             \
    X(request_timeout_ms)                                                                          \
    X(drain_delay_ms)                                                                              \
    X(drain_timeout_ms)

enum config_place {
#define CONFIG_PLACE(kind, name, member, standard, least, most, choices, help) CONFIG_AT_##name,
    CONFIG_MAP(CONFIG_PLACE)
#undef CONFIG_PLACE
        CONFIG_FIELD_COUNT
};

struct config_field {
    const char *name;
    enum config_kind kind;
    size_t offset;            /* of the member in struct service_config */
    const char *default_text; /* as config_field_format writes it */
    uint64_t least, most;     /* numbers only */
    const char *choices;      /* CONFIG_CHOICE: "a|b|c" */
    const char *help;
};
extern const struct config_field config_fields[CONFIG_FIELD_COUNT];

/* NULL if there is none of that name. */
const struct config_field *config_field_find(const char *name);

/* Whether it is one of CONFIG_RELOAD_MAP. */
bool config_field_reloads(const struct config_field *field);

#define CONFIG_REASON_BYTES 256u

/* False, with the reason (CONFIG_REASON_BYTES), if `text` is not a value for it. */
bool config_field_set(const struct config_field *field, struct service_config *config,
                      const char *text, char *ret_reason);

/* The value as config_field_set takes it, into `ret_text` (CONFIG_TEXT_BYTES). */
void config_field_format(const struct config_field *field, const struct service_config *config,
                         char *ret_text);

#endif
