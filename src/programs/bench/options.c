/* One table of options serves the parser and the help. */
#include "programs/bench/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "programs/bench/ycsb.h"

#define NUM_MAX 10000000000u
#define VALUE_BYTES_MAX ((uint64_t)16 << 20)
#define CACHE_BYTES_MIN ((uint64_t)1 << 20)
#define CACHE_BYTES_MAX ((uint64_t)1 << 40)
#define MEMTABLE_BYTES_MIN ((uint64_t)64 << 10)
#define MEMTABLE_BYTES_MAX ((uint64_t)4 << 30)
#define MEMORY_BUDGET_MIN ((uint64_t)4 << 20)
#define DURATION_S_MAX 1000000u
#define RATE_MAX 1000000000u
#define ROUNDS_MAX 1000u
#define ROUNDS_STANDARD 5
#define INSERT_KEY_BYTES_MIN 16 /* so that no run comes to the last number */
#define WORKLOADS_STANDARD                                                                         \
    "fillseq,fillrandom,filluniquerandom,overwrite,readrandom,readmissing,readseq,seekrandom,"     \
    "readwhilewriting,compact,readrandom,readseq,fillsync"

struct option;
typedef enum varve_status (*option_fn)(struct bench_options *options, const struct option *option,
                                       const char *value, struct varve_error *ret_error);

struct option {
    const char *name;
    const char *value; /* what stands for it in the help; NULL: none is needed */
    const char *text;
    option_fn set;
    size_t field; /* its offset, for the setters that serve many */
    uint64_t least, most;
};

static enum varve_status refuse(const struct option *option, const char *value, const char *why,
                                struct varve_error *ret_error)
{
    return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET, "--%s=%s: %s", option->name,
                     value, why);
}

/* `value` has names with commas between them. */
static enum varve_status for_each_name(struct bench_options *options, const struct option *option,
                                       const char *value, option_fn add,
                                       struct varve_error *ret_error)
{
    char *names = strdup(value);
    if (names == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    enum varve_status status = VARVE_OK;
    char *rest = names;
    while (status == VARVE_OK && rest != NULL) {
        const char *name = strsep(&rest, ",");
        status = add(options, option, name, ret_error);
    }
    free(names);
    return status;
}

static enum varve_status set_number(struct bench_options *options, const struct option *option,
                                    const char *value, struct varve_error *ret_error)
{
    char *end = NULL;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0')
        return refuse(option, value, "not a number", ret_error);
    if (errno != 0 || number < option->least || number > option->most)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--%s=%s: it takes %lu to %lu", option->name, value, option->least,
                         option->most);
    memcpy((uint8_t *)options + option->field, &number, sizeof number);
    return VARVE_OK;
}

static enum varve_status set_flag(struct bench_options *options, const struct option *option,
                                  const char *value, struct varve_error *ret_error)
{
    bool on = strcmp(value, "true") == 0;
    if (!on && strcmp(value, "false") != 0)
        return refuse(option, value, "it takes true or false", ret_error);
    memcpy((uint8_t *)options + option->field, &on, sizeof on);
    return VARVE_OK;
}

static enum varve_status set_engine(struct bench_options *options, const struct option *option,
                                    const char *value, struct varve_error *ret_error)
{
    return engine_find(value, &options->engine, ret_error);
}

static enum varve_status add_compared(struct bench_options *options, const struct option *option,
                                      const char *name, struct varve_error *ret_error)
{
    const struct engine *engine = NULL;
    enum varve_status status = engine_find(name, &engine, ret_error);
    if (status != VARVE_OK)
        return status;
    for (size_t i = 0; i < options->compared_count; i++) {
        if (options->compared[i] == engine)
            return refuse(option, name, "it is named twice", ret_error);
    }
    options->compared[options->compared_count++] = engine;
    return VARVE_OK;
}

static enum varve_status set_compared(struct bench_options *options, const struct option *option,
                                      const char *value, struct varve_error *ret_error)
{
    options->compared_count = 0;
    return for_each_name(options, option, value, add_compared, ret_error);
}

static enum varve_status set_db(struct bench_options *options, const struct option *option,
                                const char *value, struct varve_error *ret_error)
{
    if (value[0] == '\0')
        return refuse(option, value, "no directory is named", ret_error);
    options->db = value;
    return VARVE_OK;
}

