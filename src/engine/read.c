/*
 * Reads take a view and then no lock: memtables first, then runs newest to oldest, and the first
 * entry at or below the sequence is the newest. One internal key and one hash serve the whole
 * look-up.
 */
#include "engine/read.h"

#include <stdlib.h>

#include <varve/db.h>
#include <varve/iterator.h>

#include "base/hash.h"
#include "engine/db.h"
#include "engine/db_iterator.h"
#include "engine/merge_iterator.h"

/* What keeps a value alive, in its reserved words. */
struct value_pin {
    struct varve_db *db;
    void *pinned;       /* a block, as block_ref has it, or a view: the value is in a memtable */
    size_t block_bytes; /* 0: it is a view */
};
_Static_assert(sizeof(struct value_pin) <= sizeof(((struct varve_value *)0)->reserved),
               "a value holds its pin");

/* Tables whose filters are fetched from memory at the same time, before the first is asked. */
#define LOOKUP_TABLES_AHEAD 8u

struct lookup {
    struct varve_db *db;
    struct view *view;
    struct varve_slice target; /* internal key */
    struct varve_slice user_key;
    uint64_t hash;
    struct table_handle *gathered[LOOKUP_TABLES_AHEAD]; /* pinned, newest first */
    size_t gathered_count;
    bool must_not_wait; /* for the disk */
    /* Runs asked, those of them with a filter, those that it spared, and blocks searched, for a key
     * that was not there. */
    unsigned runs, filters, spared, blocks, misled;
    /* found */
    uint64_t tag;
    struct varve_slice value;
    uint64_t expires_at;
    struct block_ref ref;
};

static enum varve_status lookup_memtable(struct lookup *lookup, struct memtable *memtable)
{
    if (!memtable_may_contain(memtable, lookup->hash))
        return VARVE_NOT_FOUND;
    return memtable_get(memtable, lookup->target, &lookup->tag, &lookup->value);
}

static enum varve_status lookup_memtables(struct lookup *lookup)
{
    enum varve_status status = lookup_memtable(lookup, lookup->view->active);
    for (size_t i = 0; status == VARVE_NOT_FOUND && i < lookup->view->waiting_count; i++)
        status = lookup_memtable(lookup, lookup->view->waiting[i]);
    return status;
}

static enum varve_status lookup_table(struct lookup *lookup, struct sstable_reader *reader)
{
    struct varve_db *db = lookup->db;
    struct block_fetcher *fetcher = lookup->must_not_wait
                                        ? block_cache_fetcher_unwaiting(db->blocks)
                                        : block_cache_fetcher(db->blocks);
    bool filtered = sstable_reader_has_filter(reader);
    lookup->runs++;
    lookup->filters += filtered;
    if (!sstable_reader_may_contain(reader, lookup->hash)) {
        lookup->spared++;
        return VARVE_NOT_FOUND;
    }
    lookup->blocks++;
    enum varve_status status = sstable_reader_get(reader, fetcher, lookup->target, true,
                                                  &lookup->tag, &lookup->value, &lookup->ref);
    lookup->misled += filtered && status == VARVE_NOT_FOUND;
    return status;
}

/* Pins a table that may hold the key, to be asked later, and has its filter's line fetched. */
static enum varve_status lookup_gather(struct lookup *lookup, const struct table *table)
{
    struct table_cache *tables = lookup->db->tables;
    struct table_handle *handle = NULL;
    enum varve_status status = VARVE_OK;
    if (!lookup->must_not_wait)
        status = table_cache_acquire(tables, table, &handle, NULL);
    else if (!table_cache_acquire_open(tables, table, &handle))
        status = VARVE_WOULD_BLOCK;
    if (status != VARVE_OK)
        return status;
    struct sstable_reader *reader = table_handle_reader(handle);
    status = sstable_reader_load_filter(reader, !lookup->must_not_wait, NULL);
    if (status != VARVE_OK) {
        table_cache_release(tables, handle);
        return status;
    }
    sstable_reader_prefetch_filter(reader, lookup->hash);
    lookup->gathered[lookup->gathered_count++] = handle;
    return VARVE_OK;
}

/* Asks the gathered tables until one has the key or fails, and lets go of all. */
static enum varve_status lookup_gathered(struct lookup *lookup)
{
    enum varve_status status = VARVE_NOT_FOUND;
    for (size_t i = 0; i < lookup->gathered_count; i++) {
        if (status == VARVE_NOT_FOUND)
            status = lookup_table(lookup, table_handle_reader(lookup->gathered[i]));
        table_cache_release(lookup->db->tables, lookup->gathered[i]);
    }
    lookup->gathered_count = 0;
    return status;
}

