/* Owns the store and its directory, and puts what a run says beside what the store and the kernel
 * say of it. */
#include "programs/bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "programs/bench/crew.h"
#include "programs/bench/generator.h"
#include "programs/bench/process.h"
#include "programs/bench/report.h"
#include "programs/bench/watch.h"

#define PATH_BYTES 4096
#define NS_PER_S 1000000000u

struct bench {
    const struct bench_options *options;
    const struct engine *engine;
    FILE *out;
    struct varve_error *ret_error;

    char path[PATH_BYTES];
    bool is_temporary;
    void *store;    /* NULL: closed */
    bool is_filled; /* something was written to the store since it was made */
    uint64_t puts, put_bytes, device_bytes_at_open; /* since it was opened */

    struct key_set keys;
    struct value_sums sums; /* remembers nothing but with --verify */
    struct flow flow;
    struct permutation order;
    struct value_pool pool;
    struct crew_result result;
};

static enum varve_status fail_errno(struct bench *bench, const char *what)
{
    return error_set(bench->ret_error, VARVE_IO, bench->path, STATUS_NO_OFFSET, "%s: %s", what,
                     strerror(errno));
}

/* A store that is there already is never removed by mistake. */
static enum varve_status check_is_empty(struct bench *bench)
{
    DIR *directory = opendir(bench->path);
    if (directory == NULL)
        return errno == ENOENT ? VARVE_OK : fail_errno(bench, "cannot look into it");
    size_t count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    if (count > 2)
        return error_set(bench->ret_error, VARVE_EXISTS, bench->path, STATUS_NO_OFFSET,
                         "is not empty: use it with --use-existing-db, or remove it");
    return VARVE_OK;
}

static enum varve_status choose_path(struct bench *bench)
{
    const char *parent = getenv("TMPDIR");
    const char *db = bench->options->db;
    int size = db != NULL ? snprintf(bench->path, PATH_BYTES, "%s", db)
                          : snprintf(bench->path, PATH_BYTES, "%s/varve-bench.XXXXXX",
                                     parent != NULL ? parent : "/tmp");
    if (size >= PATH_BYTES)
        return error_set(bench->ret_error, VARVE_TOO_LARGE, NULL, STATUS_NO_OFFSET,
                         "the directory's name is too long");
    if (db != NULL)
        return bench->options->use_existing_db ? VARVE_OK : check_is_empty(bench);
    if (mkdtemp(bench->path) == NULL)
        return fail_errno(bench, "cannot make a temporary directory");
    bench->is_temporary = true;
    return VARVE_OK;
}

static enum varve_status store_open(struct bench *bench)
{
    struct engine_settings settings = {
        .path = bench->path,
        .create = !bench->options->use_existing_db,
        .cache_bytes = bench->options->cache_bytes,
        .memtable_bytes = bench->options->memtable_bytes,
        .memory_budget_bytes = bench->options->memory_budget_bytes,
        .compaction = bench->options->compaction,
        .compression = bench->options->compression,
    };
    bench->puts = 0;
    bench->put_bytes = 0;
    bench->device_bytes_at_open = process_device_write_bytes();
    return bench->engine->open(&settings, &bench->store, bench->ret_error);
}

static enum varve_status store_close(struct bench *bench)
{
    void *store = bench->store;
    bench->store = NULL;
    return store != NULL ? bench->engine->close(store, bench->ret_error) : VARVE_OK;
}

static enum varve_status store_renew(struct bench *bench)
{
    enum varve_status status = store_close(bench);
    if (status == VARVE_OK)
        status = bench->engine->destroy(bench->path, bench->ret_error);
    if (status == VARVE_OK)
        status = store_open(bench);
    key_set_clear(&bench->keys);
    value_sums_clear(&bench->sums);
    bench->is_filled = false;
    return status;
}

static void report_place(struct bench *bench, struct report *report)
{
    report->engine = bench->engine->name;
    report->space_bytes = process_directory_bytes(bench->path);
    report->table_space_bytes = process_table_bytes(bench->path);
    report->rss_bytes = process_rss_bytes();
    report->rss_most_bytes = process_rss_most_bytes();
}

/* The operations of a run, as far as they are known before it. */
static uint64_t ops_of(const struct bench *bench, const struct workload *workload)
{
    const struct workload_counts counts = {
        .keys = workload->needs_keys ? bench->keys.count * bench->options->threads
                                     : bench->options->num,
        .writes = bench->options->writes,
        .reads = bench->options->reads,
    };
    return workload->extent != WORKLOAD_ONE ? workload_ops(workload, &counts) : 0;
}

/* Watches the store if that was asked for, and for whoever sits at a terminal the run. */
static enum varve_status run_watched(struct bench *bench, const struct crew_orders *orders,
                                     uint64_t *ret_table_space_most_bytes)
{
    const struct bench_options *options = bench->options;
    bool is_timed = workload_is_drawn(orders->workload) && options->duration_s != 0;
    struct progress progress = {
        .out = stderr,
        .workload = orders->workload->name,
        .flow = &bench->flow,
        .ops = ops_of(bench, orders->workload),
        .duration_ns = is_timed ? options->duration_s * NS_PER_S : 0,
    };
    bool is_told = isatty(STDERR_FILENO) == 1;
    flow_begin(&bench->flow, process_now_ns()); /* what it says of the run before is over */
    struct watch *watch = NULL;
    enum varve_status status = VARVE_OK;
    if (options->watch || is_told)
        status =
            watch_start(options->watch ? bench->path : NULL, is_told ? &progress : NULL, &watch);
    if (status != VARVE_OK)
        return error_set(bench->ret_error, status, NULL, STATUS_NO_OFFSET, "cannot watch: %s",
                         varve_status_text(status));
    status = crew_run(orders, &bench->result, bench->ret_error);
    *ret_table_space_most_bytes = watch_stop(watch);
    return status;
}

