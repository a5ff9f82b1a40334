/* What is asked for is what is done, and what is not understood is refused by name. */
#include <check.h>
#include <string.h>

#include "programs/bench/options.h"
#include "run_suite.h"

#define ARGUMENTS_MAX 8

static struct bench_options options;
static struct varve_error error;

/* Arguments with spaces between them. */
static enum varve_status parse(const char *line)
{
    static char copy[2048];
    char *arguments[ARGUMENTS_MAX];
    size_t count = 0;
    ck_assert_uint_lt(strlen(line), sizeof copy);
    memcpy(copy, line, strlen(line) + 1);
    char *rest = NULL;
    for (char *at = strtok_r(copy, " ", &rest); at != NULL; at = strtok_r(NULL, " ", &rest)) {
        ck_assert_uint_lt(count, ARGUMENTS_MAX);
        arguments[count++] = at;
    }
    memset(&options, 0, sizeof options);
    memset(&error, 0, sizeof error);
    return bench_options_parse(count, arguments, &options, &error);
}

START_TEST(defaults)
{
    ck_assert_int_eq(parse(""), VARVE_OK);
    ck_assert_ptr_eq(options.engine, &engine_varve);
    ck_assert_uint_eq(options.num, 1000000);
    ck_assert_uint_eq(options.threads, 1);
    ck_assert_uint_eq(options.key_bytes, 16);
    ck_assert_uint_eq(options.value_bytes, 100);
    ck_assert_uint_eq(options.cache_bytes, 64 << 20);
    ck_assert_uint_eq(options.memtable_bytes, 64 << 20);
    ck_assert_uint_eq(options.memory_budget_bytes, 0);
    ck_assert_uint_gt(options.workload_count, 1);
    ck_assert_ptr_null(options.db);
    ck_assert(!options.sync && !options.json && !options.use_existing_db && !options.help);
    ck_assert(!options.software_crc && !options.verify && !options.watch && !options.histogram);
    ck_assert_uint_eq(options.duration_s + options.rate + options.compared_count, 0);
    ck_assert_uint_eq(options.writes, 1000000);
    ck_assert_uint_eq(options.reads, 1000000);
    ck_assert_int_eq(options.compaction, ENGINE_COMPACTION_OWN);
    ck_assert_int_eq(options.compression, ENGINE_COMPRESSION_NONE);
}
END_TEST

START_TEST(every_option_is_taken)
{
    ck_assert_int_eq(parse("--engine=varve --num=12 --threads=3 --key-bytes=20 --value-bytes=0 "
                           "--cache-bytes=1048576 --seed=18446744073709551615 --json"),
                     VARVE_OK);
    ck_assert_uint_eq(options.num, 12);
    ck_assert_uint_eq(options.threads, 3);
    ck_assert_uint_eq(options.key_bytes, 20);
    ck_assert_uint_eq(options.value_bytes, 0);
    ck_assert_uint_eq(options.cache_bytes, 1048576);
    ck_assert_uint_eq(options.seed, UINT64_MAX);
    ck_assert(options.json);
    ck_assert_int_eq(parse("--sync=true --json=false --db=a/b --use-existing-db --crc=software "
                           "--compaction=tiered --benchmarks=readseq"),
                     VARVE_OK);
    ck_assert(options.sync && !options.json && options.use_existing_db);
    ck_assert(options.software_crc);
    ck_assert_int_eq(options.compaction, ENGINE_COMPACTION_TIERED);
    ck_assert_str_eq(options.db, "a/b");
    ck_assert_int_eq(parse("--memtable-bytes=1048576 --memory-budget=8388608"), VARVE_OK);
    ck_assert_uint_eq(options.memtable_bytes, 1048576);
    ck_assert_uint_eq(options.memory_budget_bytes, 8388608);
    ck_assert_int_ne(parse("--engine=leveldb --memory-budget=8388608"), VARVE_OK);
    ck_assert_int_eq(parse("--num=10 --writes=50 --reads=7 --verify --watch --compression=zstd"),
                     VARVE_OK);
    ck_assert_uint_eq(options.writes, 50);
    ck_assert_uint_eq(options.reads, 7);
    ck_assert(options.verify && options.watch);
    ck_assert_int_eq(options.compression, ENGINE_COMPRESSION_ZSTD);
    ck_assert_int_eq(parse("--duration=3 --rate=1000000000 --histogram"), VARVE_OK);
    ck_assert_uint_eq(options.duration_s, 3);
    ck_assert_uint_eq(options.rate, 1000000000);
    ck_assert(options.histogram);
    ck_assert_int_eq(parse("--compare=varve --rounds=7"), VARVE_OK);
    ck_assert_uint_eq(options.compared_count, 1);
    ck_assert_ptr_eq(options.compared[0], &engine_varve);
    ck_assert_uint_eq(options.rounds, 7);
    ck_assert_int_eq(parse("--compare=varve"), VARVE_OK);
    ck_assert_uint_eq(options.rounds, 5);
}
END_TEST

