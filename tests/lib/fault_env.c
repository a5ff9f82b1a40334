/*
 * Each call first passes fault_check, which counts it and says what it shall report; only a call
 * that shall succeed reaches the base. Files remember their path, as the pattern wants it.
 */
#include "fault_env.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "os/sync.h"

struct fault_env {
    struct env env;
    struct env *base;
    struct {
        struct mutex lock;
        struct fault_rule rule; /* operations 0: none */
        uint64_t matched, chosen;
        uint64_t calls[FAULT_KINDS + 1];
        int64_t wall_offset_ms;
        size_t handles;
        uint64_t advices, advised_bytes, announced_bytes;
    } mu;
};

struct fault_file {
    struct env_file file;
    struct fault_env *fault;
    struct env_file *base;
    char *path;
};

static struct fault_env *fault_of(struct env *env)
{
    return (struct fault_env *)env;
}

static struct fault_file *file_of(struct env_file *file)
{
    return (struct fault_file *)file;
}

static bool path_matches(const char *pattern, const char *path)
{
    if (pattern == NULL)
        return true;
    if (path == NULL)
        return false;
    const char *slash = strrchr(path, '/');
    return fnmatch(pattern, slash != NULL ? slash + 1 : path, 0) == 0;
}

/* Counts; true with the rule in `ret_rule` when it chooses this call. */
static bool rule_chooses(struct fault_env *fault, enum fault_operation operation, const char *path,
                         const char *other_path, struct fault_rule *ret_rule)
{
    mutex_lock(&fault->mu.lock);
    fault->mu.calls[__builtin_ctz(operation)]++;
    const struct fault_rule *rule = &fault->mu.rule;
    bool chosen = false;
    if ((rule->operations & operation) != 0 &&
        (path_matches(rule->pattern, path) || path_matches(rule->pattern, other_path))) {
        uint64_t call = ++fault->mu.matched;
        chosen = rule->for_good ? call >= rule->at : call == rule->at;
    }
    fault->mu.chosen += chosen;
    *ret_rule = *rule;
    mutex_unlock(&fault->mu.lock);
    return chosen;
}

/* What the call shall report without being made, or VARVE_OK. `ret_short` (may be NULL): whether
 * half of a write shall be made all the same. */
static enum varve_status fault_check_two(struct fault_env *fault, enum fault_operation operation,
                                         const char *path, const char *other_path, bool *ret_short)
{
    struct fault_rule rule = {0};
    if (!rule_chooses(fault, operation, path, other_path, &rule))
        return VARVE_OK;
    if (rule.hook != NULL)
        rule.hook(rule.context);
    if (ret_short != NULL)
        *ret_short = rule.short_write;
    return rule.status;
}

static enum varve_status fault_check(struct fault_env *fault, enum fault_operation operation,
                                     const char *path)
{
    return fault_check_two(fault, operation, path, NULL, NULL);
}

static void handles_add(struct fault_env *fault, int change)
{
    mutex_lock(&fault->mu.lock);
    fault->mu.handles += (size_t)change;
    mutex_unlock(&fault->mu.lock);
}

static enum varve_status file_read(struct env_file *file, uint64_t offset, void *data, size_t size,
                                   size_t *ret_size)
{
    struct fault_file *self = file_of(file);
    enum varve_status status = fault_check(self->fault, FAULT_READ, self->path);
    return status != VARVE_OK ? status : env_file_read(self->base, offset, data, size, ret_size);
}

static enum varve_status file_read_cached(struct env_file *file, uint64_t offset, void *data,
                                          size_t size, size_t *ret_size)
{
    struct fault_file *self = file_of(file);
    enum varve_status status =
        fault_check(self->fault, (enum fault_operation)FAULT_READ_CACHED, self->path);
    return status != VARVE_OK ? status
                              : env_file_read_cached(self->base, offset, data, size, ret_size);
}

static void file_will_read(struct env_file *file, uint64_t offset, uint64_t size)
{
    struct fault_file *self = file_of(file);
    mutex_lock(&self->fault->mu.lock);
    self->fault->mu.advices++;
    self->fault->mu.advised_bytes += size;
    mutex_unlock(&self->fault->mu.lock);
    env_file_will_read(self->base, offset, size);
}

static enum varve_status file_write(struct env_file *file, uint64_t offset, struct varve_slice data)
{
    struct fault_file *self = file_of(file);
    bool is_short = false;
    enum varve_status status =
        fault_check_two(self->fault, FAULT_WRITE, self->path, NULL, &is_short);
    if (status == VARVE_OK)
        return env_file_write(self->base, offset, data);
    if (!is_short)
        return status;
    enum varve_status half =
        env_file_write(self->base, offset, varve_slice(data.data, data.size / 2));
    return half != VARVE_OK ? half : status;
}

