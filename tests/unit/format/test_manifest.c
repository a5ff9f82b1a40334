/* Edits and manifests: round trips, refusals, bad tails and failures. */
#include "format/manifest_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "fault_env.h"
#include "support.h"

#define MANIFEST_ID 12u

static void table_make(struct manifest_table *table, uint64_t file_id)
{
    *table = (struct manifest_table){.level = (uint32_t)(file_id % 7),
                                     .run_id = file_id + 100,
                                     .file_id = file_id,
                                     .file_bytes = 4096 * file_id,
                                     .entry_count = 50,
                                     .tombstone_count = 7,
                                     .sequence_min = 1,
                                     .sequence_max = ENTRY_SEQUENCE_MAX,
                                     .time_min_ms = 3,
                                     .time_max_ms = UINT64_MAX};
    support_key(&table->smallest, "a", 5, ENTRY_PUT);
    support_key(&table->largest, "b", 5, ENTRY_DELETE);
}

static void full_edit_make(struct manifest_edit *edit)
{
    *edit = (struct manifest_edit){
        .has_next_file_id = true,
        .has_last_sequence = true,
        .has_store_time = true,
        .has_first_live_segment = true,
        .has_last_segment = true,
        .has_clean_shutdown = true,
        .has_next_run_id = true,
        .next_file_id = 1,
        .next_run_id = 127,
        .last_sequence = 128,
        .store_time_ms = UINT64_MAX,
        .first_live_segment = 3,
        .last_segment = 4,
        .clean_shutdown = true,
    };
    for (uint64_t id = 1; id <= 5; id++) {
        struct manifest_table table;
        table_make(&table, id);
        table.compression = (enum compression)(id % 3);
        ck_ok(manifest_edit_add_table(edit, &table));
        manifest_table_deinit(&table);
        ck_ok(manifest_edit_remove_table(edit, (uint32_t)id, id + 50));
        ck_ok(manifest_edit_add_sealed(edit, id, id * 8));
    }
}

static void ck_table_eq(const struct manifest_table *a, const struct manifest_table *b)
{
    ck_assert_uint_eq(a->level, b->level);
    ck_assert_uint_eq(a->run_id, b->run_id);
    ck_assert_uint_eq(a->file_id, b->file_id);
    ck_assert_uint_eq(a->file_bytes, b->file_bytes);
    ck_assert_uint_eq(a->entry_count, b->entry_count);
    ck_assert_uint_eq(a->tombstone_count, b->tombstone_count);
    ck_assert_uint_eq(a->sequence_min, b->sequence_min);
    ck_assert_uint_eq(a->sequence_max, b->sequence_max);
    ck_assert_uint_eq(a->time_min_ms, b->time_min_ms);
    ck_assert_uint_eq(a->time_max_ms, b->time_max_ms);
    ck_assert_int_eq(a->compression, b->compression);
    ck_slice_eq(buf_slice(&a->smallest), buf_slice(&b->smallest));
    ck_slice_eq(buf_slice(&a->largest), buf_slice(&b->largest));
}

START_TEST(edit_round_trip)
{
    struct manifest_edit edit, got;
    struct buf bytes = {0}, again = {0};
    full_edit_make(&edit);
    ck_ok(manifest_edit_encode(&edit, &bytes));
    ck_ok(manifest_edit_decode(buf_slice(&bytes), &got));
    ck_assert(got.has_next_file_id && got.has_last_sequence && got.has_store_time &&
              got.has_first_live_segment && got.has_last_segment && got.has_clean_shutdown &&
              got.has_next_run_id && got.clean_shutdown);
    ck_assert_uint_eq(got.next_file_id, 1);
    ck_assert_uint_eq(got.next_run_id, 127);
    ck_assert_uint_eq(got.last_sequence, 128);
    ck_assert_uint_eq(got.store_time_ms, UINT64_MAX);
    ck_assert_uint_eq(got.first_live_segment, 3);
    ck_assert_uint_eq(got.last_segment, 4);
    ck_assert(got.sealed_count == 5 && got.removed_count == 5 && got.added_count == 5);
    for (size_t i = 0; i < 5; i++) {
        ck_table_eq(&got.added[i], &edit.added[i]);
        ck_assert_uint_eq(got.sealed[i].segment_id, i + 1);
        ck_assert_uint_eq(got.sealed[i].length, (i + 1) * 8);
        ck_assert_uint_eq(got.removed[i].level, i + 1);
        ck_assert_uint_eq(got.removed[i].file_id, i + 51);
    }
    ck_ok(manifest_edit_encode(&got, &again));
    ck_slice_eq(buf_slice(&bytes), buf_slice(&again));
    manifest_edit_deinit(&got);

    struct manifest_edit empty = {0};
    buf_clear(&bytes);
    ck_ok(manifest_edit_encode(&empty, &bytes));
    ck_assert_uint_eq(bytes.size, 0);
    ck_ok(manifest_edit_decode(buf_slice(&bytes), &got));
    ck_assert(!got.has_clean_shutdown && got.added_count == 0);
    manifest_edit_deinit(&got);
    manifest_edit_deinit(&edit);
    buf_deinit(&bytes);
    buf_deinit(&again);
}
END_TEST

