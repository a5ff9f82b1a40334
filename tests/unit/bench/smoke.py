#!/usr/bin/python3
"""Runs varve-bench, small: every workload on one engine, and what it does with a directory.

Usage: smoke.py PROGRAM ENGINE built|absent
"""

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM, ENGINE, STATE = sys.argv[1:4]
NUM = 2000
FIELDS = ['engine', 'workload', 'threads', 'ops', 'seconds', 'us_per_op', 'mb_per_s', 'p50_us',
          'p99_us', 'p999_us', 'max_us', 'puts', 'write_amplification',
          'write_amplification_with_log', 'write_amplification_device', 'user_bytes', 'put_bytes',
          'written_table_bytes', 'written_bytes', 'written_device_bytes', 'space_bytes',
          'rss_bytes', 'rss_most_bytes', 'table_space_bytes', 'rate', 'longest_pause_us',
          'silent_seconds']
WORKLOADS = ['fillseq', 'readseq', 'fillrandom', 'readseq', 'filluniquerandom', 'overwrite',
             'readrandom', 'readmissing', 'readseq', 'seekrandom', 'readwhilewriting', 'compact',
             'readrandom', 'readseq', 'readreverse', 'readhot', 'deleterandom', 'readseq',
             'readreverse', 'readrandom', 'stats', 'fillsync', 'readseq']
SOME = {'fillrandom', 'fillsync', 'deleterandom'}  # some keys twice, some never