static enum varve_status set_crc(struct bench_options *options, const struct option *option,
                                 const char *value, struct varve_error *ret_error)
{
    options->software_crc = strcmp(value, "software") == 0;
    if (!options->software_crc && strcmp(value, "hardware") != 0)
        return refuse(option, value, "it takes hardware or software", ret_error);
    return VARVE_OK;
}

static enum varve_status set_compaction(struct bench_options *options, const struct option *option,
                                        const char *value, struct varve_error *ret_error)
{
    if (strcmp(value, "leveled") == 0)
        options->compaction = ENGINE_COMPACTION_LEVELED;
    else if (strcmp(value, "tiered") == 0)
        options->compaction = ENGINE_COMPACTION_TIERED;
    else
        return refuse(option, value, "it takes leveled or tiered", ret_error);
    return VARVE_OK;
}

static enum varve_status set_compression(struct bench_options *options, const struct option *option,
                                         const char *value, struct varve_error *ret_error)
{
    if (strcmp(value, "none") == 0)
        options->compression = ENGINE_COMPRESSION_NONE;
    else if (strcmp(value, "lz4") == 0)
        options->compression = ENGINE_COMPRESSION_LZ4;
    else if (strcmp(value, "zstd") == 0)
        options->compression = ENGINE_COMPRESSION_ZSTD;
    else
        return refuse(option, value, "it takes none, lz4 or zstd", ret_error);
    return VARVE_OK;
}

static enum varve_status add_workload(struct bench_options *options, const struct option *option,
                                      const char *name, struct varve_error *ret_error)
{
    const struct workload *workload = workload_find(name);
    if (workload == NULL)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--%s: no workload is called \"%s\"", option->name, name);
    if (options->workload_count == OPTIONS_WORKLOADS_MAX)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--%s: more than %d workloads", option->name, OPTIONS_WORKLOADS_MAX);
    options->workloads[options->workload_count++] = workload;
    return VARVE_OK;
}

static enum varve_status set_workloads(struct bench_options *options, const struct option *option,
                                       const char *value, struct varve_error *ret_error)
{
    options->workload_count = 0;
    return for_each_name(options, option, value, add_workload, ret_error);
}

#define FIELD(name) offsetof(struct bench_options, name)

static const struct option option_table[] = {
    {"engine", "NAME", "varve, leveldb or rocksdb; varve", set_engine},
    {"benchmarks", "LIST", "workloads below, with commas between them; most of db_bench's",
     set_workloads},
    {"num", "N", "keys, and operations of a workload; 1000000", set_number, FIELD(num), 1, NUM_MAX},
    {"writes", "N", "of fillrandom, overwrite and deleterandom; num", set_number, FIELD(writes), 1,
     NUM_MAX},
    {"reads", "N", "of workloads that read or seek at random, and of YCSB's; num", set_number,
     FIELD(reads), 1, NUM_MAX},
    {"threads", "N", "that share a workload's operations; 1", set_number, FIELD(threads), 1,
     OPTIONS_THREADS_MAX},
    {"key-bytes", "N", "size of a key; 16", set_number, FIELD(key_bytes), 1,
     GENERATOR_KEY_BYTES_MAX},
    {"value-bytes", "N", "size of a value; 100", set_number, FIELD(value_bytes), 0,
     VALUE_BYTES_MAX},
    {"sync", NULL, "sync every write", set_flag, FIELD(sync)},
    {"db", "DIRECTORY", "empty or new, and kept; else a temporary one", set_db},
    {"use-existing-db", NULL, "take the store in --db, which must hold all num keys", set_flag,
     FIELD(use_existing_db)},
    {"cache-bytes", "N", "size of the block cache; 67108864", set_number, FIELD(cache_bytes),
     CACHE_BYTES_MIN, CACHE_BYTES_MAX},
    {"memtable-bytes", "N", "size of a write buffer; 67108864", set_number, FIELD(memtable_bytes),
     MEMTABLE_BYTES_MIN, MEMTABLE_BYTES_MAX},
    {"memory-budget", "N", "varve's, bytes; by itself the sum of its parts", set_number,
     FIELD(memory_budget_bytes), MEMORY_BUDGET_MIN, CACHE_BYTES_MAX},
    {"seed", "N", "from which all keys and values follow; 1", set_number, FIELD(seed), 0,
     UINT64_MAX},
    {"crc", "KIND", "hardware or software, of varve's check sums; hardware", set_crc},
    {"compaction", "POLICY", "leveled or tiered (RocksDB: universal); as the engine does by itself",
     set_compaction},
    {"compression", "KIND", "none, lz4 or zstd, of all levels; none", set_compression},
    {"verify", NULL, "hold whole passes against a model of all writes; one thread", set_flag,
     FIELD(verify)},
    {"watch", NULL, "tell the most bytes that the tables took up while a workload ran", set_flag,
     FIELD(watch)},
    {"duration", "SECONDS", "of workloads that draw keys, instead of writes or reads; 0: off",
     set_number, FIELD(duration_s), 0, DURATION_S_MAX},
    {"rate", "N", "operations a second in the same, all threads together; 0: no limit", set_number,
     FIELD(rate), 0, RATE_MAX},
    {"histogram", NULL, "tell all latencies of each workload, not only percentiles", set_flag,
     FIELD(histogram)},
    {"compare", "ENGINES", "run them in turn, in processes of their own, and print a table",
     set_compared},
    {"rounds", "N", "of a comparison; 5", set_number, FIELD(rounds), 1, ROUNDS_MAX},
    {"json", NULL, "one JSON object a line", set_flag, FIELD(json)},
};
#define OPTION_COUNT (sizeof option_table / sizeof option_table[0])

