/* The write-ahead log: what is written is replayed, and how the end of a segment is judged. */
#include "format/wal_reader.h"
#include "format/wal_writer.h"

#include <stdio.h>

#include "base/crc32c.h"
#include "fault_env.h"
#include "format/entry.h"
#include "support.h"

#define STEP_BYTES 65536u
#define SEGMENT 7u

struct fixture {
    struct tmpdir dir;
    struct fault_env *fault;
    struct env *env;
    char path[TMPDIR_PATH_BYTES + 32];
    struct wal_writer writer;
};

static void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    tmpdir_make(&f->dir);
    f->fault = fault_env_new(env_posix());
    f->env = fault_env_env(f->fault);
    snprintf(f->path, sizeof f->path, "%s", tmpdir_path(&f->dir, "000007.wal"));
    ck_ok(wal_writer_open(&f->writer, f->env, f->path, SEGMENT, 1000, STEP_BYTES));
}

static void fixture_close(struct fixture *f)
{
    wal_writer_close(&f->writer);
    ck_assert_uint_eq(fault_env_handles(f->fault), 0);
    fault_env_free(f->fault);
    tmpdir_remove(&f->dir);
}

static enum varve_status frame_put(struct wal_writer *writer, uint64_t sequence, size_t batches,
                                   size_t batch_bytes)
{
    static const uint8_t fill[STEP_BYTES * 2] = {'b'};
    ck_ok(wal_writer_begin(writer, sequence, 2000 + sequence));
    for (size_t i = 0; i < batches; i++)
        ck_ok(wal_writer_add(writer, varve_slice(fill, batch_bytes)));
    return wal_writer_commit(writer);
}

/* Replays; gives the frames and the tail. */
static size_t replay(struct fixture *f, uint64_t sealed, struct wal_tail *ret_tail,
                     enum varve_status *ret_end)
{
    struct wal_reader reader;
    struct wal_frame frame;
    struct varve_error error = {0};
    ck_ok(wal_reader_open(&reader, f->env, f->path, SEGMENT, sealed, &error));
    size_t frames = 0;
    enum varve_status status;
    while ((status = wal_reader_next(&reader, &frame)) == VARVE_OK)
        frames++;
    *ret_end = status;
    ck_assert_uint_eq(reader.frames, frames);
    if (ret_tail != NULL)
        ck_ok(wal_reader_judge(&reader, ret_tail));
    wal_reader_close(&reader);
    return frames;
}

static void bytes_change(struct fixture *f, uint64_t offset, struct varve_slice bytes)
{
    struct env_file *file = NULL;
    ck_ok(env_open(f->env, f->path, ENV_OPEN_WRITE, &file));
    ck_ok(env_file_write(file, offset, bytes));
    ck_ok(env_file_close(file));
}

static void byte_flip(struct fixture *f, uint64_t offset)
{
    struct env_file *file = NULL;
    uint8_t byte = 0;
    size_t size = 0;
    ck_ok(env_open(f->env, f->path, ENV_OPEN_WRITE, &file));
    ck_ok(env_file_read(file, offset, &byte, 1, &size));
    byte ^= 0x40;
    ck_ok(env_file_write(file, offset, varve_slice(&byte, 1)));
    ck_ok(env_file_close(file));
}

