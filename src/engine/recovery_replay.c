/*
 * Frames are taken in order, their sequences without a gap, into a buffer that is written out
 * whenever it is as full as a memtable: recovery needs no more memory than the running store.
 * Nothing of the old segments is changed here; a cut tail is only copied aside, and what follows it
 * is not replayed.
 */
#include "engine/recovery_replay.h"

#include <stdio.h>

#include "engine/db.h"
#include "engine/flush.h"

#define LOST_COPY_BYTES ((size_t)1 << 16)

/* Takes the time since `since_us` into `us`; gives the time that it is. */
static uint64_t time_take(struct varve_db *db, uint64_t since_us, uint64_t *us)
{
    uint64_t now_us = env_mono_us(db->env);
    *us += now_us - since_us;
    return now_us;
}

enum varve_status recovery_replay_flush(struct recovery_replay *replay)
{
    struct varve_db *db = replay->db;
    struct entry_iterator *input = NULL;
    if (replay->buffer.count == 0)
        return VARVE_OK;
    /* Nobody reads yet: only the newest entry of a key can be asked for. */
    const struct snapshots_keep all = {.sequence = UINT64_MAX, .time_ms = db_store_time_ms(db)};
    enum varve_status status = replay_buffer_sort(&replay->buffer, &input);
    replay->began_us = time_take(db, replay->began_us, &db->recovery.replay_us);
    if (status == VARVE_OK)
        status =
            flush_write_table(db, input, all, manifest_new_run_id(&db->manifest), replay->tables);
    entry_iterator_free(input);
    replay_buffer_clear(&replay->buffer);
    replay->began_us = time_take(db, replay->began_us, &db->recovery.rewrite_us);
    if (status != VARVE_OK)
        return error_set(replay->error, status, db->dir, STATUS_NO_OFFSET,
                         "writing the log's content to a table failed: %s",
                         varve_status_text(status));
    return VARVE_OK;
}

static enum varve_status replay_batch(struct recovery_replay *replay, const struct wal_frame *frame,
                                      struct varve_slice batch, uint64_t sequence)
{
    struct varve_db *db = replay->db;
    struct batch_reader reader = {0};
    struct batch_op op = {0};

    enum varve_status status = batch_reader_init(&reader, batch);
    while (status == VARVE_OK) {
        status = batch_reader_next(&reader, &op);
        if (status == VARVE_OK)
            status = replay_buffer_add(&replay->buffer, sequence, &op,
                                       wal_frame_offset_of(frame, op.value));
        db->recovery.entries += status == VARVE_OK;
    }
    return status == VARVE_END ? VARVE_OK : status;
}

static enum varve_status replay_frame(struct recovery_replay *replay, const struct wal_frame *frame)
{
    struct varve_db *db = replay->db;
    struct varve_slice rest = frame->payload, batch = {0};
    uint64_t sequence = frame->first_sequence;
    enum varve_status status = VARVE_OK;

    if (replay->next_sequence != 0 && frame->first_sequence != replay->next_sequence)
        return status_raise(VARVE_CORRUPT);
    while (status == VARVE_OK) {
        if (replay->buffer.bytes >= db->options.memtable_bytes ||
            replay->buffer.count >= db->options.memtable_entries)
            status = recovery_replay_flush(replay);
        if (status == VARVE_OK)
            status = wal_frame_next_batch(&rest, &batch);
        if (status == VARVE_OK)
            status = replay_batch(replay, frame, batch, sequence++);
    }
    if (status != VARVE_END)
        return status;
    replay->next_sequence = sequence;
    replay->last_sequence = sequence - 1;
    db_store_time_raise(db, frame->commit_time_ms);
    db->recovery.frames++;
    return VARVE_OK;
}

static enum varve_status file_sync(struct env *env, const char *path)
{
    struct env_file *file = NULL;
    enum varve_status status = env_open(env, path, ENV_OPEN_WRITE, &file);
    if (status != VARVE_OK)
        return status;
    status = env_file_sync(file);
    enum varve_status closed = env_file_close(file);
    return status != VARVE_OK ? status : closed;
}

static enum varve_status range_copy(struct env_file *from, uint64_t offset, uint64_t end,
                                    struct env_file *to)
{
    uint8_t data[LOST_COPY_BYTES];
    uint64_t start = offset;
    enum varve_status status = VARVE_OK;
    while (status == VARVE_OK && offset < end) {
        size_t size = end - offset < sizeof data ? (size_t)(end - offset) : sizeof data;
        status = env_file_read(from, offset, data, size, &size);
        if (status == VARVE_OK && size == 0)
            break;
        if (status == VARVE_OK)
            status = env_file_write(to, offset - start, varve_slice(data, size));
        offset += size;
    }
    return status;
}

