/* service/batch.h: POST /kv/batch, writes, reads and checks that happen together. */
#ifndef SERVICE_BATCH_H
#define SERVICE_BATCH_H

#include "service/router.h"

extern const struct route batch_route;

struct batch_work;
void batch_work_free(struct batch_work *work); /* takes NULL */

#endif
