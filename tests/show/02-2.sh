#!/bin/sh
# Issue 3, line 2: 20 GB of data under a limit of 2 GiB for memory, page cache included, on varve
# and beside it on RocksDB: reads, scans and writes, and resident size within memtables + cache +
# 64 MiB. Needs root, for the control group. NUM (keys of 1,000 bytes) makes it smaller.
title="02-2 more than memory"
. "$(dirname "$0")/common.sh"

num=${NUM:-20000000}
limit_bytes=$((2 << 30))
cache_bytes=$((256 << 20))
uses=readrandom,seekrandom,overwrite,readrandom,readmissing,readwhilewriting,readseq

# Both hierarchies of control groups are in use.
make_group() {
    if [ -d /sys/fs/cgroup/memory ]; then
        group=/sys/fs/cgroup/memory/varve-show-$$
        mkdir "$group" && echo $limit_bytes >"$group/memory.limit_in_bytes"
    else
        echo +memory >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
        group=/sys/fs/cgroup/varve-show-$$
        mkdir "$group" && echo $limit_bytes >"$group/memory.max"
    fi
}

# within_limit COMMAND...
within_limit() {
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$@"
}

prepare
make_group || fail "no control group with a memory limit"
trap 'rmdir "$group"; clean_up' EXIT
for engine in varve rocksdb; do
    bench="$build/src/programs/varve-bench --engine=$engine --num=$num --value-bytes=1000
        --cache-bytes=$cache_bytes --db=$work/db --json"
    # shellcheck disable=SC2086 # a command with its arguments
    within_limit $bench --benchmarks=fillseq,waitforcompaction >"$work/$engine.json" ||
        fail "$engine: load"
    # shellcheck disable=SC2086
    within_limit $bench --use-existing-db --writes=$((num / 20)) --reads=$((num / 100)) \
        --benchmarks="$uses" >>"$work/$engine.json" || fail "$engine: use"
    rm -r "$work/db"
done
python3 "$root/tests/show/beyond_memory.py" $((cache_bytes + (3 << 26))) "$work/varve.json" \
    "$work/rocksdb.json" || fail "resident size is out of bounds"
shown "$((num / 1000000)) GB under 2 GiB of memory"
