/*
 * engine/file_copy.h: whole files, read through in pieces. Thread safe.
 */
#ifndef ENGINE_FILE_COPY_H
#define ENGINE_FILE_COPY_H

#include "os/env.h"

/* The crc32c of the first `bytes` of a file. VARVE_CORRUPT when it is shorter. */
MUST_CHECK enum varve_status file_checksum(struct env *env, const char *path, uint64_t bytes,
                                           uint32_t *ret_crc);

/* Copies the first `bytes` of `from` to a new file `to`, synced; its name is the caller's to make
 * durable. *ret_crc is that of what was copied. VARVE_CORRUPT when `from` is shorter, VARVE_EXISTS
 * when `to` is there. On failure what was made of `to` is the caller's to remove. */
MUST_CHECK enum varve_status file_copy(struct env *env, const char *from, const char *to,
                                       uint64_t bytes, uint32_t *ret_crc);

#endif
