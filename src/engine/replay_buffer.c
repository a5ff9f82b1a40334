/*
 * While a log is replayed nobody looks for a key, so there is no need to keep the entries in order
 * all the time: a tree of a gibibyte meets memory that no cache holds several times an
 * entry. Here an entry is written behind the one before it, and in the end pairs of {number, place}
 * are sorted, which stand side by side.
 *
 * The number stands for a piece of the user key behind the bytes that all keys of a group have in
 * common: 7 bytes, with zeros where the key has ended, and then how many it had left, 8 for more
 * than 7. So numbers order like keys; keys with equal numbers either are equal or both go on, and
 * are a group of their own with at least 7 bytes more in common. Equal keys are ordered by their
 * place in the log, the newest first; the tag says it.
 *
 * A large value is not copied: memory for a gibibyte of them takes the kernel longer to give than
 * all else takes here. It is read again when the table is written, from the page cache as a rule,
 * and must have the crc that it had when its frame was checked.
 */
#include "engine/replay_buffer.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/crc32c.h"

#define CHUNK_BYTES ((size_t)2 << 20)
#define ITEMS_LEAST 1024u
#define PIECE_BYTES 7u /* of a key, in a number */
#define VALUE_BYTES_COPIED_MAX 512u

struct replay_entry {
    uint32_t key_bytes; /* of the internal key */
    uint32_t value_bytes;
    uint32_t value_crc;    /* of one that stays in the log */
    uint32_t log;          /* which of buffer->logs it is in */
    uint64_t value_offset; /* there */
    uint8_t data[];        /* key, and a value of up to VALUE_BYTES_COPIED_MAX */
};

struct replay_item {
    uint64_t number;
    const struct replay_entry *entry;
};

struct replay_iterator {
    struct entry_iterator base;
    const struct replay_buffer *buffer;
    size_t at;
    struct buf value; /* of one that stayed in the log */
};

static void entries_free(struct replay_buffer *buffer)
{
    arena_deinit(&buffer->arena, NULL, 0);
    free(buffer->items);
    buffer->items = NULL;
    buffer->count = buffer->capacity = buffer->bytes = 0;
}

/* Closes the first `count` logs. */
static void logs_close(struct replay_buffer *buffer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)env_file_close(buffer->logs[i]); /* only read from */
    for (size_t i = count; i < buffer->log_count; i++)
        buffer->logs[i - count] = buffer->logs[i];
    buffer->log_count -= count;
}

void replay_buffer_deinit(struct replay_buffer *buffer)
{
    entries_free(buffer);
    logs_close(buffer, buffer->log_count);
    free(buffer->logs);
    *buffer = (struct replay_buffer){0};
}

void replay_buffer_clear(struct replay_buffer *buffer)
{
    entries_free(buffer);
    if (buffer->log_count > 1)
        logs_close(buffer, buffer->log_count - 1);
}

enum varve_status replay_buffer_log(struct replay_buffer *buffer, struct env *env, const char *path)
{
    struct env_file **logs = realloc(buffer->logs, (buffer->log_count + 1) * sizeof(*logs));
    if (logs == NULL)
        return status_raise(VARVE_NO_MEMORY);
    buffer->logs = logs;
    enum varve_status status = env_open(env, path, ENV_OPEN_READ, &logs[buffer->log_count]);
    buffer->log_count += status == VARVE_OK;
    return status;
}

static enum varve_status items_grow(struct replay_buffer *buffer)
{
    size_t capacity = buffer->capacity == 0 ? ITEMS_LEAST : 2 * buffer->capacity;
    struct replay_item *items = realloc(buffer->items, capacity * sizeof *items);
    if (items == NULL)
        return status_raise(VARVE_NO_MEMORY);
    buffer->items = items;
    buffer->capacity = capacity;
    return VARVE_OK;
}

enum varve_status replay_buffer_add(struct replay_buffer *buffer, uint64_t sequence,
                                    const struct batch_op *op, uint64_t value_offset)
{
    if (buffer->arena.chunk_bytes == 0)
        arena_init(&buffer->arena, CHUNK_BYTES, NULL);
    if (buffer->count == buffer->capacity) {
        enum varve_status status = items_grow(buffer);
        if (status != VARVE_OK)
            return status;
    }
    const struct varve_slice value = op->kind != ENTRY_DELETE ? op->value : varve_slice(NULL, 0);
    const size_t copied = value.size <= VALUE_BYTES_COPIED_MAX ? value.size : 0;
    struct replay_entry *entry =
        arena_alloc(&buffer->arena, sizeof *entry + op->key.size + ENTRY_TAG_BYTES + copied);
    if (entry == NULL)
        return status_raise(VARVE_NO_MEMORY);
    *entry = (struct replay_entry){
        .key_bytes = (uint32_t)(op->key.size + ENTRY_TAG_BYTES),
        .value_bytes = (uint32_t)value.size,
    };
    memcpy(entry->data, op->key.data, op->key.size);
    fixed64_encode(entry->data + op->key.size, entry_tag(sequence, op->kind));
    if (copied > 0) {
        memcpy(entry->data + entry->key_bytes, value.data, copied);
    } else if (value.size > 0) {
        entry->value_crc = crc32c_extend(0, value.data, value.size);
        entry->log = (uint32_t)buffer->log_count - 1;
        entry->value_offset = value_offset;
    }
    buffer->items[buffer->count++] = (struct replay_item){.entry = entry};
    buffer->bytes += sizeof *entry + sizeof *buffer->items + entry->key_bytes + value.size;
    return VARVE_OK;
}