static enum varve_status parse_one(struct bench_options *options, const char *argument,
                                   struct varve_error *ret_error)
{
    if (strncmp(argument, "--", 2) != 0)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "%s: options are written --name=value", argument);
    const char *name = argument + 2;
    size_t name_bytes = strcspn(name, "=");
    const char *value = name[name_bytes] == '=' ? name + name_bytes + 1 : NULL;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &option_table[i];
        if (strlen(option->name) != name_bytes || memcmp(option->name, name, name_bytes) != 0)
            continue;
        if (value == NULL && option->value != NULL)
            return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                             "--%s needs a value: --%s=%s", option->name, option->name,
                             option->value);
        return option->set(options, option, value != NULL ? value : "true", ret_error);
    }
    return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET, "no option is called --%.*s",
                     (int)name_bytes, name);
}

/* Whether the workloads can follow each other so. */
static enum varve_status check_order(const struct bench_options *options,
                                     struct varve_error *ret_error)
{
    bool has_keys = options->use_existing_db;
    for (size_t i = 0; i < options->workload_count; i++) {
        const struct workload *workload = options->workloads[i];
        if (workload->fresh && options->use_existing_db)
            return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                             "%s begins with an empty store: not with --use-existing-db",
                             workload->name);
        if (workload->needs_keys && !has_keys)
            return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                             "%s needs keys: put a filling workload before it, or give --db and "
                             "--use-existing-db",
                             workload->name);
        if (workload->mix != NULL && workload->mix->inserts != 0 &&
            options->key_bytes < INSERT_KEY_BYTES_MIN)
            return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                             "--key-bytes=%lu: %s inserts keys, whose numbers may have %d digits",
                             options->key_bytes, workload->name, INSERT_KEY_BYTES_MIN);
        has_keys = has_keys || workload->choose != NULL;
    }
    return VARVE_OK;
}

/* What depends on the engine. */
static enum varve_status check_engine(const struct bench_options *options,
                                      const struct engine *engine, struct varve_error *ret_error)
{
    if (options->memory_budget_bytes != 0 && engine != &engine_varve)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--memory-budget: %s has no such limit", engine->name);
    if (options->compaction == ENGINE_COMPACTION_TIERED && engine->is_leveled_only)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--compaction=tiered: %s has only the leveled policy", engine->name);
    if (options->compression != ENGINE_COMPRESSION_NONE && !engine->has_lz4_and_zstd)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--compression: %s has neither lz4 nor zstd", engine->name);
    return VARVE_OK;
}

/* Each round has a store of its own, and what comes out is a table. */
static enum varve_status check_comparison(const struct bench_options *options,
                                          struct varve_error *ret_error)
{
    if (options->compared_count == 0) {
        if (options->rounds != 0)
            return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                             "--rounds needs --compare=ENGINES");
        return check_engine(options, options->engine, ret_error);
    }
    if (options->db != NULL || options->json || options->histogram || options->use_existing_db)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--compare prints a table of stores of its own: not with --db, "
                         "--use-existing-db, --json or --histogram");
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < options->compared_count; i++)
        status = check_engine(options, options->compared[i], ret_error);
    return status;
}

