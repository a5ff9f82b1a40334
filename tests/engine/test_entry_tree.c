/* The tree of entries against a sorted array: order, seeks and steps back, also of keys that differ
 * only behind their prefix or in zero bytes; and that what it reserves is enough. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "array_iterator.h"
#include "base/hash.h"
#include "engine/entry_tree.h"
#include "engine/key_prefix.h"
#include "prng.h"

#define CHUNK_BYTES 4096u

struct fixture {
    struct arena arena;
    struct entry_tree tree;
    struct array model;
};

/* What the keys are expected to begin with, rightly or wrongly; each test runs with each. */
static const struct varve_slice expectations[] = {
    {NULL, 0},
    {(const uint8_t *)"a", 1},
    {(const uint8_t *)"a\0\0\0", 4},
    {(const uint8_t *)"abcdefgh", 8},
    {(const uint8_t *)"the same key", 12},
    {(const uint8_t *)"\xff\xff", 2},
    {(const uint8_t *)"\0", 1},
    {(const uint8_t *)"k0000000", 8},
};
#define EXPECTATIONS ((int)(sizeof expectations / sizeof *expectations))

static void set_up(struct fixture *f, int expectation)
{
    const struct varve_slice expected = expectations[expectation];
    *f = (struct fixture){0};
    arena_init(&f->arena, CHUNK_BYTES, NULL);
    ck_assert_int_eq(entry_tree_init(&f->tree, &f->arena, expected), VARVE_OK);
}

static void tear_down(struct fixture *f)
{
    arena_deinit(&f->arena, NULL, 0);
    array_deinit(&f->model);
}

static void insert(struct fixture *f, struct varve_slice key, uint64_t tag,
                   struct varve_slice value)
{
    ck_assert_int_eq(entry_tree_reserve(&f->tree, 1, key.size + value.size), VARVE_OK);
    entry_tree_insert(&f->tree, key, tag, value);
    array_add(&f->model, key, tag, value);
}

