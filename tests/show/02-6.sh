#!/bin/sh
# Issue 3, line 6: ten million keys with a time to live expire. KEYS and TTL_S make it smaller.
title="02-6 expiry"
. "$(dirname "$0")/common.sh"

keys=${KEYS:-10000000}
prepare
"$build/tests/engine/expire_many" "$work/db" "$keys" "${TTL_S:-180}" || fail "expiry"
shown "$keys keys: absent at once when their time had come, off the disk when merged"