START_TEST(round_trip)
{
    struct fixture f;
    fixture_open(&f);
    ck_ok(wal_writer_begin(&f.writer, 5, 2005));
    ck_ok(wal_writer_add(&f.writer, varve_slice_str("first")));
    ck_ok(wal_writer_add(&f.writer, varve_slice_str("")));
    ck_ok(wal_writer_add(&f.writer, varve_slice_str("third")));
    ck_ok(wal_writer_commit(&f.writer));
    uint64_t end_of_first = f.writer.offset;
    ck_ok(wal_writer_sync(&f.writer));
    ck_ok(frame_put(&f.writer, 8, 0, 0));

    struct wal_reader reader;
    struct wal_frame frame = {0};
    struct varve_slice rest, batch;
    struct varve_error error = {0};
    ck_ok(wal_reader_open(&reader, f.env, f.path, SEGMENT, 0, &error));
    ck_ok(wal_reader_next(&reader, &frame));
    ck_assert_uint_eq(frame.offset, WAL_HEADER_BLOCK_BYTES);
    ck_assert_uint_eq(frame.end_offset, end_of_first);
    ck_assert_uint_eq(frame.first_sequence, 5);
    ck_assert_uint_eq(frame.commit_time_ms, 2005);
    ck_assert_uint_eq(frame.synced_offset, WAL_HEADER_BLOCK_BYTES);
    ck_assert_uint_eq(frame.batch_count, 3);
    rest = frame.payload;
    ck_ok(wal_frame_next_batch(&rest, &batch));
    ck_slice_eq(batch, varve_slice_str("first"));
    ck_ok(wal_frame_next_batch(&rest, &batch));
    ck_slice_eq(batch, varve_slice_str(""));
    ck_ok(wal_frame_next_batch(&rest, &batch));
    ck_slice_eq(batch, varve_slice_str("third"));
    ck_status(wal_frame_next_batch(&rest, &batch), VARVE_END);
    ck_assert_uint_eq(reader.next_sequence, 8);
    ck_ok(wal_reader_next(&reader, &frame));
    ck_assert_uint_eq(frame.batch_count, 0);
    ck_assert_uint_eq(frame.synced_offset, end_of_first);
    ck_status(wal_reader_next(&reader, &frame), VARVE_END);
    struct wal_tail tail = {0};
    ck_ok(wal_reader_judge(&reader, &tail));
    ck_assert_int_eq(tail.kind, WAL_TAIL_CLEAN);
    ck_assert_uint_eq(tail.offset, f.writer.offset);
    ck_assert_uint_eq(tail.end_offset, tail.offset);
    ck_assert_uint_eq(tail.synced_offset, end_of_first);
    wal_reader_close(&reader);
    fixture_close(&f);
}
END_TEST

START_TEST(batch_lengths_are_checked)
{
    static const uint8_t payload[] = {9, 0, 0, 0, 'a'};
    struct varve_slice rest = varve_slice(payload, sizeof payload), batch = {0};
    ck_status(wal_frame_next_batch(&rest, &batch), VARVE_CORRUPT);
    rest = varve_slice(payload, 3);
    ck_status(wal_frame_next_batch(&rest, &batch), VARVE_CORRUPT);
}
END_TEST

START_TEST(large_frames_and_zero_fill)
{
    struct fixture f;
    fixture_open(&f);
    ck_assert_uint_eq(f.writer.written_until, STEP_BYTES);
    ck_ok(frame_put(&f.writer, 1, 1, STEP_BYTES / 2));
    ck_assert_uint_eq(f.writer.written_until, STEP_BYTES);
    ck_ok(frame_put(&f.writer, 2, 1, STEP_BYTES / 2));
    ck_assert_uint_eq(f.writer.written_until, 2 * STEP_BYTES);
    ck_ok(frame_put(&f.writer, 3, 1, 2 * STEP_BYTES)); /* larger than a step */
    ck_assert_uint_eq(f.writer.written_until, f.writer.offset);
    uint64_t bytes = 0;
    ck_ok(env_file_size(f.writer.file, &bytes));
    ck_assert_uint_eq(bytes, f.writer.written_until);
    /* and one that is larger than the reader's window */
    for (uint64_t i = 4; i < 30; i++)
        ck_ok(frame_put(&f.writer, i * 100, i, STEP_BYTES * 2));
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 29);
    ck_status(end, VARVE_END);
    ck_assert_int_eq(tail.kind, WAL_TAIL_CLEAN);
    /* the judge streams over frames larger than its window */
    byte_flip(&f, WAL_HEADER_BLOCK_BYTES);
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 0);
    ck_assert_int_eq(tail.kind, WAL_TAIL_TORN);
    ck_assert_uint_eq(tail.frames_dropped, 28);
    ck_assert_uint_eq(tail.end_offset, f.writer.offset);
    fixture_close(&f);
}
END_TEST

START_TEST(recycled_segment)
{
    struct fixture f;
    fixture_open(&f);
    for (uint64_t i = 1; i <= 20; i++)
        ck_ok(frame_put(&f.writer, i, 1, 100));
    ck_ok(wal_writer_sync(&f.writer));
    wal_writer_close(&f.writer);
    /* even with the same id and growing sequences, the old life's frames do not count */
    ck_ok(wal_writer_open(&f.writer, f.env, f.path, SEGMENT, 3000, STEP_BYTES / 2));
    ck_assert_uint_eq(f.writer.written_until, STEP_BYTES);
    ck_ok(frame_put(&f.writer, 1, 1, 100));
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    ck_status(end, VARVE_END);
    ck_assert_uint_eq(tail.frames_dropped, 0);
    ck_assert_int_eq(tail.kind, WAL_TAIL_TORN); /* a header with our id stands there */
    fixture_close(&f);
}
END_TEST