static enum varve_status lookup_tables(struct lookup *lookup)
{
    const struct version *version = lookup->view->version;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) {
        for (size_t r = 0; r < version->levels[l].run_count; r++) {
            const struct table *table = run_find(&version->levels[l].runs[r], lookup->user_key);
            if (table == NULL)
                continue;
            enum varve_status failure = lookup_gather(lookup, table);
            if (failure == VARVE_OK && lookup->gathered_count < LOOKUP_TABLES_AHEAD)
                continue;
            enum varve_status status = lookup_gathered(lookup); /* newer than what failed */
            if (status != VARVE_NOT_FOUND)
                return status;
            if (failure != VARVE_OK)
                return failure;
        }
    }
    return lookup_gathered(lookup);
}

/* Deleted and expired entries are absent ones. */
static enum varve_status lookup_judge(struct lookup *lookup, const struct varve_snapshot *snapshot)
{
    uint64_t now_ms = 0;
    switch (entry_tag_kind(lookup->tag)) {
    case ENTRY_DELETE:
        return VARVE_NOT_FOUND;
    case ENTRY_PUT:
        return VARVE_OK;
    case ENTRY_PUT_EXPIRING:
        if (lookup->value.size < ENTRY_EXPIRY_BYTES)
            return status_raise(VARVE_CORRUPT);
        lookup->expires_at = fixed64_decode(lookup->value.data);
        now_ms = snapshot != NULL ? snapshot->time_ms : db_store_time_ms(lookup->db);
        if (lookup->expires_at <= now_ms / 1000)
            return VARVE_NOT_FOUND;
        lookup->value.data += ENTRY_EXPIRY_BYTES;
        lookup->value.size -= ENTRY_EXPIRY_BYTES;
        return VARVE_OK;
    case ENTRY_KIND_SEEK:
        break;
    }
    return status_raise(VARVE_CORRUPT);
}

static struct varve_slice target_make(uint8_t bytes[ENTRY_KEY_BYTES_MAX], struct varve_slice key,
                                      uint64_t sequence)
{
    memcpy(bytes, key.data, key.size);
    fixed64_encode(bytes + key.size, entry_tag(sequence, ENTRY_KIND_SEEK));
    return varve_slice(bytes, key.size + ENTRY_TAG_BYTES);
}

static enum varve_status entry_state(uint64_t tag, struct varve_slice value,
                                     struct key_state *ret_state)
{
    struct key_state state = {.revision = entry_tag_sequence(tag)};
    if (entry_tag_kind(tag) == ENTRY_DELETE)
        state.revision = 0;
    if (entry_tag_kind(tag) == ENTRY_PUT_EXPIRING) {
        if (value.size < ENTRY_EXPIRY_BYTES)
            return status_raise(VARVE_CORRUPT);
        state.expires_at = fixed64_decode(value.data);
    }
    *ret_state = state;
    return VARVE_OK;
}

enum varve_status read_key_state(struct varve_db *db, struct view *view, uint64_t sequence,
                                 struct varve_slice key, bool must_not_wait,
                                 struct key_state *ret_state)
{
    uint8_t target[ENTRY_KEY_BYTES_MAX];
    struct lookup lookup = {.db = db,
                            .view = view,
                            .user_key = key,
                            .hash = hash_slice(key),
                            .target = target_make(target, key, sequence),
                            .must_not_wait = must_not_wait};

