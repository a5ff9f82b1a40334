#!/bin/sh
# Issue 4, line 3: 16 clients increment 100 counters by compare-and-set for 30 s; 50 histories of
# 2,000 requests with kills are linearizable. SECONDS_EACH shortens the first, VARVE_BUDGET= the
# second; VARVE_SEED replays what the clients of the histories ask.
title="03-3 compare-and-set and linearizability"
. "$(dirname "$0")/common.sh"

budget=${VARVE_BUDGET-long} seed=${VARVE_SEED-}
unset VARVE_BUDGET VARVE_SEED # no settings of varved
prepare
start_varved
"$build/tests/http/counters" --address "$address" --clients 16 --counters 100 \
    --seconds "${SECONDS_EACH:-30}" >"$work/counters.log" 2>&1 || {
    cat "$work/counters.log"
    fail "the counters"
}
stop_varved
VARVE_BUDGET=$budget VARVE_SEED=$seed PYTHONDONTWRITEBYTECODE=1 \
    python3 "$root/tests/http/contract.py" checker linear >"$work/linear.log" 2>&1 || {
    tail -60 "$work/linear.log"
    fail "the histories"
}
histories=$(grep -o '[1-9][0-9]* histories, .*' "$work/linear.log")
[ -n "$histories" ] || fail "no history was judged"
shown "$(cat "$work/counters.log"); $histories"
