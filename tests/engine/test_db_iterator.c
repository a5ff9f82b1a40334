/* What a user sees of a pass, against a model that looks at every entry for every question: random
 * entries, views, bounds and moves; failures; and that stretches of hidden entries are passed at
 * the price of a few seeks. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "array_iterator.h"
#include "budget.h"
#include "engine/db_iterator.h"
#include "engine/memtable.h"
#include "engine/merge_iterator.h"
#include "prng.h"
#include "unsteady_iterator.h"

#define CHILDREN_MAX 4u
#define NOW_SECONDS 1000u
#define KEY_BYTES_MAX 4u
#define NOT_ON_KEY SIZE_MAX

/* One key as the view has it. */
struct shown {
    const struct array_entry *entry;
    struct varve_slice key, value;
    uint64_t revision;
};

struct fixture {
    struct prng prng;
    size_t count;
    struct array parts[CHILDREN_MAX];
    struct array all;
    uint64_t moves, fail_after;
    int released;
    bool unsteady; /* the first child is a memtable that is written to */
    struct memtable_pool *pool;
    struct buf start, end;
    uint64_t sequence;
    uint64_t hidden_max;
    uint64_t pauses;
    struct shown *shown; /* within the bounds, in order */
    size_t shown_count;
    struct varve_iterator *it;
};

static struct varve_slice random_key(struct prng *prng, uint8_t at[KEY_BYTES_MAX])
{
    size_t size = prng_between(prng, 1, KEY_BYTES_MAX);
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)prng_below(prng, 2) * 'k';
    return varve_slice(at, size);
}

static void add(struct fixture *f, struct varve_slice key, uint64_t sequence, enum entry_kind kind)
{
    uint8_t value[16] = {0};
    size_t size = kind == ENTRY_DELETE ? 0 : 8 + prng_below(&f->prng, 8);
    prng_bytes(&f->prng, value, sizeof value);
    if (kind == ENTRY_PUT_EXPIRING)
        fixed64_encode(value, prng_between(&f->prng, NOW_SECONDS - 2, NOW_SECONDS + 3));
    uint64_t tag = entry_tag(sequence, kind);
    array_add(&f->parts[prng_below(&f->prng, f->count)], key, tag, varve_slice(value, size));
    array_add(&f->all, key, tag, varve_slice(value, size));
}

static void released(void *context)
{
    ++*(int *)context;
}

static bool within_bounds(const struct fixture *f, struct varve_slice key)
{
    return (f->start.size == 0 || varve_slice_compare(key, buf_slice(&f->start)) >= 0) &&
           (f->end.size == 0 || varve_slice_compare(key, buf_slice(&f->end)) < 0);
}

static void build_model(struct fixture *f)
{
    array_sort(&f->all);
    f->shown = calloc(f->all.count + 1, sizeof *f->shown);
    ck_assert_ptr_nonnull(f->shown);
    const struct array_entry *seen = NULL; /* the newest visible one of the last key */
    for (size_t i = 0; i < f->all.count; i++) {
        const struct array_entry *entry = &f->all.entries[i];
        struct varve_slice key = entry_user_key(buf_slice(&entry->key));
        uint64_t tag = entry_key_tag(buf_slice(&entry->key));
        if (entry_tag_sequence(tag) > f->sequence)
            continue;
        if (seen != NULL && varve_slice_compare(key, entry_user_key(buf_slice(&seen->key))) == 0)
            continue;
        seen = entry;
        struct varve_slice value = buf_slice(&entry->value);
        bool expires = entry_tag_kind(tag) == ENTRY_PUT_EXPIRING;
        if (entry_tag_kind(tag) == ENTRY_DELETE || !within_bounds(f, key) ||
            (expires && fixed64_decode(value.data) <= NOW_SECONDS))
            continue;
        if (expires)
            value = varve_slice(value.data + 8, value.size - 8);
        f->shown[f->shown_count++] = (struct shown){entry, key, value, entry_tag_sequence(tag)};
    }
}

