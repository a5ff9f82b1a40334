/* A budget is one number that all threads change: a reservation that would overdraw is undone. */
#include "service/service.h"

uint64_t service_expiry_base_s(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec + (now.tv_nsec > 0);
}

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

bool service_reserve_answer(struct service *service, size_t held, size_t size)
{
    size_t limit = service->config->answers_in_flight_bytes;
    size_t before = atomic_fetch_add_explicit(&service->answer_bytes, size, memory_order_relaxed);
    if (before == held || (size <= limit && before <= limit - size))
        return true;
    atomic_fetch_sub_explicit(&service->answer_bytes, size, memory_order_relaxed);
    atomic_fetch_add_explicit(&service->answers_refused, 1, memory_order_relaxed);
    return false;
}

void service_release_answer(struct service *service, size_t size)
{
    atomic_fetch_sub_explicit(&service->answer_bytes, size, memory_order_relaxed);
}
