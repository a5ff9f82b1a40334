/* Passes over whole ranges, step by step. */
#include "service/scan.h"

#include <stdio.h>

#include "service/limits.h"
#include "support.h"
#include "tmpdir.h"

struct fixture {
    struct tmpdir dir;
    struct varve_db *db;
    struct query query;
    struct problem problem;
    struct scan *scan;
};

static void fixture_init(struct fixture *f)
{
    struct varve_options options;
    varve_options_init(&options);
    options.sync_writes = false;
    *f = (struct fixture){0};
    tmpdir_make(&f->dir);
    ck_ok(varve_open(f->dir.path, &options, &f->db, NULL));
}

static void end_scan(struct fixture *f)
{
    scan_free(f->scan);
    query_deinit(&f->query);
    problem_deinit(&f->problem);
    f->scan = NULL;
    f->query = (struct query){0};
}

static void fixture_deinit(struct fixture *f)
{
    end_scan(f);
    ck_ok(varve_close(f->db));
    tmpdir_remove(&f->dir);
}

static void begin_scan(struct fixture *f, const char *query, enum range_form form)
{
    end_scan(f);
    ck_ok(scan_new(f->db, &f->scan));
    ck_ok(query_parse(&f->query, varve_slice_str(query), &f->problem));
    ck_ok(range_query_parse(&f->scan->range, &f->query, form, &f->problem));
}

/* Keys 000000, 000001 and so on. */
static void put_numbers(struct fixture *f, unsigned count)
{
    struct varve_batch *batch = NULL;
    ck_ok(varve_batch_new(&batch));
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%06u", i);
        ck_ok(varve_batch_put(batch, varve_slice_str(key), L("value")));
    }
    ck_ok(varve_write(f->db, batch, VARVE_SYNC_DEFAULT, NULL));
    varve_batch_free(batch);
}

static uint64_t count_all(struct fixture *f, const char *query, size_t *ret_steps)
{
    enum varve_status status = VARVE_OK;
    begin_scan(f, query, RANGE_COUNT);
    for (*ret_steps = 0; status == VARVE_OK; ++*ret_steps)
        status = scan_count(f->scan);
    ck_status(status, VARVE_END);
    return f->scan->count;
}

START_TEST(counts)
{
    struct fixture f;
    size_t steps = 0;
    fixture_init(&f);
    ck_assert_uint_eq(count_all(&f, "", &steps), 0);
    ck_assert_uint_eq(f.scan->revision, 0);
    put_numbers(&f, 2 * LIMIT_SCAN_STEP_ITEMS + 2);
    ck_ok(varve_delete(f.db, L("000007"), VARVE_SYNC_DEFAULT, NULL));
    ck_assert_uint_eq(count_all(&f, "", &steps), 2 * LIMIT_SCAN_STEP_ITEMS + 1);
    ck_assert_uint_eq(f.scan->revision, 2);
    ck_assert_uint_eq(steps, 3);
    ck_assert_uint_eq(count_all(&f, "reverse=true", &steps), 2 * LIMIT_SCAN_STEP_ITEMS + 1);
    ck_assert_uint_eq(count_all(&f, "start=000005&end=000010", &steps), 4);
    ck_assert_uint_eq(steps, 1);
    ck_assert_uint_eq(count_all(&f, "prefix=00001", &steps), 10);
    ck_assert_uint_eq(count_all(&f, "start=5&end=5", &steps), 0);
    ck_assert_uint_eq(f.scan->revision, 2);
    fixture_deinit(&f);
}
END_TEST

START_TEST(one_view)
{
    struct fixture f;
    fixture_init(&f);
    put_numbers(&f, LIMIT_SCAN_STEP_ITEMS + 10);
    begin_scan(&f, "", RANGE_COUNT);
    ck_ok(scan_count(f.scan));
    ck_ok(varve_put(f.db, L("zzz"), L(""), VARVE_SYNC_DEFAULT, NULL));
    ck_status(scan_count(f.scan), VARVE_END);
    ck_assert_uint_eq(f.scan->count, LIMIT_SCAN_STEP_ITEMS + 10);
    ck_assert_uint_eq(f.scan->revision, 1);
    fixture_deinit(&f);
}
END_TEST

