/* Tables: what is written is found again by passes, seeks and gets; failures are told. */
#include "format/sstable_reader.h"
#include "format/sstable_writer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/hash.h"
#include "budget.h"
#include "prng.h"
#include "sstable_fixture.h"
#include "support.h"

static void ck_stands(const struct entry_iterator *it, const struct fixture *f, size_t i)
{
    if (i >= f->count) {
        ck_assert(!it->valid);
        ck_ok(it->status);
        return;
    }
    ck_assert(it->valid);
    ck_slice_eq(it->key, buf_slice(&f->keys[i]));
    ck_slice_eq(it->value, buf_slice(&f->values[i]));
}

static size_t lower_bound(const struct fixture *f, struct varve_slice target)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        bool less = entry_key_compare(buf_slice(&f->keys[middle]), target) < 0;
        *(less ? &low : &high) = middle + less;
    }
    return low;
}

/* A target is any entry, lies just before or behind one, or has a key cut or lengthened. */
static void target_make(const struct fixture *f, struct prng *prng, struct buf *ret)
{
    struct varve_slice key = buf_slice(&f->keys[prng_below(prng, f->count)]);
    struct varve_slice user = entry_user_key(key);
    uint64_t tag = entry_key_tag(key);
    ck_ok(buf_assign(ret, user));
    switch (prng_below(prng, 5)) {
    case 0:
        break;
    case 1:
        tag -= prng_between(prng, 1, 6000);
        break;
    case 2:
        tag = entry_tag(10000 - prng_below(prng, 60), ENTRY_KIND_SEEK);
        break;
    case 3:
        ret->size = 1 + prng_below(prng, user.size);
        tag = entry_tag(ENTRY_SEQUENCE_MAX, ENTRY_KIND_SEEK);
        break;
    default:
        ck_ok(buf_append_byte(ret, (uint8_t)prng_next(prng)));
        tag = entry_tag(ENTRY_SEQUENCE_MAX, ENTRY_KIND_SEEK);
        break;
    }
    ck_ok(buf_append_fixed64(ret, tag));
}

static void check_get(struct fixture *f, struct varve_slice target)
{
    uint64_t tag = 0;
    struct varve_slice value = {0};
    struct block_ref pin = {0};
    enum varve_status status =
        sstable_reader_get(f->reader, &f->fetcher.base, target, true, &tag, &value, &pin);
    size_t i = lower_bound(f, target);
    bool there = i < f->count && varve_slice_compare(entry_user_key(buf_slice(&f->keys[i])),
                                                     entry_user_key(target)) == 0;
    ck_status(status, there ? VARVE_OK : VARVE_NOT_FOUND);
    if (there) {
        ck_assert_uint_eq(tag, entry_key_tag(buf_slice(&f->keys[i])));
        ck_slice_eq(value, buf_slice(&f->values[i]));
        ck_assert(sstable_reader_may_contain(f->reader, hash_slice(entry_user_key(target))));
        f->fetcher.base.release(&f->fetcher.base, &pin);
    }
}

static void check_table(struct fixture *f, uint64_t seed)
{
    struct entry_iterator *it = NULL;
    ck_ok(sstable_iterator_new(f->reader, &f->fetcher.base, true, &it));
    it->ops->seek_first(it);
    for (size_t i = 0; i < f->count; i++) {
        ck_stands(it, f, i);
        it->ops->next(it);
    }
    ck_stands(it, f, f->count);
    it->ops->seek_last(it);
    for (size_t i = f->count; i-- > 0;) {
        ck_stands(it, f, i);
        it->ops->prev(it);
    }
    ck_stands(it, f, f->count);

    struct prng prng = prng_make(seed);
    struct buf target = {0};
    for (unsigned round = 0; round < budget_choose(100, 600, 600); round++) {
        target_make(f, &prng, &target);
        size_t at = lower_bound(f, buf_slice(&target));
        it->ops->seek(it, buf_slice(&target));
        ck_stands(it, f, at);
        if (at < f->count && at > 0 && prng_chance(&prng, 50)) {
            it->ops->prev(it);
            ck_stands(it, f, at - 1);
            it->ops->next(it);
            it->ops->next(it);
            ck_stands(it, f, at + 1);
        }
        check_get(f, buf_slice(&target));
    }
    buf_deinit(&target);
    entry_iterator_free(it);
    ck_assert_uint_eq(f->fetcher.pinned, 0);
}

