/* The small files are made by the writers themselves, so they follow the format as it grows. */
#include "small_files.h"

#include <stdio.h>

#include "format/batch_codec.h"
#include "format/manifest_log.h"
#include "format/sstable_writer.h"
#include "format/wal_writer.h"
#include "must.h"

void small_batch_make(struct buf *out)
{
    const struct batch_op ops[] = {
        {.kind = ENTRY_PUT, .key = varve_slice_str("fruit/apple"), .value = varve_slice_str("red")},
        {.kind = ENTRY_DELETE, .key = varve_slice_str("fruit/pear")},
        {.kind = ENTRY_PUT_EXPIRING,
         .key = varve_slice_str("session"),
         .value = varve_slice_str("12345678token")},
    };
    const uint32_t count = sizeof ops / sizeof ops[0];
    must_ok(buf_append_fixed32(out, count));
    for (uint32_t i = 0; i < count; i++)
        must_ok(batch_op_encode(out, &ops[i]));
}

void small_wal_make(const char *path, struct small_wal *ret_wal)
{
    struct wal_writer writer = {0};
    struct buf batch = {0};
    uint64_t sequence = 1;
    small_batch_make(&batch);
    must_ok(wal_writer_open(&writer, env_posix(), path, SMALL_WAL_SEGMENT, 1000, SMALL_WAL_BYTES));
    for (unsigned i = 0; i < SMALL_WAL_FRAMES; i++) {
        if (i % 7 == 3)
            must_ok(wal_writer_sync(&writer));
        ret_wal->offsets[i] = writer.offset;
        ret_wal->synced[i] = writer.synced_offset;
        must_ok(wal_writer_begin(&writer, sequence, 1000 + i));
        for (unsigned k = 0; k < i % 4; k++) {
            must_ok(wal_writer_add(&writer, buf_slice(&batch)));
            sequence++;
        }
        must_ok(wal_writer_commit(&writer));
    }
    ret_wal->offsets[SMALL_WAL_FRAMES] = writer.offset;
    wal_writer_close(&writer);
    buf_deinit(&batch);
}

void small_table_make(const char *path, enum compression compression, uint64_t *ret_file_bytes)
{
    const struct sstable_writer_options options = {.file_id = SMALL_TABLE_ID,
                                                   .block_bytes = 256,
                                                   .restart_interval = 4,
                                                   .bloom_bits_per_key = 10,
                                                   .compression = compression,
                                                   .time_min_ms = 10,
                                                   .time_max_ms = 20};
    struct sstable_writer *writer = NULL;
    struct sstable_properties properties = {0};
    struct buf key = {0};
    must_ok(sstable_writer_new(env_posix(), path, &options, &writer));
    for (unsigned i = 0; i < SMALL_TABLE_ENTRIES; i++) {
        enum entry_kind kind = i % 5 == 4 ? ENTRY_DELETE : ENTRY_PUT;
        buf_clear(&key);
        must_ok(buf_append_format(&key, "key/%04u", i / 2)); /* two versions of each */
        must_ok(buf_append_fixed64(&key, entry_tag(100 - i, kind)));
        char value[16];
        snprintf(value, sizeof value, "value %u", i);
        must_ok(sstable_writer_add(writer, buf_slice(&key),
                                   varve_slice_str(kind == ENTRY_DELETE ? "" : value)));
    }
    must_ok(sstable_writer_finish(writer, &properties, ret_file_bytes));
    sstable_writer_free(writer);
    sstable_properties_deinit(&properties);
    buf_deinit(&key);
}

static void table_add(struct manifest_edit *edit, uint64_t file_id)
{
    struct manifest_table table = {.level = (uint32_t)(file_id % 3),
                                   .run_id = file_id,
                                   .file_id = file_id,
                                   .file_bytes = 5000,
                                   .entry_count = 60,
                                   .tombstone_count = 12,
                                   .sequence_min = 41,
                                   .sequence_max = 100,
                                   .time_min_ms = 10,
                                   .time_max_ms = 20};
    must_ok(buf_append_format(&table.smallest, "key/%u", (unsigned)file_id));
    must_ok(buf_append_fixed64(&table.smallest, entry_tag(100, ENTRY_PUT)));
    must_ok(buf_append_format(&table.largest, "key/%u/z", (unsigned)file_id));
    must_ok(buf_append_fixed64(&table.largest, entry_tag(41, ENTRY_DELETE)));
    must_ok(manifest_edit_add_table(edit, &table));
    manifest_table_deinit(&table);
}

void small_manifest_make(const char *path, uint64_t ret_offsets[SMALL_MANIFEST_EDITS + 1])
{
    struct manifest_writer writer = {0};
    must_ok(manifest_writer_create(&writer, env_posix(), path, SMALL_MANIFEST_ID));
    for (unsigned i = 0; i < SMALL_MANIFEST_EDITS; i++) {
        struct manifest_edit edit = {
            .has_next_file_id = true,
            .has_next_run_id = i % 2 == 0,
            .has_last_sequence = true,
            .has_store_time = i % 3 == 0,
            .has_first_live_segment = i % 3 == 1,
            .has_last_segment = i % 3 == 1,
            .has_clean_shutdown = i + 1 == SMALL_MANIFEST_EDITS,
            .clean_shutdown = true,
            .next_file_id = 100 + i,
            .next_run_id = 200 + i,
            .last_sequence = 1000 + i,
            .store_time_ms = 5000 + i,
            .first_live_segment = i,
            .last_segment = i + 1,
        };
        for (unsigned k = 0; k < i % 3; k++)
            table_add(&edit, i * 10 + k);
        if (i % 4 == 3)
            must_ok(manifest_edit_remove_table(&edit, 1, i));
        if (i % 3 == 1)
            must_ok(manifest_edit_add_sealed(&edit, i, 4096 + i * 8));
        ret_offsets[i] = writer.offset;
        must_ok(manifest_writer_append(&writer, &edit, false));
        manifest_edit_deinit(&edit);
    }
    ret_offsets[SMALL_MANIFEST_EDITS] = writer.offset;
    manifest_writer_close(&writer);
}
