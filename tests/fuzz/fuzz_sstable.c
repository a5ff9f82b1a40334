/*
 * Fuzz target: a table, opened, walked and searched. Checksums would stop nearly every mutation at
 * the door, so the input is first taken as it is and then once more with its checksums mended.
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "format/sstable_reader.h"
#include "fuzz.h"
#include "must.h"
#include "small_files.h"

#define FOOTER_CRC_OFFSET 84u

bool fuzz_seed(unsigned which, struct buf *out)
{
    uint64_t file_bytes = 0;
    if (which > COMPRESSION_ZSTD)
        return false;
    small_table_make(fuzz_path(), (enum compression)which, &file_bytes);
    fuzz_file_read(out);
    must_ok(env_remove(env_posix(), fuzz_path()));
    return true;
}

static enum varve_status fetch(struct block_fetcher *fetcher, struct sstable_reader *reader,
                               struct block_handle handle, bool fill, struct block_ref *ret)
{
    uint8_t *data = NULL;
    size_t size = 0;
    enum varve_status status = sstable_reader_read_block(reader, handle, &data, &size);
    if (status == VARVE_OK)
        *ret = (struct block_ref){.data = varve_slice(data, size), .pin = data};
    return status;
}

static void release(struct block_fetcher *fetcher, struct block_ref *ref)
{
    free(ref->pin);
    *ref = (struct block_ref){0};
}

static void walk(struct sstable_reader *reader, size_t size)
{
    static const uint8_t target[] = {'k', 'e', 'y', '/', '0', '0', '1', '0',
                                     0,   99,  0,   0,   0,   0,   0,   0};
    struct block_fetcher fetcher = {.fetch = fetch, .release = release};
    struct entry_iterator *it = NULL;
    must_ok(sstable_iterator_new(reader, &fetcher, false, &it));
    size_t steps = 0;
    for (it->ops->seek_first(it); it->valid; it->ops->next(it), steps++)
        must(entry_key_is_valid(it->key));
    must(steps <= size);
    steps = 0;
    for (it->ops->seek_last(it); it->valid; it->ops->prev(it))
        steps++;
    must(steps <= size);
    it->ops->seek(it, varve_slice(target, sizeof target));
    entry_iterator_free(it);

    uint64_t tag = 0;
    struct varve_slice value = {0};
    struct block_ref pin = {0};
    if (sstable_reader_load_filter(reader, true, NULL) == VARVE_OK)
        (void)sstable_reader_may_contain(reader, size * 0x9e3779b97f4a7c15ull);
    enum varve_status status = sstable_reader_get(
        reader, &fetcher, varve_slice(target, sizeof target), false, &tag, &value, &pin);
    must(status == VARVE_OK || status == VARVE_NOT_FOUND || status == VARVE_CORRUPT ||
         status == VARVE_UNSUPPORTED);
    release(&fetcher, &pin);
}

static void table_try(const uint8_t *data, size_t size)
{
    struct sstable_reader *reader = NULL;
    struct varve_error error = {0};
    fuzz_file_write(data, size);
    if (sstable_reader_open(env_posix(), fuzz_path(), SMALL_TABLE_ID, size, &reader, &error) ==
        VARVE_OK)
        walk(reader, size);
    sstable_reader_free(reader);
}

static void block_mend(struct buf *table, uint64_t offset, uint64_t size)
{
    if (offset > table->size || table->size - offset < SSTABLE_BLOCK_TRAILER_BYTES ||
        size > table->size - offset - SSTABLE_BLOCK_TRAILER_BYTES)
        return;
    uint8_t *at = table->data + offset;
    uint32_t crc = sstable_block_crc(SMALL_TABLE_ID, offset, at, (size_t)size + 1);
    fixed32_encode(at + size + 1, crc32c_mask(crc));
}

/* Makes the checksums of the footer and of every block that can still be found hold. */
static void table_mend(struct buf *table)
{
    uint8_t *footer = table->data + table->size - SSTABLE_FOOTER_BYTES;
    fixed32_encode(footer + FOOTER_CRC_OFFSET,
                   crc32c_mask(crc32c_extend(0, footer, FOOTER_CRC_OFFSET)));
    struct sstable_footer parts = {0};
    struct block_iterator it = {0};
    if (sstable_footer_decode(footer, table->size, &parts) != VARVE_OK)
        return;
    block_mend(table, parts.filter.offset, parts.filter.size);
    block_mend(table, parts.index.offset, parts.index.size);
    block_mend(table, parts.properties.offset, parts.properties.size);
    if (block_iterator_init(&it, varve_slice(table->data + parts.index.offset,
                                             (size_t)parts.index.size)) == VARVE_OK) {
        struct block_handle handle = {0};
        for (block_iterator_seek_first(&it); it.base.valid; block_iterator_next(&it)) {
            if (block_handle_decode(it.base.value, &handle))
                block_mend(table, handle.offset, handle.size);
        }
    }
    block_iterator_deinit(&it);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    table_try(data, size);
    if (size >= SSTABLE_FOOTER_BYTES) {
        struct buf mended = {0};
        must_ok(buf_append(&mended, data, size));
        table_mend(&mended);
        table_try(mended.data, mended.size);
        buf_deinit(&mended);
    }
    return 0;
}
