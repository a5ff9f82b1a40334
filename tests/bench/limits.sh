#!/bin/sh
# What the machine allows: durable writes of 150 bytes four ways, memory, checksums, a bare list.
#
#   sh tests/bench/limits.sh
#
# Medians of ROUNDS (5) interleaved rounds; SECONDS_EACH (3) for each way of syncing, and for
# the rest DIVISOR (1), by which its sizes are divided. Prints a Markdown table. About two minutes.
title="limits"
. "$(dirname "$0")/../show/common.sh"

rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-3}
divisor=${DIVISOR:-1}
bench=$build/tests/bench

# note ROW COLUMN FIGURE
note() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$work/figures"
}

limit() {
    "$bench/limits_bench" "$1" "$divisor" || fail "$1"
}

# sync_once HOW ROW
sync_once() {
    said=$("$bench/fdatasync_bench" --file "$work/sync" --seconds "$seconds" --how "$1") ||
        fail "$2"
    # shellcheck disable=SC2086 # fdatasync N/s p50 N us p99 N us
    set -- "$2" $said
    note "$1, per second" median "${3%/s}"
    note "$1, p50 us" median "$5"
    note "$1, p99 us" median "$8"
}

prepare
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    sync_once zeroed "durable write, zeroed file"
    sync_once extending "durable write, growing file"
    sync_once dsync "durable write, O_DSYNC, zeroed file"
    sync_once mapped "durable write, mapping of a zeroed file"
    note "memcpy, GB/s" median "$(limit memcpy)"
    note "crc32c, GB/s" median "$(limit crc32c)"
    note "crc32c in software, GB/s" median "$(limit crc32c-software)"
    note "memtable's tree, random insert, us" median "$(limit tree)"
    note "memtable's tree, insert in order, us" median "$(limit tree-in-order)"
done
python3 "$root/tests/bench/table.py" --title "limit, $rounds rounds" "$work/figures"
