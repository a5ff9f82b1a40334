/*
 * The writers' log holds numbers only: keys and values follow from them. Each thread has its own
 * part of the keys and a log of its own, so that nothing but the store orders them.
 */
#include "copy_rig.h"

#include <check.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <varve/varve.h>

#include "engine/db.h"
#include "must.h"
#include "prng.h"
#include "store_rig.h"

#define LOAD_KEYS 300u /* of a thread */
#define LOAD_BATCH_MAX 4u
#define LOAD_VALUE_MAX 200u
#define LOAD_AHEAD 6000u /* writes that may be done without anybody asking for more */

void copy_expect(struct env *env, const char *path, const struct model *model, uint64_t revision)
{
    struct varve_options options;
    struct varve_error error = {0};
    struct varve_stats stats;
    struct varve_db *db = NULL;

    rig_options(&options);
    options.create_if_missing = false;
    options.recovery_mode = VARVE_RECOVERY_STRICT;
    for (int round = 0; round < 2; round++) {
        enum varve_status status = db_open(path, &options, env, true, &db, &error);
        ck_assert_msg(status == VARVE_OK, "%s: %s: %s (%s)", path, varve_status_name(status),
                      error.text, error.path);
        if (round > 0)
            break;
        rig_expect_model(db, NULL, model, true);
        varve_stats_read(db, &stats);
        ck_assert_uint_eq(stats.revision, revision);
        rig_put(db, "behind", "it", VARVE_SYNC_ON);
        ck_assert_int_eq(varve_close(db), VARVE_OK);
    }
    rig_expect(db, "behind", "it");
    db_abandon(db);
}

bool copy_exists(struct env *env, const char *path)
{
    struct env_file_info info = {0};
    return env_info(env, path, &info) == VARVE_OK;
}

struct file_counter {
    const char *ending;
    unsigned count;
};

static enum varve_status file_count(void *context, const char *name)
{
    struct file_counter *counter = context;
    size_t size = strlen(name), ending = strlen(counter->ending);
    counter->count += size >= ending && strcmp(name + size - ending, counter->ending) == 0;
    return VARVE_OK;
}

unsigned copy_count_files(struct env *env, const char *dir, const char *ending)
{
    struct file_counter counter = {.ending = ending};
    ck_assert_int_eq(env_list(env, dir, file_count, &counter), VARVE_OK);
    return counter.count;
}

struct load_write {
    uint64_t revision;
    uint64_t seed;
};

struct load_thread {
    pthread_t thread;
    struct copy_load *load;
    unsigned number;
    struct prng prng;
    struct load_write *writes;
    size_t count, capacity;
};

struct copy_load {
    struct varve_db *db;
    _Atomic uint64_t done, wanted;
    _Atomic bool stop;
    struct load_thread threads[COPY_LOAD_THREADS];
};

/* Does the writes of one batch: `put` to NULL means a deletion. */
typedef void (*load_op_fn)(void *context, struct varve_slice key, const struct varve_slice *put);

static void batch_ops(unsigned thread, uint64_t seed, load_op_fn each, void *context)
{
    struct prng prng = prng_make(seed);
    uint8_t bytes[LOAD_VALUE_MAX];
    char key[32];
    unsigned ops = 1 + (unsigned)prng_below(&prng, LOAD_BATCH_MAX);
    for (unsigned i = 0; i < ops; i++) {
        snprintf(key, sizeof key, "%03u-%u", (unsigned)prng_below(&prng, LOAD_KEYS), thread);
        prng_bytes(&prng, bytes, 16);
        memset(bytes + 16, (int)bytes[0], sizeof bytes - 16);
        struct varve_slice value = varve_slice(bytes, 16 + prng_below(&prng, LOAD_VALUE_MAX - 16));
        each(context, varve_slice_str(key), prng_chance(&prng, 10) ? NULL : &value);
    }
}

static void op_to_batch(void *context, struct varve_slice key, const struct varve_slice *put)
{
    struct varve_batch *batch = context;
    must_ok(put != NULL ? varve_batch_put(batch, key, *put) : varve_batch_delete(batch, key));
}

static void *load_run(void *context)
{
    struct load_thread *thread = context;
    struct copy_load *load = thread->load;
    struct varve_batch *batch = NULL;
    must_ok(varve_batch_new(&batch));
    while (!atomic_load(&load->stop)) {
        if (atomic_load(&load->done) > atomic_load(&load->wanted) + LOAD_AHEAD) {
            sleep_us(100);
            continue;
        }
        struct load_write write = {.seed = prng_next(&thread->prng)};
        varve_batch_clear(batch);
        batch_ops(thread->number, write.seed, op_to_batch, batch);
        must_ok(varve_write(load->db, batch, VARVE_SYNC_OFF, &write.revision));
        if (thread->count == thread->capacity) {
            thread->capacity = thread->capacity == 0 ? 1024 : thread->capacity * 2;
            thread->writes =
                must_realloc(thread->writes, thread->capacity, sizeof thread->writes[0]);
        }
        thread->writes[thread->count++] = write;
        atomic_fetch_add(&load->done, 1);
    }
    varve_batch_free(batch);
    return NULL;
}

struct copy_load *copy_load_start(struct varve_db *db, uint64_t seed)
{
    struct copy_load *load = must_calloc(1, sizeof *load);
    load->db = db;
    for (unsigned i = 0; i < COPY_LOAD_THREADS; i++) {
        struct load_thread *thread = &load->threads[i];
        *thread = (struct load_thread){.load = load, .number = i, .prng = prng_make(seed + i)};
        must(pthread_create(&thread->thread, NULL, load_run, thread) == 0);
    }
    return load;
}

void copy_load_advance(struct copy_load *load, uint64_t writes)
{
    uint64_t target = atomic_load(&load->done) + writes;
    atomic_store(&load->wanted, target);
    while (atomic_load(&load->done) < target)
        sleep_us(200);
}

void copy_load_stop(struct copy_load *load)
{
    atomic_store(&load->stop, true);
    for (unsigned i = 0; i < COPY_LOAD_THREADS; i++)
        pthread_join(load->threads[i].thread, NULL);
}

struct model_op {
    struct model *model;
    uint64_t revision;
};

static void op_to_model(void *context, struct varve_slice key, const struct varve_slice *put)
{
    struct model_op *op = context;
    if (put != NULL)
        model_put(op->model, key, *put, op->revision);
    else
        (void)model_delete(op->model, key);
}

void copy_load_model(const struct copy_load *load, uint64_t revision, struct model *model)
{
    /* Threads have keys of their own, so each log can be done by itself. */
    for (unsigned i = 0; i < COPY_LOAD_THREADS; i++) {
        const struct load_thread *thread = &load->threads[i];
        for (size_t w = 0; w < thread->count && thread->writes[w].revision <= revision; w++) {
            struct model_op op = {.model = model, .revision = thread->writes[w].revision};
            batch_ops(i, thread->writes[w].seed, op_to_model, &op);
        }
    }
}

void copy_load_free(struct copy_load *load)
{
    for (unsigned i = 0; i < COPY_LOAD_THREADS; i++)
        free(load->threads[i].writes);
    free(load);
}
