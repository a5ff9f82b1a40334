/*
 * Data blocks tile the file in the order of the index, each with its trailer, so those from one to
 * another are one piece of it. A block is verified when it is taken, not when it is read: a pass
 * may stop before.
 */
#include "format/block_stretch.h"

#include <assert.h>
#include <stdlib.h>

/* The first block that does not fit any more; at least `at` does. */
static size_t stretch_end(const struct sstable_index *index, size_t at, size_t bytes_max)
{
    const uint64_t begin = sstable_index_offset(index, at);
    size_t end = at + 1;
    while (end < index->count && sstable_index_offset(index, end + 1) - begin <= bytes_max)
        end++;
    return end;
}

static void unpacked_drop(struct block_stretch *stretch)
{
    free(stretch->unpacked);
    stretch->unpacked = NULL;
}

enum varve_status block_stretch_read(struct block_stretch *stretch, struct sstable_reader *reader,
                                     size_t at, size_t bytes_max)
{
    const struct sstable_index *index = sstable_reader_index(reader);
    assert(at < index->count);
    unpacked_drop(stretch);
    stretch->first = stretch->end = 0;
    const size_t end = stretch_end(index, at, bytes_max);
    const uint64_t begin = sstable_index_offset(index, at);
    const size_t bytes = (size_t)(sstable_index_offset(index, end) - begin);
    if (bytes > stretch->capacity) {
        uint8_t *stored = malloc(bytes);
        if (stored == NULL)
            return status_raise(VARVE_NO_MEMORY);
        free(stretch->stored);
        stretch->stored = stored;
        stretch->capacity = bytes;
    }
    enum varve_status status = sstable_reader_read_stored(reader, begin, stretch->stored, bytes);
    if (status != VARVE_OK)
        return status;
    stretch->first = at;
    stretch->end = end;
    return VARVE_OK;
}

enum varve_status block_stretch_take(struct block_stretch *stretch, struct sstable_reader *reader,
                                     size_t at, struct varve_slice *ret_data)
{
    const struct sstable_index *index = sstable_reader_index(reader);
    assert(block_stretch_holds(stretch, at));
    unpacked_drop(stretch);
    const uint64_t begin = sstable_index_offset(index, stretch->first);
    const uint8_t *stored = stretch->stored + (sstable_index_offset(index, at) - begin);
    return sstable_reader_unpack_block(reader, sstable_index_handle(index, at), stored,
                                       &stretch->unpacked, ret_data);
}

void block_stretch_deinit(struct block_stretch *stretch)
{
    unpacked_drop(stretch);
    free(stretch->stored);
    *stretch = (struct block_stretch){0};
}
