/*
 * tests/lib/crash_env.h: a file system in memory that knows what a power cut would leave of it.
 *
 * What holds, and nothing more:
 * - A file's sync makes its content and size durable, not its name. sync_dir makes durable what
 *   changed among the names of that directory, not the directory's own name in its parent.
 * - Unsynced content is lost or kept by sectors of 512 bytes. A sector that was written several
 *   times holds what it held after any one of these writes, or before all. Sectors are independent
 *   of each other. So is the size, which takes one of the values it had since the sync; where it
 *   grew over a sector that was lost there are zeros. A truncation that is lost also loses what was
 *   later written behind it.
 * - Of the unsynced changes of names any may be lost, but changes of one name are kept in order
 *   (none without the one before it), and a rename happens wholly or not at all.
 *
 * Thread safe. Memory that it cannot get ends the program.
 */
#ifndef TESTS_LIB_CRASH_ENV_H
#define TESTS_LIB_CRASH_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/env.h"

#define CRASH_SECTOR_BYTES 512
#define CRASH_NEVER UINT64_MAX

struct crash_env;

enum crash_cut {
    CRASH_CUT_NONE,   /* only what was synced is left */
    CRASH_CUT_ALL,    /* all is left, as when only the process dies */
    CRASH_CUT_RANDOM, /* any part of what was not synced, chosen by the seed */
};

/* An empty one: only the directory "/". Paths without a leading slash start there too. The seed is
 * that of its random source. Caller frees with crash_env_free, when all files and locks are
 * closed. */
struct crash_env *crash_env_new(uint64_t seed);
void crash_env_free(struct crash_env *crash); /* takes NULL */

/* Borrowed until crash_env_free. */
struct env *crash_env_env(struct crash_env *crash);

/* Operations so far that change something or make it durable: creating or truncating open, write,
 * truncate, sync, make_dir, remove_dir, sync_dir, rename, remove, link, creating lock. Refused ones
 * (VARVE_NOT_FOUND and the like) do not count. */
uint64_t crash_env_operations(struct crash_env *crash);

/* The power goes in the middle of operation k + 1: that one reports VARVE_IO, and what it changes
 * is there as unsynced (a sync or sync_dir does nothing). From then on everything but close,
 * unlock, the clocks and the random source fails with VARVE_IO, and nothing changes any more, until
 * this is called again with more, or CRASH_NEVER. */
void crash_env_set_cut_after(struct crash_env *crash, uint64_t k);
bool crash_env_is_cut(struct crash_env *crash);

/* What a power cut just now would leave: a new file system at rest, all of it durable, with no
 * files open, no locks, no operations counted, the same wall clock. `crash` stays as it is, so many
 * images can be made from one moment; equal seeds give equal images. Caller frees with
 * crash_env_free. */
struct crash_env *crash_env_cut(struct crash_env *crash, uint64_t seed, enum crash_cut mode);

/* The same moment once more, unsynced changes included, but without open files and locks. */
struct crash_env *crash_env_clone(struct crash_env *crash);

/* The wall clock stands still at what was set last. The monotonic clock is the real one. */
void crash_env_set_wall_ms(struct crash_env *crash, uint64_t wall_ms);

/* Damage to the medium: what is there now and what is durable alike. False when there is no such
 * file or no such byte. */
bool crash_env_flip_byte(struct crash_env *crash, const char *path, uint64_t offset, uint8_t mask);
/* The file is then durable as it stands. */
bool crash_env_cut_file(struct crash_env *crash, const char *path, uint64_t bytes);

/* Every file (not directory) there is now, by full path, a directory's names in alphabetical order.
 * `each` must not call the environment. */
typedef void (*crash_env_file_fn)(void *context, const char *path, struct varve_slice content);
void crash_env_each_file(struct crash_env *crash, crash_env_file_fn each, void *context);

/* Writes what is there now into a real directory, which must exist, for a person to look at. */
void crash_env_dump(struct crash_env *crash, const char *directory);

/* Files and locks that are open: 0 unless something leaks. */
size_t crash_env_handles(struct crash_env *crash);

#endif
