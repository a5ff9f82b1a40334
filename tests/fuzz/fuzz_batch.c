/* Fuzz target: an encoded batch. */
#include "format/batch_codec.h"
#include "fuzz.h"
#include "must.h"
#include "small_files.h"

bool fuzz_seed(unsigned which, struct buf *out)
{
    if (which == 0)
        small_batch_make(out);
    return which == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_reader reader = {0};
    struct batch_op op = {0};
    struct buf again = {0};
    if (batch_reader_init(&reader, varve_slice(data, size)) != VARVE_OK)
        return 0;
    enum varve_status status;
    while ((status = batch_reader_next(&reader, &op)) == VARVE_OK)
        must_ok(batch_op_encode(&again, &op));
    must(status == VARVE_END || status == VARVE_CORRUPT);
    must(again.size <= size); /* lengths have one shortest spelling */
    buf_deinit(&again);
    return 0;
}
