/*
 * A frame is built in one buffer and goes to the file in one write. Before that, where the file's
 * written part is too short for it, zeros are written ahead: should the disk be full, it shows
 * there, and the frame was not touched. Zeros behind the frames are what a reader takes for the
 * end, so a zero-fill that was cut short does no harm.
 */
#include "format/wal_writer.h"

#include <assert.h>
#include <string.h>

#include "base/coding.h"
#include "base/crc32c.h"
#include "format/entry.h"

#define ZERO_PIECE_BYTES 65536u
#define PADDING_BYTES_MAX (WAL_FRAME_ALIGN - 1) /* always reserved: commit takes no memory */
#define STORE_AFTER_FRAMES 64u                  /* without a sync between them */
#define FRAME_KEEP_BYTES_MAX (4u << 20)         /* a larger buffer is given back after its frame */

static const uint8_t zeros[ZERO_PIECE_BYTES];

static enum varve_status zero_fill(struct wal_writer *writer, uint64_t until)
{
    while (writer->written_until < until) {
        uint64_t left = until - writer->written_until;
        size_t piece = left < ZERO_PIECE_BYTES ? (size_t)left : ZERO_PIECE_BYTES;
        enum varve_status status =
            env_file_write(writer->file, writer->written_until, varve_slice(zeros, piece));
        if (status != VARVE_OK)
            return status;
        writer->written_until += piece;
    }
    return VARVE_OK;
}

/* Makes blocks exist up to `until`, and then some, in whole steps. */
static enum varve_status make_room(struct wal_writer *writer, uint64_t until)
{
    if (until <= writer->written_until)
        return VARVE_OK;
    uint64_t target = writer->written_until + writer->zero_step_bytes;
    return zero_fill(writer, target < until ? until : target);
}

static enum varve_status header_write(struct wal_writer *writer, uint64_t now_ms)
{
    uint8_t block[WAL_HEADER_BLOCK_BYTES] = {0};
    memcpy(block, WAL_MAGIC, WAL_MAGIC_BYTES);
    fixed32_encode(block + WAL_HEADER_VERSION, WAL_FORMAT_VERSION);
    fixed64_encode(block + WAL_HEADER_SEGMENT, writer->segment_id);
    fixed64_encode(block + WAL_HEADER_SALT, writer->salt);
    fixed64_encode(block + WAL_HEADER_TIME, now_ms);
    fixed32_encode(block + WAL_HEADER_CRC, crc32c_mask(crc32c_extend(0, block, WAL_HEADER_CRC)));
    return env_file_write(writer->file, 0, varve_slice(block, sizeof block));
}

enum varve_status wal_writer_open(struct wal_writer *writer, struct env *env, const char *path,
                                  uint64_t segment_id, uint64_t now_ms, uint64_t zero_step_bytes)
{
    struct wal_writer w = {.env = env,
                           .segment_id = segment_id,
                           .offset = WAL_HEADER_BLOCK_BYTES,
                           .zero_step_bytes = zero_step_bytes};
    enum varve_status status = env_random(env, &w.salt, sizeof w.salt);
    if (status != VARVE_OK)
        return status;
    status = env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &w.file);
    if (status != VARVE_OK)
        return status;
    status = env_file_size(w.file, &w.written_until);
    if (status != VARVE_OK)
        goto out;
    status = header_write(&w, now_ms);
    if (status != VARVE_OK)
        goto out;
    if (w.written_until < WAL_HEADER_BLOCK_BYTES)
        w.written_until = WAL_HEADER_BLOCK_BYTES;
    if (w.written_until < zero_step_bytes) {
        status = zero_fill(&w, zero_step_bytes);
        if (status != VARVE_OK)
            goto out;
    }
    status = env_file_sync(w.file);
    if (status != VARVE_OK)
        goto out;
    w.synced_offset = w.offset;
    *writer = w;
    w.file = NULL;
out:
    wal_writer_close(&w);
    return status;
}

void wal_writer_close(struct wal_writer *writer)
{
    /* Whatever must last was synced before, so how the close ends says nothing of use. */
    if (writer->file != NULL)
        (void)env_file_close(writer->file);
    writer->file = NULL;
    buf_deinit(&writer->frame);
}

enum varve_status wal_writer_begin(struct wal_writer *writer, uint64_t first_sequence,
                                   uint64_t commit_time_ms)
{
    assert(!writer->damaged);
    assert(first_sequence <= ENTRY_SEQUENCE_MAX);
    if (writer->frame.capacity > FRAME_KEEP_BYTES_MAX) {
        buf_deinit(&writer->frame);
        writer->frame = (struct buf){0};
    }
    buf_clear(&writer->frame);
    writer->batch_count = 0;
    enum varve_status status =
        buf_reserve(&writer->frame, WAL_FRAME_HEADER_BYTES + PADDING_BYTES_MAX);
    if (status != VARVE_OK)
        return status;
    writer->frame.size = WAL_FRAME_HEADER_BYTES;
    fixed64_encode(writer->frame.data + WAL_FRAME_SEGMENT, writer->segment_id);
    fixed64_encode(writer->frame.data + WAL_FRAME_SEQUENCE, first_sequence);
    fixed64_encode(writer->frame.data + WAL_FRAME_TIME, commit_time_ms);
    return VARVE_OK;
}

