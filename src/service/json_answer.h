/*
 * service/json_answer.h: the JSON bodies of the key-value answers. Everything appends to a buf;
 * a failed append (VARVE_NO_MEMORY) leaves a part behind. Not thread safe.
 */
#ifndef SERVICE_JSON_ANSWER_H
#define SERVICE_JSON_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"

/* How the client wants values. UTF8 falls back to base64, value by value, where it must. */
enum value_encoding { VALUE_BASE64, VALUE_UTF8 };

/* Of the commit that put a value. */
struct json_stamp {
    uint64_t revision;
    uint64_t expires_at; /* unix seconds; 0: never, and left out */
};

/* {"key":…,"value":…,"encoding":…,"revision":…,"expires_at":…}; "key64" where the key is no text.
 */
MUST_CHECK enum varve_status json_answer_item(struct buf *out, struct varve_slice key,
                                              struct varve_slice value,
                                              enum value_encoding encoding,
                                              struct json_stamp stamp);

/* Bytes of the item with `value_bytes` in base64. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status json_answer_item_bytes(struct varve_slice key, size_t value_bytes,
                                                    struct json_stamp stamp, size_t *ret_bytes);

/* {"key":…,"revision":…,"expires_at":…}: the answer to a PUT, and an item of a scan of keys only.
 */
MUST_CHECK enum varve_status json_answer_key(struct buf *out, struct varve_slice key,
                                             struct json_stamp stamp);

/* A page of a scan: begin, items, end. An item that would take the page over
 * LIMIT_RANGE_PAGE_BYTES is left out and gives VARVE_END; the first one always fits. */
struct json_page {
    struct buf *out;   /* borrowed */
    size_t start_size; /* of out, where the items begin */
    uint64_t count;
};
MUST_CHECK enum varve_status json_page_begin(struct json_page *page, struct buf *out);
MUST_CHECK enum varve_status json_page_add(struct json_page *page, struct varve_slice key,
                                           struct varve_slice value, enum value_encoding encoding,
                                           struct json_stamp stamp);
MUST_CHECK enum varve_status json_page_add_key(struct json_page *page, struct varve_slice key,
                                               struct json_stamp stamp);
/* `next_cursor` is text; empty: the range holds no more, and "truncated" is false. */
MUST_CHECK enum varve_status json_page_end(struct json_page *page, struct varve_slice next_cursor,
                                           uint64_t revision);

/* How large an item can become at most, with a line feed behind it. */
size_t json_answer_item_bytes_max(struct varve_slice key, struct varve_slice value,
                                  enum value_encoding encoding);

/* The same item in parts, for values that are too large to be encoded at once. */
struct json_item_parts {
    struct varve_slice key, value; /* borrowed until it is complete */
    bool utf8;
    struct json_stamp stamp;
    size_t done; /* bytes of the value */
    bool begun, complete;
};
void json_item_parts_init(struct json_item_parts *parts, struct varve_slice key,
                          struct varve_slice value, enum value_encoding encoding,
                          struct json_stamp stamp);
#define JSON_ITEM_PART_BYTES_MIN (32u << 10) /* a key and what is round it, generously */
/* Appends no more than `room` (JSON_ITEM_PART_BYTES_MIN or more), and sets `complete` with the last
 * part. */
MUST_CHECK enum varve_status json_item_parts_write(struct json_item_parts *parts, struct buf *out,
                                                   size_t room);

/* The last line of a stream: {"count":…,"revision":…,"truncated":…,"next_cursor":…}; the cursor as
 * of json_page_end. */
MUST_CHECK enum varve_status json_answer_stream_end(struct buf *out, uint64_t count,
                                                    uint64_t revision,
                                                    struct varve_slice next_cursor);

/* {"count":…,"revision":…} of a whole range. */
MUST_CHECK enum varve_status json_answer_count(struct buf *out, uint64_t count, uint64_t revision);

/* The results of a batch, in the order of its operations, collected before the commit gives the
 * revision. VARVE_TOO_LARGE when the answer would be over LIMIT_BATCH_ANSWER_BYTES. A zeroed struct
 * is empty. */
struct json_results {
    struct buf text;
    struct buf holes; /* size_t each: where in text the batch's own revision belongs */
};
#define JSON_REVISION_OF_BATCH 0u
void json_results_deinit(struct json_results *results);
MUST_CHECK enum varve_status json_results_add_put(struct json_results *results);
MUST_CHECK enum varve_status json_results_add_delete(struct json_results *results);
MUST_CHECK enum varve_status json_results_add_check(struct json_results *results);
/* The revision is JSON_REVISION_OF_BATCH for a value that an earlier operation of the batch put. */
MUST_CHECK enum varve_status json_results_add_get(struct json_results *results,
                                                  struct varve_slice value,
                                                  enum value_encoding encoding,
                                                  struct json_stamp stamp);
MUST_CHECK enum varve_status json_results_add_missing(struct json_results *results);
/* How large the answer can become. */
size_t json_results_bytes_max(const struct json_results *results);
/* Appends {"revision":…,"results":[…]}. */
MUST_CHECK enum varve_status json_results_finish(const struct json_results *results,
                                                 uint64_t revision, struct buf *out);

#endif
