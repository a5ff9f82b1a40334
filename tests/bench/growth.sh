#!/bin/sh
# How the cost of an operation grows with the number of keys.
#
#   sh tests/bench/growth.sh
#
# The workloads of engine.sh at each of SIZES (2,000,000, 10,000,000 and 50,000,000 keys of 16 bytes
# with values of 100) for each of ENGINES (varve), ROUNDS (1) times: WRITES (5,000,000) overwrites,
# READS (1,000,000) gets and seeks, whole loads and whole passes. Prints a Markdown table of
# microseconds an operation. About a quarter of an hour; 50,000,000 keys need 20 GB of disk.
title="growth"
. "$(dirname "$0")/../show/common.sh"

sizes=${SIZES:-2000000 10000000 50000000}
engines=${ENGINES:-varve}
rounds=${ROUNDS:-1}
writes=${WRITES:-5000000}
reads=${READS:-1000000}

# note COLUMN FILE
note() {
    python3 - "$1" "$2" >>"$work/figures" <<'PY' || fail "the figures of $1"
import json
import sys

column, path = sys.argv[1:]
compacted = False
for line in open(path, encoding="utf-8"):
    run = json.loads(line)
    if run["workload"] == "compact":
        compacted = True
    row = run["workload"] + (", compacted" if compacted else "")
    figure = run["seconds"] if run["workload"] == "compact" else run["us_per_op"]
    print(f"{row.replace('compact, compacted', 'compact, seconds')}\t{column}\t{figure}")
PY
}

# run ENGINE SIZE BENCHMARKS
run() {
    "$build/src/programs/varve-bench" --engine="$1" --num="$2" --benchmarks="$3" --json \
        --writes="$writes" --reads="$reads" --db="$work/db" >"$work/run.json" ||
        fail "$1, $2 keys: $3"
    rm -rf "$work/db"
    note "$1, $2 keys" "$work/run.json"
}

prepare
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    for size in $sizes; do
        for engine in $engines; do
            run "$engine" "$size" fillseq
            run "$engine" "$size" "filluniquerandom,overwrite,readrandom,readmissing,readseq,$(
                )seekrandom,compact,readrandom,readhot,readseq"
        done
    done
done
echo "Microseconds an operation, medians of $rounds rounds (least–greatest)."
echo
python3 "$root/tests/bench/table.py" --title workload --less-is-better "$work/figures"
