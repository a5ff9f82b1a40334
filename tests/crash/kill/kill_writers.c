/*
 * kill_writers.c: kill -9 of the real daemon under concurrent HTTP writers, again and again.
 *
 * kill_writers [--varved FILE] [--cycles N] [--seed S] [--set NAME=VALUE …]
 *
 * A cycle starts the daemon on the same data directory, judges the whole store (verify.h), lets
 * WRITERS threads write until a random number of operations has been acknowledged, and kills it in
 * the middle. In every third cycle or so it is killed once more a moment after its start, while it
 * recovers. What was acknowledged must be there whether or not it was synced, since the kernel
 * outlives the process. The last start ends by SIGTERM, and one more judges what a clean end
 * leaves. On failure the data directory, the daemon's log and the writers' logs are kept.
 */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "budget.h"
#include "process.h"
#include "verify.h"
#include "writer.h"

#define PATH_BYTES 256u
#define ACKS_LEAST 50u
#define ACKS_SPREAD 3000u
#define CYCLE_TIMEOUT_US 120000000u
#define EARLY_KILL_US_MAX 30000u

struct run {
    struct process process;
    unsigned cycles;
    uint64_t seed;
    uint64_t random;
    char dir[PATH_BYTES];
    char data_dir[PATH_BYTES + 16];
    char log_path[PATH_BYTES + 16];
    struct writer writers[WRITERS];
    struct writer_model *models[WRITERS];
    atomic_uint_fast64_t acks;
    atomic_uint ended;
    uint64_t acks_all;
    uint64_t in_doubt;
};

static uint64_t next_random(struct run *run)
{
    return http_mix64(run->random++);
}

static void sleep_us(uint64_t us)
{
    struct timespec pause = {.tv_sec = (time_t)(us / 1000000u),
                             .tv_nsec = (long)(us % 1000000u) * 1000};
    nanosleep(&pause, NULL);
}

static int prepare(struct run *run)
{
    const char *base = getenv("TMPDIR");
    snprintf(run->dir, sizeof run->dir, "%.200s/varve-kill-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(run->dir)) {
        fprintf(stderr, "%s: %s\n", run->dir, strerror(errno));
        return -1;
    }
    snprintf(run->data_dir, sizeof run->data_dir, "%s/data", run->dir);
    snprintf(run->log_path, sizeof run->log_path, "%s/varved.log", run->dir);
    run->process.data_dir = run->data_dir;
    run->process.log_path = run->log_path;
    run->random = http_mix64(run->seed);
    for (unsigned w = 0; w < WRITERS; w++) {
        struct writer *writer = &run->writers[w];
        char path[PATH_BYTES + 32];
        snprintf(path, sizeof path, "%s/writer-%u.log", run->dir, w);
        writer->log = fopen(path, "w");
        if (!writer->log)
            return -1;
        writer->model.seed = run->seed;
        writer->model.writer = w;
        writer->address = run->process.address;
        writer->random = http_mix64(run->seed ^ (w + 1));
        writer->acks = &run->acks;
        writer->ended = &run->ended;
        run->models[w] = &writer->model;
    }
    return 0;
}

/* Starts the daemon, in some cycles kills it at once and starts it again, and judges the store. */
static bool start_and_verify(struct run *run)
{
    if (next_random(run) % 3 == 0) {
        if (process_start(&run->process) != 0)
            return false;
        sleep_us(next_random(run) % EARLY_KILL_US_MAX);
        process_kill(&run->process);
    }
    return process_start(&run->process) == 0 && process_wait_ready(&run->process) &&
           verify_store(run->process.address, run->models);
}

static bool write_and_kill(struct run *run)
{
    uint64_t target = ACKS_LEAST + next_random(run) % ACKS_SPREAD;
    uint64_t start = http_now_us();
    unsigned started = 0;
    atomic_store(&run->acks, 0);
    atomic_store(&run->ended, 0);
    while (started < WRITERS && pthread_create(&run->writers[started].thread, NULL, writer_run,
                                               &run->writers[started]) == 0)
        started++;
    while (started == WRITERS && atomic_load(&run->acks) < target &&
           atomic_load(&run->ended) == 0 && http_now_us() - start < CYCLE_TIMEOUT_US)
        sleep_us(200);
    process_kill(&run->process);
    bool right = started == WRITERS;
    for (unsigned w = 0; w < started; w++) {
        pthread_join(run->writers[w].thread, NULL);
        right = right && !run->writers[w].failed;
        run->in_doubt += run->writers[w].model.flight_count;
        fflush(run->writers[w].log);
    }
    if (atomic_load(&run->acks) < target) {
        fprintf(stderr, "only %" PRIuFAST64 " acknowledgements of %" PRIu64 "\n",
                atomic_load(&run->acks), target);
        right = false;
    }
    run->acks_all += atomic_load(&run->acks);
    return right;
}

static bool run_cycles(struct run *run)
{
    for (unsigned cycle = 0; cycle < run->cycles; cycle++)
        if (!start_and_verify(run) || !write_and_kill(run)) {
            fprintf(stderr, "failed in cycle %u\n", cycle);
            return false;
        }
    for (unsigned turn = 0; turn < 2; turn++)
        if (!start_and_verify(run) || !process_stop(&run->process)) {
            fprintf(stderr, "failed at the end, start %u\n", turn);
            return false;
        }
    return true;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    return remove(path);
}

static uint64_t choose_seed(void)
{
    const char *given = getenv("VARVE_SEED");
    uint64_t seed = 0;
    if (given && *given)
        return strtoull(given, NULL, 0);
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = http_now_us();
    return seed;
}

static bool parse_flags(int argc, char **argv, struct run *run)
{
    static const struct option options[] = {{"varved", required_argument, NULL, 'v'},
                                            {"cycles", required_argument, NULL, 'c'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"set", required_argument, NULL, 'e'},
                                            {0}};
    for (int flag = 0; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (flag == 'v')
            run->process.program = optarg;
        else if (flag == 'c')
            run->cycles = (unsigned)strtoul(optarg, NULL, 10);
        else if (flag == 's')
            run->seed = strtoull(optarg, NULL, 0);
        else if (flag == 'e' && run->process.settings_count < SETTINGS_MAX && strchr(optarg, '='))
            run->process.settings[run->process.settings_count++] = optarg;
        else
            return false;
    }
    return optind == argc && run->process.program && run->cycles > 0;
}

int main(int argc, char **argv)
{
    static struct run run;
    run.process.program = getenv("VARVED");
    run.cycles = (unsigned)budget_choose(3, 10, 10);
    run.seed = choose_seed();
    if (!parse_flags(argc, argv, &run)) {
        fprintf(stderr, "usage: kill_writers [--varved FILE] [--cycles N] [--seed S] [--set "
                        "NAME=VALUE ...]\n");
        return 2;
    }
    printf("seed %" PRIu64 "\n", run.seed);
    if (prepare(&run) != 0)
        return 1;
    bool right = run_cycles(&run);
    process_kill(&run.process);
    for (unsigned w = 0; w < WRITERS; w++)
        fclose(run.writers[w].log);
    printf("%u kills under %u writers: %" PRIu64 " writes acknowledged, %" PRIu64 " in doubt: %s\n",
           run.cycles, WRITERS, run.acks_all, run.in_doubt,
           right ? "nothing lost, nothing invented" : "FAILED");
    if (right)
        nftw(run.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    else
        printf("kept in %s; again with --seed %" PRIu64 "\n", run.dir, run.seed);
    return !right;
}
