/*
 * What merging does when it fails, when it meets damage, and when it is asked for while writers go
 * on: it comes to an end, says why, and is tried again later.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "array_iterator.h"
#include "crash_env.h"
#include "engine/merge.h"
#include "fault_env.h"
#include "must.h"
#include "os/sync.h"
#include "run_suite.h"
#include "store_rig.h"

#define LETTERS 26
#define STEPS_MAX 50 /* far more than the work there is */

struct world {
    struct crash_env *crash;
    struct fault_env *fault;
    struct varve_options options;
    struct varve_db *db;
    size_t max_levels; /* 0: as rig_options */
    char told[1024];   /* the errors of the log, one after the other */
};

static void keep_errors(void *context, enum varve_log_level level, const char *text)
{
    struct world *world = context;
    size_t used = strlen(world->told);
    if (level == VARVE_LOG_ERROR)
        snprintf(world->told + used, sizeof world->told - used, "%s\n", text);
}

static void world_open(struct world *world, enum varve_compaction style, size_t level0_trigger)
{
    rig_options(&world->options);
    world->options.compaction = style;
    world->options.level0_trigger = level0_trigger;
    world->options.level0_stop = 64;
    if (world->max_levels != 0)
        world->options.max_levels = world->max_levels;
    world->options.log = keep_errors;
    world->options.log_context = world;
    world->db = rig_open(fault_env_env(world->fault), &world->options);
}

static void world_init(struct world *world)
{
    *world = (struct world){.crash = crash_env_new(1)};
    world->fault = fault_env_new(crash_env_env(world->crash));
}

static void world_deinit(struct world *world)
{
    ck_assert_int_eq(varve_close(world->db), VARVE_OK);
    fault_env_free(world->fault);
    crash_env_free(world->crash);
}

/* Every letter gets a new value, and all is flushed. */
static void letters_put(struct varve_db *db, unsigned round)
{
    char value[600];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    for (char letter = 'a'; letter < 'a' + LETTERS; letter++) {
        char key[2] = {letter, 0};
        snprintf(value, 16, "%u", round);
        rig_put(db, key, value, VARVE_SYNC_OFF);
    }
    ck_assert_int_eq(varve_flush(db, true), VARVE_OK);
}

static size_t level0_runs(struct varve_db *db)
{
    struct varve_stats stats = {0};
    varve_stats_read(db, &stats);
    return stats.levels[0].runs;
}

static void expect_rest(struct varve_db *db)
{
    unsigned steps = 0;
    while (steps < STEPS_MAX && db_step(db))
        steps++;
    ck_assert_uint_lt(steps, STEPS_MAX);
}

/* Three runs in level 0, and a store that is to merge two. */
static void world_with_work(struct world *world, struct model *ret_model)
{
    world_init(world);
    world_open(world, VARVE_COMPACTION_TIERED, 60);
    for (unsigned round = 0; round < 3; round++)
        letters_put(world->db, round);
    ck_assert_int_eq(rig_try_read(world->db, NULL, ret_model), VARVE_OK);
    ck_assert_int_eq(varve_close(world->db), VARVE_OK);
    world_open(world, VARVE_COMPACTION_TIERED, 2);
}

static const struct {
    unsigned operations;
    enum varve_status status;
    bool is_retried; /* soon */
} failures[] = {
    {FAULT_WRITE, VARVE_NO_SPACE, true},
    {FAULT_OPEN, VARVE_NO_FILES, true},
    {FAULT_READ, VARVE_CORRUPT, false},
};

/* A merge that fails would fail at once again: it waits. */
START_TEST(a_failure_is_no_reason_to_hurry)
{
    struct world world;
    struct model model = {0};
    world_with_work(&world, &model);
    const struct fault_rule rule = {.operations = failures[_i].operations,
                                    .pattern = "*.sst",
                                    .at = 1,
                                    .for_good = true,
                                    .status = failures[_i].status};
    fault_env_set_rule(world.fault, &rule);
    expect_rest(world.db);
    ck_assert_uint_gt(fault_env_chosen(world.fault), 0);
    ck_assert_uint_eq(level0_runs(world.db), 3);
    db_idle(world.db);
    expect_rest(world.db);
    if (failures[_i].status == VARVE_CORRUPT)
        ck_assert_ptr_nonnull(strstr(world.told, ".sst"));
    fault_env_set_rule(world.fault, NULL);

    for (unsigned tries = 0; failures[_i].is_retried && level0_runs(world.db) > 0; tries++) {
        ck_assert_uint_lt(tries, 1000);
        sleep_us(20000);
        db_idle(world.db);
        expect_rest(world.db);
    }
    rig_expect_model(world.db, NULL, &model, true);
    world_deinit(&world);
    model_deinit(&model);
}
END_TEST