START_TEST(cut)
{
    struct fixture f;
    fixture_init(&f);
    put_numbers(&f, 2 * LIMIT_SCAN_STEP_ITEMS);
    begin_scan(&f, "", RANGE_COUNT);
    ck_ok(scan_count(f.scan));
    scan_cut(f.scan, SCAN_DRAINED);
    scan_cut(f.scan, SCAN_CLIENT_GONE);
    ck_status(scan_count(f.scan), VARVE_CLOSED);
    ck_assert_int_eq(scan_cut_reason(f.scan), SCAN_DRAINED);
    ck_assert(f.scan->iterator == NULL);
    ck_assert_uint_lt(f.scan->count, LIMIT_SCAN_STEP_ITEMS + 2);
    fixture_deinit(&f);
}
END_TEST

/* All chunks one behind the other; none is larger than it may be. Caller frees with buf_deinit. */
static struct buf stream_all(struct fixture *f, const char *query, size_t *ret_chunks)
{
    struct buf all = {0}, chunk = {0};
    enum varve_status status = VARVE_OK;
    begin_scan(f, query, RANGE_STREAM);
    for (*ret_chunks = 0; status == VARVE_OK; ++*ret_chunks) {
        buf_clear(&chunk);
        status = scan_fill(f->scan, &chunk);
        ck_assert_uint_gt(chunk.size, 0);
        if (status == VARVE_OK)
            ck_assert_uint_le(chunk.size, LIMIT_SCAN_CHUNK_BYTES);
        ck_ok(buf_append_slice(&all, buf_slice(&chunk)));
    }
    ck_status(status, VARVE_END);
    ck_assert(f->scan->iterator == NULL);
    buf_deinit(&chunk);
    return all;
}

/* Values of all sizes and kinds, among them such as no chunk has room for. */
static const size_t sizes[] = {
    0,     1,      2,      3,      100,    16000,  16001,  32768,  65536,  98000, 98100,
    98179, 98180,  98304,  98305,  98306,  131072, 131073, 300000, 7,      5,     20000,
    20000, 200001, 200002, 200003, 400000, 400001, 999999, 1,      131000, 98200, 0,
};

static uint8_t *make_value(size_t at)
{
    static const char *const texts[] = {"plain", "quo\"te", "\x01\x1f", "gr\xc3\xbc\xc3\x9f", "\\"};
    uint8_t *value = malloc(sizes[at] + 8);
    ck_assert_ptr_nonnull(value);
    const char *text = texts[at % COUNT(texts)];
    size_t size = 0;
    while (size + strlen(text) <= sizes[at]) {
        memcpy(value + size, text, strlen(text));
        size += strlen(text);
    }
    while (size < sizes[at])
        value[size++] = at % 3 == 0 ? 0xff : 'x';
    return value;
}

static size_t make_key(size_t at, uint8_t *ret_key)
{
    size_t size = at % 4 == 1 ? VARVE_KEY_BYTES_MAX : 3;
    memset(ret_key, at % 5 == 2 ? 0x01 : 0xfe, size);
    ret_key[0] = (uint8_t)at;
    return size;
}

