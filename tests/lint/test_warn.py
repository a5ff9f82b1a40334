#!/usr/bin/python3
"""Shows that warn.py finds what clang warns of in any of the sources, and nothing else."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'warn.py')
FLAGS = 'clang -Ilibone.a.p -I. -Wall -Wextra -Werror -std=gnu11 -O0'.split()
SILENT = '#include "shared.h"\nint %s(int a);\nint %s(int a)\n{\n    return a;\n}\n'
FILES = 18  # more than one process takes


class WarnTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.write('shared.h', 'struct shared {\n    int a;\n};\n')

    def write(self, name, text):
        with open(os.path.join(self.directory.name, name), 'w', encoding='utf-8') as file:
            file.write(text)

    def run_program(self, planted, flags=()):
        """Among silent sources, as the last but one."""
        commands = []
        for i in range(FILES):
            name = 'file%d.c' % i
            self.write(name, planted if i == FILES - 2 else SILENT % (name[:-2], name[:-2]))
            words = [*FLAGS, *flags, '-MD', '-MQ', 'o', '-MF', 'd', '-o', name + '.o', '-c', name]
            commands.append({'file': name, 'command': shlex.join(words)})
        self.write('compile_commands.json', json.dumps(commands))
        return subprocess.run([sys.executable, PROGRAM, self.directory.name], check=False,
                              capture_output=True, text=True)

    def assert_found(self, planted, *what):
        done = self.run_program(planted)
        for text in what:
            self.assertIn(text, done.stdout)
        found = [line.partition(':')[0] for line in done.stdout.split('\n') if 'error: ' in line]
        self.assertEqual(found, ['file%d.c' % (FILES - 2)] * len(what), done.stdout)
        self.assertEqual(done.returncode, 1)

    def test_silent(self):
        done = self.run_program('extern int none;\n')
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))
        self.assertFalse([name for name in os.listdir(self.directory.name) if name.endswith('.o')])

    def test_warnings(self):
        self.assert_found(
            '#include <stdio.h>\n'
            'void f(void) { int a; }\n'
            'void h(long a) { printf("%d", a); }\n'
            'int g(int a, unsigned b) { return a < b; }\n',
            '-Wunused-variable', '-Wformat', '-Wsign-compare')

    def test_what_only_flow_shows(self):
        self.assert_found('int f(void) { int a; return a; }\n', '-Wuninitialized')

    def test_what_only_the_end_shows(self):
        self.assert_found('static void f(void) {}\n', '-Wunused-function')

    def test_error(self):
        self.assert_found('int f(void) { return 1 }\n', 'expected')

    def test_what_only_code_shows(self):
        self.assert_found('void f(void) __attribute__((alias("none")));\n', 'alias must point')

    def test_a_warning_is_no_error_by_itself(self):
        done = self.run_program('void f(void) { int a; }\n', ['-Wno-error'])
        self.assertIn('warning: ', done.stdout)
        self.assertEqual(done.returncode, 0)


if __name__ == '__main__':
    unittest.main()
