/*
 * Every call of a script to the file system fails once, or from there on for good, in every way.
 *
 * A script of 400 operations runs on the crash environment through the fault environment. For each
 * kind of call and each k the k-th call fails. Whatever happens then, the store must not hang,
 * crash or leak; what it answers must be true: a write that was acknowledged is there, also after
 * the fault has gone and the store was opened anew (where it was durable, also after a power cut);
 * one that was refused never shows; only one whose outcome is unknown may do either. Reads are
 * never wrong, and go on when writes do not.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "crash_env.h"
#include "fault_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define OPERATIONS 400u
#define KEYS 60u
#define VALUE_BYTES_MAX 2500u
/* States a key may be in: each unknown outcome adds one, or each write that is not durable. */
#define CANDIDATES_MAX 128

/* What a key may hold: the number of the operation that wrote it (its value follows from that), 0
 * when absent. */
struct key_state {
    uint32_t may[CANDIDATES_MAX];
    size_t count;
};

struct fault_run {
    struct fault_rule rule;
    struct crash_env *crash;
    struct fault_env *fault;
    struct varve_db *db;
    struct prng prng;
    struct key_state keys[KEYS]; /* what may be there now */
    struct key_state cut[KEYS];  /* what may be there after a power cut: all since it was durable */
    uint64_t unknown, refused, acknowledged, last_revision;
    char name[128];
};

#define RUN_ASSERT(run, condition, ...)                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s: ", (run)->name);                                                  \
            ck_abort_msg(__VA_ARGS__);                                                             \
        }                                                                                          \
    } while (0)

static void key_make(char key[32], uint32_t number)
{
    snprintf(key, 32, "key-%03u", number);
}

static size_t value_make(uint8_t value[VALUE_BYTES_MAX], uint32_t operation)
{
    struct prng prng = prng_make(operation);
    size_t size = 8 + prng_below(&prng, VALUE_BYTES_MAX - 8);
    memset(value, (int)(operation % 251), size);
    memcpy(value, &operation, sizeof operation);
    return size;
}

static void state_set(struct key_state *state, uint32_t operation)
{
    state->may[0] = operation;
    state->count = 1;
}

static void state_add(struct fault_run *run, struct key_state *state, uint32_t operation)
{
    RUN_ASSERT(run, state->count < CANDIDATES_MAX, "too many unknown outcomes");
    state->may[state->count++] = operation;
}

static void options_make(struct varve_options *options)
{
    rig_options(options);
    options->memtable_entries = 1000;
    options->wal_segments_spare = 1;
    options->level0_trigger = 2;
    options->level0_stop = 5;
    options->open_tables_max = 16;
}

/* Failed work is tried again after a while: this clock makes it pass. */
static uint64_t clock_us;

static uint64_t clock_read(struct env *env)
{
    (void)env;
    return ++clock_us;
}

/* Statuses that say that nothing happened. */
static bool is_refusal(enum varve_status status)
{
    return status == VARVE_NO_SPACE || status == VARVE_READ_ONLY || status == VARVE_BUSY ||
           status == VARVE_NO_FILES;
}

/* All that is visible is durable too. */
static void states_durable(struct fault_run *run)
{
    memcpy(run->cut, run->keys, sizeof run->cut);
}

/* What the key holds must be one of the first `may` states that it may be in. */
static void key_expect(struct fault_run *run, struct varve_db *db, uint32_t number,
                       const struct key_state *state, size_t may)
{
    uint8_t expected[VALUE_BYTES_MAX];
    char key[32];
    struct varve_value value = {0};
    uint32_t operation = 0;

    key_make(key, number);
    enum varve_status status = varve_get(db, varve_slice_str(key), NULL, &value);
    if (status != VARVE_OK && status != VARVE_NOT_FOUND) {
        RUN_ASSERT(run, fault_env_chosen(run->fault) > 0 && status < 0,
                   "get of %s gives %s without a fault", key, varve_status_name(status));
        return;
    }
    if (status == VARVE_OK) {
        RUN_ASSERT(run, value.data.size >= sizeof operation, "%s: a short value", key);
        memcpy(&operation, value.data.data, sizeof operation);
        size_t size = value_make(expected, operation);
        RUN_ASSERT(run, varve_slice_compare(value.data, varve_slice(expected, size)) == 0,
                   "%s: a wrong value", key);
        varve_value_release(&value);
    }
    bool known = false;
    for (size_t i = 0; i < may; i++)
        known = known || state->may[i] == operation;
    RUN_ASSERT(run, known, "%s: holds operation %u, not %u (%zu candidates)", key, operation,
               state->may[0], may);
}

/* `visible`: what is of unknown outcome does not show, as long as the store is the one that did not
 * finish it. */
