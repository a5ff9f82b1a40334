/*
 * A store may have a thousand tables, and an open should not wait a thousand times for the disk. So
 * they are looked at in rounds: all files of a round are opened and the disk is told which footers
 * will be read; only then they are read. What else may be wrong with a table is found when it is
 * first used, for which it is read and checked in full.
 */
#include "engine/recovery_tables.h"

#include "format/filename.h"
#include "format/sstable_reader.h"

#define ROUND_TABLES 64u /* files open at a time */

struct round {
    struct env *env;
    const char *dir;
    struct varve_error *error;
    size_t count;
    struct round_table {
        const struct table *table;
        struct env_file *file;
    } tables[ROUND_TABLES];
};

static enum varve_status round_add(struct round *round, const struct table *table)
{
    const struct manifest_table *meta = &table->meta;
    char path[FILENAME_BYTES_MAX];
    struct env_file *file = NULL;

    enum varve_status status = filename_path(path, round->dir, FILE_TABLE, meta->file_id);
    if (status != VARVE_OK)
        return error_set(round->error, status, round->dir, STATUS_NO_OFFSET,
                         "the path is too long");
    status = env_open(round->env, path, ENV_OPEN_READ, &file);
    if (status == VARVE_NOT_FOUND)
        return error_set(round->error, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "the manifest names this table, but it is missing");
    if (status != VARVE_OK)
        return error_set(round->error, status, path, STATUS_NO_OFFSET,
                         "the table cannot be opened");
    if (meta->file_bytes >= SSTABLE_FOOTER_BYTES)
        env_file_will_read(file, meta->file_bytes - SSTABLE_FOOTER_BYTES, SSTABLE_FOOTER_BYTES);
    round->tables[round->count++] = (struct round_table){.table = table, .file = file};
    return VARVE_OK;
}

static enum varve_status round_check(const struct round *round, const struct round_table *at)
{
    char path[FILENAME_BYTES_MAX];
    struct sstable_footer footer = {0};
    const struct manifest_table *meta = &at->table->meta;
    enum varve_status status = filename_path(path, round->dir, FILE_TABLE, meta->file_id);
    if (status == VARVE_OK)
        status = sstable_footer_read(at->file, path, meta->file_id, meta->file_bytes, &footer,
                                     round->error);
    return status;
}

/* Closes the files, after reading their footers as long as `status` is OK. */
static enum varve_status round_end(struct round *round, enum varve_status status)
{
    for (size_t i = 0; i < round->count; i++) {
        if (status == VARVE_OK)
            status = round_check(round, &round->tables[i]);
        (void)env_file_close(round->tables[i].file); /* only read from */
    }
    round->count = 0;
    return status;
}

enum varve_status recovery_check_tables(struct env *env, const char *dir,
                                        const struct version *version,
                                        struct varve_error *ret_error)
{
    struct round round = {.env = env, .dir = dir, .error = ret_error};
    enum varve_status status = VARVE_OK;

    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) {
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            const struct run *run = &version->levels[l].runs[r];
            for (size_t t = 0; status == VARVE_OK && t < run->table_count; t++) {
                if (round.count == ROUND_TABLES)
                    status = round_end(&round, VARVE_OK);
                if (status == VARVE_OK)
                    status = round_add(&round, run->tables[t]);
            }
        }
    }
    return round_end(&round, status);
}
