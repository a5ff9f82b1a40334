#!/bin/sh
# Issue 4, line 4: hostile traffic of all kinds for 60 s; a healthy client beside it keeps p99 under
# 100 ms, and memory and descriptors are afterwards where they were. SECONDS_EACH shortens it.
# Memory counts from a first round of 30 s on, which fills caches; 16 MiB are left to the allocator.
title="03-4 hostile traffic"
. "$(dirname "$0")/common.sh"

prepare
VARVE_MEMTABLE_BYTES=8MiB VARVE_BLOCK_CACHE_BYTES=16MiB
export VARVE_MEMTABLE_BYTES VARVE_BLOCK_CACHE_BYTES
start_varved
PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/http/hostile.py" --address "$address" \
    --pid "$daemon" --lockstep "$build/tests/http/lockstep" --seconds "${SECONDS_EACH:-60}" \
    --senders 1000 --clients 1024 --p99-ms-max 100 --growth-mib-max 16 \
    >"$work/hostile.log" 2>&1 || {
    cat "$work/hostile.log"
    fail "$(grep '^FAILED' "$work/hostile.log" | tr '\n' ' ')"
}
cat "$work/hostile.log"
stop_varved
shown "$(grep '^healthy' "$work/hostile.log"); $(grep '^memory' "$work/hostile.log")"
