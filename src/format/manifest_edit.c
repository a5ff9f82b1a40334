/*
 * An edit is a list of tagged fields. The order of tags is fixed, so an edit has one encoding, and
 * an unknown tag is refused: to pass over a change of the store's shape would lose data.
 */
#include "format/manifest_edit.h"

#include <stdlib.h>

#include <varve/options.h>

#define ID_MAX ((uint64_t)INT64_MAX)

/* On disk; never renumber. */
enum edit_tag {
    TAG_NEXT_FILE_ID = 1,
    TAG_NEXT_RUN_ID = 2,
    TAG_LAST_SEQUENCE = 3,
    TAG_STORE_TIME = 4,
    TAG_FIRST_LIVE_SEGMENT = 5,
    TAG_LAST_SEGMENT = 6,
    TAG_CLEAN_SHUTDOWN = 7,
    TAG_SEALED = 8, /* from here on repeatable */
    TAG_REMOVED = 9,
    TAG_ADDED = 10,
    TAG_COMPRESSION = 11,
};

void manifest_table_deinit(struct manifest_table *table)
{
    if (table == NULL)
        return;
    buf_deinit(&table->smallest);
    buf_deinit(&table->largest);
}

void manifest_edit_deinit(struct manifest_edit *edit)
{
    if (edit == NULL)
        return;
    for (size_t i = 0; i < edit->added_count; i++)
        manifest_table_deinit(&edit->added[i]);
    free(edit->added);
    free(edit->removed);
    free(edit->sealed);
    *edit = (struct manifest_edit){0};
}

/* Room for one more element: arrays grow at each power of two. NULL when out of memory; the old
 * array then still stands. */
static void *array_grow(void *array, size_t count, size_t element_bytes)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    size_t room = count != 0 ? count * 2 : 1;
    void *grown = room > SIZE_MAX / element_bytes ? NULL : realloc(array, room * element_bytes);
    if (grown == NULL)
        (void)status_raise(VARVE_NO_MEMORY);
    return grown;
}

enum varve_status manifest_edit_add_sealed(struct manifest_edit *edit, uint64_t segment_id,
                                           uint64_t length)
{
    struct manifest_sealed *sealed =
        array_grow(edit->sealed, edit->sealed_count, sizeof *edit->sealed);
    if (sealed == NULL)
        return VARVE_NO_MEMORY;
    edit->sealed = sealed;
    sealed[edit->sealed_count++] =
        (struct manifest_sealed){.segment_id = segment_id, .length = length};
    return VARVE_OK;
}

enum varve_status manifest_edit_remove_table(struct manifest_edit *edit, uint32_t level,
                                             uint64_t file_id)
{
    struct manifest_removed *removed =
        array_grow(edit->removed, edit->removed_count, sizeof *edit->removed);
    if (removed == NULL)
        return VARVE_NO_MEMORY;
    edit->removed = removed;
    removed[edit->removed_count++] = (struct manifest_removed){.level = level, .file_id = file_id};
    return VARVE_OK;
}

enum varve_status manifest_edit_add_table(struct manifest_edit *edit,
                                          const struct manifest_table *table)
{
    struct manifest_table *added = array_grow(edit->added, edit->added_count, sizeof *edit->added);
    if (added == NULL)
        return VARVE_NO_MEMORY;
    edit->added = added;

    struct manifest_table copy = *table;
    copy.smallest = (struct buf){0};
    copy.largest = (struct buf){0};
    enum varve_status status = buf_append_slice(&copy.smallest, buf_slice(&table->smallest));
    if (status == VARVE_OK)
        status = buf_append_slice(&copy.largest, buf_slice(&table->largest));
    if (status != VARVE_OK) {
        manifest_table_deinit(&copy);
        return status;
    }
    added[edit->added_count++] = copy;
    return VARVE_OK;
}

static enum varve_status numbers_encode(struct buf *out, const uint64_t *numbers, size_t count)
{
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; i < count && status == VARVE_OK; i++)
        status = buf_append_varint(out, numbers[i]);
    return status;
}