enum varve_status wal_writer_add(struct wal_writer *writer, struct varve_slice batch)
{
    struct buf *frame = &writer->frame;
    assert(frame->size >= WAL_FRAME_HEADER_BYTES);
    const size_t frame_bytes_max = UINT32_MAX - WAL_FRAME_ALIGN;
    if (batch.size > frame_bytes_max - WAL_BATCH_PREFIX_BYTES ||
        frame->size > frame_bytes_max - WAL_BATCH_PREFIX_BYTES - batch.size)
        return status_raise(VARVE_TOO_LARGE);
    enum varve_status status =
        buf_reserve(frame, WAL_BATCH_PREFIX_BYTES + batch.size + PADDING_BYTES_MAX);
    if (status != VARVE_OK)
        return status;
    fixed32_encode(frame->data + frame->size, (uint32_t)batch.size);
    if (batch.size != 0)
        memcpy(frame->data + frame->size + WAL_BATCH_PREFIX_BYTES, batch.data, batch.size);
    frame->size += WAL_BATCH_PREFIX_BYTES + batch.size;
    writer->batch_count++;
    return VARVE_OK;
}

/* Pads the frame and fills in what is known only now. */
static void frame_finish(struct wal_writer *writer)
{
    struct buf *frame = &writer->frame;
    size_t payload_bytes = frame->size - WAL_FRAME_HEADER_BYTES;
    size_t padding_bytes = (size_t)wal_frame_bytes(payload_bytes) - frame->size;
    assert(frame->capacity - frame->size >= padding_bytes);
    memset(frame->data + frame->size, 0, padding_bytes);
    frame->size += padding_bytes;

    uint8_t *at = frame->data;
    fixed32_encode(at + WAL_FRAME_PAYLOAD_BYTES, (uint32_t)payload_bytes);
    fixed64_encode(at + WAL_FRAME_SYNCED, writer->synced_offset);
    fixed32_encode(at + WAL_FRAME_BATCH_COUNT, writer->batch_count);

    uint8_t salt[8];
    fixed64_encode(salt, writer->salt);
    uint32_t crc = crc32c_extend(0, salt, sizeof salt);
    crc = crc32c_extend(crc, at + WAL_FRAME_PAYLOAD_BYTES,
                        WAL_FRAME_HEADER_CRC - WAL_FRAME_PAYLOAD_BYTES);
    fixed32_encode(at + WAL_FRAME_HEADER_CRC, crc32c_mask(crc));
    crc = crc32c_extend(crc, at + WAL_FRAME_HEADER_CRC, frame->size - WAL_FRAME_HEADER_CRC);
    fixed32_encode(at + WAL_FRAME_CRC, crc32c_mask(crc));
}

/* A writer whose frames are synced one by one, or soon, does not store. */
static enum varve_status frame_write(struct wal_writer *writer)
{
    struct varve_slice frame = buf_slice(&writer->frame);
    if (writer->frames_since_sync < STORE_AFTER_FRAMES)
        return env_file_write(writer->file, writer->offset, frame);
    return env_file_store(writer->file, writer->offset, frame);
}

enum varve_status wal_writer_commit(struct wal_writer *writer)
{
    assert(!writer->damaged);
    assert(writer->frame.size >= WAL_FRAME_HEADER_BYTES);
    frame_finish(writer);
    enum varve_status status = make_room(writer, writer->offset + writer->frame.size);
    if (status != VARVE_OK) {
        writer->damaged = status != VARVE_NO_SPACE;
        goto out;
    }
    status = frame_write(writer);
    if (status != VARVE_OK) {
        writer->damaged = true;
        goto out;
    }
    writer->offset += writer->frame.size;
    if (writer->frames_since_sync < STORE_AFTER_FRAMES)
        writer->frames_since_sync++;
out:
    buf_clear(&writer->frame);
    return status;
}

enum varve_status wal_writer_sync(struct wal_writer *writer)
{
    assert(!writer->sync_failed);
    enum varve_status status = env_file_sync(writer->file);
    if (status != VARVE_OK) {
        writer->damaged = writer->sync_failed = true;
        return status;
    }
    writer->synced_offset = writer->offset;
    writer->frames_since_sync = 0;
    return VARVE_OK;
}
