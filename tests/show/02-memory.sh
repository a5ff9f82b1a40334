#!/bin/sh
# Issue 3, memory: resident size stays within the memory budget and 64 MiB, under writes, merges,
# random reads and scans of much more. NUM makes it smaller.
title="02-memory one budget"
. "$(dirname "$0")/common.sh"

budget=67108864
most_kib=$(((budget >> 10) + 65536))
prepare
"$build/src/programs/varve-bench" --db="$work/db" --num="${NUM:-1000000}" --value-bytes=1000 \
    --reads=200000 --threads=2 --benchmarks=fillrandom,readrandom,seekrandom,readseq,stats \
    --memory-budget=$budget --cache-bytes=16777216 --memtable-bytes=8388608 \
    >"$work/bench.log" 2>&1 &
daemon=$! # ended with the script

# The peak that the kernel keeps, as last seen; it only grows.
peak=0
while kill -0 "$daemon" 2>/dev/null; do
    seen=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$daemon/status" 2>/dev/null)
    peak=${seen:-$peak}
    sleep 0.05
done
wait "$daemon" || {
    tail -20 "$work/bench.log"
    fail "the run"
}
daemon=
grep '^memory:' "$work/bench.log" || fail "no account of memory"
[ "$peak" -gt 0 ] || fail "the resident size was never seen"
[ "$peak" -le "$most_kib" ] || fail "resident size was $peak KiB, the goal is $most_kib KiB"
shown "resident size was at most $peak KiB, with a budget of $((budget >> 10)) KiB and 64 MiB more"
