/*
 * Runs a fuzz target as an ordinary test: each of its own seeds, each file of the directories named
 * as arguments, and mutations of both until the time is up. The seed of the mutations is printed
 * and may be given as VARVE_SEED; the time, in milliseconds, as VARVE_FUZZ_MS.
 *
 * A mutation is what damage does to a file: changed, swapped, doubled and missing bytes, numbers at
 * the edges of their range, cuts.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "must.h"
#include "prng.h"

#define TIME_MS 1000u
#define INPUTS_MAX 256u
#define INPUT_BYTES_MAX (1u << 20)
#define ROUND 64u /* mutations between two looks at the clock */

static struct buf inputs[INPUTS_MAX];
static size_t input_count;

static void file_add(const char *dir, const char *name)
{
    char path[4096];
    must(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path);
    FILE *file = fopen(path, "rb");
    must(file != NULL);
    struct buf *input = &inputs[input_count++];
    must_ok(buf_reserve(input, INPUT_BYTES_MAX));
    input->size = fread(input->data, 1, INPUT_BYTES_MAX, file);
    must(fclose(file) == 0);
}

static void directory_add(const char *path)
{
    DIR *dir = opendir(path);
    must(dir != NULL);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL && input_count < INPUTS_MAX) {
        if (entry->d_name[0] != '.')
            file_add(path, entry->d_name);
    }
    must(closedir(dir) == 0);
}

static uint64_t edge_number(struct prng *prng)
{
    static const uint64_t edges[] = {
        0,    1,     7,         8,          127,        128,       255,        4095,
        4096, 65535, INT32_MAX, 1ull << 31, UINT32_MAX, INT64_MAX, 1ull << 63, UINT64_MAX};
    return edges[prng_below(prng, sizeof edges / sizeof edges[0])] - prng_below(prng, 2);
}

/* One change in place. */
static void mutate_once(struct prng *prng, struct buf *input)
{
    if (input->size == 0)
        return;
    size_t at = prng_below(prng, input->size), left = input->size - at;
    uint8_t *byte = input->data + at;
    uint64_t number = edge_number(prng);
    size_t run = 1 + prng_below(prng, left < 32 ? left : 32);
    switch (prng_below(prng, 8)) {
    case 0:
        *byte ^= (uint8_t)(1u << prng_below(prng, 8));
        break;
    case 1:
        *byte = (uint8_t)prng_next(prng);
        break;
    case 2:
        memcpy(byte, &number, left < 4 ? left : 4);
        break;
    case 3:
        memcpy(byte, &number, left < 8 ? left : 8);
        break;
    case 4: /* cut */
        input->size = at;
        break;
    case 5: /* take out */
        memmove(byte, byte + run, left - run);
        input->size -= run;
        break;
    case 6: /* double */
        must_ok(buf_reserve(input, run));
        byte = input->data + at;
        memmove(byte + run, byte, left);
        input->size += run;
        break;
    default: /* copy from elsewhere */
        memmove(byte, input->data + prng_below(prng, input->size - run + 1), run);
        break;
    }
}

static uint64_t now_ms(void)
{
    struct timespec now;
    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && *text != 0 ? strtoull(text, NULL, 10) : otherwise;
}

/* An exact copy, so that a reach beyond it is seen. */
static void target_run(struct varve_slice input)
{
    uint8_t *copy = must_calloc(input.size != 0 ? input.size : 1, 1);
    if (input.size != 0)
        memcpy(copy, input.data, input.size);
    (void)LLVMFuzzerTestOneInput(copy, input.size);
    free(copy);
}

int main(int argc, char **argv)
{
    while (input_count < INPUTS_MAX && fuzz_seed((unsigned)input_count, &inputs[input_count]))
        input_count++;
    for (int i = 1; i < argc; i++)
        directory_add(argv[i]);
    must(input_count != 0);
    for (size_t i = 0; i < input_count; i++)
        target_run(buf_slice(&inputs[i]));

    const uint64_t seed = number_of("VARVE_SEED", now_ms());
    const uint64_t end = now_ms() + number_of("VARVE_FUZZ_MS", TIME_MS);
    printf("seed %" PRIu64 ", %zu inputs\n", seed, input_count);
    fflush(stdout);
    struct prng prng = prng_make(seed);
    struct buf mutant = {0};
    uint64_t runs = 0;
    while (now_ms() < end) {
        for (unsigned i = 0; i < ROUND; i++, runs++) {
            must_ok(buf_assign(&mutant, buf_slice(&inputs[prng_below(&prng, input_count)])));
            for (uint64_t n = prng_between(&prng, 1, 4); n > 0; n--)
                mutate_once(&prng, &mutant);
            target_run(buf_slice(&mutant));
        }
    }
    printf("%" PRIu64 " mutations\n", runs);
    buf_deinit(&mutant);
    for (size_t i = 0; i < input_count; i++)
        buf_deinit(&inputs[i]);
    return EXIT_SUCCESS;
}
