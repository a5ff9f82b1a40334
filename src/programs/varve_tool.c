/* varve-tool: what is done with a store while no service has it open. */
#include <stdio.h>
#include <string.h>

#include <varve/db.h>

#include "programs/tool/tool.h"

static const struct tool_command *const commands[] = {&tool_backup, &tool_restore, &tool_verify};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

int tool_exit_of(enum varve_status status)
{
    if (status == VARVE_OK)
        return TOOL_OK;
    return status == VARVE_CORRUPT ? TOOL_DAMAGED : TOOL_CANNOT;
}

int tool_fail(const char *what, enum varve_status status, const struct varve_error *error)
{
    fprintf(stderr, "varve-tool: %s: %s%s%s", what, error->path, error->path[0] != '\0' ? ": " : "",
            error->text[0] != '\0' ? error->text : varve_status_text(status));
    if (error->offset != UINT64_MAX && error->path[0] != '\0')
        fprintf(stderr, " (at byte %llu)", (unsigned long long)error->offset);
    fputc('\n', stderr);
    return tool_exit_of(status);
}

static void usage_print(FILE *file)
{
    fprintf(file, "usage: varve-tool COMMAND ...\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(file, "  %-8s%-26s %s\n", commands[i]->name, commands[i]->arguments,
                commands[i]->summary);
    fprintf(file, "  --help, --version\n"
                  "exit status: 0 ok, 1 damaged, 2 wrong usage, 3 it could not be done\n");
}

static int usage_wrong(const char *what)
{
    fprintf(stderr, "varve-tool: %s\n", what);
    usage_print(stderr);
    return TOOL_USAGE;
}

/* Sorts options from operands. */
static int command_run(const struct tool_command *command, int count, char **arguments)
{
    char *operands[2] = {0};
    int operand_count = 0;
    bool json = false, options_over = false;

    for (int i = 0; i < count; i++) {
        if (!options_over && strcmp(arguments[i], "--") == 0)
            options_over = true;
        else if (!options_over && command->takes_json && strcmp(arguments[i], "--json") == 0)
            json = true;
        else if (!options_over && arguments[i][0] == '-')
            return usage_wrong("unknown option");
        else if (operand_count == command->operand_count)
            return usage_wrong("too many arguments");
        else
            operands[operand_count++] = arguments[i];
    }
    if (operand_count < command->operand_count)
        return usage_wrong("an argument is missing");
    return command->run(operands, json);
}

int main(int count, char **arguments)
{
    if (count < 2)
        return usage_wrong("which command?");
    if (strcmp(arguments[1], "--help") == 0) {
        usage_print(stdout);
        return TOOL_OK;
    }
    if (strcmp(arguments[1], "--version") == 0) {
        printf("varve-tool %s (format %u)\n", varve_version(), varve_format_version());
        return TOOL_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(arguments[1], commands[i]->name) == 0) {
            int result = command_run(commands[i], count - 2, arguments + 2);
            if (fflush(stdout) != 0) {
                fprintf(stderr, "varve-tool: cannot write the output\n");
                return TOOL_CANNOT;
            }
            return result;
        }
    return usage_wrong("unknown command");
}
