"""The programs that load the daemon, in a short form: counters and hostile traffic."""

import os
import subprocess
import unittest

import hostile
from case_process import ProcessCase
from harness import budget_choose

ATTACK_S = budget_choose(5, 9, 9)


def program(name):
    path = os.environ.get(name)
    if not path:
        raise unittest.SkipTest("the environment variable %s names no program" % name)
    return path


class Counters(ProcessCase):
    def test_sums_are_exact(self):
        result = subprocess.run([program("COUNTERS"), "--address",
                                 "127.0.0.1:%d" % self.daemon.port, "--seconds",
                                 str(budget_choose(1, 2, 3))],
                                capture_output=True, text=True, check=False)
        print(result.stdout + result.stderr)
        self.assertEqual(result.returncode, 0, result)
        self.daemon.stop()


class Hostile(ProcessCase):
    """Small caches and deadlines, so that they are all reached in the short time. How fast the
    healthy client was is told but not judged."""

    env = {"VARVE_MEMTABLE_BYTES": "8MiB", "VARVE_BLOCK_CACHE_BYTES": "16MiB",
           "VARVE_HEADER_TIMEOUT_MS": "2s"}

    def test_nothing_is_left_behind(self):
        lockstep = [program("LOCKSTEP"), "--clients", str(budget_choose(128, 1024, 1024)),
                    "--round-seconds", "120"]
        senders = budget_choose(200, 1000, 1000)
        hostile.raise_limit()
        pid = self.daemon.process.pid
        hostile.prepare(self.daemon.port)
        before = hostile.settled(self.daemon.port, pid)
        errors, attack, after = hostile.attack_once(self.daemon.port, pid, ATTACK_S, senders,
                                                    lockstep, before)
        self.assertEqual(errors, [])
        took = attack.results.pop("healthy")
        self.assertGreater(len(took), 0)
        self.assertGreater(attack.results["slow_senders"], 0, "no slow sender was ended")
        print("healthy client: %d requests, p99 %.1f ms; %s; memory %d to %d KiB"
              % (len(took), hostile.percentile(took, 0.99), attack.results,
                 before.memory >> 10, after.memory >> 10))
        self.daemon.stop()
