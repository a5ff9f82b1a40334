/* service/openapi.h: api/openapi.yaml as JSON, put here by the build. */
#ifndef SERVICE_OPENAPI_H
#define SERVICE_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_size; /* without the NUL */

#endif