START_TEST(edit_cuts)
{
    struct manifest_edit edit, got;
    struct buf bytes = {0};
    full_edit_make(&edit);
    ck_ok(manifest_edit_encode(&edit, &bytes));
    size_t whole_prefixes = 0;
    for (size_t size = 0; size < bytes.size; size++) {
        /* of the exact size, so that a reach beyond it is seen */
        uint8_t *cut = malloc(size != 0 ? size : 1);
        ck_assert_ptr_nonnull(cut);
        memcpy(cut, bytes.data, size);
        enum varve_status status = manifest_edit_decode(varve_slice(cut, size), &got);
        ck_assert(status == VARVE_OK || status == VARVE_CORRUPT);
        if (status == VARVE_OK) {
            whole_prefixes++; /* a cut between two fields: the record's crc tells that one */
            manifest_edit_deinit(&got);
        }
        free(cut);
    }
    ck_assert_uint_eq(whole_prefixes, 7 + 15 + 4);
    manifest_edit_deinit(&edit);
    buf_deinit(&bytes);
}
END_TEST

START_TEST(edit_refused)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum varve_status status;
    } cases[] = {
        {"\x0c", 1, VARVE_UNSUPPORTED},
        {"\x0b\x01\x01", 3, VARVE_CORRUPT}, /* of no table */
        {"\x00", 1, VARVE_CORRUPT},
        {"\x01\x05\x01\x05", 4, VARVE_CORRUPT}, /* twice */
        {"\x02\x05\x01\x05", 4, VARVE_CORRUPT}, /* out of order */
        {"\x07\x02", 2, VARVE_CORRUPT},         /* no truth value */
        {"\x08\x00\x08", 3, VARVE_CORRUPT},     /* id 0 */
        {"\x09\x07\x01", 3, VARVE_CORRUPT},     /* level 7 */
        {"\x09\x06\x00", 3, VARVE_CORRUPT},     /* id 0 */
        {"\x01", 1, VARVE_CORRUPT},
        {"\x09\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, VARVE_CORRUPT}, /* id too big */
        {"\x09\x06\x01", 3, VARVE_OK},
        {"\x07\x01", 2, VARVE_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct manifest_edit got = {0};
        ck_status(manifest_edit_decode(varve_slice(cases[i].bytes, cases[i].size), &got),
                  cases[i].status);
        manifest_edit_deinit(&got);
    }
}
END_TEST

static enum varve_status table_decode(const struct manifest_table *table)
{
    struct manifest_edit edit = {0}, got = {0};
    struct buf bytes = {0};
    ck_ok(manifest_edit_add_table(&edit, table));
    ck_ok(manifest_edit_encode(&edit, &bytes));
    enum varve_status status = manifest_edit_decode(buf_slice(&bytes), &got);
    manifest_edit_deinit(&edit);
    manifest_edit_deinit(&got);
    buf_deinit(&bytes);
    return status;
}

START_TEST(table_refused)
{
    struct manifest_table good, none = {0};
    table_make(&good, 1);
    ck_ok(table_decode(&good));
    struct manifest_table bad[8] = {good, good, good, good, good, good, good, good};
    struct buf broken = {0};
    support_key(&broken, "a", 5, ENTRY_KIND_SEEK);
    bad[0].level = VARVE_LEVELS_MAX;
    bad[1].file_id = 0;
    bad[2].tombstone_count = bad[2].entry_count + 1;
    bad[3].sequence_min = 2;
    bad[3].sequence_max = 1;
    bad[4].sequence_max = ENTRY_SEQUENCE_MAX + 1;
    bad[5].smallest = good.largest;
    bad[5].largest = good.smallest;
    bad[6].smallest = broken;
    bad[7].smallest = none.smallest;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_status(table_decode(&bad[i]), VARVE_CORRUPT);
    buf_deinit(&broken);
    manifest_table_deinit(&good);
}
END_TEST

START_TEST(compression_refused)
{
    struct manifest_edit edit = {0}, got = {0};
    struct buf bytes = {0};
    static const struct {
        const char *bytes;
        enum varve_status status;
    } ends[] = {
        {"\x0b\x02\x01\x0b\x03\x02", VARVE_OK},
        {"\x0b\x02\x00\x0b\x03\x02", VARVE_CORRUPT}, /* none is not written */
        {"\x0b\x02\x03\x0b\x03\x02", VARVE_CORRUPT}, /* unknown */
        {"\x0b\x03\x01\x0b\x02\x02", VARVE_CORRUPT}, /* in another order */
        {"\x0b\x02\x01\x0b\x02\x02", VARVE_CORRUPT}, /* twice */
        {"\x0b\x02\x01\x0b\x09\x02", VARVE_CORRUPT}, /* of no table */
    };
    for (uint64_t id = 1; id <= 3; id++) {
        struct manifest_table table;
        table_make(&table, id);
        ck_ok(manifest_edit_add_table(&edit, &table));
        manifest_table_deinit(&table);
    }
    ck_ok(manifest_edit_encode(&edit, &bytes));
    size_t size = bytes.size;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        bytes.size = size;
        ck_ok(buf_append(&bytes, ends[i].bytes, 6));
        ck_status(manifest_edit_decode(buf_slice(&bytes), &got), ends[i].status);
        if (ends[i].status == VARVE_OK)
            ck_assert_int_eq(got.added[2].compression, COMPRESSION_ZSTD);
        manifest_edit_deinit(&got);
    }
    manifest_edit_deinit(&edit);
    buf_deinit(&bytes);
}
END_TEST

