#!/bin/sh
# The engine beside LevelDB and RocksDB, which users install from Debian, with equal settings:
# microseconds an operation in each workload of db_bench, one thread and several.
#
#   sh tests/bench/engine.sh
#
# NUM (600,000) keys of 16 bytes with values of 100, which is more than a write buffer, ROUNDS (5)
# rounds, the engines taking turns within each, every round in a fresh store and process. Threads
# (THREADS, 2 and 4) share a third of the reads. varve runs twice with one thread, the second time
# with the checksum in software, as Debian's LevelDB has it. Prints a Markdown table of medians with
# the least and the greatest. About a quarter of an hour on two slow processors.
title="engine"
. "$(dirname "$0")/../show/common.sh"
. "$root/config/packages.sh"

num=${NUM:-600000}
rounds=${ROUNDS:-5}
threads_more=${THREADS:-2 4}

# note COLUMN PREFIX FILE: one line a workload, in the order in which they ran; what ran a second
# time ran on the compacted store.
note() {
    python3 - "$1" "$2" "$3" >>"$work/figures" <<'EOF' || fail "the figures of $1"
import json
import sys

column, suffix, path = sys.argv[1:]
compacted = False
for line in open(path, encoding="utf-8"):
    run = json.loads(line)
    if run["workload"] == "compact":
        compacted = True
    elif run["workload"] != "filluniquerandom":
        row = run["workload"] + (", compacted" if compacted else "") + suffix
        print(f"{row}\t{column}\t{run['us_per_op']}")
EOF
}

# run COLUMN ROW-SUFFIX BENCHMARKS VARVE-BENCH-ARGUMENT...
run() {
    column=$1 suffix=$2 benchmarks=$3
    shift 3
    "$build/src/programs/varve-bench" "$@" --num="$num" --benchmarks="$benchmarks" --json \
        --db="$work/db" >"$work/run.json" || fail "$column: $benchmarks"
    rm -rf "$work/db"
    note "$column" "$suffix" "$work/run.json"
}

# one_thread COLUMN VARVE-BENCH-ARGUMENT...
one_thread() {
    column=$1
    shift
    run "$column" "" fillseq,fillrandom,fillsync "$@"
    run "$column" "" "filluniquerandom,overwrite,readrandom,readmissing,readseq,seekrandom,$(
        )compact,readrandom,readhot,readseq" "$@"
}

# more_threads COLUMN VARVE-BENCH-ARGUMENT...
more_threads() {
    column=$1
    shift
    for threads in $threads_more; do
        run "$column" ", $threads threads" fillsync,filluniquerandom,readrandom,readwhilewriting \
            "$@" --threads="$threads" --reads=$((num / 3 + 1))
    done
}

install_packages libleveldb-dev librocksdb-dev || fail "the peers cannot be installed"
prepare
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    one_thread varve --engine=varve
    one_thread "varve, crc in software" --engine=varve --crc=software
    one_thread LevelDB --engine=leveldb
    one_thread RocksDB --engine=rocksdb
    more_threads varve --engine=varve
    more_threads LevelDB --engine=leveldb
    more_threads RocksDB --engine=rocksdb
done
echo "Microseconds an operation, $num keys, medians of $rounds rounds (least–greatest)."
echo
python3 "$root/tests/bench/table.py" --title workload --less-is-better \
    --ratio "of the better peer=varve/LevelDB,RocksDB" \
    --ratio "the same, crc in software=varve, crc in software/LevelDB,RocksDB" "$work/figures"
