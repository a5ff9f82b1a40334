/*
 * Every allocation of a script fails, one a run.
 *
 * The linker puts the functions below in front of the allocator. A run does a fixed script on a
 * store of its own; its k-th allocation within calls of the store fails, and only that one.
 * Whatever call it hits says so by its status; nothing is lost, invented or leaked, and the same
 * call succeeds when tried again.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"
#include "tmpdir.h"

static struct {
    bool armed;
    uint64_t calls, fail_at, failed;
} allocations;

static bool allocation_fails(void)
{
    if (!allocations.armed || ++allocations.calls != allocations.fail_at)
        return false;
    allocations.failed++;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(memory, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return allocation_fails() ? NULL : __real_aligned_alloc(alignment, size);
}
char *__wrap_strdup(const char *text)
{
    return allocation_fails() ? NULL : __real_strdup(text);
}

/* Failed work is tried again after a while: this clock makes it pass. */
static uint64_t clock_us;
static uint64_t clock_read(struct env *env)
{
    (void)env;
    return clock_us += 1000;
}

struct script {
    struct env env;
    struct env_ops ops;
    char path[256];
    struct varve_db *db;
    struct model model;
};

/* Evaluates a call with allocations counted; a failure must be the one that was asked for, and the
 * call is then made again. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        for (int tries_ = 0;; tries_++) {                                                          \
            uint64_t failed_ = allocations.failed;                                                 \
            allocations.armed = true;                                                              \
            enum varve_status status_ = (call);                                                    \
            allocations.armed = false;                                                             \
            if (status_ == VARVE_OK)                                                               \
                break;                                                                             \
            ck_assert_msg(tries_ == 0 && allocations.failed == 1,                                  \
                          "allocation %" PRIu64 ": line %d: %s gives %s again",                    \
                          allocations.fail_at, __LINE__, #call, varve_status_name(status_));       \
            ck_assert_msg(status_ == VARVE_NO_MEMORY || (failed_ == 1 && status_ == VARVE_BUSY),   \
                          "allocation %" PRIu64 ": line %d: %s gives %s", allocations.fail_at,     \
                          __LINE__, #call, varve_status_name(status_));                            \
            settle(script);                                                                        \
        }                                                                                          \
    } while (0)

/* What failed in the background is tried again. */
static void settle(struct script *script)
{
    clock_us += 10000000;
    if (script->db == NULL)
        return;
    db_idle(script->db);
    while (db_step(script->db))
        ;
}

static void script_put(struct script *script, unsigned number)
{
    char key[32];
    uint8_t value[200];
    memset(value, (int)(number * 31 % 256), sizeof value);
    struct varve_slice k =
        varve_slice(key, (size_t)snprintf(key, sizeof key, "key-%03u", number % 50));
    struct varve_slice v = varve_slice(value, 20 + number % 180);
    TRY(varve_put(script->db, k, v, number % 5 == 0 ? VARVE_SYNC_ON : VARVE_SYNC_OFF, NULL));
    model_put(&script->model, k, v, 0);
}

static void script_batch(struct script *script, unsigned number)
{
    struct varve_batch *batch = NULL;
    char key[32];
    TRY(varve_batch_new(&batch));
    for (unsigned i = 0; i < 8; i++) {
        struct varve_slice k =
            varve_slice(key, (size_t)snprintf(key, sizeof key, "key-%03u", (number + i % 6) % 50));
        if (i % 3 == 2) {
            TRY(varve_batch_delete(batch, k));
            (void)model_delete(&script->model, k);
        } else {
            TRY(varve_batch_put(batch, k, varve_slice_str("of a batch")));
            model_put(&script->model, k, varve_slice_str("of a batch"), 0);
        }
    }
    TRY(varve_write(script->db, batch, VARVE_SYNC_ON, NULL));
    varve_batch_free(batch);
}

