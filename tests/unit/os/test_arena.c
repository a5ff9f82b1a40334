/* Pieces are apart and aligned, reservations hold, chunks go from one arena to the next. */
#include <check.h>
#include <string.h>

#include "budget.h"
#include "must.h"
#include "os/arena.h"
#include "prng.h"
#include "run_suite.h"

#define CHUNK 4096

START_TEST(pieces_are_apart_and_aligned)
{
    struct arena arena;
    arena_init(&arena, CHUNK, NULL);
    struct prng prng = prng_make(5);
    enum { PIECES = 2000 };
    static uint8_t *pieces[PIECES];
    static size_t sizes[PIECES];
    size_t used = 0;
    for (unsigned i = 0; i < PIECES; i++) {
        sizes[i] = prng_below(&prng, prng_chance(&prng, 5) ? 3 * CHUNK : 200);
        pieces[i] = arena_alloc(&arena, sizes[i]);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 8, 0);
        memset(pieces[i], (int)i, sizes[i]);
        used += sizes[i];
    }
    for (unsigned i = 0; i < PIECES; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            ck_assert_uint_eq(pieces[i][k], (uint8_t)i);
    }
    ck_assert_uint_ge(arena.used_bytes, used);
    ck_assert_uint_le(arena.used_bytes, used + 8 * PIECES);
    ck_assert_uint_ge(arena.reserved_bytes, arena.used_bytes);
    arena_deinit(&arena, NULL, 0);
    arena_deinit(&arena, NULL, 0);
    arena_deinit(NULL, NULL, 0);
}
END_TEST

/* After a reservation nothing more is taken from the system, however the pieces fall. */
START_TEST(reservations_hold)
{
    struct prng prng = prng_make(6);
    struct arena arena;
    arena_init(&arena, CHUNK, NULL);
    for (uint64_t round = budget_choose(200, 2000, 2000); round > 0; round--) {
        size_t left = 8 * prng_between(&prng, 1, prng_chance(&prng, 10) ? CHUNK : CHUNK / 16);
        ck_assert_int_eq(arena_reserve(&arena, left), VARVE_OK);
        size_t held = arena.reserved_bytes;
        while (left > 0) {
            size_t size = prng_between(&prng, 1, left);
            ck_assert_ptr_nonnull(arena_alloc(&arena, size));
            left -= (size + 7) / 8 * 8;
            ck_assert_uint_eq(arena.reserved_bytes, held);
            if (prng_chance(&prng, 5))
                break; /* a reservation need not be used up */
        }
        if (prng_chance(&prng, 30))
            ck_assert_ptr_nonnull(arena_alloc(&arena, prng_below(&prng, CHUNK)));
    }
    arena_deinit(&arena, NULL, 0);
}
END_TEST

/* Pieces that were not reserved take nothing from those that were, and little from the system. */
START_TEST(pieces_beside_a_reservation)
{
    struct prng prng = prng_make(9);
    for (unsigned round = 0; round < 200; round++) {
        struct arena arena;
        arena_init(&arena, CHUNK, NULL);
        size_t left = 8 * prng_between(&prng, 1, CHUNK / 4), beside = 0, taken = 0;
        ck_assert_int_eq(arena_reserve(&arena, left), VARVE_OK);
        while (left > 0) {
            size_t held = arena.reserved_bytes;
            size_t size = prng_between(&prng, 1, left < 1000 ? left : 1000);
            uint8_t *piece = arena_alloc(&arena, size);
            ck_assert_ptr_nonnull(piece);
            memset(piece, 1, size);
            left -= (size + 7) / 8 * 8;
            ck_assert_uint_eq(arena.reserved_bytes, held);
            if (!prng_chance(&prng, 50))
                continue;
            size = prng_between(&prng, 0, 500);
            piece = arena_alloc_beside(&arena, size);
            ck_assert_ptr_nonnull(piece);
            memset(piece, 2, size);
            ck_assert_uint_eq(arena.promised_bytes, left);
            beside += size;
            taken += arena.reserved_bytes - held;
        }
        ck_assert_uint_le(taken, beside + beside / 2 + 2 * CHUNK);
        arena_deinit(&arena, NULL, 0);
    }
}
END_TEST

START_TEST(little_is_wasted)
{
    struct arena arena;
    arena_init(&arena, CHUNK, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        ck_assert_int_eq(arena_reserve(&arena, 1504), VARVE_OK);
        for (unsigned k = 0; k < 10; k++)
            ck_assert_ptr_nonnull(arena_alloc(&arena, 150));
    }
    ck_assert_uint_eq(arena.used_bytes, 1000 * 1520);
    ck_assert_uint_le(arena.reserved_bytes, arena.used_bytes + arena.used_bytes / 16);
    arena_deinit(&arena, NULL, 0);
}
END_TEST

