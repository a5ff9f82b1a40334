/*
 * tests/engine/plan_sim.h: a store of pretence that is merged as the planner says.
 *
 * It holds entries that are no more than a sequence and a kind. Random runs, in any shape that
 * stores of any options can leave, are merged, one at a time or several; each plan must keep the
 * order of age of every key and the ranges of the output's run apart, and no read may change but
 * for what is deleted or expired. Failures end the program.
 */
#ifndef TESTS_ENGINE_PLAN_SIM_H
#define TESTS_ENGINE_PLAN_SIM_H

#include "engine/compaction_parts.h"
#include "prng.h"

#define SIM_KEYS 32u
#define SIM_ENTRY_BYTES 10u

struct sim_entry {
    uint64_t sequence; /* 0: there is none */
    enum entry_kind kind;
    uint64_t expires_s;
};
struct sim_table {
    struct sim_entry entries[SIM_KEYS];
};
struct sim {
    uint64_t seed;
    struct prng prng;
    struct version *version;
    struct compaction_policy policy;
    char cursors[VARVE_LEVELS_MAX];
    struct sim_table *tables; /* by file id */
    uint64_t file_id, run_id, sequence;
    struct sim_entry newest[SIM_KEYS];
    uint64_t plans, moves;
};

#define SIM_EXPECT(sim, plan, condition) sim_expect(sim, plan, condition, #condition, __LINE__)
void sim_expect(const struct sim *sim, const struct compaction_plan *plan, bool condition,
                const char *what, int line);

void sim_init(struct sim *sim, uint64_t seed);
void sim_deinit(struct sim *sim);
struct varve_slice sim_key(unsigned number);

/* What one flush might bring, into any level. */
void sim_add_run(struct sim *sim, uint32_t level);

/* A merge that has begun: its plan, and the edit that it will end with. */
struct sim_merge {
    struct version *version;
    struct compaction_plan plan;
    struct manifest_edit edit;
};
/* False when there is nothing to merge (beside what the policy says is running). */
bool sim_merge_begin(struct sim *sim, struct sim_merge *merge);
void sim_merge_end(struct sim *sim, struct sim_merge *merge);

/* Merges, one at a time, until nothing is left to merge. */
void sim_rest(struct sim *sim);

#endif
