#!/bin/sh
# Issue 4, line 1: the black-box suite of the contract over raw sockets, at least 250 cases.
title="03-1 contract"
. "$(dirname "$0")/common.sh"

least=250
prepare
VARVE_TOOL=$build/src/programs/varve-tool
COUNTERS=$build/tests/http/counters
LOCKSTEP=$build/tests/http/lockstep
export VARVE_TOOL COUNTERS LOCKSTEP
PYTHONDONTWRITEBYTECODE=1 \
    python3 "$root/tests/http/contract.py" >"$work/contract.log" 2>&1 || {
    tail -60 "$work/contract.log"
    fail "$(tail -n 1 "$work/contract.log")"
}
passed=$(sed -n '$s/^\([0-9]*\) passed, 0 failed, .*/\1/p' "$work/contract.log")
[ "${passed:-0}" -ge $least ] || fail "${passed:-0} cases passed, $least are due"
shown "$(tail -n 1 "$work/contract.log"), at least $least are due"
