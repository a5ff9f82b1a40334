/* Searches of the tree of entries while an insert is under way, step by step: between two loads of
 * the one any number of stores of the other may fall. The insert is made first and its stores are
 * noted and taken back; then a search runs, and before each of its loads some of the stores are
 * made again. Whatever was in the tree before must be found, and nothing else but what is inserted.
 */
#include <check.h>
#include <stdlib.h>

#include "base/hash.h"
#include "prng.h"

#include <stdatomic.h>

static void before_load(void);
static void note_store(volatile void *at, size_t size);

/* All of the tree's loads and stores that others may see go through these. */
#undef atomic_load_explicit
#undef atomic_store_explicit
#define atomic_load_explicit(at, order) (before_load(), *(at))
#define atomic_store_explicit(at, value, order) (note_store(at, sizeof *(at)), *(at) = (value))
#include "engine/entry_tree.c"

enum {
    ENTRIES = 2000,
    STORES_MAX = 1000,
    SEARCHES = 12,
    CHUNK_BYTES = 1 << 16,
    KEY_BYTES_MAX = 16
};

static struct store {
    void *at;
    size_t size;
    uint8_t before[sizeof(uint64_t)], after[sizeof(uint64_t)];
} stores[STORES_MAX];
static size_t store_count, stores_made;
static bool noting;

/* While a search runs: the stores up to here are made before its load `switch_at`, or, with
 * `is_mixed`, some before each. */
static struct schedule {
    bool runs, is_mixed;
    size_t loads, switch_at, switch_to;
    struct prng prng;
} schedule;

static void note_store(volatile void *at, size_t size)
{
    if (!noting)
        return;
    ck_assert_uint_lt(store_count, STORES_MAX);
    struct store *store = &stores[store_count++];
    *store = (struct store){.at = (void *)at, .size = size};
    memcpy(store->before, store->at, size);
}

static void make_stores(size_t end)
{
    for (; stores_made < end; stores_made++)
        memcpy(stores[stores_made].at, stores[stores_made].after, stores[stores_made].size);
}

static void take_stores_back(void)
{
    for (stores_made = store_count; stores_made > 0; stores_made--)
        memcpy(stores[stores_made - 1].at, stores[stores_made - 1].before,
               stores[stores_made - 1].size);
}

static void before_load(void)
{
    if (!schedule.runs)
        return;
    if (schedule.is_mixed && prng_chance(&schedule.prng, 30))
        make_stores(prng_between(&schedule.prng, stores_made, store_count));
    else if (!schedule.is_mixed && schedule.loads == schedule.switch_at)
        make_stores(schedule.switch_to);
    schedule.loads++;
}

struct fixture {
    struct arena arena;
    struct entry_tree tree;
    struct prng prng;
    size_t key_bytes;
    uint64_t keys[ENTRIES]; /* as numbers, in order */
    size_t count;
};

/* Zeros and the number, most significant byte first. */
static void key_of(const struct fixture *f, uint64_t number, uint8_t *key)
{
    number = __builtin_bswap64(number);
    memset(key, 0, f->key_bytes);
    memcpy(key + f->key_bytes - sizeof number, &number, sizeof number);
}

static uint64_t number_of(const struct tree_entry *entry)
{
    uint64_t number = 0;
    memcpy(&number, entry->data + entry->user_key_bytes - sizeof number, sizeof number);
    return __builtin_bswap64(number);
}

static void insert_noted(struct fixture *f, uint64_t number)
{
    uint8_t key[KEY_BYTES_MAX];
    key_of(f, number, key);
    ck_assert_int_eq(entry_tree_reserve(&f->tree, 1, f->key_bytes), VARVE_OK);
    store_count = 0;
    noting = true;
    entry_tree_insert(&f->tree, varve_slice(key, f->key_bytes), entry_tag(1, ENTRY_PUT),
                      varve_slice(NULL, 0));
    noting = false;
    for (size_t i = store_count; i-- > 0;) {
        memcpy(stores[i].after, stores[i].at, stores[i].size);
        memcpy(stores[i].at, stores[i].before, stores[i].size);
    }
    stores_made = 0;
}

/* The place of the first key not less than this number. */
static size_t lower_bound(const struct fixture *f, uint64_t number)
{
    size_t at = 0;
    for (size_t end = f->count; at < end;) {
        size_t middle = at + (end - at) / 2;
        if (f->keys[middle] < number)
            at = middle + 1;
        else
            end = middle;
    }
    return at;
}

