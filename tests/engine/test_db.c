/*
 * Random operations on a store, side by side with a model that is right by being simple.
 *
 * One walk does thousands of operations: writes of all kinds, reads, long-lived snapshots and
 * iterators that must go on seeing their moment, flushes, merges, and reopenings after a close or
 * after the process died, each time under other options. Revisions are compared too. A failure
 * names the seed; VARVE_SEED repeats it.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "budget.h"
#include "crash_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"
#include "tmpdir.h"

#define KEYS_FEW 700u
#define KEYS_MANY 4000u
#define SNAPSHOTS 4
#define CURSORS 4
#define VALUE_BYTES_MAX 70000u
#define BATCH_OPS_MAX 12u

struct held_snapshot {
    const struct varve_snapshot *snapshot;
    struct model model;
};
struct cursor {
    struct varve_iterator *it;
    struct model model;
    size_t low, high; /* of the model's entries: within the bounds */
    size_t at;
    bool stands;
};

struct walk {
    uint64_t seed;
    struct prng prng;
    struct env *env;
    const char *path;
    bool stepped;
    uint64_t keys;
    struct varve_db *db;
    struct varve_batch *batch;
    struct model model;
    uint64_t revision;      /* of the last write */
    bool revision_may_skip; /* the next one may leave numbers out */
    struct held_snapshot snapshots[SNAPSHOTS];
    struct cursor cursors[CURSORS];
    uint8_t *value;
    struct varve_stats stats; /* summed up over the walk's stores */
};

