#!/bin/sh
# Issue 2, line 6: every byte of a small WAL, table, manifest and CURRENT changed in turn.
title="01-6 changed bytes"
. "$(dirname "$0")/common.sh"

prepare
tests=$(meson test -C "$build" --no-rebuild --list --suite bytes 2>/dev/null | grep -c /)
[ "$tests" -gt 0 ] || fail "no test in the suite bytes"
# The daily run takes every fourth change; here it is all of them.
VARVE_BYTES_STRIDE=1 VARVE_BUDGET=long meson test -C "$build" --no-rebuild --suite bytes \
    --timeout-multiplier 0 --print-errorlogs || fail "suite bytes"
shown "each change detected or inert, in $tests test programs"
