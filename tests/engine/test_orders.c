/*
 * All orders of a few steps on two keys.
 *
 * A step is a write, a flush, a snapshot, its release, a merge, a reopening, the death of the
 * process or the passing of time. Every order of up to N of them is carried out on a store in
 * memory, and after its last step (each shorter order was one before) both keys are read in every
 * way there is, now and in every live snapshot, and held against a model.
 *
 * Two orders that leave the store in the same shape (the same entries in the same places, the same
 * of them seen by each snapshot, equal distances in time) have the same future, so only one of them
 * is gone on with. With VARVE_BUDGET=long the orders of seven steps are gone through with that
 * shortcut and those of five without it, which takes about four minutes; VARVE_STEPS sets another
 * number than seven. Shorter runs try some of their longest orders only, drawn by VARVE_SEED.
 *
 * A failure prints its order, which VARVE_ORDER carries out alone: "tiered pa f pa f m".
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "budget.h"
#include "crash_env.h"
#include "must.h"
#include "run_suite.h"
#include "store_rig.h"

#define STEPS_MAX 8
#define STEPS_LONG_UNMERGED 5
#define SNAPSHOTS_MAX 2
#define KEYS 2
#define START_MS 1700000000000u
#define TTL_S 5u
#define ADVANCE_MS 10000u

static const char *const key_names[KEYS] = {"a", "b"};

enum step_kind {
    STEP_PUT,
    STEP_PUT_TTL,
    STEP_DELETE,
    STEP_FLUSH,
    STEP_SNAPSHOT, /* none when there are SNAPSHOTS_MAX */
    STEP_RELEASE,  /* of the oldest */
    STEP_MERGE,    /* one merge that is due */
    STEP_COMPACT,  /* all of the store */
    STEP_REOPEN,   /* releases all snapshots */
    STEP_DIE,
    STEP_ADVANCE,
};
struct step {
    enum step_kind kind;
    unsigned key;
    const char *name;
};
static const struct step steps[] = {
    {STEP_PUT, 0, "pa"},     {STEP_PUT, 1, "pb"},     {STEP_PUT_TTL, 0, "ta"},
    {STEP_PUT_TTL, 1, "tb"}, {STEP_DELETE, 0, "da"},  {STEP_DELETE, 1, "db"},
    {STEP_FLUSH, 0, "f"},    {STEP_SNAPSHOT, 0, "s"}, {STEP_RELEASE, 0, "r"},
    {STEP_MERGE, 0, "m"},    {STEP_COMPACT, 0, "c"},  {STEP_REOPEN, 0, "o"},
    {STEP_DIE, 0, "x"},      {STEP_ADVANCE, 0, "+"},
};
#define STEPS (sizeof steps / sizeof steps[0])

struct style {
    const char *name;
    enum varve_compaction compaction;
    size_t max_levels;
};
static const struct style styles[] = {
    {"tiered", VARVE_COMPACTION_TIERED, 3},
    {"leveled", VARVE_COMPACTION_LEVELED, 3},
};
#define STYLES (sizeof styles / sizeof styles[0])

struct order {
    uint8_t steps[STEPS_MAX]; /* indices */
    uint8_t count;
};

/* What is to be seen at one moment. */
struct model_key {
    bool there;
    uint64_t number; /* of the put, which makes its value */
    uint64_t revision, expires_at;
};
struct moment {
    const struct varve_snapshot *snapshot; /* NULL: now */
    uint64_t time_ms;
    struct model_key keys[KEYS];
};

struct world {
    const struct style *style;
    const struct order *order;
    struct crash_env *crash;
    struct varve_db *db;
    struct varve_batch *batch;
    struct moment now;
    struct moment held[SNAPSHOTS_MAX]; /* oldest first */
    size_t held_count;
    uint64_t puts;
};

static void order_print(const struct style *style, const struct order *order, char text[64])
{
    size_t size = (size_t)snprintf(text, 64, "%s", style->name);
    for (size_t i = 0; i < order->count; i++)
        size += (size_t)snprintf(text + size, 64 - size, " %s", steps[order->steps[i]].name);
}

