/*
 * process.h: starts the daemon as a child process, waits until it is ready, ends it.
 *
 * For one thread. The daemon listens on a free port of 127.0.0.1, has no setting from the
 * environment but those given, and writes its log to a file.
 */
#ifndef TESTS_CRASH_KILL_PROCESS_H
#define TESTS_CRASH_KILL_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#define SETTINGS_MAX 16u

struct process {
    const char *program;
    const char *data_dir;
    const char *log_path;
    const char *settings[SETTINGS_MAX]; /* "name=value", given as VARVE_NAME */
    unsigned settings_count;
    char address[32];
    pid_t pid;
};

/* Starts it without waiting for more. 0 or -1. */
int process_start(struct process *process);

/* Waits until it answers that it is ready. false if it ended or takes too long. */
bool process_wait_ready(struct process *process);

/* SIGKILL, and gone when this returns. */
void process_kill(struct process *process);

/* SIGTERM; true if it ended by itself with 0. */
bool process_stop(struct process *process);

#endif
