/*
 * engine/replay_buffer.h: entries of the log, gathered in its order and sorted once, when all are
 * there. Large values stay in the log's file until they are wanted. Not thread safe.
 */
#ifndef ENGINE_REPLAY_BUFFER_H
#define ENGINE_REPLAY_BUFFER_H

#include "format/batch_codec.h"
#include "format/entry.h"
#include "os/arena.h"
#include "os/env.h"

struct replay_item;

struct replay_buffer {
    struct arena arena;
    struct replay_item *items;
    size_t count, capacity;
    size_t bytes;           /* of keys and values, and what they take beside */
    struct env_file **logs; /* the last one is being replayed */
    size_t log_count;
};
/* A zeroed one is empty. Frees what it holds. */
void replay_buffer_deinit(struct replay_buffer *buffer);

/* Takes out all entries. */
void replay_buffer_clear(struct replay_buffer *buffer);

/* What is added from now on stands in this file, which does not change until the buffer has been
 * cleared twice or freed. As env_open. */
MUST_CHECK enum varve_status replay_buffer_log(struct replay_buffer *buffer, struct env *env,
                                               const char *path);

/* Copies an operation, whose value stands at `value_offset` of the file; its sequence is not below
 * those before it. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status replay_buffer_add(struct replay_buffer *buffer, uint64_t sequence,
                                               const struct batch_op *op, uint64_t value_offset);

/* Sorts it and gives a pass over it in the order of internal keys; the buffer is borrowed until the
 * pass is freed, and nothing is added meanwhile. A value that cannot be read again as it was fails
 * the pass (VARVE_IO, VARVE_CORRUPT). Caller frees with entry_iterator_free. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status replay_buffer_sort(struct replay_buffer *buffer,
                                                struct entry_iterator **ret_iterator);

#endif