static void key_check(struct fault_run *run, struct varve_db *db, uint32_t number, bool visible)
{
    const struct key_state *state = &run->keys[number];
    key_expect(run, db, number, state, visible ? 1 : state->count);
}

static void keys_check(struct fault_run *run, struct varve_db *db, bool visible)
{
    for (uint32_t i = 0; i < KEYS; i++)
        key_check(run, db, i, visible);
}

/* A pass either fails, or gives exactly the keys that gets give. */
static void scan_check(struct fault_run *run, struct varve_db *db)
{
    struct model found = {0};
    enum varve_status status = rig_try_read(db, NULL, &found);
    size_t count = 0;
    if (status != VARVE_OK) {
        RUN_ASSERT(run, fault_env_chosen(run->fault) > 0, "a pass gives %s without a fault",
                   varve_status_name(status));
    } else {
        for (uint32_t i = 0; i < KEYS; i++)
            count += run->keys[i].may[0] != 0;
        RUN_ASSERT(run, found.count == count, "a pass gives %zu keys of %zu", found.count, count);
    }
    model_deinit(&found);
}

static void write_account(struct fault_run *run, enum varve_status status, const uint32_t *keys,
                          size_t count, uint32_t operation, uint32_t deleted_from)
{
    for (size_t i = 0; i < count; i++) {
        struct key_state *state = &run->keys[keys[i]];
        uint32_t holds = i >= deleted_from ? 0 : operation;
        if (status == VARVE_OK)
            state_set(state, holds);
        else if (status == VARVE_OUTCOME_UNKNOWN)
            state_add(run, state, holds);
        if (status == VARVE_OK || status == VARVE_OUTCOME_UNKNOWN)
            state_add(run, &run->cut[keys[i]], holds);
    }
    RUN_ASSERT(run, status == VARVE_OK || status == VARVE_OUTCOME_UNKNOWN || is_refusal(status),
               "operation %u: a write gives %s", operation, varve_status_name(status));
    RUN_ASSERT(run, status == VARVE_OK || fault_env_chosen(run->fault) > 0,
               "operation %u: a write gives %s without a fault", operation,
               varve_status_name(status));
    run->acknowledged += status == VARVE_OK;
    run->unknown += status == VARVE_OUTCOME_UNKNOWN;
    run->refused += is_refusal(status);
}

static void do_write(struct fault_run *run, uint32_t operation)
{
    uint8_t value[VALUE_BYTES_MAX];
    char key[32];
    uint32_t keys[3];
    struct varve_batch *batch = NULL;
    uint64_t revision = 0;
    size_t count = prng_chance(&run->prng, 20) ? 3 : 1;
    uint32_t deleted_from = prng_chance(&run->prng, 15) ? (uint32_t)count - 1 : (uint32_t)count;
    uint32_t base = (uint32_t)prng_below(&run->prng, KEYS);
    enum varve_sync sync = prng_chance(&run->prng, 50) ? VARVE_SYNC_ON : VARVE_SYNC_OFF;

    ck_assert_int_eq(varve_batch_new(&batch), VARVE_OK);
    size_t size = value_make(value, operation);
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = (base + i * 7) % KEYS;
        key_make(key, keys[i]);
        ck_assert_int_eq(i >= deleted_from ? varve_batch_delete(batch, varve_slice_str(key))
                                           : varve_batch_put(batch, varve_slice_str(key),
                                                             varve_slice(value, size)),
                         VARVE_OK);
    }
    enum varve_status status = varve_write(run->db, batch, sync, &revision);
    write_account(run, status, keys, count, operation, deleted_from);
    if (status == VARVE_OK) {
        RUN_ASSERT(run, revision > run->last_revision, "revisions do not grow");
        run->last_revision = revision;
        if (sync == VARVE_SYNC_ON)
            states_durable(run);
    }
    varve_batch_free(batch);
}

static bool store_open(struct fault_run *run, struct env *env)
{
    struct varve_options options;
    options_make(&options);
    run->db = NULL;
    struct varve_error error = {0};
    enum varve_status status = rig_try_open(env, &options, &run->db, &error);
    RUN_ASSERT(run, status == VARVE_OK || fault_env_chosen(run->fault) > 0,
               "opening gives %s: %s (%s at %" PRIu64 ")", varve_status_name(status), error.text,
               error.path, error.offset);
    return status == VARVE_OK;
}

/* Nothing of unknown outcome may hide from here on: settles what a new opening found. */
static void states_settle(struct fault_run *run)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[32];
        struct varve_value value = {0};
        uint32_t operation = 0;
        key_make(key, i);
        enum varve_status status = varve_get(run->db, varve_slice_str(key), NULL, &value);
        if (status == VARVE_OK) {
            memcpy(&operation, value.data.data, sizeof operation);
            varve_value_release(&value);
        }
        if (status == VARVE_OK || status == VARVE_NOT_FOUND)
            state_set(&run->keys[i], operation);
    }
    states_durable(run); /* opening has written all of the log to tables */
}

