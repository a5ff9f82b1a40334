/*
 * Frames are read through a window of the file. A frame must be in the window as a whole to be
 * given out; its size is believed only after its header's crc has held, so the window never grows
 * for a forged length. The judge streams instead, in pieces of a fixed size.
 *
 * Why the judge may trust what it finds behind a bad frame: a header is believed only with a crc
 * over the segment's random salt, which no writer of values knows and which the segment's former
 * life did not have; and sequences must go on growing.
 */
#include "format/wal_reader.h"

#include <stdio.h>
#include <string.h>

#include "base/coding.h"
#include "base/crc32c.h"
#include "format/entry.h"

#define WINDOW_BYTES (1u << 20)

static const char zero_bytes[WAL_HEADER_BLOCK_BYTES];

static enum varve_status header_check(const struct wal_reader *reader, const uint8_t *block,
                                      struct varve_error *ret_error)
{
    const char *path = reader->path;
    if (memcmp(block, WAL_MAGIC, WAL_MAGIC_BYTES) != 0)
        return error_set(ret_error, VARVE_CORRUPT, path, 0, "not a log segment: wrong magic");
    uint32_t crc = crc32c_unmask(fixed32_decode(block + WAL_HEADER_CRC));
    if (crc != crc32c_extend(0, block, WAL_HEADER_CRC))
        return error_set(ret_error, VARVE_CORRUPT, path, WAL_HEADER_CRC,
                         "the segment header's checksum does not hold");
    uint32_t version = fixed32_decode(block + WAL_HEADER_VERSION);
    if (version != WAL_FORMAT_VERSION)
        return error_set(ret_error, VARVE_UNSUPPORTED, path, WAL_HEADER_VERSION,
                         "segment format %u is not known, only %u", version, WAL_FORMAT_VERSION);
    if (fixed32_decode(block + WAL_HEADER_RESERVED) != 0 ||
        memcmp(block + WAL_HEADER_END, zero_bytes, WAL_HEADER_BLOCK_BYTES - WAL_HEADER_END) != 0)
        return error_set(ret_error, VARVE_CORRUPT, path, WAL_HEADER_RESERVED,
                         "the segment header's reserved bytes are not zero");
    uint64_t id = fixed64_decode(block + WAL_HEADER_SEGMENT);
    if (id != reader->segment_id)
        return error_set(ret_error, VARVE_CORRUPT, path, WAL_HEADER_SEGMENT,
                         "segment %llu stands in the file of segment %llu", (unsigned long long)id,
                         (unsigned long long)reader->segment_id);
    return VARVE_OK;
}

static enum varve_status header_read(struct wal_reader *reader, struct varve_error *ret_error)
{
    uint8_t block[WAL_HEADER_BLOCK_BYTES] = {0};
    size_t size = 0;
    enum varve_status status = env_file_read(reader->file, 0, block, sizeof block, &size);
    if (status != VARVE_OK)
        return error_set(ret_error, status, reader->path, 0, "the segment header cannot be read");
    if (size < sizeof block)
        return error_set(ret_error, VARVE_CORRUPT, reader->path, size,
                         "the segment is shorter than its header");
    status = header_check(reader, block, ret_error);
    if (status != VARVE_OK)
        return status;
    reader->salt = fixed64_decode(block + WAL_HEADER_SALT);
    return VARVE_OK;
}

static enum varve_status limit_set(struct wal_reader *reader, uint64_t sealed_length,
                                   struct varve_error *ret_error)
{
    reader->sealed = sealed_length != 0;
    reader->limit = reader->sealed ? sealed_length : reader->file_bytes;
    if (!reader->sealed)
        return VARVE_OK;
    if (sealed_length > reader->file_bytes)
        return error_set(ret_error, VARVE_CORRUPT, reader->path, reader->file_bytes,
                         "the segment is shorter than its sealed length %llu",
                         (unsigned long long)sealed_length);
    if (sealed_length < WAL_HEADER_BLOCK_BYTES || sealed_length % WAL_FRAME_ALIGN != 0)
        return error_set(ret_error, VARVE_CORRUPT, reader->path, STATUS_NO_OFFSET,
                         "no segment can have the sealed length %llu",
                         (unsigned long long)sealed_length);
    return VARVE_OK;
}

