/*
 * Power cuts at every moment of a script.
 *
 * A script of writes (synced and not, single and batches, puts and deletes), flushes, merges, idle
 * marks and reopenings runs once on the crash environment. Before each of its operations on files,
 * images of what a power cut would leave are made: nothing unsynced, all of it, random parts of it.
 * Each image must open, and hold the state after some prefix of the writes: at least up to the last
 * one that was acknowledged as durable (for "all": as done), at most up to the one in progress. For
 * some images the power goes a second time, at every operation of the recovery.
 *
 * Every batch also writes its own number under one key, which tells the prefix.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <varve/varve.h>

#include "budget.h"
#include "crash_env.h"
#include "engine/db.h"
#include "fault_env.h"
#include "model.h"
#include "must.h"
#include "prng.h"
#include "run_suite.h"

#define STORE "/store"
#define COUNTER_KEY "counter"
#define KEYS 120
#define OPS_MAX 6
#define VALUE_BYTES_MAX 700
#define CHANGES                                                                                    \
    (FAULT_OPEN | FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE | FAULT_MAKE_DIR | FAULT_SYNC_DIR |    \
     FAULT_RENAME | FAULT_REMOVE | FAULT_LINK)

struct op {
    bool is_delete;
    uint32_t key;
    uint32_t value_bytes;
    uint64_t value_seed;
};
struct commit_record {
    struct op ops[OPS_MAX];
    size_t op_count;
};

struct script {
    uint64_t seed;
    struct prng prng;       /* of the script alone */
    struct prng image_prng; /* of the images */
    struct crash_env *crash;
    struct fault_env *fault;
    struct varve_db *db;
    struct commit_record *commits; /* commit i is commits[i - 1] */
    size_t commit_max;
    size_t issued, acknowledged, durable;
    unsigned random_images;
    unsigned second_cut_every; /* images between two whose recovery is cut too */
    uint64_t moment_stride;    /* one moment in so many is looked at */
    uint64_t images, second_images, moments;
    struct model base; /* the state after base_commits, which every later image holds */
    size_t base_commits;
};

static void options_fill(struct varve_options *options)
{
    varve_options_init(options);
    options->memtable_bytes = 64 << 10;
    options->memtable_entries = 1000;
    options->memtables_max = 3;
    options->wal_segments_spare = 2;
    options->table_bytes = 64 << 10;
    options->block_bytes = 1024;
    options->level0_trigger = 3;
    options->block_cache_bytes = 1 << 20;
}

static void key_make(char key[32], uint32_t number)
{
    snprintf(key, 32, "key-%05u", number * 7919u % 100000u);
}

static void value_make(uint8_t *value, const struct op *op)
{
    struct prng prng = prng_make(op->value_seed);
    prng_bytes(&prng, value, op->value_bytes);
}

/* Takes a model from the state after `from` commits to that after `to`. */
static void model_advance(const struct script *script, size_t from, size_t to, struct model *model)
{
    uint8_t value[VALUE_BYTES_MAX];
    char key[32];
    for (size_t c = from; c < to; c++) {
        const struct commit_record *commit = &script->commits[c];
        for (size_t i = 0; i < commit->op_count; i++) {
            key_make(key, commit->ops[i].key);
            if (commit->ops[i].is_delete) {
                (void)model_delete(model, varve_slice_str(key));
            } else {
                value_make(value, &commit->ops[i]);
                model_put(model, varve_slice_str(key),
                          varve_slice(value, commit->ops[i].value_bytes), 0);
            }
        }
    }
    if (to > from) {
        uint64_t number = to;
        model_put(model, varve_slice_str(COUNTER_KEY), varve_slice(&number, sizeof number), 0);
    }
}

/* What the store holds after `prefix` commits, at least those that are durable by now. */
static void model_at(struct script *script, size_t prefix, struct model *model)
{
    model_advance(script, script->base_commits, script->durable, &script->base);
    script->base_commits = script->durable;
    model_clone(&script->base, model);
    model_advance(script, script->base_commits, prefix, model);
}