#define EXPECT(world, condition) expect(world, condition, #condition, __LINE__)

static void expect(const struct world *world, bool condition, const char *what, int line)
{
    char text[64];
    if (condition)
        return;
    order_print(world->style, world->order, text);
    ck_abort_msg("VARVE_ORDER=\"%s\", line %d: %s", text, line, what);
}

static void world_open(struct world *world)
{
    struct varve_options options;
    rig_options(&options);
    options.compaction = world->style->compaction;
    options.max_levels = world->style->max_levels;
    options.level_multiplier = 2;
    options.level0_trigger = 2;
    options.wal_segments_spare = 0;
    world->db = rig_open(crash_env_env(world->crash), &options);
}

static struct varve_slice value_make(char value[16], uint64_t number)
{
    return varve_slice(value, (size_t)snprintf(value, 16, "value %02" PRIu64, number));
}

static void step_write(struct world *world, const struct step *step)
{
    char value[16];
    struct varve_slice key = varve_slice_str(key_names[step->key]);
    struct model_key *model = &world->now.keys[step->key];

    *model = (struct model_key){.there = step->kind != STEP_DELETE};
    varve_batch_clear(world->batch);
    if (model->there)
        model->number = ++world->puts;
    if (step->kind == STEP_PUT_TTL)
        model->expires_at = world->now.time_ms / 1000 + TTL_S;
    enum varve_status status =
        !model->there ? varve_batch_delete(world->batch, key)
        : model->expires_at == 0
            ? varve_batch_put(world->batch, key, value_make(value, model->number))
            : varve_batch_put_expiring(world->batch, key, value_make(value, model->number),
                                       model->expires_at);
    EXPECT(world, status == VARVE_OK);
    EXPECT(world,
           varve_write(world->db, world->batch, VARVE_SYNC_OFF, &model->revision) == VARVE_OK);
}

static void step_snapshot(struct world *world)
{
    if (world->held_count == SNAPSHOTS_MAX)
        return;
    struct moment *moment = &world->held[world->held_count++];
    *moment = world->now;
    EXPECT(world, varve_snapshot_acquire(world->db, &moment->snapshot) == VARVE_OK);
}

static void step_release(struct world *world)
{
    if (world->held_count == 0)
        return;
    varve_snapshot_release(world->db, world->held[0].snapshot);
    world->held_count--;
    for (size_t i = 0; i < world->held_count; i++)
        world->held[i] = world->held[i + 1];
}

/* Jobs run until one of them changes the store's tables. To the leveled style every level but the
 * last is too large meanwhile, as if there were more data. */
static void step_merge(struct world *world)
{
    struct varve_db *db = world->db;
    const struct version *before = db->view.rw.view->version;
    size_t memtable_bytes = db->options.memtable_bytes;
    if (world->style->compaction == VARVE_COMPACTION_LEVELED) {
        db->options.memtable_bytes = 1;
        background_schedule_compaction(db);
    }
    while (db_step(db) && db->view.rw.view->version == before)
        ;
    db->options.memtable_bytes = memtable_bytes;
}

static void world_close(struct world *world)
{
    while (world->held_count > 0)
        step_release(world);
    EXPECT(world, varve_close(world->db) == VARVE_OK);
    world->db = NULL;
}

static void world_abandon(struct world *world)
{
    while (world->held_count > 0)
        step_release(world);
    db_abandon(world->db);
    world->db = NULL;
}

