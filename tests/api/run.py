"""Tests of what api/ and config/ promise, by programs of others: run.py [module …], all by default.

VARVED names the daemon's program. A program that is not installed leaves out the tests that need it
(tests/run.sh sees to it that all are there). Ends with a line of counted tests.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "http")]

import contract  # noqa: E402

MODULES = ("documents", "collection", "requests", "metrics")

if __name__ == "__main__":
    sys.exit(contract.main(sys.argv[1:] or MODULES))