static enum varve_status check_together(const struct bench_options *options,
                                        struct varve_error *ret_error)
{
    uint64_t digits = 1;
    for (uint64_t number = options->num - 1; number >= 10; number /= 10)
        digits++;
    if (options->key_bytes < digits)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--key-bytes=%lu: the numbers up to --num=%lu have %lu digits",
                         options->key_bytes, options->num, digits);
    if (options->use_existing_db && options->db == NULL)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--use-existing-db needs --db=DIRECTORY");
    enum varve_status status = check_comparison(options, ret_error);
    if (status != VARVE_OK)
        return status;
    if (options->verify && (options->threads != 1 || options->use_existing_db))
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "--verify takes one thread, and a store whose writes it has seen");
    return check_order(options, ret_error);
}

enum varve_status bench_options_parse(size_t count, char *const *arguments,
                                      struct bench_options *ret_options,
                                      struct varve_error *ret_error)
{
    struct bench_options options = {
        .engine = &engine_varve,
        .num = 1000000,
        .threads = 1,
        .key_bytes = 16,
        .value_bytes = 100,
        .cache_bytes = (uint64_t)64 << 20,
        .memtable_bytes = ENGINE_WRITE_BUFFER_BYTES,
        .seed = 1,
    };
    for (size_t i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0) {
            options.help = true;
            *ret_options = options;
            return VARVE_OK;
        }
    }
    enum varve_status status = parse_one(&options, "--benchmarks=" WORKLOADS_STANDARD, ret_error);
    for (size_t i = 0; status == VARVE_OK && i < count; i++)
        status = parse_one(&options, arguments[i], ret_error);
    if (status == VARVE_OK)
        status = check_together(&options, ret_error);
    if (status != VARVE_OK)
        return status;
    if (options.writes == 0)
        options.writes = options.num;
    if (options.reads == 0)
        options.reads = options.num;
    if (options.rounds == 0)
        options.rounds = ROUNDS_STANDARD;
    *ret_options = options;
    return VARVE_OK;
}

static const char help_end[] =
    "\nAll stores: keys are decimal numbers with zeros in front, values compress to a half; no\n"
    "compression unless asked for, Bloom filters of 10 bits a key, 2 write buffers,\n"
    "blocks of 4 KiB, checksums verified, a log, 2 background threads.\n"
    "\n"
    "us/op is elapsed time over the operations of all threads; latencies are of single operations\n"
    "(readseq, readreverse: of one in 17). A key that is missing, out of order or has another\n"
    "key's value ends the run. Write amplification is bytes written by flushes and merges per "
    "byte\n"
    "of keys and values written in the workload; \"log\" adds the log, \"device\" is what the "
    "kernel\n"
    "counts.\n"
    "A pause is the longest time in which no operation of any thread ended, silent the whole\n"
    "seconds in which none did. With --rate each operation has a start that was meant for it; one\n"
    "that is late begins at once, and its latency is from the start that was meant. With "
    "--duration\n"
    "what is still due at the end is left out. --compare tells the median, the least and the\n"
    "greatest of the rounds, and how many times faster than the better peer varve is.\n"
    "YCSB's keys are drawn with a skew of 0.99 and lie scattered, but for D; its inserts add keys\n"
    "behind the num first ones.\n"
    "What a store still merges after a workload counts in the next one; compact merges all and "
    "waits\n"
    "for it, waitforcompaction waits until nothing was written for 10 s.\n"
    "LevelDB tells its table bytes in MiB, RocksDB in hundredths of a GiB.\n";

enum varve_status bench_options_help(struct buf *text)
{
    enum varve_status status =
        buf_append_format(text, "usage: varve-bench [--NAME=VALUE ...]\n\noptions and defaults:\n");
    for (size_t i = 0; i < OPTION_COUNT && status == VARVE_OK; i++) {
        const struct option *option = &option_table[i];
        const char *value = option->value != NULL ? option->value : "";
        int pad = (int)(27 - strlen(option->name) - strlen(value));
        status = buf_append_format(text, "  --%s%s%s%*s %s\n", option->name,
                                   option->value != NULL ? "=" : " ", value, pad, "", option->text);
    }
    if (status == VARVE_OK)
        status = buf_append_format(text, "\nworkloads:\n");
    for (size_t i = 0; workload_at(i) != NULL && status == VARVE_OK; i++)
        status =
            buf_append_format(text, "  %-17s %s\n", workload_at(i)->name, workload_at(i)->text);
    if (status == VARVE_OK)
        status = buf_append_slice(text, varve_slice_str(help_end));
    return status;
}