    enum varve_status status = lookup_memtables(&lookup);
    if (status == VARVE_NOT_FOUND)
        status = lookup_tables(&lookup);
    if (status == VARVE_OK)
        status = entry_state(lookup.tag, lookup.value, ret_state);
    else if (status == VARVE_NOT_FOUND)
        *ret_state = (struct key_state){0};
    struct block_fetcher *fetcher = block_cache_fetcher(db->blocks);
    fetcher->release(fetcher, &lookup.ref);
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

enum varve_status read_memtables_state(const struct view *view, struct varve_slice key,
                                       uint64_t sequence, struct key_state *ret_state)
{
    uint8_t target[ENTRY_KEY_BYTES_MAX];
    struct lookup lookup = {.view = (struct view *)(uintptr_t)view,
                            .hash = hash_slice(key),
                            .target = target_make(target, key, ENTRY_SEQUENCE_MAX)};

    enum varve_status status = lookup_memtables(&lookup);
    if (status == VARVE_OK && entry_tag_sequence(lookup.tag) <= sequence)
        return VARVE_NOT_FOUND;
    return status == VARVE_OK ? entry_state(lookup.tag, lookup.value, ret_state) : status;
}

/* Hands the found value out, the pin with it: the view, or the block alone. */
static void value_lend(struct lookup *lookup, struct varve_value *ret_value)
{
    struct value_pin pin = {.db = lookup->db};
    struct varve_value value = {
        .data = lookup->value,
        .revision = entry_tag_sequence(lookup->tag),
        .expires_at = lookup->expires_at,
    };
    if (lookup->ref.pin != NULL) {
        pin.pinned = lookup->ref.pin;
        pin.block_bytes = lookup->ref.data.size;
        lookup->ref = (struct block_ref){0};
    } else {
        pin.pinned = lookup->view;
        lookup->view = NULL;
    }
    memcpy(value.reserved, &pin, sizeof pin);
    *ret_value = value;
}

static void get_account(const struct lookup *lookup, enum varve_status status)
{
    struct db_counters *counters = &lookup->db->counters;
    if (status == VARVE_WOULD_BLOCK) /* it will come again */
        return;
    COUNT(counters->gets, 1);
    if (status == VARVE_OK)
        COUNT(counters->gets_found, 1);
    if (lookup->filters > 0)
        COUNT(counters->bloom_checks, lookup->filters);
    if (lookup->spared > 0)
        COUNT(counters->bloom_useful, lookup->spared);
    if (lookup->misled > 0)
        COUNT(counters->bloom_false_positives, lookup->misled);
    if (lookup->runs > 0)
        COUNT(counters->get_runs, lookup->runs);
    if (lookup->blocks > 0)
        COUNT(counters->get_blocks, lookup->blocks);
}

static enum varve_status get(struct varve_db *db, struct varve_slice key,
                             const struct varve_snapshot *snapshot, bool must_not_wait,
                             struct varve_value *ret_value)
{
    uint8_t target[ENTRY_KEY_BYTES_MAX];
    uint64_t sequence = 0;

