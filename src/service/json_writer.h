/*
 * service/json_writer.h: writes JSON into a buf, byte for byte as jansson with JSON_COMPACT
 * would. Commas come by themselves. A failed append (VARVE_NO_MEMORY) stays in the writer, so that
 * it is asked for once, at the end. Not thread safe.
 *
 *     struct json_writer w;
 *     json_writer_init(&w, &out);
 *     json_write_object_begin(&w);
 *     json_write_name(&w, "revision");
 *     json_write_uint(&w, 42);
 *     json_write_object_end(&w);
 *     return json_writer_status(&w);
 */
#ifndef SERVICE_JSON_WRITER_H
#define SERVICE_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"

struct json_writer {
    struct buf *out;
    enum varve_status status;
    bool comma; /* the next name or value needs one before it */
};

/* Appends to `out`, borrowed until the writer is done with. */
void json_writer_init(struct json_writer *writer, struct buf *out);

/* As init, in the middle of an array or object that has a member already if `comma`. */
void json_writer_resume(struct json_writer *writer, struct buf *out, bool comma);

/* VARVE_OK or VARVE_NO_MEMORY; `out` then holds a part. */
MUST_CHECK enum varve_status json_writer_status(const struct json_writer *writer);

void json_write_object_begin(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array_begin(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);
void json_write_name(struct json_writer *writer, const char *name); /* needs no escapes */

/* Valid UTF-8 (as utf8_is_valid says), escaped as JSON needs it. */
void json_write_string(struct json_writer *writer, struct varve_slice utf8);
void json_write_text(struct json_writer *writer, const char *utf8);
/* Any bytes for people to read: what is not UTF-8 becomes U+FFFD. */
void json_write_bytes_lossy(struct json_writer *writer, struct varve_slice bytes);
void json_write_base64(struct json_writer *writer, struct varve_slice bytes);
void json_write_base64url(struct json_writer *writer, struct varve_slice bytes);
void json_write_uint(struct json_writer *writer, uint64_t number);
/* 15 digits at most; null if not finite. */
void json_write_double(struct json_writer *writer, double number);
void json_write_bool(struct json_writer *writer, bool value);
void json_write_null(struct json_writer *writer);
/* A string in parts, whose bytes may be cut anywhere if it is text, and only between groups of
 * three if it is base64. */
void json_write_string_begin(struct json_writer *writer);
void json_write_string_part(struct json_writer *writer, struct varve_slice utf8);
void json_write_base64_part(struct json_writer *writer, struct varve_slice bytes);
void json_write_string_end(struct json_writer *writer);
/* A value that is JSON already. */
void json_write_raw(struct json_writer *writer, struct varve_slice json);

#endif