#define NUMBERS_ENCODE(out, ...)                                                                   \
    numbers_encode(out, (const uint64_t[]){__VA_ARGS__},                                           \
                   sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static enum varve_status table_encode(const struct manifest_table *t, struct buf *out)
{
    enum varve_status status = NUMBERS_ENCODE(
        out, TAG_ADDED, t->level, t->run_id, t->file_id, t->file_bytes, t->entry_count,
        t->tombstone_count, t->expiring_count, t->expiry_min_s, t->expiry_max_s, t->sequence_min,
        t->sequence_max, t->time_min_ms, t->time_max_ms);
    if (status == VARVE_OK)
        status = buf_append_prefixed(out, buf_slice(&t->smallest));
    if (status == VARVE_OK)
        status = buf_append_prefixed(out, buf_slice(&t->largest));
    return status;
}

/* Where a single field lives; NULL for a tag that is none of them. */
static uint64_t *single_field(struct manifest_edit *edit, uint64_t tag, bool **ret_has)
{
    switch (tag) {
    case TAG_NEXT_FILE_ID:
        *ret_has = &edit->has_next_file_id;
        return &edit->next_file_id;
    case TAG_NEXT_RUN_ID:
        *ret_has = &edit->has_next_run_id;
        return &edit->next_run_id;
    case TAG_LAST_SEQUENCE:
        *ret_has = &edit->has_last_sequence;
        return &edit->last_sequence;
    case TAG_STORE_TIME:
        *ret_has = &edit->has_store_time;
        return &edit->store_time_ms;
    case TAG_FIRST_LIVE_SEGMENT:
        *ret_has = &edit->has_first_live_segment;
        return &edit->first_live_segment;
    case TAG_LAST_SEGMENT:
        *ret_has = &edit->has_last_segment;
        return &edit->last_segment;
    default:
        return NULL;
    }
}

enum varve_status manifest_edit_encode(const struct manifest_edit *edit, struct buf *out)
{
    struct manifest_edit e = *edit; /* borrows the arrays */
    enum varve_status status = VARVE_OK;
    for (uint64_t tag = TAG_NEXT_FILE_ID; tag <= TAG_LAST_SEGMENT && status == VARVE_OK; tag++) {
        bool *has = NULL;
        const uint64_t *field = single_field(&e, tag, &has);
        if (*has)
            status = NUMBERS_ENCODE(out, tag, *field);
    }
    if (edit->has_clean_shutdown && status == VARVE_OK)
        status = NUMBERS_ENCODE(out, TAG_CLEAN_SHUTDOWN, edit->clean_shutdown);
    for (size_t i = 0; i < edit->sealed_count && status == VARVE_OK; i++)
        status =
            NUMBERS_ENCODE(out, TAG_SEALED, edit->sealed[i].segment_id, edit->sealed[i].length);
    for (size_t i = 0; i < edit->removed_count && status == VARVE_OK; i++)
        status = NUMBERS_ENCODE(out, TAG_REMOVED, edit->removed[i].level, edit->removed[i].file_id);
    for (size_t i = 0; i < edit->added_count && status == VARVE_OK; i++)
        status = table_encode(&edit->added[i], out);
    for (size_t i = 0; i < edit->added_count && status == VARVE_OK; i++)
        if (edit->added[i].compression != COMPRESSION_NONE)
            status = NUMBERS_ENCODE(out, TAG_COMPRESSION, edit->added[i].file_id,
                                    edit->added[i].compression);
    return status;
}

static bool numbers_take(struct varve_slice *in, uint64_t *ret_numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!slice_take_varint(in, &ret_numbers[i]))
            return false;
    }
    return true;
}

static bool id_is_valid(uint64_t id)
{
    return id != 0 && id <= ID_MAX;
}

/* The keys of *ret_table stay empty: they are given as slices. */
static bool table_take(struct varve_slice *in, struct manifest_table *ret_table,
                       struct varve_slice *ret_smallest, struct varve_slice *ret_largest)
{
    uint64_t n[13] = {0};
    if (!numbers_take(in, n, sizeof n / sizeof n[0]) || !slice_take_prefixed(in, ret_smallest) ||
        !slice_take_prefixed(in, ret_largest) || n[0] >= VARVE_LEVELS_MAX)
        return false;
    *ret_table = (struct manifest_table){.level = (uint32_t)n[0],
                                         .run_id = n[1],
                                         .file_id = n[2],
                                         .file_bytes = n[3],
                                         .entry_count = n[4],
                                         .tombstone_count = n[5],
                                         .expiring_count = n[6],
                                         .expiry_min_s = n[7],
                                         .expiry_max_s = n[8],
                                         .sequence_min = n[9],
                                         .sequence_max = n[10],
                                         .time_min_ms = n[11],
                                         .time_max_ms = n[12]};
    const struct manifest_table *t = ret_table;
    return id_is_valid(t->file_id) && t->tombstone_count <= t->entry_count &&
           t->expiring_count <= t->entry_count - t->tombstone_count &&
           t->expiry_min_s <= t->expiry_max_s && t->sequence_min <= t->sequence_max &&
           t->sequence_max <= ENTRY_SEQUENCE_MAX && t->time_min_ms <= t->time_max_ms &&
           entry_key_is_valid(*ret_smallest) && entry_key_is_valid(*ret_largest) &&
           entry_key_compare(*ret_smallest, *ret_largest) <= 0;
}