enum varve_status wal_reader_open(struct wal_reader *reader, struct env *env, const char *path,
                                  uint64_t segment_id, uint64_t sealed_length,
                                  struct varve_error *ret_error)
{
    *reader = (struct wal_reader){.segment_id = segment_id, .offset = WAL_HEADER_BLOCK_BYTES};
    if (strlen(path) >= sizeof reader->path)
        return error_set(ret_error, VARVE_TOO_LARGE, path, STATUS_NO_OFFSET,
                         "the path is too long");
    memcpy(reader->path, path, strlen(path) + 1);

    enum varve_status status = env_open(env, path, ENV_OPEN_READ, &reader->file);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET, "the segment cannot be opened");
    status = env_file_size(reader->file, &reader->file_bytes);
    if (status != VARVE_OK) {
        status = error_set(ret_error, status, path, STATUS_NO_OFFSET,
                           "the segment's size cannot be read");
        goto out;
    }
    status = header_read(reader, ret_error);
    if (status != VARVE_OK)
        goto out;
    status = limit_set(reader, sealed_length, ret_error);
out:
    if (status != VARVE_OK)
        wal_reader_close(reader);
    return status;
}

void wal_reader_close(struct wal_reader *reader)
{
    if (reader->file != NULL)
        (void)env_file_close(reader->file); /* nothing was written */
    reader->file = NULL;
    buf_deinit(&reader->window);
    reader->window = (struct buf){0};
}

/* Makes the window hold [offset, offset + size), which lies within the file, and what follows up
 * to WINDOW_BYTES. */
static enum varve_status window_load(struct wal_reader *reader, uint64_t offset, size_t size)
{
    struct buf *window = &reader->window;
    if (offset >= reader->window_offset && offset - reader->window_offset <= window->size &&
        window->size - (size_t)(offset - reader->window_offset) >= size)
        return VARVE_OK;
    uint64_t left = reader->file_bytes - offset;
    size_t want = size > WINDOW_BYTES ? size : WINDOW_BYTES;
    if (want > left)
        want = (size_t)left;
    buf_clear(window);
    enum varve_status status = buf_reserve(window, want);
    if (status != VARVE_OK)
        return status;
    status = env_file_read(reader->file, offset, window->data, want, &window->size);
    if (status != VARVE_OK) {
        buf_clear(window);
        return status;
    }
    reader->window_offset = offset;
    return window->size >= size ? VARVE_OK : status_raise(VARVE_IO); /* the file got shorter */
}

static const uint8_t *window_at(const struct wal_reader *reader, uint64_t offset)
{
    return reader->window.data + (offset - reader->window_offset);
}

/* What a header says, once it is believed. */
struct frame_header {
    struct wal_frame frame; /* but for the payload */
    uint32_t payload_bytes;
    uint32_t crc_stored;
    uint32_t crc_so_far; /* salt and header up to the header's own crc */
};

/* Decodes the header at `at`, WAL_FRAME_HEADER_BYTES long; false when it cannot be believed. */
static bool frame_header_decode(const struct wal_reader *reader, const uint8_t *at, uint64_t offset,
                                uint64_t next_sequence, uint64_t limit, struct frame_header *ret)
{
    if (fixed64_decode(at + WAL_FRAME_SEGMENT) != reader->segment_id)
        return false;
    uint32_t payload_bytes = fixed32_decode(at + WAL_FRAME_PAYLOAD_BYTES);
    uint64_t frame_bytes = wal_frame_bytes(payload_bytes);
    if (frame_bytes > limit - offset)
        return false;
    struct wal_frame frame = {
        .offset = offset,
        .end_offset = offset + frame_bytes,
        .first_sequence = fixed64_decode(at + WAL_FRAME_SEQUENCE),
        .commit_time_ms = fixed64_decode(at + WAL_FRAME_TIME),
        .synced_offset = fixed64_decode(at + WAL_FRAME_SYNCED),
        .batch_count = fixed32_decode(at + WAL_FRAME_BATCH_COUNT),
    };
    if (frame.first_sequence < next_sequence || frame.first_sequence > ENTRY_SEQUENCE_MAX ||
        frame.batch_count > ENTRY_SEQUENCE_MAX + 1 - frame.first_sequence ||
        frame.synced_offset > offset)
        return false;

    uint8_t salt[8];
    fixed64_encode(salt, reader->salt);
    uint32_t crc = crc32c_extend(0, salt, sizeof salt);
    crc = crc32c_extend(crc, at + WAL_FRAME_PAYLOAD_BYTES,
                        WAL_FRAME_HEADER_CRC - WAL_FRAME_PAYLOAD_BYTES);
    if (crc != crc32c_unmask(fixed32_decode(at + WAL_FRAME_HEADER_CRC)))
        return false;
    *ret = (struct frame_header){
        .frame = frame,
        .payload_bytes = payload_bytes,
        .crc_stored = crc32c_unmask(fixed32_decode(at + WAL_FRAME_CRC)),
        .crc_so_far = crc,
    };
    return true;
}

