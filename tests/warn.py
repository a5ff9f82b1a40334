#!/usr/bin/python3
"""Has clang say what it warns of in every source that a build directory would compile.

Usage: warn.py DIRECTORY

The directory was set up with clang, and its own options decide what is an error. Nothing is
written but the sources that the build makes. Clang's start takes longer than most files: one
process reads many sources, as its inner command allows, each as a unit of its own. It goes as far
as code that is no machine's yet, for some faults show only there. Exits 1 if clang found any error.
"""

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

SOURCES_A_PROCESS = 16


def read_groups(directory):
    """The sources that are compiled in the same way: a dictionary from arguments to lists."""
    with open(os.path.join(directory, 'compile_commands.json'), encoding='utf-8') as file:
        commands = json.load(file)
    groups = {}
    for command in commands:
        words = shlex.split(command['command'])
        # A target's private folder holds no header, and would put each target in its own group.
        flags = tuple(word for word in words[:words.index('-MD')] if not word.endswith('.p'))
        sources = groups.setdefault(flags, [])
        if command['file'] not in sources:
            sources.append(command['file'])
    return groups


def make_missing(directory, groups):
    missing = {source for sources in groups.values() for source in sources
               if not os.path.exists(os.path.join(directory, source))}
    if missing:
        subprocess.run(['ninja', '-C', directory, '--quiet', *sorted(missing)], check=True)


def inner_command(directory, flags, source):
    """What clang would start to compile the source, without the source's name."""
    said = subprocess.run([*flags, '-###', '-emit-llvm', '-c', source, '-o', '-'], cwd=directory,
                          check=True, capture_output=True, text=True).stderr
    words = shlex.split(said.strip().split('\n')[-1])
    if words[1] != '-cc1' or words[-1] != source:
        raise ValueError('not the command of one compilation: ' + ' '.join(words))
    # Freeing nothing is for a process that ends after one source.
    words = [word for word in words[:-1] if word != '-disable-free']
    words[words.index('-emit-llvm-bc')] = '-emit-llvm-only'
    return words


def check(directory, flags, sources):
    """Whether clang found no error; what it says goes out at once."""
    command = inner_command(directory, flags, sources[0])
    done = subprocess.run(command + sources, cwd=directory, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    os.write(sys.stdout.fileno(), done.stdout)
    return done.returncode == 0


def main(arguments):
    [directory] = arguments
    groups = read_groups(directory)
    make_missing(directory, groups)
    jobs = [(directory, flags, sources[i:i + SOURCES_A_PROCESS])
            for flags, sources in groups.items()
            for i in range(0, len(sources), SOURCES_A_PROCESS)]
    jobs.sort(key=lambda job: -len(job[2]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = list(pool.map(lambda job: check(*job), jobs))
    return 0 if verdicts and all(verdicts) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