static void make_iterator(struct fixture *f, bool may_fail)
{
    struct entry_iterator *children[CHILDREN_MAX];
    for (size_t i = 0; i < f->count; i++) {
        array_sort(&f->parts[i]);
        if (f->unsteady && i == 0)
            children[i] = unsteady_iterator_new(f->pool, &f->parts[i], &f->prng, f->sequence);
        else
            children[i] =
                array_iterator_new(&f->parts[i], &f->moves, may_fail ? &f->fail_after : NULL);
    }
    struct db_iterator_source source = {.sequence = f->sequence,
                                        .now_seconds = NOW_SECONDS,
                                        .start = buf_slice(&f->start),
                                        .end = buf_slice(&f->end),
                                        .hidden_max = f->hidden_max,
                                        .released = released,
                                        .context = &f->released};
    ck_assert_int_eq(merge_iterator_new(children, f->count, &source.merged), VARVE_OK);
    ck_assert_int_eq(db_iterator_new(&source, &f->it), VARVE_OK);
    ck_assert_uint_eq(varve_iterator_view_revision(f->it), f->sequence);
    build_model(f);
}

static void set_up(struct fixture *f, uint64_t seed)
{
    *f = (struct fixture){.prng = prng_make(seed), .fail_after = UINT64_MAX};
    f->count = prng_between(&f->prng, 1, CHILDREN_MAX);
}

/* Entries, a view and bounds. */
static void fill_random(struct fixture *f)
{
    size_t entries = prng_below(&f->prng, 200);
    bool many_of_one = prng_chance(&f->prng, 30);
    uint8_t bytes[KEY_BYTES_MAX];
    struct varve_slice key = {0};
    for (uint64_t sequence = 1; sequence <= entries; sequence++) {
        if (sequence == 1 || !many_of_one || prng_chance(&f->prng, 5))
            key = random_key(&f->prng, bytes);
        add(f, key, sequence, (enum entry_kind)prng_below(&f->prng, ENTRY_KIND_MAX + 1));
    }
    f->sequence = prng_chance(&f->prng, 50) ? entries : prng_below(&f->prng, entries + 1);
    if (prng_chance(&f->prng, 40))
        ck_assert_int_eq(buf_assign(&f->start, random_key(&f->prng, bytes)), VARVE_OK);
    if (prng_chance(&f->prng, 40))
        ck_assert_int_eq(buf_assign(&f->end, random_key(&f->prng, bytes)), VARVE_OK);
}

static void set_up_random(struct fixture *f, uint64_t seed, bool may_fail)
{
    set_up(f, seed);
    fill_random(f);
    make_iterator(f, may_fail);
}

static void tear_down(struct fixture *f)
{
    varve_iterator_free(f->it);
    ck_assert_int_eq(f->released, 1);
    for (size_t i = 0; i < f->count; i++)
        array_deinit(&f->parts[i]);
    array_deinit(&f->all);
    buf_deinit(&f->start);
    buf_deinit(&f->end);
    free(f->shown);
}

static void assert_slices(struct varve_slice a, struct varve_slice b)
{
    ck_assert_int_eq(varve_slice_compare(a, b), 0);
}

/* How many shown keys are < `key`, or <= it. */
static size_t rank(const struct fixture *f, struct varve_slice key, bool or_equal)
{
    size_t count = 0;
    while (count < f->shown_count) {
        int order = varve_slice_compare(f->shown[count].key, key);
        if (order > 0 || (order == 0 && !or_equal))
            break;
        count++;
    }
    return count;
}

/* One random move. *at: index of the shown key it should stand on, else anything beyond. */
static enum varve_status move(struct fixture *f, size_t *at)
{
    uint64_t which = prng_below(&f->prng, 24);
    if (which >= 8) {
        bool forward = which >= 16;
        if (*at < f->shown_count)
            *at = forward ? *at + 1 : *at - 1;
        return forward ? varve_iterator_next(f->it) : varve_iterator_prev(f->it);
    }
    uint8_t bytes[KEY_BYTES_MAX];
    struct varve_slice target = random_key(&f->prng, bytes);
    if (which == 7)
        target.size = 0;
    else if (which == 6 && *at < f->shown_count)
        target = varve_iterator_key(f->it); /* lent by the iterator itself */
    switch (which % 4) {
    case 0:
        *at = 0;
        return varve_iterator_seek_first(f->it);
    case 1:
        *at = f->shown_count - 1;
        return varve_iterator_seek_last(f->it);
    case 2:
        *at = rank(f, target, false);
        return varve_iterator_seek(f->it, target);
    default:
        *at = rank(f, target, true) - 1;
        return varve_iterator_seek_for_prev(f->it, target);
    }
}

