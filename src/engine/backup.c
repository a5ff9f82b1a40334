/*
 * A backup is a checkpoint with a list. Nothing here trusts a backup: it may have been copied
 * through anything.
 */
#include "engine/backup.h"

#include <stdlib.h>

#include "engine/checkpoint.h"
#include "engine/db.h"
#include "engine/file_copy.h"
#include "engine/staged_dir.h"
#include "engine/verify.h"
#include "format/backup_list.h"

static void info_fill(const struct backup_list *list, struct varve_backup_info *ret_info)
{
    if (ret_info == NULL)
        return;
    *ret_info = (struct varve_backup_info){
        .revision = list->revision,
        .store_time_ms = list->store_time_ms,
        .files = list->count,
    };
    for (size_t i = 0; i < list->count; i++)
        ret_info->bytes += list->files[i].bytes;
}

static enum varve_status list_path(struct buf *path, const char *dir)
{
    buf_clear(path);
    return buf_append_format(path, "%s/" BACKUP_LIST_NAME, dir);
}

static int file_compare(const void *a, const void *b)
{
    uint64_t x = ((const struct backup_file *)a)->id, y = ((const struct backup_file *)b)->id;
    return (x > y) - (x < y);
}

/* Adds a file of `dir` as it is; `bytes` 0: all of it. */
static enum varve_status list_add(struct env *env, const char *dir, struct backup_list *list,
                                  enum file_kind kind, uint64_t id, uint64_t bytes)
{
    char path[FILENAME_BYTES_MAX];
    struct backup_file file = {.kind = kind, .id = id, .bytes = bytes};
    struct env_file_info info = {0};

    enum varve_status status = filename_path(path, dir, kind, id);
    if (status == VARVE_OK && bytes == 0) {
        status = env_info(env, path, &info);
        file.bytes = info.size_bytes;
    }
    if (status == VARVE_OK)
        status = file_checksum(env, path, file.bytes, &file.crc);
    return status == VARVE_OK ? backup_list_add(list, &file) : status;
}

static enum varve_status list_fill(struct varve_db *db, const char *dir,
                                   const struct checkpoint *checkpoint, struct backup_list *list)
{
    const struct manifest_state *state = &checkpoint->state;
    struct env *env = db->env;
    enum varve_status status = VARVE_OK;

    list->revision = state->last_sequence;
    list->store_time_ms = state->store_time_ms;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < state->version->levels[l].run_count; r++) {
            const struct run *run = &state->version->levels[l].runs[r];
            for (size_t t = 0; status == VARVE_OK && t < run->table_count; t++) {
                status = db_check_interrupted(db);
                if (status == VARVE_OK)
                    status = list_add(env, dir, list, FILE_TABLE, run->tables[t]->meta.file_id,
                                      run->tables[t]->meta.file_bytes);
            }
        }
    if (list->count > 0)
        qsort(list->files, list->count, sizeof list->files[0], file_compare);
    for (size_t i = 0; status == VARVE_OK && i < state->sealed_count; i++)
        status = list_add(env, dir, list, FILE_WAL, state->sealed[i].segment_id,
                          state->sealed[i].length);
    if (status == VARVE_OK)
        status = list_add(env, dir, list, FILE_MANIFEST, checkpoint->manifest_id, 0);
    if (status == VARVE_OK)
        status = list_add(env, dir, list, FILE_CURRENT, 0, 0);
    return status;
}

static enum varve_status list_write(struct env *env, const char *dir,
                                    const struct backup_list *list, struct varve_error *ret_error)
{
    struct buf text = {0}, path = {0};
    enum varve_status status = backup_list_encode(list, &text);
    if (status == VARVE_OK && text.size > BACKUP_LIST_BYTES_MAX)
        status = status_raise(VARVE_TOO_LARGE);
    if (status == VARVE_OK)
        status = list_path(&path, dir);
    if (status == VARVE_OK)
        status = env_replace_file(env, dir, (const char *)path.data, buf_slice(&text));
    buf_deinit(&text);
    buf_deinit(&path);
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir, STATUS_NO_OFFSET,
                         "writing the list of files failed: %s", varve_status_text(status));
    return VARVE_OK;
}