static enum varve_status table_decode(struct varve_slice *in, struct manifest_edit *edit)
{
    struct manifest_table table = {0};
    struct varve_slice smallest = {0}, largest = {0};
    if (!table_take(in, &table, &smallest, &largest))
        return status_raise(VARVE_CORRUPT);
    enum varve_status status = buf_assign(&table.smallest, smallest);
    if (status == VARVE_OK)
        status = buf_assign(&table.largest, largest);
    if (status == VARVE_OK)
        status = manifest_edit_add_table(edit, &table);
    manifest_table_deinit(&table);
    return status;
}

/* `next` is the first added table that may still be named. */
static enum varve_status compression_decode(struct varve_slice *in, struct manifest_edit *edit,
                                            size_t *next)
{
    uint64_t n[2] = {0};
    if (!numbers_take(in, n, 2) || (n[1] != COMPRESSION_LZ4 && n[1] != COMPRESSION_ZSTD))
        return status_raise(VARVE_CORRUPT);
    while (*next < edit->added_count && edit->added[*next].file_id != n[0])
        (*next)++;
    if (*next == edit->added_count)
        return status_raise(VARVE_CORRUPT);
    edit->added[(*next)++].compression = (enum compression)n[1];
    return VARVE_OK;
}

static enum varve_status single_decode(struct varve_slice *in, uint64_t tag,
                                       struct manifest_edit *edit)
{
    bool *has = NULL;
    uint64_t *field = single_field(edit, tag, &has);
    *has = true;
    return slice_take_varint(in, field) ? VARVE_OK : status_raise(VARVE_CORRUPT);
}

static enum varve_status field_decode(struct varve_slice *in, uint64_t tag,
                                      struct manifest_edit *edit, size_t *next_compression)
{
    uint64_t n[2] = {0};
    uint8_t flag = 0;
    switch (tag) {
    case TAG_NEXT_FILE_ID:
    case TAG_NEXT_RUN_ID:
    case TAG_LAST_SEQUENCE:
    case TAG_STORE_TIME:
    case TAG_FIRST_LIVE_SEGMENT:
    case TAG_LAST_SEGMENT:
        return single_decode(in, tag, edit);
    case TAG_CLEAN_SHUTDOWN:
        if (!slice_take_byte(in, &flag) || flag > 1)
            return status_raise(VARVE_CORRUPT);
        edit->has_clean_shutdown = true;
        edit->clean_shutdown = flag != 0;
        return VARVE_OK;
    case TAG_SEALED:
        if (!numbers_take(in, n, 2) || !id_is_valid(n[0]))
            return status_raise(VARVE_CORRUPT);
        return manifest_edit_add_sealed(edit, n[0], n[1]);
    case TAG_REMOVED:
        if (!numbers_take(in, n, 2) || n[0] >= VARVE_LEVELS_MAX || !id_is_valid(n[1]))
            return status_raise(VARVE_CORRUPT);
        return manifest_edit_remove_table(edit, (uint32_t)n[0], n[1]);
    case TAG_ADDED:
        return table_decode(in, edit);
    case TAG_COMPRESSION:
        return compression_decode(in, edit, next_compression);
    default:
        return status_raise(VARVE_UNSUPPORTED);
    }
}

enum varve_status manifest_edit_decode(struct varve_slice payload, struct manifest_edit *ret_edit)
{
    struct manifest_edit edit = {0};
    uint64_t last_tag = 0;
    size_t next_compression = 0;
    enum varve_status status = VARVE_OK;
    while (payload.size != 0 && status == VARVE_OK) {
        uint64_t tag = 0;
        if (!slice_take_varint(&payload, &tag) || tag < last_tag ||
            (tag == last_tag && tag < TAG_SEALED)) {
            status = status_raise(VARVE_CORRUPT);
            break;
        }
        last_tag = tag;
        status = field_decode(&payload, tag, &edit, &next_compression);
    }
    if (status != VARVE_OK) {
        manifest_edit_deinit(&edit);
        return status;
    }
    *ret_edit = edit;
    return VARVE_OK;
}
