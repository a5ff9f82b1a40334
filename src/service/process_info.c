/* From getrusage, /proc/self and statvfs. */
#include "service/process_info.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static uint64_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    uint64_t count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count > 0 ? count - 1 : 0; /* the directory's own */
}

void process_info_read(struct process_info *ret_info)
{
    struct rusage usage = {0};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        ret_info->cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        ret_info->max_fds = limit.rlim_cur;
    ret_info->open_fds = count_fds();
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return;
    unsigned long total_pages = 0, resident_pages = 0;
    if (fscanf(file, "%lu %lu", &total_pages, &resident_pages) == 2) {
        uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
        ret_info->virtual_bytes = total_pages * page_bytes;
        ret_info->resident_bytes = resident_pages * page_bytes;
    }
    fclose(file);
}

void disk_info_read(const char *path, struct disk_info *ret_info)
{
    struct statvfs info = {0};
    if (statvfs(path, &info) != 0)
        return;
    ret_info->size_bytes = (uint64_t)info.f_blocks * info.f_frsize;
    ret_info->free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
}
