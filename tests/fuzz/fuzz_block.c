/* Fuzz target: the bytes of a block, walked both ways and searched. */
#include "format/block.h"
#include "fuzz.h"
#include "must.h"

bool fuzz_seed(unsigned which, struct buf *out)
{
    static const size_t intervals[] = {1, 4, 16};
    if (which >= sizeof intervals / sizeof intervals[0])
        return false;
    struct block_builder builder;
    struct buf key = {0};
    struct varve_slice block = {0};
    block_builder_init(&builder, intervals[which]);
    for (unsigned i = 0; i < 40; i++) {
        buf_clear(&key);
        must_ok(buf_append_format(&key, "key/%04u", i / 2));
        must_ok(buf_append_fixed64(&key, entry_tag(100 - i, ENTRY_PUT)));
        must_ok(
            block_builder_add(&builder, buf_slice(&key), varve_slice("valuevaluevalue", i % 15)));
    }
    must_ok(block_builder_finish(&builder, &block));
    must_ok(buf_assign(out, block));
    buf_deinit(&key);
    block_builder_deinit(&builder);
    return true;
}

/* Reads every byte of what it stands on. */
static void touch(const struct block_iterator *it)
{
    unsigned sum = 0;
    for (size_t i = 0; i < it->base.key.size; i++)
        sum += it->base.key.data[i];
    for (size_t i = 0; i < it->base.value.size; i++)
        sum += it->base.value.data[i];
    __asm__ volatile("" : : "r"(sum)); /* so that it is not left out */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t target[] = {'k', 'e', 'y', '/', '0', '0', '1', '0',
                                     0,   1,   0,   0,   0,   0,   0,   0};
    struct block_iterator it = {0};
    if (block_iterator_init(&it, varve_slice(data, size)) == VARVE_OK) {
        size_t steps = 0;
        for (block_iterator_seek_first(&it); it.base.valid; block_iterator_next(&it), steps++)
            touch(&it);
        must(steps <= size);
        steps = 0;
        for (block_iterator_seek_last(&it); it.base.valid; block_iterator_prev(&it), steps++)
            touch(&it);
        must(steps <= size);
        block_iterator_seek(&it, varve_slice(target, sizeof target));
        if (it.base.valid) {
            touch(&it);
            block_iterator_prev(&it);
        }
    }
    block_iterator_deinit(&it);
    return 0;
}
