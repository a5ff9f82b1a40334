#!/bin/sh
# Issue 2, line 5: durable PUT at 32 connections, beside fdatasync alone and an empty handler.
# Medians of ROUNDS interleaved rounds. Goal: 45,000/s or 0.27 of the empty handler, the lesser;
# the empty handler counts by the better of its two loads, GET without and PUT with a body.
title="01-5 durable PUT"
. "$(dirname "$0")/common.sh"

rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-8}
lua=$root/tests/bench/put.lua
get_lua=$root/tests/bench/get.lua

# load NAME SCRIPT PORT: one run of wrk; its RESULT goes to $work/NAME.
load() {
    wrk -t1 -c32 -d"$seconds" -s "$2" "http://127.0.0.1:$3" >"$work/wrk.log" ||
        fail "wrk on $1"
    sed -n 's/^RESULT //p' "$work/wrk.log" | tee -a "$work/$1" | grep -q ' 0$' || {
        cat "$work/wrk.log"
        fail "failed requests on $1"
    }
}

# median NAME FIELD
median() {
    sort -n -k"$2,$2" "$work/$1" | awk -v f="$2" '{ v[NR] = $f } END { print v[int((NR + 1) / 2)] }'
}

row() {
    printf '%-28s %12s %10s %10s\n' "$@"
}

prepare
command -v wrk >/dev/null || fail "wrk is not installed"
start_varved
"$build/tests/bench/empty_handler" --port $((port + 1)) &
empty=$!
trap 'kill $empty 2>/dev/null; clean_up' EXIT
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    "$build/tests/bench/fdatasync_bench" --file "$work/sync" --seconds 3 |
        sed 's/^fdatasync \([0-9]*\).s p50 \([0-9]*\) us p99 \([0-9]*\) us$/\1 \2 \3/' \
            >>"$work/fdatasync" || fail "fdatasync"
    load empty-get "$get_lua" $((port + 1))
    load empty-put "$lua" $((port + 1))
    load varved "$lua" "$port"
done
stop_varved

put=$(median varved 1)
row "median of $rounds rounds" "per second" "p50 us" "p99 us"
row "fdatasync, one thread" "$(median fdatasync 1)" "$(median fdatasync 2)" "$(median fdatasync 3)"
row "empty handler, GET" "$(median empty-get 1)" "$(median empty-get 2)" "$(median empty-get 3)"
row "empty handler, PUT" "$(median empty-put 1)" "$(median empty-put 2)" "$(median empty-put 3)"
row "varved, durable PUT" "$put" "$(median varved 2)" "$(median varved 3)"
goal=$(printf '%s\n%s\n' "$(median empty-get 1)" "$(median empty-put 1)" | sort -n | tail -n 1 |
    awk '{ g = 0.27 * $1; print int(g < 45000 ? g : 45000) }')
[ "$put" -ge "$goal" ] || fail "$put/s, the goal is $goal/s"
shown "$put/s at 32 connections, the goal is $goal/s"
