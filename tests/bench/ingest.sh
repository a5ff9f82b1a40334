#!/bin/sh
# Latencies and pauses under steady ingest, in an open loop: writes come at a fixed rate, whatever
# the store does, and each is timed from when it was due.
#
#   sh tests/bench/ingest.sh
#
# Overwrites of KEYS (10,000,000) keys of 16 bytes with values of 100, not synced one by one: first
# for SECONDS_MOST (180) as fast as they go, which with merges and all is the maximum, then for
# SECONDS_STEADY (600) at SHARE (80) percent of it. Prints a Markdown table. A quarter of an hour.
title="ingest"
. "$(dirname "$0")/../show/common.sh"

keys=${KEYS:-10000000}
seconds_most=${SECONDS_MOST:-180}
seconds_steady=${SECONDS_STEADY:-600}
share=${SHARE:-80}

# run ARGUMENT...: appends to the results.
run() {
    "$build/src/programs/varve-bench" --engine=varve --num="$keys" --db="$work/db" --json "$@" \
        >>"$work/run.json" || fail "varve-bench $*"
}

prepare
run --benchmarks=filluniquerandom
run --use-existing-db --benchmarks=overwrite --duration="$seconds_most"
rate=$(python3 - "$work/run.json" "$share" <<'PY'
import json
import sys

path, share = sys.argv[1:]
last = json.loads(open(path, encoding="utf-8").readlines()[-1])
print(int(last["ops"] / last["seconds"] * int(share) / 100))
PY
) || fail "no rate"
run --use-existing-db --benchmarks=overwrite --duration="$seconds_steady" --rate="$rate"
python3 - "$work/run.json" <<'PY' || fail "no table"
import json
import sys

runs = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
print("| what | operations a second | seconds | p50 us | p99 us | p99.9 us | longest us | "
      "longest pause ms | silent seconds | write amplification |")
print("|" + "---|" * 10)
for name, run in zip(("load", "as fast as it goes", "at a steady rate"), runs):
    print(f"| {name} | {run['ops'] / run['seconds']:,.0f} | {run['seconds']:.0f} | "
          f"{run['p50_us']:,.1f} | {run['p99_us']:,.1f} | {run['p999_us']:,.1f} | "
          f"{run['max_us']:,.0f} | {run['longest_pause_us'] / 1000:,.1f} | "
          f"{run['silent_seconds']} | {run['write_amplification'] or 0:.2f} |")
PY