    if (key.size == 0 || key.size > VARVE_KEY_BYTES_MAX)
        return status_raise(VARVE_INVALID);
    struct lookup lookup = {
        .db = db, .user_key = key, .hash = hash_slice(key), .must_not_wait = must_not_wait};
    lookup.view = view_slot_acquire(&db->view, &db->visible, &sequence);
    if (snapshot != NULL)
        sequence = snapshot->sequence;
    lookup.target = target_make(target, key, sequence);
    enum varve_status status = lookup_memtables(&lookup);
    if (status == VARVE_NOT_FOUND)
        status = lookup_tables(&lookup);
    if (status == VARVE_OK)
        status = lookup_judge(&lookup, snapshot);
    if (status == VARVE_OK)
        value_lend(&lookup, ret_value);
    struct block_fetcher *fetcher = block_cache_fetcher(db->blocks);
    fetcher->release(fetcher, &lookup.ref);
    view_unref(lookup.view);
    get_account(&lookup, status);
    return status;
}

enum varve_status varve_get(struct varve_db *db, struct varve_slice key,
                            const struct varve_snapshot *snapshot, struct varve_value *ret_value)
{
    return get(db, key, snapshot, false, ret_value);
}

enum varve_status varve_get_cached(struct varve_db *db, struct varve_slice key,
                                   const struct varve_snapshot *snapshot,
                                   struct varve_value *ret_value)
{
    return get(db, key, snapshot, true, ret_value);
}

size_t varve_value_pinned_bytes(const struct varve_value *value)
{
    struct value_pin pin = {0};
    memcpy(&pin, value->reserved, sizeof pin);
    if (pin.pinned == NULL || pin.block_bytes > 0)
        return pin.block_bytes;
    const struct view *view = pin.pinned;
    size_t bytes = memtable_bytes(view->active);
    for (size_t i = 0; i < view->waiting_count; i++)
        bytes += memtable_bytes(view->waiting[i]);
    return bytes;
}

void varve_value_release(struct varve_value *value)
{
    struct value_pin pin = {0};
    memcpy(&pin, value->reserved, sizeof pin);
    if (pin.block_bytes > 0) {
        struct block_fetcher *fetcher = block_cache_fetcher(pin.db->blocks);
        fetcher->release(fetcher, &(struct block_ref){.pin = pin.pinned});
    } else {
        view_unref(pin.pinned);
    }
    *value = (struct varve_value){0};
}

enum varve_status varve_snapshot_acquire(struct varve_db *db,
                                         const struct varve_snapshot **ret_snapshot)
{
    struct varve_snapshot *snapshot = NULL;
    enum varve_status status =
        snapshots_acquire(&db->snapshots, &db->visible, db_store_time_ms(db), &snapshot);
    if (status == VARVE_OK)
        *ret_snapshot = snapshot;
    return status;
}

void varve_snapshot_release(struct varve_db *db, const struct varve_snapshot *snapshot)
{
    if (snapshot != NULL)
        snapshots_release(&db->snapshots, (struct varve_snapshot *)(uintptr_t)snapshot);
}

uint64_t varve_snapshot_revision(const struct varve_snapshot *snapshot)
{
    return snapshot->sequence;
}

/* What an iterator holds until it is freed. */
struct iterator_pin {
    struct varve_db *db;
    struct view *view;
};

static void iterator_released(void *context)
{
    struct iterator_pin *pin = context;
    atomic_fetch_sub_explicit(&pin->db->counters.iterators, 1, memory_order_relaxed);
    view_unref(pin->view);
    free(pin);
}

static size_t view_source_count(const struct view *view)
{
    size_t count = 1 + view->waiting_count;
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        count += view->version->levels[l].run_count;
    return count;
}

/* One pass over each of the view's memtables and runs. On failure none is left. */
static enum varve_status children_open(struct varve_db *db, const struct view *view, bool fill,
                                       struct entry_iterator **children, size_t *ret_count)
{
    size_t count = 0;
    enum varve_status status = memtable_iterator_new(view->active, &children[count]);
    if (status == VARVE_OK)
        count++;
    for (size_t i = 0; status == VARVE_OK && i < view->waiting_count; i++) {
        status = memtable_iterator_new(view->waiting[i], &children[count]);
        if (status == VARVE_OK)
            count++;
    }
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++) {
        const struct level *level = &view->version->levels[l];
        for (size_t r = 0; status == VARVE_OK && r < level->run_count; r++) {
            status = run_iterator_new(db->tables, &level->runs[r], fill, &children[count]);
            if (status == VARVE_OK)
                count++;
        }
    }
    if (status != VARVE_OK)
        while (count > 0)
            entry_iterator_free(children[--count]);
    *ret_count = count;
    return status;
}

static enum varve_status view_merged(struct varve_db *db, const struct view *view, bool fill,
                                     struct entry_iterator **ret_merged)
{
    size_t count = 0;
    struct entry_iterator **children =
        calloc(view_source_count(view), sizeof(struct entry_iterator *));
    if (children == NULL)
        return status_raise(VARVE_NO_MEMORY);
    enum varve_status status = children_open(db, view, fill, children, &count);
    if (status == VARVE_OK)
        status = merge_iterator_new(children, count, ret_merged);
    free(children);
    return status;
}

enum varve_status varve_iterator_new(struct varve_db *db,
                                     const struct varve_iterator_options *options,
                                     struct varve_iterator **ret_iterator)
{
    const struct varve_iterator_options standard = {.fill_cache = true};
    if (options == NULL)
        options = &standard;
    struct iterator_pin *pin = calloc(1, sizeof *pin);
    if (pin == NULL)
        return status_raise(VARVE_NO_MEMORY);
    struct db_iterator_source source = {
        .start = options->start,
        .end = options->end,
        .hidden_max = options->hidden_max,
        .released = iterator_released,
        .context = pin,
    };
    pin->db = db;
    pin->view = view_slot_acquire(&db->view, &db->visible, &source.sequence);
    COUNT(db->counters.iterators, 1);
    COUNT(db->counters.seeks, 1);
    uint64_t now_ms = db_store_time_ms(db);
    if (options->snapshot != NULL) {
        source.sequence = options->snapshot->sequence;
        now_ms = options->snapshot->time_ms;
    }
    source.now_seconds = now_ms / 1000;
    enum varve_status status = view_merged(db, pin->view, options->fill_cache, &source.merged);
    if (status != VARVE_OK) {
        iterator_released(pin);
        return status;
    }
    return db_iterator_new(&source, ret_iterator);
}
