/*
 * A comma is due before a name or value once something stands before it in the same array or
 * object. A name or an opening bracket clears that, everything that completes a value sets it, so
 * one flag serves all levels.
 */
#include "service/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "service/base64.h"
#include "service/digits.h"
#include "service/utf8.h"

void json_writer_init(struct json_writer *writer, struct buf *out)
{
    json_writer_resume(writer, out, false);
}

void json_writer_resume(struct json_writer *writer, struct buf *out, bool comma)
{
    writer->out = out;
    writer->status = VARVE_OK;
    writer->comma = comma;
}

enum varve_status json_writer_status(const struct json_writer *writer)
{
    return writer->status;
}

/* Nearly always a few bytes, for which there is room. */
static inline void append(struct json_writer *writer, const void *data, size_t size)
{
    struct buf *out = writer->out;
    if (writer->status != VARVE_OK)
        return;
    if (size > 0 && size <= out->capacity - out->size) {
        memcpy(out->data + out->size, data, size);
        out->size += size;
        return;
    }
    writer->status = buf_append(out, data, size);
}

static inline void append_byte(struct json_writer *writer, char byte)
{
    append(writer, &byte, 1);
}

static void begin_value(struct json_writer *writer)
{
    if (writer->comma)
        append_byte(writer, ',');
    writer->comma = true;
}

static void begin_level(struct json_writer *writer, char bracket)
{
    begin_value(writer);
    append_byte(writer, bracket);
    writer->comma = false;
}

static void end_level(struct json_writer *writer, char bracket)
{
    append_byte(writer, bracket);
    writer->comma = true;
}

void json_write_object_begin(struct json_writer *writer)
{
    begin_level(writer, '{');
}

void json_write_object_end(struct json_writer *writer)
{
    end_level(writer, '}');
}

void json_write_array_begin(struct json_writer *writer)
{
    begin_level(writer, '[');
}

void json_write_array_end(struct json_writer *writer)
{
    end_level(writer, ']');
}

void json_write_name(struct json_writer *writer, const char *name)
{
    begin_value(writer);
    append_byte(writer, '"');
    append(writer, name, strlen(name));
    append(writer, "\":", 2);
    writer->comma = false;
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\';
}

static void append_escape(struct json_writer *writer, uint8_t byte)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* a byte, then its letter */
    for (const char *form = short_forms; *form != '\0'; form += 2) {
        if ((uint8_t)form[0] == byte) {
            append_byte(writer, '\\');
            append_byte(writer, form[1]);
            return;
        }
    }
    char text[8];
    int size = snprintf(text, sizeof text, "\\u%04X", byte);
    append(writer, text, (size_t)size);
}

/* Without quotes. Runs that need no escape go in one piece. */
static void append_escaped(struct json_writer *writer, struct varve_slice utf8)
{
    size_t at = 0;
    while (at < utf8.size) {
        size_t from = at;
        while (at < utf8.size && is_plain(utf8.data[at]))
            at++;
        append(writer, utf8.data + from, at - from);
        if (at < utf8.size)
            append_escape(writer, utf8.data[at++]);
    }
}

void json_write_string_begin(struct json_writer *writer)
{
    begin_value(writer);
    append_byte(writer, '"');
}

void json_write_string_part(struct json_writer *writer, struct varve_slice utf8)
{
    append_escaped(writer, utf8);
}

void json_write_base64_part(struct json_writer *writer, struct varve_slice bytes)
{
    if (writer->status == VARVE_OK)
        writer->status = base64_encode(bytes, writer->out);
}

void json_write_string_end(struct json_writer *writer)
{
    append_byte(writer, '"');
}

void json_write_string(struct json_writer *writer, struct varve_slice utf8)
{
    json_write_string_begin(writer);
    json_write_string_part(writer, utf8);
    json_write_string_end(writer);
}

void json_write_text(struct json_writer *writer, const char *utf8)
{
    json_write_string(writer, varve_slice_str(utf8));
}

void json_write_bytes_lossy(struct json_writer *writer, struct varve_slice bytes)
{
    static const char replacement[] = "\xef\xbf\xbd";
    begin_value(writer);
    append_byte(writer, '"');
    for (size_t at = 0; at < bytes.size;) {
        size_t size = utf8_char_size(varve_slice(bytes.data + at, bytes.size - at));
        if (size == 0)
            append(writer, replacement, sizeof replacement - 1);
        else
            append_escaped(writer, varve_slice(bytes.data + at, size));
        at += size == 0 ? 1 : size;
    }
    append_byte(writer, '"');
}

void json_write_base64(struct json_writer *writer, struct varve_slice bytes)
{
    json_write_string_begin(writer);
    json_write_base64_part(writer, bytes);
    json_write_string_end(writer);
}

void json_write_base64url(struct json_writer *writer, struct varve_slice bytes)
{
    begin_value(writer);
    append_byte(writer, '"');
    if (writer->status == VARVE_OK)
        writer->status = base64url_encode(bytes, writer->out);
    append_byte(writer, '"');
}

void json_write_uint(struct json_writer *writer, uint64_t number)
{
    char digits[DIGITS_MAX];
    size_t size = digits_write(number, digits);
    begin_value(writer);
    append(writer, digits, size);
}

void json_write_double(struct json_writer *writer, double number)
{
    if (!isfinite(number)) {
        json_write_null(writer);
        return;
    }
    char text[32];
    int size = snprintf(text, sizeof text, "%.15g", number);
    begin_value(writer);
    append(writer, text, (size_t)size);
}

void json_write_bool(struct json_writer *writer, bool value)
{
    begin_value(writer);
    append(writer, value ? "true" : "false", value ? 4 : 5);
}

void json_write_null(struct json_writer *writer)
{
    begin_value(writer);
    append(writer, "null", 4);
}

void json_write_raw(struct json_writer *writer, struct varve_slice json)
{
    begin_value(writer);
    append(writer, json.data, json.size);
}
