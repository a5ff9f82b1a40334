/*
 * engine/recovery_scan.h: what files a store's directory holds.
 */
#ifndef ENGINE_RECOVERY_SCAN_H
#define ENGINE_RECOVERY_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "os/env.h"

struct id_list {
    uint64_t *ids; /* in growing order */
    size_t count, capacity;
};
bool id_list_has(const struct id_list *list, uint64_t id);

struct recovery_scan {
    bool has_current, has_current_temporary;
    struct id_list manifests, segments, tables;
    uint64_t id_max; /* greatest of all but the segments' */
};
/* Caller frees with recovery_scan_deinit. Names that are none of ours are left alone. */
MUST_CHECK enum varve_status recovery_scan_read(struct env *env, const char *dir,
                                                struct recovery_scan *ret_scan);
void recovery_scan_deinit(struct recovery_scan *scan);

#endif
