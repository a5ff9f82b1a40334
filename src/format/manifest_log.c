/*
 * Records are numbered and their crcs bound to the manifest's id, so that a record of another
 * manifest, or a repeated or lost one, is not taken for the next. A manifest is small against the
 * data that it describes: it is read whole.
 */
#include "format/manifest_log.h"

#include <assert.h>

#include "base/crc32c.h"

enum header_field {
    HEADER_VERSION = 8,
    HEADER_RESERVED = 12,
    HEADER_ID = 16,
    HEADER_CRC = 24,
};

enum record_field {
    RECORD_CRC = 0,
    RECORD_PAYLOAD_BYTES = 4,
    RECORD_NUMBER = 8,
};

/* Of a record that begins at `at`, header included. */
static uint32_t record_crc(uint64_t manifest_id, const uint8_t *at, size_t record_bytes)
{
    uint8_t id[8];
    fixed64_encode(id, manifest_id);
    return crc32c_extend(crc32c_extend(0, id, sizeof id), at + RECORD_PAYLOAD_BYTES,
                         record_bytes - RECORD_PAYLOAD_BYTES);
}

enum varve_status manifest_writer_create(struct manifest_writer *writer, struct env *env,
                                         const char *path, uint64_t manifest_id)
{
    uint8_t header[MANIFEST_HEADER_BYTES] = {0};
    memcpy(header, MANIFEST_MAGIC, MANIFEST_MAGIC_BYTES);
    fixed32_encode(header + HEADER_VERSION, MANIFEST_FORMAT_VERSION);
    fixed64_encode(header + HEADER_ID, manifest_id);
    fixed32_encode(header + HEADER_CRC, crc32c_mask(crc32c_extend(0, header, HEADER_CRC)));

    struct manifest_writer w = {
        .manifest_id = manifest_id, .offset = MANIFEST_HEADER_BYTES, .record_number = 1};
    enum varve_status status =
        env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &w.file);
    if (status != VARVE_OK)
        return status;
    status = env_file_write(w.file, 0, varve_slice(header, sizeof header));
    if (status != VARVE_OK) {
        manifest_writer_close(&w);
        return status;
    }
    *writer = w;
    return VARVE_OK;
}

void manifest_writer_close(struct manifest_writer *writer)
{
    /* Whatever must last was synced before, so how the close ends says nothing of use. */
    if (writer->file != NULL)
        (void)env_file_close(writer->file);
    writer->file = NULL;
    buf_deinit(&writer->scratch);
}

static enum varve_status record_make(struct manifest_writer *writer,
                                     const struct manifest_edit *edit)
{
    struct buf *record = &writer->scratch;
    buf_clear(record);
    enum varve_status status = buf_append_zeros(record, MANIFEST_RECORD_HEADER_BYTES);
    if (status != VARVE_OK)
        return status;
    status = manifest_edit_encode(edit, record);
    if (status != VARVE_OK)
        return status;
    if (record->size > UINT32_MAX)
        return status_raise(VARVE_TOO_LARGE);
    fixed32_encode(record->data + RECORD_PAYLOAD_BYTES,
                   (uint32_t)(record->size - MANIFEST_RECORD_HEADER_BYTES));
    fixed64_encode(record->data + RECORD_NUMBER, writer->record_number);
    fixed32_encode(record->data + RECORD_CRC,
                   crc32c_mask(record_crc(writer->manifest_id, record->data, record->size)));
    return VARVE_OK;
}

enum varve_status manifest_writer_append(struct manifest_writer *writer,
                                         const struct manifest_edit *edit, bool sync)
{
    assert(!writer->failed);
    enum varve_status status = record_make(writer, edit);
    if (status != VARVE_OK)
        return status;
    status = env_file_write(writer->file, writer->offset, buf_slice(&writer->scratch));
    if (status == VARVE_OK && sync)
        status = env_file_sync(writer->file);
    if (status != VARVE_OK) {
        writer->failed = true;
        return status;
    }
    writer->offset += writer->scratch.size;
    writer->record_number++;
    return VARVE_OK;
}

/* True when a valid record of this manifest stands at `at`, with a number from `number_min` to
 * `number_max`. */
static bool record_take(uint64_t manifest_id, struct varve_slice at, uint64_t number_min,
                        uint64_t number_max, struct varve_slice *ret_payload)
{
    if (at.size < MANIFEST_RECORD_HEADER_BYTES)
        return false;
    uint64_t number = fixed64_decode(at.data + RECORD_NUMBER);
    if (number < number_min || number > number_max)
        return false;
    uint32_t payload_bytes = fixed32_decode(at.data + RECORD_PAYLOAD_BYTES);
    if (payload_bytes > at.size - MANIFEST_RECORD_HEADER_BYTES)
        return false;
    size_t record_bytes = MANIFEST_RECORD_HEADER_BYTES + payload_bytes;
    if (crc32c_unmask(fixed32_decode(at.data + RECORD_CRC)) !=
        record_crc(manifest_id, at.data, record_bytes))
        return false;
    *ret_payload = varve_slice(at.data + MANIFEST_RECORD_HEADER_BYTES, payload_bytes);
    return true;
}

