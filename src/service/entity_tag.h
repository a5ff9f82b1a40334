/*
 * service/entity_tag.h: ETag and the header fields that compare it (RFC 9110 section 8.8.3 and 13).
 * A key's revision is its tag, with the form of the answer behind it: "42", "42-json", "42-utf8".
 * Thread safe.
 */
#ifndef SERVICE_ENTITY_TAG_H
#define SERVICE_ENTITY_TAG_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"

enum entity_form { ENTITY_RAW, ENTITY_JSON, ENTITY_UTF8 };

#define ENTITY_TAG_BYTES 32u /* with quotes and NUL */

void entity_tag_format(uint64_t revision, enum entity_form form, char ret_text[ENTITY_TAG_BYTES]);

/* Looks for `tag` in a field's value, a list or `*`, by the weak comparison that If-None-Match on a
 * read asks for. False if the list is malformed. */
bool entity_tag_is_listed(struct varve_slice list, const char *tag, bool *ret_listed);

/* The tags of If-Match or If-None-Match on a write, compared strongly and by their number: each
 * form of a tag stands for its revision, a weak one and one that is none of ours for nothing. A
 * zeroed struct is empty. */
struct entity_tags {
    bool given;
    bool any;             /* `*` */
    struct buf revisions; /* owned: uint64_t each */
};
void entity_tags_deinit(struct entity_tags *tags);

/* Adds those of one field's value. VARVE_INVALID for a malformed list, and for `*` with anything
 * else; VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status entity_tags_add(struct entity_tags *tags, struct varve_slice list);

#endif
