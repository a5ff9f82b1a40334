/* The input as a file, for decoders that read files. In memory where the system has a place for
 * that, since a fuzzer writes it many thousand times. */
#include "fuzz.h"

#include <stdlib.h>

#include "must.h"
#include "os/env.h"
#include "tmpdir.h"

static struct tmpdir dir;

static void dir_remove(void)
{
    tmpdir_remove(&dir);
}

const char *fuzz_path(void)
{
    if (dir.path[0] == 0) {
        tmpdir_make(&dir);
        must(atexit(dir_remove) == 0);
    }
    return tmpdir_path(&dir, "input");
}

void fuzz_file_write(const uint8_t *data, size_t size)
{
    static struct env_file *file;
    if (file == NULL)
        must_ok(env_open(env_posix(), fuzz_path(), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file));
    must_ok(env_file_truncate(file, size));
    if (size != 0)
        must_ok(env_file_write(file, 0, varve_slice(data, size)));
}

void fuzz_file_read(struct buf *out)
{
    struct env_file *file = NULL;
    uint64_t bytes = 0;
    must_ok(env_open(env_posix(), fuzz_path(), ENV_OPEN_READ, &file));
    must_ok(env_file_size(file, &bytes));
    must_ok(buf_reserve(out, (size_t)bytes + 1));
    must_ok(env_file_read(file, 0, out->data, (size_t)bytes, &out->size));
    must_ok(env_file_close(file));
}
