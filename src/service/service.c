/* A budget is one number that all threads change: a reservation that would overdraw is undone. */
#include "service/service.h"

#include <varve/db.h>

#include "service/settings.h"

void service_set_settings(struct service *service, struct settings *settings)
{
    const struct service_config *config = &settings->config;
    mutex_lock(&service->mu.lock);
    struct settings *old = service->mu.settings;
    service->mu.settings = settings;
    atomic_store_explicit(&service->settings_now, settings, memory_order_relaxed);
    mutex_unlock(&service->mu.lock);
    atomic_store_explicit(&service->body_bytes_max, config->bodies_in_flight_bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&service->answer_bytes_max, config->answers_in_flight_bytes,
                          memory_order_relaxed);
    settings_unref(old);
}

struct settings *service_get_settings(struct service *service)
{
    mutex_lock(&service->mu.lock);
    struct settings *settings = settings_ref(service->mu.settings);
    mutex_unlock(&service->mu.lock);
    return settings;
}

/* New ones cannot have the address of those that the caller still holds. */
void service_follow_settings(struct service *service, struct settings **settings)
{
    if (atomic_load_explicit(&service->settings_now, memory_order_relaxed) == *settings)
        return;
    struct settings *old = *settings;
    *settings = service_get_settings(service);
    settings_unref(old);
}

uint64_t service_expiry_base_s(struct service *service)
{
    return (varve_store_time_ms(service_db(service)) + 999) / 1000;
}

bool service_has_body_room(struct service *service, size_t size)
{
    size_t limit = atomic_load_explicit(&service->body_bytes_max, memory_order_relaxed);
    size_t taken = atomic_load_explicit(&service->body_bytes, memory_order_relaxed);
    return size <= limit && taken <= limit - size;
}

bool service_reserve_body(struct service *service, size_t size)
{
    size_t limit = atomic_load_explicit(&service->body_bytes_max, memory_order_relaxed);
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
    size_t limit = atomic_load_explicit(&service->answer_bytes_max, memory_order_relaxed);
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

bool service_begin_scan(struct service *service, size_t limit)
{
    size_t before = atomic_fetch_add_explicit(&service->scans, 1, memory_order_relaxed);
    if (before < limit)
        return true;
    service_end_scan(service);
    return false;
}

void service_end_scan(struct service *service)
{
    atomic_fetch_sub_explicit(&service->scans, 1, memory_order_relaxed);
}
