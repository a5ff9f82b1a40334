/*
 * A backup is made by a worker that may take long: it reads all of the store. Where it goes is the
 * configuration's alone: a name from a request holds no slash and begins with no dot, so it stays
 * within the folder. A name that ends as the engine's unfinished backups do is refused, for the
 * engine would take it for one and clear it away. What is wrong with the folder is for the log, not
 * for the client.
 */
#include "service/backup.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>

#include <varve/db.h>

#include "service/headers.h"
#include "service/journal.h"
#include "service/json_body.h"
#include "service/json_writer.h"

static enum varve_status prepare_backup(struct exchange *exchange)
{
    return content_type_choose(exchange_headers(exchange), exchange_header_count(exchange),
                               REPRESENTATION_JSON, &exchange->representation, &exchange->problem);
}

static void report(struct exchange *exchange, const char *name, enum varve_status status,
                   const struct varve_backup_info *info, const struct varve_error *error)
{
    const struct journal *journal = exchange->loop->service->journal;
    if (status == VARVE_OK)
        journal_print(journal, VARVE_LOG_INFO,
                      "backup %s: revision %" PRIu64 ", %" PRIu64 " files, %" PRIu64 " bytes", name,
                      info->revision, info->files, info->bytes);
    else
        journal_print(journal, VARVE_LOG_WARNING, "backup %s failed: %s: %s%s%s", name,
                      varve_status_text(status), error->path, error->path[0] != '\0' ? ": " : "",
                      error->text);
}

static enum exchange_step answer_info(struct exchange *exchange, const char *name,
                                      const struct varve_backup_info *info)
{
    struct json_writer w;
    json_writer_init(&w, &exchange->answer.body);
    json_write_object_begin(&w);
    json_write_name(&w, "name");
    json_write_text(&w, name);
    json_write_name(&w, "revision");
    json_write_uint(&w, info->revision);
    json_write_name(&w, "files");
    json_write_uint(&w, info->files);
    json_write_name(&w, "bytes");
    json_write_uint(&w, info->bytes);
    json_write_object_end(&w);
    enum varve_status status = json_writer_status(&w);
    return status == VARVE_OK
               ? exchange_answer(exchange, MHD_HTTP_OK, representation_types[REPRESENTATION_JSON])
               : exchange_fail(exchange, status);
}

static enum exchange_step explain(struct exchange *exchange, enum varve_status status)
{
    struct problem *problem = &exchange->problem;
    switch (status) {
    case VARVE_EXISTS:
        (void)problem_set(problem, PROBLEM_CONFLICT, "there is a backup of this name");
        break;
    case VARVE_LOCKED:
        (void)problem_set(problem, PROBLEM_CONFLICT, "a backup of this name is being made");
        break;
    case VARVE_NOT_FOUND:
    case VARVE_INVALID:
        (void)problem_set(problem, PROBLEM_IO_ERROR, "the folder for backups cannot be used");
        break;
    case VARVE_CLOSED:
        (void)problem_set(problem, PROBLEM_DRAINING,
                          "the server is shutting down; no backup was made");
        break;
    default:
        return exchange_fail(exchange, status);
    }
    return exchange_refuse(exchange);
}

/* `value` holds the name, with its NUL. */
static void run_backup(struct thread_job *job)
{
    struct exchange *exchange = exchange_of_job(job);
    const char *name = (const char *)exchange->value.data;
    struct buf path = {0};
    struct varve_backup_info info = {0};
    struct varve_error error = {.offset = STATUS_NO_OFFSET};

    enum varve_status status =
        buf_append_format(&path, "%s/%s", exchange->loop->service->config->backup_dir, name);
    if (status == VARVE_OK)
        status = varve_backup_create(exchange->db, (const char *)path.data, &info, &error);
    report(exchange, name, status, &info, &error);
    if (status == VARVE_OK)
        (void)answer_info(exchange, name, &info);
    else
        (void)explain(exchange, status);
    buf_deinit(&path);
    exchange_job_done(exchange, VARVE_OK);
}

static enum exchange_step handle_backup(struct exchange *exchange)
{
    char name[BACKUP_NAME_BYTES];
    struct problem *problem = &exchange->problem;
    enum varve_status status = json_body_parse_backup(buf_slice(&exchange->body), name, problem);
    if (status == VARVE_OK && exchange->loop->service->config->backup_dir[0] == '\0')
        status = problem_set(problem, PROBLEM_NO_BACKUP_DIR,
                             "the setting backup_dir names no folder for backups");
    if (status != VARVE_OK)
        return exchange_refuse(exchange);
    status = buf_append(&exchange->value, name, strlen(name) + 1);
    if (status != VARVE_OK)
        return exchange_fail(exchange, status);
    return exchange_work(exchange, THREAD_JOB_PATIENT, run_backup);
}

static enum exchange_step finish_backup(struct exchange *exchange)
{
    return EXCHANGE_DONE;
}

static const char *const no_params[] = {NULL};
const struct route backup_route = {
    .meter = METER_ADMIN,
    .scopes = TOKEN_ADMIN,
    .needs_store = true,
    .takes_body = true,
    .needs_body = true,
    .params = no_params,
    .prepare = prepare_backup,
    .handle = handle_backup,
    .finish = finish_backup,
};
