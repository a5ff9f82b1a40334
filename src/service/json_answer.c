/*
 * A batch's results are written before the batch is committed, so that one too large an answer can
 * be refused in time; yet a value that the batch itself puts bears the commit's revision. Such
 * places are remembered as holes and filled when the answer is put together.
 */
#include "service/json_answer.h"

#include <string.h>

#include "service/json_writer.h"
#include "service/limits.h"
#include "service/utf8.h"

#define REVISION_DIGITS_MAX 20u
#define TEXT_BYTES_PER_BYTE_MAX 6u
#define ITEM_FRAME_BYTES 160u   /* what stands round key and value in an item, generously */
#define RESULTS_FRAME_BYTES 64u /* what stands round the results in an answer, generously */

static void write_key(struct json_writer *w, struct varve_slice key)
{
    if (utf8_is_text(key)) {
        json_write_name(w, "key");
        json_write_string(w, key);
    } else {
        json_write_name(w, "key64");
        json_write_base64url(w, key);
    }
}

static void write_encoding(struct json_writer *w, bool utf8)
{
    json_write_name(w, "encoding");
    json_write_text(w, utf8 ? "utf8" : "base64");
}

static void write_value(struct json_writer *w, struct varve_slice value,
                        enum value_encoding encoding)
{
    bool utf8 = encoding == VALUE_UTF8 && utf8_is_text(value);
    json_write_name(w, "value");
    if (utf8)
        json_write_string(w, value);
    else
        json_write_base64(w, value);
    write_encoding(w, utf8);
}

static void write_revision(struct json_writer *w, uint64_t revision)
{
    json_write_name(w, "revision");
    json_write_uint(w, revision);
}

static void write_expiry(struct json_writer *w, uint64_t expires_at)
{
    if (expires_at == 0)
        return;
    json_write_name(w, "expires_at");
    json_write_uint(w, expires_at);
}

static void write_stamp(struct json_writer *w, struct json_stamp stamp)
{
    write_revision(w, stamp.revision);
    write_expiry(w, stamp.expires_at);
}

static void write_item(struct json_writer *w, struct varve_slice key, struct varve_slice value,
                       enum value_encoding encoding, struct json_stamp stamp)
{
    json_write_object_begin(w);
    write_key(w, key);
    write_value(w, value, encoding);
    write_stamp(w, stamp);
    json_write_object_end(w);
}

static void write_key_item(struct json_writer *w, struct varve_slice key, struct json_stamp stamp)
{
    json_write_object_begin(w);
    write_key(w, key);
    write_stamp(w, stamp);
    json_write_object_end(w);
}

enum varve_status json_answer_item(struct buf *out, struct varve_slice key,
                                   struct varve_slice value, enum value_encoding encoding,
                                   struct json_stamp stamp)
{
    struct json_writer w;
    json_writer_init(&w, out);
    write_item(&w, key, value, encoding, stamp);
    return json_writer_status(&w);
}

enum varve_status json_answer_item_bytes(struct varve_slice key, size_t value_bytes,
                                         struct json_stamp stamp, size_t *ret_bytes)
{
    struct buf empty = {0};
    enum varve_status status =
        json_answer_item(&empty, key, varve_slice(NULL, 0), VALUE_BASE64, stamp);
    if (status == VARVE_OK)
        *ret_bytes = empty.size + (value_bytes + 2) / 3 * 4;
    buf_deinit(&empty);
    return status;
}

enum varve_status json_answer_key(struct buf *out, struct varve_slice key, struct json_stamp stamp)
{
    struct json_writer w;
    json_writer_init(&w, out);
    write_key_item(&w, key, stamp);
    return json_writer_status(&w);
}

static void write_truncated(struct json_writer *w, struct varve_slice next_cursor)
{
    json_write_name(w, "truncated");
    json_write_bool(w, next_cursor.size > 0);
    if (next_cursor.size > 0) {
        json_write_name(w, "next_cursor");
        json_write_string(w, next_cursor);
    }
}

enum varve_status json_page_begin(struct json_page *page, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_name(&w, "items");
    json_write_array_begin(&w);
    *page = (struct json_page){.out = out, .start_size = out->size};
    return json_writer_status(&w);
}

