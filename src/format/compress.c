/*
 * Both libraries are told how much room there is and give up when it is not enough: the room is
 * seven eighths of the block, so what does not pay is found out without a further look.
 *
 * A zstd context costs several times as much to make as a small block to uncompress. So a few that
 * nobody uses are kept for the whole process, each in a slot of its own that is emptied and filled
 * by one atomic exchange.
 */
#include "format/compress.h"

#include <lz4.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/coding.h"

#define SIZE_BYTES sizeof(uint32_t)
#define ZSTD_LEVEL 3
#define SPARE_CONTEXTS_MAX 8u

static _Atomic(ZSTD_DCtx *) spare_contexts[SPARE_CONTEXTS_MAX];

static ZSTD_DCtx *context_acquire(void)
{
    for (size_t i = 0; i < SPARE_CONTEXTS_MAX; i++) {
        ZSTD_DCtx *context = atomic_exchange(&spare_contexts[i], NULL);
        if (context != NULL)
            return context;
    }
    return ZSTD_createDCtx();
}

static void context_release(ZSTD_DCtx *context)
{
    for (size_t i = 0; i < SPARE_CONTEXTS_MAX; i++) {
        ZSTD_DCtx *none = NULL;
        if (atomic_compare_exchange_strong(&spare_contexts[i], &none, context))
            return;
    }
    (void)ZSTD_freeDCtx(context);
}

/* When the library is unloaded. */
__attribute__((destructor)) static void spare_contexts_free(void)
{
    for (size_t i = 0; i < SPARE_CONTEXTS_MAX; i++)
        (void)ZSTD_freeDCtx(atomic_exchange(&spare_contexts[i], NULL));
}

void compressor_deinit(struct compressor *compressor)
{
    (void)ZSTD_freeCCtx(compressor->zstd);
    compressor->zstd = NULL;
}

static size_t lz4_compress(struct varve_slice raw, uint8_t *ret_bytes, size_t room)
{
    int size =
        LZ4_compress_default((const char *)raw.data, (char *)ret_bytes, (int)raw.size, (int)room);
    return size > 0 ? (size_t)size : 0;
}

static enum varve_status zstd_compress(struct compressor *compressor, struct varve_slice raw,
                                       uint8_t *ret_bytes, size_t room, size_t *ret_size)
{
    if (compressor->zstd == NULL)
        compressor->zstd = ZSTD_createCCtx();
    if (compressor->zstd == NULL)
        return status_raise(VARVE_NO_MEMORY);
    size_t size =
        ZSTD_compressCCtx(compressor->zstd, ret_bytes, room, raw.data, raw.size, ZSTD_LEVEL);
    if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation)
        return status_raise(VARVE_NO_MEMORY);
    *ret_size = ZSTD_isError(size) ? 0 : size;
    return VARVE_OK;
}

enum varve_status compress_block(struct compressor *compressor, enum compression kind,
                                 struct varve_slice raw, uint8_t *ret_bytes, size_t *ret_size)
{
    size_t worth = raw.size - (raw.size + 7) / 8, size = 0;
    enum varve_status status = VARVE_OK;
    if (kind != COMPRESSION_NONE && raw.size <= COMPRESS_BYTES_MAX && worth > SIZE_BYTES) {
        uint8_t *at = ret_bytes + SIZE_BYTES;
        size_t room = worth - SIZE_BYTES;
        if (kind == COMPRESSION_LZ4)
            size = lz4_compress(raw, at, room);
        else
            status = zstd_compress(compressor, raw, at, room, &size);
    }
    if (status != VARVE_OK)
        return status;
    if (size != 0) {
        fixed32_encode(ret_bytes, (uint32_t)raw.size);
        size += SIZE_BYTES;
    }
    *ret_size = size;
    return VARVE_OK;
}

/* True when `bytes` hold exactly `size` bytes, then written to `ret_data`. */
static bool lz4_uncompress(struct varve_slice bytes, uint8_t *ret_data, size_t size)
{
    int got =
        LZ4_decompress_safe((const char *)bytes.data, (char *)ret_data, (int)bytes.size, (int)size);
    return got >= 0 && (size_t)got == size;
}

static enum varve_status zstd_uncompress(struct varve_slice bytes, uint8_t *ret_data, size_t size)
{
    ZSTD_DCtx *context = context_acquire();
    if (context == NULL)
        return status_raise(VARVE_NO_MEMORY);
    size_t got = ZSTD_decompressDCtx(context, ret_data, size, bytes.data, bytes.size);
    context_release(context);
    if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
        return status_raise(VARVE_NO_MEMORY);
    return got == size ? VARVE_OK : status_raise(VARVE_CORRUPT);
}

enum varve_status uncompress_block(uint8_t kind, struct varve_slice bytes, uint8_t **ret_data,
                                   size_t *ret_size)
{
    if (kind != COMPRESSION_LZ4 && kind != COMPRESSION_ZSTD)
        return status_raise(VARVE_UNSUPPORTED);
    if (bytes.size <= SIZE_BYTES)
        return status_raise(VARVE_CORRUPT);
    size_t size = fixed32_decode(bytes.data);
    if (size > COMPRESS_BYTES_MAX || size <= bytes.size)
        return status_raise(VARVE_CORRUPT);
    uint8_t *data = malloc(size);
    if (data == NULL)
        return status_raise(VARVE_NO_MEMORY);
    struct varve_slice content = varve_slice(bytes.data + SIZE_BYTES, bytes.size - SIZE_BYTES);
    enum varve_status status = VARVE_OK;
    if (kind == COMPRESSION_ZSTD)
        status = zstd_uncompress(content, data, size);
    else if (!lz4_uncompress(content, data, size))
        status = status_raise(VARVE_CORRUPT);
    if (status != VARVE_OK) {
        free(data);
        return status;
    }
    *ret_data = data;
    *ret_size = size;
    return VARVE_OK;
}
