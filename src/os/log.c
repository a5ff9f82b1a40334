/* One line is formatted on the stack and handed to the callback; what it holds may come from disk
 * or network, so nothing that could forge a second line gets through. */
#include "os/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LOG_LINE_BYTES_MAX 1024

void log_write(const struct log *log, enum varve_log_level level, const char *format, ...)
{
    if (log == NULL || log->write == NULL)
        return;
    char line[LOG_LINE_BYTES_MAX + 1] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (unsigned char *at = (unsigned char *)line; *at != '\0'; at++) {
        if (*at < ' ' || *at == 0x7f)
            *at = '?';
    }
    log->write(log->context, level, line);
}