static enum varve_status run_workload(struct bench *bench, const struct workload *workload,
                                      uint64_t step)
{
    struct crew_orders orders = {
        .options = bench->options,
        .workload = workload,
        .step = step,
        .store = bench->store,
        .keys = &bench->keys,
        .sums = &bench->sums,
        .order = &bench->order,
        .flow = &bench->flow,
        .path = bench->path,
        .pool = &bench->pool,
    };
    struct crew_result *result = &bench->result;
    memset(result, 0, sizeof *result);
    struct engine_written before = {0}, after = {0};
    bench->engine->written(bench->store, &before);
    uint64_t device_before = process_device_write_bytes();
    uint64_t table_space_most_bytes = 0;
    enum varve_status status = run_watched(bench, &orders, &table_space_most_bytes);
    if (status != VARVE_OK)
        return status;
    bench->engine->written(bench->store, &after);
    bench->puts += result->puts;
    bench->put_bytes += result->put_bytes;
    bench->is_filled = bench->is_filled || result->puts != 0;
    struct report report = {
        .workload = workload->name,
        .threads = result->threads,
        .ops = result->ops,
        .user_bytes = result->user_bytes,
        .seconds = result->seconds,
        .times_ns = &result->times_ns,
        .with_histogram = bench->options->histogram,
        .rate = workload_is_drawn(workload) ? bench->options->rate : 0,
        .has_pauses = workload->extent != WORKLOAD_ONE,
        .longest_pause_ns = bench->flow.longest_pause_ns,
        .silent_seconds = bench->flow.silent_seconds,
        .puts = result->puts,
        .put_bytes = result->put_bytes,
        .table_bytes = after.table_bytes - before.table_bytes,
        .all_bytes = after.all_bytes - before.all_bytes,
        .device_bytes = process_device_write_bytes() - device_before,
        .table_space_most_bytes = table_space_most_bytes,
    };
    report_place(bench, &report);
    report_print(bench->out, bench->options->json, &report);
    return VARVE_OK;
}

static enum varve_status tell_stats(struct bench *bench, const struct workload *workload)
{
    static const struct histogram no_times;
    struct buf text = {0};
    struct engine_written written = {0};
    enum varve_status status = bench->engine->stats(bench->store, &text);
    if (status == VARVE_OK)
        status = buf_append_byte(&text, '\0');
    if (status != VARVE_OK) {
        status = error_set(bench->ret_error, status, NULL, STATUS_NO_OFFSET, "out of memory");
        goto out;
    }
    bench->engine->written(bench->store, &written);
    struct report report = {
        .workload = workload->name,
        .stats = (const char *)text.data,
        .times_ns = &no_times,
        .puts = bench->puts,
        .put_bytes = bench->put_bytes,
        .table_bytes = written.table_bytes,
        .all_bytes = written.all_bytes,
        .device_bytes = process_device_write_bytes() - bench->device_bytes_at_open,
    };
    report_place(bench, &report);
    report_print(bench->out, bench->options->json, &report);
out:
    buf_deinit(&text);
    return status;
}

static enum varve_status run_all(struct bench *bench)
{
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < bench->options->workload_count; i++) {
        const struct workload *workload = bench->options->workloads[i];
        if (workload->run == NULL) {
            status = tell_stats(bench, workload);
            continue;
        }
        if (workload->fresh && bench->is_filled)
            status = store_renew(bench);
        if (status == VARVE_OK)
            status = run_workload(bench, workload, i);
    }
    return status;
}

static enum varve_status prepare(struct bench *bench)
{
    const struct bench_options *options = bench->options;
    bench->order = permutation_make(options->num, options->seed);
    enum varve_status status = key_set_init(&bench->keys, options->num);
    if (status == VARVE_OK)
        status = value_pool_init(&bench->pool, options->value_bytes, options->seed);
    if (status == VARVE_OK && options->verify)
        status = value_sums_init(&bench->sums, options->num);
    if (status != VARVE_OK)
        return error_set(bench->ret_error, status, NULL, STATUS_NO_OFFSET, "out of memory");
    if (options->use_existing_db)
        key_set_add_all(&bench->keys);
    return VARVE_OK;
}

/* Returns `status`, or if that is OK what goes wrong here; what went wrong first is what is told.
 */
static enum varve_status clean_up(struct bench *bench, enum varve_status status)
{
    struct varve_error ignored = {0};
    if (status != VARVE_OK)
        bench->ret_error = &ignored;
    enum varve_status closed = store_close(bench);
    if (closed == VARVE_OK && bench->is_temporary)
        closed = bench->engine->destroy(bench->path, bench->ret_error);
    if (closed == VARVE_OK && bench->is_temporary && rmdir(bench->path) != 0 && errno != ENOENT)
        closed = fail_errno(bench, "cannot remove it");
    value_pool_deinit(&bench->pool);
    value_sums_deinit(&bench->sums);
    key_set_deinit(&bench->keys);
    return status != VARVE_OK ? status : closed;
}

enum varve_status bench_run(const struct bench_options *options, FILE *out,
                            struct varve_error *ret_error)
{
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    bench->options = options;
    bench->engine = options->engine;
    bench->out = out;
    bench->ret_error = ret_error;
    enum varve_status status = prepare(bench);
    if (status == VARVE_OK)
        status = choose_path(bench);
    if (status == VARVE_OK)
        status = store_open(bench);
    if (status == VARVE_OK) {
        report_print_head(out, options->json);
        status = run_all(bench);
    }
    status = clean_up(bench, status);
    free(bench);
    return status;
}
