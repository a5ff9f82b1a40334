/*
 * programs/tool/tool.h: what the subcommands of varve-tool share. Each is a file of its own.
 */
#ifndef PROGRAMS_TOOL_TOOL_H
#define PROGRAMS_TOOL_TOOL_H

#include <stdbool.h>

#include <varve/status.h>

enum tool_exit {
    TOOL_OK = 0,
    TOOL_DAMAGED = 1, /* it was looked at, and is not sound */
    TOOL_USAGE = 2,
    TOOL_CANNOT = 3, /* something else: not there, no space, open elsewhere, ... */
};

struct tool_command {
    const char *name, *arguments, *summary;
    int operand_count;
    bool takes_json; /* --json */
    /* `operands` are as many as operand_count says. Gives an enum tool_exit. */
    int (*run)(char **operands, bool json);
};

extern const struct tool_command tool_backup, tool_restore, tool_verify;

/* Tells a person on stderr what went wrong; gives the exit code for `status`. */
int tool_fail(const char *what, enum varve_status status, const struct varve_error *error);

/* The exit code for a status. */
int tool_exit_of(enum varve_status status);

#endif
