#!/bin/sh
# Issue 3, line 3: all orders of up to seven steps against a model, and at random and with threads
# beyond that.
title="02-3 all orders"
. "$(dirname "$0")/common.sh"

prepare
VARVE_BUDGET=long
CK_FORK=no
TMPDIR=$work
export VARVE_BUDGET CK_FORK TMPDIR
for name in orders db snapshot concurrent expiry compaction; do
    "$build/tests/engine/test_engine_$name" >"$work/$name.log" 2>&1 || {
        tail -40 "$work/$name.log"
        fail "$name"
    }
    sed -n '/orders of up to/p; /%:/p' "$work/$name.log"
done
shown "orders of up to seven steps, random walks and storms equal the model"
