/*
 * format/backup_list.h: the file BACKUP, which says what a backup consists of and that it is
 * whole. Not thread safe.
 *
 *   varve-backup 1 revision=42 time_ms=1767225600000 files=3
 *   000003.sst 4711 0a1b2c3d
 *   manifest-000007 212 1b2c3d4e
 *   CURRENT 41 2c3d4e5f
 *   crc32c=3d4e5f60
 *
 * A line per file: name, bytes that count, plain crc32c of these in 8 hexadecimal digits. Tables
 * come first, in order of their ids, then segments (up to their sealed lengths), then the manifest,
 * then CURRENT: copied in this order, the copy becomes a store with its last file. The last line
 * holds the crc of all before it. Every line ends with a line feed; one spelling only.
 */
#ifndef FORMAT_BACKUP_LIST_H
#define FORMAT_BACKUP_LIST_H

#include "base/buf.h"
#include "format/filename.h"

#define BACKUP_LIST_NAME "BACKUP"
#define BACKUP_LIST_VERSION "1"
#define BACKUP_LIST_BYTES_MAX ((size_t)256 << 20)

struct backup_file {
    enum file_kind kind; /* TABLE, WAL, MANIFEST or CURRENT */
    uint64_t id;         /* 0 for CURRENT */
    uint64_t bytes;
    uint32_t crc;
};

/* Zeroed: empty. */
struct backup_list {
    uint64_t revision;
    uint64_t store_time_ms;
    struct backup_file *files;
    size_t count, capacity;
};
void backup_list_deinit(struct backup_list *list);

/* VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status backup_list_add(struct backup_list *list,
                                             const struct backup_file *file);

/* Appends. The files stand in the order above (asserted). VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status backup_list_encode(const struct backup_list *list, struct buf *out);

/* VARVE_CORRUPT: the checksum, or anything that encode would not write. VARVE_UNSUPPORTED: the
 * checksum holds, but it is another version. VARVE_NO_MEMORY. Caller frees with
 * backup_list_deinit. */
MUST_CHECK enum varve_status backup_list_decode(struct varve_slice text,
                                                struct backup_list *ret_list);

#endif
