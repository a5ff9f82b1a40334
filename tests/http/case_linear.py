"""Concurrent histories with kills are linearizable; VARVE_BUDGET says how many of them."""

import dataclasses
import os
import random
import unittest

from harness import Daemon, varved_path
from history import record
from linear import Violation, check

# histories, requests in each, kills in each
BUDGETS = {"small": (2, 600, 2), "": (4, 2000, 3), "long": (50, 2000, 4)}
# Small memtables, so that the kills also meet WAL switches, flushes and compactions.
ENV = {"VARVE_MEMTABLE_ENTRIES": "1000"}
MUTANTS = 8


class Histories(unittest.TestCase):
    """Each history has keys of its own in a store that lives through all of them."""

    def setUp(self):
        varved_path()
        self.seed = int(os.environ.get("VARVE_SEED") or random.SystemRandom().getrandbits(32))
        self.daemon = Daemon(env=ENV)
        self.addCleanup(self.daemon.remove)
        self.daemon.start()

    def test_histories_with_kills_are_linearizable(self):
        histories, requests, kills = BUDGETS[os.environ.get("VARVE_BUDGET", "")]
        source = random.Random(self.seed)
        judged = unanswered = planted = 0
        for number in range(histories):
            seed = source.getrandbits(32)
            keys, history = record(self.daemon, "h%d" % number, requests, kills, seed)
            with self.subTest(seed=self.seed, number=number):
                check(history, keys)
                planted += self.plant(keys, history, random.Random(seed))
            judged += len(history)
            unanswered += sum(op.outcome is None for op in history)
        print("%d histories, %d kills, %d requests, %d of them unanswered: linearizable; "
              "%d violations planted, each caught (seed %d)"
              % (histories, histories * kills, judged, unanswered, planted, self.seed))
        self.assertGreater(planted, 0)
        self.daemon.stop()

    def plant(self, keys, history, source):
        """Makes one answer of a history stale, several times: each must be caught."""
        planted = 0
        for op in source.sample(history, len(history)):
            result = stale_result(history, op)
            if not result:
                continue
            mutant = list(history)
            mutant[op.number] = dataclasses.replace(op, outcome=("done", 0, [result]))
            with self.assertRaises(Violation, msg=str(mutant[op.number])):
                check(mutant, keys)
            planted += 1
            if planted == MUTANTS:
                break
        return planted


def stale_result(history, op):
    """An older result of a read that cannot be right, or None: a value that was overwritten for
    certain before the read began, by an acknowledged write of a higher revision."""
    if op.parts[0][0] != "get" or len(op.parts) > 1 or op.condition or not op.outcome:
        return None
    key = op.parts[0][1]
    before = sorted((other.outcome[1], other.parts[0]) for other in history
                    if len(other.parts) == 1 and other.parts[0][1] == key and other.writes()
                    and other.end < op.begin and other.outcome and other.outcome[0] == "done")
    stale = [("value", part[2], revision) for revision, part in before[:-1] if part[0] == "put"]
    return stale[-1] if stale else None
