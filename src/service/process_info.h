/* service/process_info.h: what the kernel says about this process and its disk. Thread safe. */
#ifndef SERVICE_PROCESS_INFO_H
#define SERVICE_PROCESS_INFO_H

#include <stdint.h>

struct process_info {
    double cpu_seconds;
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
};

/* What cannot be found out is 0. */
void process_info_read(struct process_info *ret_info);

struct disk_info {
    uint64_t size_bytes, free_bytes; /* free: for this user */
};

/* Of the file system that `path` is on; what cannot be found out is 0. */
void disk_info_read(const char *path, struct disk_info *ret_info);

#endif
