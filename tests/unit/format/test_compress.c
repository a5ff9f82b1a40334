/* Compressed blocks: they come back as they were, are kept only where they pay, and nothing that is
 * not one is taken for one. */
#include "format/compress.h"

#include <stdlib.h>

#include "base/coding.h"
#include "prng.h"
#include "support.h"

static const enum compression kinds[] = {COMPRESSION_LZ4, COMPRESSION_ZSTD};
#define KINDS (sizeof kinds / sizeof kinds[0])
#define BYTES_MAX 70000u
#define SIZE_BYTES 4u

/* `noise` percent of the bytes are random, the others repeat a short text. */
static void block_fill(struct prng *prng, uint8_t *block, size_t size, unsigned noise)
{
    for (size_t i = 0; i < size; i++)
        block[i] = prng_chance(prng, noise) ? (uint8_t)prng_next(prng) : (uint8_t)("key/"[i % 4]);
}

/* The compressed block in new memory, NULL when it was not kept. */
static uint8_t *compressed(struct compressor *compressor, enum compression kind,
                           struct varve_slice raw, size_t *ret_size)
{
    uint8_t *bytes = malloc(raw.size + 1);
    ck_assert_ptr_nonnull(bytes);
    *ret_size = SIZE_MAX;
    ck_ok(compress_block(compressor, kind, raw, bytes, ret_size));
    if (*ret_size != 0) {
        ck_assert_uint_le(*ret_size, raw.size - (raw.size + 7) / 8);
        return bytes;
    }
    free(bytes);
    return NULL;
}

static void ck_refused(enum compression kind, struct varve_slice bytes)
{
    uint8_t *data = NULL;
    size_t size = 0;
    ck_status(uncompress_block((uint8_t)kind, bytes, &data, &size), VARVE_CORRUPT);
    ck_assert_ptr_null(data);
}

static void ck_comes_back(enum compression kind, struct varve_slice bytes, struct varve_slice raw)
{
    uint8_t *data = NULL;
    size_t size = 0;
    ck_ok(uncompress_block((uint8_t)kind, bytes, &data, &size));
    ck_slice_eq(varve_slice(data, size), raw);
    free(data);
}

START_TEST(comes_back)
{
    static const size_t sizes[] = {1, 4, 5, 40, 300, 4096, 4200, 65536, BYTES_MAX};
    struct prng prng = prng_make(1);
    struct compressor compressor = {0};
    uint8_t *block = malloc(BYTES_MAX);
    ck_assert_ptr_nonnull(block);
    for (size_t k = 0; k < KINDS; k++) {
        size_t kept = 0;
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            for (unsigned noise = 0; noise <= 100; noise += 20) {
                block_fill(&prng, block, sizes[s], noise);
                struct varve_slice raw = varve_slice(block, sizes[s]);
                size_t size = 0;
                uint8_t *bytes = compressed(&compressor, kinds[k], raw, &size);
                kept += bytes != NULL;
                if (noise == 0 && sizes[s] >= 300)
                    ck_assert_ptr_nonnull(bytes);
                if (noise == 100)
                    ck_assert_ptr_null(bytes);
                if (bytes != NULL)
                    ck_comes_back(kinds[k], varve_slice(bytes, size), raw);
                free(bytes);
            }
        }
        ck_assert_uint_ge(kept, 10);
    }
    compressor_deinit(&compressor);
    free(block);
}
END_TEST

/* The more of a block is random, the larger it gets, until it is given up short of seven eighths.
 */
START_TEST(kept_where_it_saves_an_eighth)
{
    struct compressor compressor = {0};
    uint8_t block[4096];
    for (size_t k = 0; k < KINDS; k++) {
        size_t largest = 0, size = 0;
        for (size_t random = 0; random <= sizeof block; random += 16) {
            struct prng prng = prng_make(random);
            memset(block, 'a', sizeof block);
            prng_bytes(&prng, block, random);
            free(compressed(&compressor, kinds[k], varve_slice(block, sizeof block), &size));
            if (random + 64 < sizeof block / 8 * 7)
                ck_assert_uint_ne(size, 0);
            if (random > sizeof block / 8 * 7)
                ck_assert_uint_eq(size, 0);
            largest = size > largest ? size : largest;
        }
        ck_assert_uint_gt(largest, sizeof block / 8 * 7 - 64);
    }
    ck_assert_ptr_null(
        compressed(&compressor, COMPRESSION_NONE, varve_slice(block, 9), &(size_t){0}));
    ck_assert_ptr_null(
        compressed(&compressor, COMPRESSION_LZ4, varve_slice(block, 0), &(size_t){0}));
    compressor_deinit(&compressor);
}
END_TEST

