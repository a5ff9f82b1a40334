#!/bin/sh
# Issue 2, line 2: kill -9 under 8 writers in 50 cycles, and a power cut after every operation.
# VARVE_SEED replays a run.
title="01-2 kills and power cuts"
. "$(dirname "$0")/common.sh"

prepare
TMPDIR=$work
export TMPDIR
"$build/tests/crash/kill/kill_writers" --varved "$VARVED" --cycles 50 --set memtable_entries=2000 \
    >"$work/kill.log" 2>&1 || {
    cat "$work/kill.log"
    work= # keep the evidence
    fail "kill -9 under writers"
}
cat "$work/kill.log"
VARVE_BUDGET=long "$build/tests/crash/test_power_cut" >"$work/cut.log" 2>&1 || {
    tail -40 "$work/cut.log"
    fail "power cuts"
}
tail -5 "$work/cut.log"
shown "$(tail -n 1 "$work/kill.log"); power cuts: $(tail -n 1 "$work/cut.log")"
