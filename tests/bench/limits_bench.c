/*
 * limits_bench.c: what the machine allows at most, for parts that every engine has.
 *
 * limits_bench memcpy | crc32c | crc32c-software | tree | tree-in-order [DIVISOR]
 *
 * memcpy and the crcs go over memory that no cache holds, and print GB/s. The trees take COUNT
 * entries of KEY_BYTES and VALUE_BYTES, nothing around them, and print microseconds an insert. With
 * a DIVISOR up to DIVISOR_MAX it is only so much of all that: to try the program, not the machine.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/coding.h"
#include "base/crc32c.h"
#include "engine/entry_tree.h"
#include "must.h"
#include "prng.h"

#define AREA_BYTES ((size_t)256 << 20)
#define BLOCK_BYTES ((size_t)4096)
#define PASSES 4
#define COUNT 500000u
#define KEY_BYTES 16u
#define VALUE_BYTES 100u
#define CHUNK_BYTES ((size_t)1 << 20)
#define DIVISOR_MAX 1000u

static size_t area_bytes = AREA_BYTES, count = COUNT;

static double now_s(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint8_t *area_make(void)
{
    uint8_t *area = malloc(area_bytes);
    must(area != NULL);
    memset(area, 'x', area_bytes);
    return area;
}

static double copy_rate(void)
{
    uint8_t *from = area_make(), *to = area_make();
    double begin_s = now_s();
    for (unsigned pass = 0; pass < PASSES; pass++) {
        from[pass]++; /* or one copy would do */
        memcpy(to, from, area_bytes);
    }
    double took_s = now_s() - begin_s;
    must(memcmp(from, to, area_bytes) == 0);
    free(from);
    free(to);
    return PASSES * (double)area_bytes / took_s / 1e9;
}

/* A block a call, as tables are read and written. */
static double crc_rate(uint32_t (*extend)(uint32_t crc, const void *data, size_t size))
{
    uint8_t *area = area_make();
    uint32_t sum = 0;
    double begin_s = now_s();
    for (size_t at = 0; at < area_bytes; at += BLOCK_BYTES)
        sum ^= extend((uint32_t)at, area + at, BLOCK_BYTES);
    double took_s = now_s() - begin_s;
    must(sum != 1); /* whatever it is, it is needed */
    free(area);
    return (double)area_bytes / took_s / 1e9;
}

static double insert_us(bool in_order)
{
    struct arena arena;
    struct entry_tree tree;
    struct prng prng = prng_make(1);
    char key[KEY_BYTES + 1];
    uint8_t value[VALUE_BYTES] = {0};
    arena_init(&arena, CHUNK_BYTES, NULL);
    must_ok(entry_tree_init(&tree, &arena, varve_slice(NULL, 0)));
    double begin_s = now_s();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = in_order ? i : prng_next(&prng);
        snprintf(key, sizeof key, "%016llx", (unsigned long long)number);
        must_ok(entry_tree_reserve(&tree, 1, KEY_BYTES + VALUE_BYTES));
        entry_tree_insert(&tree, varve_slice(key, KEY_BYTES), entry_tag(i + 1, ENTRY_PUT),
                          varve_slice(value, VALUE_BYTES));
    }
    double took_s = now_s() - begin_s;
    arena_deinit(&arena, NULL, 0);
    return took_s * 1e6 / (double)count;
}

int main(int argc, char **argv)
{
    const char *what = argc >= 2 ? argv[1] : "";
    unsigned long divisor = argc == 3 ? strtoul(argv[2], NULL, 10) : 1;
    if (argc > 3 || divisor == 0 || divisor > DIVISOR_MAX)
        return 2;
    area_bytes /= divisor;
    count /= divisor;
    double figure = 0;
    if (strcmp(what, "memcpy") == 0)
        figure = copy_rate();
    else if (strcmp(what, "crc32c") == 0)
        figure = crc_rate(crc32c_extend);
    else if (strcmp(what, "crc32c-software") == 0)
        figure = crc_rate(crc32c_extend_software);
    else if (strcmp(what, "tree") == 0)
        figure = insert_us(false);
    else if (strcmp(what, "tree-in-order") == 0)
        figure = insert_us(true);
    else
        return 2;
    printf("%.3f\n", figure);
    return 0;
}
