#!/usr/bin/python3
"""Shows that each check of lint.py finds what it is there to find, and nothing in a clean tree."""

import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

HEADER = '/* format/row.h: rows. */\n#ifndef FORMAT_ROW_H\n#define FORMAT_ROW_H\n\n' \
         'int row_read(int row);\n\n#endif\n'
BODY = '/* Rows, read in order. */\n#include "format/row.h"\n\n#include <string.h>\n\n' \
       '#include "base/buf.h"\n\n' \
       'int row_read(int row)\n{\n    if (row < 0)\n        goto out; /* printf("no"); */\n' \
       '    row++;\nout:\n    return row;\n}\n'
CLEAN = {
    '.clang-format': None,  # the repository's own
    'include/varve/varve.h': '/* varve/varve.h: all of it. */\n#ifndef VARVE_VARVE_H\n'
                             '#define VARVE_VARVE_H\n\n#include <stdint.h>\n\n#endif\n',
    'src/format/meson.build': "format_lib = static_library('format', files('row.c'))\n",
    'src/format/row.h': HEADER,
    'src/format/row.c': BODY,
    'tests/unit/format/meson.build': "foreach name : ['row']\nendforeach\n",
    'tests/unit/format/test_row.c': '/* Rows. */\n#include "format/row.h"\n',
}


class LintTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        for path, text in CLEAN.items():
            self.put(path, text)

    def tearDown(self):
        shutil.rmtree(self.root)

    def put(self, path, text):
        path, full = os.path.join(TOP, path), os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if text is None:
            shutil.copy(path, full)
        else:
            with open(full, 'w', encoding='utf-8') as file:
                file.write(text)

    def findings(self, warnings=False):
        return {name for name, found in lint.run_checks(self.root)
                for _, _, _, is_warning in found if is_warning == warnings}

    def assert_found(self, check, path, text):
        """With `text` in `path`, this check finds something, and no other check does."""
        self.put(path, text)
        self.assertEqual(self.findings(), {check})

    def replace(self, old, new):
        self.assertIn(old, BODY)
        return BODY.replace(old, new)

    def test_clean_tree(self):
        self.assertEqual(self.findings(), set())
        self.assertEqual(self.findings(warnings=True), set())

    def test_upward_include(self):
        self.assert_found('layers', 'src/format/row.c', self.replace('base/buf.h', 'engine/db.h'))

    def test_upward_include_in_unit_test(self):
        self.assert_found('layers', 'tests/unit/format/test_row.c',
                          '/* Rows. */\n#include "service/config.h"\n')

    def test_include_without_layer(self):
        self.assert_found('layers', 'src/format/row.c', self.replace('base/buf.h', 'buf.h'))

    def test_system_header_of_another_layer(self):
        for name in ('pthread.h', 'microhttpd.h', 'sys/stat.h', 'fcntl.h', 'b64/cencode.h'):
            self.assert_found('layers', 'src/format/row.c', self.replace('string.h', name))

    def test_public_header_includes(self):
        text = CLEAN['include/varve/varve.h'].replace('stdint.h', 'stdio.h')
        self.assert_found('layers', 'include/varve/varve.h', text)

    def test_commented_include_is_none(self):
        self.put('src/format/row.c',
                 self.replace('#include <string.h>', '/*\n#include <pthread.h>\n*/'))
        self.assertEqual(self.findings(), set())

    def test_own_header_first(self):
        text = self.replace('#include "format/row.h"\n\n#include <string.h>',
                            '#include <string.h>\n\n#include "format/row.h"')
        self.assert_found('own-header', 'src/format/row.c', text)

    def test_guard(self):
        self.assert_found('guards', 'src/format/row.h', HEADER.replace('ROW_H', 'LINE_H'))

    def test_guard_around_all(self):
        self.assert_found('guards', 'src/format/row.h', HEADER + '\nint row_more(int row);\n')

    def test_opening_comment(self):
        self.assert_found('opening', 'src/format/row.c', BODY.split('\n', 1)[1])

    def test_file_size(self):
        self.put('src/format/row.c', BODY + '/* more */\n' * (601 - BODY.count('\n')))
        self.assertEqual(self.findings(warnings=True), {'file-size'})
        self.assert_found('file-size', 'src/format/row.c', BODY + '/* more */\n' * 650)

    def test_function_size(self):
        self.put('src/format/row.c', self.replace('    row++;\n', '    row++;\n' * 65))
        self.assertEqual(self.findings(warnings=True), {'function-size'})
        self.assert_found('function-size', 'src/format/row.c',
                          self.replace('    row++;\n', '    row++;\n' * 90))

    def test_lines(self):
        self.assert_found('lines', 'tests/unit/format/meson.build',
                          CLEAN['tests/unit/format/meson.build'] + '#' * 101 + '\n')
        for bad in ('x = 1 \n', '\tx = 1\n', 'x = 1', 'x = 1\n\n'):
            self.assert_found('lines', 'tests/unit/format/meson.build',
                              CLEAN['tests/unit/format/meson.build'] + bad)

    def test_printing(self):
        for call in ('printf("row");', 'fputs("row", stderr);', 'perror("row");'):
            self.assert_found('calls', 'src/format/row.c', self.replace('row++;', call))

    def test_lock_that_is_not_of_os(self):
        self.assert_found('calls', 'src/format/row.c',
                          self.replace('row++;', 'pthread_mutex_lock(&lock);'))

    def test_unsafe_call(self):
        self.assert_found('calls', 'src/format/row.c', self.replace('row++;', 'row = atoi("1");'))

    def test_member_call_is_none(self):
        self.put('src/format/row.c', self.replace('row++;', 'ops->puts("row");'))
        self.assertEqual(self.findings(), set())

    def test_goto_backward(self):
        self.assert_found('goto', 'src/format/row.c',
                          self.replace('    return row;', '    if (row == 7)\n        goto out;\n'
                                       '    return row;'))

    def test_not_built(self):
        self.assert_found('built', 'tests/unit/format/test_line.c', '/* Lines. */\n')

    def test_commented_build_is_none(self):
        self.assert_found('built', 'src/format/meson.build', "# files('row.c')\n")

    def test_words(self):
        for word in ('TO' + 'DO', 'FIX' + 'ME', 'X' * 3, 'a st' + 'ub', 'not imple' + 'mented',
                     'see /ho' + 'me/me/x', 'see "/wo' + 'rk/x"', 'from cra' + 'tes.io'):
            self.assert_found('words', 'src/format/row.c', self.replace('Rows, read', word))

    def test_conflict(self):
        for mark in '<>':
            self.assert_found('words', 'tests/run.sh', 'true\n%s HEAD\n' % (7 * mark))

    def test_words_that_only_look_alike(self):
        self.put('src/format/row.c', self.replace('Rows, read', 'a.XXXXXX, homework, http/work/x'))
        self.assertEqual(self.findings(), set())

    def test_clang_format(self):
        self.assert_found('format', 'src/format/row.c', self.replace('row++;', 'row ++;'))


if __name__ == '__main__':
    unittest.main()