static void file_will_sync(struct env_file *file, uint64_t offset, uint64_t size)
{
    struct fault_file *self = file_of(file);
    mutex_lock(&self->fault->mu.lock);
    self->fault->mu.announced_bytes += size;
    mutex_unlock(&self->fault->mu.lock);
    env_file_will_sync(self->base, offset, size);
}

static enum varve_status file_sync(struct env_file *file)
{
    struct fault_file *self = file_of(file);
    enum varve_status status = fault_check(self->fault, FAULT_SYNC, self->path);
    return status != VARVE_OK ? status : env_file_sync(self->base);
}

static enum varve_status file_size(struct env_file *file, uint64_t *ret_bytes)
{
    struct fault_file *self = file_of(file);
    enum varve_status status = fault_check(self->fault, FAULT_SIZE, self->path);
    return status != VARVE_OK ? status : env_file_size(self->base, ret_bytes);
}

static enum varve_status file_truncate(struct env_file *file, uint64_t bytes)
{
    struct fault_file *self = file_of(file);
    enum varve_status status = fault_check(self->fault, FAULT_TRUNCATE, self->path);
    return status != VARVE_OK ? status : env_file_truncate(self->base, bytes);
}

static enum varve_status file_close(struct env_file *file)
{
    struct fault_file *self = file_of(file);
    enum varve_status status = fault_check(self->fault, FAULT_CLOSE, self->path);
    enum varve_status closed = env_file_close(self->base);
    handles_add(self->fault, -1);
    free(self->path);
    free(self);
    return status != VARVE_OK ? status : closed;
}

static const struct env_file_ops fault_file_ops = {
    .read = file_read,
    .read_cached = file_read_cached,
    .will_read = file_will_read,
    .write = file_write,
    .will_sync = file_will_sync,
    .sync = file_sync,
    .size = file_size,
    .truncate = file_truncate,
    .close = file_close,
};

static enum varve_status fault_open(struct env *env, const char *path, unsigned flags,
                                    struct env_file **ret_file)
{
    struct fault_env *fault = fault_of(env);
    struct env_file *base = NULL;
    enum varve_status status = fault_check(fault, FAULT_OPEN, path);
    if (status == VARVE_OK)
        status = env_open(fault->base, path, flags, &base);
    if (status != VARVE_OK)
        return status;
    struct fault_file *file = must_calloc(1, sizeof *file);
    file->file.ops = &fault_file_ops;
    file->fault = fault;
    file->base = base;
    file->path = must_strdup(path);
    handles_add(fault, 1);
    *ret_file = &file->file;
    return VARVE_OK;
}

static enum varve_status fault_list(struct env *env, const char *path, env_list_fn each,
                                    void *context)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_LIST, path);
    return status != VARVE_OK ? status : env_list(fault->base, path, each, context);
}

static enum varve_status fault_make_dir(struct env *env, const char *path)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_MAKE_DIR, path);
    return status != VARVE_OK ? status : env_make_dir(fault->base, path);
}

static enum varve_status fault_remove_dir(struct env *env, const char *path)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_REMOVE_DIR, path);
    return status != VARVE_OK ? status : env_remove_dir(fault->base, path);
}

static enum varve_status fault_sync_dir(struct env *env, const char *path)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_SYNC_DIR, path);
    return status != VARVE_OK ? status : env_sync_dir(fault->base, path);
}

static enum varve_status fault_rename(struct env *env, const char *from, const char *to)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check_two(fault, FAULT_RENAME, from, to, NULL);
    return status != VARVE_OK ? status : env_rename(fault->base, from, to);
}

static enum varve_status fault_remove(struct env *env, const char *path)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_REMOVE, path);
    return status != VARVE_OK ? status : env_remove(fault->base, path);
}

static enum varve_status fault_link(struct env *env, const char *from, const char *to)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check_two(fault, FAULT_LINK, from, to, NULL);
    return status != VARVE_OK ? status : env_link(fault->base, from, to);
}

static enum varve_status fault_info(struct env *env, const char *path,
                                    struct env_file_info *ret_info)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_INFO, path);
    return status != VARVE_OK ? status : env_info(fault->base, path, ret_info);
}

static enum varve_status fault_space(struct env *env, const char *path, uint64_t *ret_free_bytes,
                                     uint64_t *ret_total_bytes)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_SPACE, path);
    return status != VARVE_OK ? status
                              : env_space(fault->base, path, ret_free_bytes, ret_total_bytes);
}

