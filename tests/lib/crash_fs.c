/*
 * Every change is made at once to what is there now and noted as pending; making it durable is to
 * apply the pending changes, in order, to what is durable. Inodes are counted: by names (now and
 * durable), by pending changes of names and by open files. Directories never hold their parents, so
 * there are no cycles.
 */
#include "crash_fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "must.h"

#define CAPACITY_MIN 8

/* Room for one more in an array. */
static void *array_grow(void *array, size_t count, size_t *capacity, size_t element_size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity == 0 ? CAPACITY_MIN : 2 * *capacity;
    return must_realloc(array, *capacity, element_size);
}

static size_t entries_index(const struct crash_entries *entries, const char *name)
{
    size_t i = 0;
    while (i < entries->count && strcmp(entries->at[i].name, name) != 0)
        i++;
    return i;
}

struct crash_inode *crash_entries_find(const struct crash_entries *entries, const char *name)
{
    size_t i = entries_index(entries, name);
    return i < entries->count ? entries->at[i].target : NULL;
}

static void entries_remove(struct crash_entries *entries, size_t i)
{
    free(entries->at[i].name);
    crash_inode_unref(entries->at[i].target);
    entries->count--;
    memmove(&entries->at[i], &entries->at[i + 1], (entries->count - i) * sizeof entries->at[0]);
}

void crash_entries_set(struct crash_entries *entries, const char *name, struct crash_inode *target)
{
    if (target != NULL)
        crash_inode_ref(target);
    size_t i = entries_index(entries, name);
    if (i < entries->count)
        entries_remove(entries, i);
    if (target == NULL)
        return;
    entries->at =
        array_grow(entries->at, entries->count, &entries->capacity, sizeof entries->at[0]);
    entries->at[entries->count++] =
        (struct crash_entry){.name = must_strdup(name), .target = target};
}

void crash_entries_deinit(struct crash_entries *entries)
{
    while (entries->count > 0)
        entries_remove(entries, entries->count - 1);
    free(entries->at);
    *entries = (struct crash_entries){0};
}

struct crash_inode *crash_inode_new(bool is_directory)
{
    struct crash_inode *inode = must_calloc(1, sizeof *inode);
    inode->refs = 1;
    inode->is_directory = is_directory;
    inode->synced_apart = true; /* both are empty */
    return inode;
}

struct crash_inode *crash_inode_ref(struct crash_inode *inode)
{
    inode->refs++;
    return inode;
}

void crash_inode_unref(struct crash_inode *inode)
{
    if (inode == NULL || --inode->refs > 0)
        return;
    buf_deinit(&inode->now);
    buf_deinit(&inode->synced);
    buf_deinit(&inode->pending_bytes);
    free(inode->pending);
    crash_entries_deinit(&inode->names_now);
    crash_entries_deinit(&inode->names_durable);
    free(inode);
}

static void content_resize(struct buf *content, uint64_t bytes)
{
    if (bytes > content->size)
        must_ok(buf_append_zeros(content, (size_t)(bytes - content->size)));
    content->size = (size_t)bytes;
}

static void inode_note(struct crash_inode *inode, struct crash_data_op op)
{
    if (!inode->synced_apart) {
        must_ok(buf_assign(&inode->synced, buf_slice(&inode->now)));
        inode->synced_apart = true;
    }
    inode->pending = array_grow(inode->pending, inode->pending_count, &inode->pending_capacity,
                                sizeof inode->pending[0]);
    inode->pending[inode->pending_count++] = op;
}

void crash_inode_resize(struct crash_inode *inode, uint64_t bytes)
{
    if (bytes == inode->now.size)
        return;
    inode_note(inode, (struct crash_data_op){.is_size = true, .offset = bytes});
    content_resize(&inode->now, bytes);
}

void crash_inode_write(struct crash_inode *inode, uint64_t offset, struct varve_slice data)
{
    if (data.size == 0)
        return;
    if (offset + data.size > inode->now.size)
        crash_inode_resize(inode, offset + data.size);
    for (size_t done = 0; done < data.size;) {
        uint64_t at = offset + done;
        size_t size = CRASH_SECTOR_BYTES - (size_t)(at % CRASH_SECTOR_BYTES);
        if (size > data.size - done)
            size = data.size - done;
        inode_note(inode, (struct crash_data_op){
                              .offset = at, .size = size, .bytes_at = inode->pending_bytes.size});
        must_ok(buf_append(&inode->pending_bytes, data.data + done, size));
        memcpy(inode->now.data + at, data.data + done, size);
        done += size;
    }
}

