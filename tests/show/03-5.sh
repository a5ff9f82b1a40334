#!/bin/sh
# Issue 4, line 5: a range of 10 million keys as NDJSON; resident size grows by less than 16 MiB.
# COUNT makes it smaller. The daemon is started anew before, so that nothing of the load counts.
title="03-5 NDJSON of ten million keys"
. "$(dirname "$0")/common.sh"

count=${COUNT:-10000000}
growth_kib_max=16384

resident_kib() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$daemon/status"
}

# watch_memory FILE: the greatest resident size while it runs, until FILE.stop is there.
watch_memory() {
    greatest=0
    until [ -e "$1.stop" ]; do
        now=$(resident_kib)
        [ "${now:-0}" -le $greatest ] || greatest=$now
        sleep 0.05
    done
    echo $greatest >"$1"
}

prepare
start_varved
"$build/tests/http/load_verify" --address "$address" --count "$count" --value-bytes 20 --seed 3 \
    --load || fail "the load"
curl -sf -X POST "http://$address/admin/compact?wait=true" >/dev/null || fail "compact"
stop_varved
start_varved
curl -sf -H 'Accept: application/x-ndjson' "http://$address/kv/range?limit=1000" >/dev/null ||
    fail "a short stream"
before=$(resident_kib)
watch_memory "$work/memory" &
watcher=$!
begin=$(date +%s%N)
last=$(curl -sf -H 'Accept: application/x-ndjson' "http://$address/kv/range" |
    awk 'END { print NR - 1, $0 }')
end=$(date +%s%N)
: >"$work/memory.stop"
wait $watcher
stop_varved

lines=${last%% *}
echo "$last" | grep -q "^$count {\"count\":$count,\"revision\":[0-9]*,\"truncated\":false}\$" ||
    fail "the stream ended with: $last"
growth=$(($(cat "$work/memory") - before))
rate=$((lines * 1000 / ((end - begin) / 1000000)))
[ $growth -lt $growth_kib_max ] || fail "resident size grew by $growth KiB from $before KiB"
shown "$lines items, $rate items/s, resident size grew by $growth KiB from $before KiB"
