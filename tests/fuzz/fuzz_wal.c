/*
 * Fuzz target: a log segment, replayed and judged, unsealed and sealed; and once more with its
 * checksums mended, which would else stop nearly every mutation.
 */
#include "base/crc32c.h"
#include "format/batch_codec.h"
#include "format/wal_reader.h"
#include "fuzz.h"
#include "must.h"
#include "small_files.h"

bool fuzz_seed(unsigned which, struct buf *out)
{
    struct small_wal wal;
    if (which != 0)
        return false;
    small_wal_make(fuzz_path(), &wal);
    fuzz_file_read(out);
    return true;
}

static void frame_check(const struct wal_frame *frame, size_t file_bytes)
{
    must(frame->end_offset <= file_bytes && frame->payload.size <= file_bytes);
    struct varve_slice rest = frame->payload, bytes = {0};
    while (wal_frame_next_batch(&rest, &bytes) == VARVE_OK) {
        struct batch_reader batch = {0};
        struct batch_op op = {0};
        if (batch_reader_init(&batch, bytes) != VARVE_OK)
            continue;
        while (batch_reader_next(&batch, &op) == VARVE_OK)
            ;
    }
}

static void replay(size_t size, uint64_t sealed)
{
    struct wal_reader reader;
    struct wal_frame frame = {0};
    struct wal_tail tail = {0};
    struct varve_error error = {0};
    if (wal_reader_open(&reader, env_posix(), fuzz_path(), SMALL_WAL_SEGMENT, sealed, &error) !=
        VARVE_OK)
        return;
    uint64_t next_sequence = 0;
    enum varve_status status;
    while ((status = wal_reader_next(&reader, &frame)) == VARVE_OK) {
        must(frame.first_sequence >= next_sequence);
        next_sequence = frame.first_sequence;
        frame_check(&frame, size);
    }
    must(status == VARVE_END || (sealed != 0 && status == VARVE_CORRUPT));
    must_ok(wal_reader_judge(&reader, &tail));
    must(tail.end_offset >= tail.offset && tail.end_offset <= size);
    wal_reader_close(&reader);
}

/* Makes the checksums of the header and of every frame that can still be found hold. */
static void segment_mend(struct buf *segment)
{
    uint8_t *at = segment->data;
    fixed32_encode(at + WAL_HEADER_CRC, crc32c_mask(crc32c_extend(0, at, WAL_HEADER_CRC)));
    const uint32_t salted = crc32c_extend(0, at + WAL_HEADER_SALT, sizeof(uint64_t));
    size_t offset = WAL_HEADER_BLOCK_BYTES;
    while (segment->size - offset >= WAL_FRAME_HEADER_BYTES) {
        at = segment->data + offset;
        uint64_t bytes = wal_frame_bytes(fixed32_decode(at + WAL_FRAME_PAYLOAD_BYTES));
        if (bytes > segment->size - offset)
            return;
        uint32_t crc =
            crc32c_extend(salted, at + sizeof(uint32_t), WAL_FRAME_HEADER_CRC - sizeof(uint32_t));
        fixed32_encode(at + WAL_FRAME_HEADER_CRC, crc32c_mask(crc));
        crc = crc32c_extend(crc, at + WAL_FRAME_HEADER_CRC, (size_t)bytes - WAL_FRAME_HEADER_CRC);
        fixed32_encode(at + WAL_FRAME_CRC, crc32c_mask(crc));
        offset += (size_t)bytes;
    }
}

static void segment_try(const uint8_t *data, size_t size)
{
    fuzz_file_write(data, size);
    replay(size, 0);
    replay(size, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    segment_try(data, size);
    if (size >= WAL_HEADER_BLOCK_BYTES) {
        struct buf mended = {0};
        must_ok(buf_append(&mended, data, size));
        segment_mend(&mended);
        segment_try(mended.data, mended.size);
        buf_deinit(&mended);
    }
    return 0;
}