START_TEST(too_large_stays_as_it_is)
{
    const size_t bytes = (size_t)COMPRESS_BYTES_MAX + 1;
    struct compressor compressor = {0};
    uint8_t *block = calloc(1, bytes);
    uint8_t *room = malloc(bytes);
    ck_assert(block != NULL && room != NULL);
    size_t size = 1;
    ck_ok(compress_block(&compressor, COMPRESSION_LZ4, varve_slice(block, bytes), room, &size));
    ck_assert_uint_eq(size, 0);
    free(block);
    free(room);
    compressor_deinit(&compressor);
}
END_TEST

START_TEST(unknown_kinds)
{
    uint8_t bytes[16] = {32}, *data = NULL;
    size_t size = 0;
    for (unsigned kind = 0; kind < 256; kind++) {
        enum varve_status status =
            uncompress_block((uint8_t)kind, varve_slice(bytes, sizeof bytes), &data, &size);
        bool known = kind == COMPRESSION_LZ4 || kind == COMPRESSION_ZSTD;
        ck_status(status, known ? VARVE_CORRUPT : VARVE_UNSUPPORTED);
    }
}
END_TEST

/* Cut anywhere, lengthened, or with another size than its own. */
START_TEST(not_as_it_was_written)
{
    struct prng prng = prng_make(2);
    struct compressor compressor = {0};
    uint8_t block[3000];
    block_fill(&prng, block, sizeof block, 20);
    for (size_t k = 0; k < KINDS; k++) {
        size_t size = 0;
        uint8_t *bytes = compressed(&compressor, kinds[k], varve_slice(block, sizeof block), &size);
        ck_assert_ptr_nonnull(bytes);
        for (size_t length = 0; length < size; length++) {
            uint8_t *cut = malloc(length + 1); /* so that a read behind its end is seen */
            ck_assert_ptr_nonnull(cut);
            memcpy(cut, bytes, length);
            ck_refused(kinds[k], varve_slice(cut, length));
            free(cut);
        }
        bytes[size] = 0;
        ck_refused(kinds[k], varve_slice(bytes, size + 1));
        const uint32_t wrong[] = {0,
                                  1,
                                  (uint32_t)size,
                                  sizeof block - 1,
                                  sizeof block + 1,
                                  COMPRESS_BYTES_MAX,
                                  COMPRESS_BYTES_MAX + 1,
                                  UINT32_MAX};
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            fixed32_encode(bytes, wrong[i]);
            ck_refused(kinds[k], varve_slice(bytes, size));
        }
        fixed32_encode(bytes, sizeof block);
        ck_comes_back(kinds[k], varve_slice(bytes, size), varve_slice(block, sizeof block));
        free(bytes);
    }
    compressor_deinit(&compressor);
}
END_TEST

/* Changed bytes are the checksum's to find; here they must do no harm. */
START_TEST(changed_bytes_do_no_harm)
{
    struct prng prng = prng_make(3);
    struct compressor compressor = {0};
    uint8_t block[600];
    block_fill(&prng, block, sizeof block, 20);
    for (size_t k = 0; k < KINDS; k++) {
        size_t size = 0, refused = 0;
        uint8_t *bytes = compressed(&compressor, kinds[k], varve_slice(block, sizeof block), &size);
        ck_assert_ptr_nonnull(bytes);
        for (size_t at = SIZE_BYTES; at < size; at++) {
            for (unsigned mask = 1; mask < 256; mask++) {
                uint8_t *data = NULL;
                size_t got = 0;
                bytes[at] ^= (uint8_t)mask;
                enum varve_status status =
                    uncompress_block((uint8_t)kinds[k], varve_slice(bytes, size), &data, &got);
                bytes[at] ^= (uint8_t)mask;
                if (status == VARVE_OK)
                    ck_assert_uint_eq(got, sizeof block);
                else
                    ck_status(status, VARVE_CORRUPT);
                refused += status != VARVE_OK;
                free(data);
            }
        }
        ck_assert_uint_gt(refused, 100);
        free(bytes);
    }
    compressor_deinit(&compressor);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"comes_back", comes_back},
        {"kept_where_it_saves_an_eighth", kept_where_it_saves_an_eighth},
        {"too_large_stays_as_it_is", too_large_stays_as_it_is},
        {"unknown_kinds", unknown_kinds},
        {"not_as_it_was_written", not_as_it_was_written},
        {"changed_bytes_do_no_harm", changed_bytes_do_no_harm},
    };
    return SUPPORT_RUN("compress", tests);
}
