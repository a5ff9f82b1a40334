#!/bin/sh
# Issue 2, line 4: 2 million keys of 100 bytes over batches, read back in full and at random, again
# after a restart and after a kill. COUNT makes it smaller.
title="01-4 two million keys"
. "$(dirname "$0")/common.sh"

count=${COUNT:-2000000}
client() {
    "$build/tests/http/load_verify" --address "$address" --count "$count" --value-bytes 100 \
        --random 200000 --seed 20 "$@" || fail "$*"
}

prepare
start_varved
client --load
client --verify
stop_varved
start_varved
client --verify
kill_varved
start_varved
client --verify
stop_varved
shown "$count keys equal at once, after a restart and after kill -9"