START_TEST(against_an_array)
{
    static const struct {
        size_t count;
        unsigned versions;
        size_t block_bytes, bloom_bits;
    } cases[] = {
        {1, 1, 4096, 10},   {2, 2, 1, 10},      {300, 1, 1, 0},     {300, 40, 100, 10},
        {1500, 1, 500, 10}, {1500, 5, 500, 32}, {3000, 3, 4096, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        entries_make(&f, cases[i].count, cases[i].versions, i);
        ck_ok(table_write(&f, cases[i].block_bytes, cases[i].bloom_bits));
        table_open(&f);
        ck_assert_int_eq(sstable_reader_has_filter(f.reader), cases[i].bloom_bits != 0);
        check_table(&f, i);
        fixture_deinit(&f);
    }
}
END_TEST

/* Values of one byte over and over in the first half, random ones in the second. */
START_TEST(compressed)
{
    static const enum compression kinds[] = {COMPRESSION_NONE, COMPRESSION_LZ4, COMPRESSION_ZSTD};
    uint64_t bytes[3] = {0};
    for (size_t k = 0; k < 3; k++) {
        struct fixture f;
        fixture_init(&f);
        entries_make(&f, 2000, 3, 8);
        for (size_t i = 0; i < 1000; i++) {
            if (f.values[i].size != 0)
                memset(f.values[i].data, 'v', f.values[i].size);
        }
        ck_ok(table_write_compressed(&f, 1000, 10, kinds[k]));
        bytes[k] = f.file_bytes;
        table_open(&f);
        check_table(&f, k);
        fixture_deinit(&f);
    }
    ck_assert_uint_lt(bytes[1], bytes[0] / 5 * 4);
    ck_assert_uint_lt(bytes[2], bytes[0] / 5 * 4);
}
END_TEST

START_TEST(properties_tell)
{
    struct fixture f;
    fixture_init(&f);
    entries_make(&f, 500, 3, 1);
    ck_ok(table_write(&f, 1000, 10));
    table_open(&f);
    uint64_t tombstones = 0, key_bytes = 0, value_bytes = 0;
    for (size_t i = 0; i < f.count; i++) {
        tombstones += entry_tag_kind(entry_key_tag(buf_slice(&f.keys[i]))) == ENTRY_DELETE;
        key_bytes += f.keys[i].size;
        value_bytes += f.values[i].size;
    }
    const struct sstable_properties *both[] = {&f.written, sstable_reader_properties(f.reader)};
    for (size_t i = 0; i < 2; i++) {
        const struct sstable_properties *p = both[i];
        ck_assert_uint_eq(p->file_id, FILE_ID);
        ck_assert_uint_eq(p->entry_count, f.count);
        ck_assert_uint_eq(p->tombstone_count, tombstones);
        ck_assert_uint_eq(p->expiring_count, 0);
        ck_assert_uint_eq(p->raw_key_bytes, key_bytes);
        ck_assert_uint_eq(p->raw_value_bytes, value_bytes);
        ck_assert_uint_gt(p->data_block_count, 10);
        ck_assert_uint_eq(p->sequence_max, 10000);
        ck_assert_uint_eq(p->sequence_min, 9980);
        ck_assert_uint_eq(p->time_min_ms, 5);
        ck_assert_uint_eq(p->time_max_ms, 6);
        ck_slice_eq(buf_slice(&p->smallest), buf_slice(&f.keys[0]));
        ck_slice_eq(buf_slice(&p->largest), buf_slice(&f.keys[f.count - 1]));
    }
    ck_assert_uint_eq(sstable_reader_file_id(f.reader), FILE_ID);
    ck_assert_str_eq(sstable_reader_path(f.reader), f.path);
    ck_assert_uint_gt(sstable_reader_memory_bytes(f.reader), 500 * 10 / 8);
    fixture_deinit(&f);
}
END_TEST

START_TEST(filter_keeps_blocks_unread)
{
    struct fixture f;
    fixture_init(&f);
    entries_make(&f, 2000, 1, 2);
    ck_ok(table_write(&f, 1000, 10));
    table_open(&f);
    size_t wrong = 0;
    for (unsigned i = 0; i < 5000; i++) {
        char text[32];
        snprintf(text, sizeof text, "none/%u", i);
        uint64_t hash = hash_slice(varve_slice_str(text));
        sstable_reader_prefetch_filter(f.reader, hash);
        wrong += sstable_reader_may_contain(f.reader, hash);
    }
    ck_assert_uint_lt(wrong, 150);
    fixture_deinit(&f);
}
END_TEST

/* Index keys are shortest separators: these user keys of two neighbours must give this one. */
START_TEST(separators)
{
    static const struct {
        const char *last, *next, *separator;
    } cases[] = {
        {"abcdef", "abzz", "abd"},
        {"abcdef", "abd", "abce"},
        {"abc", "abcd", "abc"},
        {"a", "b", "a"},
        {"abc", "abd", "abc"},
        {"abcd", "abdx", "abd"},
        {"ab\xff\xffz", "ac", "ab\xff\xffz"},
        {"ab\xff"
         "bz",
         "ac",
         "ab\xff"
         "c"},
        {"same", "same", "same"},
        {"abc", "abe", "abc"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        support_key(&f.keys[0], cases[i].last, 9, ENTRY_PUT);
        support_key(&f.keys[1], cases[i].next, 8, ENTRY_PUT);
        f.count = 2;
        ck_ok(table_write(&f, 1, 10));
        table_open(&f);
        const struct sstable_index *index = sstable_reader_index(f.reader);
        ck_assert(sstable_index_user_key_is(index, 0, varve_slice_str(cases[i].separator)));
        ck_assert_uint_eq(sstable_index_find(index, buf_slice(&f.keys[0])), 0);
        ck_assert_uint_eq(sstable_index_find(index, buf_slice(&f.keys[1])), 1);
        check_table(&f, i);
        fixture_deinit(&f);
    }
}
END_TEST

static struct block_handle block_store(struct buf *file, struct varve_slice block)
{
    struct block_handle handle = {.offset = file->size, .size = block.size};
    ck_ok(buf_append_slice(file, block));
    ck_ok(buf_append_byte(file, COMPRESSION_NONE));
    uint32_t crc =
        sstable_block_crc(FILE_ID, handle.offset, file->data + handle.offset, block.size + 1);
    ck_ok(buf_append_fixed32(file, crc32c_mask(crc)));
    return handle;
}

/* A table with one entry a block, written by hand: its separators are as great as they may be, just
 * below the next block's key, as another writer than ours might choose them. */
static void wide_table_make(struct fixture *f)
{
    struct buf file = {0}, key = {0}, properties = {0};
    struct block_builder data, index;
    struct varve_slice block = {0};
    struct sstable_footer footer = {.file_id = FILE_ID};
    block_builder_init(&data, 16);
    block_builder_init(&index, 3);
    for (size_t i = 0; i < f->count; i++) {
        uint8_t handle[BLOCK_HANDLE_BYTES_MAX];
        block_builder_clear(&data);
        ck_ok(block_builder_add(&data, buf_slice(&f->keys[i]), buf_slice(&f->values[i])));
        ck_ok(block_builder_finish(&data, &block));
        uint8_t *end = block_handle_encode(handle, block_store(&file, block));
        ck_ok(buf_assign(&key, buf_slice(&f->keys[i + 1 < f->count ? i + 1 : i])));
        if (i + 1 < f->count)
            key.data[key.size - ENTRY_TAG_BYTES]++; /* the tag's lowest byte: just before it */
        ck_ok(block_builder_add(&index, buf_slice(&key),
                                varve_slice(handle, (size_t)(end - handle))));
    }
    footer.filter = block_store(&file, varve_slice(NULL, 0));
    ck_ok(block_builder_finish(&index, &block));
    footer.index = block_store(&file, block);
    const struct sstable_properties p = {.file_id = FILE_ID,
                                         .entry_count = f->count,
                                         .data_block_count = f->count,
                                         .smallest = f->keys[0],
                                         .largest = f->keys[f->count - 1]};
    ck_ok(sstable_properties_encode(&p, &properties));
    footer.properties = block_store(&file, buf_slice(&properties));
    ck_ok(buf_append_zeros(&file, SSTABLE_FOOTER_BYTES));
    sstable_footer_encode(file.data + file.size - SSTABLE_FOOTER_BYTES, &footer);
    support_file_write(f->path, buf_slice(&file));
    f->file_bytes = file.size;
    block_builder_deinit(&data);
    block_builder_deinit(&index);
    buf_deinit(&file);
    buf_deinit(&key);
    buf_deinit(&properties);
}

/* A target behind a block's last key and not behind its separator is to be looked for in the next
 * block, which may begin with the same user key. */
START_TEST(get_between_blocks)
{
    for (unsigned by_hand = 0; by_hand < 2; by_hand++) {
        struct fixture f;
        fixture_init(&f);
        for (f.count = 0; f.count < 12; f.count++) {
            support_key(&f.keys[f.count], f.count < 6 ? "key" : "key2", 100 - f.count % 6 * 10,
                        ENTRY_PUT);
            ck_ok(buf_append_format(&f.values[f.count], "%zu", f.count));
        }
        if (by_hand)
            wide_table_make(&f);
        else
            ck_ok(table_write(&f, 1, 10)); /* a block an entry */
        table_open(&f);
        struct buf target = {0};
        static const char *const users[] = {"ke", "key", "key1", "key2", "key3"};
        for (size_t u = 0; u < sizeof users / sizeof users[0]; u++) {
            for (uint64_t sequence = 101; sequence > 40; sequence--) {
                support_key(&target, users[u], sequence, ENTRY_KIND_SEEK);
                check_get(&f, buf_slice(&target));
            }
        }
        buf_deinit(&target);
        check_table(&f, 5);
        fixture_deinit(&f);
    }
}
END_TEST

START_TEST(not_the_table_of_the_manifest)
{
    struct fixture f;
    fixture_init(&f);
    entries_make(&f, 50, 1, 3);
    ck_ok(table_write(&f, 500, 10));
    struct varve_error error = {0};
    struct sstable_reader *reader = NULL;
    ck_status(sstable_reader_open(f.env, f.path, FILE_ID + 1, f.file_bytes, &reader, &error),
              VARVE_CORRUPT);
    ck_assert_str_eq(error.path, f.path);
    ck_status(sstable_reader_open(f.env, f.path, FILE_ID, f.file_bytes + 1, &reader, &error),
              VARVE_CORRUPT);
    ck_status(sstable_reader_open(f.env, "/nonexistent/1.sst", 1, 1, &reader, &error),
              VARVE_NOT_FOUND);
    ck_assert_ptr_null(reader);
    table_open(&f);
    fixture_deinit(&f);
}
END_TEST

START_TEST(newer_version)
{
    struct fixture f;
    fixture_init(&f);
    entries_make(&f, 50, 1, 3);
    ck_ok(table_write(&f, 500, 10));
    struct buf content = {0};
    support_file_read(f.path, &content);
    uint8_t *footer = content.data + content.size - SSTABLE_FOOTER_BYTES;
    fixed32_encode(footer + 56, SSTABLE_FORMAT_VERSION + 1);
    fixed32_encode(footer + 84, crc32c_mask(crc32c_extend(0, footer, 84)));
    support_file_write(f.path, buf_slice(&content));
    struct sstable_reader *reader = NULL;
    ck_status(sstable_reader_open(f.env, f.path, FILE_ID, f.file_bytes, &reader, NULL),
              VARVE_UNSUPPORTED);
    buf_deinit(&content);
    fixture_deinit(&f);
}
END_TEST

/* The compression behind a block, and a crc that fits it. */
static void compression_set(struct fixture *f, struct block_handle handle, uint8_t compression)
{
    struct buf content = {0};
    support_file_read(f->path, &content);
    uint8_t *block = content.data + handle.offset;
    block[handle.size] = compression;
    uint32_t crc = sstable_block_crc(FILE_ID, handle.offset, block, handle.size + 1);
    fixed32_encode(block + handle.size + 1, crc32c_mask(crc));
    support_file_write(f->path, buf_slice(&content));
    buf_deinit(&content);
}

START_TEST(compression_of_another_build)
{
    struct fixture f;
    fixture_init(&f);
    entries_make(&f, 50, 1, 3);
    ck_ok(table_write(&f, SIZE_MAX, 10)); /* one block */
    struct buf content = {0};
    struct sstable_footer footer = {0};
    support_file_read(f.path, &content);
    ck_ok(sstable_footer_decode(content.data + content.size - SSTABLE_FOOTER_BYTES, content.size,
                                &footer));
    buf_deinit(&content);
    const struct block_handle data = {.size = footer.filter.offset - SSTABLE_BLOCK_TRAILER_BYTES};
    uint8_t *block = NULL;
    size_t size = 0;
    table_open(&f);
    ck_ok(sstable_reader_read_block(f.reader, data, &block, &size));
    free(block);
    compression_set(&f, data, COMPRESSION_ZSTD + 1);
    ck_status(sstable_reader_read_block(f.reader, data, &block, &size), VARVE_UNSUPPORTED);
    compression_set(&f, data, COMPRESSION_LZ4); /* which it is not */
    ck_status(sstable_reader_read_block(f.reader, data, &block, &size), VARVE_CORRUPT);
    const struct block_handle parts[] = {footer.index, footer.properties};
    struct sstable_reader *reader = NULL;
    for (size_t i = 0; i < 2; i++) {
        compression_set(&f, parts[i], COMPRESSION_LZ4);
        ck_status(sstable_reader_open(f.env, f.path, FILE_ID, f.file_bytes, &reader, NULL),
                  VARVE_UNSUPPORTED);
        compression_set(&f, parts[i], COMPRESSION_NONE);
    }
    compression_set(&f, footer.filter, COMPRESSION_LZ4);
    struct varve_error error = {0};
    ck_ok(sstable_reader_open(f.env, f.path, FILE_ID, f.file_bytes, &reader, NULL));
    ck_status(sstable_reader_load_filter(reader, true, &error), VARVE_UNSUPPORTED);
    ck_assert_str_eq(error.path, f.path);
    compression_set(&f, footer.filter, COMPRESSION_NONE);
    ck_ok(sstable_reader_load_filter(reader, true, NULL));
    sstable_reader_free(reader);
    fixture_deinit(&f);
}
END_TEST

START_TEST(block_at_another_place)
{
    struct fixture f;
    fixture_init(&f);
    entries_make(&f, 50, 1, 3);
    ck_ok(table_write(&f, 500, 10));
    table_open(&f);
    uint8_t *data = NULL;
    size_t size = 0;
    const struct block_handle wrong[] = {
        {1, 100}, {0, UINT64_MAX}, {UINT64_MAX, 1}, {UINT64_MAX - 2, UINT64_MAX}, {f.file_bytes, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_status(sstable_reader_read_block(f.reader, wrong[i], &data, &size), VARVE_CORRUPT);
    fixture_deinit(&f);
}
END_TEST

START_TEST(properties_decode_refuses)
{
    struct sstable_properties p = {.file_id = 1, .entry_count = 1, .data_block_count = 1}, got;
    support_key(&p.smallest, "a", 1, ENTRY_PUT);
    support_key(&p.largest, "b", 1, ENTRY_PUT);
    struct buf bytes = {0};
    ck_ok(sstable_properties_encode(&p, &bytes));
    ck_ok(sstable_properties_decode(buf_slice(&bytes), &got));
    sstable_properties_deinit(&got);
    for (size_t size = 0; size < bytes.size; size++)
        ck_status(sstable_properties_decode(varve_slice(bytes.data, size), &got), VARVE_CORRUPT);
    /* an unknown field behind the known ones is passed over */
    ck_ok(buf_append(&bytes, "\x63\x02xy", 4));
    ck_ok(sstable_properties_decode(buf_slice(&bytes), &got));
    sstable_properties_deinit(&got);
    ck_ok(buf_append(&bytes, "\x01\x01x", 3)); /* tags must grow */
    ck_status(sstable_properties_decode(buf_slice(&bytes), &got), VARVE_CORRUPT);

    struct sstable_properties wrong[6] = {p, p, p, p, p, p};
    wrong[0].entry_count = 0;
    wrong[1].tombstone_count = 2;
    wrong[2].sequence_min = 1;
    wrong[3].time_min_ms = 1;
    wrong[4].smallest = p.largest;
    wrong[4].largest = p.smallest;
    wrong[5].data_block_count = 2;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        buf_clear(&bytes);
        ck_ok(sstable_properties_encode(&wrong[i], &bytes));
        ck_status(sstable_properties_decode(buf_slice(&bytes), &got), VARVE_CORRUPT);
    }
    buf_deinit(&bytes);
    sstable_properties_deinit(&p);
}
END_TEST

/* Each call of the writer fails in turn: told, and nothing stays open. */
START_TEST(writer_failures_are_told)
{
    struct fixture f;
    fixture_init(&f);
    entries_make(&f, 200, 1, 3);
    for (uint64_t at = 1;; at++) {
        struct fault_rule rule = {
            .operations = FAULT_ANY, .at = at, .status = VARVE_NO_SPACE, .short_write = true};
        fault_env_set_rule(f.fault, &rule);
        enum varve_status status = table_write(&f, 500, 10);
        ck_assert_uint_eq(fault_env_handles(f.fault), 0);
        fault_env_set_rule(f.fault, NULL);
        if (status == VARVE_OK) {
            ck_assert_uint_gt(at, 4); /* open, write, sync, close */
            break;
        }
        ck_status(status, VARVE_NO_SPACE);
        if (at > 1)
            ck_ok(env_remove(f.env, f.path));
    }
    ck_status(table_write(&f, 500, 10), VARVE_EXISTS);
    fixture_deinit(&f);
}
END_TEST

START_TEST(reader_failures_are_told)
{
    struct fixture f;
    fixture_init(&f);
    entries_make(&f, 100, 1, 3);
    ck_ok(table_write(&f, 500, 10));
    for (uint64_t at = 1;; at++) {
        struct fault_rule rule = {
            .operations = FAULT_OPEN | FAULT_READ | FAULT_SIZE, .at = at, .status = VARVE_IO};
        fault_env_set_rule(f.fault, &rule);
        size_t entries = 0;
        enum varve_status status =
            sstable_reader_open(f.env, f.path, FILE_ID, f.file_bytes, &f.reader, NULL);
        if (status == VARVE_OK)
            status = sstable_reader_load_filter(f.reader, true, NULL);
        if (status == VARVE_OK) {
            struct entry_iterator *it = NULL;
            ck_ok(sstable_iterator_new(f.reader, &f.fetcher.base, true, &it));
            for (it->ops->seek_first(it); it->valid; it->ops->next(it))
                entries++;
            status = it->status;
            entry_iterator_free(it);
        }
        sstable_reader_free(f.reader);
        f.reader = NULL;
        ck_assert_uint_eq(fault_env_handles(f.fault), 0);
        ck_status(status, fault_env_chosen(f.fault) != 0 ? VARVE_IO : VARVE_OK);
        if (status == VARVE_OK) {
            ck_assert_uint_eq(entries, f.count);
            break;
        }
    }
    fault_env_set_rule(f.fault, NULL);
    fixture_deinit(&f);
}
END_TEST

START_TEST(large_values)
{
    struct fixture f;
    fixture_init(&f);
    for (f.count = 0; f.count < 5; f.count++) {
        char text[8];
        snprintf(text, sizeof text, "k%zu", f.count);
        support_key(&f.keys[f.count], text, 1, ENTRY_PUT);
        ck_ok(buf_append_zeros(&f.values[f.count], f.count * 700000));
    }
    ck_ok(table_write(&f, 4096, 10));
    /* large pieces: far fewer writes than blocks, and the sum is the file */
    ck_assert_uint_le(fault_env_calls(f.fault, FAULT_WRITE), 5);
    table_open(&f);
    check_table(&f, 1);
    fixture_deinit(&f);
}
END_TEST

static void ck_advised(const struct fixture *f, uint64_t count, uint64_t bytes)
{
    uint64_t advices = 0, advised = 0;
    fault_env_advices(f->fault, &advices, &advised);
    ck_assert_uint_eq(advices, count);
    ck_assert_uint_eq(advised, bytes);
}

/* A pass that goes on is read ahead, in pieces that grow and leave nothing out and take nothing
 * twice; one that jumps about is not, nor one whose blocks are at hand. */
START_TEST(read_ahead)
{
    struct fixture f;
    struct entry_iterator *it = NULL;
    fixture_init(&f);
    for (f.count = 0; f.count < ENTRIES_MAX; f.count++) {
        char text[8];
        snprintf(text, sizeof text, "k%05zu", f.count);
        support_key(&f.keys[f.count], text, 1, ENTRY_PUT);
        ck_ok(buf_append_zeros(&f.values[f.count], 400));
    }
    ck_ok(table_write(&f, 4096, 10));
    table_open(&f);
    const struct sstable_index *index = sstable_reader_index(f.reader);
    ck_ok(sstable_iterator_new(f.reader, &f.fetcher.base, false, &it));
    for (size_t i = 0; i < f.count; i += 100)
        it->ops->seek(it, buf_slice(&f.keys[f.count - 1 - i]));
    it->ops->seek_first(it);
    ck_advised(&f, 0, 0);

    f.fetcher.as_cached = true;
    for (it->ops->seek_first(it); it->valid; it->ops->next(it))
        ck_ok(it->status);
    ck_advised(&f, 0, 0);
    f.fetcher.as_cached = false;
    for (it->ops->seek_first(it); it->valid; it->ops->next(it))
        ck_ok(it->status);
    /* From behind the second block on: 32, 64, 128 KiB, then 256 KiB at a time, and the rest. */
    uint64_t bytes = sstable_index_offset(index, index->count) - sstable_index_offset(index, 2) +
                     SSTABLE_BLOCK_TRAILER_BYTES;
    ck_advised(&f, 3 + (bytes - (224 << 10) + (256 << 10) - 1) / (256 << 10), bytes);
    entry_iterator_free(it);
    fixture_deinit(&f);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"against_an_array", against_an_array},
        {"compressed", compressed},
        {"properties_tell", properties_tell},
        {"filter_keeps_blocks_unread", filter_keeps_blocks_unread},
        {"separators", separators},
        {"get_between_blocks", get_between_blocks},
        {"not_the_table_of_the_manifest", not_the_table_of_the_manifest},
        {"newer_version", newer_version},
        {"compression_of_another_build", compression_of_another_build},
        {"block_at_another_place", block_at_another_place},
        {"properties_decode_refuses", properties_decode_refuses},
        {"writer_failures_are_told", writer_failures_are_told},
        {"reader_failures_are_told", reader_failures_are_told},
        {"large_values", large_values},
        {"read_ahead", read_ahead},
    };
    return SUPPORT_RUN("sstable", tests);
}
