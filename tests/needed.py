#!/usr/bin/python3
"""Prints the files that chosen tests need, relative to the build directory, for ninja to build.

Usage: needed.py DIRECTORY [--suite NAME]... [--no-suite NAME]...
"""

import argparse
import json
import os
import subprocess


def introspect(directory, what):
    done = subprocess.run(["meson", "introspect", what, directory], stdout=subprocess.PIPE,
                          check=True)
    return json.loads(done.stdout)


def is_chosen(suites, wanted, unwanted):
    names = {suite.rpartition(":")[2] for suite in suites}
    return not names & unwanted and (not wanted or bool(names & wanted))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--no-suite", action="append", default=[])
    arguments = parser.parse_args()
    root = os.path.realpath(arguments.directory)
    depends = {target for test in introspect(root, "--tests")
               if is_chosen(test["suite"], set(arguments.suite), set(arguments.no_suite))
               for target in test["depends"]}
    for target in introspect(root, "--targets"):
        if target["id"] in depends:
            for name in target["filename"]:
                print(os.path.relpath(name, root))


if __name__ == "__main__":
    main()