/* A manifest of records that say next_file_id = 1, 2, ... */
struct fixture {
    struct tmpdir dir;
    struct fault_env *fault;
    struct env *env;
    char path[TMPDIR_PATH_BYTES + 32];
    struct manifest_writer writer;
    uint64_t seen;
};

static void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    tmpdir_make(&f->dir);
    f->fault = fault_env_new(env_posix());
    f->env = fault_env_env(f->fault);
    snprintf(f->path, sizeof f->path, "%s", tmpdir_path(&f->dir, "manifest-000012"));
    ck_ok(manifest_writer_create(&f->writer, f->env, f->path, MANIFEST_ID));
}

static void fixture_close(struct fixture *f)
{
    manifest_writer_close(&f->writer);
    ck_assert_uint_eq(fault_env_handles(f->fault), 0);
    fault_env_free(f->fault);
    tmpdir_remove(&f->dir);
}

static enum varve_status append(struct fixture *f, uint64_t number, bool sync)
{
    struct manifest_edit edit = {.has_next_file_id = true, .next_file_id = number};
    return manifest_writer_append(&f->writer, &edit, sync);
}

static enum varve_status see(void *context, const struct manifest_edit *edit)
{
    struct fixture *f = context;
    ck_assert_uint_eq(edit->next_file_id, f->seen + 1);
    return ++f->seen == 100 ? VARVE_BUSY : VARVE_OK;
}

static enum varve_status read_all(struct fixture *f, uint64_t id, uint64_t *ret_bad,
                                  bool *ret_valid, struct varve_error *error)
{
    f->seen = 0;
    return manifest_read(f->env, f->path, id, see, f, ret_bad, ret_valid, error);
}

START_TEST(log_round_trip)
{
    struct fixture f;
    uint64_t bad = 0;
    bool valid = true;
    fixture_open(&f);
    ck_ok(read_all(&f, MANIFEST_ID, &bad, &valid, NULL)); /* a header alone */
    ck_assert_uint_eq(f.seen, 0);
    for (uint64_t i = 1; i <= 99; i++)
        ck_ok(append(&f, i, i % 2 == 0));
    ck_assert_uint_eq(fault_env_calls(f.fault, FAULT_SYNC), 49);
    ck_ok(read_all(&f, MANIFEST_ID, &bad, &valid, NULL));
    ck_assert_uint_eq(f.seen, 99);
    ck_assert_uint_eq(bad, UINT64_MAX);
    ck_assert(!valid);
    ck_ok(append(&f, 100, true));
    ck_status(read_all(&f, MANIFEST_ID, &bad, &valid, NULL), VARVE_BUSY); /* the caller's own */
    struct varve_error error = {0};
    ck_status(read_all(&f, MANIFEST_ID + 1, &bad, &valid, &error), VARVE_CORRUPT);
    ck_assert_str_eq(error.path, f.path);
    struct manifest_writer other = {0};
    ck_status(manifest_writer_create(&other, f.env, f.path, MANIFEST_ID), VARVE_EXISTS);
    fixture_close(&f);
}
END_TEST

