/* Writes through a mapping, and what becomes of them and of the process when the page is gone. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"
#include "os/env.h"
#include "os/file_window.h"
#include "run_suite.h"
#include "tmpdir.h"

#define FILE_BYTES ((size_t)3 << 20)
#define PIECE_BYTES ((size_t)1000)
#define EXIT_BY_EARLIER_HANDLER 42

static struct tmpdir dir;
static const char *path;

static void setup(void)
{
    tmpdir_make(&dir);
    path = tmpdir_path(&dir, "f");
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    uint8_t *zeros = must_calloc(1, FILE_BYTES);
    ck_assert_int_eq(write(fd, zeros, FILE_BYTES), (ssize_t)FILE_BYTES);
    free(zeros);
    close(fd);
}

static void teardown(void)
{
    tmpdir_remove(&dir);
}

static struct env_file *open_file(void)
{
    struct env_file *file = NULL;
    must_ok(env_open(env_posix(), path, ENV_OPEN_WRITE, &file));
    return file;
}

static void piece_fill(uint8_t *piece, uint64_t offset)
{
    for (size_t i = 0; i < PIECE_BYTES; i++)
        piece[i] = (uint8_t)((offset + i) * 31 + ((offset + i) >> 8) + 1);
}

static void store_pieces(struct env_file *file, uint64_t begin, uint64_t end)
{
    uint8_t piece[PIECE_BYTES];
    for (uint64_t offset = begin; offset < end; offset += PIECE_BYTES) {
        piece_fill(piece, offset);
        ck_assert_int_eq(env_file_store(file, offset, varve_slice(piece, sizeof piece)), VARVE_OK);
    }
}

static void check_pieces(struct env_file *file, uint64_t begin, uint64_t end)
{
    uint8_t piece[PIECE_BYTES], back[PIECE_BYTES];
    size_t size = 0;
    for (uint64_t offset = begin; offset < end; offset += PIECE_BYTES) {
        piece_fill(piece, offset);
        must_ok(env_file_read(file, offset, back, sizeof back, &size));
        ck_assert_uint_eq(size, sizeof back);
        ck_assert_mem_eq(back, piece, sizeof back);
    }
}

START_TEST(stored_pieces_are_read_back)
{
    struct env_file *file = open_file();
    uint64_t end = FILE_BYTES / PIECE_BYTES * PIECE_BYTES;
    store_pieces(file, 0, end);
    check_pieces(file, 0, end);
    must_ok(env_file_sync(file));
    /* Back and forth, a write between, and what spans more than a window. */
    store_pieces(file, PIECE_BYTES, 2 * PIECE_BYTES);
    uint8_t piece[PIECE_BYTES];
    piece_fill(piece, 2 * PIECE_BYTES);
    must_ok(env_file_write(file, 2 * PIECE_BYTES, varve_slice(piece, sizeof piece)));
    store_pieces(file, end - PIECE_BYTES, end);
    uint8_t *large = must_calloc(1, FILE_BYTES);
    memset(large, 'x', FILE_BYTES);
    check_pieces(file, 0, end);
    ck_assert_int_eq(env_file_store(file, 0, varve_slice(large, FILE_BYTES)), VARVE_OK);
    uint8_t last = 0;
    size_t size = 0;
    must_ok(env_file_read(file, FILE_BYTES - 1, &last, 1, &size));
    ck_assert_int_eq(last, 'x');
    free(large);
    must_ok(env_file_close(file));
}
END_TEST

static int open_raw(int flags)
{
    int fd = open(path, flags);
    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(beyond_the_end_is_written_and_extends)
{
    struct env_file *file = open_file();
    store_pieces(file, FILE_BYTES - PIECE_BYTES / 2, FILE_BYTES);
    check_pieces(file, FILE_BYTES - PIECE_BYTES / 2, FILE_BYTES);
    uint64_t bytes = 0;
    must_ok(env_file_size(file, &bytes));
    ck_assert_uint_eq(bytes, FILE_BYTES + PIECE_BYTES / 2);
    must_ok(env_file_close(file));

    struct file_window window = {0};
    int fd = open_raw(O_RDWR);
    ck_assert_int_eq(file_window_write(&window, fd, bytes, varve_slice("x", 1)), VARVE_UNSUPPORTED);
    close(fd);
}
END_TEST

START_TEST(what_cannot_be_mapped_is_unsupported)
{
    struct file_window window = {0};
    int fd = open_raw(O_RDONLY);
    ck_assert_int_eq(file_window_write(&window, fd, 0, varve_slice("x", 1)), VARVE_UNSUPPORTED);
    ck_assert(window.unsupported);
    file_window_close(&window);
    close(fd);
}
END_TEST

/* Cutting the file takes the pages from under the mapping, as a failing disk does. */
START_TEST(lost_page_is_an_error_and_no_end)
{
    struct file_window window = {0};
    int fd = open_raw(O_RDWR);
    ck_assert_int_eq(file_window_write(&window, fd, 0, varve_slice("abc", 3)), VARVE_OK);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    for (int turn = 0; turn < 3; turn++)
        ck_assert_int_eq(file_window_write(&window, fd, 10, varve_slice("abc", 3)), VARVE_IO);
    ck_assert_int_eq(ftruncate(fd, (off_t)FILE_BYTES), 0);
    ck_assert_int_eq(file_window_write(&window, fd, 10, varve_slice("abc", 3)), VARVE_OK);
    file_window_close(&window);
    close(fd);
}
END_TEST

static void earlier_handler(int number)
{
    (void)number;
    _exit(EXIT_BY_EARLIER_HANDLER);
}

/* A process of its own, whose guard is not in place yet: it is put there, and then a page is
 * touched that is no window's. */
static int touch_a_lost_page(bool handled)
{
    signal(SIGBUS, handled ? earlier_handler : SIG_DFL);
    struct file_window window = {0};
    int fd = open(path, O_RDWR);
    if (fd < 0 || file_window_write(&window, fd, 0, varve_slice("abc", 3)) != VARVE_OK)
        return 0;
    volatile uint8_t *other = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ftruncate(fd, 0) == 0)
        other[0] = 1;
    return 0;
}

START_TEST(other_signals_are_passed_on)
{
    for (int handled = 0; handled <= 1; handled++) {
        ck_assert_int_eq(truncate(path, (off_t)FILE_BYTES), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            execl("/proc/self/exe", "test", path, handled ? "handled" : "default", NULL);
            _exit(0);
        }
        int status = 0;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (handled)
            ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_BY_EARLIER_HANDLER);
        else
            ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    }
}
END_TEST

START_TEST(stored_pieces_outlive_the_process)
{
    uint64_t end = FILE_BYTES / PIECE_BYTES * PIECE_BYTES;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        store_pieces(open_file(), 0, end);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct env_file *file = open_file();
    check_pieces(file, 0, end);
    must_ok(env_file_close(file));
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3) {
        path = argv[1];
        return touch_a_lost_page(strcmp(argv[2], "handled") == 0);
    }
    Suite *suite = suite_create("file_window");
    TCase *tcase = tcase_create("file_window");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, stored_pieces_are_read_back);
    tcase_add_test(tcase, beyond_the_end_is_written_and_extends);
    tcase_add_test(tcase, what_cannot_be_mapped_is_unsupported);
    tcase_add_test(tcase, lost_page_is_an_error_and_no_end);
    tcase_add_test(tcase, other_signals_are_passed_on);
    tcase_add_test(tcase, stored_pieces_outlive_the_process);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