enum varve_status varve_backup_create(struct varve_db *db, const char *path,
                                      struct varve_backup_info *ret_info,
                                      struct varve_error *ret_error)
{
    struct staged_dir dir = {0};
    struct checkpoint checkpoint = {0};
    struct backup_list list = {0};

    enum varve_status status = staged_dir_begin(&dir, db->env, path, ret_error);
    if (status == VARVE_OK)
        status = checkpoint_fill(db, dir.partial, &checkpoint, ret_error);
    if (status == VARVE_OK)
        status = store_verify_copy(db, dir.partial, ret_error);
    if (status == VARVE_OK) {
        status = list_fill(db, dir.partial, &checkpoint, &list);
        if (status != VARVE_OK)
            (void)error_set(ret_error, status, dir.partial, STATUS_NO_OFFSET,
                            "reading what was made failed: %s", varve_status_text(status));
    }
    if (status == VARVE_OK)
        status = list_write(db->env, dir.partial, &list, ret_error);
    if (status == VARVE_OK)
        status = staged_dir_commit(&dir, ret_error);
    if (status == VARVE_OK)
        info_fill(&list, ret_info);
    backup_list_deinit(&list);
    checkpoint_deinit(&checkpoint);
    staged_dir_end(&dir);
    return status;
}

static enum varve_status list_read(struct env *env, const char *dir, struct backup_list *ret_list,
                                   struct varve_error *ret_error)
{
    struct buf path = {0}, text = {0};
    struct env_file_info info = {0};

    enum varve_status status = env_info(env, dir, &info);
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir, STATUS_NO_OFFSET, "there is no backup here");
    status = list_path(&path, dir);
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir, STATUS_NO_OFFSET, "out of memory");
    const char *name = (const char *)path.data;
    status = env_read_file(env, name, BACKUP_LIST_BYTES_MAX, &text);
    if (status == VARVE_OK)
        status = backup_list_decode(buf_slice(&text), ret_list);
    if (status == VARVE_NOT_FOUND)
        status = error_set(ret_error, VARVE_CORRUPT, name, STATUS_NO_OFFSET,
                           "is missing: this is no backup, or one that was not finished");
    else if (status == VARVE_UNSUPPORTED)
        status = error_set(ret_error, status, name, STATUS_NO_OFFSET,
                           "is of another version, only " BACKUP_LIST_VERSION " is known");
    else if (status == VARVE_CORRUPT || status == VARVE_TOO_LARGE)
        status = error_set(ret_error, VARVE_CORRUPT, name, STATUS_NO_OFFSET,
                           "is damaged: not a list of files as a backup has it");
    else if (status != VARVE_OK)
        status = error_set(ret_error, status, name, STATUS_NO_OFFSET, "cannot be read: %s",
                           varve_status_text(status));
    buf_deinit(&path);
    buf_deinit(&text);
    return status;
}

/* Compares a file with its line; `to_dir` not NULL: copies it there on the way. */
static enum varve_status file_check(struct env *env, const char *dir, const char *to_dir,
                                    const struct backup_file *file, struct varve_error *ret_error)
{
    char path[FILENAME_BYTES_MAX], to[FILENAME_BYTES_MAX];
    struct env_file_info info = {0};
    uint32_t crc = 0;

    enum varve_status status = filename_path(path, dir, file->kind, file->id);
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir, STATUS_NO_OFFSET, "the path is too long");
    status = env_info(env, path, &info);
    if (status == VARVE_NOT_FOUND)
        return error_set(ret_error, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "a file of the backup is missing");
    bool longer_is_fine = file->kind == FILE_WAL;
    if (status == VARVE_OK &&
        (info.size_bytes < file->bytes || (info.size_bytes > file->bytes && !longer_is_fine)))
        return error_set(ret_error, VARVE_CORRUPT, path, info.size_bytes,
                         "the file has %llu bytes, not %llu", (unsigned long long)info.size_bytes,
                         (unsigned long long)file->bytes);
    if (status == VARVE_OK && to_dir == NULL)
        status = file_checksum(env, path, file->bytes, &crc);
    if (status == VARVE_OK && to_dir != NULL)
        status = filename_path(to, to_dir, file->kind, file->id);
    if (status == VARVE_OK && to_dir != NULL)
        status = file_copy(env, path, to, file->bytes, &crc);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET, "reading or copying failed: %s",
                         varve_status_text(status));
    if (crc != file->crc)
        return error_set(ret_error, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "the file is damaged: its checksum is not the one in the list");
    return VARVE_OK;
}