static void store_read(struct varve_db *db, struct model *model)
{
    struct varve_iterator *it = NULL;
    ck_assert_int_eq(varve_iterator_new(db, NULL, &it), VARVE_OK);
    enum varve_status status = varve_iterator_seek_first(it);
    for (; status == VARVE_OK; status = varve_iterator_next(it)) {
        struct varve_value value = {0};
        ck_assert_int_eq(varve_get(db, varve_iterator_key(it), NULL, &value), VARVE_OK);
        ck_assert(varve_slice_compare(value.data, varve_iterator_value(it)) == 0);
        varve_value_release(&value);
        model_put(model, varve_iterator_key(it), varve_iterator_value(it), 0);
    }
    ck_assert_int_eq(status, VARVE_END);
    varve_iterator_free(it);
}

static size_t model_prefix(const struct model *model)
{
    const struct model_entry *entry = model_get(model, varve_slice_str(COUNTER_KEY));
    uint64_t number = 0;
    if (entry == NULL)
        return 0;
    ck_assert_uint_eq(entry->value.size, sizeof number);
    memcpy(&number, entry->value.data, sizeof number);
    return (size_t)number;
}

static struct varve_db *image_open(struct script *script, struct env *env)
{
    struct varve_options options;
    struct varve_db *db = NULL;
    struct varve_error error = {0};
    options_fill(&options);
    enum varve_status status = db_open(STORE, &options, env, true, &db, &error);
    if (status != VARVE_OK)
        ck_abort_msg("seed %" PRIu64 ", image %" PRIu64 ": %s: %s (%s at %" PRIu64 ")",
                     script->seed, script->images, varve_status_name(status), error.text,
                     error.path, error.offset);
    return db;
}

/* The open store holds the state after a prefix of at least `least` commits; gives the prefix. */
static size_t image_verify(struct script *script, struct varve_db *db, size_t least)
{
    struct model found = {0}, expected = {0};
    store_read(db, &found);
    size_t prefix = model_prefix(&found);
    ck_assert_msg(prefix >= least && prefix <= script->issued,
                  "seed %" PRIu64 ", image %" PRIu64 ": holds %zu commits, at least %zu of %zu "
                  "must be there",
                  script->seed, script->images, prefix, least, script->issued);
    model_at(script, prefix, &expected);
    ck_assert_msg(model_equal(&found, &expected, false),
                  "seed %" PRIu64 ", image %" PRIu64 ": is not the state after %zu commits",
                  script->seed, script->images, prefix);
    model_deinit(&found);
    model_deinit(&expected);
    return prefix;
}

/* The store takes a write, closes, and opens again with it. */
static void image_use(struct script *script, struct crash_env *image, struct varve_db *db,
                      size_t prefix)
{
    struct varve_value value = {0};
    uint64_t before = 0, revision = 0;
    ck_assert_int_eq(varve_get(db, varve_slice_str(COUNTER_KEY), NULL, &value),
                     prefix == 0 ? VARVE_NOT_FOUND : VARVE_OK);
    before = value.revision;
    varve_value_release(&value);
    ck_assert_int_eq(
        varve_put(db, varve_slice_str("after"), varve_slice_str("cut"), VARVE_SYNC_ON, &revision),
        VARVE_OK);
    ck_assert_uint_gt(revision, before);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
    db = image_open(script, crash_env_env(image));
    ck_assert_int_eq(varve_get(db, varve_slice_str("after"), NULL, &value), VARVE_OK);
    varve_value_release(&value);
    ck_assert_int_eq(varve_close(db), VARVE_OK);
}

/* What the hook needs while a recovery is cut at each of its operations. */
struct second_cut {
    struct script *script;
    struct crash_env *image;
    size_t least;
};

