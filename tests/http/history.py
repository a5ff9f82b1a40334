"""Records histories of concurrent requests to the real daemon, for linear.py to judge.

A few clients, each a thread with a connection of its own, send requests to a few keys. Meanwhile
the daemon is killed and started again. A request whose answer a kill has swallowed may have taken
effect up to the moment when the process was gone, for that is when its last byte can have reached a
file; it cannot later. An answer that says that nothing was done (429, or 503 without
`outcome_unknown`) leaves no trace in the history.
"""

import base64
import collections
import json
import random
import threading
import time

from harness import ProtocolError, b64, make_request, percent
from linear import ABSENT, INFINITE, UNCHANGED, Op

KEYS = 4
CLIENTS = 8
RECENT = 6  # revisions of a key that a client remembers, most of them stale
RAW = ("Content-Type", "application/octet-stream")
RETRY_S = 0.01


class Run:
    """What the clients of one history share."""

    def __init__(self, daemon, name, count):
        self.daemon = daemon
        self.name = name
        self.keys = ["%s/%s" % (name, letter) for letter in "abcdefgh"[:KEYS]]
        self.count = count
        self.lock = threading.Lock()
        self.started = 0
        self.ops = []
        self.unanswered = []  # (op, generation of the process that it was sent to)
        self.errors = []
        self.generation = 0  # of the daemon's process
        self.ended_at = []   # when each generation was gone

    def claim(self):
        """The number of the next request, or None when there are enough."""
        with self.lock:
            if self.errors or self.started >= self.count:
                return None
            self.started += 1
            return self.started

    def give_back(self):
        with self.lock:
            self.started -= 1

    def progress(self):
        with self.lock:
            return self.count if self.errors else self.started


