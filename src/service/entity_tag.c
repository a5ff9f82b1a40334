/* A list is read from its front, element by element; empty elements count for nothing. */
#include "service/entity_tag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void entity_tag_format(uint64_t revision, enum entity_form form, char ret_text[ENTITY_TAG_BYTES])
{
    static const char *const suffixes[] = {
        [ENTITY_RAW] = "", [ENTITY_JSON] = "-json", [ENTITY_UTF8] = "-utf8"};
    snprintf(ret_text, ENTITY_TAG_BYTES, "\"%" PRIu64 "%s\"", revision, suffixes[form]);
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
static bool take_tag(struct varve_slice *in, struct varve_slice *ret_tag)
{
    if (in->size >= 2 && in->data[0] == 'W' && in->data[1] == '/')
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

bool entity_tag_is_listed(struct varve_slice list, const char *tag, bool *ret_listed)
{
    bool listed = false;
    skip(&list, " \t");
    if (list.size > 0 && list.data[0] == '*') {
        take(&list, 1);
        skip(&list, " \t");
        *ret_listed = true;
        return list.size == 0;
    }
    skip(&list, " \t,");
    if (list.size == 0)
        return false;
    while (list.size > 0) {
        struct varve_slice element = {0};
        if (!take_tag(&list, &element))
            return false;
        listed = listed || varve_slice_compare(element, varve_slice_str(tag)) == 0;
        skip(&list, " \t");
        if (list.size > 0 && list.data[0] != ',')
            return false;
        skip(&list, " \t,");
    }
    *ret_listed = listed;
    return true;
}