START_TEST(large_pieces_get_chunks_of_their_own)
{
    struct arena arena;
    arena_init(&arena, CHUNK, NULL);
    uint8_t *small = arena_alloc(&arena, 8);
    ck_assert_ptr_nonnull(arena_alloc(&arena, CHUNK));
    ck_assert_uint_eq(arena.reserved_bytes, 2 * CHUNK);
    ck_assert_ptr_eq(arena_alloc(&arena, 8), small + 8); /* the first one is still in use */
    ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX / 2));
    ck_assert_int_eq(arena_reserve(&arena, SIZE_MAX), VARVE_NO_MEMORY);
    ck_assert_ptr_eq(arena_alloc(&arena, 8), small + 16);
    arena_deinit(&arena, NULL, 0);
}
END_TEST

START_TEST(chunks_are_handed_on)
{
    struct arena arena;
    struct arena_chunks spare = {0};
    arena_init(&arena, CHUNK, NULL);
    uint8_t *first = arena_alloc(&arena, 8);
    for (unsigned i = 0; i < 9; i++)
        ck_assert_ptr_nonnull(arena_alloc(&arena, CHUNK - 8 * i - 8));
    ck_assert_int_eq(arena_reserve(&arena, 3 * CHUNK), VARVE_OK);
    arena_deinit(&arena, &spare, 100);
    size_t regular = spare.count;
    ck_assert_uint_ge(regular, 1);
    ck_assert_uint_lt(regular, 10); /* not those of other sizes */

    arena_init(&arena, CHUNK, &spare);
    ck_assert_uint_eq(spare.count, 0);
    ck_assert_uint_eq(arena.reserved_bytes, regular * CHUNK);
    ck_assert_ptr_eq(arena_alloc(&arena, 8), first);
    ck_assert_uint_eq(arena.reserved_bytes, regular * CHUNK);
    for (unsigned i = 0; i < 40; i++)
        ck_assert_ptr_nonnull(arena_alloc(&arena, CHUNK / 4));
    arena_deinit(&arena, &spare, 3);
    ck_assert_uint_eq(spare.count, 3);

    arena_init(&arena, 2 * CHUNK, &spare); /* of no use at another size */
    ck_assert_uint_eq(spare.count, 0);
    ck_assert_uint_eq(arena.reserved_bytes, 0);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 8));
    arena_deinit(&arena, &spare, 3);
    ck_assert_uint_eq(spare.count, 1);
    arena_chunks_deinit(&spare);
    ck_assert_uint_eq(spare.count, 0);
    arena_chunks_deinit(NULL);
}
END_TEST

START_TEST(chunks_are_made_ahead)
{
    struct arena arena;
    struct arena_chunks made = {0}, ready = {0};
    ck_assert_int_eq(arena_chunks_add(&made, SIZE_MAX), VARVE_NO_MEMORY);
    ck_assert_uint_eq(made.count, 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(arena_chunks_add(&made, CHUNK), VARVE_OK);
    arena_chunks_move(&ready, &made);
    ck_assert_uint_eq(made.count, 0);
    ck_assert_uint_eq(ready.count, 3);
    arena_chunks_move(&ready, &made); /* nothing more */
    ck_assert_uint_eq(ready.count, 3);

    arena_init(&arena, CHUNK, &ready);
    ck_assert_uint_eq(arena.reserved_bytes, 3 * CHUNK);
    for (size_t i = 0; i < 12; i++)
        memset(arena_alloc(&arena, CHUNK / 4), 'x', CHUNK / 4);
    ck_assert_uint_eq(arena.reserved_bytes, 3 * CHUNK);
    arena_deinit(&arena, NULL, 0);
}
END_TEST

static Suite *arena_suite(void)
{
    Suite *suite = suite_create("arena");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, pieces_are_apart_and_aligned);
    tcase_add_test(tcase, reservations_hold);
    tcase_add_test(tcase, pieces_beside_a_reservation);
    tcase_add_test(tcase, little_is_wasted);
    tcase_add_test(tcase, large_pieces_get_chunks_of_their_own);
    tcase_add_test(tcase, chunks_are_handed_on);
    tcase_add_test(tcase, chunks_are_made_ahead);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return run_suite(arena_suite());
}
