/* Failures of what a test stands on are failures of the test. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

int support_run(const char *suite_name, const struct test_entry *tests, size_t count)
{
    Suite *suite = suite_create(suite_name);
    for (size_t i = 0; i < count; i++) {
        TCase *tcase = tcase_create(tests[i].name);
        tcase_set_timeout(tcase, 0);
        tcase_add_test(tcase, tests[i].test);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void support_file_read(const char *path, struct buf *ret)
{
    struct env_file *file = NULL;
    uint64_t bytes = 0;
    ck_ok(env_open(env_posix(), path, ENV_OPEN_READ, &file));
    ck_ok(env_file_size(file, &bytes));
    buf_clear(ret);
    ck_ok(buf_reserve(ret, (size_t)bytes + 1));
    ck_ok(env_file_read(file, 0, ret->data, (size_t)bytes, &ret->size));
    ck_assert_uint_eq(ret->size, bytes);
    ck_ok(env_file_close(file));
}

void support_file_write(const char *path, struct varve_slice content)
{
    struct env_file *file = NULL;
    ck_ok(env_open(env_posix(), path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file));
    if (content.size != 0)
        ck_ok(env_file_write(file, 0, content));
    ck_ok(env_file_close(file));
}

void support_key(struct buf *ret, const char *user_key, uint64_t sequence, enum entry_kind kind)
{
    ck_ok(buf_assign(ret, varve_slice_str(user_key)));
    ck_ok(buf_append_fixed64(ret, entry_tag(sequence, kind)));
}

static enum varve_status fetch(struct block_fetcher *base, struct sstable_reader *reader,
                               struct block_handle handle, bool fill, struct block_ref *ret)
{
    struct support_fetcher *fetcher = (struct support_fetcher *)(void *)base;
    uint8_t *data = NULL;
    size_t size = 0;
    enum varve_status status = sstable_reader_read_block(reader, handle, &data, &size);
    if (status != VARVE_OK)
        return status;
    fetcher->pinned++;
    fetcher->fetched++;
    *ret = (struct block_ref){
        .data = varve_slice(data, size), .pin = data, .was_read = !fetcher->as_cached};
    return VARVE_OK;
}

static void release(struct block_fetcher *base, struct block_ref *ref)
{
    struct support_fetcher *fetcher = (struct support_fetcher *)(void *)base;
    if (ref->pin == NULL)
        return;
    fetcher->pinned--;
    free(ref->pin);
    *ref = (struct block_ref){0};
}

void support_fetcher_init(struct support_fetcher *fetcher)
{
    *fetcher = (struct support_fetcher){.base = {.fetch = fetch, .release = release}};
}
