/*
 * Follows recovery from CURRENT to the last frame, but goes on behind damage to find all of it, and
 * writes nothing. What recovery would cut off is found and not counted as damage.
 */
#include "engine/verify.h"

#include "engine/db.h"
#include "engine/manifest_fold.h"
#include "engine/recovery_scan.h"
#include "engine/table_verify.h"
#include "engine/wal.h"
#include "format/batch_codec.h"
#include "format/filename.h"
#include "format/wal_reader.h"

struct verify {
    struct env *env;
    const char *dir;
    struct varve_db *db; /* whose copy it is; NULL: nobody's */
    varve_verify_fn each;
    void *context;
    struct varve_error *error; /* the first problem */
    struct varve_verify_report report;
    struct recovery_scan scan;
    struct manifest_state state;
    uint64_t manifest_id;
    uint64_t next_sequence; /* of the next frame; 0: not known */
};

static void found(struct verify *verify, const struct varve_error *what, bool is_damage)
{
    if (is_damage && verify->report.problems++ == 0 && verify->error != NULL)
        *verify->error = *what;
    if (!is_damage)
        verify->report.unfinished++;
    if (verify->each != NULL)
        verify->each(verify->context, what, is_damage);
}

/* Takes note of damage, so that the checking goes on; passes on what makes it impossible. `what`
 * belongs to `status`. */
static enum varve_status settle(struct verify *verify, enum varve_status status,
                                struct varve_error *what)
{
    if (status == VARVE_OK)
        return VARVE_OK;
    if (what->text[0] == '\0')
        (void)error_set(what, status, verify->dir, STATUS_NO_OFFSET, "%s",
                        varve_status_text(status));
    if (status == VARVE_CORRUPT) {
        found(verify, what, true);
        return VARVE_OK;
    }
    if (verify->error != NULL)
        *verify->error = *what;
    return status;
}

/* A segment that the manifest does not know must not hold a frame. */
static enum varve_status stray_check(struct verify *verify, uint64_t id, bool thorough,
                                     struct varve_error *what)
{
    char path[FILENAME_BYTES_MAX];
    bool has_frame = false;

    enum varve_status status = filename_path(path, verify->dir, FILE_WAL, id);
    if (status == VARVE_OK)
        status = wal_segment_has_frame(verify->env, path, id, thorough, &has_frame);
    if (status == VARVE_OK && has_frame)
        return error_set(what, VARVE_CORRUPT, path, WAL_HEADER_BLOCK_BYTES,
                         "the segment holds data, but the manifest ends with segment %llu: it lost "
                         "a record",
                         (unsigned long long)verify->state.last_segment);
    return status;
}

/* Without CURRENT there is no store, if what is there is no more than the making of a new one
 * leaves when it is interrupted. */
static enum varve_status no_current(struct verify *verify, struct varve_error *what)
{
    const struct id_list *manifests = &verify->scan.manifests, *segments = &verify->scan.segments;
    bool has_data = verify->scan.tables.count > 0;
    for (size_t i = 0; i < manifests->count; i++)
        has_data = has_data || manifests->ids[i] > 1;
    for (size_t i = 0; !has_data && i < segments->count; i++) {
        enum varve_status status = stray_check(verify, segments->ids[i], false, what);
        if (status != VARVE_OK && status != VARVE_CORRUPT)
            return status;
        has_data = status == VARVE_CORRUPT || segments->ids[i] > 1;
    }
    return error_set(
        what, has_data ? VARVE_CORRUPT : VARVE_NOT_FOUND, verify->dir, STATUS_NO_OFFSET, "%s",
        has_data ? "CURRENT is missing, but there are files of a store" : "there is no store here");
}

static enum varve_status current_check(struct verify *verify, struct varve_error *what)
{
    char path[FILENAME_BYTES_MAX];
    struct buf content = {0};