static void assert_stands(const struct fixture *f, enum varve_status status, size_t at, bool was_on)
{
    if (at >= f->shown_count) {
        ck_assert_int_eq(status, was_on ? VARVE_END : VARVE_INVALID);
        return;
    }
    ck_assert_int_eq(status, VARVE_OK);
    assert_slices(varve_iterator_key(f->it), f->shown[at].key);
    assert_slices(varve_iterator_value(f->it), f->shown[at].value);
    ck_assert_uint_eq(varve_iterator_revision(f->it), f->shown[at].revision);
}

/* Goes on until the move is done; each time it pauses, it stands nowhere. One assertion, for check
 * makes them dear. */
static enum varve_status resume(struct fixture *f, enum varve_status status)
{
    bool astray = false;
    if (f->hidden_max == 0)
        return status;
    for (; status == VARVE_BUSY; f->pauses++) {
        astray |= varve_iterator_next(f->it) != VARVE_INVALID;
        astray |= varve_iterator_prev(f->it) != VARVE_INVALID;
        status = varve_iterator_resume(f->it);
    }
    astray |= varve_iterator_resume(f->it) != VARVE_INVALID;
    ck_assert(!astray);
    return status;
}

static void move_randomly(struct fixture *f, int moves)
{
    size_t at = NOT_ON_KEY;
    for (int i = 0; i < moves; i++) {
        size_t before = at;
        struct prng peek = f->prng;
        bool seeks = prng_below(&peek, 24) < 8;
        enum varve_status status = resume(f, move(f, &at));
        assert_stands(f, status, at, seeks || before < f->shown_count);
    }
}

START_TEST(random_moves)
{
    const uint64_t stride = budget_choose(20, 6, 1);
    for (uint64_t seed = 1 + budget_offset(stride); seed <= 2000; seed += stride) {
        struct fixture f;
        set_up_random(&f, seed, false);
        move_randomly(&f, 80);
        tear_down(&f);
    }
}
END_TEST

/* Moves that pause come to the same in the end. */
START_TEST(random_moves_with_pauses)
{
    uint64_t pauses = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct fixture f;
        set_up(&f, seed);
        fill_random(&f);
        f.hidden_max = prng_between(&f.prng, 1, 12);
        make_iterator(&f, false);
        move_randomly(&f, 80);
        pauses += f.pauses;
        tear_down(&f);
    }
    ck_assert_uint_gt(pauses, 1500);
}
END_TEST

/* The view is the same whatever is written while it is read, between any two steps of a move. */
START_TEST(written_to_meanwhile)
{
    struct memtable_pool *pool = NULL;
    struct memory_budget memory;
    memory_budget_init(&memory, SIZE_MAX);
    ck_assert_int_eq(memtable_pool_new(64u << 10, 1u << 20, 4096, &memory, &pool), VARVE_OK);
    const uint64_t stride = budget_choose(5, 1, 1);
    for (uint64_t seed = 1 + budget_offset(stride); seed <= 500; seed += stride) {
        struct fixture f;
        set_up(&f, seed);
        fill_random(&f);
        f.sequence = 200; /* all of them, and none of the later ones */
        f.unsteady = true;
        f.pool = pool;
        f.hidden_max = seed % 3;
        make_iterator(&f, false);
        move_randomly(&f, 60);
        tear_down(&f);
    }
    memtable_pool_free(pool);
    memory_budget_deinit(&memory);
}
END_TEST

