"""The black-box suite of the HTTP contract: contract.py [module …], all of them by default.

VARVED names the daemon's program. Ends with a line of counted tests; exits 77 if none could run.
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Case  # noqa: E402

MODULES = ("checker", "linear", "load", "reads", "refusals", "wire",
           "keys", "values", "range", "scan", "batch", "conditional", "expiry",
           "protocol", "service", "process", "flags", "limits", "access", "backup", "tls",
           "reload")
EXIT_SKIPPED = 77


class Result(unittest.TextTestResult):
    """Shows the daemon's log beside a failure."""

    def _log(self):
        if Case.daemon is not None:
            self.stream.writeln(Case.daemon.log_tail())

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._log()

    def addError(self, test, err):
        super().addError(test, err)
        self._log()


def main(names):
    loader = unittest.TestLoader()
    modules = ["case_" + name for name in names or MODULES]
    suite = loader.loadTestsFromNames(modules)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    problems = []
    if Case.daemon is not None:
        try:
            Case.daemon.stop()
        except AssertionError as error:
            problems.append(str(error))
            print(error)
        Case.daemon.remove()
    broken = {test.id() for test, _ in result.failures + result.errors
              if not isinstance(test, unittest.case._SubTest)}
    broken |= {test.test_case.id() for test, _ in result.failures + result.errors
               if isinstance(test, unittest.case._SubTest)}
    failed, skipped = len(broken) + len(problems), len(result.skipped)
    passed = result.testsRun - len(broken) - skipped
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    if failed:
        return 1
    return 0 if passed else EXIT_SKIPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
