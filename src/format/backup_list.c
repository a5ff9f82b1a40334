/*
 * Decoding reads loosely, then encodes what it read and compares: so there is one spelling, and one
 * place that knows it. Before anything is read the checksum must hold.
 */
#include "format/backup_list.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

#define LIST_BEGIN "varve-backup "
#define CRC_BEGIN "crc32c="
#define CRC_LINE_BYTES (sizeof CRC_BEGIN - 1 + 8 + 1)
#define NAME_BYTES_MAX 64 /* as in the %64s below */

void backup_list_deinit(struct backup_list *list)
{
    free(list->files);
    *list = (struct backup_list){0};
}

enum varve_status backup_list_add(struct backup_list *list, const struct backup_file *file)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        struct backup_file *files = realloc(list->files, capacity * sizeof *files);
        if (files == NULL)
            return status_raise(VARVE_NO_MEMORY);
        list->files = files;
        list->capacity = capacity;
    }
    list->files[list->count++] = *file;
    return VARVE_OK;
}

/* Where a kind stands in the list; 0: nowhere. */
static int kind_rank(enum file_kind kind)
{
    switch (kind) {
    case FILE_TABLE:
        return 1;
    case FILE_WAL:
        return 2;
    case FILE_MANIFEST:
        return 3;
    case FILE_CURRENT:
        return 4;
    case FILE_LOCK:
    case FILE_CURRENT_TEMPORARY:
    case FILE_LOST_DIR:
        break;
    }
    return 0;
}

/* In order, with one manifest and CURRENT at the end. */
static bool files_are_sound(const struct backup_list *list)
{
    if (list->count < 2 || list->files[list->count - 1].kind != FILE_CURRENT ||
        list->files[list->count - 2].kind != FILE_MANIFEST)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct backup_file *file = &list->files[i];
        int rank = kind_rank(file->kind);
        int rank_before = i == 0 ? 0 : kind_rank(file[-1].kind);
        if (rank == 0 || rank < rank_before)
            return false;
        if (rank == rank_before && (rank > 2 || file->id <= file[-1].id))
            return false;
    }
    return true;
}

static enum varve_status file_encode(const struct backup_file *file, struct buf *out)
{
    char path[FILENAME_BYTES_MAX];
    enum varve_status status = filename_path(path, "", file->kind, file->id);
    if (status == VARVE_OK)
        status = buf_append_format(out, "%s %" PRIu64 " %08" PRIx32 "\n", path + 1, file->bytes,
                                   file->crc);
    return status;
}

enum varve_status backup_list_encode(const struct backup_list *list, struct buf *out)
{
    assert(files_are_sound(list));
    size_t begin = out->size;
    enum varve_status status = buf_append_format(
        out, LIST_BEGIN BACKUP_LIST_VERSION " revision=%" PRIu64 " time_ms=%" PRIu64 " files=%zu\n",
        list->revision, list->store_time_ms, list->count);
    for (size_t i = 0; status == VARVE_OK && i < list->count; i++)
        status = file_encode(&list->files[i], out);
    if (status == VARVE_OK)
        status = buf_append_format(out, CRC_BEGIN "%08" PRIx32 "\n",
                                   crc32c_extend(0, out->data + begin, out->size - begin));
    return status;
}

/* In every version the last line is so. */
static bool crc_holds(struct varve_slice text)
{
    char expected[CRC_LINE_BYTES + 1];
    if (text.size <= CRC_LINE_BYTES)
        return false;
    size_t covered = text.size - CRC_LINE_BYTES;
    snprintf(expected, sizeof expected, CRC_BEGIN "%08" PRIx32 "\n",
             crc32c_extend(0, text.data, covered));
    return memcmp(text.data + covered, expected, CRC_LINE_BYTES) == 0;
}

/* Ends the line at `*rest` with a NUL and steps behind it; NULL when there is none. */
static char *line_take(char **rest)
{
    char *line = *rest, *end = strchr(line, '\n');
    if (end == NULL)
        return NULL;
    *end = '\0';
    *rest = end + 1;
    return line;
}

static enum varve_status files_decode(char *rest, struct backup_list *list)
{
    char *line = NULL;
    while ((line = line_take(&rest)) != NULL && strncmp(line, CRC_BEGIN, strlen(CRC_BEGIN)) != 0) {
        char name[NAME_BYTES_MAX + 1] = {0};
        struct backup_file file = {0};
        if (sscanf(line, "%64s %" SCNu64 " %" SCNx32, name, &file.bytes, &file.crc) != 3 ||
            !filename_parse(name, &file.kind, &file.id))
            return status_raise(VARVE_CORRUPT);
        enum varve_status status = backup_list_add(list, &file);
        if (status != VARVE_OK)
            return status;
    }
    return files_are_sound(list) ? VARVE_OK : status_raise(VARVE_CORRUPT);
}

/* `text` ends in a NUL; its lines are cut apart. */
static enum varve_status text_decode(char *text, struct backup_list *list)
{
    static const char version[] = LIST_BEGIN BACKUP_LIST_VERSION " ";
    if (strncmp(text, LIST_BEGIN, strlen(LIST_BEGIN)) != 0)
        return status_raise(VARVE_CORRUPT);
    if (strncmp(text, version, strlen(version)) != 0)
        return status_raise(VARVE_UNSUPPORTED);
    char *line = line_take(&text);
    if (line == NULL || sscanf(line + strlen(version), "revision=%" SCNu64 " time_ms=%" SCNu64,
                               &list->revision, &list->store_time_ms) != 2)
        return status_raise(VARVE_CORRUPT);
    return files_decode(text, list);
}

enum varve_status backup_list_decode(struct varve_slice text, struct backup_list *ret_list)
{
    struct backup_list list = {0};
    struct buf copy = {0}, again = {0};

    if (!crc_holds(text))
        return status_raise(VARVE_CORRUPT);
    enum varve_status status = buf_append_slice(&copy, text);
    if (status == VARVE_OK)
        status = buf_append_byte(&copy, 0);
    if (status == VARVE_OK)
        status = text_decode((char *)copy.data, &list);
    if (status == VARVE_OK)
        status = backup_list_encode(&list, &again);
    if (status == VARVE_OK && varve_slice_compare(buf_slice(&again), text) != 0)
        status = status_raise(VARVE_CORRUPT);
    buf_deinit(&copy);
    buf_deinit(&again);
    if (status != VARVE_OK) {
        backup_list_deinit(&list);
        return status;
    }
    *ret_list = list;
    return VARVE_OK;
}