#define WALK_ASSERT(walk, condition)                                                               \
    ck_assert_msg(condition, "seed %" PRIu64 ": %s", (walk)->seed, #condition)
#define WALK_STATUS(walk, expression, expected)                                                    \
    walk_status(walk, expression, expected, #expression, __LINE__)

static void walk_status(const struct walk *walk, enum varve_status got, enum varve_status expected,
                        const char *what, int line)
{
    ck_assert_msg(got == expected, "seed %" PRIu64 ", line %d: %s gives %s", walk->seed, line, what,
                  varve_status_name(got));
}

/* Keys of many shapes: prefixes of each other, zero and 0xff bytes, some as long as can be. */
static struct varve_slice key_make(uint8_t key[VARVE_KEY_BYTES_MAX], uint64_t number)
{
    size_t size = (size_t)snprintf((char *)key, 32, "%c%" PRIu64, (int)('a' + number % 7), number);
    switch (number % 11) {
    case 0:
        key[size++] = 0;
        break;
    case 1:
        memset(key, 0xff, size = number % 29 + 1);
        break;
    case 2:
        size = 1 + number % 3;
        break;
    case 3:
        memset(key + size, 'k', 200);
        size += 200;
        break;
    case 4:
        if (number % 100 == 4) {
            memset(key + size, 'z', VARVE_KEY_BYTES_MAX - size);
            size = VARVE_KEY_BYTES_MAX;
        }
        break;
    default:
        break;
    }
    return varve_slice(key, size);
}

static struct varve_slice key_pick(struct walk *walk, uint8_t key[VARVE_KEY_BYTES_MAX])
{
    return key_make(key, prng_below(&walk->prng, walk->keys));
}

static struct varve_slice value_pick(struct walk *walk)
{
    size_t size = prng_below(&walk->prng, 120);
    if (prng_chance(&walk->prng, 3))
        size = prng_below(&walk->prng, 3000);
    if (prng_below(&walk->prng, 500) == 0)
        size = prng_below(&walk->prng, VALUE_BYTES_MAX);
    uint64_t bytes = prng_next(&walk->prng);
    for (size_t i = 0; i < size; i++)
        walk->value[i] = (uint8_t)(bytes >> (i % 8 * 8)) ^ (uint8_t)(i >> 3);
    return varve_slice(walk->value, size);
}

static enum varve_sync sync_pick(struct walk *walk)
{
    return prng_chance(&walk->prng, 20) ? VARVE_SYNC_ON : VARVE_SYNC_OFF;
}

static void options_pick(struct walk *walk, struct varve_options *options)
{
    struct prng *prng = &walk->prng;
    varve_options_init(options);
    options->memtable_bytes = prng_between(prng, 64 << 10, 200 << 10);
    options->memtable_entries = prng_between(prng, 1000, 3000);
    options->memtables_max = prng_between(prng, 2, 4);
    options->group_bytes = prng_between(prng, 4 << 10, 64 << 10);
    options->wal_segments_spare = prng_below(prng, 4);
    options->block_bytes = 1024u << prng_below(prng, 4);
    options->block_restart_interval = prng_between(prng, 1, 32);
    options->bloom_bits_per_key = prng_below(prng, 13);
    options->compression = (enum varve_compression)prng_below(prng, 3);
    options->compression_bottom = (enum varve_compression)prng_below(prng, 3);
    options->table_bytes = prng_between(prng, 64 << 10, 128 << 10);
    options->block_cache_bytes = 1 << 20;
    options->open_tables_max = 16;
    options->level0_trigger = prng_between(prng, 2, 6);
    options->level0_stop = options->level0_trigger + prng_between(prng, 1, 5);
    options->compaction =
        prng_chance(prng, 50) ? VARVE_COMPACTION_TIERED : VARVE_COMPACTION_LEVELED;
    options->max_levels = prng_between(prng, 2, VARVE_LEVELS_MAX);
    options->level_multiplier = prng_between(prng, 2, 4);
}

static void walk_open(struct walk *walk)
{
    struct varve_options options;
    struct varve_error error = {0};
    options_pick(walk, &options);
    enum varve_status status =
        db_open(walk->path, &options, walk->env, walk->stepped, &walk->db, &error);
    ck_assert_msg(status == VARVE_OK, "seed %" PRIu64 ": %s: %s (%s)", walk->seed,
                  varve_status_name(status), error.text, error.path);
}

static void revision_check(struct walk *walk, uint64_t revision)
{
    if (walk->revision_may_skip)
        WALK_ASSERT(walk, revision > walk->revision);
    else
        WALK_ASSERT(walk, revision == walk->revision + 1);
    walk->revision = revision;
    walk->revision_may_skip = false;
}

static void do_put(struct walk *walk)
{
    uint8_t bytes[VARVE_KEY_BYTES_MAX];
    struct varve_slice key = key_pick(walk, bytes), value = value_pick(walk);
    uint64_t revision = 0;
    WALK_STATUS(walk, varve_put(walk->db, key, value, sync_pick(walk), &revision), VARVE_OK);
    revision_check(walk, revision);
    model_put(&walk->model, key, value, revision);
}

static void do_delete(struct walk *walk)
{
    uint8_t bytes[VARVE_KEY_BYTES_MAX];
    struct varve_slice key = key_pick(walk, bytes);
    uint64_t revision = 0;
    WALK_STATUS(walk, varve_delete(walk->db, key, sync_pick(walk), &revision), VARVE_OK);
    revision_check(walk, revision);
    (void)model_delete(&walk->model, key);
}

/* Few different keys, so that some come twice. */
static void do_batch(struct walk *walk)
{
    uint8_t bytes[VARVE_KEY_BYTES_MAX];
    uint64_t revision = 0;
    size_t count = prng_below(&walk->prng, BATCH_OPS_MAX + 1);
    uint64_t base = prng_below(&walk->prng, walk->keys), next = walk->revision + 1;
    struct prng replay = {0};

    varve_batch_clear(walk->batch);
    replay = walk->prng;
    for (size_t i = 0; i < count; i++) {
        struct varve_slice key = key_make(bytes, (base + prng_below(&walk->prng, 9)) % walk->keys);
        WALK_STATUS(walk,
                    prng_chance(&walk->prng, 25)
                        ? varve_batch_delete(walk->batch, key)
                        : varve_batch_put(walk->batch, key, value_pick(walk)),
                    VARVE_OK);
    }
    WALK_ASSERT(walk, varve_batch_count(walk->batch) == count);
    WALK_STATUS(walk, varve_write(walk->db, walk->batch, sync_pick(walk), &revision), VARVE_OK);
    if (count == 0) {
        WALK_ASSERT(walk, walk->revision_may_skip || revision == walk->revision);
        return;
    }
    WALK_ASSERT(walk, revision >= next);
    revision_check(walk, revision);
    struct prng after = walk->prng;
    walk->prng = replay;
    for (size_t i = 0; i < count; i++) {
        struct varve_slice key = key_make(bytes, (base + prng_below(&walk->prng, 9)) % walk->keys);
        if (prng_chance(&walk->prng, 25))
            (void)model_delete(&walk->model, key);
        else
            model_put(&walk->model, key, value_pick(walk), revision);
    }
    walk->prng = after;
}

static void get_compare(struct walk *walk, const struct model *model,
                        const struct varve_snapshot *snapshot)
{
    uint8_t bytes[VARVE_KEY_BYTES_MAX];
    struct varve_slice key = key_pick(walk, bytes);
    struct varve_value value = {0};
    const struct model_entry *entry = model_get(model, key);
    WALK_STATUS(walk, varve_get(walk->db, key, snapshot, &value),
                entry != NULL ? VARVE_OK : VARVE_NOT_FOUND);
    if (entry == NULL)
        return;
    WALK_ASSERT(walk, varve_slice_compare(value.data, entry->value) == 0);
    WALK_ASSERT(walk, value.revision == entry->revision);
    varve_value_release(&value);
}

static void snapshot_drop(struct walk *walk, struct held_snapshot *held)
{
    varve_snapshot_release(walk->db, held->snapshot);
    model_deinit(&held->model);
    *held = (struct held_snapshot){0};
}

static void do_snapshot(struct walk *walk)
{
    struct held_snapshot *held = &walk->snapshots[prng_below(&walk->prng, SNAPSHOTS)];
    if (held->snapshot != NULL) {
        rig_expect_model(walk->db, held->snapshot, &held->model, true);
        snapshot_drop(walk, held);
        return;
    }
    WALK_STATUS(walk, varve_snapshot_acquire(walk->db, &held->snapshot), VARVE_OK);
    if (!walk->revision_may_skip)
        WALK_ASSERT(walk, varve_snapshot_revision(held->snapshot) == walk->revision);
    model_clone(&walk->model, &held->model);
}

static void cursor_drop(struct cursor *cursor)
{
    varve_iterator_free(cursor->it);
    model_deinit(&cursor->model);
    *cursor = (struct cursor){0};
}

static void cursor_open(struct walk *walk, struct cursor *cursor)
{
    uint8_t start[VARVE_KEY_BYTES_MAX], end[VARVE_KEY_BYTES_MAX];
    struct varve_iterator_options options = {.fill_cache = prng_chance(&walk->prng, 50)};
    if (prng_chance(&walk->prng, 50))
        options.start = key_pick(walk, start);
    if (prng_chance(&walk->prng, 50))
        options.end = key_pick(walk, end);
    WALK_STATUS(walk, varve_iterator_new(walk->db, &options, &cursor->it), VARVE_OK);
    model_clone(&walk->model, &cursor->model);
    cursor->low = model_seek(&cursor->model, options.start);
    cursor->high =
        options.end.size > 0 ? model_seek(&cursor->model, options.end) : cursor->model.count;
    cursor->stands = false;
}

/* Moves the model's side: to `at` if that is within the bounds. */
static enum varve_status cursor_place(struct cursor *cursor, size_t at, bool there)
{
    cursor->stands = there && at >= cursor->low && at < cursor->high;
    cursor->at = at;
    return cursor->stands ? VARVE_OK : VARVE_END;
}

static enum varve_status cursor_seek_model(struct cursor *cursor, struct varve_slice target,
                                           bool backwards)
{
    size_t at = model_seek(&cursor->model, target);
    if (!backwards)
        return cursor_place(cursor, at < cursor->low ? cursor->low : at, true);
    bool exact = at < cursor->model.count &&
                 varve_slice_compare(cursor->model.entries[at]->key, target) == 0;
    size_t behind = exact ? at + 1 : at; /* one behind where it stands */
    if (behind > cursor->high)
        behind = cursor->high;
    return cursor_place(cursor, behind - 1, behind > 0);
}

static void cursor_move(struct walk *walk, struct cursor *cursor)
{
    uint8_t bytes[VARVE_KEY_BYTES_MAX];
    struct varve_slice target = key_pick(walk, bytes);
    enum varve_status expected = VARVE_INVALID;
    bool stood = cursor->stands;

    switch (prng_below(&walk->prng, 12)) {
    case 0:
        expected = cursor_place(cursor, cursor->low, true);
        WALK_STATUS(walk, varve_iterator_seek_first(cursor->it), expected);
        break;
    case 1:
        expected = cursor_place(cursor, cursor->high - 1, cursor->high > 0);
        WALK_STATUS(walk, varve_iterator_seek_last(cursor->it), expected);
        break;
    case 2:
    case 3:
        expected = cursor_seek_model(cursor, target, false);
        WALK_STATUS(walk, varve_iterator_seek(cursor->it, target), expected);
        break;
    case 4:
    case 5:
        expected = cursor_seek_model(cursor, target, true);
        WALK_STATUS(walk, varve_iterator_seek_for_prev(cursor->it, target), expected);
        break;
    case 6:
    case 7:
    case 8:
        if (stood)
            expected = cursor_place(cursor, cursor->at + 1, true);
        WALK_STATUS(walk, varve_iterator_next(cursor->it), expected);
        break;
    default:
        if (stood)
            expected = cursor_place(cursor, cursor->at - 1, cursor->at > 0);
        WALK_STATUS(walk, varve_iterator_prev(cursor->it), expected);
        break;
    }
    if (!cursor->stands)
        return;
    const struct model_entry *entry = cursor->model.entries[cursor->at];
    WALK_ASSERT(walk, varve_slice_compare(varve_iterator_key(cursor->it), entry->key) == 0);
    WALK_ASSERT(walk, varve_slice_compare(varve_iterator_value(cursor->it), entry->value) == 0);
    WALK_ASSERT(walk, varve_iterator_revision(cursor->it) == entry->revision);
}

static void do_cursor(struct walk *walk)
{
    struct cursor *cursor = &walk->cursors[prng_below(&walk->prng, CURSORS)];
    if (cursor->it == NULL)
        cursor_open(walk, cursor);
    else if (prng_chance(&walk->prng, 2))
        cursor_drop(cursor);
    else
        cursor_move(walk, cursor);
}

static void walk_let_go(struct walk *walk)
{
    for (size_t i = 0; i < CURSORS; i++)
        cursor_drop(&walk->cursors[i]);
    for (size_t i = 0; i < SNAPSHOTS; i++)
        snapshot_drop(walk, &walk->snapshots[i]);
}

static void stats_gather(struct walk *walk)
{
    struct varve_stats now = {0};
    varve_stats_read(walk->db, &now);
    WALK_ASSERT(walk, now.snapshots == 0 && now.iterators == 0);
    WALK_ASSERT(walk, now.state == VARVE_STATE_OK);
    WALK_ASSERT(walk, now.cache_bytes_max == 65 << 20);
    walk->stats.flushes += now.flushes;
    walk->stats.compactions += now.compactions;
    walk->stats.trivial_moves += now.trivial_moves;
    walk->stats.wal_segments_recycled += now.wal_segments_recycled;
    walk->stats.bloom_useful += now.bloom_useful;
    walk->stats.stalls += now.stalls;
    walk->stats.recovery_frames += now.recovery_frames;
}

static void do_reopen(struct walk *walk)
{
    walk_let_go(walk);
    rig_expect_model(walk->db, NULL, &walk->model, true);
    stats_gather(walk);
    bool clean = prng_chance(&walk->prng, 50);
    if (clean)
        WALK_STATUS(walk, varve_close(walk->db), VARVE_OK);
    else
        db_abandon(walk->db);
    walk->revision_may_skip = walk->revision_may_skip || !clean;
    walk_open(walk);
    stats_gather(walk);
    rig_expect_model(walk->db, NULL, &walk->model, true);
}

static void do_rarely(struct walk *walk)
{
    switch (prng_below(&walk->prng, 40)) {
    case 0:
        do_reopen(walk);
        break;
    case 1:
        WALK_STATUS(walk, varve_compact(walk->db, prng_chance(&walk->prng, 50)), VARVE_OK);
        break;
    case 2:
    case 3:
        WALK_STATUS(walk, varve_flush(walk->db, prng_chance(&walk->prng, 50)), VARVE_OK);
        break;
    case 4:
    case 5:
    case 6:
        if (walk->stepped)
            db_idle(walk->db);
        break;
    case 7:
        rig_expect_model(walk->db, NULL, &walk->model, true);
        break;
    default:
        if (walk->stepped)
            (void)db_step(walk->db);
        break;
    }
}

static void walk_step(struct walk *walk)
{
    uint64_t roll = prng_below(&walk->prng, 1000);
    if (roll < 330)
        do_put(walk);
    else if (roll < 430)
        do_delete(walk);
    else if (roll < 490)
        do_batch(walk);
    else if (roll < 690)
        get_compare(walk, &walk->model, NULL);
    else if (roll < 692)
        do_snapshot(walk);
    else if (roll < 750) {
        const struct held_snapshot *held = &walk->snapshots[prng_below(&walk->prng, SNAPSHOTS)];
        if (held->snapshot != NULL)
            get_compare(walk, &held->model, held->snapshot);
    } else if (roll < 980)
        do_cursor(walk);
    else
        do_rarely(walk);
}

static void walk_run(uint64_t seed, struct env *env, const char *path, bool stepped,
                     size_t operations)
{
    struct walk walk = {
        .seed = seed, .prng = prng_make(seed), .env = env, .path = path, .stepped = stepped};
    walk.keys = seed % 2 == 0 ? KEYS_FEW : KEYS_MANY;
    walk.value = must_calloc(1, VALUE_BYTES_MAX);
    ck_assert_int_eq(varve_batch_new(&walk.batch), VARVE_OK);
    walk_open(&walk);
    for (size_t i = 0; i < operations; i++)
        walk_step(&walk);
    walk_let_go(&walk);
    rig_expect_model(walk.db, NULL, &walk.model, true);
    stats_gather(&walk);
    WALK_STATUS(&walk, varve_close(walk.db), VARVE_OK);
    printf("seed %" PRIu64 ": %zu operations, %" PRIu64 " flushes, %" PRIu64 " merges, %" PRIu64
           " moves, %" PRIu64 " recycled segments, %" PRIu64 " replayed frames, %" PRIu64
           " waits\n",
           seed, operations, walk.stats.flushes, walk.stats.compactions, walk.stats.trivial_moves,
           walk.stats.wal_segments_recycled, walk.stats.recovery_frames, walk.stats.stalls);
    WALK_ASSERT(&walk,
                operations < 10000 || (walk.stats.flushes > 3 && walk.stats.compactions > 1 &&
                                       walk.stats.bloom_useful > 0));
    varve_batch_free(walk.batch);
    model_deinit(&walk.model);
    free(walk.value);
}

static void walk_in_memory(uint64_t seed, bool stepped, size_t operations)
{
    struct crash_env *crash = crash_env_new(seed);
    walk_run(seed, crash_env_env(crash), RIG_STORE, stepped, operations);
    ck_assert_uint_eq(crash_env_handles(crash), 0);
    crash_env_free(crash);
}

static uint64_t seed_first(void)
{
    return rig_number("VARVE_SEED", 20240701);
}

START_TEST(walks_stepped)
{
    uint64_t walks = budget_choose(1, 2, 60), operations = budget_choose(10000, 20000, 30000);
    for (uint64_t i = 0; i < walks; i++)
        walk_in_memory(seed_first() + i, true, operations);
}
END_TEST

START_TEST(walks_with_threads)
{
    uint64_t walks = budget_choose(1, 2, 30);
    for (uint64_t i = 0; i < walks; i++)
        walk_in_memory(seed_first() + 1000 + i, false, budget_choose(10000, 10000, 15000));
}
END_TEST

START_TEST(walk_on_a_real_file_system)
{
    struct tmpdir dir = {0};
    tmpdir_make(&dir);
    walk_run(seed_first() + 2000, env_posix(), tmpdir_path(&dir, "store"), false,
             budget_choose(2000, 4000, 50000));
    tmpdir_remove(&dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-db");
    TCase *walks = tcase_create("walks");
    tcase_set_timeout(walks, 0);
    tcase_add_test(walks, walks_stepped);
    tcase_add_test(walks, walks_with_threads);
    tcase_add_test(walks, walk_on_a_real_file_system);
    suite_add_tcase(suite, walks);
    return run_suite(suite);
}