static void step_do(struct world *world, const struct step *step)
{
    switch (step->kind) {
    case STEP_PUT:
    case STEP_PUT_TTL:
    case STEP_DELETE:
        step_write(world, step);
        break;
    case STEP_FLUSH:
        EXPECT(world, varve_flush(world->db, true) == VARVE_OK);
        break;
    case STEP_SNAPSHOT:
        step_snapshot(world);
        break;
    case STEP_RELEASE:
        step_release(world);
        break;
    case STEP_MERGE:
        step_merge(world);
        break;
    case STEP_COMPACT:
        EXPECT(world, varve_compact(world->db, true) == VARVE_OK);
        break;
    case STEP_REOPEN:
        world_close(world);
        world_open(world);
        break;
    case STEP_DIE:
        world_abandon(world);
        world_open(world);
        break;
    case STEP_ADVANCE:
        world->now.time_ms += ADVANCE_MS;
        crash_env_set_wall_ms(world->crash, world->now.time_ms);
        break;
    }
}

static bool model_sees(const struct moment *moment, unsigned key)
{
    const struct model_key *model = &moment->keys[key];
    return model->there && (model->expires_at == 0 || model->expires_at > moment->time_ms / 1000);
}

static void check_get(const struct world *world, const struct moment *moment, unsigned key)
{
    char text[16];
    struct varve_value value = {0};
    const struct model_key *model = &moment->keys[key];
    enum varve_status status =
        varve_get(world->db, varve_slice_str(key_names[key]), moment->snapshot, &value);
    EXPECT(world, status == (model_sees(moment, key) ? VARVE_OK : VARVE_NOT_FOUND));
    if (status != VARVE_OK)
        return;
    EXPECT(world, varve_slice_compare(value.data, value_make(text, model->number)) == 0);
    EXPECT(world, value.revision == model->revision);
    EXPECT(world, value.expires_at == model->expires_at);
    varve_value_release(&value);
}

static void check_stands_on(const struct world *world, const struct moment *moment, unsigned key,
                            const struct varve_iterator *it)
{
    char text[16];
    const struct model_key *model = &moment->keys[key];
    EXPECT(world,
           varve_slice_compare(varve_iterator_key(it), varve_slice_str(key_names[key])) == 0);
    EXPECT(world,
           varve_slice_compare(varve_iterator_value(it), value_make(text, model->number)) == 0);
    EXPECT(world, varve_iterator_revision(it) == model->revision);
    EXPECT(world, varve_iterator_expires_at(it) == model->expires_at);
}

static void check_scans(const struct world *world, const struct moment *moment)
{
    const struct varve_iterator_options options = {.snapshot = moment->snapshot};
    struct varve_iterator *it = NULL;
    EXPECT(world, varve_iterator_new(world->db, &options, &it) == VARVE_OK);
    enum varve_status status = varve_iterator_seek_first(it);
    for (unsigned key = 0; key < KEYS; key++)
        if (model_sees(moment, key)) {
            EXPECT(world, status == VARVE_OK);
            check_stands_on(world, moment, key, it);
            status = varve_iterator_next(it);
        }
    EXPECT(world, status == VARVE_END);
    status = varve_iterator_seek_last(it);
    for (unsigned key = KEYS; key-- > 0;)
        if (model_sees(moment, key)) {
            EXPECT(world, status == VARVE_OK);
            check_stands_on(world, moment, key, it);
            status = varve_iterator_prev(it);
        }
    EXPECT(world, status == VARVE_END);
    varve_iterator_free(it);
}

static void world_check(const struct world *world)
{
    for (size_t i = 0; i <= world->held_count; i++) {
        const struct moment *moment = i < world->held_count ? &world->held[i] : &world->now;
        for (unsigned key = 0; key < KEYS; key++)
            check_get(world, moment, key);
        check_scans(world, moment);
    }
}

/* The shape of a store, as bytes. Sequences count only by who sees them, times by their distance.
 */
static void shape_number(struct buf *shape, uint64_t number)
{
    must_ok(buf_append(shape, &number, sizeof number));
}

