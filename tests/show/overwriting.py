#!/usr/bin/python3
"""Judges the figures of 02-1.sh: overwriting.py KEYS ENGINE:POLICY.json...

Prints a table of all stores; the goals are varve's alone.
"""

import json
import os
import sys

SPACE_SETTLED_MOST = 1.3
SPACE_MOST = 2.0
WRITE_AMPLIFICATION_MOST = 5.0
PAUSE_MOST_S = 1.0
HEADS = ['store', 'us/op', 'p99.9 us', 'longest s', 'w-amp', 'with log', 'device', 'space at most',
         'space settled', 'scan us/entry']


def read(path):
    with open(path, encoding='utf-8') as file:
        return {report['workload']: report for report in map(json.loads, file)}


def figures(reports, live_bytes):
    write, settle, scan = (reports[name] for name in ('overwrite', 'waitforcompaction', 'readseq'))

    def amplification(name):
        return (write[name] + settle[name]) / write['put_bytes']

    return [
        write['us_per_op'],
        write['p999_us'],
        write['max_us'] / 1e6,
        amplification('written_table_bytes'),
        amplification('written_bytes'),
        amplification('written_device_bytes'),
        max(reports[name]['table_space_most_bytes'] for name in
            ('filluniquerandom', 'overwrite', 'waitforcompaction')) / live_bytes,
        settle['table_space_bytes'] / live_bytes,
        scan['us_per_op'],
    ]


def main():
    keys = int(sys.argv[1])
    print('| ' + ' | '.join(HEADS) + ' |')
    print('|---' * len(HEADS) + '|')
    missed = []
    for path in sorted(sys.argv[2:], reverse=True):
        reports = read(path)
        live_bytes = reports['readseq']['user_bytes']
        assert reports['readseq']['ops'] == keys
        row = figures(reports, live_bytes)
        name = os.path.basename(path).removesuffix('.json')
        print(f'| {name} | ' + ' | '.join(f'{figure:.2f}' for figure in row) + ' |')
        if name.startswith('varve'):
            _, _, pause, amplification, _, _, most, settled, _ = row
            missed = [what for what, is_missed in [
                ('space settled', settled > SPACE_SETTLED_MOST),
                ('space at any moment', most > SPACE_MOST),
                ('write amplification', amplification > WRITE_AMPLIFICATION_MOST),
                ('a second without progress', pause >= PAUSE_MOST_S)] if is_missed]
    for what in missed:
        print(f'missed: {what}')
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