/* Every record takes its header at least, so between here and a later record only so many can have
 * been: that keeps the search from believing numbers at random. */
static bool valid_record_follows(uint64_t manifest_id, struct varve_slice content,
                                 size_t bad_offset, uint64_t bad_number)
{
    struct varve_slice payload = {0};
    for (size_t at = bad_offset + 1; at < content.size; at++) {
        uint64_t between = (at - bad_offset) / MANIFEST_RECORD_HEADER_BYTES;
        if (record_take(manifest_id, varve_slice(content.data + at, content.size - at), bad_number,
                        bad_number + between, &payload))
            return true;
    }
    return false;
}

static enum varve_status header_check(struct varve_slice content, const char *path,
                                      uint64_t manifest_id, struct varve_error *ret_error)
{
    const uint8_t *at = content.data;
    if (content.size < MANIFEST_HEADER_BYTES)
        return error_set(ret_error, VARVE_CORRUPT, path, content.size,
                         "the manifest is shorter than its header");
    if (memcmp(at, MANIFEST_MAGIC, MANIFEST_MAGIC_BYTES) != 0)
        return error_set(ret_error, VARVE_CORRUPT, path, 0, "not a manifest: wrong magic");
    if (crc32c_unmask(fixed32_decode(at + HEADER_CRC)) != crc32c_extend(0, at, HEADER_CRC))
        return error_set(ret_error, VARVE_CORRUPT, path, HEADER_CRC,
                         "the manifest header's checksum does not hold");
    uint32_t version = fixed32_decode(at + HEADER_VERSION);
    if (version != MANIFEST_FORMAT_VERSION)
        return error_set(ret_error, VARVE_UNSUPPORTED, path, HEADER_VERSION,
                         "manifest format %u is not known, only %u", version,
                         MANIFEST_FORMAT_VERSION);
    if (fixed32_decode(at + HEADER_RESERVED) != 0 || fixed64_decode(at + HEADER_ID) != manifest_id)
        return error_set(ret_error, VARVE_CORRUPT, path, HEADER_ID,
                         "the manifest is not the one that its name says");
    return VARVE_OK;
}

static enum varve_status content_read(struct env *env, const char *path, struct buf *ret,
                                      struct varve_error *ret_error)
{
    struct env_file *file = NULL;
    uint64_t bytes = 0;
    enum varve_status status = env_open(env, path, ENV_OPEN_READ, &file);
    if (status == VARVE_OK)
        status = env_file_size(file, &bytes);
    if (status == VARVE_OK)
        status = bytes <= SIZE_MAX ? buf_reserve(ret, (size_t)bytes) : VARVE_TOO_LARGE;
    if (status == VARVE_OK)
        status = env_file_read(file, 0, ret->data, (size_t)bytes, &ret->size);
    if (file != NULL)
        (void)env_file_close(file); /* only read from */
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, STATUS_NO_OFFSET,
                         "the manifest cannot be read: %s", varve_status_text(status));
    return VARVE_OK;
}

/* Decodes a record and hands it on. */
static enum varve_status record_apply(struct varve_slice payload, const char *path, uint64_t offset,
                                      uint64_t number, manifest_edit_fn each, void *context,
                                      struct varve_error *ret_error)
{
    struct manifest_edit edit = {0};
    enum varve_status status = manifest_edit_decode(payload, &edit);
    if (status != VARVE_OK)
        return error_set(ret_error, status, path, offset, "record %llu of the manifest: %s",
                         (unsigned long long)number, varve_status_text(status));
    status = each(context, &edit);
    manifest_edit_deinit(&edit);
    return status;
}

enum varve_status manifest_read(struct env *env, const char *path, uint64_t manifest_id,
                                manifest_edit_fn each, void *context, uint64_t *ret_bad_offset,
                                bool *ret_valid_follows, struct varve_error *ret_error)
{
    struct buf content = {0};
    uint64_t bad_offset = UINT64_MAX;
    bool valid_follows = false;
    enum varve_status status = content_read(env, path, &content, ret_error);
    if (status != VARVE_OK)
        goto out;
    status = header_check(buf_slice(&content), path, manifest_id, ret_error);
    if (status != VARVE_OK)
        goto out;
    size_t at = MANIFEST_HEADER_BYTES;
    for (uint64_t number = 1; at < content.size; number++) {
        struct varve_slice rest = varve_slice(content.data + at, content.size - at), payload = {0};
        if (!record_take(manifest_id, rest, number, number, &payload)) {
            bad_offset = at;
            valid_follows = valid_record_follows(manifest_id, buf_slice(&content), at, number);
            break;
        }
        status = record_apply(payload, path, at, number, each, context, ret_error);
        if (status != VARVE_OK)
            goto out;
        at += MANIFEST_RECORD_HEADER_BYTES + payload.size;
    }
    *ret_bad_offset = bad_offset;
    *ret_valid_follows = valid_follows;
out:
    buf_deinit(&content);
    return status;
}