static enum varve_status fault_lock(struct env *env, const char *path, struct env_lock **ret_lock)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_LOCK, path);
    if (status == VARVE_OK)
        status = env_lock_file(fault->base, path, ret_lock);
    if (status == VARVE_OK)
        handles_add(fault, 1);
    return status;
}

static void fault_unlock(struct env *env, struct env_lock *lock)
{
    struct fault_env *fault = fault_of(env);
    if (lock != NULL)
        handles_add(fault, -1);
    env_unlock_file(fault->base, lock);
}

static uint64_t fault_wall_ms(struct env *env)
{
    struct fault_env *fault = fault_of(env);
    mutex_lock(&fault->mu.lock);
    int64_t offset_ms = fault->mu.wall_offset_ms;
    mutex_unlock(&fault->mu.lock);
    return env_wall_ms(fault->base) + (uint64_t)offset_ms;
}

static uint64_t fault_mono_us(struct env *env)
{
    return env_mono_us(fault_of(env)->base);
}

static enum varve_status fault_random(struct env *env, void *data, size_t size)
{
    struct fault_env *fault = fault_of(env);
    enum varve_status status = fault_check(fault, FAULT_RANDOM, NULL);
    return status != VARVE_OK ? status : env_random(fault->base, data, size);
}

static const struct env_ops fault_ops = {
    .open = fault_open,
    .list = fault_list,
    .make_dir = fault_make_dir,
    .remove_dir = fault_remove_dir,
    .sync_dir = fault_sync_dir,
    .rename = fault_rename,
    .remove = fault_remove,
    .link = fault_link,
    .info = fault_info,
    .space = fault_space,
    .lock = fault_lock,
    .unlock = fault_unlock,
    .wall_ms = fault_wall_ms,
    .mono_us = fault_mono_us,
    .random = fault_random,
};

struct fault_env *fault_env_new(struct env *base)
{
    struct fault_env *fault = must_calloc(1, sizeof *fault);
    fault->env.ops = &fault_ops;
    fault->base = base;
    mutex_init(&fault->mu.lock);
    return fault;
}

void fault_env_free(struct fault_env *fault)
{
    if (fault == NULL)
        return;
    must(fault->mu.handles == 0);
    mutex_deinit(&fault->mu.lock);
    free(fault);
}

struct env *fault_env_env(struct fault_env *fault)
{
    return &fault->env;
}

void fault_env_set_rule(struct fault_env *fault, const struct fault_rule *rule)
{
    mutex_lock(&fault->mu.lock);
    fault->mu.rule = rule != NULL ? *rule : (struct fault_rule){0};
    fault->mu.matched = 0;
    fault->mu.chosen = 0;
    mutex_unlock(&fault->mu.lock);
}

uint64_t fault_env_matched(struct fault_env *fault)
{
    mutex_lock(&fault->mu.lock);
    uint64_t matched = fault->mu.matched;
    mutex_unlock(&fault->mu.lock);
    return matched;
}

uint64_t fault_env_chosen(struct fault_env *fault)
{
    mutex_lock(&fault->mu.lock);
    uint64_t chosen = fault->mu.chosen;
    mutex_unlock(&fault->mu.lock);
    return chosen;
}

uint64_t fault_env_calls(struct fault_env *fault, unsigned operations)
{
    uint64_t calls = 0;
    mutex_lock(&fault->mu.lock);
    for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
        if ((operations & (1u << kind)) != 0)
            calls += fault->mu.calls[kind];
    }
    mutex_unlock(&fault->mu.lock);
    return calls;
}

void fault_env_set_wall_offset_ms(struct fault_env *fault, int64_t offset_ms)
{
    mutex_lock(&fault->mu.lock);
    fault->mu.wall_offset_ms = offset_ms;
    mutex_unlock(&fault->mu.lock);
}

void fault_env_advices(struct fault_env *fault, uint64_t *ret_count, uint64_t *ret_bytes)
{
    mutex_lock(&fault->mu.lock);
    *ret_count = fault->mu.advices;
    *ret_bytes = fault->mu.advised_bytes;
    mutex_unlock(&fault->mu.lock);
}

uint64_t fault_env_announced_bytes(struct fault_env *fault)
{
    mutex_lock(&fault->mu.lock);
    uint64_t bytes = fault->mu.announced_bytes;
    mutex_unlock(&fault->mu.lock);
    return bytes;
}

size_t fault_env_handles(struct fault_env *fault)
{
    mutex_lock(&fault->mu.lock);
    size_t handles = fault->mu.handles;
    mutex_unlock(&fault->mu.lock);
    return handles;
}