START_TEST(sealed)
{
    struct fixture f;
    fixture_open(&f);
    ck_ok(frame_put(&f.writer, 1, 1, 100));
    uint64_t middle = f.writer.offset;
    ck_ok(frame_put(&f.writer, 2, 1, 100));
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, f.writer.offset, NULL, &end), 2);
    ck_status(end, VARVE_END);
    ck_assert_uint_eq(replay(&f, middle, NULL, &end), 1); /* what is behind is not looked at */
    ck_status(end, VARVE_END);
    ck_assert_uint_eq(replay(&f, middle + 8, NULL, &end), 1);
    ck_status(end, VARVE_CORRUPT);
    ck_assert_uint_eq(replay(&f, f.writer.offset + 8, NULL, &end), 2);
    ck_status(end, VARVE_CORRUPT);
    ck_assert_uint_eq(replay(&f, WAL_HEADER_BLOCK_BYTES, NULL, &end), 0);
    ck_status(end, VARVE_END);

    struct wal_reader reader;
    struct varve_error error = {0};
    ck_status(wal_reader_open(&reader, f.env, f.path, SEGMENT, STEP_BYTES + 8, &error),
              VARVE_CORRUPT);
    ck_assert_str_eq(error.path, f.path);
    ck_status(wal_reader_open(&reader, f.env, f.path, SEGMENT, middle + 1, &error), VARVE_CORRUPT);
    ck_status(wal_reader_open(&reader, f.env, f.path, SEGMENT, 8, &error), VARVE_CORRUPT);
    ck_status(wal_reader_open(&reader, f.env, f.path, SEGMENT + 1, 0, &error), VARVE_CORRUPT);
    ck_status(wal_reader_open(&reader, f.env, "/nonexistent/7.wal", SEGMENT, 0, &error),
              VARVE_NOT_FOUND);
    fixture_close(&f);
}
END_TEST

/* Four frames; the sync before the one numbered `synced_before` (0: none). Flips a byte of the
 * second, and judges. */
static struct wal_tail judge_flip(unsigned synced_before, uint64_t flip_at)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t second = 0;
    for (unsigned i = 1; i <= 4; i++) {
        if (i == 2)
            second = f.writer.offset;
        if (i == synced_before)
            ck_ok(wal_writer_sync(&f.writer));
        ck_ok(frame_put(&f.writer, i, 1, 50));
    }
    byte_flip(&f, second + flip_at);
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    ck_status(end, VARVE_END);
    ck_assert_uint_eq(tail.offset, second);
    ck_assert_uint_eq(tail.end_offset, f.writer.offset);
    ck_assert_uint_eq(tail.frames_dropped, 2);
    fixture_close(&f);
    return tail;
}

START_TEST(judged_by_what_was_synced)
{
    for (uint64_t at = 0; at < WAL_FRAME_HEADER_BYTES + 54; at++) {
        ck_assert_int_eq(judge_flip(0, at).kind, WAL_TAIL_TORN);
        ck_assert_int_eq(judge_flip(2, at).kind, WAL_TAIL_TORN); /* synced up to it only */
        ck_assert_int_eq(judge_flip(3, at).kind, WAL_TAIL_DAMAGED);
        ck_assert_int_eq(judge_flip(4, at).kind, WAL_TAIL_DAMAGED);
    }
}
END_TEST

START_TEST(lone_bad_frame)
{
    struct fixture f;
    fixture_open(&f);
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_ok(frame_put(&f.writer, 1, 1, 50));
    uint64_t last = f.writer.offset;
    ck_ok(frame_put(&f.writer, 2, 1, 50));
    byte_flip(&f, last + WAL_FRAME_HEADER_BYTES + 10); /* the payload: the header still holds */
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    ck_assert_int_eq(tail.kind, WAL_TAIL_TORN);
    ck_assert_uint_eq(tail.end_offset, f.writer.offset);
    byte_flip(&f, last + WAL_FRAME_SEQUENCE); /* the header too */
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    ck_assert_int_eq(tail.kind, WAL_TAIL_TORN);
    ck_assert_uint_eq(tail.end_offset, last + WAL_FRAME_HEADER_BYTES);
    byte_flip(&f, last + WAL_FRAME_SEGMENT); /* and its id: nothing of ours any more */
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    ck_assert_int_eq(tail.kind, WAL_TAIL_CLEAN);
    ck_assert_uint_eq(tail.end_offset, last);
    fixture_close(&f);
}
END_TEST

