/* Defaults and bounds of every option, in one table, so that an error can name the option. */
#include <stdio.h>

#include <varve/options.h>

#include "base/status.h"

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)
#define GIB(n) ((size_t)(n) << 30)

/* name, default, least, most */
#define OPTION_SIZES(X)                                                                            \
    X(memtable_bytes, MIB(64), KIB(64), GIB(4))                                                    \
    X(memtable_entries, 500000, 1000, 1000000000)                                                  \
    X(memtables_max, 4, 2, 64)                                                                     \
    X(group_bytes, MIB(1), KIB(4), MIB(64))                                                        \
    X(wal_segments_spare, 4, 0, 64)                                                                \
    X(write_queue_bytes, MIB(256), MIB(1), GIB(64))                                                \
    X(batch_bytes_max, MIB(64), KIB(64), GIB(1))                                                   \
    X(value_bytes_max, MIB(16), 1, VARVE_VALUE_BYTES_MAX)                                          \
    X(block_bytes, KIB(4), KIB(1), MIB(1))                                                         \
    X(block_restart_interval, 16, 1, 256)                                                          \
    X(bloom_bits_per_key, 10, 0, 32)                                                               \
    X(table_bytes, MIB(64), KIB(64), GIB(4))                                                       \
    X(block_cache_bytes, MIB(256), MIB(1), GIB(1024))                                              \
    X(open_tables_max, 4000, 16, 100000)                                                           \
    X(level0_trigger, 4, 2, 64)                                                                    \
    X(level0_stop, 24, 3, 1024)                                                                    \
    X(max_levels, VARVE_LEVELS_MAX, 2, VARVE_LEVELS_MAX)                                           \
    X(level_multiplier, 10, 2, 100)                                                                \
    X(compaction_workers, 1, 1, VARVE_COMPACTION_WORKERS_MAX)

void varve_options_init(struct varve_options *options)
{
    *options = (struct varve_options){.create_if_missing = true,
                                      .sync_writes = true,
                                      .recovery_mode = VARVE_RECOVERY_TAIL,
                                      .compression = VARVE_COMPRESSION_NONE,
                                      .compression_bottom = VARVE_COMPRESSION_LZ4,
#define OPTION_DEFAULT(name, standard, least, most) .name = (standard),
                                      OPTION_SIZES(OPTION_DEFAULT)
#undef OPTION_DEFAULT
    };
}

static enum varve_status size_check(const char *name, size_t value, size_t least, size_t most,
                                    struct varve_error *ret_error)
{
    if (value >= least && value <= most)
        return VARVE_OK;
    return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                     "option %s is %zu; it takes %zu to %zu", name, value, least, most);
}

/* The cache has its share, and one memtable can be filled while another is flushed. */
static enum varve_status memory_check(const struct varve_options *options,
                                      struct varve_error *ret_error)
{
    if (options->memory_budget_bytes == 0)
        return VARVE_OK;
    enum varve_status status = size_check("memory_budget_bytes", options->memory_budget_bytes,
                                          MIB(4), GIB(1024), ret_error);
    size_t least = options->block_cache_bytes + 2 * options->memtable_bytes;
    if (status != VARVE_OK || options->memory_budget_bytes >= least)
        return status;
    return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                     "option memory_budget_bytes is %zu; block_cache_bytes (%zu) and two memtables "
                     "(memtable_bytes, %zu) take %zu",
                     options->memory_budget_bytes, options->block_cache_bytes,
                     options->memtable_bytes, least);
}

static enum varve_status compression_check(const char *name, enum varve_compression value,
                                           struct varve_error *ret_error)
{
    switch (value) {
    case VARVE_COMPRESSION_NONE:
    case VARVE_COMPRESSION_LZ4:
    case VARVE_COMPRESSION_ZSTD:
        return VARVE_OK;
    }
    return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                     "option %s has the unknown value %d", name, (int)value);
}

enum varve_status varve_options_check(const struct varve_options *options,
                                      struct varve_error *ret_error)
{
    enum varve_status status = VARVE_OK;
#define OPTION_CHECK(name, standard, least, most)                                                  \
    status = size_check(#name, options->name, least, most, ret_error);                             \
    if (status != VARVE_OK)                                                                        \
        return status;
    OPTION_SIZES(OPTION_CHECK)
#undef OPTION_CHECK
    if (options->level0_stop <= options->level0_trigger)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "option level0_stop is %zu; it takes more than level0_trigger (%zu)",
                         options->level0_stop, options->level0_trigger);
    status = memory_check(options, ret_error);
    if (status == VARVE_OK)
        status = compression_check("compression", options->compression, ret_error);
    if (status == VARVE_OK)
        status = compression_check("compression_bottom", options->compression_bottom, ret_error);
    if (status != VARVE_OK)
        return status;
    if (options->compaction != VARVE_COMPACTION_TIERED &&
        options->compaction != VARVE_COMPACTION_LEVELED)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "option compaction has the unknown value %d", (int)options->compaction);
    switch (options->recovery_mode) {
    case VARVE_RECOVERY_TAIL:
    case VARVE_RECOVERY_STRICT:
        return VARVE_OK;
    case VARVE_RECOVERY_POINT_IN_TIME:
    case VARVE_RECOVERY_SALVAGE:
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "option recovery_mode: this version knows tail and strict only");
    }
    return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                     "option recovery_mode has the unknown value %d", (int)options->recovery_mode);
}
