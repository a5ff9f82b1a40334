/* Targets under /kv have been told apart by target_parse; the other paths stand in a table. */
#include "service/router.h"

#include "service/admin.h"
#include "service/backup.h"
#include "service/batch.h"
#include "service/kv_handlers.h"
#include "service/range.h"

static const char allow_read[] = "GET, HEAD";
static const char allow_post[] = "POST";

static const struct {
    const char *path;
    bool is_post;
    const struct route *route;
} paths[] = {
    {"/health", false, &admin_health_route},        {"/health/live", false, &admin_live_route},
    {"/health/ready", false, &admin_health_route},  {"/stats", false, &admin_stats_route},
    {"/metrics", false, &admin_metrics_route},      {"/version", false, &admin_version_route},
    {"/openapi.json", false, &admin_openapi_route}, {"/admin/flush", true, &admin_flush_route},
    {"/admin/compact", true, &admin_compact_route}, {"/admin/backup", true, &backup_route},
};

static const struct route *find_key_route(enum request_method method)
{
    switch (method) {
    case METHOD_PUT:
        return &kv_put_route;
    case METHOD_DELETE:
        return &kv_delete_route;
    default:
        return &kv_get_route;
    }
}

static enum varve_status find_path(struct varve_slice path, enum request_method method,
                                   const struct route **ret_route, struct problem *ret_problem)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (varve_slice_compare(path, varve_slice_str(paths[i].path)) != 0)
            continue;
        bool allowed = paths[i].is_post ? method == METHOD_POST
                                        : method == METHOD_GET || method == METHOD_HEAD;
        if (allowed) {
            *ret_route = paths[i].route;
            return VARVE_OK;
        }
        const char *allow = paths[i].is_post ? allow_post : allow_read;
        enum varve_status status =
            problem_set(ret_problem, PROBLEM_METHOD_NOT_ALLOWED, "this path takes %s", allow);
        ret_problem->allow = allow;
        return status;
    }
    return problem_set(ret_problem, PROBLEM_NO_SUCH_PATH,
                       "keys are under /kv/; /openapi.json lists all paths");
}

enum varve_status router_find(const struct target *target, enum request_method method,
                              const struct route **ret_route, struct problem *ret_problem)
{
    switch (target->kind) {
    case TARGET_KEY:
        *ret_route = find_key_route(method);
        return VARVE_OK;
    case TARGET_RANGE:
        *ret_route = &range_route;
        return VARVE_OK;
    case TARGET_BATCH:
        *ret_route = &batch_route;
        return VARVE_OK;
    case TARGET_OTHER:
        break;
    }
    return find_path(target->path, method, ret_route, ret_problem);
}

bool router_path_is_open(struct varve_slice path)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (varve_slice_compare(path, varve_slice_str(paths[i].path)) == 0)
            return paths[i].route->is_open;
    }
    return false;
}