/* The list counts the revision too: it is that of the files. */
static enum varve_status revision_check(const char *path, const struct backup_list *list,
                                        const struct varve_verify_report *report,
                                        struct varve_error *ret_error)
{
    if (report->revision == list->revision && report->unfinished == 0)
        return VARVE_OK;
    return error_set(ret_error, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                     "the files hold revision %llu, or are not closed, and the list says %llu",
                     (unsigned long long)report->revision, (unsigned long long)list->revision);
}

enum varve_status backup_verify(const char *path, struct env *env,
                                struct varve_backup_info *ret_info, struct varve_error *ret_error)
{
    struct backup_list list = {0};
    struct env_lock *lock = NULL;
    struct varve_verify_report report = {0};

    enum varve_status status = list_read(env, path, &list, ret_error);
    if (status == VARVE_OK)
        status = store_lock_if_any(env, path, &lock, ret_error);
    for (size_t i = 0; status == VARVE_OK && i < list.count; i++)
        status = file_check(env, path, NULL, &list.files[i], ret_error);
    if (status == VARVE_OK)
        status = store_verify(env, path, NULL, NULL, &report, ret_error);
    if (status == VARVE_OK)
        status = revision_check(path, &list, &report, ret_error);
    if (status == VARVE_OK)
        info_fill(&list, ret_info);
    if (lock != NULL)
        env_unlock_file(env, lock);
    backup_list_deinit(&list);
    return status;
}

/* All files in the order of the list; CURRENT, the last, when the others are durable. */
static enum varve_status files_restore(struct env *env, const char *from, const char *to,
                                       const struct backup_list *list,
                                       struct varve_error *ret_error)
{
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < list->count; i++) {
        if (list->files[i].kind == FILE_CURRENT)
            status = env_sync_dir(env, to);
        if (status == VARVE_OK)
            status = file_check(env, from, to, &list->files[i], ret_error);
    }
    if (status == VARVE_OK)
        status = env_sync_dir(env, to);
    return status;
}

enum varve_status backup_restore(const char *backup_path, const char *store_path, struct env *env,
                                 struct varve_backup_info *ret_info, struct varve_error *ret_error)
{
    struct backup_list list = {0};
    struct env_lock *lock = NULL;
    struct staged_dir dir = {0};

    enum varve_status status = list_read(env, backup_path, &list, ret_error);
    if (status == VARVE_OK)
        status = store_lock_if_any(env, backup_path, &lock, ret_error);
    if (status == VARVE_OK) {
        status = staged_dir_begin(&dir, env, store_path, ret_error);
        if (status == VARVE_OK)
            status = files_restore(env, backup_path, dir.partial, &list, ret_error);
        if (status == VARVE_OK)
            status = staged_dir_commit(&dir, ret_error);
        staged_dir_end(&dir);
    }
    if (status == VARVE_OK)
        info_fill(&list, ret_info);
    if (lock != NULL)
        env_unlock_file(env, lock);
    backup_list_deinit(&list);
    return status;
}

enum varve_status varve_backup_verify(const char *path, struct varve_backup_info *ret_info,
                                      struct varve_error *ret_error)
{
    return backup_verify(path, env_posix(), ret_info, ret_error);
}

enum varve_status varve_backup_restore(const char *backup_path, const char *store_path,
                                       struct varve_backup_info *ret_info,
                                       struct varve_error *ret_error)
{
    return backup_restore(backup_path, store_path, env_posix(), ret_info, ret_error);
}