static void second_cut_hook(void *context)
{
    struct second_cut *second = context;
    struct script *script = second->script;
    enum crash_cut mode = prng_chance(&script->image_prng, 70)   ? CRASH_CUT_RANDOM
                          : prng_chance(&script->image_prng, 50) ? CRASH_CUT_NONE
                                                                 : CRASH_CUT_ALL;
    struct crash_env *image = crash_env_cut(second->image, prng_next(&script->image_prng), mode);
    struct varve_db *db = image_open(script, crash_env_env(image));
    image_verify(script, db, second->least);
    db_abandon(db);
    crash_env_free(image);
    script->second_images++;
}

static void image_check(struct script *script, enum crash_cut mode, size_t least)
{
    struct crash_env *image = crash_env_cut(script->crash, prng_next(&script->image_prng), mode);
    struct fault_env *fault = fault_env_new(crash_env_env(image));
    struct second_cut second = {.script = script, .image = image, .least = least};
    const struct fault_rule rule = {.operations = CHANGES,
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_OK,
                                    .hook = second_cut_hook,
                                    .context = &second};

    script->images++;
    bool cut_again = script->images % script->second_cut_every == 0;
    if (cut_again)
        fault_env_set_rule(fault, &rule);
    struct varve_db *db = image_open(script, fault_env_env(fault));
    fault_env_set_rule(fault, NULL);
    size_t prefix = image_verify(script, db, least);
    if (script->images % 16 == 0) {
        image_use(script, image, db, prefix);
    } else {
        db_abandon(db);
    }
    ck_assert_uint_eq(fault_env_handles(fault), 0);
    fault_env_free(fault);
    crash_env_free(image);
}

/* Runs before every changing operation of the script. */
static void moment_hook(void *context)
{
    struct script *script = context;
    script->moments++;
    if (script->moments % script->moment_stride != budget_offset(script->moment_stride))
        return;
    image_check(script, CRASH_CUT_NONE, script->durable);
    if (script->moments / script->moment_stride % 4 == 0)
        image_check(script, CRASH_CUT_ALL, script->acknowledged);
    for (unsigned i = 0; i < script->random_images; i++)
        image_check(script, CRASH_CUT_RANDOM, script->durable);
}

static void script_commit(struct script *script, struct varve_batch *batch)
{
    uint8_t value[VALUE_BYTES_MAX];
    char key[32];
    uint64_t number = ++script->issued;
    struct commit_record *commit = &script->commits[number - 1];

    varve_batch_clear(batch);
    *commit = (struct commit_record){
        .op_count = prng_chance(&script->prng, 60) ? 1 : prng_below(&script->prng, OPS_MAX + 1)};
    for (size_t i = 0; i < commit->op_count; i++) {
        struct op *op = &commit->ops[i];
        op->is_delete = prng_chance(&script->prng, 15);
        op->key = (uint32_t)prng_below(&script->prng, KEYS);
        op->value_bytes = (uint32_t)prng_below(&script->prng, VALUE_BYTES_MAX + 1);
        op->value_seed = prng_next(&script->prng);
        key_make(key, op->key);
        value_make(value, op);
        ck_assert_int_eq(op->is_delete ? varve_batch_delete(batch, varve_slice_str(key))
                                       : varve_batch_put(batch, varve_slice_str(key),
                                                         varve_slice(value, op->value_bytes)),
                         VARVE_OK);
    }
    ck_assert_int_eq(
        varve_batch_put(batch, varve_slice_str(COUNTER_KEY), varve_slice(&number, sizeof number)),
        VARVE_OK);
    bool sync = prng_chance(&script->prng, 35);
    ck_assert_int_eq(varve_write(script->db, batch, sync ? VARVE_SYNC_ON : VARVE_SYNC_OFF, NULL),
                     VARVE_OK);
    script->acknowledged = number;
    if (sync)
        script->durable = number;
}

static void script_open(struct script *script)
{
    script->db = image_open(script, fault_env_env(script->fault));
}

static void script_reopen(struct script *script)
{
    ck_assert_int_eq(varve_close(script->db), VARVE_OK);
    script->durable = script->acknowledged;
    script_open(script);
}

