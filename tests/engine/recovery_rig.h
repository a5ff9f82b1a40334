/*
 * tests/engine/recovery_rig.h: a store in memory whose process dies, whose files are damaged, and
 * that is opened again. Failures fail the test.
 */
#ifndef TESTS_ENGINE_RECOVERY_RIG_H
#define TESTS_ENGINE_RECOVERY_RIG_H

#include "base/buf.h"
#include "crash_env.h"
#include "format/wal_reader.h"
#include "store_rig.h"

struct fixture {
    struct crash_env *crash;
    struct env *env;
    struct varve_db *db; /* NULL: not open */
    struct varve_options options;
};
void fixture_init(struct fixture *f); /* open, without spare segments */
void fixture_deinit(struct fixture *f);

void die(struct fixture *f);  /* the process dies */
void shut(struct fixture *f); /* a clean close */
void reopen(struct fixture *f);

/* Opening gives `status`, names `name` in path or text, and `offset` unless it is 0; and it changes
 * nothing that it needs: a second try says the same. */
void expect_refused(struct fixture *f, enum varve_status status, const char *name, uint64_t offset);

uint64_t active_segment(struct fixture *f);
/* In static memory, borrowed until the fourth call after this one. */
const char *segment_path(uint64_t id);
/* The n-th frame of a segment, from 0, without its payload. */
struct wal_frame frame_find(struct fixture *f, uint64_t segment, size_t n);

/* Files whose path begins with `prefix` and holds `part`: how many, and the first one's path and
 * content. Caller frees the content with buf_deinit. */
struct search {
    const char *prefix, *part;
    size_t count;
    char path[256];
    struct buf content;
};
size_t files_find(struct fixture *f, const char *prefix, const char *part,
                  struct search *ret); /* `ret` may be NULL */

void file_write(struct fixture *f, const char *path, const void *data, size_t size);

#endif