static void check_items(struct fixture *f, const char *query, enum value_encoding encoding,
                        bool reverse)
{
    struct buf expected = {0};
    size_t chunks = 0;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t at = reverse ? COUNT(sizes) - 1 - i : i;
        uint8_t key[VARVE_KEY_BYTES_MAX], *value = make_value(at);
        size_t key_size = make_key(at, key);
        struct json_stamp stamp = {.revision = at + 1};
        ck_ok(json_answer_item(&expected, varve_slice(key, key_size), varve_slice(value, sizes[at]),
                               encoding, stamp));
        ck_ok(buf_append_byte(&expected, '\n'));
        free(value);
    }
    ck_ok(buf_append_format(&expected, "{\"count\":%zu,\"revision\":%zu,\"truncated\":false}\n",
                            COUNT(sizes), COUNT(sizes)));
    struct buf found = stream_all(f, query, &chunks);
    ck_assert_uint_gt(chunks, 20);
    ck_bytes(buf_slice(&found), buf_slice(&expected));
    buf_deinit(&found);
    buf_deinit(&expected);
}

START_TEST(items_of_all_sizes)
{
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        uint8_t key[VARVE_KEY_BYTES_MAX], *value = make_value(i);
        size_t key_size = make_key(i, key);
        ck_ok(varve_put(f.db, varve_slice(key, key_size), varve_slice(value, sizes[i]),
                        VARVE_SYNC_DEFAULT, NULL));
        free(value);
    }
    check_items(&f, "", VALUE_BASE64, false);
    check_items(&f, "encoding=utf8", VALUE_UTF8, false);
    check_items(&f, "encoding=utf8&reverse=true", VALUE_UTF8, true);
    fixture_deinit(&f);
}
END_TEST

START_TEST(keys_of_a_stream)
{
    struct fixture f;
    size_t chunks = 0;
    fixture_init(&f);
    put_numbers(&f, 20000);
    struct buf found = stream_all(&f, "keys_only=true", &chunks);
    struct buf expected = {0};
    for (unsigned i = 0; i < 20000; i++)
        ck_ok(buf_append_format(&expected, "{\"key\":\"%06u\",\"revision\":1}\n", i));
    ck_ok(buf_append_format(&expected, "{\"count\":20000,\"revision\":1,\"truncated\":false}\n"));
    ck_bytes(buf_slice(&found), buf_slice(&expected));
    ck_assert_uint_eq(chunks, expected.size / LIMIT_SCAN_CHUNK_BYTES + 1);
    buf_deinit(&found);
    buf_deinit(&expected);
    fixture_deinit(&f);
}
END_TEST

START_TEST(empty_stream)
{
    struct fixture f;
    size_t chunks = 0;
    fixture_init(&f);
    put_numbers(&f, 3);
    static const char *const queries[] = {"start=a", "start=0&end=0", "prefix=1"};
    for (size_t i = 0; i < COUNT(queries); i++) {
        struct buf found = stream_all(&f, queries[i], &chunks);
        ck_text(buf_slice(&found), "{\"count\":0,\"revision\":1,\"truncated\":false}\n");
        buf_deinit(&found);
    }
    fixture_deinit(&f);
}
END_TEST

START_TEST(limited_stream)
{
    struct fixture f;
    size_t chunks = 0;
    fixture_init(&f);
    put_numbers(&f, 1500);
    struct buf found = stream_all(&f, "keys_only=true&limit=1", &chunks);
    static const char start[] = "{\"key\":\"000000\",\"revision\":1}\n"
                                "{\"count\":1,\"revision\":1,\"truncated\":true,"
                                "\"next_cursor\":\"";
    ck_assert_uint_gt(found.size, sizeof start);
    ck_bytes(varve_slice(found.data, sizeof start - 1), L(start));
    buf_deinit(&found);
    static const char *const all[] = {"limit=1500", "limit=1501", "limit=18446744073709551615"};
    for (size_t i = 0; i < COUNT(all); i++) {
        found = stream_all(&f, all[i], &chunks);
        ck_assert_uint_eq(f.scan->count, 1500);
        ck_assert_ptr_nonnull(memmem(found.data, found.size, "\"truncated\":false", 17));
        buf_deinit(&found);
    }
    found = stream_all(&f, "limit=1499", &chunks);
    ck_assert_uint_eq(f.scan->count, 1499);
    ck_assert_ptr_nonnull(memmem(found.data, found.size, "\"truncated\":true", 16));
    buf_deinit(&found);
    fixture_deinit(&f);
}
END_TEST

