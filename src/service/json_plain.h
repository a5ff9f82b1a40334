/*
 * service/json_plain.h: reads the common form of a PUT body, or of an operation of a batch, without
 * making a tree of it. Thread safe.
 */
#ifndef SERVICE_JSON_PLAIN_H
#define SERVICE_JSON_PLAIN_H

#include <stdbool.h>

#include <varve/slice.h>

#include "service/json_reader.h"

/* One object and nothing behind it, whose members are known and given once, each a string of ASCII
 * without escapes or a whole number of few digits. False for every other text, good or bad, which
 * is then jansson's. The members are borrowed until the text changes. */
bool json_plain_read(struct varve_slice text, bool is_operation, struct json_members *ret_members);

#endif