void crash_inode_sync(struct crash_inode *inode)
{
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct crash_data_op *op = &inode->pending[i];
        if (op->is_size)
            content_resize(&inode->synced, op->offset);
        else
            memcpy(inode->synced.data + op->offset, inode->pending_bytes.data + op->bytes_at,
                   op->size);
    }
    inode->pending_count = 0;
    buf_clear(&inode->pending_bytes);
}

/* The next part of a path, of `ret_size` bytes, or NULL at its end. */
static const char *path_part(const char **path, size_t *ret_size)
{
    for (;;) {
        while (**path == '/')
            (*path)++;
        const char *part = *path;
        size_t size = strcspn(part, "/");
        *path += size;
        if (size == 0)
            return NULL;
        *ret_size = size;
        if (size != 1 || part[0] != '.')
            return part;
    }
}

bool crash_fs_resolve(const struct crash_fs *fs, const char *path, struct crash_inode **ret_dir,
                      char *ret_name)
{
    struct crash_inode *dir = NULL;
    struct crash_inode *inode = fs->root;
    size_t size = 0;
    const char *part = NULL;
    while ((part = path_part(&path, &size)) != NULL) {
        if (inode == NULL || !inode->is_directory || size >= CRASH_NAME_BYTES_MAX)
            return false;
        dir = inode;
        memcpy(ret_name, part, size);
        ret_name[size] = '\0';
        inode = crash_entries_find(&dir->names_now, ret_name);
    }
    *ret_dir = dir;
    return dir != NULL;
}

struct crash_inode *crash_fs_find(const struct crash_fs *fs, const char *path)
{
    const char *rest = path;
    size_t size = 0;
    if (path_part(&rest, &size) == NULL)
        return fs->root;
    struct crash_inode *dir = NULL;
    char name[CRASH_NAME_BYTES_MAX];
    if (!crash_fs_resolve(fs, path, &dir, name))
        return NULL;
    return crash_entries_find(&dir->names_now, name);
}

void crash_fs_init(struct crash_fs *fs)
{
    *fs = (struct crash_fs){.root = crash_inode_new(true)};
}

static void name_op_deinit(struct crash_name_op *op)
{
    for (size_t i = 0; i < op->count; i++) {
        free(op->changes[i].name);
        crash_inode_unref(op->changes[i].target);
        crash_inode_unref(op->changes[i].dir);
    }
}

void crash_fs_deinit(struct crash_fs *fs)
{
    for (size_t i = 0; i < fs->pending_count; i++)
        name_op_deinit(&fs->pending[i]);
    free(fs->pending);
    crash_inode_unref(fs->root);
    *fs = (struct crash_fs){0};
}

/* Changes a name now, and notes it in `op`. */
static void name_change(struct crash_name_op *op, struct crash_inode *dir, const char *name,
                        struct crash_inode *target)
{
    struct crash_inode *before = crash_entries_find(&dir->names_now, name);
    if (before != NULL)
        before->link_count--;
    if (target != NULL)
        target->link_count++;
    op->changes[op->count++] = (struct crash_name_change){
        .dir = crash_inode_ref(dir),
        .name = must_strdup(name),
        .target = target != NULL ? crash_inode_ref(target) : NULL,
    };
    crash_entries_set(&dir->names_now, name, target);
}

static struct crash_name_op *name_op_new(struct crash_fs *fs)
{
    fs->pending =
        array_grow(fs->pending, fs->pending_count, &fs->pending_capacity, sizeof fs->pending[0]);
    struct crash_name_op *op = &fs->pending[fs->pending_count++];
    *op = (struct crash_name_op){0};
    return op;
}

void crash_fs_set_name(struct crash_fs *fs, struct crash_inode *dir, const char *name,
                       struct crash_inode *target)
{
    name_change(name_op_new(fs), dir, name, target);
}

void crash_fs_rename(struct crash_fs *fs, struct crash_inode *from_dir, const char *from,
                     struct crash_inode *to_dir, const char *to)
{
    struct crash_inode *target = crash_entries_find(&from_dir->names_now, from);
    struct crash_name_op *op = name_op_new(fs);
    name_change(op, to_dir, to, target);
    name_change(op, from_dir, from, NULL);
}

