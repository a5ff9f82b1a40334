/* Reading goes every way there is, so that a test that reads in one way only cannot be fooled. */
#include "store_rig.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void rig_options(struct varve_options *options)
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

enum varve_status rig_try_open(struct env *env, const struct varve_options *options,
                               struct varve_db **ret_db, struct varve_error *ret_error)
{
    struct varve_options small;
    rig_options(&small);
    return db_open(RIG_STORE, options != NULL ? options : &small, env, true, ret_db, ret_error);
}

struct varve_db *rig_open(struct env *env, const struct varve_options *options)
{
    struct varve_db *db = NULL;
    struct varve_error error = {0};
    enum varve_status status = rig_try_open(env, options, &db, &error);
    if (status != VARVE_OK)
        ck_abort_msg("%s: %s (%s at %" PRIu64 ")", varve_status_name(status), error.text,
                     error.path, error.offset);
    return db;
}

void rig_put(struct varve_db *db, const char *key, const char *value, enum varve_sync sync)
{
    ck_assert_int_eq(varve_put(db, varve_slice_str(key), varve_slice_str(value), sync, NULL),
                     VARVE_OK);
}

void rig_expect(struct varve_db *db, const char *key, const char *value)
{
    struct varve_value found = {0};
    enum varve_status status = varve_get(db, varve_slice_str(key), NULL, &found);
    ck_assert_msg(status == (value != NULL ? VARVE_OK : VARVE_NOT_FOUND), "%s gives %s", key,
                  varve_status_name(status));
    if (value != NULL)
        ck_assert_msg(varve_slice_compare(found.data, varve_slice_str(value)) == 0,
                      "%s has another value", key);
    varve_value_release(&found);
}

static enum varve_status get_check(struct varve_db *db, const struct varve_snapshot *snapshot,
                                   const struct varve_iterator *it)
{
    struct varve_value value = {0};
    enum varve_status status = varve_get(db, varve_iterator_key(it), snapshot, &value);
    ck_assert_int_ne(status, VARVE_NOT_FOUND);
    if (status != VARVE_OK)
        return status;
    ck_assert(varve_slice_compare(value.data, varve_iterator_value(it)) == 0);
    ck_assert_uint_eq(value.revision, varve_iterator_revision(it));
    varve_value_release(&value);
    return VARVE_OK;
}

enum varve_status rig_try_read(struct varve_db *db, const struct varve_snapshot *snapshot,
                               struct model *model)
{
    const struct varve_iterator_options options = {.snapshot = snapshot};
    struct varve_iterator *it = NULL;
    enum varve_status status = varve_iterator_new(db, &options, &it);
    if (status != VARVE_OK)
        return status;
    status = varve_iterator_seek_first(it);
    while (status == VARVE_OK) {
        struct varve_slice key = varve_iterator_key(it);
        ck_assert_msg(model->count == 0 ||
                          varve_slice_compare(model->entries[model->count - 1]->key, key) < 0,
                      "keys do not grow");
        model_put(model, key, varve_iterator_value(it), varve_iterator_revision(it));
        status = get_check(db, snapshot, it);
        if (status == VARVE_OK)
            status = varve_iterator_next(it);
    }
    varve_iterator_free(it);
    return status == VARVE_END ? VARVE_OK : status;
}

static void expect_backwards(struct varve_db *db, const struct varve_snapshot *snapshot,
                             const struct model *model)
{
    const struct varve_iterator_options options = {.snapshot = snapshot, .fill_cache = true};
    struct varve_iterator *it = NULL;
    size_t at = model->count;
    ck_assert_int_eq(varve_iterator_new(db, &options, &it), VARVE_OK);
    enum varve_status status = varve_iterator_seek_last(it);
    for (; status == VARVE_OK; status = varve_iterator_prev(it)) {
        ck_assert_uint_gt(at, 0);
        at--;
        ck_assert(varve_slice_compare(varve_iterator_key(it), model->entries[at]->key) == 0);
        ck_assert(varve_slice_compare(varve_iterator_value(it), model->entries[at]->value) == 0);
    }
    ck_assert_int_eq(status, VARVE_END);
    ck_assert_uint_eq(at, 0);
    varve_iterator_free(it);
}

void rig_expect_model(struct varve_db *db, const struct varve_snapshot *snapshot,
                      const struct model *model, bool revisions)
{
    struct model found = {0};
    ck_assert_int_eq(rig_try_read(db, snapshot, &found), VARVE_OK);
    ck_assert_msg(model_equal(&found, model, revisions), "holds %zu keys, not the %zu expected",
                  found.count, model->count);
    model_deinit(&found);
    expect_backwards(db, snapshot, model);
}

uint64_t rig_number(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : standard;
}

bool rig_budget_is_long(void)
{
    const char *budget = getenv("VARVE_BUDGET");
    return budget != NULL && strcmp(budget, "long") == 0;
}
