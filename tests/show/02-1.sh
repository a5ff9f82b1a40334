#!/bin/sh
# Issue 3, line 1: random overwrites, five times as many as there are keys, on varve and beside it
# on RocksDB, leveled and universal: space, write amplification, pauses; a scan against a model.
# NUM (keys) and WRITES make it smaller.
title="02-1 overwriting"
. "$(dirname "$0")/common.sh"

num=${NUM:-10000000}
writes=${WRITES:-50000000}
prepare
for engine in varve:tiered rocksdb:leveled rocksdb:tiered; do
    "$build/src/programs/varve-bench" --engine="${engine%:*}" --compaction="${engine#*:}" \
        --num="$num" --writes="$writes" --verify --watch --json --db="$work/db" \
        --benchmarks=filluniquerandom,overwrite,waitforcompaction,readseq,stats \
        >"$work/$engine.json" || fail "$engine"
    rm -r "$work/db"
done
python3 "$root/tests/show/overwriting.py" "$num" "$work"/*:*.json ||
    fail "a goal is missed"
shown "$writes overwrites of $num keys, and a scan equal to the model on each store"