static void shape_entries(const struct world *world, struct entry_iterator *it, struct buf *shape)
{
    for (it->ops->seek_first(it); it->valid; it->ops->next(it)) {
        uint64_t tag = entry_key_tag(it->key), seen = 0, expires_at = 0;
        for (size_t i = 0; i < world->held_count; i++)
            seen += entry_tag_sequence(tag) <= world->held[i].snapshot->sequence;
        if (entry_tag_kind(tag) == ENTRY_PUT_EXPIRING)
            expires_at = fixed64_decode(it->value.data) - world->now.time_ms / 1000;
        must_ok(buf_append_slice(shape, entry_user_key(it->key)));
        shape_number(shape, entry_tag_kind(tag));
        shape_number(shape, seen);
        shape_number(shape, expires_at);
    }
    must_ok(it->status);
    shape_number(shape, UINT64_MAX);
    entry_iterator_free(it);
}

static uint64_t world_shape(const struct world *world, struct buf *shape)
{
    struct varve_db *db = world->db;
    const struct view *view = db->view.rw.view;
    struct entry_iterator *it = NULL;

    buf_clear(shape);
    shape_number(shape, world->held_count);
    for (size_t i = 0; i < world->held_count; i++)
        shape_number(shape, world->now.time_ms - world->held[i].time_ms);
    bool looks = db->background.mu.compactions[0].state != COMPACTION_SLOT_IDLE;
    shape_number(shape, db->background.mu.flush.queued * 2u + looks);
    shape_number(shape, view->waiting_count);
    for (size_t i = 0; i <= view->waiting_count; i++) {
        must_ok(memtable_iterator_new(i == 0 ? view->active : view->waiting[i - 1], &it));
        shape_entries(world, it, shape);
    }
    for (size_t l = 0; l < VARVE_LEVELS_MAX; l++)
        for (size_t r = 0; r < view->version->levels[l].run_count; r++) {
            const struct run *run = &view->version->levels[l].runs[r];
            shape_number(shape, l);
            for (size_t t = 0; t < run->table_count; t++)
                shape_number(shape, run->tables[t]->meta.entry_count);
            must_ok(run_iterator_new(db->tables, run, false, &it));
            shape_entries(world, it, shape);
        }
    return hash_slice(buf_slice(shape));
}

/* All of an order from an empty store on, checked behind its last step or behind every one. Gives
 * the shape that it leads to. */
static uint64_t order_run(const struct style *style, const struct order *order, bool check_all,
                          struct buf *shape, struct varve_stats *stats)
{
    struct world world = {
        .style = style,
        .order = order,
        .crash = crash_env_new(1),
        .now = {.time_ms = START_MS},
    };
    struct varve_stats some = {0};
    must_ok(varve_batch_new(&world.batch));
    crash_env_set_wall_ms(world.crash, START_MS);
    world_open(&world);
    for (size_t i = 0; i < order->count; i++) {
        step_do(&world, &steps[order->steps[i]]);
        if (check_all || i + 1 == order->count)
            world_check(&world);
    }
    uint64_t hash = world_shape(&world, shape);
    varve_stats_read(world.db, &some);
    stats->flushes += some.flushes;
    stats->compactions += some.compactions;
    stats->trivial_moves += some.trivial_moves;
    world_abandon(&world);
    EXPECT(&world, crash_env_handles(world.crash) == 0);
    crash_env_free(world.crash);
    varve_batch_free(world.batch);
    return hash;
}

/* The shapes that were met. */
struct shape_set {
    uint64_t *hashes; /* 0: free */
    size_t count, capacity;
};

/* False when it was there. */
static bool shape_set_add(struct shape_set *set, uint64_t hash)
{
    hash += hash == 0;
    if (2 * set->count >= set->capacity) {
        struct shape_set larger = {.capacity = set->capacity == 0 ? 1024 : 2 * set->capacity};
        larger.hashes = must_calloc(larger.capacity, sizeof *larger.hashes);
        for (size_t i = 0; i < set->capacity; i++)
            if (set->hashes[i] != 0)
                (void)shape_set_add(&larger, set->hashes[i]);
        free(set->hashes);
        *set = larger;
    }
    size_t at = hash % set->capacity;
    while (set->hashes[at] != 0) {
        if (set->hashes[at] == hash)
            return false;
        at = (at + 1) % set->capacity;
    }
    set->hashes[at] = hash;
    set->count++;
    return true;
}