START_TEST(workloads_keep_their_order)
{
    ck_assert_int_eq(parse("--benchmarks=fillseq,readseq,fillseq,stats"), VARVE_OK);
    ck_assert_uint_eq(options.workload_count, 4);
    ck_assert_str_eq(options.workloads[0]->name, "fillseq");
    ck_assert_str_eq(options.workloads[1]->name, "readseq");
    ck_assert_ptr_eq(options.workloads[2], options.workloads[0]);
    ck_assert_str_eq(options.workloads[3]->name, "stats");
    for (size_t i = 0; workload_at(i) != NULL; i++)
        ck_assert_ptr_eq(workload_find(workload_at(i)->name), workload_at(i));
}
END_TEST

START_TEST(help_wins)
{
    ck_assert_int_eq(parse("--nonsense --help"), VARVE_OK);
    ck_assert(options.help);
    struct buf text = {0};
    ck_assert_int_eq(bench_options_help(&text), VARVE_OK);
    ck_assert_int_eq(buf_append_byte(&text, 0), VARVE_OK);
    for (size_t i = 0; workload_at(i) != NULL; i++)
        ck_assert_ptr_nonnull(strstr((char *)text.data, workload_at(i)->name));
    ck_assert_ptr_nonnull(strstr((char *)text.data, "--use-existing-db"));
    buf_deinit(&text);
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"--nonsense=1", "--nonsense"},
        {"--nu=1", "--nu"},
        {"--number=1", "--number"},
        {"num=1", "num=1"},
        {"-n", "-n"},
        {"--num", "--num=N"},
        {"--num=", "--num="},
        {"--num=1k", "--num=1k"},
        {"--num=-1", "--num=-1"},
        {"--num=0", "--num=0"},
        {"--num=10000000001", "--num=10000000001"},
        {"--num=99999999999999999999", "--num=99999999999999999999"},
        {"--threads=65", "1 to 64"},
        {"--key-bytes=4096", "1 to 4095"},
        {"--value-bytes=16777217", "0 to 16777216"},
        {"--cache-bytes=1", "--cache-bytes=1"},
        {"--sync=1", "--sync=1"},
        {"--db=", "--db="},
        {"--crc=md5", "--crc=md5"},
        {"--compaction=universal", "--compaction=universal"},
        {"--engine=sqlite", "sqlite"},
        {"--writes=0", "--writes=0"},
        {"--reads=0", "--reads=0"},
        {"--compression=snappy", "--compression=snappy"},
        {"--verify --threads=2", "--verify"},
        {"--verify --use-existing-db --db=x --benchmarks=readseq", "--verify"},
        {"--duration=-1", "--duration=-1"},
        {"--rate=1000000001", "--rate=1000000001"},
        {"--histogram=yes", "--histogram=yes"},
        {"--compare=", "engine is called ;"},
        {"--compare=varve,sqlite", "sqlite"},
        {"--compare=varve,varve", "twice"},
        {"--rounds=3", "--compare"},
        {"--compare=varve --rounds=0", "--rounds=0"},
        {"--compare=varve --rounds=1001", "1 to 1000"},
        {"--compare=varve --json", "--json"},
        {"--compare=varve --histogram", "--histogram"},
        {"--compare=varve --db=x", "--db"},
        {"--benchmarks=fillseq,nothing", "\"nothing\""},
        {"--benchmarks=", "\"\""},
        {"--benchmarks=fillseq,", "\"\""},
        {"--num=1001 --key-bytes=3", "--key-bytes=3"},
        {"--key-bytes=15 --benchmarks=fillseq,ycsbd", "ycsbd"},
        {"--benchmarks=ycsba", "ycsba"},
        {"--benchmarks=readrandom", "readrandom"},
        {"--benchmarks=compact,seekrandom,fillseq", "seekrandom"},
        {"--benchmarks=readseq --use-existing-db", "--db"},
        {"--benchmarks=fillseq --use-existing-db --db=x", "fillseq"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(parse(cases[i].line) != VARVE_OK, "%s", cases[i].line);
        ck_assert_msg(strstr(error.text, cases[i].text) != NULL, "%s: %s", cases[i].line,
                      error.text);
    }
}
END_TEST