/* Keeps the item that was written from `from` on, or takes it back. */
static enum varve_status finish_item(struct json_page *page, const struct json_writer *w,
                                     size_t from)
{
    enum varve_status status = json_writer_status(w);
    if (status == VARVE_OK && page->count > 0 &&
        page->out->size - page->start_size > LIMIT_RANGE_PAGE_BYTES)
        status = VARVE_END;
    if (status == VARVE_OK)
        page->count++;
    else
        page->out->size = from;
    return status;
}

enum varve_status json_page_add(struct json_page *page, struct varve_slice key,
                                struct varve_slice value, enum value_encoding encoding,
                                struct json_stamp stamp)
{
    if (page->count > 0 && value.size > LIMIT_RANGE_PAGE_BYTES)
        return VARVE_END; /* not worth encoding first */
    size_t from = page->out->size;
    struct json_writer w;
    json_writer_resume(&w, page->out, page->count > 0);
    write_item(&w, key, value, encoding, stamp);
    return finish_item(page, &w, from);
}

enum varve_status json_page_add_key(struct json_page *page, struct varve_slice key,
                                    struct json_stamp stamp)
{
    size_t from = page->out->size;
    struct json_writer w;
    json_writer_resume(&w, page->out, page->count > 0);
    write_key_item(&w, key, stamp);
    return finish_item(page, &w, from);
}

enum varve_status json_page_end(struct json_page *page, struct varve_slice next_cursor,
                                uint64_t revision)
{
    struct json_writer w;
    json_writer_resume(&w, page->out, page->count > 0);
    json_write_array_end(&w);
    json_write_name(&w, "count");
    json_write_uint(&w, page->count);
    write_truncated(&w, next_cursor);
    write_revision(&w, revision);
    json_write_object_end(&w);
    return json_writer_status(&w);
}

/* Escaped, a byte becomes six at most. */
static size_t text_bytes_max(size_t size)
{
    return size * TEXT_BYTES_PER_BYTE_MAX;
}

size_t json_answer_item_bytes_max(struct varve_slice key, struct varve_slice value,
                                  enum value_encoding encoding)
{
    size_t value_bytes = value.size / 3 * 4 + 4;
    if (encoding == VALUE_UTF8)
        value_bytes = text_bytes_max(value.size) + 4; /* also of base64 */
    return text_bytes_max(key.size) + value_bytes + ITEM_FRAME_BYTES;
}

void json_item_parts_init(struct json_item_parts *parts, struct varve_slice key,
                          struct varve_slice value, enum value_encoding encoding,
                          struct json_stamp stamp)
{
    *parts = (struct json_item_parts){
        .key = key,
        .value = value,
        .utf8 = encoding == VALUE_UTF8 && utf8_is_text(value),
        .stamp = stamp,
    };
}

static void write_value_part(struct json_writer *w, struct json_item_parts *parts, size_t room)
{
    size_t rest = parts->value.size - parts->done;
    size_t size = parts->utf8 ? room / TEXT_BYTES_PER_BYTE_MAX : room / 4 * 3;
    struct varve_slice part =
        varve_slice(parts->value.data + parts->done, size < rest ? size : rest);
    if (parts->utf8)
        json_write_string_part(w, part);
    else
        json_write_base64_part(w, part);
    parts->done += part.size;
}

enum varve_status json_item_parts_write(struct json_item_parts *parts, struct buf *out, size_t room)
{
    struct json_writer w;
    size_t from = out->size;
    json_writer_resume(&w, out, parts->begun);
    if (!parts->begun) {
        json_write_object_begin(&w);
        write_key(&w, parts->key);
        json_write_name(&w, "value");
        json_write_string_begin(&w);
        parts->begun = true;
    }
    size_t written = out->size - from;
    if (written + ITEM_FRAME_BYTES < room)
        write_value_part(&w, parts, room - written - ITEM_FRAME_BYTES);
    if (parts->done == parts->value.size) {
        json_write_string_end(&w);
        write_encoding(&w, parts->utf8);
        write_stamp(&w, parts->stamp);
        json_write_object_end(&w);
        parts->complete = true;
    }
    return json_writer_status(&w);
}

