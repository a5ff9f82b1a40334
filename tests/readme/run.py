#!/usr/bin/python3
"""Runs what README.md shows, in its order, and compares the answers.

Each ```sh block runs with `sh -e`; if the next block is ```json or ```text, that is exactly what it
must print (white space at the end aside). A ```c block becomes example.c in the folder that the
following blocks run in. Blocks that name a part of the repository run at its top.

`sh config/quickstart.sh` itself is the server of all other blocks: it gets a free port and a
temporary data directory as arguments, and is ended with Ctrl-C. 127.0.0.1:7070 in a block stands
for that port. Lines that run tests/run.sh get --list added, or they would run this program again.
What a block installs goes into a temporary folder.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ADDRESS = '127.0.0.1:7070'
QUICKSTART = 'sh config/quickstart.sh'
RUN_TESTS = 'sh tests/run.sh'
START_S, STOP_S, BLOCK_S = 300, 60, 120  # against a hang

BLOCK = re.compile(r'^```(\w+)\n(.*?)^```$', re.M | re.S)
OF_REPOSITORY = re.compile(r'\b(?:config|tests|build)/|\b(?:meson|ninja) ')


def read_blocks(text):
    """A list of (line, language, text)."""
    return [(text.count('\n', 0, m.start()) + 1, m[1], m[2]) for m in BLOCK.finditer(text)]


def pair_blocks(blocks):
    """A list of (line, language, text, expected answer or None) without the answers."""
    pairs = []
    for i, (line, language, text) in enumerate(blocks):
        answer = None
        if i + 1 < len(blocks) and blocks[i + 1][1] in ('json', 'text'):
            answer = blocks[i + 1][2]
        if language in ('sh', 'c'):
            pairs.append((line, language, text, answer))
    return pairs


def free_address():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return '127.0.0.1:%d' % probe.getsockname()[1]


class Runner:
    def __init__(self, work):
        self.address = free_address()
        self.scratch = os.path.join(work, 'scratch')
        self.data = os.path.join(work, 'data')
        self.root = os.path.join(work, 'root')
        bin_dir = os.path.join(work, 'bin')
        for path in (self.scratch, bin_dir):
            os.makedirs(path)
        with open(os.path.join(bin_dir, 'sudo'), 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nexec "$@"\n')
        os.chmod(file.name, 0o755)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('VARVE_')}
        self.env.update(CC='false', PATH=bin_dir + ':/usr/bin:/bin:/usr/sbin:/sbin')
        self.log = os.path.join(work, 'log')
        self.process = None

    def start(self):
        """Runs quickstart as the README does, but for its port and folder."""
        command = QUICKSTART.split() + ['--listen', self.address, '--data-dir', self.data]
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(command, cwd=TOP, env=self.env, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f'http://{self.address}/health', timeout=5):
                    return None
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        return 'it does not serve:\n' + self.log_tail()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(STOP_S)
        return None if status == 0 else f'Ctrl-C ended it with {status}:\n' + self.log_tail()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log_tail(self):
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return ''.join(log.readlines()[-20:])

    def check_defaults(self):
        """Without arguments it would listen and keep its data where the README says."""
        done = subprocess.run(QUICKSTART.split() + ['--print-config'], cwd=TOP, env=self.env,
                              capture_output=True, text=True, timeout=START_S, check=False)
        for setting in (r'^listen\s*=\s*127\.0\.0\.1:7070$', r'^data_dir\s*=\s*(?:\./)?data$'):
            if not re.search(setting, done.stdout, re.M):
                return f'its settings lack {setting}:\n{done.stdout}{done.stderr}'
        return None

    def run_block(self, text, answer):
        text = text.replace(ADDRESS, self.address)
        text = re.sub(r'(\b%s.*)$' % re.escape(RUN_TESTS), r'\1 --list', text, flags=re.M)
        env = dict(self.env, DESTDIR=self.root)
        del env['CC']
        for path, _, files in os.walk(self.root):
            if 'varve.pc' in files:
                env.update(PKG_CONFIG_PATH=path, PKG_CONFIG_SYSROOT_DIR=self.root,
                           LD_LIBRARY_PATH=os.path.dirname(path))
        done = subprocess.run(['sh', '-e', '-c', text], env=env, stdin=subprocess.DEVNULL,
                              cwd=TOP if OF_REPOSITORY.search(text) else self.scratch,
                              capture_output=True, text=True, timeout=BLOCK_S, check=False)
        if done.returncode != 0:
            return f'status {done.returncode}\n{done.stdout}{done.stderr}'
        if answer is None:
            return None
        answer = answer.replace(ADDRESS, self.address)
        if done.stdout.rstrip() != answer.rstrip():
            return f'shown:\n{answer.rstrip()}\ngot:\n{done.stdout.rstrip()}\n{done.stderr}'
        return None

    def run(self, language, text, answer):
        """What is wrong, or None."""
        if language == 'c':
            with open(os.path.join(self.scratch, 'example.c'), 'w', encoding='utf-8') as file:
                file.write(text)
            return None
        if text.strip() == QUICKSTART:
            return self.check_defaults()
        return self.run_block(text, answer)


def main():
    with open(os.path.join(TOP, 'README.md'), encoding='utf-8') as file:
        blocks = pair_blocks(read_blocks(file.read()))
    work = tempfile.mkdtemp(prefix='varve-readme-')
    runner = Runner(work)
    passed = failed = 0

    def count(line, wrong):
        nonlocal passed, failed
        if wrong is None:
            passed += 1
        else:
            failed += 1
            print(f'README.md:{line}: {wrong}')

    try:
        count(1, runner.start())
        for line, language, text, answer in blocks:
            count(line, runner.run(language, text, answer))
        if runner.process.poll() is None:
            count(1, runner.stop())
        for command in (QUICKSTART, RUN_TESTS):
            if not any(text.strip() == command for _, _, text, _ in blocks):
                count(1, f'does not show `{command}`')
    finally:
        runner.kill()
        shutil.rmtree(work)
    print(f'readme: {passed} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
