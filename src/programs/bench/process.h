/*
 * programs/bench/process.h: what the kernel knows of this process and of a directory.
 */
#ifndef PROGRAMS_BENCH_PROCESS_H
#define PROGRAMS_BENCH_PROCESS_H

#include <stdint.h>

/* On the monotonic clock. */
uint64_t process_now_ns(void);

/* Each is 0 where the kernel does not tell. Thread safe. */
uint64_t process_rss_bytes(void);          /* resident now */
uint64_t process_rss_most_bytes(void);     /* resident at most since the process began */
uint64_t process_written_bytes(void);      /* given to write calls */
uint64_t process_device_write_bytes(void); /* caused to be written to the device */

/* What the files in a directory and below take up on the device. Files that vanish meanwhile do not
 * count. */
uint64_t process_directory_bytes(const char *path);
/* The same of its tables alone, by the names that the stores give them. */
uint64_t process_table_bytes(const char *path);

#endif