static void assert_same(struct varve_slice a, struct varve_slice b)
{
    ck_assert_uint_eq(a.size, b.size);
    ck_assert(a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void assert_stands(const struct fixture *f, const struct tree_entry *node, size_t at)
{
    if (at >= f->model.count) {
        ck_assert_ptr_null(node);
        return;
    }
    ck_assert_ptr_nonnull(node);
    assert_same(tree_entry_key(node), buf_slice(&f->model.entries[at].key));
    assert_same(tree_entry_value(node), buf_slice(&f->model.entries[at].value));
}

/* What all keys begin with, but for the last eight bytes of the shortest. */
static void assert_learned(const struct fixture *f)
{
    const struct varve_slice lowest = entry_user_key(buf_slice(&f->model.entries[0].key));
    size_t shortest = SIZE_MAX, common = SIZE_MAX;
    for (size_t i = 0; i < f->model.count; i++) {
        struct varve_slice key = entry_user_key(buf_slice(&f->model.entries[i].key));
        common = key_common_bytes(lowest, key, common);
        shortest = key.size < shortest ? key.size : shortest;
    }
    const size_t most = shortest > KEY_PREFIX_BYTES ? shortest - KEY_PREFIX_BYTES : 0;
    const struct varve_slice learned = entry_tree_expected(&f->tree);
    ck_assert_uint_eq(learned.size, common < most ? common : most);
    ck_assert(learned.size == 0 || memcmp(learned.data, lowest.data, learned.size) == 0);
}

/* All of the tree, both ways, and a seek to each entry and just behind it. */
static void assert_equals_model(struct fixture *f)
{
    array_sort(&f->model);
    assert_learned(f);
    const struct tree_entry *node = entry_tree_first(&f->tree);
    for (size_t i = 0; i <= f->model.count; i++) {
        assert_stands(f, node, i);
        node = node != NULL ? tree_entry_next(node) : NULL;
    }
    node = entry_tree_last(&f->tree);
    for (size_t i = f->model.count; i-- > 0;) {
        assert_stands(f, node, i);
        node = entry_tree_prev(&f->tree, node);
    }
    ck_assert_ptr_null(node);
    for (size_t i = 0; i < f->model.count; i++) {
        struct buf target = {0};
        ck_assert_int_eq(buf_assign(&target, buf_slice(&f->model.entries[i].key)), VARVE_OK);
        assert_stands(f, entry_tree_seek(&f->tree, buf_slice(&target)), i);
        uint8_t *tag = target.data + target.size - ENTRY_TAG_BYTES;
        fixed64_encode(tag, fixed64_decode(tag) - 1);
        size_t at = array_lower_bound(&f->model, buf_slice(&target));
        assert_stands(f, entry_tree_seek(&f->tree, buf_slice(&target)), at);
        buf_deinit(&target);
    }
}

START_TEST(empty)
{
    struct fixture f;
    set_up(&f, _i);
    ck_assert_ptr_null(entry_tree_first(&f.tree));
    ck_assert_ptr_null(entry_tree_last(&f.tree));
    uint8_t target[ENTRY_TAG_BYTES + 1] = {0};
    ck_assert_ptr_null(entry_tree_seek(&f.tree, varve_slice(target, sizeof target)));
    assert_same(entry_tree_expected(&f.tree), expectations[_i]);
    tear_down(&f);
}
END_TEST

/* Zeros pad a prefix, but they are bytes of a key as well. */
START_TEST(short_keys_and_zero_bytes)
{
    static const char zeros[12] = "a";
    struct fixture f;
    set_up(&f, _i);
    uint64_t sequence = 1;
    for (size_t size = sizeof zeros; size > 0; size--)
        insert(&f, varve_slice(zeros, size), entry_tag(sequence++, ENTRY_PUT), varve_slice("v", 1));
    static const char nulls[12];
    for (size_t size = 1; size <= sizeof nulls; size++)
        insert(&f, varve_slice(nulls, size), entry_tag(sequence++, ENTRY_PUT), varve_slice("v", 1));
    static const char *const others[] = {"a\x01",     "b",
                                         "abcdefgh",  "abcdefg",
                                         "abcdefghi", "abcdefgh\x01",
                                         "\xff",      "\xff\xff\xff\xff\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        insert(&f, varve_slice_str(others[i]), entry_tag(sequence++, ENTRY_DELETE),
               varve_slice(NULL, 0));
    assert_equals_model(&f);
    tear_down(&f);
}
END_TEST

START_TEST(versions_newest_first)
{
    struct fixture f;
    set_up(&f, _i);
    for (uint64_t sequence = 1; sequence <= 300; sequence++)
        insert(&f, varve_slice_str("the same key"), entry_tag(sequence, ENTRY_PUT),
               varve_slice(&sequence, sizeof sequence));
    ck_assert_uint_eq(entry_key_tag(tree_entry_key(entry_tree_first(&f.tree))),
                      entry_tag(300, ENTRY_PUT));
    assert_equals_model(&f);
    tear_down(&f);
}
END_TEST

/* Runs in order (the remembered leaf), broken now and then. */
START_TEST(ordered_with_breaks)
{
    struct fixture f;
    set_up(&f, _i);
    struct prng prng = prng_make(7);
    uint64_t number = 0;
    for (uint64_t sequence = 1; sequence <= 4000; sequence++) {
        number = prng_chance(&prng, 2) ? prng_next(&prng) >> 40 : number + 2;
        uint8_t key[9] = "k";
        uint64_t big_endian = __builtin_bswap64(number);
        memcpy(key + 1, &big_endian, sizeof big_endian);
        insert(&f, varve_slice(key, sizeof key), entry_tag(sequence, ENTRY_PUT),
               varve_slice(key, 3));
    }
    assert_equals_model(&f);
    tear_down(&f);
}
END_TEST

START_TEST(random_keys)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture f;
        set_up(&f, _i);
        struct prng prng = prng_make(seed);
        for (uint64_t sequence = 1; sequence <= 500; sequence++) {
            uint8_t key[14], value[40];
            size_t size = prng_between(&prng, 1, sizeof key);
            for (size_t i = 0; i < size; i++)
                key[i] = (uint8_t)(prng_below(&prng, 3) * 0x7f);
            insert(&f, varve_slice(key, size), entry_tag(sequence, ENTRY_PUT),
                   varve_slice(value, 0));
        }
        assert_equals_model(&f);
        tear_down(&f);
    }
}
END_TEST

/* What was reserved for many is enough for all of them, in whichever order they come. */
START_TEST(room_is_enough)
{
    static uint8_t value[1000];
    struct prng prng = prng_make(3);
    for (int round = 0; round < 50; round++) {
        struct fixture f;
        set_up(&f, _i);
        size_t entries = prng_between(&prng, 1, round % 10 == 0 ? 10000 : 300);
        size_t value_bytes = prng_below(&prng, 1000);
        size_t used = f.arena.used_bytes;
        size_t bytes = entries * (5 + value_bytes), room = entry_tree_room(&f.tree, entries, bytes);
        ck_assert_int_eq(entry_tree_reserve(&f.tree, entries, bytes), VARVE_OK);
        size_t reserved = f.arena.reserved_bytes;
        for (size_t i = 0; i < entries; i++) {
            char key[6];
            size_t number = round % 3 == 0 ? i : round % 3 == 1 ? entries - i : i * 7919 % 100000;
            snprintf(key, sizeof key, "%05u", (unsigned)number);
            entry_tree_insert(&f.tree, varve_slice(key, 5), entry_tag(1, ENTRY_PUT),
                              varve_slice(value, value_bytes));
        }
        ck_assert_uint_eq(f.arena.reserved_bytes, reserved);
        ck_assert_uint_le(f.arena.used_bytes - used, room);
        tear_down(&f);
    }
}
END_TEST

/* Without memory for its nodes the tree leaves entries out, but the list does not, and searches
 * find what is there; the same when there is memory again. At random, and in order from the first
 * leaf. */
