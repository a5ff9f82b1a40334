#!/bin/sh
# varved beside what people would use instead, over HTTP: webdis in front of Redis (append-only
# file, synced always) and etcd's JSON gateway; and beside an empty handler on the same event loops.
#
#   sh tests/bench/http.sh
#
# The peers are Debian's packages (redis-server, webdis, etcd-server), installed if need be and
# stopped; here each runs in a folder of this run. wrk with one thread sends requests formatted
# beforehand for KEYS (20,000) keys and values of VALUE_BYTES (100), at each of CONNECTIONS (1 32
# 256 1024), SECONDS_EACH (2) at a time, ROUNDS (5) rounds, servers taking turns. Prints Markdown
# tables of medians: requests a second, the 99th percentile, processor time a request. 9 minutes.
title="http"
. "$(dirname "$0")/../show/common.sh"
. "$root/config/packages.sh"

rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-2}
connections=${CONNECTIONS:-1 32 256 1024}
keys=${KEYS:-20000}
value_bytes=${VALUE_BYTES:-100}
ticks_per_s=$(getconf CLK_TCK)

empty_port=$((port + 1)) webdis_port=$((port + 2)) redis_port=$((port + 3))
etcd_port=$((port + 4)) etcd_peer_port=$((port + 5))
pids=

install_peers() {
    missing=$(missing_packages redis-server webdis etcd-server wrk curl)
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086 # a list of names
    install_packages $missing || return 1
    for service in redis-server webdis etcd; do
        case $missing in
        *"${service%-server}"*) as_root systemctl disable --now "$service" 2>/dev/null ;;
        esac
    done
    return 0
}

# Each is a server of its own in $work; its log beside it.
start_redis() {
    mkdir "$work/redis"
    redis-server --port $redis_port --bind 127.0.0.1 --dir "$work/redis" --appendonly yes \
        --appendfsync always --save '' >"$work/redis.log" 2>&1 &
    redis=$!
    cat >"$work/webdis.json" <<EOF
{"redis_host": "127.0.0.1", "redis_port": $redis_port, "http_host": "127.0.0.1",
 "http_port": $webdis_port, "threads": $(nproc), "pool_size": 20, "daemonize": false,
 "websockets": false, "database": 0, "acl": [{"enabled": ["*"]}], "verbosity": 1,
 "logfile": "$work/webdis.log"}
EOF
    webdis "$work/webdis.json" >>"$work/webdis.log" 2>&1 &
    webdis=$!
    pids="$pids $redis $webdis"
}

start_etcd() {
    etcd --name bench --data-dir "$work/etcd" --log-level error \
        --listen-client-urls "http://127.0.0.1:$etcd_port" \
        --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$etcd_peer_port" \
        --initial-advertise-peer-urls "http://127.0.0.1:$etcd_peer_port" \
        --initial-cluster "bench=http://127.0.0.1:$etcd_peer_port" >"$work/etcd.log" 2>&1 &
    etcd=$!
    pids="$pids $etcd"
}

# answers URL [CURL ARGUMENT...]: waits until it does, for a minute.
answers() {
    tries=0
    until curl -s -o /dev/null --max-time 5 "$@"; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || fail "no answer from $1"
        sleep 0.1
    done
}

# Ticks of processor time of these processes so far.
processor_ticks() {
    for pid; do
        sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }'
    done | awk '{ sum += $1 } END { print sum }'
}

# note TABLE ROW COLUMN FIGURE
note() {
    printf '%s\t%s\t%s\n' "$2" "$3" "$4" >>"$work/$1"
}

# load COLUMN ROW KIND PORT CONNECTIONS PID...
load() {
    column=$1 row=$2 kind=$3 to=$4 clients=$5
    shift 5
    before=$(processor_ticks "$@")
    wrk -t1 -c"$clients" -d"$seconds" -s "$root/tests/bench/requests.lua" \
        "http://127.0.0.1:$to" -- "$kind" "$keys" "$value_bytes" >"$work/wrk.log" || fail "wrk"
    used=$(($(processor_ticks "$@") - before))
    # shellcheck disable=SC2046 # RESULT requests rate p50 p99 errors
    set -- $(sed -n 's/^RESULT //p' "$work/wrk.log")
    [ "${5:-1}" -eq 0 ] || {
        cat "$work/wrk.log"
        fail "$kind at $clients connections: requests failed"
    }
    note rates "$row, $clients" "$column" "$2"
    note tails "$row, $clients" "$column" "$4"
    note costs "$row, $clients" "$column" \
        "$(awk -v t=$used -v hz="$ticks_per_s" -v n="$1" 'BEGIN { print t / hz * 1e6 / n }')"
}