START_TEST(limits_themselves_are_taken)
{
    ck_assert_int_eq(parse("--num=1000 --key-bytes=3"), VARVE_OK);
    ck_assert_int_eq(parse("--num=1 --key-bytes=1"), VARVE_OK);
    ck_assert_int_eq(parse("--key-bytes=16 --benchmarks=fillseq,ycsbd"), VARVE_OK);
    ck_assert_int_eq(parse("--key-bytes=15 --benchmarks=fillseq,ycsba"), VARVE_OK);
    ck_assert_int_eq(parse("--num=10000000000 --key-bytes=4095 --threads=64"), VARVE_OK);
}
END_TEST

START_TEST(workloads_are_counted)
{
    static char line[32 * (OPTIONS_WORKLOADS_MAX + 2)] = "--benchmarks=stats";
    for (size_t i = 1; i < OPTIONS_WORKLOADS_MAX; i++)
        memcpy(line + strlen(line), ",stats", sizeof ",stats");
    ck_assert_int_eq(parse(line), VARVE_OK);
    ck_assert_uint_eq(options.workload_count, OPTIONS_WORKLOADS_MAX);
    memcpy(line + strlen(line), ",stats", sizeof ",stats");
    ck_assert_int_eq(parse(line), VARVE_INVALID);
}
END_TEST

START_TEST(absent_engines_are_told_from_unknown_ones)
{
    static const char *const names[] = {"leveldb", "rocksdb"};
    for (size_t i = 0; i < 2; i++) {
        const struct engine *engine = NULL;
        enum varve_status status = engine_find(names[i], &engine, &error);
        if (status == VARVE_OK) {
            ck_assert_str_eq(engine->name, names[i]);
        } else {
            ck_assert_int_eq(status, VARVE_UNSUPPORTED);
            ck_assert_ptr_nonnull(strstr(error.text, "not built in"));
        }
    }
    const struct engine *engine = NULL;
    ck_assert_int_eq(engine_find("", &engine, &error), VARVE_NOT_FOUND);
    ck_assert_ptr_null(engine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench-options");
    TCase *tcase = tcase_create("options");
    tcase_add_test(tcase, defaults);
    tcase_add_test(tcase, every_option_is_taken);
    tcase_add_test(tcase, workloads_keep_their_order);
    tcase_add_test(tcase, help_wins);
    tcase_add_test(tcase, what_is_wrong_is_named);
    tcase_add_test(tcase, limits_themselves_are_taken);
    tcase_add_test(tcase, workloads_are_counted);
    tcase_add_test(tcase, absent_engines_are_told_from_unknown_ones);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
