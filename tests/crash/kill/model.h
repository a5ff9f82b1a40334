/*
 * model.h: what the writers of the kill test sent, and what the store must therefore show.
 *
 * Each writer has private keys, which only it writes, and all share some more. A writer's own state
 * and its unanswered operations are all that is needed to judge its private keys after a kill: the
 * store must show the state after some number of the unanswered operations, in their order. For a
 * shared key the acknowledged write of the greatest revision counts, or an unanswered later one.
 * A model is written by one thread at a time.
 */
#ifndef TESTS_CRASH_KILL_MODEL_H
#define TESTS_CRASH_KILL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../http/client.h"

#define WRITERS 8u
#define PRIVATE_KEYS 200u
#define SHARED_KEYS 16u
#define FLIGHT_MAX 8u
#define TOUCHES_MAX 12u
#define KEY_TEXT_MAX 24u

struct touch {
    bool shared;
    bool deletes;
    unsigned key;
};

enum op_kind { OP_PUT, OP_DELETE, OP_BATCH };

struct op {
    uint64_t counter; /* of its writer, from 1 */
    enum op_kind kind;
    bool sync;
    unsigned touches_count;
    struct touch touches[TOUCHES_MAX]; /* in order; the last one of a key counts */
};

/* The last known write of a shared key. */
struct shared_write {
    uint64_t revision; /* 0: never written */
    uint64_t counter;  /* 0: deleted */
    unsigned writer;
};

struct writer_model {
    uint64_t seed;
    unsigned writer;
    uint64_t counter;             /* of the last operation made */
    uint64_t revision;            /* the last one acknowledged */
    uint64_t state[PRIVATE_KEYS]; /* counter of the value that each key holds, 0 for none */
    struct op flight[FLIGHT_MAX]; /* sent and not answered, oldest first */
    unsigned flight_count;
    struct shared_write shared[SHARED_KEYS]; /* this writer's acknowledged ones */
};

void model_key(unsigned writer, const struct touch *touch, char ret_key[KEY_TEXT_MAX]);

/* Appends the value that an operation gives a key: it names key, writer and counter, and its length
 * and filling follow from them and the seed. It is printable ASCII. */
void model_value(struct text *text, uint64_t seed, unsigned writer, uint64_t counter,
                 const char *key);

/* Whether `value` is one that a writer may have given the key; then says which one. */
bool model_value_check(uint64_t seed, const char *key, const char *value, size_t bytes,
                       unsigned *ret_writer, uint64_t *ret_counter);

void model_apply(uint64_t state[PRIVATE_KEYS], const struct op *op);

/* Takes the acknowledgement of the oldest unanswered operation. false if its revision does not
 * lie behind all that this writer saw before. */
bool model_acknowledge(struct writer_model *model, uint64_t revision);

#endif
