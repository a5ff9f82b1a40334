#!/usr/bin/python3
"""Holds the house rules that a program can hold exactly.

Usage: lint.py [ROOT]

Prints `path:line: check: what is wrong` for each finding and ends with a line that counts the
checks. Exits 1 if any check failed. Findings marked `warning` fail nothing: a file or function has
passed the size that most should have, but not the limit. There is no list of exceptions.
"""

import os
import re
import shutil
import subprocess
import sys

# Lowest first: a layer may use itself and what stands before it.
LAYERS = ['base', 'os', 'format', 'engine', 'service', 'programs']

# Which layers may include a system header, by the first pattern that matches its name. What
# matches none is open to all.
SYSTEM_HEADERS = [
    (r'pthread\.h', {'os', 'engine', 'service'}),
    (r'threads\.h|semaphore\.h', set()),
    (r'microhttpd\.h|gnutls/.*|jansson\.h|b64/.*|ini\.h|systemd/.*', {'service'}),
    (r'xxhash\.h|sys/auxv\.h', {'base'}),
    (r'sys/.*|linux/.*|netinet/.*|arpa/.*|net.*\.h|dirent\.h|fcntl\.h|unistd\.h|poll\.h|signal\.h|'
     r'sched\.h|time\.h|syslog\.h', {'os', 'service', 'programs'}),
]
# What a public header may include.
PUBLIC_HEADERS = r'varve/.*|stdbool\.h|stddef\.h|stdint\.h|string\.h'

FILE_LINES, FILE_LINES_MAX = 600, 650
FUNCTION_LINES, FUNCTION_LINES_MAX = 70, 90
COLUMNS_MAX = 100

LIBRARY_LAYERS = {'base', 'os', 'format', 'engine'}
PRINTING = r'printf|vprintf|fprintf|vfprintf|dprintf|vdprintf|puts|fputs|putchar|putc|fputc|perror'
UNSAFE = (r'gets|strcpy|stpcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|alloca|tmpnam|'
          r'mktemp|system|popen')
LOCKING = r'pthread_(?:mutex|cond|rwlock|spin|barrier|key|once)\w*'

# Written so that no pattern matches its own text.
WORDS = [
    (r'\bTO[D]O\b|\bFIX[M]E\b|\bX{3}\b', 'work left open'),
    (r'(?i)\bst[u]bs?\b|\bnot imple[m]ented\b', 'work left out'),
    (r'(?m)^(?:<{7}|>{7})(?: |$)', 'a conflict that was not settled'),
    (r'(?<![\w./])/(?:home|root|work|Users)/\w', 'a path of one machine'),
    (r'\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|crates\.io|docker\.io|ghcr\.io|quay\.io|'
     r'gcr\.io|proxy\.golang\.org|rubygems\.org|maven\.org|repo\.maven\.apache\.org|'
     r'deb\.debian\.org|archive\.ubuntu\.com)\b', 'a package registry'),
]

SOURCE_FOLDERS = ['include', 'src', 'tests']
WORD_FOLDERS = SOURCE_FOLDERS + ['api', 'config', 'systemd']
TEXT_ENDINGS = ('.c', '.h', '.py', '.sh', '.build', '.lua')

C_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)


def blank(text):
    """Spaces of the same shape, so that line numbers stay."""
    return re.sub(r'[^\n]', ' ', text)


