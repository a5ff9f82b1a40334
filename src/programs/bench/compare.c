/* A run is told what this one was told, with its engine behind it: the last word counts. */
#include "programs/bench/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENGINE_ARGUMENT_BYTES 32
#define WHOLE_FROM 100 /* figures from here on are told without decimals */

extern char **environ;

enum varve_status compare_figures_init(struct compare_figures *figures,
                                       const struct bench_options *options)
{
    size_t count = options->compared_count * options->workload_count * options->rounds;
    figures->options = options;
    figures->us_per_op = calloc(count, sizeof *figures->us_per_op);
    return figures->us_per_op != NULL ? VARVE_OK : status_raise(VARVE_NO_MEMORY);
}

void compare_figures_deinit(struct compare_figures *figures)
{
    free(figures->us_per_op);
}

double *compare_figure(const struct compare_figures *figures, size_t engine, size_t workload,
                       size_t round)
{
    const struct bench_options *options = figures->options;
    return &figures->us_per_op[(engine * options->workload_count + workload) * options->rounds +
                               round];
}

/* What stands behind `name` in a line. A quote within a text has a backslash before it, so that no
 * text looks like a name. NULL: there is no such field. */
static const char *field(const char *line, const char *name)
{
    const char *found = strstr(line, name);
    return found != NULL ? found + strlen(name) : NULL;
}

enum varve_status compare_take(const struct bench_options *options, const char *line,
                               size_t workload, double *ret_us_per_op)
{
    const char *name = field(line, "\"workload\":\"");
    const char *figure = field(line, "\"us_per_op\":");
    if (workload >= options->workload_count || name == NULL || figure == NULL)
        return status_raise(VARVE_CORRUPT);
    size_t name_bytes = strlen(options->workloads[workload]->name);
    if (strncmp(name, options->workloads[workload]->name, name_bytes) != 0 ||
        name[name_bytes] != '"')
        return status_raise(VARVE_CORRUPT);
    char *end = NULL;
    double us_per_op = strncmp(figure, "null", strlen("null")) != 0 ? strtod(figure, &end) : 0;
    if (end == figure || !(us_per_op >= 0))
        return status_raise(VARVE_CORRUPT);
    *ret_us_per_op = us_per_op;
    return VARVE_OK;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the figures of a cell. 0: it has none. */
static double median(const struct compare_figures *figures, size_t engine, size_t workload)
{
    size_t rounds = figures->options->rounds;
    double *first = compare_figure(figures, engine, workload, 0);
    qsort(first, rounds, sizeof *first, compare_doubles);
    return (first[(rounds - 1) / 2] + first[rounds / 2]) / 2;
}

static void print_number(FILE *out, double figure)
{
    fprintf(out, figure >= WHOLE_FROM ? "%.0f" : "%.3g", figure);
}

static void print_cell(FILE *out, const struct compare_figures *figures, size_t engine,
                       size_t workload)
{
    size_t rounds = figures->options->rounds;
    fprintf(out, " ");
    print_number(out, median(figures, engine, workload));
    if (rounds > 1) {
        fprintf(out, " (");
        print_number(out, *compare_figure(figures, engine, workload, 0));
        fprintf(out, "–");
        print_number(out, *compare_figure(figures, engine, workload, rounds - 1));
        fprintf(out, ")");
    }
    fprintf(out, " |");
}

/* The place of varve among the engines, if there are others too; else their count. */
static size_t own_engine(const struct bench_options *options)
{
    size_t own = 0;
    while (own < options->compared_count && options->compared[own] != &engine_varve)
        own++;
    return options->compared_count > 1 ? own : options->compared_count;
}

static void print_ratio(FILE *out, const struct compare_figures *figures, size_t own,
                        size_t workload)
{
    double best = 0;
    for (size_t i = 0; i < figures->options->compared_count; i++) {
        double peer = i != own ? median(figures, i, workload) : 0;
        if (peer > 0 && (best == 0 || peer < best))
            best = peer;
    }
    double mine = median(figures, own, workload);
    if (best > 0 && mine > 0)
        fprintf(out, " %.2f |", best / mine);
    else
        fprintf(out, " |");
}

/* A workload that comes again has its number behind it. */
static void print_name(FILE *out, const struct bench_options *options, size_t workload)
{
    size_t turn = 1;
    for (size_t i = 0; i < workload; i++)
        turn += options->workloads[i] == options->workloads[workload];
    fprintf(out, "| %s", options->workloads[workload]->name);
    if (turn > 1)
        fprintf(out, " %zu", turn);
    fprintf(out, " |");
}

void compare_print(FILE *out, const struct compare_figures *figures)
{
    const struct bench_options *options = figures->options;
    size_t own = own_engine(options);
    bool has_ratio = own < options->compared_count;
    fprintf(out, "| us/op |");
    for (size_t i = 0; i < options->compared_count; i++)
        fprintf(out, " %s |", options->compared[i]->name);
    fprintf(out, "%s\n|---|", has_ratio ? " varve of the better peer |" : "");
    for (size_t i = 0; i < options->compared_count + has_ratio; i++)
        fprintf(out, "---|");
    fprintf(out, "\n");
    for (size_t workload = 0; workload < options->workload_count; workload++) {
        if (options->workloads[workload]->run == NULL)
            continue;
        print_name(out, options, workload);
        for (size_t i = 0; i < options->compared_count; i++)
            print_cell(out, figures, i, workload);
        if (has_ratio)
            print_ratio(out, figures, own, workload);
        fprintf(out, "\n");
    }
}

/* NULL: no memory. Caller frees the array; `engine_argument` is borrowed. */
static char **child_arguments(size_t count, char *const *arguments, char *engine_argument)
{
    static char name[] = "varve-bench", json[] = "--json=true";
    char **all = calloc(count + 4, sizeof *all);
    if (all == NULL)
        return NULL;
    size_t at = 0;
    all[at++] = name;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(arguments[i], "--compare=", strlen("--compare=")) != 0 &&
            strncmp(arguments[i], "--rounds=", strlen("--rounds=")) != 0)
            all[at++] = arguments[i];
    }
    all[at++] = engine_argument;
    all[at] = json;
    return all;
}

