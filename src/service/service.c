/* The budget is one number that all loops change: a reservation that would overdraw is undone. */
#include "service/service.h"

bool service_reserve_body(struct service *service, size_t size)
{
    size_t limit = service->config->bodies_in_flight_bytes;
    if (size > limit)
        return false;
    size_t before = atomic_fetch_add_explicit(&service->body_bytes, size, memory_order_relaxed);
    if (before <= limit - size)
        return true;
    atomic_fetch_sub_explicit(&service->body_bytes, size, memory_order_relaxed);
    return false;
}

void service_release_body(struct service *service, size_t size)
{
    atomic_fetch_sub_explicit(&service->body_bytes, size, memory_order_relaxed);
}
