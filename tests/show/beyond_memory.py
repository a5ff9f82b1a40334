#!/usr/bin/python3
"""Judges the figures of 02-2.sh: beyond_memory.py RESIDENT_BYTES VARVE.json PEER.json

Prints both stores beside each other; the bound on resident size is varve's.
"""

import json
import sys


def read(path):
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def main():
    bound = int(sys.argv[1])
    own, peer = read(sys.argv[2]), read(sys.argv[3])
    print('| workload | varve us/op | MB/s | resident MB | RocksDB us/op | MB/s | resident MB '
          '| times as fast |')
    print('|---|---|---|---|---|---|---|---|')
    for ours, theirs in zip(own, peer, strict=True):
        assert ours['workload'] == theirs['workload']
        columns = [ours['workload']]
        for report in (ours, theirs):
            columns += [f'{report["us_per_op"]:.2f}', f'{report["mb_per_s"]:.1f}',
                        f'{report["rss_most_bytes"] / 1e6:.0f}']
        columns.append(f'{theirs["us_per_op"] / ours["us_per_op"]:.2f}')
        print('| ' + ' | '.join(columns) + ' |')
    most = max(report['rss_most_bytes'] for report in own)
    print(f'resident at most {most} bytes, of {bound}')
    return 0 if most <= bound else 1


if __name__ == '__main__':
    sys.exit(main())
