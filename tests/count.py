#!/usr/bin/python3
"""Counts what `meson test` ran, test case by test case.

Usage: count.py NAME BUILD_DIRECTORY

Reads the log that meson leaves. A program that tells how many cases it ran (Check and Python's
unittest do) counts with them, any other one as a single case. Prints the end of what each failed
program said, the slowest programs, and at last `NAME: N passed, N failed, N skipped`. Exits 1 if
anything failed or nothing ran.
"""

import json
import os
import re
import sys

OUTPUT_LINES = 40
SLOWEST = 8

CHECK = re.compile(r'^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$', re.M)
UNITTEST = re.compile(r'^Ran (\d+) tests? in .*\n\n(OK|FAILED)(?: \((.*)\))?$', re.M)


def count_cases(output):
    """(passed, failed, skipped) as the program tells it; all 0 if it does not."""
    passed = failed = skipped = 0
    for match in CHECK.finditer(output):
        checks, failures, errors = map(int, match.groups())
        passed += checks - failures - errors
        failed += failures + errors
    for match in UNITTEST.finditer(output):
        details = {what: int(n) for what, n in re.findall(r'(\w[\w ]*)=(\d+)', match[3] or '')}
        bad = sum(details.get(what, 0) for what in ('failures', 'errors', 'unexpected successes'))
        skip = details.get('skipped', 0)
        passed += max(int(match[1]) - bad - skip, 0)
        failed += bad
        skipped += skip
    return passed, failed, skipped


def count_test(result, output):
    """The same of one entry of meson's log, whose verdict counts for more than the program's."""
    passed, failed, skipped = count_cases(output)
    if result == 'SKIP':
        return 0, 0, max(skipped, 1)
    if result not in ('OK', 'EXPECTEDFAIL'):
        return passed, max(failed, 1), skipped
    if passed + failed + skipped == 0:
        passed = 1
    return passed, failed, skipped


def read_log(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def main(arguments):
    name, directory = arguments
    tests = read_log(os.path.join(directory, 'meson-logs', 'testlog.json'))
    total = [0, 0, 0]
    for test in tests:
        output = (test.get('stdout') or '') + '\n' + (test.get('stderr') or '')
        counts = count_test(test['result'], output)
        total = [a + b for a, b in zip(total, counts)]
        if counts[1] != 0:
            print(f'{test["name"]}: {test["result"]}, status {test.get("returncode")}')
            print('\n'.join('    ' + line for line in output.strip().split('\n')[-OUTPUT_LINES:]))
    slowest = sorted(tests, key=lambda test: -test['duration'])[:SLOWEST]
    print('slowest:', ', '.join(f'{t["name"]} {t["duration"]:.1f} s' for t in slowest))
    if not tests:
        total[1] = 1
        print('no test ran')
    print(f'{name}: {total[0]} passed, {total[1]} failed, {total[2]} skipped')
    return 1 if total[1] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