/* Forwards, or backwards; a pass that fails in the middle is begun anew. */
static enum varve_status scan_once(struct script *script, bool backwards)
{
    struct varve_iterator *it = NULL;
    const struct varve_iterator_options options = {
        .fill_cache = backwards, .start = varve_slice_str("a"), .end = varve_slice_str("z")};
    size_t count = 0;
    enum varve_status status = varve_iterator_new(script->db, &options, &it);
    if (status != VARVE_OK)
        return status;
    status = backwards ? varve_iterator_seek_last(it) : varve_iterator_seek_first(it);
    for (; status == VARVE_OK; count++)
        status = backwards ? varve_iterator_prev(it) : varve_iterator_next(it);
    varve_iterator_free(it);
    if (status != VARVE_END)
        return status;
    must(count == script->model.count);
    return VARVE_OK;
}

static enum varve_status gets_once(struct script *script)
{
    for (size_t i = 0; i < script->model.count; i++) {
        struct varve_value value = {0};
        enum varve_status status =
            varve_get(script->db, script->model.entries[i]->key, NULL, &value);
        if (status != VARVE_OK)
            return status;
        must(varve_slice_compare(value.data, script->model.entries[i]->value) == 0);
        varve_value_release(&value);
    }
    return VARVE_OK;
}

static void script_read(struct script *script)
{
    const struct varve_snapshot *snapshot = NULL;
    TRY(varve_snapshot_acquire(script->db, &snapshot));
    TRY(gets_once(script));
    TRY(scan_once(script, false));
    TRY(scan_once(script, true));
    varve_snapshot_release(script->db, snapshot);
}

static enum varve_status script_open(struct script *script)
{
    struct varve_options options;
    struct varve_error error = {0};
    rig_options(&options);
    options.wal_segments_spare = 1;
    return db_open(script->path, &options, &script->env, true, &script->db, &error);
}

static void script_run(struct script *script)
{
    TRY(script_open(script));
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 12; i++)
            script_put(script, round * 17 + i);
        script_batch(script, round * 11);
        if (round < 3)
            TRY(varve_flush(script->db, true));
        script_read(script);
    }
    TRY(varve_compact(script->db, true));
    script_read(script);
    script_put(script, 49);
    db_abandon(script->db);
    script->db = NULL;
    TRY(script_open(script));
    script_read(script);
    script_put(script, 48);

    /* A close that fails keeps what is durable, and is a close all the same. */
    uint64_t failed = allocations.failed;
    allocations.armed = true;
    enum varve_status status = varve_close(script->db);
    allocations.armed = false;
    script->db = NULL;
    ck_assert_msg(status == VARVE_OK || allocations.failed > failed,
                  "allocation %" PRIu64 ": closing gives %s", allocations.fail_at,
                  varve_status_name(status));
    allocations.fail_at = 0;
    TRY(script_open(script));
    rig_expect_model(script->db, NULL, &script->model, false);
    ck_assert_int_eq(varve_close(script->db), VARVE_OK);
}

/* One run; gives the allocations of a whole one. */
static uint64_t run_once(uint64_t fail_at)
{
    struct tmpdir dir = {0};
    struct script script = {0};
    tmpdir_make(&dir);
    script.ops = *env_posix()->ops;
    script.ops.mono_us = clock_read;
    script.env.ops = &script.ops;
    snprintf(script.path, sizeof script.path, "%s", tmpdir_path(&dir, "store"));
    allocations.calls = allocations.failed = 0;
    allocations.fail_at = fail_at;
    script_run(&script);
    model_deinit(&script.model);
    tmpdir_remove(&dir);
    return allocations.calls;
}

START_TEST(every_allocation_fails_once)
{
    uint64_t calls = run_once(UINT64_MAX);
    uint64_t runs = rig_number("VARVE_ALLOC_RUNS", budget_choose(60, 150, UINT64_MAX));
    uint64_t stride = calls / runs + 1, done = 0;
    for (uint64_t k = 1 + budget_offset(stride); k <= calls; k += stride, done++)
        run_once(k);
    printf("%" PRIu64 " of %" PRIu64 " allocations failed\n", done, calls);
    ck_assert_uint_gt(calls, 300);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-alloc");
    TCase *scripts = tcase_create("scripts");
    tcase_set_timeout(scripts, 0);
    tcase_add_test(scripts, every_allocation_fails_once);
    suite_add_tcase(suite, scripts);
    return run_suite(suite);
}