class Bench(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def run_program(self, *arguments, engine=ENGINE):
        environment = dict(os.environ, TMPDIR=self.directory.name)
        return subprocess.run([PROGRAM, f'--engine={engine}', *arguments], env=environment,
                              capture_output=True, text=True, check=False)

    def run_well(self, *arguments):
        done = self.run_program(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def path(self, name):
        return os.path.join(self.directory.name, name)


class Absent(Bench):
    def test_it_is_said_clearly(self):
        done = self.run_program(f'--num={NUM}')
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn(f'the engine {ENGINE} was not built in', done.stderr)

    def test_nor_is_it_compared(self):
        done = self.run_program(f'--num={NUM}', f'--compare=varve,{ENGINE}', engine='varve')
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn(f'the engine {ENGINE} was not built in', done.stderr)


class Built(Bench):
    def check_all(self, threads):
        lines = self.run_well(f'--num={NUM}', f'--threads={threads}', '--json',
                              '--benchmarks=' + ','.join(WORKLOADS)).splitlines()
        reports = [json.loads(line) for line in lines]
        self.assertEqual([r['workload'] for r in reports], WORKLOADS)
        filled = ''
        for report in reports:
            with self.subTest(workload=report['workload'], after=filled):
                self.check_report(report, threads, filled)
            if report['workload'].startswith('fill') or report['workload'] == 'deleterandom':
                filled = report['workload']

    def check_report(self, report, threads, filled):
        name = report['workload']
        self.assertEqual(list(report)[:len(FIELDS)], FIELDS)
        self.assertEqual(report['engine'], ENGINE)
        self.assertGreater(report['space_bytes'], 0)
        self.assertGreater(report['rss_bytes'], 1 << 20)
        self.assertEqual('stats' in report, name == 'stats')
        if name == 'stats':
            self.assertGreater(len(report['stats']), 0)
            self.assertGreater(report['puts'], 2 * NUM)
            return
        self.assertEqual(report['threads'], 1 if name == 'compact' else threads)
        self.assertIsNone(report['rate'])
        if name == 'compact':
            self.assertIsNone(report['longest_pause_us'])
        else:
            self.assertGreater(report['longest_pause_us'], 0)
            self.assertLessEqual(report['longest_pause_us'], report['seconds'] * 1e6 + 1)
        if name in ('readseq', 'readreverse'):
            self.assertEqual(report['ops'] % threads, 0)
            if filled not in SOME:
                self.assertEqual(report['ops'], threads * NUM)
        else:
            self.assertEqual(report['ops'], {'compact': 1, 'fillsync': 1000}.get(name, NUM))
        self.assertAlmostEqual(report['us_per_op'], report['seconds'] * 1e6 / report['ops'],
                               delta=max(0.01, report['us_per_op'] * 0.01))
        self.assertLessEqual(report['p50_us'], report['p99_us'])
        self.assertLessEqual(report['p99_us'], report['p999_us'])
        self.assertLessEqual(report['p999_us'], report['max_us'])
        writes = name.startswith('fill') or name == 'overwrite'
        if writes:
            self.assertEqual(report['puts'], report['ops'])
            self.assertGreaterEqual(report['write_amplification_with_log'],
                                    report['write_amplification'])
        elif name == 'deleterandom':
            self.assertEqual((report['puts'], report['put_bytes']), (0, 16 * NUM))
        elif name != 'readwhilewriting':
            self.assertEqual(report['puts'], 0)
            self.assertIsNone(report['write_amplification'])

    def test_all_workloads(self):
        self.check_all(1)
        self.assertEqual(os.listdir(self.directory.name), [])

    def test_all_workloads_on_three_threads(self):
        self.check_all(3)

    def test_lines_for_people_are_aligned(self):
        lines = self.run_well('--num=100', '--benchmarks=fillseq,readrandom,compact').splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertRegex(lines[2], rf'^{ENGINE} +readrandom +1 +100 ')

    def test_a_duration_ends_what_is_drawn(self):
        lines = self.run_well('--num=10', '--duration=1', '--threads=2', '--json',
                              '--benchmarks=filluniquerandom,readrandom,readseq')
        fill, read, scan = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual((fill['ops'], scan['ops']), (10, 20))
        self.assertGreater(read['ops'], 20)
        self.assertGreaterEqual(read['seconds'], 1)

    def test_a_rate_holds_back_what_is_drawn(self):
        lines = self.run_well('--num=100', '--reads=500', '--rate=1000', '--threads=2', '--json',
                              '--benchmarks=filluniquerandom,ycsba')
        fill, mix = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual((fill['rate'], mix['rate']), (None, 1000))
        self.assertEqual(mix['ops'], 500)
        self.assertGreaterEqual(mix['seconds'], 0.499)  # of the last one's start

    def test_all_latencies_are_told(self):
        told = ['--num=500', '--histogram', '--benchmarks=fillseq,readrandom,stats']
        lines = [json.loads(line) for line in self.run_well('--json', *told).splitlines()]
        for report in lines[:2]:
            self.assertEqual(sum(count for _, count in report['histogram']), 500)
            tops = [top for top, _ in report['histogram']]
            self.assertEqual(tops, sorted(set(tops)))
            self.assertGreaterEqual(tops[-1], report['max_us'])
        self.assertNotIn('histogram', lines[2])
        text = self.run_well(*told)
        rows = [line.split() for line in text.splitlines()
                if re.fullmatch(r' +[0-9.]+ +[0-9]+ +[0-9.]+ +[0-9.]+', line)]
        self.assertEqual(sum(int(row[1]) for row in rows), 2 * 500)
        self.assertEqual([row[3] for row in rows].count('100.0000'), 2)

    def test_engines_are_compared_in_a_table(self):
        engines = ['varve'] + [ENGINE] * (ENGINE != 'varve')
        out = self.run_well('--num=200', '--compare=' + ','.join(engines), '--rounds=2',
                            '--benchmarks=fillseq,readseq,readrandom,readseq')
        rows = [line.split(' | ') for line in out.splitlines()]
        self.assertEqual(len(rows), 6)
        self.assertTrue(out.startswith('| us/op | ' + ' | '.join(engines)))
        self.assertEqual([row[0] for row in rows[2:]],
                         ['| fillseq', '| readseq', '| readrandom', '| readseq 2'])
        for row in rows[2:]:
            for cell in row[1:1 + len(engines)]:
                self.assertRegex(cell, r'^[0-9.e-]+ \([0-9.e-]+–[0-9.e-]+\)')
        self.assertEqual(os.listdir(self.directory.name), [])

    def test_a_comparison_stops_with_the_run_that_fails(self):
        done = subprocess.run([PROGRAM, f'--compare={ENGINE}', '--num=10'], capture_output=True,
                              env=dict(os.environ, TMPDIR=self.path('none')), text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn(self.path('none'), done.stderr)
        self.assertIn(f'round 1 of {ENGINE} ended with status 1', done.stderr)

    def test_a_terminal_is_told_how_far_it_is(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        done = subprocess.run([PROGRAM, f'--engine={ENGINE}', '--num=100', '--json',
                               '--benchmarks=fillseq,readseq'], stdout=subprocess.PIPE,
                              stderr=slave, check=False)
        os.close(slave)
        self.assertEqual(done.returncode, 0)
        said = os.read(master, 65536).decode()
        self.assertRegex(said, '\r\x1b\\[Kfillseq: 100 operations, 100 %, [0-9]+ a second\r')
        self.assertRegex(said, 'readseq: [0-9]+ operations, [0-9]+ %')
        self.assertTrue(said.endswith('\r\x1b[K'))
        self.assertEqual(len(done.stdout.splitlines()), 2)

    def test_odd_sizes(self):
        self.run_well('--num=300', '--key-bytes=3', '--value-bytes=0', '--sync',
                      '--benchmarks=filluniquerandom,readrandom,readmissing,readseq,seekrandom')
        self.run_well('--num=20', '--key-bytes=1000', '--value-bytes=300000',
                      '--benchmarks=filluniquerandom,readrandom,compact,readseq,seekrandom')

    def test_either_policy(self):
        workloads = '--benchmarks=fillrandom,compact,readseq'
        self.run_well(f'--num={NUM}', '--compaction=leveled', workloads)
        if ENGINE == 'leveldb':
            done = self.run_program(f'--num={NUM}', '--compaction=tiered', workloads)
            self.assertEqual(done.returncode, 2)
            self.assertIn('--compaction=tiered', done.stderr)
        else:
            self.run_well(f'--num={NUM}', '--compaction=tiered', workloads)

    def test_compression(self):
        workloads = '--benchmarks=fillrandom,compact,readseq'
        for kind in ('lz4', 'zstd'):
            if ENGINE == 'leveldb':
                done = self.run_program(f'--compression={kind}', workloads)
                self.assertEqual(done.returncode, 2)
                self.assertIn('--compression', done.stderr)
                continue
            sizes = [json.loads(self.run_well(f'--num={10 * NUM}', f'--compression={how}',
                                              '--json', workloads).splitlines()[1])
                     ['table_space_bytes'] for how in ('none', kind)]
            self.assertLess(sizes[1], sizes[0] * 0.8)

    def test_a_scan_is_held_against_all_writes_while_space_is_watched(self):
        lines = self.run_well(f'--num={NUM}', f'--writes={20 * NUM}', '--verify', '--watch',
                              '--json', '--benchmarks=filluniquerandom,overwrite,compact,readseq')
        reports = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual(reports[1]['ops'], 20 * NUM)
        self.assertGreater(reports[2]['table_space_most_bytes'], 0)
        self.assertEqual(reports[3]['ops'], NUM)

    def test_a_scan_is_held_against_all_deletes(self):
        lines = self.run_well(f'--num={NUM}', '--verify', '--json',
                              '--benchmarks=fillrandom,deleterandom,readseq,readreverse,overwrite,'
                              'compact,readreverse')
        ops = [json.loads(line)['ops'] for line in lines.splitlines()]
        self.assertEqual(ops[2], ops[3])
        self.assertLess(0, ops[2])
        self.assertLess(ops[2], ops[6])

    def test_mixes(self):
        names = ['ycsb' + letter for letter in 'abcdef']
        for more in (['--verify'], ['--threads=3']):
            lines = self.run_well(f'--num={NUM}', '--json', *more, '--benchmarks=fillrandom,' +
                                  ','.join(names) + ',readseq,compact,readreverse')
            reports = {r['workload']: r for r in map(json.loads, lines.splitlines())}
            for name in names:
                self.assertEqual(reports[name]['ops'], NUM)
                self.assertEqual(reports[name]['puts'] > 0, name != 'ycsbc')
            self.assertLess(reports['ycsbb']['puts'], reports['ycsba']['puts'] / 4)
            self.assertGreater(reports['ycsbe']['user_bytes'], reports['ycsbc']['user_bytes'] * 20)

    def test_a_store_is_kept_and_used_again(self):
        store = '--db=' + self.path('store')
        self.run_well(f'--num={NUM}', store, '--benchmarks=filluniquerandom')
        self.run_well(f'--num={NUM}', store, '--use-existing-db',
                      '--benchmarks=readrandom,readseq,overwrite,readseq')
        self.assertGreater(len(os.listdir(self.path('store'))), 0)

    def test_a_store_with_other_keys_is_noticed(self):
        store = '--db=' + self.path('store')
        self.run_well('--num=1000', store, '--benchmarks=fillseq')
        for name in ['readrandom', 'readseq', 'seekrandom']:
            done = self.run_program('--num=2000', store, '--use-existing-db',
                                    f'--benchmarks={name}')
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, f'^varve-bench: {name}: ')

    def test_a_missing_store_is_not_made(self):
        done = self.run_program('--db=' + self.path('store'), '--use-existing-db',
                                '--benchmarks=readrandom')
        self.assertEqual(done.returncode, 1)
        self.assertIn('varve-bench: ', done.stderr)

    def test_a_directory_that_is_in_use_is_left_alone(self):
        with open(self.path('precious'), 'w', encoding='ascii') as file:
            file.write('kept')
        done = self.run_program('--num=10', '--db=' + self.directory.name, '--benchmarks=fillseq')
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn('not empty', done.stderr)
        self.assertEqual(os.listdir(self.directory.name), ['precious'])

    def test_the_same_seed_gives_the_same_keys(self):
        counts = []
        for seed in (1, 1, 2):
            out = self.run_well(f'--num={NUM}', f'--seed={seed}', '--json',
                                '--benchmarks=fillrandom,readseq')
            counts.append(json.loads(out.splitlines()[1])['ops'])
        self.assertEqual(counts[0], counts[1])
        self.assertNotEqual(counts[0], counts[2])

    def test_options_are_refused_by_name(self):
        done = self.run_program('--numb=1')
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn('--numb', done.stderr)
        self.assertTrue(re.match(r'usage: varve-bench', self.run_well('--help')))


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], {'absent': 'Absent', 'built': 'Built'}[STATE]])
