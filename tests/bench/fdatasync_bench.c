/*
 * fdatasync_bench.c: what one durable write costs on this disk, with nothing around it.
 *
 * fdatasync_bench --file FILE [--seconds D] [--how zeroed|extending|dsync|mapped]
 *
 * Writes WRITE_BYTES bytes one behind the other, each durable before the next, for D seconds:
 *   zeroed     into a file of zeros, so that a sync changes no metadata: pwrite, fdatasync
 *   extending  behind the end of a file
 *   dsync      into a file of zeros that is open with O_DSYNC
 *   mapped     into a mapping of a file of zeros, then fdatasync
 * Prints the rate and the latencies, and removes the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES (64u << 20)
#define WRITE_BYTES 150u
#define SAMPLES_MAX (FILE_BYTES / WRITE_BYTES)

static uint64_t now_ns(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare_samples(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static int fill_with_zeros(int fd)
{
    static const char zeros[1 << 16];
    for (size_t at = 0; at < FILE_BYTES; at += sizeof zeros)
        if (pwrite(fd, zeros, sizeof zeros, (off_t)at) != (ssize_t)sizeof zeros)
            return -1;
    return fsync(fd);
}

static const struct way {
    const char *name;
    bool zeroed, mapped;
    int flags;
} ways[] = {
    {.name = "zeroed", .zeroed = true},
    {.name = "extending"},
    {.name = "dsync", .zeroed = true, .flags = O_DSYNC},
    {.name = "mapped", .zeroed = true, .mapped = true},
};

static const struct way *find_way(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(ways[i].name, name) == 0)
            return &ways[i];
    return NULL;
}

static int write_durably(const struct way *way, int fd, uint8_t *mapping, const char *data,
                         size_t offset)
{
    if (mapping != NULL)
        memcpy(mapping + offset, data, WRITE_BYTES);
    else if (pwrite(fd, data, WRITE_BYTES, (off_t)offset) != (ssize_t)WRITE_BYTES)
        return -1;
    return way->flags & O_DSYNC ? 0 : fdatasync(fd);
}

static int measure(const struct way *way, int fd, uint8_t *mapping, unsigned seconds)
{
    static uint32_t samples[SAMPLES_MAX];
    char data[WRITE_BYTES];
    size_t count = 0;
    memset(data, 'x', sizeof data);
    uint64_t start = now_ns();
    uint64_t last = start;
    while (count < SAMPLES_MAX && last - start < (uint64_t)seconds * 1000000000u) {
        if (write_durably(way, fd, mapping, data, count * WRITE_BYTES) != 0)
            return -1;
        uint64_t now = now_ns();
        samples[count++] = (uint32_t)(now - last);
        last = now;
    }
    if (count == 0)
        return -1;
    qsort(samples, count, sizeof *samples, compare_samples);
    printf("fdatasync %.0f/s p50 %.0f us p99 %.0f us\n",
           (double)count / ((double)(last - start) / 1e9), samples[count / 2] / 1e3,
           samples[count * 99 / 100] / 1e3);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"how", required_argument, NULL, 'h'},
                                            {0}};
    const struct way *way = &ways[0];
    const char *path = NULL;
    unsigned seconds = 3;
    for (int flag = 0; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (flag == 'f')
            path = optarg;
        else if (flag == 's')
            seconds = (unsigned)atoi(optarg);
        else if (flag == 'h')
            way = find_way(optarg);
        else
            return 2;
    }
    if (path == NULL || way == NULL || seconds == 0)
        return 2;
    uint8_t *mapping = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | way->flags, 0600);
    bool ready = fd >= 0 && (!way->zeroed || fill_with_zeros(fd) == 0);
    if (ready && way->mapped) {
        mapping = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ready = mapping != MAP_FAILED;
    }
    if (!ready || measure(way, fd, mapping, seconds) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    close(fd);
    unlink(path);
    return 0;
}