bool crash_name_op_touches(const struct crash_name_op *op, const struct crash_name_op *other)
{
    for (size_t i = 0; i < op->count; i++) {
        for (size_t k = 0; k < other->count; k++) {
            const struct crash_name_change *a = &op->changes[i];
            const struct crash_name_change *b = &other->changes[k];
            if (a->dir == b->dir && strcmp(a->name, b->name) == 0)
                return true;
        }
    }
    return false;
}

static bool name_op_in_dir(const struct crash_name_op *op, const struct crash_inode *dir)
{
    for (size_t i = 0; i < op->count; i++) {
        if (op->changes[i].dir == dir)
            return true;
    }
    return false;
}

/* Goes back from the newest change: one is wanted if it is in `dir`, or if a wanted later one
 * changes the same name. */
static void mark_wanted(const struct crash_fs *fs, const struct crash_inode *dir, bool *wanted)
{
    for (size_t i = fs->pending_count; i-- > 0;) {
        wanted[i] = name_op_in_dir(&fs->pending[i], dir);
        for (size_t k = i + 1; !wanted[i] && k < fs->pending_count; k++)
            wanted[i] = wanted[k] && crash_name_op_touches(&fs->pending[i], &fs->pending[k]);
    }
}

void crash_fs_sync_dir(struct crash_fs *fs, struct crash_inode *dir)
{
    if (fs->pending_count == 0)
        return;
    bool *wanted = must_calloc(fs->pending_count, sizeof wanted[0]);
    mark_wanted(fs, dir, wanted);
    size_t left = 0;
    for (size_t i = 0; i < fs->pending_count; i++) {
        struct crash_name_op op = fs->pending[i];
        if (!wanted[i]) {
            fs->pending[left++] = op;
            continue;
        }
        for (size_t k = 0; k < op.count; k++)
            crash_entries_set(&op.changes[k].dir->names_durable, op.changes[k].name,
                              op.changes[k].target);
        name_op_deinit(&op);
    }
    fs->pending_count = left;
    free(wanted);
}

static int entry_order(const void *a, const void *b)
{
    return strcmp(((const struct crash_entry *)a)->name, ((const struct crash_entry *)b)->name);
}

static void walk_dir(const struct crash_walk *walk, const struct crash_inode *dir, const char *path)
{
    size_t count = dir->names_now.count;
    if (count == 0)
        return;
    struct crash_entry *sorted = must_calloc(count, sizeof sorted[0]);
    memcpy(sorted, dir->names_now.at, count * sizeof sorted[0]);
    qsort(sorted, count, sizeof sorted[0], entry_order);
    for (size_t i = 0; i < count; i++) {
        char child[CRASH_PATH_BYTES_MAX];
        int length = snprintf(child, sizeof child, "%s/%s", path, sorted[i].name);
        must(length > 0 && (size_t)length < sizeof child);
        const struct crash_inode *inode = sorted[i].target;
        if (!inode->is_directory) {
            walk->each_file(walk->context, child, buf_slice(&inode->now));
            continue;
        }
        if (walk->each_dir != NULL)
            walk->each_dir(walk->context, child);
        walk_dir(walk, inode, child);
    }
    free(sorted);
}

void crash_fs_walk(const struct crash_fs *fs, const struct crash_walk *walk)
{
    walk_dir(walk, fs->root, "");
}

static void dump_path(char ret[CRASH_PATH_BYTES_MAX], const char *directory, const char *path)
{
    int length = snprintf(ret, CRASH_PATH_BYTES_MAX, "%s%s", directory, path);
    must(length > 0 && length < CRASH_PATH_BYTES_MAX);
}

static void dump_file(void *context, const char *path, struct varve_slice content)
{
    char real[CRASH_PATH_BYTES_MAX];
    dump_path(real, context, path);
    FILE *file = fopen(real, "wb");
    must(file != NULL);
    must(content.size == 0 || fwrite(content.data, 1, content.size, file) == content.size);
    must(fclose(file) == 0);
}

static void dump_dir(void *context, const char *path)
{
    char real[CRASH_PATH_BYTES_MAX];
    dump_path(real, context, path);
    must(mkdir(real, 0700) == 0);
}

void crash_fs_dump(const struct crash_fs *fs, const char *directory)
{
    struct crash_walk walk = {
        .each_file = dump_file, .each_dir = dump_dir, .context = (void *)directory};
    crash_fs_walk(fs, &walk);
}