/* A failure is given back by the move that met it and by all further ones, until a seek. */
START_TEST(failures_stay)
{
    size_t failures = 0;
    const uint64_t stride = budget_choose(5, 1, 1);
    for (uint64_t seed = 1 + budget_offset(stride); seed <= 1000; seed += stride) {
        struct fixture f;
        set_up_random(&f, seed, true);
        f.fail_after = prng_below(&f.prng, 60);
        size_t at = NOT_ON_KEY;
        for (int i = 0; i < 60; i++) {
            size_t before = at;
            struct prng peek = f.prng;
            bool seeks = prng_below(&peek, 24) < 8;
            enum varve_status status = move(&f, &at);
            if (status == VARVE_IO) {
                failures++;
                f.fail_after = UINT64_MAX;
                ck_assert_int_eq(varve_iterator_next(f.it), VARVE_IO);
                ck_assert_int_eq(varve_iterator_prev(f.it), VARVE_IO);
                status = varve_iterator_seek_first(f.it);
                at = 0;
                seeks = true;
            }
            assert_stands(&f, status, at, seeks || before < f.shown_count);
        }
        tear_down(&f);
    }
    ck_assert_uint_gt(failures, 500 / stride);
}
END_TEST

START_TEST(stands_on_no_key_at_first)
{
    struct fixture f;
    set_up(&f, 1);
    add(&f, varve_slice_str("k"), 1, ENTRY_PUT);
    f.sequence = 1;
    make_iterator(&f, false);
    ck_assert_int_eq(varve_iterator_next(f.it), VARVE_INVALID);
    ck_assert_int_eq(varve_iterator_prev(f.it), VARVE_INVALID);
    ck_assert_int_eq(varve_iterator_seek_first(f.it), VARVE_OK);
    ck_assert_int_eq(varve_iterator_next(f.it), VARVE_END);
    ck_assert_int_eq(varve_iterator_next(f.it), VARVE_INVALID);
    ck_assert_int_eq(varve_iterator_prev(f.it), VARVE_INVALID);
    tear_down(&f);
}
END_TEST

/* A value too short for its expiry is damage, not an absent key. */
START_TEST(short_expiring_value)
{
    struct fixture f;
    set_up(&f, 1);
    uint64_t tag = entry_tag(1, ENTRY_PUT_EXPIRING);
    array_add(&f.parts[0], varve_slice_str("k"), tag, varve_slice("seven b", 7));
    f.sequence = 1;
    make_iterator(&f, false);
    ck_assert_int_eq(varve_iterator_seek_first(f.it), VARVE_CORRUPT);
    ck_assert_int_eq(varve_iterator_next(f.it), VARVE_CORRUPT);
    ck_assert_int_eq(varve_iterator_seek_last(f.it), VARVE_CORRUPT);
    tear_down(&f);
}
END_TEST

enum { VERSIONS = 20000 };

/* "a", then a key with very many versions around the view's sequence, then "z". */
static void set_up_versions(struct fixture *f, uint64_t sequence)
{
    set_up(f, 5);
    add(f, varve_slice_str("a"), 1, ENTRY_PUT);
    add(f, varve_slice_str("z"), 2, ENTRY_PUT);
    for (uint64_t i = 0; i < VERSIONS; i++)
        add(f, varve_slice_str("m"), 3 + i, ENTRY_PUT);
    f->sequence = sequence;
    make_iterator(f, false);
    f->moves = 0;
}

START_TEST(many_versions_are_passed_by_seeks)
{
    static const uint64_t sequences[] = {2, 3, 100, VERSIONS / 2, VERSIONS, VERSIONS + 2};
    const uint64_t moves_max = 1000; /* of children; far below VERSIONS */
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        struct fixture f;
        set_up_versions(&f, sequences[i]);
        ck_assert_int_eq(varve_iterator_seek_first(f.it), VARVE_OK);
        for (size_t k = 1; k < f.shown_count; k++)
            assert_stands(&f, varve_iterator_next(f.it), k, true);
        ck_assert_int_eq(varve_iterator_next(f.it), VARVE_END);
        ck_assert_int_eq(varve_iterator_seek_last(f.it), VARVE_OK);
        for (size_t k = f.shown_count - 1; k-- > 0;)
            assert_stands(&f, varve_iterator_prev(f.it), k, true);
        ck_assert_int_eq(varve_iterator_prev(f.it), VARVE_END);
        ck_assert_int_eq(varve_iterator_seek(f.it, varve_slice_str("b")), VARVE_OK);
        assert_stands(&f, varve_iterator_prev(f.it), 0, true);
        ck_assert_uint_lt(f.moves, moves_max);
        tear_down(&f);
    }
}
END_TEST

