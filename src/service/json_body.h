/*
 * service/json_body.h: reads the JSON bodies of requests. Strict: one object, nothing behind it, no
 * member twice, no unknown member, valid UTF-8, at most LIMIT_JSON_DEPTH levels. On any status but
 * VARVE_OK `ret_problem` says all (VARVE_INVALID, VARVE_TOO_LARGE, VARVE_NO_MEMORY). Thread safe
 * once json_body_setup has been called.
 */
#ifndef SERVICE_JSON_BODY_H
#define SERVICE_JSON_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/buf.h"
#include "base/status.h"
#include "service/problem.h"

/* Seeds jansson's hashing. Once, before any thread. */
void json_body_setup(void);

/* {"value":…,"encoding":"base64"|"utf8","ttl":…}: the value's bytes replace the content of
 * `ret_value`; a body without a TTL gives 0. */
MUST_CHECK enum varve_status json_body_parse_put(struct varve_slice body, size_t value_bytes_max,
                                                 struct buf *ret_value, uint64_t *ret_ttl_s,
                                                 struct problem *ret_problem);

#define BACKUP_NAME_BYTES 65u /* with its NUL */

/* {"name":…}: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot nor ending with ".partial". */
MUST_CHECK enum varve_status json_body_parse_backup(struct varve_slice body,
                                                    char ret_name[BACKUP_NAME_BYTES],
                                                    struct problem *ret_problem);

enum batch_op_kind { BATCH_PUT, BATCH_DELETE, BATCH_GET, BATCH_CHECK };

struct batch_op {
    enum batch_op_kind kind;
    struct varve_slice key;   /* 1 to VARVE_KEY_BYTES_MAX bytes */
    struct varve_slice value; /* BATCH_PUT */
    uint64_t ttl_s;           /* BATCH_PUT: 0: lives for ever */
    uint64_t revision;        /* BATCH_CHECK */
    bool utf8;                /* BATCH_GET: values as text where they can be */
};

/* The operations of a batch body. A zeroed struct is empty. */
struct batch_ops {
    struct batch_op *ops; /* their slices are borrowed until batch_ops_deinit */
    size_t count;
    struct buf decoded; /* owned: the bytes that slices point to */
};
void batch_ops_deinit(struct batch_ops *batch);

enum batch_form {
    BATCH_OBJECT, /* {"ops":[…]} */
    BATCH_LINES,  /* an operation a line, none blank, with a line feed behind the last or without */
};

/* All that is wrong with a batch's operations is collected in the problem's "errors", up to their
 * limit, as /ops/N in either form. The body is not needed any more when it returns. `ret_ops` is
 * empty before; the caller frees it with batch_ops_deinit. */
MUST_CHECK enum varve_status json_body_parse_batch(struct varve_slice body, enum batch_form form,
                                                   size_t value_bytes_max,
                                                   struct batch_ops *ret_ops,
                                                   struct problem *ret_problem);

#endif