/* Starts it with its output in a pipe. An errno value. */
static int spawn(char **arguments, pid_t *ret_pid, FILE **ret_output)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    FILE *output = fdopen(ends[0], "r");
    int error = output != NULL ? posix_spawn_file_actions_init(&actions) : errno;
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        if (error == 0)
            error = posix_spawn(ret_pid, "/proc/self/exe", &actions, NULL, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(ends[1]);
    if (error == 0)
        *ret_output = output;
    else if (output != NULL)
        fclose(output);
    else
        close(ends[0]);
    return error;
}

/* Reads to the end of its output, also behind a line that is wrong. */
static enum varve_status read_output(FILE *output, const struct compare_figures *figures,
                                     size_t engine, size_t round)
{
    char *line = NULL;
    size_t room = 0, lines = 0;
    enum varve_status status = VARVE_OK;
    for (; getline(&line, &room, output) > 0; lines++) {
        double us_per_op = 0;
        enum varve_status taken = compare_take(figures->options, line, lines, &us_per_op);
        if (taken == VARVE_OK)
            *compare_figure(figures, engine, lines, round) = us_per_op;
        else
            status = taken;
    }
    free(line);
    return lines == figures->options->workload_count ? status : status_raise(VARVE_CORRUPT);
}

static enum varve_status run_one(const struct compare_figures *figures, size_t count,
                                 char *const *arguments, size_t engine, size_t round,
                                 struct varve_error *ret_error)
{
    const char *name = figures->options->compared[engine]->name;
    char engine_argument[ENGINE_ARGUMENT_BYTES];
    snprintf(engine_argument, sizeof engine_argument, "--engine=%s", name);
    char **all = child_arguments(count, arguments, engine_argument);
    if (all == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    pid_t pid = 0;
    FILE *output = NULL;
    int error = spawn(all, &pid, &output);
    free(all);
    if (error != 0)
        return error_set(ret_error, VARVE_IO, NULL, STATUS_NO_OFFSET, "cannot start a run: %s",
                         strerror(error));
    enum varve_status status = read_output(output, figures, engine, round);
    fclose(output);
    int ended = 0;
    while (waitpid(pid, &ended, 0) < 0) {
        if (errno != EINTR)
            return error_set(ret_error, VARVE_IO, NULL, STATUS_NO_OFFSET,
                             "cannot wait for a run: %s", strerror(errno));
    }
    if (ended != 0)
        return error_set(ret_error, VARVE_IO, NULL, STATUS_NO_OFFSET,
                         "round %zu of %s ended with %s %d", round + 1, name,
                         WIFSIGNALED(ended) ? "signal" : "status",
                         WIFSIGNALED(ended) ? WTERMSIG(ended) : WEXITSTATUS(ended));
    if (status != VARVE_OK)
        return error_set(ret_error, status, NULL, STATUS_NO_OFFSET,
                         "round %zu of %s said what nobody understands", round + 1, name);
    return VARVE_OK;
}

enum varve_status compare_run(const struct bench_options *options, size_t count,
                              char *const *arguments, FILE *out, struct varve_error *ret_error)
{
    struct compare_figures figures = {0};
    enum varve_status status = compare_figures_init(&figures, options);
    if (status != VARVE_OK)
        return error_set(ret_error, status, NULL, STATUS_NO_OFFSET, "out of memory");
    for (size_t round = 0; status == VARVE_OK && round < options->rounds; round++) {
        for (size_t i = 0; status == VARVE_OK && i < options->compared_count; i++)
            status = run_one(&figures, count, arguments, i, round, ret_error);
    }
    if (status == VARVE_OK)
        compare_print(out, &figures);
    compare_figures_deinit(&figures);
    return status;
}
