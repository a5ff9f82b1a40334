/* Fuzz target: CURRENT, and the same bytes as a file's name. */
#include "format/filename.h"
#include "fuzz.h"
#include "must.h"

bool fuzz_seed(unsigned which, struct buf *out)
{
    static const char *const names[] = {"000007.wal", "manifest-000012", "1000000.sst", "lost"};
    char text[CURRENT_BYTES_MAX];
    if (which == 0) {
        size_t size = current_encode(text, 12);
        must_ok(buf_append(out, text, size));
        return true;
    }
    if (which > sizeof names / sizeof names[0])
        return false;
    must_ok(buf_append(out, names[which - 1], strlen(names[which - 1])));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t id = 0;
    char text[CURRENT_BYTES_MAX];
    if (current_decode(data, size, &id) == VARVE_OK) {
        must(current_encode(text, id) == size);
        must(memcmp(text, data, size) == 0); /* one spelling */
    }
    struct buf name = {0};
    enum file_kind kind = FILE_LOCK;
    must_ok(buf_append(&name, data, size));
    must_ok(buf_append_byte(&name, 0));
    if (filename_parse((const char *)name.data, &kind, &id)) {
        char path[FILENAME_BYTES_MAX];
        must_ok(filename_path(path, "d", kind, id));
        must(strcmp(path + 2, (const char *)name.data) == 0);
    }
    buf_deinit(&name);
    return 0;
}
