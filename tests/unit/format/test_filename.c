/* File names and CURRENT: one spelling each. */
#include "format/filename.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "support.h"

START_TEST(names)
{
    static const struct {
        enum file_kind kind;
        uint64_t id;
        const char *path;
    } cases[] = {
        {FILE_CURRENT, 9, "d/CURRENT"},
        {FILE_LOCK, 9, "d/LOCK"},
        {FILE_LOST_DIR, 9, "d/lost"},
        {FILE_MANIFEST, 1, "d/manifest-000001"},
        {FILE_WAL, 2, "d/000002.wal"},
        {FILE_TABLE, 999999, "d/999999.sst"},
        {FILE_TABLE, 1000000, "d/1000000.sst"},
        {FILE_CURRENT_TEMPORARY, 0, "d/CURRENT.tmp"},
        {FILE_TABLE, INT64_MAX, "d/9223372036854775807.sst"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[FILENAME_BYTES_MAX];
        ck_ok(filename_path(path, "d", cases[i].kind, cases[i].id));
        ck_assert_str_eq(path, cases[i].path);
        enum file_kind kind = FILE_LOCK;
        uint64_t id = 0;
        ck_assert(filename_parse(path + 2, &kind, &id));
        ck_assert_int_eq(kind, cases[i].kind);
        if (cases[i].id != 9)
            ck_assert_uint_eq(id, cases[i].id);
    }
}
END_TEST

START_TEST(strangers)
{
    static const char *const foreign[] = {
        "",
        "current",
        "CURRENT1",
        "LOCK ",
        "00001.wal",
        "0000001.wal",
        "000000.wal",
        "000001.wal.tmp",
        "000001.WAL",
        "manifest-1",
        "manifest-",
        "manifest--00001",
        "-00001.sst",
        "000001sst",
        "manifest-000001x",
        "9223372036854775808.sst",
        "x",
        "+00001.sst",
        "lost1",
        "99999999999999999999999999.sst",
        "a000001.sst",
        "000001.sst\n",
        "0x0001.sst",
        "1000000000000000000000000000001.wal",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        enum file_kind kind = FILE_LOCK;
        uint64_t id = 0;
        ck_assert_msg(!filename_parse(foreign[i], &kind, &id), "%s", foreign[i]);
    }
}
END_TEST

START_TEST(long_directory)
{
    char dir[FILENAME_BYTES_MAX + 8], path[FILENAME_BYTES_MAX];
    memset(dir, 'd', sizeof dir);
    dir[FILENAME_BYTES_MAX - strlen("/CURRENT") - 1] = 0;
    ck_ok(filename_path(path, dir, FILE_CURRENT, 0));
    ck_assert_uint_eq(strlen(path), FILENAME_BYTES_MAX - 1);
    dir[FILENAME_BYTES_MAX - strlen("/CURRENT") - 1] = 'd';
    dir[FILENAME_BYTES_MAX - strlen("/CURRENT")] = 0;
    ck_status(filename_path(path, dir, FILE_CURRENT, 0), VARVE_TOO_LARGE);
    dir[FILENAME_BYTES_MAX - strlen("/CURRENT")] = 'd';
    dir[sizeof dir - 1] = 0;
    ck_status(filename_path(path, dir, FILE_CURRENT, 0), VARVE_TOO_LARGE);
}
END_TEST

START_TEST(current)
{
    static const uint64_t ids[] = {1, 999999, 1000000, INT64_MAX};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char text[CURRENT_BYTES_MAX];
        uint64_t id = 0;
        size_t size = current_encode(text, ids[i]);
        ck_ok(current_decode(text, size, &id));
        ck_assert_uint_eq(id, ids[i]);
    }
    char text[CURRENT_BYTES_MAX];
    size_t size = current_encode(text, 1);
    ck_assert_uint_eq(size, strlen("varve 1 manifest-000001 crc32c=00000000\n"));
    ck_assert(memcmp(text, "varve 1 manifest-000001 crc32c=", 31) == 0);
}
END_TEST

/* A line with the right crc, whatever it says. */
static enum varve_status decode_line(const char *line)
{
    struct buf text = {0};
    uint64_t id = 0;
    ck_ok(buf_append_format(&text, "%s", line));
    uint32_t crc = crc32c_extend(0, text.data, text.size);
    ck_ok(buf_append_format(&text, "%08x\n", crc));
    enum varve_status status = current_decode(text.data, text.size, &id);
    buf_deinit(&text);
    return status;
}

START_TEST(current_refused)
{
    ck_ok(decode_line("varve 1 manifest-000001 crc32c="));
    ck_status(decode_line("varve 2 manifest-000001 crc32c="), VARVE_UNSUPPORTED);
    ck_status(decode_line("varve 11 whatever crc32c="), VARVE_UNSUPPORTED);
    ck_status(decode_line("varve 1 manifest-1 crc32c="), VARVE_CORRUPT);
    ck_status(decode_line("varve 1 manifest-000000 crc32c="), VARVE_CORRUPT);
    ck_status(decode_line("varve 1 000001.sst crc32c="), VARVE_CORRUPT);
    ck_status(decode_line("varve 1  manifest-000001 crc32c="), VARVE_CORRUPT);
    ck_status(decode_line("warve 1 manifest-000001 crc32c="), VARVE_CORRUPT);
    ck_status(decode_line(""), VARVE_CORRUPT);
    char large[2 * CURRENT_BYTES_MAX] = {0};
    uint64_t id = 0;
    ck_status(current_decode(large, sizeof large, &id), VARVE_CORRUPT);
    ck_status(current_decode("\n", 1, &id), VARVE_CORRUPT);
    ck_status(current_decode(NULL, 0, &id), VARVE_CORRUPT);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"names", names},
        {"strangers", strangers},
        {"current", current},
        {"current_refused", current_refused},
        {"long_directory", long_directory},
    };
    return SUPPORT_RUN("filename", tests);
}
