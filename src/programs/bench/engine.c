/* Which engines there are. A peer is built in where its library was found. */
#include "programs/bench/engine.h"

#include <string.h>

static const struct {
    const char *name;
    const struct engine *engine; /* NULL: not built in */
    const char *package;
} engines[ENGINE_COUNT] = {
    {"varve", &engine_varve, ""},
#ifdef BENCH_WITH_LEVELDB
    {"leveldb", &engine_leveldb, "libleveldb-dev"},
#else
    {"leveldb", NULL, "libleveldb-dev"},
#endif
#ifdef BENCH_WITH_ROCKSDB
    {"rocksdb", &engine_rocksdb, "librocksdb-dev"},
#else
    {"rocksdb", NULL, "librocksdb-dev"},
#endif
};

enum varve_status engine_find(const char *name, const struct engine **ret_engine,
                              struct varve_error *ret_error)
{
    for (size_t i = 0; i < ENGINE_COUNT; i++) {
        if (strcmp(name, engines[i].name) != 0)
            continue;
        if (engines[i].engine == NULL)
            return error_set(ret_error, VARVE_UNSUPPORTED, NULL, STATUS_NO_OFFSET,
                             "the engine %s was not built in: install %s and set the build up anew",
                             name, engines[i].package);
        *ret_engine = engines[i].engine;
        return VARVE_OK;
    }
    return error_set(ret_error, VARVE_NOT_FOUND, NULL, STATUS_NO_OFFSET,
                     "no engine is called %s; there are varve, leveldb and rocksdb", name);
}
