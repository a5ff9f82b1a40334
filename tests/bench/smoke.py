#!/usr/bin/python3
"""Runs a script of this folder, tiny, and looks whether all of its table comes out; not at figures.

Usage: smoke.py BUILD engine|growth|ingest|limits
"""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = {'ROUNDS': '1', 'NUM': '50', 'THREADS': '2', 'SECONDS_EACH': '1', 'DIVISOR': '100',
        'SIZES': '500 1000', 'WRITES': '300', 'READS': '300', 'KEYS': '1000', 'SECONDS_MOST': '1',
        'SECONDS_STEADY': '1'}
SYNCED = ['durable write, ' + how + ', ' + figure
          for how in ('zeroed file', 'growing file', 'O_DSYNC, zeroed file',
                      'mapping of a zeroed file')
          for figure in ('per second', 'p50 us', 'p99 us')]
ROWS = {
    'engine': ['fillseq', 'fillrandom', 'fillsync', 'overwrite', 'readrandom', 'readmissing',
               'readseq', 'seekrandom', 'readrandom, compacted', 'readhot, compacted',
               'readseq, compacted',
               'fillsync, 2 threads', 'readrandom, 2 threads', 'readwhilewriting, 2 threads'],
    'growth': ['fillseq', 'filluniquerandom', 'overwrite', 'readrandom', 'readmissing', 'readseq',
               'seekrandom', 'compact, seconds', 'readrandom, compacted', 'readhot, compacted',
               'readseq, compacted'],
    'ingest': ['load', 'as fast as it goes', 'at a steady rate'],
    'limits': SYNCED + ['memcpy, GB/s', 'crc32c, GB/s', 'crc32c in software, GB/s',
                        "memtable's tree, random insert, us",
                        "memtable's tree, insert in order, us"],
}
COLUMNS = {
    'engine': ['varve', 'varve, crc in software', 'LevelDB', 'RocksDB', 'of the better peer',
               'the same, crc in software'],
    'growth': ['varve, 500 keys', 'varve, 1000 keys'],
    'ingest': ['operations a second', 'seconds', 'p50 us', 'p99 us', 'p99.9 us', 'longest us',
               'longest pause ms', 'silent seconds', 'write amplification'],
    'limits': ['median'],
}


def main(build, name):
    done = subprocess.run(['sh', os.path.join(HERE, name + '.sh')], capture_output=True, text=True,
                          env=dict(os.environ, SHOW_BUILD=build, **TINY), check=False)
    print(done.stdout, done.stderr, sep='')
    table = [line[2:-2].split(' | ') for line in done.stdout.splitlines()
             if line.startswith('|')]
    good = (done.returncode == 0 and len(table) > 2 and table[0][1:] == COLUMNS[name] and
            [row[0] for row in table[2:]] == ROWS[name] and
            all(len(row) == len(table[0]) for row in table[2:]) and
            all(cell for row in table[2:] if 'threads' not in row[0] for cell in row) and
            all(row[1] and row[-2] for row in table[2:] if 'threads' in row[0]))
    print('%d passed, %d failed, 0 skipped' % (good, not good))
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
