/*
 * os/file_window.h: writes into a file through a mapping of the part where they fall: a copy in
 * memory where a write is a system call. What was written so outlives the process, as a write does,
 * and is on stable storage after a sync of the file, as a write is.
 *
 * A mapping has no status to give: where the kernel cannot have the page (the disk fails, the file
 * was cut short) it sends SIGBUS. A window's pages are made ready before they are used, which does
 * tell, and a copy that is struck all the same ends with VARVE_IO: the first window of a process
 * installs a handler for SIGBUS that passes on, to whatever was installed before, every signal but
 * those of a copy into a window.
 *
 * Not thread safe: the caller keeps writes to a file apart anyway. A zeroed window is closed.
 */
#ifndef OS_FILE_WINDOW_H
#define OS_FILE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/status.h"

struct file_window {
    uint8_t *memory; /* NULL: closed */
    uint64_t offset; /* in the file */
    size_t size;
    bool unsupported; /* the file cannot be mapped */
};

/* Writes all of `data` into [offset, offset + data.size), which lies within the file, whose blocks
 * exist; moves the window there if need be. VARVE_UNSUPPORTED with nothing written: write it in
 * another way. VARVE_IO: any part may have been written. */
MUST_CHECK enum varve_status file_window_write(struct file_window *window, int fd, uint64_t offset,
                                               struct varve_slice data);
void file_window_close(struct file_window *window);

#endif
