#!/usr/bin/python3
"""Shows that count.py counts what a log says, and never takes a failure for less."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import count  # noqa: E402

CHECK = '{}%: Checks: {}, Failures: {}, Errors: {}\n'


class CountTest(unittest.TestCase):
    def assert_counts(self, result, output, *expected):
        self.assertEqual(count.count_test(result, output), expected)

    def test_check(self):
        self.assert_counts('OK', 'rows\n' + CHECK.format(100, 7, 0, 0), 7, 0, 0)
        self.assert_counts('FAIL', CHECK.format(57, 7, 2, 1) + 'a.c:1:F: no\n', 4, 3, 0)

    def test_several_runs_in_one_program(self):
        self.assert_counts('OK', CHECK.format(100, 7, 0, 0) + CHECK.format(100, 5, 0, 0), 12, 0, 0)

    def test_unittest(self):
        self.assert_counts('OK', '....\nRan 4 tests in 0.1s\n\nOK\n', 4, 0, 0)
        self.assert_counts('OK', 'Ran 4 tests in 0.1s\n\nOK (skipped=1)\n', 3, 0, 1)
        self.assert_counts(
            'FAIL', 'Ran 9 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=3)\n', 3, 3, 3)

    def test_program_that_counts_nothing(self):
        self.assert_counts('OK', 'fine', 1, 0, 0)
        self.assert_counts('FAIL', '', 0, 1, 0)
        self.assert_counts('SKIP', '', 0, 0, 1)

    def test_verdict_of_meson_counts_for_more(self):
        for result in ('FAIL', 'TIMEOUT', 'ERROR', 'INTERRUPT', 'UNEXPECTEDPASS'):
            self.assert_counts(result, CHECK.format(100, 7, 0, 0), 7, 1, 0)


if __name__ == '__main__':
    unittest.main()
