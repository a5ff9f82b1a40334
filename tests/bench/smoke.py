#!/usr/bin/python3
"""Runs a script of this folder, tiny, and looks whether all of its table comes out; not at figures.

Usage: smoke.py BUILD engine|limits
"""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = {'ROUNDS': '1', 'NUM': '50', 'THREADS': '2', 'SECONDS_EACH': '1', 'DIVISOR': '100'}
SYNCED = ['durable write, ' + how + ', ' + figure
          for how in ('zeroed file', 'growing file', 'O_DSYNC, zeroed file',
                      'mapping of a zeroed file')
          for figure in ('per second', 'p50 us', 'p99 us')]
ROWS = {
    'engine': ['fillseq', 'fillrandom', 'fillsync', 'overwrite', 'readrandom', 'readmissing',
               'readseq', 'seekrandom', 'readrandom, compacted', 'readseq, compacted',
               'fillsync, 2 threads', 'readrandom, 2 threads', 'readwhilewriting, 2 threads'],
    'limits': SYNCED + ['memcpy, GB/s', 'crc32c, GB/s', 'crc32c in software, GB/s',
                        'skip list, random insert, us', 'skip list, insert in order, us'],
}
COLUMNS = {
    'engine': ['varve', 'varve, crc in software', 'LevelDB', 'RocksDB', 'of the better peer',
               'the same, crc in software'],
    'limits': ['median'],
}


def main(build, name):
    done = subprocess.run(['sh', os.path.join(HERE, name + '.sh')], capture_output=True, text=True,
                          env=dict(os.environ, SHOW_BUILD=build, **TINY), check=False)
    print(done.stdout, done.stderr, sep='')
    table = [line.strip('| ').split(' | ') for line in done.stdout.splitlines()
             if line.startswith('|')]
    good = (done.returncode == 0 and len(table) > 2 and table[0][1:] == COLUMNS[name] and
            [row[0] for row in table[2:]] == ROWS[name] and
            all(len(row) == len(table[0]) and all(row) for row in table[2:]))
    print('%d passed, %d failed, 0 skipped' % (good, not good))
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