/* A frame within a value, forged with all but the salt. */
START_TEST(value_cannot_forge_a_frame)
{
    struct fixture f;
    fixture_open(&f);
    ck_ok(frame_put(&f.writer, 1, 1, 40));
    uint64_t target = f.writer.offset;
    uint8_t forged[WAL_FRAME_HEADER_BYTES + 4] = {0};
    uint8_t *frame = forged + 4; /* so that it is aligned to 8 behind the batch's length */
    fixed64_encode(frame + WAL_FRAME_SEGMENT, SEGMENT);
    fixed64_encode(frame + WAL_FRAME_SEQUENCE, 50);
    fixed64_encode(frame + WAL_FRAME_SYNCED, target + 8);
    uint32_t crc = crc32c_extend(0, frame + 4, WAL_FRAME_HEADER_CRC - 4);
    fixed32_encode(frame + WAL_FRAME_HEADER_CRC, crc32c_mask(crc));
    crc = crc32c_extend(0, frame + 4, WAL_FRAME_HEADER_BYTES - 4);
    fixed32_encode(frame, crc32c_mask(crc));
    ck_ok(wal_writer_begin(&f.writer, 2, 0));
    ck_ok(wal_writer_add(&f.writer, varve_slice(forged, sizeof forged)));
    ck_ok(wal_writer_commit(&f.writer));
    byte_flip(&f, target);
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    ck_assert_int_eq(tail.kind, WAL_TAIL_TORN);
    ck_assert_uint_eq(tail.frames_dropped, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(sequences_never_go_back)
{
    struct fixture f;
    fixture_open(&f);
    ck_ok(frame_put(&f.writer, 10, 2, 40));
    ck_ok(frame_put(&f.writer, 11, 1, 40)); /* 12 would be next */
    ck_ok(frame_put(&f.writer, 12, 1, 40));
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    ck_status(end, VARVE_END);
    ck_assert_int_eq(tail.kind, WAL_TAIL_TORN);
    ck_assert_uint_eq(tail.frames_dropped, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(frame_cannot_know_itself_synced)
{
    struct fixture f;
    fixture_open(&f);
    ck_ok(frame_put(&f.writer, 1, 1, 40));
    f.writer.synced_offset = f.writer.offset + WAL_FRAME_ALIGN;
    ck_ok(frame_put(&f.writer, 2, 1, 40));
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    ck_assert_uint_eq(tail.frames_dropped, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(newer_version)
{
    struct fixture f;
    fixture_open(&f);
    struct buf content = {0};
    support_file_read(f.path, &content);
    fixed32_encode(content.data + WAL_HEADER_VERSION, WAL_FORMAT_VERSION + 1);
    fixed32_encode(content.data + WAL_HEADER_CRC,
                   crc32c_mask(crc32c_extend(0, content.data, WAL_HEADER_CRC)));
    bytes_change(&f, 0, varve_slice(content.data, WAL_HEADER_BLOCK_BYTES));
    struct wal_reader reader;
    struct varve_error error = {0};
    ck_status(wal_reader_open(&reader, f.env, f.path, SEGMENT, 0, &error), VARVE_UNSUPPORTED);
    ck_assert_uint_eq(error.offset, WAL_HEADER_VERSION);
    buf_deinit(&content);
    fixture_close(&f);
}
END_TEST

START_TEST(no_space_for_zeros)
{
    struct fixture f;
    fixture_open(&f);
    ck_ok(frame_put(&f.writer, 1, 1, STEP_BYTES - 8192));
    uint64_t before = f.writer.offset;
    struct fault_rule rule = {.operations = FAULT_WRITE,
                              .at = 1,
                              .for_good = true,
                              .status = VARVE_NO_SPACE,
                              .short_write = true};
    fault_env_set_rule(f.fault, &rule);
    ck_status(frame_put(&f.writer, 2, 1, 8192), VARVE_NO_SPACE);
    ck_assert(!f.writer.damaged);
    ck_assert_uint_eq(f.writer.offset, before);
    fault_env_set_rule(f.fault, NULL);
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 1);
    fixture_close(&f);
}
END_TEST

START_TEST(room_comes_back)
{
    struct fixture f;
    fixture_open(&f);
    ck_ok(frame_put(&f.writer, 1, 1, STEP_BYTES - 8192));
    struct fault_rule rule = {
        .operations = FAULT_WRITE, .at = 1, .status = VARVE_NO_SPACE, .short_write = true};
    fault_env_set_rule(f.fault, &rule);
    ck_status(frame_put(&f.writer, 2, 1, 8192), VARVE_NO_SPACE);
    ck_ok(frame_put(&f.writer, 2, 1, 8192));
    ck_ok(frame_put(&f.writer, 3, 1, 10));
    struct wal_tail tail = {0};
    enum varve_status end = VARVE_OK;
    ck_assert_uint_eq(replay(&f, 0, &tail, &end), 3);
    ck_assert_int_eq(tail.kind, WAL_TAIL_CLEAN);
    fixture_close(&f);
}
END_TEST

START_TEST(failed_write_or_sync_damages)
{
    static const struct {
        unsigned operations;
        enum varve_status status;
        size_t batch_bytes;
    } cases[] = {
        {FAULT_WRITE, VARVE_NO_SPACE, 100},  /* of the frame itself */
        {FAULT_WRITE, VARVE_IO, 100},        /* the same */
        {FAULT_WRITE, VARVE_IO, STEP_BYTES}, /* of zeros */
        {FAULT_SYNC, VARVE_IO, 100},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_open(&f);
        struct fault_rule rule = {
            .operations = cases[i].operations, .at = 1, .status = cases[i].status};
        fault_env_set_rule(f.fault, &rule);
        enum varve_status status = frame_put(&f.writer, 1, 1, cases[i].batch_bytes);
        if (status == VARVE_OK)
            status = wal_writer_sync(&f.writer);
        ck_status(status, cases[i].status);
        ck_assert(f.writer.damaged);
        ck_assert_uint_eq(f.writer.synced_offset, WAL_HEADER_BLOCK_BYTES);
        fixture_close(&f);
    }
}
END_TEST

/* Every call of opening fails in turn: the failure is told, nothing stays open. */
START_TEST(open_fails_cleanly)
{
    struct fixture f;
    fixture_open(&f);
    for (uint64_t at = 1;; at++) {
        struct fault_rule rule = {
            .operations = FAULT_ANY & ~(unsigned)FAULT_CLOSE, .at = at, .status = VARVE_IO};
        struct wal_writer writer = {0};
        char name[32];
        snprintf(name, sizeof name, "%06u.wal", (unsigned)(10 + at));
        fault_env_set_rule(f.fault, &rule);
        enum varve_status status =
            wal_writer_open(&writer, f.env, tmpdir_path(&f.dir, name), 10 + at, 0, STEP_BYTES * 3);
        ck_assert_uint_eq(fault_env_chosen(f.fault), status == VARVE_OK ? 0 : 1);
        wal_writer_close(&writer);
        ck_assert_uint_eq(fault_env_handles(f.fault), 1);
        if (status == VARVE_OK)
            break;
        ck_status(status, VARVE_IO);
    }
    fault_env_set_rule(f.fault, NULL);
    fixture_close(&f);
}
END_TEST

START_TEST(read_failures_are_told)
{
    struct fixture f;
    fixture_open(&f);
    for (uint64_t i = 1; i <= 3; i++)
        ck_ok(frame_put(&f.writer, i, 1, 50));
    for (uint64_t at = 1;; at++) {
        struct fault_rule rule = {.operations = FAULT_READ | FAULT_SIZE | FAULT_OPEN,
                                  .at = at,
                                  .for_good = true,
                                  .status = VARVE_IO};
        fault_env_set_rule(f.fault, &rule);
        struct wal_reader reader;
        struct wal_frame frame;
        struct wal_tail tail = {0};
        enum varve_status status = wal_reader_open(&reader, f.env, f.path, SEGMENT, 0, NULL);
        while (status == VARVE_OK)
            status = wal_reader_next(&reader, &frame);
        if (status == VARVE_END)
            status = wal_reader_judge(&reader, &tail);
        wal_reader_close(&reader);
        ck_assert_uint_eq(fault_env_handles(f.fault), 1);
        if (status == VARVE_OK)
            break;
        ck_status(status, VARVE_IO);
    }
    fault_env_set_rule(f.fault, NULL);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"round_trip", round_trip},
        {"batch_lengths_are_checked", batch_lengths_are_checked},
        {"large_frames_and_zero_fill", large_frames_and_zero_fill},
        {"recycled_segment", recycled_segment},
        {"sealed", sealed},
        {"judged_by_what_was_synced", judged_by_what_was_synced},
        {"lone_bad_frame", lone_bad_frame},
        {"value_cannot_forge_a_frame", value_cannot_forge_a_frame},
        {"sequences_never_go_back", sequences_never_go_back},
        {"frame_cannot_know_itself_synced", frame_cannot_know_itself_synced},
        {"newer_version", newer_version},
        {"no_space_for_zeros", no_space_for_zeros},
        {"room_comes_back", room_comes_back},
        {"failed_write_or_sync_damages", failed_write_or_sync_damages},
        {"open_fails_cleanly", open_fails_cleanly},
        {"read_failures_are_told", read_failures_are_told},
    };
    return SUPPORT_RUN("wal", tests);
}