static void script_run(struct script *script, struct varve_stats *ret_stats)
{
    struct varve_batch *batch = NULL;
    const struct fault_rule rule = {.operations = CHANGES,
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_OK,
                                    .hook = moment_hook,
                                    .context = script};

    ck_assert_int_eq(varve_batch_new(&batch), VARVE_OK);
    fault_env_set_rule(script->fault, &rule);
    script_open(script);
    for (size_t i = 0; i < script->commit_max; i++) {
        script_commit(script, batch);
        if (prng_chance(&script->prng, 5))
            (void)db_step(script->db);
        if (prng_chance(&script->prng, 4))
            db_idle(script->db);
        if (prng_chance(&script->prng, 1) || i % (script->commit_max / 12) == 0) {
            ck_assert_int_eq(varve_flush(script->db, true), VARVE_OK);
            script->durable = script->acknowledged;
        }
        if (i == script->commit_max / 2) /* whatever the seed, there is one in the middle third */
            ck_assert_int_eq(varve_compact(script->db, true), VARVE_OK);
        if (i == script->commit_max / 3 || i == script->commit_max * 4 / 5)
            script_reopen(script);
        if (i == script->commit_max * 2 / 3) /* before the second reopening resets the counters */
            varve_stats_read(script->db, ret_stats);
    }
    ck_assert_int_eq(varve_compact(script->db, true), VARVE_OK);
    script->durable = script->acknowledged;
    fault_env_set_rule(script->fault, NULL);
    image_verify(script, script->db, script->issued);
    ck_assert_int_eq(varve_close(script->db), VARVE_OK);
    varve_batch_free(batch);
}

static void script_whole(uint64_t seed, size_t commits, unsigned random_images,
                         unsigned second_cut_every)
{
    struct script script = {
        .seed = seed,
        .prng = prng_make(seed),
        .image_prng = prng_make(seed ^ 0x5eed),
        .crash = crash_env_new(seed),
        .commit_max = commits,
        .random_images = random_images,
        .second_cut_every = second_cut_every,
        .moment_stride = budget_choose(2, 1, 1),
    };
    struct varve_stats stats = {0};
    script.commits = must_calloc(commits, sizeof *script.commits);
    script.fault = fault_env_new(crash_env_env(script.crash));
    crash_env_set_wall_ms(script.crash, 1700000000000);
    script_run(&script, &stats);
    uint64_t operations = crash_env_operations(script.crash);
    printf("seed %" PRIu64 ": %" PRIu64 " operations, %" PRIu64 " images, %" PRIu64
           " of cut recoveries; in the middle third: %" PRIu64 " flushes, %" PRIu64
           " recycled segments, %" PRIu64 " merges\n",
           seed, operations, script.images, script.second_images, stats.flushes,
           stats.wal_segments_recycled, stats.compactions);
    ck_assert_uint_ge(operations, budget_choose(400, 2000, 2000));
    ck_assert_uint_ge(stats.flushes, budget_choose(1, 3, 3));
    ck_assert_uint_ge(stats.wal_segments_recycled, 1);
    ck_assert_uint_ge(stats.compactions, 1);
    ck_assert_uint_ge(script.second_images, budget_choose(20, 200, 200));
    ck_assert_uint_eq(crash_env_handles(script.crash), 0);
    fault_env_free(script.fault);
    crash_env_free(script.crash);
    model_deinit(&script.base);
    free(script.commits);
}

static uint64_t number_from(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : standard;
}

START_TEST(every_moment_of_a_script)
{
    uint64_t seed = number_from("VARVE_SEED", 20240229);
    uint64_t scripts = budget_choose(1, 1, 4);
    for (uint64_t i = 0; i < scripts; i++)
        script_whole(seed + i, budget_choose(500, 1400, 1600), (unsigned)budget_choose(1, 1, 4),
                     (unsigned)budget_choose(400, 400, 100));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power-cut");
    TCase *scripts = tcase_create("scripts");
    tcase_set_timeout(scripts, 0);
    tcase_add_test(scripts, every_moment_of_a_script);
    suite_add_tcase(suite, scripts);
    return run_suite(suite);
}
