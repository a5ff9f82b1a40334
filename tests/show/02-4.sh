#!/bin/sh
# Issue 3, line 4: checkpoints and backups under load restore to the model's state at the revision
# they claim; an old checkpoint outlives the recycling of every log segment. ROUNDS of ten each.
title="02-4 checkpoints and backups"
. "$(dirname "$0")/common.sh"

prepare
CK_FORK=no
TMPDIR=$work
export CK_FORK TMPDIR
round=0
while [ $round -lt "${ROUNDS:-3}" ]; do
    round=$((round + 1))
    for name in checkpoint backup; do
        "$build/tests/engine/test_engine_$name" >"$work/$name.log" 2>&1 || {
            tail -40 "$work/$name.log"
            fail "$name"
        }
        tail -n 1 "$work/$name.log"
    done
done
shown "10 checkpoints and 10 backups under load in each of $round rounds"
