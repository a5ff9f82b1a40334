/* A list is read from its front, element by element; empty elements count for nothing. */
#include "service/entity_tag.h"

#include <string.h>

#include "service/digits.h"

void entity_tag_format(uint64_t revision, enum entity_form form, char ret_text[ENTITY_TAG_BYTES])
{
    static const char *const ends[] = {
        [ENTITY_RAW] = "\"", [ENTITY_JSON] = "-json\"", [ENTITY_UTF8] = "-utf8\""};
    ret_text[0] = '"';
    size_t size = 1 + digits_write(revision, ret_text + 1);
    memcpy(ret_text + size, ends[form], strlen(ends[form]) + 1);
}

static void take(struct varve_slice *in, size_t size)
{
    in->data += size;
    in->size -= size;
}

static void skip(struct varve_slice *in, const char *bytes)
{
    while (in->size > 0 && in->data[0] != '\0' && strchr(bytes, in->data[0]) != NULL)
        take(in, 1);
}

/* Takes [W/]"…" and gives the part with the quotes. */
static bool take_tag(struct varve_slice *in, struct varve_slice *ret_tag, bool *ret_weak)
{
    *ret_weak = in->size >= 2 && in->data[0] == 'W' && in->data[1] == '/';
    if (*ret_weak)
        take(in, 2);
    if (in->size < 2 || in->data[0] != '"')
        return false;
    size_t size = 1;
    while (size < in->size && in->data[size] > 0x20 && in->data[size] != 0x7f &&
           in->data[size] != '"')
        size++;
    if (size == in->size || in->data[size] != '"')
        return false;
    *ret_tag = varve_slice(in->data, size + 1);
    take(in, size + 1);
    return true;
}

enum list_step { LIST_TAG, LIST_ANY, LIST_END, LIST_MALFORMED };

/* Takes a list apart: the next tag of it, or the `*` that it is. `first` is true at its beginning
 * and false from then on. */
static enum list_step take_element(struct varve_slice *list, bool *first,
                                   struct varve_slice *ret_tag, bool *ret_weak)
{
    bool begins = *first;
    *first = false;
    skip(list, " \t");
    if (begins && list->size > 0 && list->data[0] == '*') {
        take(list, 1);
        skip(list, " \t");
        return list->size == 0 ? LIST_ANY : LIST_MALFORMED;
    }
    if (!begins && list->size > 0 && list->data[0] != ',')
        return LIST_MALFORMED;
    skip(list, " \t,");
    if (list->size == 0)
        return begins ? LIST_MALFORMED : LIST_END;
    return take_tag(list, ret_tag, ret_weak) ? LIST_TAG : LIST_MALFORMED;
}

bool entity_tag_is_listed(struct varve_slice list, const char *tag, bool *ret_listed)
{
    struct varve_slice element = {0};
    bool first = true, weak = false, listed = false;
    enum list_step step;
    while ((step = take_element(&list, &first, &element, &weak)) == LIST_TAG)
        listed = listed || varve_slice_compare(element, varve_slice_str(tag)) == 0;
    if (step == LIST_MALFORMED)
        return false;
    *ret_listed = listed || step == LIST_ANY;
    return true;
}

void entity_tags_deinit(struct entity_tags *tags)
{
    buf_deinit(&tags->revisions);
    *tags = (struct entity_tags){0};
}

/* The revision that a tag with its quotes stands for; 0: none. */
static uint64_t revision_of(struct varve_slice tag)
{
    char text[ENTITY_TAG_BYTES];
    uint64_t revision = 0;
    for (size_t i = 1; i < tag.size && tag.data[i] >= '0' && tag.data[i] <= '9'; i++) {
        if (__builtin_mul_overflow(revision, 10, &revision) ||
            __builtin_add_overflow(revision, (uint64_t)(tag.data[i] - '0'), &revision))
            return 0;
    }
    for (enum entity_form form = ENTITY_RAW; form <= ENTITY_UTF8; form++) {
        entity_tag_format(revision, form, text);
        if (varve_slice_compare(tag, varve_slice_str(text)) == 0)
            return revision;
    }
    return 0;
}

enum varve_status entity_tags_add(struct entity_tags *tags, struct varve_slice list)
{
    struct varve_slice element = {0};
    bool first = true, weak = false;
    enum list_step step;
    if (tags->any)
        return status_raise(VARVE_INVALID);
    while ((step = take_element(&list, &first, &element, &weak)) == LIST_TAG) {
        uint64_t revision = weak ? 0 : revision_of(element);
        enum varve_status status =
            revision > 0 ? buf_append(&tags->revisions, &revision, sizeof revision) : VARVE_OK;
        if (status != VARVE_OK)
            return status;
    }
    if (step == LIST_MALFORMED || (step == LIST_ANY && tags->given))
        return status_raise(VARVE_INVALID);
    tags->any = step == LIST_ANY;
    tags->given = true;
    return VARVE_OK;
}
