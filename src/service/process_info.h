/* service/process_info.h: what the kernel says about this process. Thread safe. */
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

#endif
