/*
 * Names are made and read back by the same few rules, so that a name which the store would not have
 * made itself is never taken for one of its files: parsing makes the name anew and compares.
 */
#include "format/filename.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"

#define NAME_BYTES_MAX 40 /* a prefix or suffix, and 19 digits */
#define FILE_ID_MAX ((uint64_t)INT64_MAX)

#define CURRENT_BEGIN "varve "
#define CURRENT_VERSION "1"
#define CURRENT_CRC_MARK " crc32c="
#define CURRENT_CRC_DIGITS 8u

static bool kind_has_id(enum file_kind kind)
{
    return kind == FILE_MANIFEST || kind == FILE_WAL || kind == FILE_TABLE;
}

static void name_make(char ret_name[NAME_BYTES_MAX], enum file_kind kind, uint64_t id)
{
    switch (kind) {
    case FILE_CURRENT:
        snprintf(ret_name, NAME_BYTES_MAX, "CURRENT");
        break;
    case FILE_LOCK:
        snprintf(ret_name, NAME_BYTES_MAX, "LOCK");
        break;
    case FILE_MANIFEST:
        snprintf(ret_name, NAME_BYTES_MAX, "manifest-%06" PRIu64, id);
        break;
    case FILE_WAL:
        snprintf(ret_name, NAME_BYTES_MAX, "%06" PRIu64 ".wal", id);
        break;
    case FILE_TABLE:
        snprintf(ret_name, NAME_BYTES_MAX, "%06" PRIu64 ".sst", id);
        break;
    case FILE_CURRENT_TEMPORARY:
        snprintf(ret_name, NAME_BYTES_MAX, "CURRENT.tmp");
        break;
    case FILE_LOST_DIR:
        snprintf(ret_name, NAME_BYTES_MAX, "lost");
        break;
    }
}

enum varve_status filename_path(char *ret_path, const char *dir, enum file_kind kind, uint64_t id)
{
    char name[NAME_BYTES_MAX] = {0};
    name_make(name, kind, id);
    size_t dir_bytes = strlen(dir), name_bytes = strlen(name);
    if (dir_bytes >= FILENAME_BYTES_MAX || dir_bytes + 1 + name_bytes >= FILENAME_BYTES_MAX)
        return status_raise(VARVE_TOO_LARGE);
    memcpy(ret_path, dir, dir_bytes);
    ret_path[dir_bytes] = '/';
    memcpy(ret_path + dir_bytes + 1, name, name_bytes + 1);
    return VARVE_OK;
}

/* The number that the first run of digits in `text` says; 0 when there is none or it is too big. */
static uint64_t first_number(const char *text)
{
    uint64_t number = 0;
    for (text += strcspn(text, "0123456789"); *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (number > (FILE_ID_MAX - digit) / 10)
            return 0;
        number = number * 10 + digit;
    }
    return number;
}

bool filename_parse(const char *name, enum file_kind *ret_kind, uint64_t *ret_id)
{
    static const enum file_kind kinds[] = {FILE_CURRENT, FILE_LOCK,  FILE_MANIFEST,
                                           FILE_WAL,     FILE_TABLE, FILE_CURRENT_TEMPORARY,
                                           FILE_LOST_DIR};
    uint64_t id = first_number(name);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kind_has_id(kinds[i]) != (id != 0))
            continue;
        char expected[NAME_BYTES_MAX] = {0};
        name_make(expected, kinds[i], id);
        if (strcmp(name, expected) == 0) {
            *ret_kind = kinds[i];
            *ret_id = id;
            return true;
        }
    }
    return false;
}

size_t current_encode(char ret_text[CURRENT_BYTES_MAX], uint64_t manifest_id)
{
    char name[NAME_BYTES_MAX] = {0};
    name_make(name, FILE_MANIFEST, manifest_id);
    int bytes = snprintf(ret_text, CURRENT_BYTES_MAX,
                         CURRENT_BEGIN CURRENT_VERSION " %s" CURRENT_CRC_MARK, name);
    uint32_t crc = crc32c_extend(0, ret_text, (size_t)bytes);
    bytes += snprintf(ret_text + bytes, CURRENT_BYTES_MAX - (size_t)bytes, "%08" PRIx32 "\n", crc);
    return (size_t)bytes;
}

/* True when the line ends in the right crc of what stands before it: in every version it does. */
static bool current_crc_holds(const char *text, size_t size)
{
    const size_t end_bytes = CURRENT_CRC_DIGITS + 1;
    if (size <= end_bytes)
        return false;
    char expected[CURRENT_CRC_DIGITS + 2] = {0};
    snprintf(expected, sizeof expected, "%08" PRIx32 "\n",
             crc32c_extend(0, text, size - end_bytes));
    return memcmp(text + size - end_bytes, expected, end_bytes) == 0;
}

enum varve_status current_decode(const void *data, size_t size, uint64_t *ret_manifest_id)
{
    char text[CURRENT_BYTES_MAX + 1] = {0};
    if (size == 0 || size > CURRENT_BYTES_MAX)
        return status_raise(VARVE_CORRUPT);
    memcpy(text, data, size);
    if (!current_crc_holds(text, size) || strncmp(text, CURRENT_BEGIN, strlen(CURRENT_BEGIN)) != 0)
        return status_raise(VARVE_CORRUPT);
    const char *version = text + strlen(CURRENT_BEGIN);
    if (strncmp(version, CURRENT_VERSION " ", strlen(CURRENT_VERSION " ")) != 0)
        return status_raise(VARVE_UNSUPPORTED);

    uint64_t id = first_number(version + strlen(CURRENT_VERSION));
    char expected[CURRENT_BYTES_MAX] = {0};
    if (id == 0 || current_encode(expected, id) != size || memcmp(text, expected, size) != 0)
        return status_raise(VARVE_CORRUPT);
    *ret_manifest_id = id;
    return VARVE_OK;
}
