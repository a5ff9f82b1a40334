/*
 * engine/compaction_plan.h: which tables to merge next. A pure function of a version and a policy:
 * it reads nothing else, so a script can test it.
 *
 * Two styles. *Leveled* (O'Neil's tree with fixed ratios, as LevelDB does it): below level 0 each
 * level is one run, `level_multiplier` times the one above; a table of a level that is too large is
 * merged with what it overlaps one level down. *Tiered* (default): the last level is one run that
 * holds most of the data; above it, levels hold several runs, and only when these amount to a fixed
 * share of the last level they are merged into it, piece by piece, so that each merge rewrites
 * little that is old. Tables of the tiers are cut where tables of the last level begin, which keeps
 * the pieces apart.
 */
#ifndef ENGINE_COMPACTION_PLAN_H
#define ENGINE_COMPACTION_PLAN_H

#include "engine/snapshot.h"
#include "engine/version.h"

/* The tiers above the last level may hold so many percent of its bytes. More costs space and reads,
 * less costs writes: each byte that comes in is written about 2 + 100 / share times. */
#define COMPACTION_TIER_SHARE_PERCENT 25u

enum compaction_mode {
    COMPACTION_DUE,        /* what the triggers ask for */
    COMPACTION_FOLD,       /* nobody writes: fewer runs to read, yet no large level rewritten for a
                            * few keys. Tiered only; leveled: as due. */
    COMPACTION_EVERYTHING, /* as if every trigger were met, until all is in the deepest level; or
                            * all that the policy's range touches */
};

/* Of COMPACTION_FOLD, in place of the tiers' share and of level0_trigger. */
#define COMPACTION_FOLD_SHARE_PERCENT 5u
#define COMPACTION_FOLD_TRIGGER 2u

/* User keys, both ends included. data NULL: empty. */
struct key_range {
    struct varve_slice smallest, largest;
};

struct compaction_plan;

struct compaction_policy {
    enum varve_compaction style;
    size_t level0_trigger;
    size_t max_levels;
    size_t level_multiplier;
    uint64_t memtable_bytes;
    uint64_t table_bytes;
    struct snapshots_keep keep; /* what a merge of now could not drop */
    enum compaction_mode mode;
    enum compression compression, compression_bottom; /* above, and in the last level */
    /* Leveled: where the last merge out of each level ended (a user key); empty: at the beginning.
     */
    struct varve_slice cursors[VARVE_LEVELS_MAX];
    /* Merges that have begun and are not part of the version yet; a plan is one that may run beside
     * them (compaction_plans_agree). */
    const struct compaction_plan *const *running;
    size_t running_count;
    /* COMPACTION_EVERYTHING: only tables with keys from `start` up to, and not with, `end`, and
     * what the order of age takes along with them. User keys; empty: no bound. */
    struct varve_slice start, end;
    /* And only tables with an entry of `asked_sequence` or before, dropping what had expired at
     * `asked_time_ms`, so that the end does not move away while writers go on. 0: no bound. */
    uint64_t asked_sequence, asked_time_ms;
    bool *held_up; /* set when what is wanted has to wait for a merge that runs; may be NULL */
};

enum compaction_reason {
    COMPACTION_LEVEL0,  /* level 0 has too many runs */
    COMPACTION_RUNS,    /* a tier has too many runs */
    COMPACTION_SHARE,   /* the tiers hold too much beside the last level */
    COMPACTION_SIZE,    /* a level is too large */
    COMPACTION_GARBAGE, /* a table of the deepest level is mostly expired or deleted */
    COMPACTION_IDLE,    /* nobody writes */
    COMPACTION_ASKED,   /* by hand */
    COMPACTION_REASONS
};
const char *compaction_reason_name(enum compaction_reason reason);

/* A part of a run that takes part, in key order. */
struct compaction_source {
    uint32_t level;
    struct run run; /* the array is the plan's, the tables are the version's */
};

struct compaction_plan {
    size_t source_count;               /* 0: nothing to do */
    struct compaction_source *sources; /* newest first */
    struct key_range range;            /* of all sources, and so of the outputs */
    uint32_t output_level;
    uint64_t output_run_id; /* the run that the outputs join; 0: a new one */
    uint64_t output_bytes;  /* a table is ended behind it */
    /* Tables also end in front of the first key above one of these (user keys, growing; borrowed
     * from the version), once they have cut_bytes, or always where merge_cuts_always. */
    struct varve_slice *cuts;
    size_t cut_count;
    uint64_t cut_bytes;
    uint64_t cut_mask;
    bool move; /* nothing overlaps: the tables only change their level */
    enum compaction_reason reason;
};

/* Caller frees with compaction_plan_deinit; the version must outlive it. VARVE_NO_MEMORY. */
MUST_CHECK enum varve_status compaction_plan_make(const struct version *version,
                                                  const struct compaction_policy *policy,
                                                  struct compaction_plan *ret_plan);
void compaction_plan_deinit(struct compaction_plan *plan);

/* True when two merges may run at the same time and end in any order. */
bool compaction_plans_agree(const struct compaction_plan *a, const struct compaction_plan *b);

/* True when a merge that runs has tables that the policy wants; any table unless it is by hand. */
bool compaction_runs_wanted(const struct compaction_policy *policy);

/* True when a run that is older than the plan's output, and not part of it, may hold the key. */
bool compaction_older_may_hold(const struct version *version, const struct compaction_plan *plan,
                               struct varve_slice user_key);

/* True while the last level has a table that was moved there as it was, with the compression of the
 * levels above instead of its own. */
bool compaction_has_moved(const struct version *version, const struct compaction_policy *policy);

/* A table of the deepest level is written anew when so much of it can be dropped. */
#define COMPACTION_GARBAGE_PERCENT 50u

/* The store time, unix seconds, at which the first table of the deepest level is garbage by the
 * mere passing of time; 0 when none will be. */
uint64_t compaction_garbage_due_s(const struct version *version);

/* How far behind merging is: 0 when nothing is due, 100 at the point where writes have to wait. */
struct compaction_debt {
    unsigned level0_percent; /* for runs of level 0 */
    unsigned tiers_percent;  /* for the tiers' share of the last level */
};
struct compaction_debt compaction_debt_of(const struct version *version,
                                          const struct compaction_policy *policy,
                                          size_t level0_stop);

#endif
