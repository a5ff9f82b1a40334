/*
 * varve/slice.h: a borrowed run of bytes, passed by value and never freed through.
 */
#ifndef VARVE_SLICE_H
#define VARVE_SLICE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `data` may be NULL only where `size` is 0. */
struct varve_slice {
    const uint8_t *data;
    size_t size;
};

static inline struct varve_slice varve_slice(const void *data, size_t size)
{
    struct varve_slice s = {(const uint8_t *)data, size};
    return s;
}

static inline struct varve_slice varve_slice_str(const char *text)
{
    return varve_slice(text, strlen(text));
}

/* memcmp order, a prefix before what it begins: the order of keys in a store. */
static inline int varve_slice_compare(struct varve_slice a, struct varve_slice b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter != 0 ? memcmp(a.data, b.data, shorter) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

#ifdef __cplusplus
}
#endif
#endif
