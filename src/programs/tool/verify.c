/*
 * varve-tool verify: reads all of a store or of a backup and changes nothing. A directory with a
 * list of a backup's files is a backup.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <varve/db.h>

#include "base/buf.h"
#include "format/backup_list.h"
#include "programs/tool/tool.h"
#include "service/json_writer.h"

/* What was found, as JSON or printed at once. */
struct findings {
    bool json;
    struct buf text;
    struct json_writer writer;
};

static void finding_add(void *context, const struct varve_error *found, bool is_damage)
{
    struct findings *findings = context;
    struct json_writer *w = &findings->writer;
    if (!findings->json) {
        printf("%s: %s: %s", is_damage ? "damaged" : "unfinished", found->path, found->text);
        if (found->offset != UINT64_MAX)
            printf(" (at byte %llu)", (unsigned long long)found->offset);
        putchar('\n');
        return;
    }
    json_write_object_begin(w);
    json_write_name(w, "kind");
    json_write_text(w, is_damage ? "damaged" : "unfinished");
    json_write_name(w, "path");
    json_write_bytes_lossy(w, varve_slice_str(found->path));
    if (found->offset != UINT64_MAX) {
        json_write_name(w, "offset");
        json_write_uint(w, found->offset);
    }
    json_write_name(w, "text");
    json_write_bytes_lossy(w, varve_slice_str(found->text));
    json_write_object_end(w);
}

static void json_begin(struct findings *findings, const char *path, const char *kind)
{
    json_writer_init(&findings->writer, &findings->text);
    json_write_object_begin(&findings->writer);
    json_write_name(&findings->writer, "path");
    json_write_bytes_lossy(&findings->writer, varve_slice_str(path));
    json_write_name(&findings->writer, "kind");
    json_write_text(&findings->writer, kind);
    json_write_name(&findings->writer, "findings");
    json_write_array_begin(&findings->writer);
}

struct figure {
    const char *name;
    uint64_t value;
};

/* Gives the exit code. */
static int json_end(struct findings *findings, enum varve_status status,
                    const struct figure *figures, size_t count)
{
    struct json_writer *w = &findings->writer;
    json_write_array_end(w);
    for (size_t i = 0; i < count; i++) {
        json_write_name(w, figures[i].name);
        json_write_uint(w, figures[i].value);
    }
    json_write_name(w, "status");
    json_write_text(w, varve_status_name(status));
    json_write_object_end(w);
    enum varve_status written = json_writer_status(w);
    if (written == VARVE_OK)
        printf("%.*s\n", (int)findings->text.size, (const char *)findings->text.data);
    buf_deinit(&findings->text);
    return tool_exit_of(written == VARVE_OK ? status : written);
}

static int text_end(const char *path, enum varve_status status, const struct figure *figures,
                    size_t count)
{
    printf("%s: %s", path, status == VARVE_OK ? "sound" : "DAMAGED");
    for (size_t i = 0; i < count; i++)
        printf("%s %llu %s", i == 0 ? ":" : ",", (unsigned long long)figures[i].value,
               figures[i].name);
    putchar('\n');
    return tool_exit_of(status);
}

static int backup_run(const char *path, bool json)
{
    struct findings findings = {.json = json};
    struct varve_backup_info info = {0};
    struct varve_error error = {0};
    enum varve_status status = varve_backup_verify(path, &info, &error);
    if (status != VARVE_OK && status != VARVE_CORRUPT)
        return tool_fail("cannot verify the backup", status, &error);
    const struct figure figures[] = {
        {"revision", info.revision}, {"files", info.files}, {"bytes", info.bytes}};
    size_t count = status == VARVE_OK ? sizeof figures / sizeof figures[0] : 0;
    if (json)
        json_begin(&findings, path, "backup");
    if (status != VARVE_OK)
        finding_add(&findings, &error, true);
    return json ? json_end(&findings, status, figures, count)
                : text_end(path, status, figures, count);
}

static int store_run(const char *path, bool json)
{
    struct findings findings = {.json = json};
    struct varve_verify_report report = {0};
    struct varve_error error = {0};
    if (json)
        json_begin(&findings, path, "store");
    enum varve_status status = varve_verify(path, finding_add, &findings, &report, &error);
    if (status != VARVE_OK && status != VARVE_CORRUPT) {
        buf_deinit(&findings.text);
        return tool_fail("cannot verify the store", status, &error);
    }
    const struct figure figures[] = {
        {"revision", report.revision}, {"tables", report.tables},     {"blocks", report.blocks},
        {"entries", report.entries},   {"bytes", report.table_bytes}, {"segments", report.segments},
        {"frames", report.frames},     {"problems", report.problems},
    };
    size_t count = sizeof figures / sizeof figures[0];
    return json ? json_end(&findings, status, figures, count)
                : text_end(path, status, figures, count);
}

static int run(char **operands, bool json)
{
    struct buf list_path = {0};
    enum varve_status status = buf_append_format(&list_path, "%s/" BACKUP_LIST_NAME, operands[0]);
    if (status != VARVE_OK) {
        const struct varve_error error = {.offset = UINT64_MAX};
        return tool_fail("cannot verify", status, &error);
    }
    bool is_backup = access((const char *)list_path.data, F_OK) == 0;
    buf_deinit(&list_path);
    return is_backup ? backup_run(operands[0], json) : store_run(operands[0], json);
}

const struct tool_command tool_verify = {
    .name = "verify",
    .arguments = "[--json] STORE-OR-BACKUP",
    .summary = "read every block and frame; changes nothing",
    .operand_count = 1,
    .takes_json = true,
    .run = run,
};
