/*
 * What holds writers up comes and goes with every flush and merge. So that the log tells of
 * episodes and not of each turn, one begins only above a threshold of debt, or with a wait, and is
 * over only when there has been no debt at all for a while.
 */
#include "engine/stall.h"

#include "engine/db.h"

/* An episode begins when writes are slowed by so much of what they may be slowed by. */
#define STALL_TOLD_PERCENT 10u
/* It is over when nothing has held writers up for so long. */
#define STALL_QUIET_US ((uint64_t)5000000)

void stall_init(struct stall *stall)
{
    *stall = (struct stall){0};
    mutex_init(&stall->mu.lock);
}

void stall_deinit(struct stall *stall)
{
    mutex_deinit(&stall->mu.lock);
}

static const char *cause_text(enum varve_stall_cause cause)
{
    switch (cause) {
    case VARVE_STALL_BY_LEVEL0:
        return "level 0 has many runs";
    case VARVE_STALL_BY_MEMTABLES:
        return "memtables wait for their flush";
    case VARVE_STALL_BY_TIERS:
        return "the tiers are over their share";
    case VARVE_STALL_BY_MEMORY:
        return "memory is short";
    case VARVE_STALL_BY_NOTHING:
        break;
    }
    return "nothing";
}

static uint64_t held_us(struct varve_db *db)
{
    return atomic_load_explicit(&db->counters.stall_us, memory_order_relaxed) +
           atomic_load_explicit(&db->counters.slowdown_us, memory_order_relaxed);
}

/* Something holds writers up. */
static void stall_tell(struct varve_db *db, const char *how, enum varve_stall_cause cause)
{
    struct stall *stall = &db->stall;
    mutex_lock(&stall->mu.lock);
    bool news = !stall->mu.told;
    stall->mu.quiet_us = 0;
    if (news) {
        stall->mu.told = true;
        stall->mu.told_us = env_mono_us(db->env);
        stall->mu.held_us = held_us(db);
    }
    mutex_unlock(&stall->mu.lock);
    if (news)
        log_write(&db->log, VARVE_LOG_WARNING, "writes are %s: %s", how, cause_text(cause));
}

/* Nothing does. */
static void stall_quiet(struct varve_db *db)
{
    struct stall *stall = &db->stall;
    mutex_lock(&stall->mu.lock);
    if (stall->mu.told && stall->mu.quiet_us == 0)
        stall->mu.quiet_us = env_mono_us(db->env);
    mutex_unlock(&stall->mu.lock);
}

static bool is_stopped(struct varve_db *db)
{
    return atomic_load_explicit(&db->stall.stop_cause, memory_order_relaxed) !=
           VARVE_STALL_BY_NOTHING;
}

void stall_set_debt(struct varve_db *db, struct compaction_debt debt)
{
    struct stall *stall = &db->stall;
    bool tiers = debt.tiers_percent > debt.level0_percent;
    unsigned percent = tiers ? debt.tiers_percent : debt.level0_percent;
    enum varve_stall_cause cause = tiers         ? VARVE_STALL_BY_TIERS
                                   : percent > 0 ? VARVE_STALL_BY_LEVEL0
                                                 : VARVE_STALL_BY_NOTHING;
    atomic_store(&stall->debt_cause, cause);
    atomic_store(&stall->debt_percent, percent);
    if (percent >= STALL_TOLD_PERCENT)
        stall_tell(db, "slowed down", cause);
    else if (percent == 0 && !is_stopped(db))
        stall_quiet(db);
}

void stall_stop(struct varve_db *db, enum varve_stall_cause cause)
{
    atomic_store(&db->stall.stop_cause, cause);
    stall_tell(db, "waiting", cause);
}

void stall_go_on(struct varve_db *db)
{
    atomic_store(&db->stall.stop_cause, VARVE_STALL_BY_NOTHING);
    if (atomic_load(&db->stall.debt_percent) == 0)
        stall_quiet(db);
}

bool stall_look(struct varve_db *db)
{
    struct stall *stall = &db->stall;
    mutex_lock(&stall->mu.lock);
    bool ends = stall->mu.told && stall->mu.quiet_us != 0;
    bool over = ends && env_mono_us(db->env) >= stall->mu.quiet_us + STALL_QUIET_US;
    uint64_t lasted_ms = (stall->mu.quiet_us - stall->mu.told_us) / 1000;
    uint64_t held_ms = (held_us(db) - stall->mu.held_us) / 1000;
    if (over)
        stall->mu.told = false;
    mutex_unlock(&stall->mu.lock);
    if (over)
        log_write(&db->log, VARVE_LOG_WARNING,
                  "writes are not held up any more: it took %llu ms, of which they waited %llu",
                  (unsigned long long)lasted_ms, (unsigned long long)held_ms);
    return ends && !over;
}