/* The fault goes away; the store is opened anew and must hold what was promised. */
static bool store_reopen_whole(struct fault_run *run)
{
    fault_env_set_rule(run->fault, NULL);
    RUN_ASSERT(run, fault_env_handles(run->fault) == 0, "handles are left open");
    if (!store_open(run, fault_env_env(run->fault)))
        return false;
    keys_check(run, run->db, false);
    states_settle(run);
    scan_check(run, run->db);
    struct varve_stats stats = {0};
    varve_stats_read(run->db, &stats);
    RUN_ASSERT(run, stats.revision >= run->last_revision, "revisions go back");
    return true;
}

static void script(struct fault_run *run)
{
    for (uint32_t i = 1; i <= OPERATIONS; i++) {
        uint64_t roll = prng_below(&run->prng, 100);
        if (roll < 72)
            do_write(run, i);
        else if (roll < 84)
            key_check(run, run->db, (uint32_t)prng_below(&run->prng, KEYS), true);
        else if (roll < 88)
            (void)db_step(run->db);
        else if (roll < 91)
            db_idle(run->db);
        else if (roll < 92)
            (void)!varve_flush(run->db, false);
        else if (roll < 93) {
            if (varve_flush(run->db, true) == VARVE_OK)
                states_durable(run);
        } else if (roll < 97)
            scan_check(run, run->db);
        else if (roll < 98)
            (void)!varve_compact(run->db, true);
        else if (i > OPERATIONS / 3 && i % 3 == 0) {
            (void)varve_close(run->db);
            run->db = NULL;
            RUN_ASSERT(run, fault_env_handles(run->fault) == 0, "closing leaves handles open");
            if (!store_open(run, fault_env_env(run->fault)))
                return;
            keys_check(run, run->db, false);
            states_settle(run);
        }
    }
}

/* Reads go on; nothing unsynced is synced again after a failure. */
static void end_check(struct fault_run *run)
{
    struct varve_stats stats = {0};
    if (run->db == NULL)
        return;
    varve_stats_read(run->db, &stats);
    if (run->rule.operations == FAULT_SYNC && run->rule.status == VARVE_IO && run->rule.for_good &&
        fault_env_chosen(run->fault) > 0)
        RUN_ASSERT(run, stats.state == VARVE_STATE_READ_ONLY, "a failed sync goes unnoticed");
    fault_env_set_rule(run->fault, NULL);
    keys_check(run, run->db, true);
    scan_check(run, run->db);
    if (stats.state == VARVE_STATE_READ_ONLY) {
        uint64_t syncs = fault_env_calls(run->fault, FAULT_SYNC);
        ck_assert_int_eq(
            varve_put(run->db, varve_slice_str("x"), varve_slice_str("y"), VARVE_SYNC_ON, NULL),
            VARVE_READ_ONLY);
        RUN_ASSERT(run, fault_env_calls(run->fault, FAULT_SYNC) == syncs,
                   "a read-only store syncs again");
    }
}

/* What a power cut would leave now holds all that was durable. */
static void power_cut_check(struct fault_run *run)
{
    static const enum crash_cut modes[] = {CRASH_CUT_NONE, CRASH_CUT_RANDOM};
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct crash_env *image = crash_env_cut(run->crash, run->rule.at, modes[m]);
        struct varve_options options;
        struct varve_error error = {0};
        struct varve_db *db = NULL;
        options_make(&options);
        enum varve_status status = rig_try_open(crash_env_env(image), &options, &db, &error);
        RUN_ASSERT(run, status == VARVE_OK, "after a power cut opening gives %s: %s (%s)",
                   varve_status_name(status), error.text, error.path);
        for (uint32_t i = 0; i < KEYS; i++)
            key_expect(run, db, i, &run->cut[i], run->cut[i].count);
        db_abandon(db);
        crash_env_free(image);
    }
}

/* With the fault gone a store that was short of space takes writes again. */
static void recovers_check(struct fault_run *run)
{
    struct varve_stats stats = {0};
    varve_stats_read(run->db, &stats);
    if (stats.state == VARVE_STATE_READ_ONLY)
        return;
    clock_us += 10000000;
    db_idle(run->db);
    while (db_step(run->db))
        ;
    varve_stats_read(run->db, &stats);
    RUN_ASSERT(run, stats.state == VARVE_STATE_OK, "idle, the state stays %d (%s)",
               (int)stats.state, stats.state_reason);
    uint64_t revision = 0;
    enum varve_status status = varve_put(run->db, varve_slice_str("key-000"),
                                         varve_slice_str("yyyy"), VARVE_SYNC_ON, &revision);
    RUN_ASSERT(run, status == VARVE_OK, "with the fault gone a write gives %s (state %d, %s)",
               varve_status_name(status), (int)stats.state, stats.state_reason);
    status = varve_delete(run->db, varve_slice_str("key-000"), VARVE_SYNC_ON, &revision);
    RUN_ASSERT(run, status == VARVE_OK, "and then a delete %s", varve_status_name(status));
    state_set(&run->keys[0], 0);
    run->last_revision = revision;
    status = varve_flush(run->db, true);
    RUN_ASSERT(run, status == VARVE_OK, "with the fault gone a flush gives %s",
               varve_status_name(status));
}

