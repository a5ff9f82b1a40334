/*
 * tests/engine/store_rig.h: what tests of a whole store share: small options, opening, reading a
 * store into a model in every way there is. Failures fail the test.
 */
#ifndef TESTS_ENGINE_STORE_RIG_H
#define TESTS_ENGINE_STORE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/varve.h>

#include "engine/db.h"
#include "model.h"
#include "prng.h"

#define RIG_STORE "/store"

/* Everything small, so that little data makes many files. */
void rig_options(struct varve_options *options);

/* In RIG_STORE, stepped; a failure is the test's. `options` NULL: rig_options. */
struct varve_db *rig_open(struct env *env, const struct varve_options *options);

/* As rig_open, but gives the status; `ret_error` may be NULL. */
enum varve_status rig_try_open(struct env *env, const struct varve_options *options,
                               struct varve_db **ret_db, struct varve_error *ret_error);

void rig_put(struct varve_db *db, const char *key, const char *value, enum varve_sync sync);
/* NULL: is absent. */
void rig_expect(struct varve_db *db, const char *key, const char *value);

/* All of the store, forwards, into an empty model, each key also by get. Gives the first failure
 * of a read: then the model holds what came before it. Wrong answers fail the test. */
enum varve_status rig_try_read(struct varve_db *db, const struct varve_snapshot *snapshot,
                               struct model *model);

/* Reads without failure, forwards, backwards and by get, and holds `model`. */
void rig_expect_model(struct varve_db *db, const struct varve_snapshot *snapshot,
                      const struct model *model, bool revisions);

/* A number of the environment, or `standard`; whether VARVE_BUDGET asks for long runs. */
uint64_t rig_number(const char *name, uint64_t standard);
bool rig_budget_is_long(void);

#endif