START_TEST(nodes_without_memory)
{
    enum { ENTRIES = 3000 };
    const bool is_ordered = _i % 2 != 0;
    const uint64_t end = is_ordered ? 20 : 1000, again = 2000;
    struct fixture f;
    set_up(&f, _i);
    struct prng prng = prng_make(11);
    for (uint64_t sequence = 1; sequence <= ENTRIES; sequence++) {
        uint64_t number = is_ordered ? __builtin_bswap64(sequence) : prng_next(&prng);
        struct varve_slice key = varve_slice(&number, sizeof number);
        if (sequence == end) {
            const size_t room = entry_tree_room(&f.tree, again - end, (again - end) * key.size);
            ck_assert_int_eq(arena_reserve(&f.arena, room), VARVE_OK);
            f.tree.reserved_bytes = 0;
            f.arena.chunk_bytes = SIZE_MAX; /* no such chunk is to be had */
        }
        if (sequence == again) {
            ck_assert(f.tree.has_gaps);
            f.arena.chunk_bytes = CHUNK_BYTES;
        }
        if (sequence < end || sequence >= again)
            ck_assert_int_eq(entry_tree_reserve(&f.tree, 1, key.size), VARVE_OK);
        entry_tree_insert(&f.tree, key, entry_tag(sequence, ENTRY_PUT), varve_slice(NULL, 0));
        array_add(&f.model, key, entry_tag(sequence, ENTRY_PUT), varve_slice(NULL, 0));
        ck_assert(!f.tree.has_gaps || sequence >= end);
    }
    assert_equals_model(&f);
    tear_down(&f);
}
END_TEST

/* Keys whose numbers are all the same teach the tree what to expect; others do not. */
START_TEST(learns_what_keys_begin_with)
{
    struct fixture f;
    set_up(&f, _i);
    struct prng prng = prng_make(5);
    for (uint64_t sequence = 1; sequence <= 400; sequence++) {
        char key[40];
        snprintf(key, sizeof key, "the same key, %010u", (unsigned)prng_below(&prng, 1000000));
        insert(&f, varve_slice_str(key), entry_tag(sequence, ENTRY_PUT), varve_slice(NULL, 0));
    }
    const struct varve_slice useful = varve_slice_str("the same key"); /* ", 0000" and two digits */
    const bool is_useful = varve_slice_compare(expectations[_i], useful) == 0;
    assert_same(atomic_load(&f.tree.base)->expected,
                is_useful ? useful : varve_slice_str("the same key, 00"));
    assert_equals_model(&f);
    tear_down(&f);
}
END_TEST

static uint64_t random_number(uint64_t i)
{
    return hash_mix(i);
}

static uint64_t rising_number(uint64_t i)
{
    return i;
}

static uint64_t falling_number(uint64_t i)
{
    return UINT32_MAX - i;
}

static const struct order {
    uint64_t (*number)(uint64_t i);
    size_t levels, bytes_an_entry;
} orders[] = {
    {random_number, 4, 28},
    {rising_number, 4, 18},
    {falling_number, 4, 36},
};

/* Searches stay as short, and the tree as small, as its nodes are full. */
START_TEST(nodes_are_filled)
{
    enum { ENTRIES = 50000, LIST_BYTES = 32 }; /* of an entry: link, sizes, key, tag */
    struct fixture f;
    set_up(&f, 0);
    const size_t used = f.arena.used_bytes;
    for (uint64_t i = 0; i < ENTRIES; i++) {
        uint64_t key = __builtin_bswap64(orders[_i].number(i));
        ck_assert_int_eq(entry_tree_reserve(&f.tree, 1, sizeof key), VARVE_OK);
        entry_tree_insert(&f.tree, varve_slice(&key, sizeof key), entry_tag(i + 1, ENTRY_PUT),
                          varve_slice(NULL, 0));
    }
    ck_assert_uint_eq(f.tree.levels, orders[_i].levels);
    ck_assert(!f.tree.has_gaps);
    ck_assert_uint_le(f.arena.used_bytes - used,
                      (size_t)ENTRIES * (LIST_BYTES + orders[_i].bytes_an_entry));
    tear_down(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("entry_tree");
    TCase *tests = tcase_create("entry_tree");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, empty, 0, EXPECTATIONS);
    tcase_add_loop_test(tests, short_keys_and_zero_bytes, 0, EXPECTATIONS);
    tcase_add_loop_test(tests, versions_newest_first, 0, EXPECTATIONS);
    tcase_add_loop_test(tests, ordered_with_breaks, 0, EXPECTATIONS);
    tcase_add_loop_test(tests, random_keys, 0, EXPECTATIONS);
    tcase_add_loop_test(tests, room_is_enough, 0, EXPECTATIONS);
    tcase_add_loop_test(tests, nodes_without_memory, 0, EXPECTATIONS);
    tcase_add_loop_test(tests, learns_what_keys_begin_with, 0, EXPECTATIONS);
    tcase_add_loop_test(tests, nodes_are_filled, 0, (int)(sizeof orders / sizeof *orders));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
