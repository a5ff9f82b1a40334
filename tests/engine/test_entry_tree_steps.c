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
    ENTRIES = 5000,
    INSERTS_MAX = 40,
    STORES_MAX = 10000,
    SEARCHES = 30,
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
    uint64_t keys[ENTRIES + INSERTS_MAX]; /* as numbers, in order */
    size_t count;
    uint64_t inserted[INSERTS_MAX]; /* while the searches run; not in `keys` yet */
    size_t inserted_count;
    uint64_t highest, lowest;
};

/* Zeros and the number, most significant byte first, which is at the front as well: among many
 * such keys there are some with the same first eight bytes. */
static void key_of(const struct fixture *f, uint64_t number, uint8_t *key)
{
    memset(key, 0, f->key_bytes);
    key[0] = (uint8_t)(number >> 56);
    number = __builtin_bswap64(number);
    memcpy(key + f->key_bytes - sizeof number, &number, sizeof number);
}

static uint64_t number_of(const struct tree_entry *entry)
{
    uint64_t number = 0;
    memcpy(&number, entry->data + entry->user_key_bytes - sizeof number, sizeof number);
    return __builtin_bswap64(number);
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

static bool is_inserted(const struct fixture *f, uint64_t number)
{
    for (size_t i = 0; i < f->inserted_count; i++)
        if (f->inserted[i] == number)
            return true;
    return false;
}

static bool is_known(const struct fixture *f, uint64_t number)
{
    size_t at = lower_bound(f, number);
    return (at < f->count && f->keys[at] == number) || is_inserted(f, number);
}

static uint64_t next_number(struct fixture *f, int order)
{
    switch (order % 4) {
    case 0:
        return prng_next(&f->prng) >> 1;
    case 1:
        return f->highest += 2;
    case 2:
        return f->lowest -= 2;
    default: /* many in one place, in the middle of some others */
        return f->count < 200 ? prng_next(&f->prng) >> 1
                              : f->keys[100] + 1 + (prng_next(&f->prng) >> 30);
    }
}

static void insert_noted(struct fixture *f, uint64_t number)
{
    uint8_t key[KEY_BYTES_MAX];
    key_of(f, number, key);
    ck_assert_int_eq(entry_tree_reserve(&f->tree, 1, f->key_bytes), VARVE_OK);
    noting = true;
    entry_tree_insert(&f->tree, varve_slice(key, f->key_bytes), entry_tag(1, ENTRY_PUT),
                      varve_slice(NULL, 0));
    noting = false;
    f->inserted[f->inserted_count++] = number;
}

/* One insert or some, whose stores are taken back. */
static void insert_some(struct fixture *f, int order)
{
    store_count = 0;
    f->inserted_count = 0;
    size_t inserts = prng_chance(&f->prng, 50) ? 1 : prng_between(&f->prng, 2, INSERTS_MAX);
    while (f->inserted_count < inserts) {
        uint64_t number = next_number(f, order);
        if (!is_known(f, number))
            insert_noted(f, number);
    }
    for (size_t i = store_count; i-- > 0;) {
        memcpy(stores[i].after, stores[i].at, stores[i].size);
        memcpy(stores[i].at, stores[i].before, stores[i].size);
    }
    stores_made = 0;
}

static void count_inserted(struct fixture *f)
{
    for (size_t i = 0; i < f->inserted_count; i++) {
        size_t at = lower_bound(f, f->inserted[i]);
        memmove(&f->keys[at + 1], &f->keys[at], (f->count - at) * sizeof *f->keys);
        f->keys[at] = f->inserted[i];
        f->count++;
    }
}

/* Seeks a number, steps back from there, and goes to the end, while the inserts go on. */
static void search(struct fixture *f, uint64_t sought)
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

    size_t at = lower_bound(f, sought);
    ck_assert(found != NULL || at == f->count);
    if (found != NULL) {
        const uint64_t number = number_of(found);
        ck_assert(is_known(f, number) && number >= sought);
        ck_assert(at == f->count || number <= f->keys[at]);
        at = lower_bound(f, number);
        ck_assert(prev != NULL || at == 0);
        ck_assert(prev == NULL || (is_known(f, number_of(prev)) && number_of(prev) < number));
        ck_assert(prev == NULL || at == 0 || number_of(prev) >= f->keys[at - 1]);
    }
    ck_assert(last != NULL || f->count == 0);
    if (last != NULL) {
        ck_assert(is_known(f, number_of(last)));
        ck_assert(f->count == 0 || number_of(last) >= f->keys[f->count - 1]);
    }
}

/* Mostly for a key near to one that is inserted. */
static uint64_t number_to_seek(struct fixture *f)
{
    uint64_t inserted = f->inserted[prng_below(&f->prng, f->inserted_count)];
    if (prng_chance(&f->prng, 10))
        return inserted;
    size_t at = lower_bound(f, inserted) + prng_below(&f->prng, 40);
    at = at > 20 ? at - 20 : 0;
    if (prng_chance(&f->prng, 12))
        at = prng_below(&f->prng, f->count + 1);
    return at < f->count ? f->keys[at] + prng_below(&f->prng, 2) : inserted;
}

START_TEST(searches_beside_inserts)
{
    struct fixture *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    f->prng = prng_make((uint64_t)_i + 1);
    f->lowest = UINT32_MAX;
    f->key_bytes = _i < 4 ? sizeof(uint64_t) : KEY_BYTES_MAX;
    arena_init(&f->arena, CHUNK_BYTES, NULL);
    ck_assert_int_eq(entry_tree_init(&f->tree, &f->arena, varve_slice(NULL, 0)), VARVE_OK);
    while (f->count < ENTRIES) {
        insert_some(f, _i);
        for (int i = 0; i < SEARCHES; i++) {
            schedule.is_mixed = prng_chance(&f->prng, 50);
            schedule.prng = prng_make(prng_next(&f->prng));
            schedule.switch_at = prng_below(&f->prng, 60);
            schedule.switch_to = prng_between(&f->prng, 0, store_count);
            search(f, number_to_seek(f));
            make_stores(store_count);
            take_stores_back();
        }
        make_stores(store_count);
        count_inserted(f);
    }
    ck_assert_uint_ge(f->tree.levels, 3);
    const bool learns = f->key_bytes > sizeof(uint64_t) && f->keys[ENTRIES - 1] >> 56 == 0;
    ck_assert_int_eq(tree_base(&f->tree) == &f->tree.learned, learns); /* of the zeros */
    arena_deinit(&f->arena, NULL, 0);
    free(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("entry_tree_steps");
    TCase *tests = tcase_create("entry_tree_steps");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, searches_beside_inserts, 0, 8);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