/* Whether an entry is that of keys[at], or the one being inserted, just before that. */
static bool is_right(const struct fixture *f, const struct tree_entry *entry, size_t at,
                     uint64_t inserted, size_t inserted_at)
{
    if (entry != NULL && number_of(entry) == inserted)
        return at == inserted_at;
    return at < f->count ? entry != NULL && number_of(entry) == f->keys[at] : entry == NULL;
}

/* Seeks a number, and steps back from there, while the insert of `inserted` goes on. */
static void search(struct fixture *f, uint64_t sought, uint64_t inserted)
{
    uint8_t target[KEY_BYTES_MAX + ENTRY_TAG_BYTES];
    key_of(f, sought, target);
    fixed64_encode(target + f->key_bytes, entry_tag(ENTRY_SEQUENCE_MAX, ENTRY_KIND_MAX));

    schedule.loads = 0;
    schedule.runs = true;
    const struct tree_entry *found =
        entry_tree_seek(&f->tree, varve_slice(target, f->key_bytes + ENTRY_TAG_BYTES));
    const struct tree_entry *prev = found != NULL ? entry_tree_prev(&f->tree, found) : NULL;
    const struct tree_entry *last = entry_tree_last(&f->tree);
    schedule.runs = false;

    const size_t inserted_at = lower_bound(f, inserted), at = lower_bound(f, sought);
    ck_assert(is_right(f, found, at, inserted, inserted_at));
    ck_assert(found == NULL || number_of(found) >= sought);
    if (prev != NULL && number_of(prev) == inserted)
        ck_assert(number_of(found) > inserted && at == inserted_at);
    else if (at > 0)
        ck_assert(found == NULL || number_of(prev) == f->keys[at - 1]);
    else
        ck_assert_ptr_null(prev);
    if (last == NULL || number_of(last) != inserted)
        ck_assert(f->count > 0 ? number_of(last) == f->keys[f->count - 1] : last == NULL);
    else
        ck_assert_uint_eq(inserted_at, f->count);
}

static void search_beside(struct fixture *f, uint64_t inserted)
{
    for (int i = 0; i < SEARCHES; i++) {
        schedule.is_mixed = prng_chance(&f->prng, 50);
        schedule.prng = prng_make(prng_next(&f->prng));
        schedule.switch_at = prng_below(&f->prng, 40);
        schedule.switch_to = prng_between(&f->prng, 0, store_count);
        /* Mostly near to where it happens. */
        size_t near = lower_bound(f, inserted) + prng_below(&f->prng, 40);
        size_t at = prng_chance(&f->prng, 12) ? prng_below(&f->prng, f->count + 1)
                    : near > 20               ? near - 20
                                              : 0;
        uint64_t sought = at < f->count ? f->keys[at] : inserted;
        search(f, sought + prng_below(&f->prng, 2), inserted);
        make_stores(store_count);
        take_stores_back();
    }
    make_stores(store_count);
}

static uint64_t next_number(struct fixture *f, int order)
{
    switch (order % 4) {
    case 0:
        return prng_next(&f->prng) >> 1;
    case 1: /* rises */
        return (f->count > 0 ? f->keys[f->count - 1] : 0) + 2;
    case 2: /* falls */
        return (f->count > 0 ? f->keys[0] : UINT32_MAX) - 2;
    default: /* many in one place, in the middle of some others */
        return f->count < 200 ? prng_next(&f->prng) >> 1
                              : f->keys[100] + 1 + (prng_next(&f->prng) >> 30);
    }
}

START_TEST(searches_beside_an_insert)
{
    struct fixture *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    f->prng = prng_make((uint64_t)_i + 1);
    f->key_bytes = _i < 4 ? sizeof(uint64_t) : KEY_BYTES_MAX; /* the tree learns of the zeros */
    arena_init(&f->arena, CHUNK_BYTES, NULL);
    ck_assert_int_eq(entry_tree_init(&f->tree, &f->arena, varve_slice(NULL, 0)), VARVE_OK);
    while (f->count < ENTRIES) {
        uint64_t number = next_number(f, _i);
        size_t at = lower_bound(f, number);
        if (at < f->count && f->keys[at] == number)
            continue;
        insert_noted(f, number);
        search_beside(f, number);
        memmove(&f->keys[at + 1], &f->keys[at], (f->count - at) * sizeof *f->keys);
        f->keys[at] = number;
        f->count++;
    }
    ck_assert_uint_ge(f->tree.levels, 3);
    ck_assert((tree_base(&f->tree) == &f->tree.learned) == (f->key_bytes > sizeof(uint64_t)));
    arena_deinit(&f->arena, NULL, 0);
    free(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("entry_tree_steps");
    TCase *tests = tcase_create("entry_tree_steps");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, searches_beside_an_insert, 0, 8);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
