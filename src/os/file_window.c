/*
 * The window goes forward through the file in steps: all that is written once is never looked at
 * again, so there is nothing to gain from keeping old parts mapped, and a sync has the less to
 * protect again.
 */
#include "os/file_window.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)1 << 20)
#define PAGE_BYTES_MOST ((uint64_t)65536) /* a multiple of every page size there is */

/* The copy that runs in this thread. */
struct guarded_copy {
    sigjmp_buf failed;
    const uint8_t *to;
    size_t size;
};
static _Thread_local struct guarded_copy *volatile running;
static struct sigaction before;
static bool guard_works;

static void pass_on(int number, siginfo_t *info, void *context)
{
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        /* What it always led to, when this handler returns. */
        sigaction(SIGBUS, &before, NULL);
        raise(number);
    }
}

/* The signal is blocked while its handler runs, which does not return here. The mask is not saved
 * with each copy, for that is a system call. */
static _Noreturn void leave(struct guarded_copy *copy)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    siglongjmp(copy->failed, 1);
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    struct guarded_copy *copy = running;
    uintptr_t at = (uintptr_t)info->si_addr;
    if (copy != NULL && at >= (uintptr_t)copy->to && at - (uintptr_t)copy->to < copy->size)
        leave(copy);
    pass_on(number, info, context);
}

static void install_guard(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    guard_works = sigaction(SIGBUS, &action, &before) == 0;
}

/* A signal that strikes within memcpy finds the copy's bounds: the compiler moves nothing over the
 * fences. */
static enum varve_status copy_guarded(uint8_t *to, struct varve_slice data)
{
    struct guarded_copy copy = {.to = to, .size = data.size};
    if (sigsetjmp(copy.failed, 0) != 0) {
        running = NULL;
        return status_raise(VARVE_IO);
    }
    running = &copy;
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(to, data.data, data.size);
    atomic_signal_fence(memory_order_seq_cst);
    running = NULL;
    return VARVE_OK;
}

static bool window_holds(const struct file_window *window, uint64_t offset, size_t size)
{
    return window->memory != NULL && offset >= window->offset &&
           offset - window->offset <= window->size &&
           size <= window->size - (size_t)(offset - window->offset);
}

/* From the page of `offset` on, a step or as much as it takes, no further than the file. */
static enum varve_status window_move(struct file_window *window, int fd, uint64_t offset,
                                     size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct stat st;

    const uint64_t begin = offset & ~(PAGE_BYTES_MOST - 1);
    const bool goes_on = window->memory != NULL && begin > window->offset;
    file_window_close(window);
    /* On its way to the disk already when the file is synced: that would take long otherwise. It
     * begins no earlier than now, for pages that are mapped would have to be protected again. */
    if (goes_on)
        sync_file_range(fd, (off_t)window->offset, (off_t)(begin - window->offset),
                        SYNC_FILE_RANGE_WRITE);
    pthread_once(&once, install_guard);
    if (!guard_works || size > WINDOW_BYTES || fstat(fd, &st) != 0)
        return VARVE_UNSUPPORTED;
    uint64_t end = begin + WINDOW_BYTES;
    if (end < offset + size)
        end = offset + size;
    if (end > (uint64_t)st.st_size)
        end = (uint64_t)st.st_size;
    if (end < offset + size)
        return VARVE_UNSUPPORTED;
    size_t bytes = (size_t)(end - begin);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)begin);
    if (memory == MAP_FAILED || madvise(memory, bytes, MADV_POPULATE_WRITE) != 0) {
        if (memory != MAP_FAILED)
            munmap(memory, bytes);
        window->unsupported = true;
        return VARVE_UNSUPPORTED;
    }
    window->memory = memory;
    window->offset = begin;
    window->size = bytes;
    return VARVE_OK;
}

enum varve_status file_window_write(struct file_window *window, int fd, uint64_t offset,
                                    struct varve_slice data)
{
    if (!window_holds(window, offset, data.size)) {
        if (window->unsupported)
            return VARVE_UNSUPPORTED;
        enum varve_status status = window_move(window, fd, offset, data.size);
        if (status != VARVE_OK)
            return status;
    }
    return copy_guarded(window->memory + (offset - window->offset), data);
}

void file_window_close(struct file_window *window)
{
    if (window->memory != NULL)
        munmap(window->memory, window->size);
    window->memory = NULL;
}