/* One run; gives how many calls matched the rule, the fault's own run included. */
static uint64_t run_once(const struct fault_rule *rule, const char *kind)
{
    struct fault_run run = {.rule = *rule, .prng = prng_make(rig_number("VARVE_SEED", 5))};
    snprintf(run.name, sizeof run.name, "%s %s at %" PRIu64 "%s%s", kind,
             varve_status_name(rule->status), rule->at, rule->for_good ? " for good" : "",
             rule->short_write ? " (half written)" : "");
    run.crash = crash_env_new(3);
    run.fault = fault_env_new(crash_env_env(run.crash));
    struct env_ops ops = *fault_env_env(run.fault)->ops;
    ops.mono_us = clock_read;
    fault_env_env(run.fault)->ops = &ops;
    for (uint32_t i = 0; i < KEYS; i++)
        state_set(&run.keys[i], 0);
    states_durable(&run);
    fault_env_set_rule(run.fault, rule);
    if (store_open(&run, fault_env_env(run.fault)))
        script(&run);
    uint64_t matched = fault_env_matched(run.fault);
    power_cut_check(&run);
    if (run.db != NULL) {
        end_check(&run);
        recovers_check(&run);
        if (rule->at % 2 == 0)
            (void)varve_close(run.db);
        else
            db_abandon(run.db);
    }
    if (store_reopen_whole(&run)) {
        recovers_check(&run);
        ck_assert_int_eq(varve_close(run.db), VARVE_OK);
    } else {
        RUN_ASSERT(&run, false, "cannot be opened with the fault gone");
    }
    RUN_ASSERT(&run, fault_env_handles(run.fault) == 0, "handles are left open");
    RUN_ASSERT(&run, crash_env_handles(run.crash) == 0, "handles are left open");
    fault_env_free(run.fault);
    crash_env_free(run.crash);
    return matched;
}

static const struct {
    unsigned operation;
    const char *name;
} kinds[] = {
    {FAULT_OPEN, "open"},     {FAULT_READ, "read"},     {FAULT_WRITE, "write"},
    {FAULT_SYNC, "sync"},     {FAULT_SIZE, "size"},     {FAULT_CLOSE, "close"},
    {FAULT_LIST, "list"},     {FAULT_RENAME, "rename"}, {FAULT_SYNC_DIR, "sync_dir"},
    {FAULT_REMOVE, "remove"}, {FAULT_INFO, "info"},     {FAULT_MAKE_DIR, "make_dir"},
    {FAULT_LOCK, "lock"},     {FAULT_RANDOM, "random"},
};

static const struct {
    enum varve_status status;
    bool short_write;
} ways[] = {
    {VARVE_IO, false}, {VARVE_NO_SPACE, false}, {VARVE_NO_SPACE, true}, {VARVE_NO_FILES, false}};

static void runs_of_way(enum varve_status status, bool short_write)
{
    /* Two runs with a k of their own for every so many calls. */
    uint64_t runs_per_kind = rig_number("VARVE_FAULT_RUNS", budget_choose(1, 8, 100000));
    uint64_t runs = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fault_rule rule = {.operations = kinds[i].operation,
                                  .at = UINT64_MAX,
                                  .status = status,
                                  .short_write = short_write};
        if (short_write && kinds[i].operation != FAULT_WRITE)
            continue;
        uint64_t calls = run_once(&rule, kinds[i].name);
        uint64_t stride = calls / runs_per_kind + 1;
        for (uint64_t k = 1 + budget_offset(stride); k <= calls; k += stride) {
            rule.at = k;
            rule.for_good = false;
            run_once(&rule, kinds[i].name);
            rule.for_good = true;
            run_once(&rule, kinds[i].name);
            runs += 2;
        }
    }
    printf("%s%s: %" PRIu64 " runs\n", varve_status_name(status),
           short_write ? ", half written" : "", runs);
}

START_TEST(every_call_fails)
{
    runs_of_way(ways[_i].status, ways[_i].short_write);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-faults");
    TCase *calls = tcase_create("calls");
    tcase_set_timeout(calls, 0);
    tcase_add_loop_test(calls, every_call_fails, 0, sizeof ways / sizeof ways[0]);
    suite_add_tcase(suite, calls);
    return run_suite(suite);
}
