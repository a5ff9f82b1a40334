/*
 * format/entry.h: an entry's internal key, and the one iterator interface over entries.
 *
 * Internal key: the user key, then 8 bytes little-endian (sequence << 8 | kind), the tag. Order:
 * user keys by memcmp, and for one key the greater tag (the newer entry) first.
 */
#ifndef FORMAT_ENTRY_H
#define FORMAT_ENTRY_H

#include <assert.h>
#include <stdbool.h>

#include <varve/options.h>
#include <varve/slice.h>

#include "base/coding.h"

/* On disk; never renumber. */
enum entry_kind {
    ENTRY_DELETE = 0,
    ENTRY_PUT = 1,
    ENTRY_PUT_EXPIRING = 2, /* the value begins with 8 bytes, little-endian: expiry, unix seconds */
    ENTRY_KIND_MAX = ENTRY_PUT_EXPIRING,
    ENTRY_KIND_SEEK = 0xff, /* sorts before every entry of its sequence; never stored */
};

#define ENTRY_TAG_BYTES 8u
#define ENTRY_EXPIRY_BYTES 8u /* in front of the value of an ENTRY_PUT_EXPIRING */
#define ENTRY_SEQUENCE_MAX ((UINT64_C(1) << 56) - 1)
#define ENTRY_KEY_BYTES_MAX (VARVE_KEY_BYTES_MAX + ENTRY_TAG_BYTES)

static inline uint64_t entry_tag(uint64_t sequence, enum entry_kind kind)
{
    return sequence << 8 | (uint64_t)kind;
}
static inline uint64_t entry_tag_sequence(uint64_t tag)
{
    return tag >> 8;
}
static inline enum entry_kind entry_tag_kind(uint64_t tag)
{
    return (enum entry_kind)(tag & 0xff);
}

/* Of an internal key, which has at least ENTRY_TAG_BYTES + 1 bytes: decoders check that. */
static inline struct varve_slice entry_user_key(struct varve_slice internal_key)
{
    assert(internal_key.size >= ENTRY_TAG_BYTES);
    return varve_slice(internal_key.data, internal_key.size - ENTRY_TAG_BYTES);
}
static inline uint64_t entry_key_tag(struct varve_slice internal_key)
{
    assert(internal_key.size >= ENTRY_TAG_BYTES);
    return fixed64_decode(internal_key.data + internal_key.size - ENTRY_TAG_BYTES);
}
static inline int entry_key_compare(struct varve_slice a, struct varve_slice b)
{
    int order = varve_slice_compare(entry_user_key(a), entry_user_key(b));
    if (order != 0)
        return order;
    uint64_t tag_a = entry_key_tag(a), tag_b = entry_key_tag(b);
    return (tag_a < tag_b) - (tag_a > tag_b);
}
/* True when the bytes can be an internal key: 1 to VARVE_KEY_BYTES_MAX key bytes, a known kind. */
static inline bool entry_key_is_valid(struct varve_slice internal_key)
{
    return internal_key.size > ENTRY_TAG_BYTES && internal_key.size <= ENTRY_KEY_BYTES_MAX &&
           (entry_key_tag(internal_key) & 0xff) <= ENTRY_KIND_MAX;
}

/*
 * A pass over entries in internal-key order, both ways. Embedded first in what implements it. Where
 * it stands is kept in the struct itself, so that only moving is an indirect call.
 *
 * A move leaves it on an entry (`valid`), or not: then `status` is VARVE_OK at either end and a
 * failure otherwise, and only a seek moves it again. key and value are borrowed until it moves, but
 * may live longer where an implementation says so. Not thread safe.
 */
struct entry_iterator;
struct entry_iterator_ops {
    void (*seek_first)(struct entry_iterator *it);
    void (*seek_last)(struct entry_iterator *it);
    /* The first entry >= target; an end when there is none. */
    void (*seek)(struct entry_iterator *it, struct varve_slice internal_key);
    void (*next)(struct entry_iterator *it); /* only when valid */
    void (*prev)(struct entry_iterator *it); /* only when valid */
    void (*free)(struct entry_iterator *it); /* frees it and what it pins */
};
struct entry_iterator {
    const struct entry_iterator_ops *ops;
    bool valid;
    enum varve_status status;
    struct varve_slice key; /* internal */
    struct varve_slice value;
};

static inline void entry_iterator_free(struct entry_iterator *it)
{
    if (it != NULL)
        it->ops->free(it);
}

#endif