one_round() {
    for clients in $connections; do
        load empty put empty-put $empty_port "$clients" $empty
        load varved put varved-put "$port" "$clients" "$daemon"
        load webdis put webdis-put $webdis_port "$clients" $redis $webdis
        load etcd put etcd-put $etcd_port "$clients" $etcd
        load varved "batch of 100" varved-batch "$port" "$clients" "$daemon"
        load empty "get json" empty-get $empty_port "$clients" $empty
        load varved "get json" varved-get "$port" "$clients" "$daemon"
        load webdis "get json" webdis-get $webdis_port "$clients" $redis $webdis
        load etcd "get json" etcd-get $etcd_port "$clients" $etcd
        load empty "get raw" empty-get $empty_port "$clients" $empty
        load varved "get raw" varved-get-raw "$port" "$clients" "$daemon"
        load webdis "get raw" webdis-get-raw $webdis_port "$clients" $redis $webdis
    done
    begin=$(date +%s%N)
    before=$(processor_ticks "$daemon")
    items=$(curl -sf -H 'Accept: application/x-ndjson' "http://$address/kv/range" | wc -l)
    used=$(($(processor_ticks "$daemon") - before))
    end=$(date +%s%N)
    note scans "items a second" varved "$((items * 1000000 / ((end - begin) / 1000)))"
    note scans "items a second of the server's processor time" varved \
        "$((items * ticks_per_s / (used > 0 ? used : 1)))"
}

# Values under the very keys that gets ask for.
fill() {
    load varved put varved-put "$port" 32 "$daemon"
    load webdis put webdis-put $webdis_port 32 $redis $webdis
    load etcd put etcd-put $etcd_port 32 $etcd
}

prepare
install_peers || fail "the peers cannot be installed"
start_varved
"$build/tests/bench/empty_handler" --port $empty_port >"$work/empty.log" 2>&1 &
empty=$!
pids=$empty
trap 'for pid in $pids; do kill -9 "$pid" 2>/dev/null; done; clean_up' EXIT
start_redis
start_etcd
answers "http://127.0.0.1:$empty_port/"
answers "http://127.0.0.1:$webdis_port/PING"
answers "http://127.0.0.1:$etcd_port/health"
while [ "$(curl -s "http://127.0.0.1:$etcd_port/v3/kv/range" -d '{"key":"AA==","range_end":"AA==",
        "count_only":true}' | sed -n 's/.*"count":"\([0-9]*\)".*/\1/p')" != "$keys" ] ||
    [ "$(curl -s "http://$address/kv/range?count_only=true" |
        sed -n 's/.*"count":\([0-9]*\).*/\1/p')" != "$keys" ]; do
    fill
    seconds=$((seconds * 2)) # each begins with the same keys
done
seconds=${SECONDS_EACH:-2}
rm -f "$work/rates" "$work/tails" "$work/costs"
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    one_round
done
stop_varved

peers="of the better peer=varved/webdis,etcd"
echo "Requests a second, medians of $rounds rounds (least–greatest)."
echo
python3 "$root/tests/bench/table.py" --title "what, connections" --ratio "$peers" \
    --ratio "of the empty handler=varved/empty" "$work/rates"
echo
echo "99th percentile, microseconds."
echo
python3 "$root/tests/bench/table.py" --title "what, connections" --less-is-better \
    --ratio "$peers" "$work/tails"
echo
echo "Processor time of the servers a request, microseconds."
echo
python3 "$root/tests/bench/table.py" --title "what, connections" --less-is-better \
    --ratio "$peers" --ratio "of the empty handler=varved/empty" "$work/costs"
echo
echo "A scan of all $keys keys as NDJSON."
echo
python3 "$root/tests/bench/table.py" --title "scan" "$work/scans"
