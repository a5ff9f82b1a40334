/*
 * reopen_bench.c: what opening a store takes, after a clean close and with a log to replay.
 *
 * reopen_bench --db DIRECTORY --mib N [--value-bytes V] [--table-mib T] --load
 * reopen_bench --db DIRECTORY --mib N [--value-bytes V] --log
 * reopen_bench --db DIRECTORY [--mib N] --open
 * reopen_bench --db DIRECTORY --scan
 *
 * --load writes N MiB of values in key order, without compression, in tables of T MiB, and closes
 * the store. --log
 * writes N MiB of log in random key order, unsynced, into a memtable that holds all of it, and then
 * dies by SIGKILL. --open opens the store with memtables of N MiB, prints what that took, and
 * closes it. --scan reads all entries in order, and prints how fast. Values are V bytes that do not
 * compress.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <varve/varve.h>

#include "base/coding.h"
#include "prng.h"

#define MIB ((uint64_t)1 << 20)
#define VALUE_BYTES_MAX ((size_t)1 << 20)
#define BATCH_BYTES ((size_t)64 << 10)
#define KEY_BYTES 16
#define LOG_ROOM_MIB 64 /* the memtable's own bytes an entry, over the log's */
#define ENTRIES_MAX 1000000000u

struct bench {
    const char *dir;
    uint64_t mib, table_mib;
    size_t value_bytes;
    struct prng prng;
    struct varve_db *db;
};

static double now_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool succeeded(enum varve_status status, const char *what)
{
    if (status != VARVE_OK)
        fprintf(stderr, "reopen_bench: %s: %s\n", what, varve_status_text(status));
    return status == VARVE_OK;
}

static bool store_open(struct bench *bench, uint64_t memtable_mib)
{
    struct varve_options options;
    struct varve_error error = {0};
    varve_options_init(&options);
    options.memtable_bytes = (size_t)(memtable_mib * MIB);
    options.memtable_entries = ENTRIES_MAX;
    options.table_bytes = (size_t)(bench->table_mib * MIB);
    options.compression_bottom = VARVE_COMPRESSION_NONE;
    if (varve_open(bench->dir, &options, &bench->db, &error) == VARVE_OK)
        return true;
    fprintf(stderr, "reopen_bench: %s: %s\n", error.path, error.text);
    return false;
}

static struct varve_slice key_make(uint64_t number, char key[KEY_BYTES + 1])
{
    snprintf(key, KEY_BYTES + 1, "%016" PRIx64, number);
    return varve_slice(key, KEY_BYTES);
}

static struct varve_slice value_make(struct bench *bench, uint8_t *room)
{
    for (size_t at = 0; at < bench->value_bytes; at += sizeof(uint64_t))
        fixed64_encode(room + at, prng_next(&bench->prng));
    return varve_slice(room, bench->value_bytes);
}

static bool batch_write(struct varve_db *db, struct varve_batch *batch)
{
    enum varve_status status = VARVE_BUSY;
    while ((status = varve_write(db, batch, VARVE_SYNC_OFF, NULL)) == VARVE_BUSY)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    varve_batch_clear(batch);
    return succeeded(status, "write");
}

static int load(struct bench *bench)
{
    static uint8_t room[VALUE_BYTES_MAX + sizeof(uint64_t)];
    char key[KEY_BYTES + 1];
    struct varve_batch *batch = NULL;
    bool well =
        store_open(bench, bench->table_mib) && succeeded(varve_batch_new(&batch), "making a batch");
    size_t gathered = 0;
    for (uint64_t i = 0; well && i < bench->mib * MIB / bench->value_bytes; i++) {
        well = succeeded(varve_batch_put(batch, key_make(i, key), value_make(bench, room)), "put");
        gathered += bench->value_bytes;
        if (well && gathered >= BATCH_BYTES) {
            well = batch_write(bench->db, batch);
            gathered = 0;
        }
    }
    if (well && gathered > 0)
        well = batch_write(bench->db, batch);
    varve_batch_free(batch);
    return well && succeeded(varve_close(bench->db), "close") ? 0 : 1;
}