/* What is asked for by hand ends, although each look finds something new in level 0. */
START_TEST(writers_do_not_put_the_end_off)
{
    struct world world;
    world_init(&world);
    world_open(&world, _i == 0 ? VARVE_COMPACTION_TIERED : VARVE_COMPACTION_LEVELED, 60);
    letters_put(world.db, 0);
    letters_put(world.db, 1);
    ck_assert_int_eq(varve_compact(world.db, false), VARVE_OK);
    unsigned round = 0;
    while (round < STEPS_MAX && world.db->background.mu.manual != NULL) {
        letters_put(world.db, 2 + round++);
        (void)db_step(world.db); /* the flush looks again, for nothing */
        (void)db_step(world.db); /* a look for a merge */
    }
    ck_assert_uint_lt(round, STEPS_MAX);
    ck_assert_uint_gt(level0_runs(world.db), 0);
    world_deinit(&world);
}
END_TEST

/* Asked for without waiting, it still takes what was in the memtable, also when the flush of that
 * fails at first. */
START_TEST(what_was_not_flushed_yet_is_merged_too)
{
    const struct fault_rule rule = {.operations = FAULT_WRITE,
                                    .pattern = "*.sst",
                                    .at = 1,
                                    .for_good = true,
                                    .status = VARVE_NO_SPACE};
    struct world world;
    world_init(&world);
    world_open(&world, VARVE_COMPACTION_TIERED, 60);
    rig_put(world.db, "m", "new", VARVE_SYNC_OFF);
    fault_env_set_rule(world.fault, &rule);
    ck_assert_int_eq(varve_compact(world.db, false), VARVE_OK);
    expect_rest(world.db);
    ck_assert_ptr_nonnull(world.db->background.mu.manual);
    fault_env_set_rule(world.fault, NULL);
    for (unsigned tries = 0; world.db->background.mu.manual != NULL; tries++) {
        ck_assert_uint_lt(tries, 1000);
        sleep_us(20000);
        db_idle(world.db);
        expect_rest(world.db);
    }
    ck_assert_uint_eq(level0_runs(world.db), 0);
    rig_expect(world.db, "m", "new");
    world_deinit(&world);
}
END_TEST

/* A store of seven levels, opened for four, goes on to merge what is in the seventh. */
START_TEST(levels_that_are_there_stay_in_use)
{
    struct world world;
    world_init(&world);
    world_open(&world, VARVE_COMPACTION_TIERED, 60);
    letters_put(world.db, 0);
    ck_assert_int_eq(varve_compact(world.db, true), VARVE_OK);
    struct varve_stats before = {0}, after = {0};
    varve_stats_read(world.db, &before);
    size_t deepest = VARVE_LEVELS_MAX - 1;
    while (before.levels[deepest].tables == 0)
        deepest--;
    ck_assert_uint_gt(deepest, 0);
    ck_assert_int_eq(varve_close(world.db), VARVE_OK);

    world.max_levels = deepest > 2 ? deepest - 1 : 2;
    world_open(&world, world.options.compaction, 60);
    letters_put(world.db, 1);
    ck_assert_int_eq(varve_compact(world.db, true), VARVE_OK);
    varve_stats_read(world.db, &after);
    ck_assert_uint_eq(after.levels[deepest].entries, LETTERS);
    ck_assert_uint_eq(after.tables, after.levels[deepest].tables);
    world_deinit(&world);
}
END_TEST

static const struct {
    const char *first, *second;
    uint64_t first_tag, second_tag;
    const char *value;
} unsound[] = {
    {"b", "a", 2 << 8 | ENTRY_PUT, 3 << 8 | ENTRY_PUT, "v"},
    {"a", "a", 2 << 8 | ENTRY_PUT, 3 << 8 | ENTRY_PUT, "v"},
    {"a", "a", 2 << 8 | ENTRY_PUT, 2 << 8 | ENTRY_PUT, "v"},
    {"a", "b", 2 << 8 | ENTRY_PUT, 3 << 8 | ENTRY_PUT_EXPIRING, "short"},
};

/* A crc says that a block is as it was written, not that what was written is right. */
START_TEST(entries_that_cannot_be_are_damage)
{
    struct world world;
    struct array array = {0};
    struct manifest_edit edit = {0};
    world_init(&world);
    world_open(&world, VARVE_COMPACTION_TIERED, 60);
    array_add(&array, varve_slice_str(unsound[_i].first), unsound[_i].first_tag,
              varve_slice_str("12345678"));
    array_add(&array, varve_slice_str(unsound[_i].second), unsound[_i].second_tag,
              varve_slice_str(unsound[_i].value));
    const struct merge_job job = {
        .db = world.db,
        .input = array_iterator_new(&array, NULL, NULL),
        .keep = {.sequence = 1},
        .run_id = 1,
        .table_bytes = UINT64_MAX,
    };
    ck_assert_int_eq(merge_run(&job, &edit), VARVE_CORRUPT);
    entry_iterator_free(job.input);
    manifest_edit_deinit(&edit);
    array_deinit(&array);
    world_deinit(&world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-background");
    TCase *tests = tcase_create("background");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, a_failure_is_no_reason_to_hurry, 0,
                        sizeof failures / sizeof failures[0]);
    tcase_add_loop_test(tests, writers_do_not_put_the_end_off, 0, 2);
    tcase_add_test(tests, what_was_not_flushed_yet_is_merged_too);
    tcase_add_test(tests, levels_that_are_there_stay_in_use);
    tcase_add_loop_test(tests, entries_that_cannot_be_are_damage, 0,
                        sizeof unsound / sizeof unsound[0]);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