START_TEST(content_that_a_crc_covers)
{
    struct fixture f;
    uint64_t bad = 0;
    bool valid = false;
    struct varve_error error = {0};
    fixture_open(&f);
    ck_ok(append(&f, 1, false));
    uint64_t second = f.writer.offset;
    struct manifest_edit edit = {0};
    ck_ok(manifest_edit_remove_table(&edit, VARVE_LEVELS_MAX, 1)); /* no such level */
    ck_ok(manifest_writer_append(&f.writer, &edit, false));
    manifest_edit_deinit(&edit);
    ck_status(read_all(&f, MANIFEST_ID, &bad, &valid, &error), VARVE_CORRUPT);
    ck_assert_uint_eq(error.offset, second);
    fixture_close(&f);
}
END_TEST

START_TEST(repeated_record)
{
    struct fixture f;
    uint64_t bad = 0;
    bool valid = false;
    fixture_open(&f);
    ck_ok(append(&f, 1, false));
    f.writer.record_number--;
    uint64_t second = f.writer.offset;
    ck_ok(append(&f, 1, false));
    ck_ok(read_all(&f, MANIFEST_ID, &bad, &valid, NULL));
    ck_assert_uint_eq(f.seen, 1);
    ck_assert_uint_eq(bad, second);
    ck_assert(!valid);
    fixture_close(&f);
}
END_TEST

START_TEST(newer_version)
{
    struct fixture f;
    uint64_t bad = 0;
    bool valid = false;
    fixture_open(&f);
    struct buf content = {0};
    support_file_read(f.path, &content);
    fixed32_encode(content.data + 8, MANIFEST_FORMAT_VERSION + 1);
    fixed32_encode(content.data + 24, crc32c_mask(crc32c_extend(0, content.data, 24)));
    support_file_write(f.path, buf_slice(&content));
    ck_status(read_all(&f, MANIFEST_ID, &bad, &valid, NULL), VARVE_UNSUPPORTED);
    buf_deinit(&content);
    fixture_close(&f);
}
END_TEST

START_TEST(failures_are_told)
{
    static const struct {
        unsigned operation;
        bool sync;
    } cases[] = {{FAULT_WRITE, false}, {FAULT_SYNC, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        uint64_t bad = 0;
        bool valid = false;
        fixture_open(&f);
        ck_ok(append(&f, 1, true));
        struct fault_rule rule = {.operations = cases[i].operation,
                                  .at = 1,
                                  .status = VARVE_NO_SPACE,
                                  .short_write = true};
        fault_env_set_rule(f.fault, &rule);
        ck_status(append(&f, 2, cases[i].sync), VARVE_NO_SPACE);
        ck_assert(f.writer.failed);
        const unsigned reads[] = {FAULT_OPEN, FAULT_SIZE, FAULT_READ};
        for (size_t k = 0; k < sizeof reads / sizeof reads[0]; k++) {
            rule = (struct fault_rule){.operations = reads[k], .at = 1, .status = VARVE_IO};
            fault_env_set_rule(f.fault, &rule);
            ck_status(read_all(&f, MANIFEST_ID, &bad, &valid, NULL), VARVE_IO);
        }
        const unsigned creates[] = {FAULT_OPEN, FAULT_WRITE};
        for (size_t k = 0; k < sizeof creates / sizeof creates[0]; k++) {
            struct manifest_writer other = {0};
            rule = (struct fault_rule){.operations = creates[k], .at = 1, .status = VARVE_IO};
            fault_env_set_rule(f.fault, &rule);
            ck_status(manifest_writer_create(&other, f.env, tmpdir_path(&f.dir, "other"), 1),
                      VARVE_IO);
        }
        fault_env_set_rule(f.fault, NULL);
        fixture_close(&f);
    }
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"edit_round_trip", edit_round_trip},
        {"edit_cuts", edit_cuts},
        {"edit_refused", edit_refused},
        {"table_refused", table_refused},
        {"compression_refused", compression_refused},
        {"log_round_trip", log_round_trip},
        {"content_that_a_crc_covers", content_that_a_crc_covers},
        {"repeated_record", repeated_record},
        {"newer_version", newer_version},
        {"failures_are_told", failures_are_told},
    };
    return SUPPORT_RUN("manifest", tests);
}
