/*
 * The pass reads through a fetcher of its own, straight from the file: a cache might answer for a
 * block that has gone bad on the disk.
 */
#include "engine/table_verify.h"

#include <stdlib.h>

#include "base/hash.h"
#include "format/filename.h"
#include "format/sstable_reader.h"

struct direct_fetcher {
    struct block_fetcher base;
    uint64_t blocks;
};

static enum varve_status direct_fetch(struct block_fetcher *fetcher, struct sstable_reader *reader,
                                      struct block_handle handle, bool fill, struct block_ref *ret)
{
    struct direct_fetcher *direct = (struct direct_fetcher *)(void *)fetcher;
    uint8_t *data = NULL;
    size_t size = 0;
    (void)fill;
    enum varve_status status = sstable_reader_read_block(reader, handle, &data, &size);
    if (status != VARVE_OK)
        return status;
    direct->blocks++;
    *ret = (struct block_ref){.data = varve_slice(data, size), .pin = data, .was_read = true};
    return VARVE_OK;
}

static void direct_release(struct block_fetcher *fetcher, struct block_ref *ref)
{
    (void)fetcher;
    free(ref->pin);
    *ref = (struct block_ref){0};
}

struct table_pass {
    const char *path;
    const struct manifest_table *meta;
    const struct sstable_reader *reader;
    struct varve_error *error;
    struct buf last_key;
    uint64_t entries, tombstones, expiring;
};

static enum varve_status pass_damage(const struct table_pass *pass, const char *what)
{
    return error_set(pass->error, VARVE_CORRUPT, pass->path, STATUS_NO_OFFSET,
                     "entry %llu of the table: %s", (unsigned long long)pass->entries, what);
}

static enum varve_status entry_check(struct table_pass *pass, const struct entry_iterator *it)
{
    if (!entry_key_is_valid(it->key))
        return pass_damage(pass, "its key is not one");
    struct varve_slice last = buf_slice(&pass->last_key);
    uint64_t tag = entry_key_tag(it->key);
    uint64_t sequence = entry_tag_sequence(tag);
    if (pass->entries == 0 && varve_slice_compare(it->key, buf_slice(&pass->meta->smallest)) != 0)
        return pass_damage(pass, "it is not the smallest key that the manifest says");
    if (pass->entries > 0 && entry_key_compare(last, it->key) >= 0)
        return pass_damage(pass, "its key does not follow the one before");
    if (sequence < pass->meta->sequence_min || sequence > pass->meta->sequence_max)
        return pass_damage(pass, "its sequence is not in the range that the manifest says");
    if (!sstable_reader_may_contain(pass->reader, hash_slice(entry_user_key(it->key))))
        return pass_damage(pass, "the filter does not know its key");
    if (entry_tag_kind(tag) == ENTRY_PUT_EXPIRING && it->value.size < ENTRY_EXPIRY_BYTES)
        return pass_damage(pass, "it expires, but its value does not say when");
    pass->tombstones += entry_tag_kind(tag) == ENTRY_DELETE;
    pass->expiring += entry_tag_kind(tag) == ENTRY_PUT_EXPIRING;
    pass->entries++;
    return buf_assign(&pass->last_key, it->key);
}

static enum varve_status pass_run(struct table_pass *pass, struct entry_iterator *it)
{
    enum varve_status status = VARVE_OK;
    it->ops->seek_first(it);
    while (status == VARVE_OK && it->valid) {
        status = entry_check(pass, it);
        if (status == VARVE_OK)
            it->ops->next(it);
    }
    if (status != VARVE_OK)
        return status;
    if (it->status != VARVE_OK)
        return error_set(pass->error, it->status, pass->path, STATUS_NO_OFFSET,
                         "the block behind entry %llu of the table: %s",
                         (unsigned long long)pass->entries, varve_status_text(it->status));
    if (pass->entries != pass->meta->entry_count ||
        pass->tombstones != pass->meta->tombstone_count ||
        pass->expiring != pass->meta->expiring_count)
        return error_set(pass->error, VARVE_CORRUPT, pass->path, STATUS_NO_OFFSET,
                         "the table holds %llu entries and the manifest says %llu, or their kinds "
                         "differ",
                         (unsigned long long)pass->entries,
                         (unsigned long long)pass->meta->entry_count);
    if (varve_slice_compare(buf_slice(&pass->last_key), buf_slice(&pass->meta->largest)) != 0)
        return pass_damage(pass, "the one before is not the largest key that the manifest says");
    return VARVE_OK;
}

enum varve_status table_verify(struct env *env, const char *dir, const struct manifest_table *meta,
                               uint64_t *ret_blocks, struct varve_error *ret_error)
{
    char path[FILENAME_BYTES_MAX];
    struct direct_fetcher direct = {.base = {.fetch = direct_fetch, .release = direct_release}};
    struct sstable_reader *reader = NULL;
    struct entry_iterator *it = NULL;

    enum varve_status status = filename_path(path, dir, FILE_TABLE, meta->file_id);
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir, STATUS_NO_OFFSET, "the path is too long");
    status = sstable_reader_open(env, path, meta->file_id, meta->file_bytes, &reader, ret_error);
    if (status == VARVE_NOT_FOUND)
        return error_set(ret_error, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "a table that the manifest names is missing");
    if (status != VARVE_OK)
        return status;
    struct table_pass pass = {.path = path, .meta = meta, .reader = reader, .error = ret_error};
    status = sstable_reader_load_filter(reader, true, ret_error);
    if (status == VARVE_OK)
        status = sstable_iterator_new(reader, &direct.base, false, &it);
    if (status == VARVE_OK)
        status = pass_run(&pass, it);
    *ret_blocks += direct.blocks;
    entry_iterator_free(it);
    sstable_reader_free(reader);
    buf_deinit(&pass.last_key);
    return status;
}