/* Copies what is cut off to lost/<segment>.wal-<offset>, durably. */
static enum varve_status tail_save(struct varve_db *db, const struct wal_reader *reader,
                                   const struct wal_tail *tail)
{
    char dir[FILENAME_BYTES_MAX];
    char path[FILENAME_BYTES_MAX + 64];
    struct env_file *file = NULL;

    enum varve_status status = filename_path(dir, db->dir, FILE_LOST_DIR, 0);
    if (status == VARVE_OK)
        status = env_make_dir(db->env, dir);
    if (status != VARVE_OK && status != VARVE_EXISTS)
        return status;
    snprintf(path, sizeof path, "%s/%06llu.wal-%llu", dir, (unsigned long long)reader->segment_id,
             (unsigned long long)tail->offset);
    status = env_open(db->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (status != VARVE_OK)
        return status;
    status = range_copy(reader->file, tail->offset, tail->end_offset, file);
    if (status == VARVE_OK)
        status = env_file_sync(file);
    enum varve_status closed = env_file_close(file);
    if (status == VARVE_OK)
        status = closed;
    if (status == VARVE_OK)
        status = env_sync_dir(db->env, dir);
    if (status == VARVE_OK)
        status = env_sync_dir(db->env, db->dir);
    return status;
}

/* `goes_on`: the segment begins where the one before ended. If not, all of it is the tail. */
static enum varve_status tail_judge(struct recovery_replay *replay, struct wal_reader *reader,
                                    bool goes_on)
{
    struct varve_db *db = replay->db;
    struct wal_tail tail = {0};
    if (reader->file_bytes < WAL_BYTES_LEAST)
        return error_set(replay->error, VARVE_CORRUPT, reader->path, reader->file_bytes,
                         "the segment is shorter than it was made: its end is missing; restore a "
                         "backup");
    enum varve_status status = wal_reader_judge(reader, &tail);
    if (status != VARVE_OK)
        return status;
    if (replay->behind_unsealed && tail.synced_offset > WAL_HEADER_BLOCK_BYTES)
        return error_set(
            replay->error, VARVE_CORRUPT, reader->path, tail.offset,
            "the segment had been synced (up to offset %llu), but the manifest does not "
            "know it: it lost a record; restore a backup",
            (unsigned long long)tail.synced_offset);
    if (!goes_on) {
        tail.kind = tail.kind == WAL_TAIL_CLEAN ? WAL_TAIL_TORN : tail.kind;
        tail.offset = WAL_HEADER_BLOCK_BYTES;
        tail.frames_dropped += reader->frames;
    }
    if (tail.kind == WAL_TAIL_CLEAN)
        return VARVE_OK;
    if (tail.kind == WAL_TAIL_DAMAGED)
        return error_set(replay->error, VARVE_CORRUPT, reader->path, tail.offset,
                         "a frame is damaged that had been synced (up to offset %llu had); restore "
                         "a backup",
                         (unsigned long long)tail.synced_offset);
    if (db->options.recovery_mode == VARVE_RECOVERY_STRICT)
        return error_set(replay->error, VARVE_CORRUPT, reader->path, tail.offset,
                         goes_on ? "the log ends in an unfinished frame; recovery mode tail would "
                                   "cut it"
                                 : "the end of the segment before is missing; recovery mode tail "
                                   "would cut this one with it");
    status = tail_save(db, reader, &tail);
    if (status != VARVE_OK)
        return error_set(replay->error, status, reader->path, tail.offset,
                         "saving the log's cut tail failed: %s", varve_status_text(status));
    db->recovery.cut_frames += tail.frames_dropped;
    db->recovery.cut_bytes += tail.end_offset - tail.offset;
    log_write(
        &db->log, VARVE_LOG_WARNING,
        "%s: cut at offset %llu behind the last good frame: %llu bytes, %llu valid frames; saved "
        "in lost/",
        reader->path, (unsigned long long)tail.offset,
        (unsigned long long)(tail.end_offset - tail.offset),
        (unsigned long long)tail.frames_dropped);
    return VARVE_OK;
}

enum varve_status recovery_replay_segment(struct recovery_replay *replay, uint64_t segment_id,
                                          uint64_t sealed_length)
{
    struct varve_db *db = replay->db;
    char path[FILENAME_BYTES_MAX];
    struct wal_reader reader = {0};
    struct wal_frame frame = {0};

    replay->began_us = env_mono_us(db->env);
    enum varve_status status = filename_path(path, db->dir, FILE_WAL, segment_id);
    if (status == VARVE_OK)
        status = file_sync(db->env, path);
    if (status != VARVE_OK)
        return error_set(replay->error, status, path, STATUS_NO_OFFSET,
                         "syncing a log segment failed: %s", varve_status_text(status));
    status = wal_reader_open(&reader, db->env, path, segment_id, sealed_length, replay->error);
    if (status != VARVE_OK)
        return status;
    status = replay_buffer_log(&replay->buffer, db->env, path);
    if (status != VARVE_OK) {
        wal_reader_close(&reader);
        return error_set(replay->error, status, path, STATUS_NO_OFFSET,
                         "the segment cannot be opened");
    }
    bool goes_on = true;
    while ((status = wal_reader_next(&reader, &frame)) == VARVE_OK) {
        if (replay->behind_unsealed && reader.frames == 1)
            goes_on = frame.first_sequence == replay->next_sequence;
        if (goes_on)
            status = replay_frame(replay, &frame);
        if (status != VARVE_OK)
            break;
    }
    uint64_t offset = status == VARVE_END ? reader.offset : frame.offset;
    if (status == VARVE_END)
        status = sealed_length != 0 ? VARVE_OK : tail_judge(replay, &reader, goes_on);
    else if (status == VARVE_CORRUPT)
        status =
            error_set(replay->error, status, path, offset,
                      "a frame of a sealed segment, or its content, is damaged; restore a backup");
    db->recovery.segments++;
    wal_reader_close(&reader);
    replay->began_us = time_take(db, replay->began_us, &db->recovery.replay_us);
    return status;
}
