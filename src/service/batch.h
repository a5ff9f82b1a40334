/* service/batch.h: POST /kv/batch, writes and reads that happen together. */
#ifndef SERVICE_BATCH_H
#define SERVICE_BATCH_H

#include "service/router.h"

extern const struct route batch_route;

#endif