enum varve_status json_answer_stream_end(struct buf *out, uint64_t count, uint64_t revision,
                                         struct varve_slice next_cursor)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_name(&w, "count");
    json_write_uint(&w, count);
    write_revision(&w, revision);
    write_truncated(&w, next_cursor);
    json_write_object_end(&w);
    return json_writer_status(&w);
}

enum varve_status json_answer_count(struct buf *out, uint64_t count, uint64_t revision)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_name(&w, "count");
    json_write_uint(&w, count);
    write_revision(&w, revision);
    json_write_object_end(&w);
    return json_writer_status(&w);
}

void json_results_deinit(struct json_results *results)
{
    buf_deinit(&results->text);
    buf_deinit(&results->holes);
}

static void begin_result(struct json_results *results, struct json_writer *w, const char *op)
{
    json_writer_resume(w, &results->text, results->text.size > 0);
    json_write_object_begin(w);
    json_write_name(w, "op");
    json_write_text(w, op);
}

size_t json_results_bytes_max(const struct json_results *results)
{
    size_t holes = results->holes.size / sizeof(size_t);
    return results->text.size + holes * REVISION_DIGITS_MAX + RESULTS_FRAME_BYTES;
}

static enum varve_status end_result(struct json_results *results, struct json_writer *w)
{
    json_write_object_end(w);
    enum varve_status status = json_writer_status(w);
    if (status == VARVE_OK && json_results_bytes_max(results) > LIMIT_BATCH_ANSWER_BYTES)
        return status_raise(VARVE_TOO_LARGE);
    return status;
}

enum varve_status json_results_add_put(struct json_results *results)
{
    struct json_writer w;
    begin_result(results, &w, "put");
    return end_result(results, &w);
}

enum varve_status json_results_add_delete(struct json_results *results)
{
    struct json_writer w;
    begin_result(results, &w, "delete");
    return end_result(results, &w);
}

enum varve_status json_results_add_check(struct json_results *results)
{
    struct json_writer w;
    begin_result(results, &w, "check");
    return end_result(results, &w);
}

enum varve_status json_results_add_get(struct json_results *results, struct varve_slice value,
                                       enum value_encoding encoding, struct json_stamp stamp)
{
    if (value.size > LIMIT_BATCH_ANSWER_BYTES)
        return status_raise(VARVE_TOO_LARGE); /* not worth encoding first */
    struct json_writer w;
    begin_result(results, &w, "get");
    json_write_name(&w, "found");
    json_write_bool(&w, true);
    write_value(&w, value, encoding);
    if (stamp.revision != JSON_REVISION_OF_BATCH) {
        write_revision(&w, stamp.revision);
    } else {
        json_write_name(&w, "revision");
        size_t hole = results->text.size;
        json_write_raw(&w, (struct varve_slice){0});
        if (json_writer_status(&w) == VARVE_OK)
            w.status = buf_append(&results->holes, &hole, sizeof hole);
    }
    write_expiry(&w, stamp.expires_at);
    return end_result(results, &w);
}

enum varve_status json_results_add_missing(struct json_results *results)
{
    struct json_writer w;
    begin_result(results, &w, "get");
    json_write_name(&w, "found");
    json_write_bool(&w, false);
    return end_result(results, &w);
}

enum varve_status json_results_finish(const struct json_results *results, uint64_t revision,
                                      struct buf *out)
{
    enum varve_status status = buf_reserve(out, json_results_bytes_max(results));
    if (status == VARVE_OK)
        status = buf_append_format(out, "{\"revision\":%llu,\"results\":[",
                                   (unsigned long long)revision);
    size_t done = 0;
    for (size_t i = 0; status == VARVE_OK && i < results->holes.size; i += sizeof(size_t)) {
        size_t hole;
        memcpy(&hole, results->holes.data + i, sizeof hole);
        status = buf_append(out, results->text.data + done, hole - done);
        if (status == VARVE_OK)
            status = buf_append_format(out, "%llu", (unsigned long long)revision);
        done = hole;
    }
    if (status == VARVE_OK)
        status = buf_append_slice(
            out, varve_slice(results->text.data + done, results->text.size - done));
    if (status == VARVE_OK)
        status = buf_append(out, "]}", 2);
    return status;
}
