/*
 * tests/engine/copy_rig.h: what tests of checkpoints and backups share. Failures fail the test.
 */
#ifndef TESTS_ENGINE_COPY_RIG_H
#define TESTS_ENGINE_COPY_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "os/env.h"

/* The directory opens as a store in strict mode, is not made by that, and holds the model, each key
 * with its revision; `revision` is its newest. Then it takes a write, closes and opens again. */
void copy_expect(struct env *env, const char *path, const struct model *model, uint64_t revision);

bool copy_exists(struct env *env, const char *path);

/* Files in a directory whose names end so. */
unsigned copy_count_files(struct env *env, const char *dir, const char *ending);

/*
 * A store under load: threads that write as fast as they can, all of what they did with its
 * revisions, and so the model of any revision.
 */
#define COPY_LOAD_THREADS 3

struct varve_db;
struct copy_load;

/* Caller ends with copy_load_stop. */
struct copy_load *copy_load_start(struct varve_db *db, uint64_t seed);
/* Waits until so many more writes have been done. */
void copy_load_advance(struct copy_load *load, uint64_t writes);
/* Ends the threads; the log stays until copy_load_free. */
void copy_load_stop(struct copy_load *load);
/* What the store held at that revision, into an empty model. Only when stopped. */
void copy_load_model(const struct copy_load *load, uint64_t revision, struct model *model);
void copy_load_free(struct copy_load *load);

#endif
