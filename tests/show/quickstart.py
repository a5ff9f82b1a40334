"""Runs the README's first command in a clone as a person would, uses curl, and presses Ctrl-C.

quickstart.py CLONE: starts config/quickstart.sh in a process group of its own, compares what curl
gets with what the contract documents, interrupts the group, expects a clean end; then once more on
the data of the first run. Exits 1 with the difference.
"""

import json
import os
import signal
import subprocess
import sys
import time

ADDRESS = "http://127.0.0.1:7070"
START_TIMEOUT_S = 1800  # the first start installs packages and builds
AGAIN_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60


def curl(*args):
    result = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", *args], capture_output=True,
                            text=True, check=True, timeout=60)
    body, _, status = result.stdout.rpartition("\n")
    return int(status), body


def expect(found, wanted):
    if found != wanted:
        sys.exit("expected %r, got %r" % (wanted, found))


def expect_json(found, status, wanted):
    expect(found[0], status)
    document = json.loads(found[1])
    expect(document, wanted(document) if callable(wanted) else wanted)
    return document


def first_visit():
    put = curl("-X", "PUT", "-d", '{"value":"aGk="}', ADDRESS + "/kv/user/1")
    first = expect_json(put, 200,
                        lambda d: {"key": "user/1", "revision": d["revision"]})["revision"]
    expect_json(curl(ADDRESS + "/kv/user/1"), 200,
                {"key": "user/1", "value": "aGk=", "encoding": "base64", "revision": first})
    expect(curl(ADDRESS + "/kv/user/1?raw"), (200, "hi"))
    put = curl("-X", "PUT", "-H", "Content-Type: application/octet-stream", "--data-binary", "raw",
               ADDRESS + "/kv/user/2")
    second = expect_json(put, 200,
                         lambda d: {"key": "user/2", "revision": d["revision"]})["revision"]
    expect(second > first, True)
    items = [{"key": "user/1", "value": "hi", "encoding": "utf8", "revision": first},
             {"key": "user/2", "value": "raw", "encoding": "utf8", "revision": second}]
    expect_json(curl(ADDRESS + "/kv/range?prefix=user/&encoding=utf8"), 200,
                lambda d: {"items": items, "count": 2, "truncated": False,
                           "revision": d["revision"]})
    page = expect_json(curl(ADDRESS + "/kv/range?prefix=user/&encoding=utf8&limit=1"), 200,
                       lambda d: {"items": items[:1], "count": 1, "truncated": True,
                                  "next_cursor": d["next_cursor"], "revision": d["revision"]})
    expect_json(curl("-G", "--data-urlencode", "cursor=" + page["next_cursor"], "-d",
                     "encoding=utf8",
                     ADDRESS + "/kv/range"), 200,
                lambda d: {"items": items[1:], "count": 1, "truncated": False,
                           "revision": d["revision"]})
    ops = ('{"ops":[{"op":"put","key":"a","value":"MQ=="},{"op":"get","key":"a"},'
           '{"op":"get","key":"none"},{"op":"delete","key":"user/2"}]}')
    expect_json(curl("-X", "POST", "-d", ops, ADDRESS + "/kv/batch"), 200,
                lambda d: {"revision": d["revision"],
                           "results": [{"op": "put"},
                                       {"op": "get", "found": True, "value": "MQ==",
                                        "encoding": "base64", "revision": d["revision"]},
                                       {"op": "get", "found": False}, {"op": "delete"}]})
    expect(curl(ADDRESS + "/kv/user/2")[0], 404)
    expect(curl("-X", "DELETE", ADDRESS + "/kv/a"), (204, ""))
    expect(curl(ADDRESS + "/kv/a")[0], 404)


def second_visit():
    expect(curl(ADDRESS + "/kv/user/1?raw"), (200, "hi"))
    expect(curl(ADDRESS + "/kv/user/2")[0], 404)


def serves():
    return subprocess.run(["curl", "-sf", "-o", "/dev/null", ADDRESS + "/health/ready"],
                          check=False).returncode == 0


def run(clone, timeout, visit):
    if serves():
        sys.exit("something listens on %s already" % ADDRESS)
    process = subprocess.Popen(
        ["sh", "config/quickstart.sh"], cwd=clone, stdin=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        deadline = time.monotonic() + timeout
        while not serves():
            if process.poll() is not None:
                sys.exit("quickstart.sh ended with %d" % process.returncode)
            if time.monotonic() > deadline:
                sys.exit("nothing serves after %d s" % timeout)
            time.sleep(0.2)
        visit()
        os.killpg(process.pid, signal.SIGINT)
        expect(process.wait(STOP_TIMEOUT_S), 0)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def main(clone):
    run(clone, START_TIMEOUT_S, first_visit)
    run(clone, AGAIN_TIMEOUT_S, second_visit)
    print("quickstart: every answer of curl as documented, Ctrl-C ends it with 0, twice")


if __name__ == "__main__":
    main(sys.argv[1])
