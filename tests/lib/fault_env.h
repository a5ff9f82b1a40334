/*
 * tests/lib/fault_env.h: an environment that hands every call on to another one, but fails those
 * that a rule chooses. It counts calls and open handles, can hold a call up by a hook, and can set
 * the wall clock.
 *
 * Thread safe, but for making and freeing. Memory that it cannot get ends the program.
 */
#ifndef TESTS_LIB_FAULT_ENV_H
#define TESTS_LIB_FAULT_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/env.h"

/* Kinds of calls, as bits. */
enum fault_operation {
    FAULT_OPEN = 1 << 0,
    FAULT_READ = 1 << 1,
    FAULT_WRITE = 1 << 2,
    FAULT_SYNC = 1 << 3,
    FAULT_SIZE = 1 << 4,
    FAULT_TRUNCATE = 1 << 5,
    FAULT_CLOSE = 1 << 6, /* the file is closed all the same */
    FAULT_LIST = 1 << 7,
    FAULT_MAKE_DIR = 1 << 8,
    FAULT_REMOVE_DIR = 1 << 9,
    FAULT_SYNC_DIR = 1 << 10,
    FAULT_RENAME = 1 << 11,
    FAULT_REMOVE = 1 << 12,
    FAULT_LINK = 1 << 13,
    FAULT_INFO = 1 << 14,
    FAULT_SPACE = 1 << 15,
    FAULT_LOCK = 1 << 16,
    FAULT_RANDOM = 1 << 17, /* has no path */
};
#define FAULT_KINDS 18
/* Reads from the page cache alone; not one of the kinds that FAULT_ANY means, since not having to
 * answer is no fault. */
#define FAULT_READ_CACHED (1u << FAULT_KINDS)
#define FAULT_ANY ((1u << FAULT_KINDS) - 1)

struct fault_rule {
    unsigned operations; /* of enum fault_operation */
    /* A shell pattern for the last part of the path, such as "*.wal"; NULL: any. Of rename and link
     * either path may match. Borrowed while the rule is set. */
    const char *pattern;
    uint64_t at;              /* the first matching call to fail, from 1 */
    bool for_good;            /* and all matching ones after it */
    enum varve_status status; /* what it reports; VARVE_OK: the call is made, only the hook runs */
    bool short_write;         /* a failing write first writes the first half of its bytes */
    /* Called before each call that the rule chooses, without a lock held; may be NULL. */
    void (*hook)(void *context);
    void *context;
};

struct fault_env;

/* `base` is borrowed until fault_env_free. Caller frees with fault_env_free, when all files and
 * locks are closed. */
struct fault_env *fault_env_new(struct env *base);
void fault_env_free(struct fault_env *fault); /* takes NULL */

/* Borrowed until fault_env_free. */
struct env *fault_env_env(struct fault_env *fault);

/* Puts the rule in place of the one before and counts its matches from 0; NULL: no rule. */
void fault_env_set_rule(struct fault_env *fault, const struct fault_rule *rule);

/* Calls that matched the rule's operations and pattern, and those of them that it chose. */
uint64_t fault_env_matched(struct fault_env *fault);
uint64_t fault_env_chosen(struct fault_env *fault);

/* All calls of these kinds since it was made, failed ones included. */
uint64_t fault_env_calls(struct fault_env *fault, unsigned operations);

/* Added to the base's wall clock from now on. */
void fault_env_set_wall_offset_ms(struct fault_env *fault, int64_t offset_ms);

/* How often it was advised of a read to come, and of how many bytes in all. */
void fault_env_advices(struct fault_env *fault, uint64_t *ret_count, uint64_t *ret_bytes);

/* Of how many bytes it was told that they will be synced. */
uint64_t fault_env_announced_bytes(struct fault_env *fault);

/* Files and locks that are open: 0 unless something leaks. */
size_t fault_env_handles(struct fault_env *fault);

#endif