class Client:
    def __init__(self, run, number, seed):
        self.run = run
        self.number = number
        self.random = random.Random(seed)
        self.recent = {key: collections.deque([0], RECENT) for key in run.keys}
        self.written = 0
        self.connection = None
        self.generation = 0

    def work(self):
        try:
            while self.run.claim():
                self._one()
        except Exception as error:  # reaches the test through the run
            self.run.errors.append(error)
        finally:
            self._disconnect()

    def _one(self):
        parts, condition, request, read = self._draw()
        if not self.connection:
            self._connect()
        if not self.connection:
            return
        op = Op(parts, time.monotonic_ns(), INFINITE, None, condition, self.number)
        try:
            self.connection.send(request)
            answer = self.connection.response()
            op.end = time.monotonic_ns()
            if answer.says_close():
                self._disconnect()
        except (OSError, ProtocolError):
            self._disconnect()
            with self.run.lock:
                self.run.unanswered.append((op, self.generation))
            return
        if answer.status in (429, 503):
            if answer.status == 503 and answer.json()["code"] == "outcome_unknown":
                op.end = INFINITE
                self._keep(op)
            else:
                self.run.give_back()
            time.sleep(RETRY_S)
            return
        op.outcome = read(answer)
        self._learn(op)
        self._keep(op)

    def _connect(self):
        while not self.run.errors:
            try:
                self.connection = self.run.daemon.connect()
                # Read behind it: the process that accepted is of this generation or an older one.
                self.generation = self.run.generation
                return
            except OSError:
                time.sleep(RETRY_S)

    def _disconnect(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def _keep(self, op):
        with self.run.lock:
            self.run.ops.append(op)

    def _learn(self, op):
        """Revisions that later conditions may name: all of them of values that were read or written
        by this client."""
        kind, *rest = op.outcome
        if kind != "done":
            return
        revision, results = rest
        for part, result in zip(op.parts, results):
            if part[0] == "put":
                self.recent[part[1]].append(revision)
            elif part[0] == "delete" or result == ABSENT:
                self.recent[part[1]].append(0)
            elif result and result[0] == "value":
                self.recent[part[1]].append(result[2])

    # What is sent.

    def _draw(self):
        """(parts, condition, the request's bytes, how to read its answer)."""
        kinds = {"get": 26, "put": 22, "delete": 8, "put_if": 12, "delete_if": 4, "get_if": 3,
                 "batch": 12, "check": 8, "scan": 5}
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        return getattr(self, "_draw_" + kind)()

    def _key(self):
        return self.random.choice(self.run.keys)

    def _value(self):
        self.written += 1
        return "%d.%d" % (self.number, self.written)

    def _known(self, key):
        """The revision that this client knows best, or an older one; 0 for an absent key."""
        if self.random.random() < 0.8:
            return self.recent[key][-1]
        return self.random.choice(self.recent[key])

    def _sync(self):
        return self.random.choice(("", "", "", "sync=true", "sync=false"))

    def _draw_get(self):
        key = self._key()
        if self.random.random() < 0.5:
            return ([("get", key)], None, make_request("GET", "/kv/%s?raw" % percent(key.encode())),
                    read_raw)
        return ([("get", key)], None, make_request("GET", "/kv?key=" + percent(key.encode())),
                read_json)

    def _draw_get_if(self):
        key = self._key()
        known = {self._known(key), self._known(key)} - {0}
        if not known:
            return self._draw_get()
        tags = ", ".join('"%d"' % revision for revision in known)
        return ([("get", key)], ("none", known),
                make_request("GET", "/kv/%s?raw" % key, None, [("If-None-Match", tags)]), read_raw)

    def _draw_put(self, condition=None, headers=()):
        key, value = self._key(), self._value()
        return self._put(key, value, condition, headers)

    def _put(self, key, value, condition, headers):
        query = self._sync()
        target = "/kv/%s%s" % (key, query and "?" + query)
        if self.random.random() < 0.5:
            request = make_request("PUT", target, value, [RAW, *headers])
        else:
            request = make_request("PUT", target, {"value": b64(value.encode())}, headers)
        return [("put", key, value)], condition, request, read_put

    def _draw_put_if(self):
        key = self._key()
        return self._put(key, self._value(), *self._condition(key))

    def _draw_delete(self):
        return self._delete(self._key(), None, ())

    def _draw_delete_if(self):
        key = self._key()
        return self._delete(key, *self._condition(key))

    def _delete(self, key, condition, headers):
        query = self._sync()
        request = make_request("DELETE", "/kv/%s%s" % (key, query and "?" + query), None, headers)
        return [("delete", key)], condition, request, read_delete

    def _condition(self, key):
        """(the condition, the header that says it)."""
        known = self._known(key)
        if self.random.random() < 0.15:
            return ("match_any",), [("If-Match", "*")]
        if known == 0:
            return ("none_any",), [("If-None-Match", "*")]
        if self.random.random() < 0.2:
            return ("none", {known}), [("If-None-Match", '"%d"' % known)]
        return ("match", {known}), [("If-Match", '"%d"' % known)]

    def _draw_batch(self, checks=0):
        parts = [("check", key, self._known(key))
                 for key in self.random.sample(self.run.keys, checks)]
        for _ in range(self.random.randint(1, 4)):
            key = self._key()
            parts.append(self.random.choice((("put", key, self._value()), ("get", key),
                                             ("put", key, self._value()), ("delete", key))))
        self.random.shuffle(parts)
        ops = []
        for part in parts:
            op = {"op": part[0], "key": part[1]}
            if part[0] == "put":
                op["value"] = b64(part[2].encode())
            elif part[0] == "check":
                op["revision"] = part[2]
            ops.append(op)
        query = self._sync()
        request = make_request("POST", "/kv/batch" + (query and "?" + query), {"ops": ops})
        return parts, None, request, read_batch

    def _draw_check(self):
        return self._draw_batch(self.random.randint(1, 2))

    def _draw_scan(self):
        query = self.random.choice(("", "&reverse=true"))
        target = "/kv/range?prefix=%s/%s" % (self.run.name, query)
        keys = self.run.keys
        return [("get", key) for key in keys], None, make_request("GET", target), \
            lambda answer: read_page(answer, keys)


# How answers become outcomes. What the contract does not allow is an error of the run.

def expect(answer, *statuses):
    if answer.status not in statuses:
        raise AssertionError("expected %r: %r" % (statuses, answer))


def read_raw(answer):
    expect(answer, 200, 304, 404)
    if answer.status == 404:
        return "done", 0, [ABSENT]
    if answer.status == 304:
        return "done", 0, [UNCHANGED]
    revision = int(answer.header("X-Varve-Revision"))
    return "done", 0, [("value", answer.body.decode(), revision)]


def value_of(item):
    return "value", base64.b64decode(item["value"]).decode(), item["revision"]


def read_json(answer):
    expect(answer, 200, 404)
    return "done", 0, [ABSENT if answer.status == 404 else value_of(answer.json())]


def read_put(answer):
    expect(answer, 200, 412)
    if answer.status == 412:
        return "failed", {0: answer.json()["current_revision"]}
    return "done", answer.json()["revision"], [None]


def read_delete(answer):
    expect(answer, 204, 412)
    if answer.status == 412:
        return "failed", {0: answer.json()["current_revision"]}
    return "done", int(answer.header("X-Varve-Revision")), [None]


def read_batch(answer):
    expect(answer, 200, 412)
    document = answer.json()
    if answer.status == 412:
        return "failed", {op["index"]: op["current_revision"] for op in document["failed_ops"]}
    results = [None if result["op"] != "get" else value_of(result) if result["found"] else ABSENT
               for result in document["results"]]
    return "done", document["revision"], results


def read_page(answer, keys):
    expect(answer, 200)
    document = answer.json()
    found = {item["key"]: value_of(item) for item in document["items"]}
    if document["truncated"] or not set(found) <= set(keys):
        raise AssertionError("not a page of these keys: %s" % json.dumps(document))
    return "done", document["revision"], [found.get(key, ABSENT) for key in keys]


def record(daemon, name, count, kills, seed):
    """(keys, history) of `count` requests with so many kills. The daemon runs before and after."""
    run = Run(daemon, name, count)
    source = random.Random(seed)
    marks = sorted(source.sample(range(count // 10, count), kills))
    clients = [threading.Thread(target=Client(run, number, source.random()).work)
               for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for mark in marks:
        watch(run, lambda mark=mark: run.progress() >= mark)
        if run.errors:
            break
        daemon.kill()
        run.ended_at.append(time.monotonic_ns())
        run.generation += 1
        daemon.start()
    watch(run, lambda: not any(client.is_alive() for client in clients))
    for client in clients:
        client.join()
    if run.errors:
        raise run.errors[0]
    return run.keys, settle(run)


def watch(run, is_reached):
    """Waits; a daemon that ends by itself is an error of the run."""
    while not is_reached():
        if not run.daemon.alive():
            run.errors.append(AssertionError("varved has died\n" + run.daemon.log_tail()))
            return
        time.sleep(0.0005)


def settle(run):
    """Gives unanswered writes their end; those sent to a process that was gone are left out."""
    history = list(run.ops)
    for op, generation in run.unanswered:
        if generation < len(run.ended_at):
            op.end = run.ended_at[generation]
        if op.begin <= op.end and op.writes():
            history.append(op)
    history.sort(key=lambda op: op.begin)
    return history
