/* One loop for both: reading, with or without somebody who writes what was read. */
#include "engine/file_copy.h"

#include <stdlib.h>

#include "base/crc32c.h"

#define PIECE_BYTES ((size_t)1 << 20)

/* `to` may be NULL. */
static enum varve_status bytes_pass(struct env_file *from, struct env_file *to, uint64_t bytes,
                                    uint32_t *ret_crc)
{
    uint32_t crc = 0;
    uint8_t *piece = malloc(PIECE_BYTES);
    if (piece == NULL)
        return status_raise(VARVE_NO_MEMORY);
    enum varve_status status = VARVE_OK;
    for (uint64_t offset = 0; status == VARVE_OK && offset < bytes;) {
        size_t want = bytes - offset < PIECE_BYTES ? (size_t)(bytes - offset) : PIECE_BYTES;
        size_t size = 0;
        status = env_file_read(from, offset, piece, want, &size);
        if (status == VARVE_OK && size < want)
            status = status_raise(VARVE_CORRUPT);
        if (status == VARVE_OK && to != NULL)
            status = env_file_write(to, offset, varve_slice(piece, size));
        crc = crc32c_extend(crc, piece, size);
        offset += size;
    }
    free(piece);
    if (status == VARVE_OK)
        *ret_crc = crc;
    return status;
}

enum varve_status file_checksum(struct env *env, const char *path, uint64_t bytes,
                                uint32_t *ret_crc)
{
    struct env_file *file = NULL;
    enum varve_status status = env_open(env, path, ENV_OPEN_READ, &file);
    if (status != VARVE_OK)
        return status;
    status = bytes_pass(file, NULL, bytes, ret_crc);
    (void)env_file_close(file); /* nothing was written */
    return status;
}

enum varve_status file_copy(struct env *env, const char *from, const char *to, uint64_t bytes,
                            uint32_t *ret_crc)
{
    struct env_file *source = NULL, *target = NULL;
    uint32_t crc = 0;

    enum varve_status status = env_open(env, from, ENV_OPEN_READ, &source);
    if (status != VARVE_OK)
        return status;
    status = env_open(env, to, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &target);
    if (status != VARVE_OK)
        goto out;
    status = bytes_pass(source, target, bytes, &crc);
    if (status == VARVE_OK)
        status = env_file_sync(target);
    enum varve_status closed = env_file_close(target);
    if (status == VARVE_OK)
        status = closed;
out:
    (void)env_file_close(source); /* nothing was written */
    if (status == VARVE_OK)
        *ret_crc = crc;
    return status;
}