class Source:
    """A text file of the tree; of a C file also the text without comments, and without strings."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding='utf-8', newline='') as file:
            self.text = file.read()
        self.lines = self.text.split('\n')
        parts = path.split('/')
        self.folder = os.path.dirname(path)
        self.name = parts[-1]
        self.is_c = path.endswith(('.c', '.h'))
        self.layer = None  # of a file in src
        self.rank = None   # how high the layers are that it may use; None: all of them
        if parts[0] == 'src' and len(parts) > 2:
            self.layer = parts[1]
        layer = parts[2] if parts[:2] == ['tests', 'unit'] and len(parts) > 3 else self.layer
        if layer in LAYERS:
            self.rank = LAYERS.index(layer)
        if self.is_c:
            self.without_comments = C_TOKEN.sub(
                lambda m: blank(m[0]) if m[0][0] == '/' else m[0], self.text)
            self.code = C_TOKEN.sub(lambda m: blank(m[0]), self.text)

    def line_of(self, offset):
        return self.text.count('\n', 0, offset) + 1

    def includes(self):
        for match in INCLUDE.finditer(self.without_comments):
            yield self.line_of(match.start(1)), match[1], match[2]

    def functions(self):
        """Line of the opening brace, line of the closing one: each alone in its first column, as
        clang-format sets the braces of functions and of nothing else."""
        begin = None
        for number, line in enumerate(self.code.split('\n'), 1):
            if line.rstrip() == '{':
                begin = number
            elif line.rstrip() == '}' and begin is not None:
                yield begin, number
                begin = None


# Each check takes the sources and yields (path, line, text, is_warning).

def check_layers(sources):
    """An include never points upward, and a system header stays in the layer that wraps it."""
    for source in sources:
        for line, kind, name in source.includes() if source.is_c else ():
            if kind == '"':
                layer = name.split('/')[0]
                if source.layer and layer not in LAYERS:
                    yield source.path, line, f'include "{name}" by its layer and file', False
                elif source.rank is not None and layer in LAYERS \
                        and LAYERS.index(layer) > source.rank:
                    yield source.path, line, f'"{name}" is of a higher layer', False
                continue
            if source.path.startswith('include/') and not re.fullmatch(PUBLIC_HEADERS, name):
                yield source.path, line, f'<{name}> does not belong in a public header', False
            for pattern, layers in SYSTEM_HEADERS if source.layer else ():
                if re.fullmatch(pattern, name):
                    if source.layer not in layers:
                        owners = ', '.join(sorted(layers)) or 'nobody'
                        yield source.path, line, f'<{name}> is for {owners}', False
                    break


def check_own_header_first(sources):
    """A .c file includes its own header first: so each header is known to stand by itself."""
    headers = {s.path for s in sources if s.path.endswith('.h')}
    for source in sources:
        own = source.path[:-2] + '.h'
        if not source.layer or not source.path.endswith('.c') or own not in headers:
            continue
        first = next(source.includes(), (1, '', ''))
        if first[1:] != ('"', own[len('src/'):]):
            yield source.path, first[0], f'"{own[len("src/"):]}" is not its first include', False


def check_guards(sources):
    """A header has an include guard named after the path by which it is included."""
    for source in sources:
        if not source.path.endswith('.h'):
            continue
        name = re.sub(r'^(?:src|include)/', '', source.path)
        guard = re.sub(r'\W', '_', name).upper()
        if not re.match(r'\s*#ifndef %s\n#define %s\n(.*\n)*#endif\s*\Z' % (guard, guard),
                        source.without_comments):
            yield source.path, 1, f'no include guard {guard} around all of it', False


def check_opening_comments(sources):
    """A C file opens with a comment that says what it is."""
    for source in sources:
        if source.is_c and not re.match(r'/\*\s*\S', source.text):
            yield source.path, 1, 'no opening comment', False


def check_file_sizes(sources):
    for source in sources:
        count = source.text.count('\n')
        if count > FILE_LINES:
            yield source.path, count, f'{count} lines: is it one concept?', count <= FILE_LINES_MAX


def check_function_sizes(sources):
    for source in sources:
        for begin, end in source.functions() if source.is_c else ():
            count = end - begin + 1
            if count > FUNCTION_LINES:
                yield source.path, begin, f'function of {count} lines', count <= FUNCTION_LINES_MAX


def check_lines(sources):
    """Columns, tabs, white space at the end of a line and of the file."""
    for source in sources:
        for number, line in enumerate(source.lines, 1):
            if len(line) > COLUMNS_MAX:
                yield source.path, number, f'{len(line)} columns', False
            if '\t' in line or '\r' in line:
                yield source.path, number, 'a tab or carriage return', False
            if line != line.rstrip():
                yield source.path, number, 'white space at the end', False
        if not source.text.endswith('\n') or source.text.endswith('\n\n'):
            yield source.path, len(source.lines), 'must end with one line break', False


def check_calls(sources):
    """Library code does not print, locks are those of os, and some functions are never right."""
    for source in sources:
        if not source.layer or not source.is_c:
            continue
        names = UNSAFE
        if source.layer in LIBRARY_LAYERS:
            names += '|' + PRINTING
        if source.layer != 'os':
            names += '|' + LOCKING
        for match in re.finditer(r'(?<![\w.>])(%s)\s*\(' % names, source.code):
            line = source.line_of(match.start())
            yield source.path, line, f'{match[1]}() is not used here', False


def check_gotos(sources):
    """goto jumps forward only."""
    for source in sources:
        for begin, end in source.functions() if source.is_c else ():
            body = source.code.split('\n')[begin - 1:end]
            labels = {m[1]: n for n, line in enumerate(body)
                      for m in [re.match(r'\s*(\w+):(?!:)', line)] if m}
            for number, line in enumerate(body):
                for match in re.finditer(r'\bgoto\s+(\w+)', line):
                    if labels.get(match[1], number) < number:
                        yield source.path, begin + number, f'goto {match[1]} jumps back', False


def check_built(sources):
    """Each .c file is named in a meson.build, so that no test is forgotten."""
    builds = {s.folder: set(re.findall(r"'([^'\n]+)'", re.sub(r'#.*', '', s.text)))
              for s in sources if s.name == 'meson.build'}
    for source in sources:
        if not source.path.endswith('.c'):
            continue
        folder, named = source.folder, False
        while folder and not named:
            relative = os.path.relpath(source.path, folder)
            stem = relative[:-2]
            named = any(relative == name or stem == name or stem.endswith('_' + name)
                        for name in builds.get(folder, ()))
            folder = os.path.dirname(folder)
        if not named:
            yield source.path, 1, 'no meson.build builds it', False


def check_words(sources):
    """Nothing is left open, and nothing names the machine that it was written on."""
    for source in sources:
        for pattern, what in WORDS:
            for match in re.finditer(pattern, source.text):
                yield source.path, source.line_of(match.start()), f'"{match[0]}": {what}', False


def check_clang_format(root, sources):
    program = next((p for p in ('clang-format-14', 'clang-format') if shutil.which(p)), None)
    if program is None:
        yield '.clang-format', 1, 'clang-format 14 is not installed', False
        return
    files = [s.path for s in sources if s.is_c]
    if not files:
        return
    done = subprocess.run([program, '--dry-run', '-Werror', '--style=file'] + files, cwd=root,
                          capture_output=True, text=True, check=False)
    found = re.findall(r'^(.+?):(\d+):\d+: error: ', done.stderr, re.M)
    for path in sorted({path for path, _ in found}):
        lines = [int(line) for name, line in found if name == path]
        yield path, lines[0], f'{program} would change {len(lines)} places', False
    if done.returncode != 0 and not found:
        yield '.clang-format', 1, done.stderr.strip(), False


def find_files(root, folders):
    for folder in folders:
        for path, names, files in os.walk(os.path.join(root, folder)):
            names[:] = sorted(n for n in names if n not in ('__pycache__', 'data', 'corpus'))
            for name in sorted(files):
                yield os.path.relpath(os.path.join(path, name), root)


def read_sources(root, folders):
    for path in find_files(root, folders):
        try:
            yield Source(root, path)
        except UnicodeDecodeError:
            pass  # not a text


def run_checks(root):
    """All checks over the tree: a list of (check's name, its findings)."""
    texts = list(read_sources(root, WORD_FOLDERS))
    sources = [s for s in texts
               if s.path.split('/')[0] in SOURCE_FOLDERS and s.name.endswith(TEXT_ENDINGS)]
    return [
        ('layers', list(check_layers(sources))),
        ('own-header', list(check_own_header_first(sources))),
        ('guards', list(check_guards(sources))),
        ('opening', list(check_opening_comments(sources))),
        ('file-size', list(check_file_sizes(sources))),
        ('function-size', list(check_function_sizes(sources))),
        ('lines', list(check_lines(sources))),
        ('calls', list(check_calls(sources))),
        ('goto', list(check_gotos(sources))),
        ('built', list(check_built(sources))),
        ('words', list(check_words(texts))),
        ('format', list(check_clang_format(root, sources))),
    ]


def main(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    root = arguments[0] if arguments else os.path.dirname(os.path.dirname(here))
    failed = 0
    results = run_checks(root)
    for name, findings in results:
        for path, line, text, is_warning in findings:
            print(f'{path}:{line}: {"warning: " if is_warning else ""}{name}: {text}')
        failed += any(not is_warning for *_, is_warning in findings)
    print(f'lint: {len(results) - failed} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