/* Deleted keys are passed once each, and a bound ends the pass among keys newer than the view. */
START_TEST(hidden_keys_are_passed_once)
{
    enum { KEYS = 3000 };
    for (int newer = 0; newer < 2; newer++) {
        struct fixture f;
        set_up(&f, 9);
        uint64_t sequence = newer ? 1 : 2;
        for (unsigned i = 0; i < KEYS; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%05u", i);
            add(&f, varve_slice(key, 6), 2, ENTRY_DELETE);
        }
        add(&f, varve_slice_str("z"), 1, ENTRY_PUT);
        f.sequence = sequence;
        ck_assert_int_eq(buf_assign(&f.end, varve_slice_str(newer ? "k00010" : "zz")), VARVE_OK);
        make_iterator(&f, false);
        f.moves = 0;
        ck_assert_int_eq(varve_iterator_seek_first(f.it), newer ? VARVE_END : VARVE_OK);
        if (newer)
            ck_assert_uint_lt(f.moves, 100);
        else
            ck_assert_uint_lt(f.moves, 2 * KEYS);
        tear_down(&f);
    }
}
END_TEST

/* Deleted keys, then keys newer than the view, between two that are shown: no move between two
 * pauses takes more than its share, in either direction, and a seek gives a paused move up. */
START_TEST(hidden_keys_are_passed_in_steps)
{
    enum { KEYS = 2000, HIDDEN_MAX = 50, MOVES_MAX = 4 * HIDDEN_MAX };
    struct fixture f;
    set_up(&f, 9);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%05u", i);
        add(&f, varve_slice(key, 6), i < KEYS / 2 ? 2 : 3, ENTRY_DELETE);
    }
    add(&f, varve_slice_str("a"), 1, ENTRY_PUT);
    add(&f, varve_slice_str("z"), 1, ENTRY_PUT);
    f.sequence = 2;
    f.hidden_max = HIDDEN_MAX;
    make_iterator(&f, false);
    for (int forward = 0; forward < 2; forward++) {
        unsigned pauses = 0;
        assert_stands(&f,
                      forward ? varve_iterator_seek_first(f.it) : varve_iterator_seek_last(f.it),
                      forward ? 0 : 1, true);
        f.moves = 0;
        enum varve_status status = forward ? varve_iterator_next(f.it) : varve_iterator_prev(f.it);
        for (; status == VARVE_BUSY; pauses++) {
            ck_assert_uint_le(f.moves, MOVES_MAX);
            f.moves = 0;
            status = varve_iterator_resume(f.it);
        }
        assert_stands(&f, status, forward ? 1 : 0, true);
        ck_assert_uint_ge(pauses, KEYS / HIDDEN_MAX - 1);
        ck_assert_uint_le(pauses, KEYS / HIDDEN_MAX + 1);
    }
    ck_assert_int_eq(varve_iterator_seek(f.it, varve_slice_str("b")), VARVE_BUSY);
    assert_stands(&f, varve_iterator_seek(f.it, varve_slice_str("a")), 0, true);
    ck_assert_int_eq(varve_iterator_resume(f.it), VARVE_INVALID);
    tear_down(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("db_iterator");
    TCase *tests = tcase_create("db_iterator");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, random_moves);
    tcase_add_test(tests, random_moves_with_pauses);
    tcase_add_test(tests, written_to_meanwhile);
    tcase_add_test(tests, failures_stay);
    tcase_add_test(tests, stands_on_no_key_at_first);
    tcase_add_test(tests, short_expiring_value);
    tcase_add_test(tests, many_versions_are_passed_by_seeks);
    tcase_add_test(tests, hidden_keys_are_passed_once);
    tcase_add_test(tests, hidden_keys_are_passed_in_steps);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
