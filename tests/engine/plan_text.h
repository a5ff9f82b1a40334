/*
 * tests/engine/plan_text.h: versions, policies and plans of merging as text.
 *
 * A version is its runs, newest first within a level, with their tables:
 *
 *   L0 r9 a-f:64 | L6 r1 a-c:64 d-f:64(t3,x5@10..20)
 *
 * A table says its keys, its bytes, and in brackets how many of its 10 entries are tombstones (t),
 * how many expire and when (x), its greatest sequence (s; else 1), that it is compressed (z: lz4,
 * zs: zstd; else not at all). A policy changes some of the standard figures, which plan_text_policy
 * shows: "leveled trigger=2 cursor1=b", "everything from=c to=e", "bottom=lz4". A plan is
 *
 *   reason [move]: sources, newest first -> output level, run or "new", bytes [cuts, their bytes]
 *
 * Failures end the program.
 */
#ifndef TESTS_ENGINE_PLAN_TEXT_H
#define TESTS_ENGINE_PLAN_TEXT_H

#include "engine/compaction_plan.h"

/* Appends an internal key of one byte. */
void plan_text_key(struct buf *key, char user_key);

/* `words` is cut into its words, which the policy borrows. */
struct compaction_policy plan_text_policy(char *words);

/* The caller drops it with version_unref. */
struct version *plan_text_version(const char *text);

void plan_text_print(const struct compaction_plan *plan, struct buf *text);

#endif
