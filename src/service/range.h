/* service/range.h: GET /kv/range, a page of a scan, or how much there is. */
#ifndef SERVICE_RANGE_H
#define SERVICE_RANGE_H

#include "service/router.h"

extern const struct route range_route; /* HEAD too */

#endif
