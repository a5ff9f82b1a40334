#!/bin/sh
# Issue 4, line 2: spectral, redocly, newman and promtool pass, a real Prometheus scrapes, and the
# requests that are generated from the contract's document are answered as it says.
title="03-2 tools of others"
. "$(dirname "$0")/common.sh"

work=$(mktemp -d) || fail "no folder to work in"
sh "$root/tests/run.sh" quick api >"$work/run.log" 2>&1 || {
    cat "$work/run.log"
    fail "tests/run.sh quick api"
}
shown "tests/run.sh quick api: $(tail -n 1 "$work/run.log")"