    if (!verify->scan.has_current)
        return no_current(verify, what);
    enum varve_status status = filename_path(path, verify->dir, FILE_CURRENT, 0);
    if (status == VARVE_OK)
        status = env_read_file(verify->env, path, CURRENT_BYTES_MAX, &content);
    if (status == VARVE_TOO_LARGE)
        status = VARVE_CORRUPT;
    if (status == VARVE_OK)
        status = current_decode(content.data, content.size, &verify->manifest_id);
    buf_deinit(&content);
    if (status != VARVE_OK)
        return error_set(what, status, path, 0, "%s; it should name the manifest in force",
                         varve_status_text(status));
    return VARVE_OK;
}

static enum varve_status edit_take(void *context, const struct manifest_edit *edit)
{
    struct manifest_fold *fold = context;
    return manifest_fold_edit(fold, edit);
}

static enum varve_status manifest_check(struct verify *verify, struct varve_error *what)
{
    char path[FILENAME_BYTES_MAX];
    struct manifest_fold fold = {.state = &verify->state};
    uint64_t bad_offset = 0;
    bool valid_follows = false;

    enum varve_status status = filename_path(path, verify->dir, FILE_MANIFEST, verify->manifest_id);
    if (status == VARVE_OK)
        status = manifest_read(verify->env, path, verify->manifest_id, edit_take, &fold,
                               &bad_offset, &valid_follows, what);
    if (status == VARVE_OK)
        status = manifest_fold_end(&fold, what);
    manifest_fold_deinit(&fold);
    if (status == VARVE_NOT_FOUND)
        return error_set(what, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "the manifest that CURRENT names is missing");
    if (status != VARVE_OK)
        return status;
    if (bad_offset != UINT64_MAX && valid_follows)
        return error_set(what, VARVE_CORRUPT, path, bad_offset, "a record is damaged");
    if (verify->state.last_segment == 0)
        return error_set(what, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "the manifest names no log segment");
    if (bad_offset != UINT64_MAX) {
        (void)error_set(what, VARVE_OK, path, bad_offset,
                        "the manifest ends in an unfinished record");
        found(verify, what, false);
    }
    verify->report.revision = verify->state.last_sequence;
    return VARVE_OK;
}

static enum varve_status tables_check(struct verify *verify)
{
    const struct version *version = verify->state.version;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            const struct run *run = &version->levels[l].runs[r];
            for (size_t t = 0; t < run->table_count; t++) {
                const struct manifest_table *meta = &run->tables[t]->meta;
                struct varve_error what = {0};
                enum varve_status status =
                    verify->db != NULL ? db_check_interrupted(verify->db) : VARVE_OK;
                if (status == VARVE_OK)
                    status =
                        table_verify(verify->env, verify->dir, meta, &verify->report.blocks, &what);
                if (status == VARVE_OK) {
                    verify->report.tables++;
                    verify->report.entries += meta->entry_count;
                    verify->report.table_bytes += meta->file_bytes;
                }
                status = settle(verify, status, &what);
                if (status != VARVE_OK)
                    return status;
            }
        }
    return VARVE_OK;
}

/* Every batch of the frame decodes, and its sequences follow those before it. */
static enum varve_status frame_check(struct verify *verify, const struct wal_frame *frame)
{
    struct varve_slice rest = frame->payload, batch = {0};
    struct batch_reader reader = {0};
    struct batch_op op = {0};
    uint64_t sequence = frame->first_sequence;

    if (verify->next_sequence != 0 && sequence != verify->next_sequence)
        return status_raise(VARVE_CORRUPT);
    enum varve_status status = wal_frame_next_batch(&rest, &batch);
    while (status == VARVE_OK) {
        status = batch_reader_init(&reader, batch);
        while (status == VARVE_OK)
            status = batch_reader_next(&reader, &op);
        if (status != VARVE_END)
            return status;
        sequence++;
        status = wal_frame_next_batch(&rest, &batch);
    }
    if (status != VARVE_END)
        return status;
    verify->next_sequence = sequence;
    if (sequence > verify->report.revision + 1)
        verify->report.revision = sequence - 1;
    verify->report.frames++;
    return VARVE_OK;
}

