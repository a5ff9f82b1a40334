#!/bin/sh
# Issue 2, line 1: both README commands work from a fresh clone; curl gets the documented answers.
title="01-1 fresh clone"
. "$(dirname "$0")/common.sh"

work=$(mktemp -d) || fail "no folder to work in"
git clone -q "$root" "$work/varve" || fail "git clone"
python3 "$root/tests/show/quickstart.py" "$work/varve" || fail "the quickstart"
cd "$work/varve" || fail "no clone"
sh tests/run.sh | tee "$work/run.log"
last=$(tail -n 1 "$work/run.log")
echo "$last" | grep -Eq "^[1-9][0-9]* passed, 0 failed, [0-9]+ skipped\$" ||
    fail "tests/run.sh: $last"
shown "quickstart twice with curl's answers, and tests/run.sh: $last"
