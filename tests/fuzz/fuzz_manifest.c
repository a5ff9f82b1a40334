/* Fuzz target: a manifest; and the bytes behind its header as one edit. */
#include "format/manifest_log.h"
#include "fuzz.h"
#include "must.h"
#include "small_files.h"

bool fuzz_seed(unsigned which, struct buf *out)
{
    static uint64_t offsets[SMALL_MANIFEST_EDITS + 1];
    struct buf manifest = {0};
    if (which > SMALL_MANIFEST_EDITS)
        return false;
    small_manifest_make(fuzz_path(), offsets);
    fuzz_file_read(&manifest);
    size_t from = 0, to = manifest.size;
    if (which > 0) { /* one edit behind a header's length */
        from = offsets[which - 1] + MANIFEST_RECORD_HEADER_BYTES - MANIFEST_HEADER_BYTES;
        to = offsets[which];
    }
    must_ok(buf_assign(out, varve_slice(manifest.data + from, to - from)));
    buf_deinit(&manifest);
    must_ok(env_remove(env_posix(), fuzz_path())); /* the next seed is made anew */
    return true;
}

/* What was decoded is encoded, decoded and encoded again: the same bytes. */
static enum varve_status edit_check(void *context, const struct manifest_edit *edit)
{
    struct buf first = {0}, second = {0};
    struct manifest_edit again = {0};
    must_ok(manifest_edit_encode(edit, &first));
    must_ok(manifest_edit_decode(buf_slice(&first), &again));
    must_ok(manifest_edit_encode(&again, &second));
    must(varve_slice_compare(buf_slice(&first), buf_slice(&second)) == 0);
    manifest_edit_deinit(&again);
    buf_deinit(&first);
    buf_deinit(&second);
    return VARVE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t bad_offset = 0;
    bool valid_follows = false;
    struct varve_error error = {0};
    fuzz_file_write(data, size);
    enum varve_status status = manifest_read(env_posix(), fuzz_path(), SMALL_MANIFEST_ID,
                                             edit_check, NULL, &bad_offset, &valid_follows, &error);
    must(status == VARVE_OK || status == VARVE_CORRUPT || status == VARVE_UNSUPPORTED);
    if (size >= MANIFEST_HEADER_BYTES) {
        struct manifest_edit edit = {0};
        if (manifest_edit_decode(
                varve_slice(data + MANIFEST_HEADER_BYTES, size - MANIFEST_HEADER_BYTES), &edit) ==
            VARVE_OK)
            must_ok(edit_check(NULL, &edit));
        manifest_edit_deinit(&edit);
    }
    return 0;
}