/* The frame at `offset`, whole in the window. *ret_valid false: none stands there. */
static enum varve_status frame_load(struct wal_reader *reader, uint64_t offset, bool *ret_valid,
                                    struct wal_frame *ret_frame)
{
    *ret_valid = false;
    if (reader->limit < offset || reader->limit - offset < WAL_FRAME_HEADER_BYTES)
        return VARVE_OK;
    enum varve_status status = window_load(reader, offset, WAL_FRAME_HEADER_BYTES);
    if (status != VARVE_OK)
        return status;
    struct frame_header header = {0};
    if (!frame_header_decode(reader, window_at(reader, offset), offset, reader->next_sequence,
                             reader->limit, &header))
        return VARVE_OK;
    size_t frame_bytes = (size_t)(header.frame.end_offset - offset);
    status = window_load(reader, offset, frame_bytes);
    if (status != VARVE_OK)
        return status;
    const uint8_t *at = window_at(reader, offset);
    uint32_t crc = crc32c_extend(header.crc_so_far, at + WAL_FRAME_HEADER_CRC,
                                 frame_bytes - WAL_FRAME_HEADER_CRC);
    if (crc != header.crc_stored)
        return VARVE_OK;
    header.frame.payload = varve_slice(at + WAL_FRAME_HEADER_BYTES, header.payload_bytes);
    *ret_frame = header.frame;
    *ret_valid = true;
    return VARVE_OK;
}

enum varve_status wal_reader_next(struct wal_reader *reader, struct wal_frame *ret_frame)
{
    if (reader->sealed && reader->offset == reader->limit)
        return VARVE_END;
    bool valid = false;
    struct wal_frame frame = {0};
    enum varve_status status = frame_load(reader, reader->offset, &valid, &frame);
    if (status != VARVE_OK)
        return status;
    if (!valid)
        return reader->sealed ? status_raise(VARVE_CORRUPT) : VARVE_END;
    reader->offset = frame.end_offset;
    reader->next_sequence = frame.first_sequence + frame.batch_count;
    if (frame.synced_offset > reader->synced_offset)
        reader->synced_offset = frame.synced_offset;
    reader->frames++;
    *ret_frame = frame;
    return VARVE_OK;
}

enum varve_status wal_frame_next_batch(struct varve_slice *payload_rest,
                                       struct varve_slice *ret_batch)
{
    if (payload_rest->size == 0)
        return VARVE_END;
    struct varve_slice rest = *payload_rest;
    uint32_t size = 0;
    if (!slice_take_fixed32(&rest, &size) || !slice_take_bytes(&rest, size, ret_batch))
        return status_raise(VARVE_CORRUPT);
    *payload_rest = rest;
    return VARVE_OK;
}

/* Goes over a frame whose header is believed, piece by piece; true in *ret_valid when its crc
 * holds. */
static enum varve_status frame_crc_stream(struct wal_reader *reader,
                                          const struct frame_header *header, bool *ret_valid)
{
    uint32_t crc = header->crc_so_far;
    uint64_t at = header->frame.offset + WAL_FRAME_HEADER_CRC;
    while (at < header->frame.end_offset) {
        uint64_t left = header->frame.end_offset - at;
        size_t piece = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        enum varve_status status = window_load(reader, at, piece);
        if (status != VARVE_OK)
            return status;
        crc = crc32c_extend(crc, window_at(reader, at), piece);
        at += piece;
    }
    *ret_valid = crc == header->crc_stored;
    return VARVE_OK;
}

/* The first offset from `from` on, within the window, whose header is believed; else where the
 * search has to go on with another window. */
