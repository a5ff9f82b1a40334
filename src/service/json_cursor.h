/*
 * service/json_cursor.h: the first steps through a text in JSON, for those who read it without a
 * tree. Inline, for a batch takes them some dozen times an operation.
 */
#ifndef SERVICE_JSON_CURSOR_H
#define SERVICE_JSON_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

/* What is left of a text, which is borrowed. */
struct json_cursor {
    const uint8_t *at, *end;
};

static inline void json_skip_blanks(struct json_cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' ||
                                        *cursor->at == '\r' || *cursor->at == '\n'))
        cursor->at++;
}

/* Goes behind `byte` if that is what stands here, but for blanks before it. */
static inline bool json_take(struct json_cursor *cursor, uint8_t byte)
{
    json_skip_blanks(cursor);
    if (cursor->at == cursor->end || *cursor->at != byte)
        return false;
    cursor->at++;
    return true;
}

#endif