START_TEST(cut_stream)
{
    struct fixture f;
    struct buf chunk = {0};
    fixture_init(&f);
    put_numbers(&f, 20000);
    begin_scan(&f, "", RANGE_STREAM);
    ck_ok(scan_fill(f.scan, &chunk));
    scan_cut(f.scan, SCAN_STUCK);
    buf_clear(&chunk);
    ck_status(scan_fill(f.scan, &chunk), VARVE_CLOSED);
    ck_assert(f.scan->iterator == NULL);
    begin_scan(&f, "", RANGE_STREAM);
    buf_clear(&chunk);
    ck_ok(scan_fill(f.scan, &chunk));
    scan_close(f.scan);
    ck_assert(f.scan->iterator == NULL);
    buf_deinit(&chunk);
    fixture_deinit(&f);
}
END_TEST

#define HIDDEN_STEPS 3u
#define HIDDEN (HIDDEN_STEPS * LIMIT_SCAN_STEP_HIDDEN)

/* 000000, then deleted ones, then the last one. */
static void put_around_deleted(struct fixture *f)
{
    struct varve_batch *batch = NULL;
    ck_ok(varve_batch_new(&batch));
    for (unsigned i = 0; i < HIDDEN + 2; i++) {
        char key[16];
        snprintf(key, sizeof key, "%06u", i);
        if (i == 0 || i == HIDDEN + 1)
            ck_ok(varve_batch_put(batch, varve_slice_str(key), L("value")));
        else
            ck_ok(varve_batch_delete(batch, varve_slice_str(key)));
    }
    ck_ok(varve_write(f->db, batch, VARVE_SYNC_DEFAULT, NULL));
    varve_batch_free(batch);
}

/* Caller frees with buf_deinit. */
static struct buf page_all(struct fixture *f, const char *query, size_t *ret_steps)
{
    struct buf page = {0};
    enum varve_status status = VARVE_OK;
    begin_scan(f, query, RANGE_PAGE);
    for (*ret_steps = 0; status == VARVE_OK; ++*ret_steps)
        status = scan_page(f->scan, &page);
    ck_status(status, VARVE_END);
    ck_assert(f->scan->iterator == NULL);
    return page;
}

static void check_page(struct fixture *f, const char *query, size_t expected_steps,
                       const char *text)
{
    size_t steps = 0;
    struct buf page = page_all(f, query, &steps);
    ck_text(buf_slice(&page), text);
    ck_assert_uint_eq(steps, expected_steps);
    buf_deinit(&page);
}

START_TEST(pages_over_deleted_keys)
{
    static const char *const truncated[] = {"keys_only=true&limit=1",
                                            "keys_only=true&limit=1&reverse=true"};
    struct fixture f;
    size_t steps = 0;
    fixture_init(&f);
    put_around_deleted(&f);
    check_page(&f, "keys_only=true", HIDDEN_STEPS + 1,
               "{\"items\":[{\"key\":\"000000\",\"revision\":1},{\"key\":\"012289\","
               "\"revision\":1}],\"count\":2,\"truncated\":false,\"revision\":1}");
    check_page(&f, "keys_only=true&reverse=true", HIDDEN_STEPS + 1,
               "{\"items\":[{\"key\":\"012289\",\"revision\":1},{\"key\":\"000000\","
               "\"revision\":1}],\"count\":2,\"truncated\":false,\"revision\":1}");
    check_page(&f, "keys_only=true&start=000001&end=012289", HIDDEN_STEPS,
               "{\"items\":[],\"count\":0,\"truncated\":false,\"revision\":1}");
    check_page(&f, "start=5&end=5", 1,
               "{\"items\":[],\"count\":0,\"truncated\":false,\"revision\":1}");
    for (size_t i = 0; i < COUNT(truncated); i++) {
        struct buf page = page_all(&f, truncated[i], &steps);
        ck_assert_uint_eq(steps, HIDDEN_STEPS + 1);
        ck_assert_ptr_nonnull(memmem(page.data, page.size, "\"count\":1,\"truncated\":true", 26));
        buf_deinit(&page);
    }
    fixture_deinit(&f);
}
END_TEST

