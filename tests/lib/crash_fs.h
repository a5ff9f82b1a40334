/*
 * tests/lib/crash_fs.h: the file system inside a crash_env: what is in it now, what is durable, and
 * the changes in between. No locks, no paths beyond lookup; crash_env.c puts them round it.
 */
#ifndef TESTS_LIB_CRASH_FS_H
#define TESTS_LIB_CRASH_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "crash_env.h"
#include "prng.h"

struct crash_inode;

/* The names in a directory. Each holds a reference to its target. */
struct crash_entry {
    char *name;
    struct crash_inode *target;
};
struct crash_entries {
    struct crash_entry *at;
    size_t count, capacity;
};
struct crash_inode *crash_entries_find(const struct crash_entries *entries, const char *name);
/* `target` NULL removes the name. */
void crash_entries_set(struct crash_entries *entries, const char *name, struct crash_inode *target);
void crash_entries_deinit(struct crash_entries *entries);

/* A change of a file that is not synced: bytes within one sector, or a new size. The bytes stand in
 * the inode's pending_bytes. */
struct crash_data_op {
    bool is_size;
    uint64_t offset; /* of the bytes in the file, or the new size */
    size_t size;     /* of the bytes */
    size_t bytes_at; /* in pending_bytes */
};

/*
 * A file or directory. What is durable of a file is `synced` if `synced_apart`, else it is equal
 * to `now`. The durable content with all pending changes applied in order is always `now`.
 */
struct crash_inode {
    size_t refs;
    bool is_directory;
    bool is_locked;
    uint64_t link_count; /* names now */

    struct buf now, synced;
    bool synced_apart;
    struct crash_data_op *pending;
    size_t pending_count, pending_capacity;
    struct buf pending_bytes;

    struct crash_entries names_now, names_durable;
};

/* A change of names that is not synced. It happens wholly or not at all; a rename changes two. */
struct crash_name_change {
    struct crash_inode *dir;
    char *name;
    struct crash_inode *target; /* NULL: removed */
};
#define CRASH_NAME_CHANGES_MAX 2
struct crash_name_op {
    struct crash_name_change changes[CRASH_NAME_CHANGES_MAX];
    size_t count;
};

struct crash_fs {
    struct crash_inode *root;
    struct crash_name_op *pending; /* in order */
    size_t pending_count, pending_capacity;
};

void crash_fs_init(struct crash_fs *fs);
void crash_fs_deinit(struct crash_fs *fs);

struct crash_inode *crash_inode_new(bool is_directory);
struct crash_inode *crash_inode_ref(struct crash_inode *inode);
void crash_inode_unref(struct crash_inode *inode); /* takes NULL */

/* Files. Writing and truncating leave pending changes, syncing settles them. */
void crash_inode_write(struct crash_inode *inode, uint64_t offset, struct varve_slice data);
void crash_inode_resize(struct crash_inode *inode, uint64_t bytes);
void crash_inode_sync(struct crash_inode *inode);

/* Where a path leads. `ret_dir` is the directory of its last part and `ret_name` (of
 * CRASH_NAME_BYTES_MAX) that part. False when a directory on the way is missing, or for "/". */
#define CRASH_NAME_BYTES_MAX 256
bool crash_fs_resolve(const struct crash_fs *fs, const char *path, struct crash_inode **ret_dir,
                      char *ret_name);
/* NULL when there is none. Borrowed until a name changes. */
struct crash_inode *crash_fs_find(const struct crash_fs *fs, const char *path);

/* Changes names now, and leaves that pending. */
void crash_fs_set_name(struct crash_fs *fs, struct crash_inode *dir, const char *name,
                       struct crash_inode *target);
void crash_fs_rename(struct crash_fs *fs, struct crash_inode *from_dir, const char *from,
                     struct crash_inode *to_dir, const char *to);

/* Makes all pending changes of names in `dir` durable, and those that they build on. */
void crash_fs_sync_dir(struct crash_fs *fs, struct crash_inode *dir);

/* All that is there now, by full path, a directory's names in alphabetical order, a directory
 * before what is in it. */
#define CRASH_PATH_BYTES_MAX 1024
struct crash_walk {
    crash_env_file_fn each_file;
    void (*each_dir)(void *context, const char *path); /* may be NULL */
    void *context;
};
void crash_fs_walk(const struct crash_fs *fs, const struct crash_walk *walk);

/* As crash_env_dump. */
void crash_fs_dump(const struct crash_fs *fs, const char *directory);

/* Whether both change one name of one directory. */
bool crash_name_op_touches(const struct crash_name_op *op, const struct crash_name_op *other);

/* crash_cut.c. Into an uninitialised `ret`. */
void crash_fs_cut(const struct crash_fs *fs, struct prng *prng, enum crash_cut mode,
                  struct crash_fs *ret);
void crash_fs_clone(const struct crash_fs *fs, struct crash_fs *ret);

#endif