/* `goes_on`: the segment begins where the one before ended. If not, all of it would be cut. */
static enum varve_status tail_check(struct verify *verify, struct wal_reader *reader, bool goes_on,
                                    struct varve_error *what)
{
    struct wal_tail tail = {0};
    bool behind_unsealed = reader->segment_id > verify->state.last_segment;
    if (reader->file_bytes < WAL_BYTES_LEAST)
        return error_set(what, VARVE_CORRUPT, reader->path, reader->file_bytes,
                         "the segment is shorter than it was made: its end is missing");
    enum varve_status status = wal_reader_judge(reader, &tail);
    if (status != VARVE_OK)
        return status;
    if (behind_unsealed && tail.synced_offset > WAL_HEADER_BLOCK_BYTES)
        return error_set(
            what, VARVE_CORRUPT, reader->path, tail.offset,
            "the segment had been synced (up to offset %llu), but the manifest does not "
            "know it: it lost a record",
            (unsigned long long)tail.synced_offset);
    if (tail.kind == WAL_TAIL_CLEAN && goes_on)
        return VARVE_OK;
    if (tail.kind == WAL_TAIL_DAMAGED)
        return error_set(what, VARVE_CORRUPT, reader->path, tail.offset,
                         "a frame is damaged that had been synced (up to offset %llu had)",
                         (unsigned long long)tail.synced_offset);
    if (goes_on)
        (void)error_set(what, VARVE_OK, reader->path, tail.offset,
                        "the log ends in an unfinished frame");
    else
        (void)error_set(what, VARVE_OK, reader->path, WAL_HEADER_BLOCK_BYTES,
                        "the end of the segment before is missing, so this one is cut");
    found(verify, what, false);
    return VARVE_OK;
}

static enum varve_status segment_check(struct verify *verify, uint64_t id, struct varve_error *what)
{
    char path[FILENAME_BYTES_MAX];
    struct wal_reader reader = {0};
    struct wal_frame frame = {0};
    uint64_t sealed_length = manifest_state_sealed_length(&verify->state, id);

    enum varve_status status = filename_path(path, verify->dir, FILE_WAL, id);
    if (status != VARVE_OK)
        return status;
    bool behind_unsealed = id > verify->state.last_segment, goes_on = true;
    if (sealed_length == 0 && id < verify->state.last_segment)
        return error_set(what, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "the segment is not the last one, but was never sealed");
    status = wal_reader_open(&reader, verify->env, path, id, sealed_length, what);
    if (status == VARVE_NOT_FOUND)
        return error_set(what, VARVE_CORRUPT, path, STATUS_NO_OFFSET,
                         "a log segment that the manifest needs is missing");
    if (status != VARVE_OK)
        return status;
    while ((status = wal_reader_next(&reader, &frame)) == VARVE_OK) {
        if (behind_unsealed && reader.frames == 1 && verify->next_sequence != 0)
            goes_on = frame.first_sequence == verify->next_sequence;
        if (goes_on)
            status = frame_check(verify, &frame);
        if (status != VARVE_OK)
            break;
    }
    if (status == VARVE_END)
        status = sealed_length == 0 ? tail_check(verify, &reader, goes_on, what) : VARVE_OK;
    else if (status == VARVE_CORRUPT)
        status = error_set(what, status, path, reader.offset,
                           "a frame of a sealed segment, or its content, is damaged");
    wal_reader_close(&reader);
    verify->report.segments++;
    return status;
}

/* A segment beyond the manifest's last one: without a frame, unless it is the one behind an
 * unsealed last. */
static enum varve_status segment_beyond_check(struct verify *verify, uint64_t id,
                                              struct varve_error *what)
{
    uint64_t last = verify->state.last_segment;
    bool follows = id == last + 1 && manifest_state_sealed_length(&verify->state, last) == 0;
    enum varve_status status = stray_check(verify, id, follows, what);
    if (status != VARVE_CORRUPT || !follows)
        return status;
    *what = (struct varve_error){0};
    return segment_check(verify, id, what);
}

