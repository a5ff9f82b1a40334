/* varve-tool restore: makes a store of a backup. */
#include <stdio.h>

#include <varve/db.h>

#include "programs/tool/tool.h"

static int run(char **operands, bool json)
{
    struct varve_error error = {0};
    struct varve_backup_info info = {0};

    (void)json;
    enum varve_status status = varve_backup_restore(operands[0], operands[1], &info, &error);
    if (status != VARVE_OK)
        return tool_fail("nothing was restored", status, &error);
    printf("restored %s to %s: revision %llu, %llu files, %llu bytes\n", operands[0], operands[1],
           (unsigned long long)info.revision, (unsigned long long)info.files,
           (unsigned long long)info.bytes);
    return TOOL_OK;
}

const struct tool_command tool_restore = {
    .name = "restore",
    .arguments = "BACKUP STORE",
    .summary = "copy a backup to a new store, checking every file",
    .operand_count = 2,
    .run = run,
};