static struct varve_slice item_key(const struct replay_item *item)
{
    return varve_slice(item->entry->data, item->entry->key_bytes);
}

static struct varve_slice item_user_key(const struct replay_item *item)
{
    return entry_user_key(item_key(item));
}

static uint64_t number_of(struct varve_slice user_key, size_t skipped)
{
    const size_t left = user_key.size - skipped;
    uint8_t piece[PIECE_BYTES + 1] = {0};
    memcpy(piece, user_key.data + skipped, left < PIECE_BYTES ? left : PIECE_BYTES);
    piece[PIECE_BYTES] = (uint8_t)(left <= PIECE_BYTES ? left : PIECE_BYTES + 1);
    uint64_t number = 0;
    memcpy(&number, piece, sizeof number);
    return __builtin_bswap64(number);
}

/* How many bytes all keys begin with alike. */
static size_t common_bytes(const struct replay_item *items, size_t count)
{
    const struct varve_slice first = item_user_key(&items[0]);
    size_t common = first.size;
    for (size_t i = 1; i < count && common > 0; i++) {
        const struct varve_slice key = item_user_key(&items[i]);
        const size_t most = key.size < common ? key.size : common;
        size_t same = 0;
        while (same < most && key.data[same] == first.data[same])
            same++;
        common = same;
    }
    return common;
}

static int item_compare(const void *a, const void *b)
{
    const struct replay_item *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static int tag_compare(const void *a, const void *b)
{
    uint64_t x = entry_key_tag(item_key(a)), y = entry_key_tag(item_key(b));
    return (x < y) - (x > y);
}

static void items_sort(struct replay_item *items, size_t count)
{
    const size_t common = common_bytes(items, count);
    for (size_t i = 0; i < count; i++)
        items[i].number = number_of(item_user_key(&items[i]), common);
    qsort(items, count, sizeof *items, item_compare);
    for (size_t first = 0, end = 0; first < count; first = end) {
        for (end = first + 1; end < count && items[end].number == items[first].number;)
            end++;
        if (end - first < 2)
            continue;
        if ((items[first].number & 0xff) > PIECE_BYTES) /* they go on */
            items_sort(&items[first], end - first);
        else
            qsort(&items[first], end - first, sizeof *items, tag_compare);
    }
}

static enum varve_status value_read(struct replay_iterator *it, const struct replay_entry *entry)
{
    size_t size = 0;
    buf_clear(&it->value);
    enum varve_status status = buf_reserve(&it->value, entry->value_bytes);
    if (status == VARVE_OK)
        status = env_file_read(it->buffer->logs[entry->log], entry->value_offset, it->value.data,
                               entry->value_bytes, &size);
    if (status == VARVE_OK &&
        (size != entry->value_bytes || crc32c_extend(0, it->value.data, size) != entry->value_crc))
        status = status_raise(VARVE_CORRUPT);
    it->base.value = varve_slice(it->value.data, size);
    return status;
}

static void stand_on(struct replay_iterator *it, size_t at)
{
    it->at = at;
    it->base.status = VARVE_OK;
    it->base.valid = at < it->buffer->count;
    if (!it->base.valid)
        return;
    const struct replay_entry *entry = it->buffer->items[at].entry;
    it->base.key = varve_slice(entry->data, entry->key_bytes);
    if (entry->value_bytes <= VALUE_BYTES_COPIED_MAX)
        it->base.value = varve_slice(entry->data + entry->key_bytes, entry->value_bytes);
    else
        it->base.status = value_read(it, entry);
    it->base.valid = it->base.status == VARVE_OK;
}

static void seek_first(struct entry_iterator *base)
{
    stand_on((struct replay_iterator *)base, 0);
}

static void seek_last(struct entry_iterator *base)
{
    struct replay_iterator *it = (struct replay_iterator *)base;
    stand_on(it, it->buffer->count > 0 ? it->buffer->count - 1 : 0);
}

static void seek(struct entry_iterator *base, struct varve_slice internal_key)
{
    struct replay_iterator *it = (struct replay_iterator *)base;
    size_t low = 0, high = it->buffer->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_key_compare(item_key(&it->buffer->items[middle]), internal_key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    stand_on(it, low);
}

static void next(struct entry_iterator *base)
{
    struct replay_iterator *it = (struct replay_iterator *)base;
    assert(base->valid);
    stand_on(it, it->at + 1);
}

static void prev(struct entry_iterator *base)
{
    struct replay_iterator *it = (struct replay_iterator *)base;
    assert(base->valid);
    stand_on(it, it->at > 0 ? it->at - 1 : it->buffer->count);
}

static void iterator_free(struct entry_iterator *base)
{
    struct replay_iterator *it = (struct replay_iterator *)base;
    buf_deinit(&it->value);
    free(it);
}

static const struct entry_iterator_ops replay_ops = {
    .seek_first = seek_first,
    .seek_last = seek_last,
    .seek = seek,
    .next = next,
    .prev = prev,
    .free = iterator_free,
};

enum varve_status replay_buffer_sort(struct replay_buffer *buffer,
                                     struct entry_iterator **ret_iterator)
{
    struct replay_iterator *it = calloc(1, sizeof *it);
    if (it == NULL)
        return status_raise(VARVE_NO_MEMORY);
    if (buffer->count > 1)
        items_sort(buffer->items, buffer->count);
    it->base.ops = &replay_ops;
    it->buffer = buffer;
    *ret_iterator = &it->base;
    return VARVE_OK;
}
