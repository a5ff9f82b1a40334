/* varve-tool backup: opens the store, which recovers what a crash left, and backs it up. */
#include <stdio.h>

#include <varve/db.h>

#include "programs/tool/tool.h"

static int run(char **operands, bool json)
{
    struct varve_options options;
    struct varve_error error = {0};
    struct varve_backup_info info = {0};
    struct varve_db *db = NULL;

    (void)json;
    varve_options_init(&options);
    options.create_if_missing = false;
    enum varve_status status = varve_open(operands[0], &options, &db, &error);
    if (status != VARVE_OK)
        return tool_fail("cannot open the store", status, &error);
    status = varve_backup_create(db, operands[1], &info, &error);
    enum varve_status closed = varve_close(db);
    if (status != VARVE_OK)
        return tool_fail("no backup was made", status, &error);
    printf("backed up %s to %s: revision %llu, %llu files, %llu bytes\n", operands[0], operands[1],
           (unsigned long long)info.revision, (unsigned long long)info.files,
           (unsigned long long)info.bytes);
    if (closed != VARVE_OK) {
        error = (struct varve_error){.offset = UINT64_MAX};
        return tool_fail("the backup is whole, but closing the store failed", closed, &error);
    }
    return TOOL_OK;
}

const struct tool_command tool_backup = {
    .name = "backup",
    .arguments = "STORE BACKUP",
    .summary = "make a checked backup of a store in a new directory",
    .operand_count = 2,
    .run = run,
};
