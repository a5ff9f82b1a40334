/* Read from /proc/self at each call. */
#include "programs/bench/process.h"

#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STAT_BLOCK_BYTES 512u /* the unit of st_blocks */

uint64_t process_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t process_rss_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    unsigned long all = 0, resident = 0;
    if (fscanf(file, "%lu %lu", &all, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t process_rss_most_bytes(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (uint64_t)usage.ru_maxrss * 1024;
}

static uint64_t io_figure(const char *name)
{
    FILE *file = fopen("/proc/self/io", "re");
    if (file == NULL)
        return 0;
    char line_name[32];
    unsigned long value = 0, found = 0;
    while (found == 0 && fscanf(file, "%31[^:]: %lu\n", line_name, &value) == 2) {
        if (strcmp(line_name, name) == 0)
            found = value;
    }
    fclose(file);
    return found;
}

uint64_t process_written_bytes(void)
{
    return io_figure("wchar");
}

uint64_t process_device_write_bytes(void)
{
    return io_figure("write_bytes");
}

static bool is_any(const FTSENT *entry)
{
    return true;
}

static bool is_table(const FTSENT *entry)
{
    const char *end = strrchr(entry->fts_name, '.');
    return end != NULL && (strcmp(end, ".sst") == 0 || strcmp(end, ".ldb") == 0);
}

static uint64_t files_bytes(const char *path, bool (*counts)(const FTSENT *entry))
{
    char *roots[] = {(char *)path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (walk == NULL)
        return 0;
    uint64_t bytes = 0;
    for (FTSENT *entry = fts_read(walk); entry != NULL; entry = fts_read(walk)) {
        if (entry->fts_info == FTS_F && counts(entry))
            bytes += (uint64_t)entry->fts_statp->st_blocks * STAT_BLOCK_BYTES;
    }
    fts_close(walk);
    return bytes;
}

uint64_t process_directory_bytes(const char *path)
{
    return files_bytes(path, is_any);
}

uint64_t process_table_bytes(const char *path)
{
    return files_bytes(path, is_table);
}