static int log_write_and_die(struct bench *bench)
{
    static uint8_t room[VALUE_BYTES_MAX + sizeof(uint64_t)];
    char key[KEY_BYTES + 1];
    struct varve_stats stats = {0};
    bool well = store_open(bench, bench->mib + LOG_ROOM_MIB);
    while (well && stats.wal_bytes < bench->mib * MIB) {
        for (int i = 0; well && i < 64; i++)
            well = succeeded(varve_put(bench->db, key_make(prng_next(&bench->prng), key),
                                       value_make(bench, room), VARVE_SYNC_OFF, NULL),
                             "put");
        if (well)
            varve_stats_read(bench->db, &stats);
    }
    if (!well)
        return 1;
    if (stats.flushes > 0) {
        fprintf(stderr, "reopen_bench: the memtable did not hold the log\n");
        return 1;
    }
    raise(SIGKILL);
    return 1;
}

static int reopen(struct bench *bench)
{
    struct varve_stats stats = {0};
    double began = now_ms();
    if (!store_open(bench, bench->mib))
        return 1;
    double opened = now_ms();
    varve_stats_read(bench->db, &stats);
    double closing = now_ms();
    if (!succeeded(varve_close(bench->db), "close"))
        return 1;
    printf("open_ms=%.0f replay_ms=%.0f rewrite_ms=%.0f close_ms=%.0f frames=%" PRIu64
           " entries=%" PRIu64 " tables=%" PRIu64 " table_mib=%" PRIu64 "\n",
           opened - began, (double)stats.recovery_replay_us / 1e3,
           (double)stats.recovery_rewrite_us / 1e3, now_ms() - closing, stats.recovery_frames,
           stats.recovery_entries, stats.tables, stats.table_bytes / MIB);
    return 0;
}

static int scan(struct bench *bench)
{
    const struct varve_iterator_options options = {.fill_cache = false};
    struct varve_iterator *it = NULL;
    uint64_t entries = 0, bytes = 0;
    if (!store_open(bench, 64) ||
        !succeeded(varve_iterator_new(bench->db, &options, &it), "making an iterator"))
        return 1;
    double began = now_ms();
    enum varve_status status = varve_iterator_seek_first(it);
    for (; status == VARVE_OK; status = varve_iterator_next(it)) {
        entries++;
        bytes += varve_iterator_key(it).size + varve_iterator_value(it).size;
    }
    double took = now_ms() - began;
    varve_iterator_free(it);
    if (status != VARVE_END)
        return succeeded(status, "iterator") ? 0 : 1;
    printf("scan_ms=%.0f entries=%" PRIu64 " mib_per_s=%.0f\n", took, entries,
           (double)bytes / (double)MIB / (took / 1e3));
    return succeeded(varve_close(bench->db), "close") ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"db", required_argument, NULL, 'd'},
                                            {"mib", required_argument, NULL, 'm'},
                                            {"value-bytes", required_argument, NULL, 'v'},
                                            {"table-mib", required_argument, NULL, 't'},
                                            {"load", no_argument, NULL, 'l'},
                                            {"log", no_argument, NULL, 'w'},
                                            {"open", no_argument, NULL, 'o'},
                                            {"scan", no_argument, NULL, 's'},
                                            {0}};
    struct bench bench = {.mib = 64, .table_mib = 64, .value_bytes = 1000, .prng = prng_make(1)};
    int (*run)(struct bench *) = NULL;
    for (int flag = 0; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (flag == 'd')
            bench.dir = optarg;
        else if (flag == 'm')
            bench.mib = strtoull(optarg, NULL, 10);
        else if (flag == 'v')
            bench.value_bytes = strtoull(optarg, NULL, 10);
        else if (flag == 't')
            bench.table_mib = strtoull(optarg, NULL, 10);
        else if (flag == 'l')
            run = load;
        else if (flag == 'w')
            run = log_write_and_die;
        else if (flag == 'o')
            run = reopen;
        else if (flag == 's')
            run = scan;
        else
            return 2;
    }
    if (bench.dir == NULL || run == NULL || bench.mib == 0 || bench.value_bytes == 0 ||
        bench.value_bytes > VALUE_BYTES_MAX)
        return 2;
    return run(&bench);
}
