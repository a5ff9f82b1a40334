#!/bin/sh
# Issue 3, line 5: 1 GiB of log replayed in 2 s, the time of its rewriting beside it, and a store of
# 20 GB opened in 200 ms after a clean close, also when the page cache is cold. Medians of ROUNDS.
# LOG_MIB and STORE_MIB make both smaller. Only root can empty the page cache.
title="02-5 opening"
. "$(dirname "$0")/common.sh"

rounds=${ROUNDS:-3}
log_mib=${LOG_MIB:-1024}
store_mib=${STORE_MIB:-20480}

# field NAME: of the lines on standard input, the median.
field() {
    sed -n "s/.*\\b$1=\\([0-9]*\\).*/\\1/p" | sort -n |
        awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# reopen NAME ARGUMENT...: one line of reopen_bench to the screen and to $work/NAME.
reopen() {
    name=$1
    shift
    "$bench" --db "$work/$name.store" --open "$@" >"$work/line" || fail "opening $name"
    tee -a "$work/$name" <"$work/line"
}

prepare
bench=$build/tests/bench/reopen_bench
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    rm -rf "$work/log.store"
    "$bench" --db "$work/log.store" --mib "$log_mib" --log 2>/dev/null
    [ -f "$work/log.store/000001.wal" ] || fail "no log was written"
    sync "$work/log.store"/* # so that what is timed reads a warm cache and writes nothing old
    reopen log --mib "$log_mib"
done
rm -rf "$work/log.store"

"$bench" --db "$work/warm.store" --mib "$store_mib" --load || fail "loading $store_mib MiB"
ln -s warm.store "$work/cold.store"
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    reopen warm
done
caches=/proc/sys/vm/drop_caches
while [ -w $caches ] && [ $round -gt 0 ]; do
    round=$((round - 1))
    sync
    echo 3 >$caches || break
    reopen cold
done

replay=$(field replay_ms <"$work/log")
rewrite=$(field rewrite_ms <"$work/log")
warm=$(field open_ms <"$work/warm")
cold=
[ ! -f "$work/cold" ] || cold=$(field open_ms <"$work/cold")
entries=$(field entries <"$work/log")
tables=$(field tables <"$work/warm")
[ "$entries" -gt 0 ] || fail "nothing was replayed"
[ "$replay" -le 2000 ] || fail "the replay of $log_mib MiB took $replay ms"
[ "$warm" -le 200 ] || fail "opening $tables tables took $warm ms"
[ "${cold:-0}" -le 200 ] || fail "opening $tables tables from a cold cache took $cold ms"
shown "$log_mib MiB of log, $entries entries: replay $replay ms, rewrite $rewrite ms;" \
    "$store_mib MiB in $tables tables: open $warm ms, cold ${cold:-not tried} ms"
