#!/bin/sh
# Issue 2, line 3: 128 to 1,024 clients in lock-step for 30 s each. SECONDS_EACH shortens it.
title="01-3 lock-step clients"
. "$(dirname "$0")/common.sh"

prepare
start_varved
for clients in 128 256 512 1024; do
    "$build/tests/http/lockstep" --address "$address" --clients $clients \
        --seconds "${SECONDS_EACH:-30}" || fail "$clients clients"
    curl -sf -o /dev/null --max-time 5 "http://$address/health" || fail "no health after $clients"
done
stop_varved
shown "no connection stalled, no request failed"
