#!/bin/sh
# Issue 4, line 3: 16 clients increment 100 counters by compare-and-set for 30 s; 50 histories of
# 2,000 requests with kills are linearizable. SECONDS_EACH shortens the first, VARVE_BUDGET= the
# second; VARVE_SEED replays what the clients of the histories ask.
title="03-3 compare-and-set and linearizability"
. "$(dirname "$0")/common.sh"

prepare
start_varved
"$build/tests/http/counters" --address "$address" --clients 16 --counters 100 \
    --seconds "${SECONDS_EACH:-30}" | tee "$work/counters.log"
grep -q ' 0 counters wrong$' "$work/counters.log" || fail "the counters"
stop_varved
VARVE_BUDGET=${VARVE_BUDGET-long} PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/http/contract.py" \
    checker linear >"$work/linear.log" 2>&1 || {
    tail -60 "$work/linear.log"
    fail "the histories"
}
histories=$(sed -n 's/.*\(  *\|^\)\([0-9]* histories, .*\)/\2/p' "$work/linear.log")
[ -n "$histories" ] || fail "no history was judged"
shown "$(cat "$work/counters.log"); $histories"
