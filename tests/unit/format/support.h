/*
 * tests/unit/format/support.h: what the tests of file formats share.
 */
#ifndef TESTS_UNIT_FORMAT_SUPPORT_H
#define TESTS_UNIT_FORMAT_SUPPORT_H

#include <check.h>

#include "base/buf.h"
#include "format/sstable_reader.h"
#include "tmpdir.h"

#define ck_status(call, expected) ck_assert_int_eq((int)(call), (int)(expected))
#define ck_ok(call) ck_status(call, VARVE_OK)
#define ck_slice_eq(a, b) ck_assert_int_eq(varve_slice_compare(a, b), 0)

struct test_entry {
    const char *name;
    const TTest *test;
};

/* Runs the tests, one case each; gives the program's exit code. */
int support_run(const char *suite_name, const struct test_entry *tests, size_t count);
#define SUPPORT_RUN(suite_name, tests)                                                             \
    support_run(suite_name, tests, sizeof(tests) / sizeof((tests)[0]))

/* Whole files. */
void support_file_read(const char *path, struct buf *ret);
void support_file_write(const char *path, struct varve_slice content);

/* Replaces `ret` by the internal key of the text. */
void support_key(struct buf *ret, const char *user_key, uint64_t sequence, enum entry_kind kind);

/* Fetches straight from the file and counts what is pinned and what was fetched. */
struct support_fetcher {
    struct block_fetcher base;
    size_t pinned;
    size_t fetched;
    bool as_cached; /* says that it read nothing */
};
void support_fetcher_init(struct support_fetcher *fetcher);

#endif
