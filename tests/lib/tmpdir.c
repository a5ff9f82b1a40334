/*
 * A directory is made by mkdtemp() and removed by a walk that meets each folder after its content.
 */
#include "tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "must.h"

#define PATHS_AT_ONCE 4
#define WALK_FDS_MAX 16

void tmpdir_make(struct tmpdir *dir)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    int length = snprintf(dir->path, sizeof dir->path, "%s/varve-test-XXXXXX", parent);
    must(length > 0 && (size_t)length < sizeof dir->path);
    must(mkdtemp(dir->path) != NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void tmpdir_remove(struct tmpdir *dir)
{
    if (dir->path[0] == '\0')
        return;
    must(nftw(dir->path, remove_one, WALK_FDS_MAX, FTW_DEPTH | FTW_PHYS) == 0);
    dir->path[0] = '\0';
}

const char *tmpdir_path(const struct tmpdir *dir, const char *name)
{
    static _Thread_local char paths[PATHS_AT_ONCE][2 * TMPDIR_PATH_BYTES];
    static _Thread_local unsigned next;
    char *path = paths[next++ % PATHS_AT_ONCE];
    int length = snprintf(path, sizeof paths[0], "%s/%s", dir->path, name);
    must(length > 0 && (size_t)length < sizeof paths[0]);
    return path;
}
