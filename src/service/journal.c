/*
 * A line is put together on the stack and written with one call, so that lines of several threads
 * never mix. In text form bytes below 0x20, 0x7f and the backslash become \xNN, and in the value of
 * a field so does the space, which ends it; in JSON the same bytes and the quote become \u00NN. A
 * failed write of the log is no reason to fail anything else.
 */
#include "service/journal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <varve/options.h>

#include "service/config.h"
#include "service/utf8.h"

#define TARGET_BYTES_SHOWN 512u
#define ESCAPE_BYTES_MAX 6u /* \u0000 */

enum form {
    FORM_MESSAGE, /* text to the end of the line */
    FORM_FIELD,   /* text up to a space */
    FORM_JSON,
};

struct line {
    size_t size;
    char text[JOURNAL_LINE_BYTES];
};

static const char *const level_names[] = {
    [VARVE_LOG_ERROR] = "error",
    [VARVE_LOG_WARNING] = "warning",
    [VARVE_LOG_INFO] = "info",
    [VARVE_LOG_DEBUG] = "debug",
};

static void line_add(struct line *line, const char *text)
{
    size_t room = sizeof line->text - 1 - line->size;
    size_t size = strlen(text);
    size_t taken = size < room ? size : room;
    memcpy(line->text + line->size, text, taken);
    line->size += taken;
}

static void line_add_uint(struct line *line, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    line_add(line, digits);
}

/* Leaves `spare` bytes for what has to close the line. */
static void line_add_escaped(struct line *line, struct varve_slice bytes, enum form form,
                             size_t spare)
{
    while (bytes.size > 0) {
        if (line->size + ESCAPE_BYTES_MAX + spare >= sizeof line->text)
            return;
        uint8_t byte = bytes.data[0];
        size_t char_size = utf8_char_size(bytes);
        bool plain = char_size > 0 && byte >= 0x20 && byte != 0x7f && byte != '\\';
        if ((form == FORM_JSON && byte == '"') || (form == FORM_FIELD && byte == ' '))
            plain = false;
        if (plain) {
            memcpy(line->text + line->size, bytes.data, char_size);
            line->size += char_size;
        } else {
            char_size = 1;
            line->size += (size_t)snprintf(line->text + line->size, ESCAPE_BYTES_MAX + 1,
                                           form == FORM_JSON ? "\\u%04x" : "\\x%02x", byte);
        }
        bytes.data += char_size;
        bytes.size -= char_size;
    }
}

static void line_begin(struct line *line, const struct journal *journal, enum varve_log_level level)
{
    struct timespec now = {0};
    struct tm utc = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char stamp[48];
    size_t size = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + size, sizeof stamp - size, ".%06uZ", (unsigned)(now.tv_nsec / 1000));

    line->size = 0;
    if (journal->format == CONFIG_LOG_JSON) {
        line_add(line, "{\"time\":\"");
        line_add(line, stamp);
        line_add(line, "\",\"level\":\"");
        line_add(line, level_names[level]);
        line_add(line, "\"");
    } else {
        line_add(line, stamp);
        line_add(line, " ");
        line_add(line, level_names[level]);
    }
}

static void line_end(struct line *line, const struct journal *journal)
{
    if (journal->format == CONFIG_LOG_JSON)
        line_add(line, "}");
    line->text[line->size++] = '\n'; /* line_add leaves room for it */
    ssize_t written = write(journal->fd, line->text, line->size);
    (void)written;
}

void journal_log(void *context, enum varve_log_level level, const char *text)
{
    const struct journal *journal = context;
    if (!journal_wants(journal, level))
        return;
    struct line line;
    bool json = journal->format == CONFIG_LOG_JSON;
    line_begin(&line, journal, level);
    line_add(&line, json ? ",\"message\":\"" : " ");
    line_add_escaped(&line, varve_slice_str(text), json ? FORM_JSON : FORM_MESSAGE, 4);
    if (json)
        line_add(&line, "\"");
    line_end(&line, journal);
}

void journal_print(const struct journal *journal, enum varve_log_level level, const char *format,
                   ...)
{
    if (!journal_wants(journal, level))
        return;
    char text[JOURNAL_LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    journal_log((void *)(uintptr_t)journal, level, text);
}

void journal_request(const struct journal *journal, const struct journal_request *request)
{
    if (!journal_wants(journal, VARVE_LOG_DEBUG))
        return;
    struct line line;
    bool json = journal->format == CONFIG_LOG_JSON;
    struct varve_slice target = request->target;
    if (target.size > TARGET_BYTES_SHOWN)
        target.size = TARGET_BYTES_SHOWN;
    static const char *const json_names[] = {
        ",\"message\":\"request\",\"method\":\"",
        "\",\"target\":\"",
        "\",\"status\":",
        ",\"bytes_in\":",
        ",\"bytes_out\":",
        ",\"duration_us\":",
        ",\"request_id\":\"",
        "\"",
    };
    static const char *const text_names[] = {
        " request method=", " target=",      " status=",     " bytes_in=",
        " bytes_out=",      " duration_us=", " request_id=", "",
    };
    const char *const *names = json ? json_names : text_names;
    enum form form = json ? FORM_JSON : FORM_FIELD;

    line_begin(&line, journal, VARVE_LOG_DEBUG);
    line_add(&line, names[0]);
    line_add_escaped(&line, varve_slice_str(request->method), form, JOURNAL_LINE_BYTES / 2);
    line_add(&line, names[1]);
    line_add_escaped(&line, target, form, JOURNAL_LINE_BYTES / 4);
    line_add(&line, names[2]);
    line_add_uint(&line, request->status);
    line_add(&line, names[3]);
    line_add_uint(&line, request->bytes_in);
    line_add(&line, names[4]);
    line_add_uint(&line, request->bytes_out);
    line_add(&line, names[5]);
    line_add_uint(&line, request->duration_us);
    line_add(&line, names[6]);
    line_add_escaped(&line, request->id, form, 4);
    line_add(&line, names[7]);
    line_end(&line, journal);
}

void journal_audit(const struct journal *journal, const struct journal_audit *audit)
{
    bool json = journal->format == CONFIG_LOG_JSON;
    enum form form = json ? FORM_JSON : FORM_FIELD;
    struct varve_slice target = audit->target;
    if (target.size > TARGET_BYTES_SHOWN)
        target.size = TARGET_BYTES_SHOWN;
    const struct {
        const char *json_name, *text_name;
        struct varve_slice value;
    } fields[] = {
        {",\"message\":\"audit\",\"method\":\"", " audit method=", varve_slice_str(audit->method)},
        {"\",\"target\":\"", " target=", target},
        {"\",\"token\":\"", " token=", varve_slice_str(audit->token)},
        {"\",\"peer\":\"", " peer=", varve_slice_str(audit->peer)},
        {"\",\"outcome\":\"", " outcome=", varve_slice_str(audit->outcome)},
    };
    struct line line;
    line_begin(&line, journal, audit->is_refusal ? VARVE_LOG_WARNING : VARVE_LOG_INFO);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        line_add(&line, json ? fields[i].json_name : fields[i].text_name);
        line_add_escaped(&line, fields[i].value, form, JOURNAL_LINE_BYTES / 2);
    }
    line_add(&line, json ? "\",\"status\":" : " status=");
    line_add_uint(&line, audit->status);
    line_add(&line, json ? ",\"request_id\":\"" : " request_id=");
    line_add_escaped(&line, audit->id, form, 4);
    if (json)
        line_add(&line, "\"");
    line_end(&line, journal);
}