START_TEST(counts_over_deleted_keys)
{
    struct fixture f;
    size_t steps = 0;
    fixture_init(&f);
    put_around_deleted(&f);
    ck_assert_uint_eq(count_all(&f, "", &steps), 2);
    ck_assert_uint_eq(steps, HIDDEN_STEPS + 1);
    ck_assert_uint_eq(count_all(&f, "reverse=true", &steps), 2);
    ck_assert_uint_eq(steps, HIDDEN_STEPS + 1);
    fixture_deinit(&f);
}
END_TEST

/* One chunk, filled in many steps. */
START_TEST(streams_over_deleted_keys)
{
    static const struct {
        const char *query, *end;
    } cases[] = {
        {"keys_only=true", "{\"key\":\"012289\",\"revision\":1}\n"
                           "{\"count\":2,\"revision\":1,\"truncated\":false}\n"},
        {"keys_only=true&limit=1", "{\"count\":1,\"revision\":1,\"truncated\":true,"},
    };
    struct fixture f;
    fixture_init(&f);
    put_around_deleted(&f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf chunk = {0};
        static const char first[] = "{\"key\":\"000000\",\"revision\":1}\n";
        size_t pauses = 0;
        begin_scan(&f, cases[i].query, RANGE_STREAM);
        enum varve_status status = scan_fill(f.scan, &chunk);
        for (; status == VARVE_BUSY; pauses++)
            status = scan_fill(f.scan, &chunk);
        ck_status(status, VARVE_END);
        ck_assert_uint_eq(pauses, HIDDEN_STEPS);
        ck_assert(memcmp(chunk.data, first, sizeof first - 1) == 0);
        ck_assert(memcmp(chunk.data + sizeof first - 1, cases[i].end, strlen(cases[i].end)) == 0);
        buf_deinit(&chunk);
    }
    fixture_deinit(&f);
}
END_TEST

/* Nothing is shown where it is cut. */
START_TEST(cut_among_deleted_keys)
{
    struct fixture f;
    struct buf page = {0};
    fixture_init(&f);
    put_around_deleted(&f);
    begin_scan(&f, "start=000001", RANGE_PAGE);
    ck_ok(scan_page(f.scan, &page));
    scan_cut(f.scan, SCAN_DRAINED);
    ck_status(scan_page(f.scan, &page), VARVE_CLOSED);
    ck_assert(f.scan->iterator == NULL);
    begin_scan(&f, "start=000001", RANGE_STREAM);
    buf_clear(&page);
    ck_status(scan_fill(f.scan, &page), VARVE_BUSY);
    scan_cut(f.scan, SCAN_TIMED_OUT);
    ck_status(scan_fill(f.scan, &page), VARVE_CLOSED);
    ck_assert(f.scan->iterator == NULL);
    buf_deinit(&page);
    fixture_deinit(&f);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"counts", counts},
        {"one_view", one_view},
        {"cut", cut},
        {"items_of_all_sizes", items_of_all_sizes},
        {"keys_of_a_stream", keys_of_a_stream},
        {"empty_stream", empty_stream},
        {"limited_stream", limited_stream},
        {"cut_stream", cut_stream},
        {"pages_over_deleted_keys", pages_over_deleted_keys},
        {"counts_over_deleted_keys", counts_over_deleted_keys},
        {"streams_over_deleted_keys", streams_over_deleted_keys},
        {"cut_among_deleted_keys", cut_among_deleted_keys},
    };
    return SUPPORT_RUN("scan", tests);
}