static enum varve_status segments_check(struct verify *verify)
{
    enum varve_status status = VARVE_OK;
    uint64_t problems_before = verify->report.problems;
    for (uint64_t id = verify->state.first_live_segment;
         status == VARVE_OK && id <= verify->state.last_segment; id++) {
        struct varve_error what = {0};
        uint64_t problems = verify->report.problems;
        status = settle(verify, segment_check(verify, id, &what), &what);
        /* A missing range of segments is one problem. */
        if (verify->report.problems != problems && !id_list_has(&verify->scan.segments, id))
            break;
        if (verify->report.problems != problems)
            verify->next_sequence = 0;
    }
    if (verify->next_sequence == 0 && verify->report.problems == problems_before)
        verify->next_sequence = verify->state.last_sequence + 1; /* where the last one began */
    for (size_t i = 0; status == VARVE_OK && i < verify->scan.segments.count; i++) {
        struct varve_error what = {0};
        uint64_t id = verify->scan.segments.ids[i];
        if (id > verify->state.last_segment)
            status = settle(verify, segment_beyond_check(verify, id, &what), &what);
    }
    return status;
}

static enum varve_status all_check(struct verify *verify)
{
    struct varve_error what = {0};
    enum varve_status status = recovery_scan_read(verify->env, verify->dir, &verify->scan);
    if (status != VARVE_OK) {
        (void)error_set(&what, status, verify->dir, STATUS_NO_OFFSET, "listing failed: %s",
                        varve_status_text(status));
        return settle(verify, status, &what);
    }
    status = manifest_state_init(&verify->state);
    if (status == VARVE_OK)
        status = current_check(verify, &what);
    if (status == VARVE_OK)
        status = manifest_check(verify, &what);
    if (status != VARVE_OK)
        return settle(verify, status, &what); /* without a manifest there is nothing to follow */
    status = tables_check(verify);
    return status == VARVE_OK ? segments_check(verify) : status;
}

static enum varve_status verify_run(struct verify *verify)
{
    enum varve_status status = all_check(verify);
    manifest_state_deinit(&verify->state);
    recovery_scan_deinit(&verify->scan);
    return status == VARVE_OK && verify->report.problems > 0 ? VARVE_CORRUPT : status;
}

enum varve_status store_verify(struct env *env, const char *dir, varve_verify_fn each,
                               void *context, struct varve_verify_report *ret_report,
                               struct varve_error *ret_error)
{
    struct verify verify = {
        .env = env, .dir = dir, .each = each, .context = context, .error = ret_error};
    enum varve_status status = verify_run(&verify);
    if (ret_report != NULL)
        *ret_report = verify.report;
    return status;
}

enum varve_status store_verify_copy(struct varve_db *db, const char *dir,
                                    struct varve_error *ret_error)
{
    struct verify verify = {.env = db->env, .dir = dir, .db = db, .error = ret_error};
    return verify_run(&verify);
}

enum varve_status store_lock_if_any(struct env *env, const char *dir, struct env_lock **ret_lock,
                                    struct varve_error *ret_error)
{
    char path[FILENAME_BYTES_MAX];
    struct env_file_info info = {0};
    struct env_lock *lock = NULL;

    enum varve_status status = filename_path(path, dir, FILE_LOCK, 0);
    if (status != VARVE_OK)
        return error_set(ret_error, status, dir, STATUS_NO_OFFSET, "the path is too long");
    status = env_info(env, path, &info);
    if (status == VARVE_OK)
        status = env_lock_file(env, path, &lock);
    if (status == VARVE_LOCKED)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET,
                         "another process has this store open");
    *ret_lock = status == VARVE_OK ? lock : NULL;
    return VARVE_OK;
}

enum varve_status store_verify_locked(struct env *env, const char *path, varve_verify_fn each,
                                      void *context, struct varve_verify_report *ret_report,
                                      struct varve_error *ret_error)
{
    struct env_lock *lock = NULL;
    enum varve_status status = store_lock_if_any(env, path, &lock, ret_error);
    if (status != VARVE_OK)
        return status;
    status = store_verify(env, path, each, context, ret_report, ret_error);
    if (lock != NULL)
        env_unlock_file(env, lock);
    return status;
}

enum varve_status varve_verify(const char *path, varve_verify_fn each, void *context,
                               struct varve_verify_report *ret_report,
                               struct varve_error *ret_error)
{
    return store_verify_locked(env_posix(), path, each, context, ret_report, ret_error);
}