static uint64_t window_search(const struct wal_reader *reader, uint64_t from,
                              uint64_t next_sequence, bool *ret_found, struct frame_header *ret)
{
    const uint8_t *at = window_at(reader, from);
    size_t size = reader->window.size - (size_t)(from - reader->window_offset);
    size_t i = 0;
    for (; i + WAL_FRAME_HEADER_BYTES <= size; i += WAL_FRAME_ALIGN) {
        if (fixed64_decode(at + i + WAL_FRAME_SEGMENT) != reader->segment_id)
            continue;
        if (frame_header_decode(reader, at + i, from + i, next_sequence, reader->file_bytes, ret)) {
            *ret_found = true;
            break;
        }
    }
    return from + i;
}

/* What can be told of the bad place itself. */
static enum varve_status bad_place_look(struct wal_reader *reader, struct wal_tail *tail)
{
    uint64_t left = reader->file_bytes - tail->offset;
    if (left < WAL_FRAME_SEGMENT + sizeof(uint64_t))
        return VARVE_OK;
    size_t size = left < WAL_FRAME_HEADER_BYTES ? (size_t)left : WAL_FRAME_HEADER_BYTES;
    enum varve_status status = window_load(reader, tail->offset, size);
    if (status != VARVE_OK)
        return status;
    const uint8_t *at = window_at(reader, tail->offset);
    if (fixed64_decode(at + WAL_FRAME_SEGMENT) != reader->segment_id)
        return VARVE_OK;
    struct frame_header header = {0};
    tail->kind = WAL_TAIL_TORN;
    tail->end_offset = tail->offset + size;
    if (size == WAL_FRAME_HEADER_BYTES &&
        frame_header_decode(reader, at, tail->offset, 0, reader->file_bytes, &header))
        tail->end_offset = header.frame.end_offset;
    return VARVE_OK;
}

enum varve_status wal_reader_judge(struct wal_reader *reader, struct wal_tail *ret_tail)
{
    struct wal_tail tail = {.offset = reader->offset,
                            .end_offset = reader->offset,
                            .synced_offset = reader->synced_offset};
    enum varve_status status = bad_place_look(reader, &tail);
    if (status != VARVE_OK)
        return status;
    uint64_t next_sequence = reader->next_sequence;
    uint64_t at = reader->offset;
    while (at <= reader->file_bytes && reader->file_bytes - at >= WAL_FRAME_HEADER_BYTES) {
        status = window_load(reader, at, WAL_FRAME_HEADER_BYTES);
        if (status != VARVE_OK)
            return status;
        bool found = false, valid = false;
        struct frame_header header = {0};
        at = window_search(reader, at, next_sequence, &found, &header);
        if (!found)
            continue;
        status = frame_crc_stream(reader, &header, &valid);
        if (status != VARVE_OK)
            return status;
        if (!valid) {
            at += WAL_FRAME_ALIGN;
            continue;
        }
        at = header.frame.end_offset;
        next_sequence = header.frame.first_sequence + header.frame.batch_count;
        tail.frames_dropped++;
        tail.end_offset = at > tail.end_offset ? at : tail.end_offset;
        if (header.frame.synced_offset > tail.synced_offset)
            tail.synced_offset = header.frame.synced_offset;
    }
    if (tail.frames_dropped != 0)
        tail.kind = tail.synced_offset > tail.offset ? WAL_TAIL_DAMAGED : WAL_TAIL_TORN;
    *ret_tail = tail;
    return VARVE_OK;
}

enum varve_status wal_segment_has_frame(struct env *env, const char *path, uint64_t segment_id,
                                        bool thorough, bool *ret_has)
{
    struct wal_reader reader = {0};
    struct wal_frame frame = {0};
    struct wal_tail tail = {0};

    enum varve_status status = wal_reader_open(&reader, env, path, segment_id, 0, NULL);
    if (status == VARVE_CORRUPT || status == VARVE_NOT_FOUND) {
        *ret_has = false; /* no header of its own: never made ready */
        return VARVE_OK;
    }
    if (status != VARVE_OK)
        return status;
    status = wal_reader_next(&reader, &frame);
    bool has = status == VARVE_OK;
    if (status == VARVE_END)
        status = thorough ? wal_reader_judge(&reader, &tail) : VARVE_OK;
    wal_reader_close(&reader);
    if (status == VARVE_OK)
        *ret_has = has || tail.kind != WAL_TAIL_CLEAN;
    return status;
}