struct order_list {
    struct order *orders;
    size_t count, capacity;
};

static void order_list_add(struct order_list *list, const struct order *order)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->orders = must_realloc(list->orders, list->capacity, sizeof *list->orders);
    }
    list->orders[list->count++] = *order;
}

static void orders_all(const struct style *style, size_t length, bool merge_equal)
{
    struct shape_set seen = {0};
    struct order_list from = {0};
    struct buf shape = {0};
    struct varve_stats stats = {0};
    uint64_t ran = 0, sampled = budget_choose(5, 3, 1); /* one in so many */

    order_list_add(&from, &(struct order){0});
    for (size_t n = 1; n <= length; n++) {
        struct order_list to = {0};
        for (size_t i = 0; i < from.count; i++)
            for (uint8_t s = 0; s < STEPS; s++) {
                if (n == length && (i * STEPS + s) % sampled != budget_offset(sampled))
                    continue;
                struct order order = from.orders[i];
                order.steps[order.count++] = s;
                uint64_t hash = order_run(style, &order, false, &shape, &stats);
                ran++;
                if (n < length && (!merge_equal || shape_set_add(&seen, hash)))
                    order_list_add(&to, &order);
            }
        free(from.orders);
        from = to;
    }
    printf("%s: %" PRIu64 " orders of up to %zu steps, %zu shapes; %" PRIu64 " flushes, %" PRIu64
           " merges, %" PRIu64 " moves\n",
           style->name, ran, length, seen.count, stats.flushes, stats.compactions,
           stats.trivial_moves);
    ck_assert_uint_gt(stats.flushes, 0);
    ck_assert_uint_gt(stats.compactions, 0);
    free(from.orders);
    free(seen.hashes);
    buf_deinit(&shape);
}

/* The order that VARVE_ORDER asks for, if it does. */
static bool order_parse(const char *text, const struct style **ret_style, struct order *ret_order)
{
    char *copy = must_strdup(text != NULL ? text : "");
    char *rest = NULL;
    const char *word = strtok_r(copy, " ", &rest);
    *ret_style = NULL;
    for (size_t i = 0; word != NULL && i < STYLES; i++)
        if (strcmp(styles[i].name, word) == 0)
            *ret_style = &styles[i];
    ck_assert_msg(word == NULL || *ret_style != NULL, "VARVE_ORDER: no style %s", word);
    while (word != NULL && (word = strtok_r(NULL, " ", &rest)) != NULL) {
        uint8_t s = 0;
        while (s < STEPS && strcmp(steps[s].name, word) != 0)
            s++;
        ck_assert_msg(s < STEPS && ret_order->count < STEPS_MAX, "VARVE_ORDER: at %s", word);
        ret_order->steps[ret_order->count++] = s;
    }
    free(copy);
    return *ret_style != NULL;
}

static void orders_of(const struct style *style)
{
    const struct style *asked_style = NULL;
    struct order asked = {0};
    if (order_parse(getenv("VARVE_ORDER"), &asked_style, &asked)) {
        struct buf shape = {0};
        struct varve_stats stats = {0};
        if (asked_style == style)
            (void)order_run(style, &asked, true, &shape, &stats);
        buf_deinit(&shape);
        return;
    }
    bool is_long = rig_budget_is_long();
    orders_all(style, rig_number("VARVE_STEPS", budget_choose(4, 5, 7)), true);
    if (is_long)
        orders_all(style, STEPS_LONG_UNMERGED, false);
}

START_TEST(tiered)
{
    orders_of(&styles[0]);
}
END_TEST

START_TEST(leveled)
{
    orders_of(&styles[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("orders");
    TCase *tests = tcase_create("orders");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, tiered);
    tcase_add_test(tests, leveled);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
