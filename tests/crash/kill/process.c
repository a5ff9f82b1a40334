/*
 * process.c: fork, exec, and the ready page.
 */
#include "process.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../http/client.h"

#define READY_TIMEOUT_US 60000000u
#define STOP_TIMEOUT_US 60000000u
#define POLL_NS 2000000
#define PORT_LOWEST 10000u
#define PORT_COUNT 22000u /* below the ports that the kernel hands out by itself */
#define NAME_BYTES_MAX 64u

extern char **environ;

static void pause_shortly(void)
{
    struct timespec pause = {.tv_nsec = POLL_NS};
    nanosleep(&pause, NULL);
}

static bool port_is_free(unsigned port)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool is_free = bind(fd, (struct sockaddr *)&own, sizeof own) == 0;
    close(fd);
    return is_free;
}

static void choose_address(struct process *process)
{
    uint64_t random = http_now_us() ^ (uint64_t)getpid() << 40;
    unsigned port = 0;
    do
        port = PORT_LOWEST + (unsigned)(http_mix64(random++) % PORT_COUNT);
    while (!port_is_free(port));
    snprintf(process->address, sizeof process->address, "127.0.0.1:%u", port);
}

static void set_environment(const struct process *process)
{
    for (char **entry = environ; *entry;) {
        char name[NAME_BYTES_MAX] = "";
        const char *end = strchr(*entry, '=');
        if (strncmp(*entry, "VARVE_", 6) != 0 || !end || (size_t)(end - *entry) >= sizeof name) {
            entry++;
            continue;
        }
        memcpy(name, *entry, (size_t)(end - *entry));
        unsetenv(name);
        entry = environ;
    }
    for (unsigned i = 0; i < process->settings_count; i++) {
        char name[NAME_BYTES_MAX] = "VARVE_";
        const char *setting = process->settings[i];
        const char *end = strchr(setting, '=');
        for (size_t k = 0; setting + k < end && k + 7 < sizeof name; k++)
            name[6 + k] = (char)toupper((unsigned char)setting[k]);
        setenv(name, end + 1, 1);
    }
}

static void run_child(const struct process *process)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    set_environment(process);
    int log = open(process->log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int null = open("/dev/null", O_RDONLY);
    if (log >= 0 && null >= 0 && dup2(null, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2)
        execl(process->program, process->program, "--listen", process->address, "--data-dir",
              process->data_dir, (char *)NULL);
    _exit(127);
}

int process_start(struct process *process)
{
    choose_address(process);
    process->pid = fork();
    if (process->pid == 0)
        run_child(process);
    return process->pid > 0 ? 0 : -1;
}

static bool is_ready(const char *address)
{
    struct http_client client = {0};
    struct http_answer answer = {0};
    if (http_client_open(&client, address) != 0)
        return false;
    bool ready = http_client_ask(&client, "GET", "/health/ready", &answer) && answer.status == 200;
    http_client_close(&client);
    return ready;
}

/* Whether the process has ended; then takes its status. */
static bool has_ended(struct process *process, int *ret_status)
{
    if (waitpid(process->pid, ret_status, WNOHANG) != process->pid)
        return false;
    process->pid = 0;
    return true;
}

bool process_wait_ready(struct process *process)
{
    int status = 0;
    for (uint64_t start = http_now_us(); http_now_us() - start < READY_TIMEOUT_US;) {
        if (is_ready(process->address))
            return true;
        if (has_ended(process, &status)) {
            fprintf(stderr, "the daemon ended while it started, status 0x%x\n", (unsigned)status);
            return false;
        }
        pause_shortly();
    }
    fprintf(stderr, "the daemon is not ready after a minute\n");
    return false;
}

void process_kill(struct process *process)
{
    if (process->pid <= 0)
        return;
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, 0);
    process->pid = 0;
}

bool process_stop(struct process *process)
{
    int status = 0;
    if (process->pid <= 0)
        return false;
    kill(process->pid, SIGTERM);
    for (uint64_t start = http_now_us(); http_now_us() - start < STOP_TIMEOUT_US;) {
        if (has_ended(process, &status))
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        pause_shortly();
    }
    process_kill(process);
    return false;
}
