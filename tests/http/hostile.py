"""Hostile traffic against the real daemon, beside a client that behaves.

hostile.py --address A:P --pid N --lockstep PROGRAM [--seconds S] [--senders N] [--clients N]
           [--p99-ms-max MS] [--growth-mib-max M]

For S seconds at once: senders that let a byte of a header come each second, bodies that do not
come, readers that do not read, floods of connections, requests that two servers could read in two
ways, headers and bodies far too large, and clients in lock-step. Nothing leaves the machine, and
all of it ends by itself. A first round shows what the daemon needs for its caches. After each
round its descriptors must be back where they were, exactly; after the second one its memory must be
too, up to --growth-mib-max. Judges the healthy client's p99 only if --p99-ms-max says how.
"""

import argparse
import multiprocessing
import os
import random
import re
import resource
import socket
import struct
import subprocess
import sys
import time
import traceback

from harness import ClosedError, Connection, ProtocolError, chunked, make_request

RAW = [("Content-Type", "application/octet-stream")]
WARM_UP_S = 30  # until memtables are full and each connection has had its buffers
SETTLE_S = 120
BODIES, READERS, FLOOD_AT_ONCE = 100, 40, 300
BIG_BYTES = 4 << 20
HEALTHY_PAUSE_S = 0.02
SLICES = 20  # of a second, over which the slow ones are spread

HIDDEN = b"PUT /kv/hidden HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n" \
         b"Content-Length: 1\r\n\r\nx"
SMUGGLING = (
    (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", b"0\r\n\r\n"),
    (b"Content-Length: 0\r\nContent-Length: 4\r\n", b"abcd"),
    (b"Content-Length: 4\r\nContent-Length: 4\r\n", b"abcd"),
    (b"Content-Length: 4, 4\r\n", b"abcd"),
    (b"Content-Length: +4\r\n", b"abcd"),
    (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    (b"X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\nContent-Length: 0\r\n", b""),
    (b"Content-Length\x00: 4\r\n", b"abcd"),
    (b"Host: b\r\nContent-Length: 0\r\n", b""),
    (b"Transfer-Encoding: chunked\r\n", b"0x0\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"-1\r\nx\r\n0\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff1\r\nx\r\n0\r\n\r\n"),
)


class Attack:
    """What every attacker is told."""

    def __init__(self, port, seconds, seed):
        self.port = port
        self.end = time.monotonic() + seconds
        self.random = random.Random(seed)

    def goes_on(self):
        return time.monotonic() < self.end

    def connect(self, receive_bytes=None):
        """A socket that never waits, or None if there is no room for it just now."""
        peer = socket.socket()
        if receive_bytes:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        peer.settimeout(5)
        try:
            peer.connect(("127.0.0.1", self.port))
        except OSError:
            peer.close()
            return None
        peer.setblocking(False)
        return peer

    def hold(self, count, open_one, touch):
        """Keeps so many connections, and touches each once a second; touch() says whether the
        connection is still there. Returns how many the daemon has ended."""
        ended, held = 0, [None] * count
        try:
            while self.goes_on():
                for part in range(SLICES):
                    for at in range(part, count, SLICES):
                        if held[at] and not touch(held[at]):
                            held[at].close()
                            held[at] = None
                            ended += 1
                        held[at] = held[at] or open_one()
                    time.sleep(1 / SLICES)
        finally:
            for peer in held:
                if peer:
                    peer.close()
        return ended


def trickle(peer, data):
    """Sends a little; false if the peer has ended the connection."""
    try:
        peer.send(data)
        return peer.recv(4096, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def slow_senders(attack, count):
    def touch(peer):
        return trickle(peer, attack.random.choice((b"G", b"x", b"a: b\r\n")))
    return attack.hold(count, attack.connect, touch)


def slow_bodies(attack, count):
    def open_one():
        peer = attack.connect()
        if peer:
            length = attack.random.choice((10, 100000, 16 << 20))
            trickle(peer, make_request("PUT", "/kv/slow", None, RAW + [("Content-Length", length)]))
        return peer
    return attack.hold(count, open_one, lambda peer: trickle(peer, b"x"))


def slow_readers(attack, count):
    def open_one():
        peer = attack.connect(receive_bytes=4096)
        if peer:
            target = attack.random.choice(("/kv/big?raw", "/kv/big", "/kv/range?prefix=big"))
            trickle(peer, make_request("GET", target))
        return peer

    def touch(peer):
        try:
            return peer.recv(512) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
    return attack.hold(count, open_one, touch)


def flood(attack, count):
    """Connections that come and go: in order, by a reset, with half a request or with none."""
    opened, held = 0, []
    while attack.goes_on():
        peer = attack.connect()
        if peer:
            opened += 1
            held.append(peer)
            how = attack.random.random()
            if how < 0.3:
                trickle(peer, make_request("GET", "/health"))
            elif how < 0.5:
                trickle(peer, b"PUT /kv/a HTTP/1.1\r\nHos")
        if len(held) > count or not peer:
            for old in held:
                if attack.random.random() < 0.5:
                    old.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                old.close()
            held = []
            time.sleep(0.05)
    for old in held:
        old.close()
    return opened


def smugglers(attack, _):
    """A request with another one hidden behind it: the hidden one must never be answered."""
    sent = 0
    while attack.goes_on():
        head, body = attack.random.choice(SMUGGLING)
        data = b"PUT /kv/seen HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n" + body + HIDDEN
        try:
            with Connection(attack.port) as conn:
                conn.send(data)
                answer = conn.read_to_end()
        except OSError:
            continue
        sent += 1
        # libmicrohttpd's own answer to a malformed length has its head twice.
        if set(re.findall(rb"HTTP/1\.1 ([0-9]{3})", answer)) - {b"400", b"413"}:
            raise AssertionError("%r was answered with %r" % (data, answer))
        time.sleep(0.01)
    return sent


def giants(attack, _):
    """Headers and bodies that are far too large, and as many at once as there is."""
    sent = 0
    chunk = b"40000\r\n" + bytes(0x40000) + b"\r\n"
    while attack.goes_on():
        data = attack.random.choice((
            make_request("GET", "/health", None, [("X-Big", "x" * 200000)]),
            make_request("GET", "/health", None, [("X-%d" % n, "x") for n in range(20000)]),
            make_request("GET", "/kv/" + "x" * 200000),
            make_request("PUT", "/kv/a", None, RAW + [("Content-Length", 1 << 40)]) + bytes(200000),
            make_request("PUT", "/kv/a", bytes(8 << 20), [("Content-Type", "application/json")]),
            make_request("PUT", "/kv/a", "[" * (4 << 20), [("Content-Type", "application/json")]),
            make_request("PUT", "/kv/a", chunk * 160, RAW + [("Transfer-Encoding", "chunked")]),
            make_request("POST", "/kv/batch", b'{"ops":[' + b"{}," * (1 << 20))))
        try:
            with Connection(attack.port) as conn:
                conn.send(data)
                if conn.response().status < 400:
                    raise AssertionError("taken: %r" % data[:200])
        except (OSError, ProtocolError):
            pass  # refused while it was being sent
        sent += 1
        time.sleep(0.05)
    return sent


def healthy(attack, _):
    """A client that behaves: the time of each of its requests, in ms."""
    took = []
    conn = Connection(attack.port)
    while attack.goes_on():
        key = "/kv/healthy%d" % (len(took) % 100)
        if len(took) % 2:
            method, target, body, headers = "PUT", key, b"v" * 100, RAW
        else:
            method, target, body, headers = "GET", key + "?raw", None, ()
        begin = time.monotonic()
        answer = conn.request(method, target, body, headers)
        took.append((time.monotonic() - begin) * 1000)
        if answer.status not in (200, 404) or answer.says_close():
            raise AssertionError("the healthy client was answered with %r" % answer)
        time.sleep(HEALTHY_PAUSE_S)
    conn.close()
    return sorted(took)


def in_process(work, attack, count, pipe):
    try:
        pipe.send(("ok", work(attack, count)))
    except (ClosedError, ProtocolError, OSError, AssertionError):
        pipe.send(("failed", traceback.format_exc()))


class Round:
    """One attack of all kinds at once. Afterwards `results` has what each attacker returned."""

    def __init__(self, port, seconds, senders, seed):
        self.results = {}
        self.errors = []
        self.running = []
        for number, (work, count) in enumerate((
                (healthy, 0), (slow_senders, senders), (slow_bodies, BODIES),
                (slow_readers, READERS), (flood, FLOOD_AT_ONCE), (smugglers, 0), (giants, 0))):
            ours, theirs = multiprocessing.Pipe()
            attack = Attack(port, seconds, seed + number)
            process = multiprocessing.Process(target=in_process, args=(work, attack, count, theirs))
            process.start()
            theirs.close()
            self.running.append((work.__name__, process, ours))

    def finish(self):
        for name, process, pipe in self.running:
            try:
                verdict, result = pipe.recv()
            except EOFError:
                verdict, result = "failed", "died"
            process.join()
            if verdict == "ok":
                self.results[name] = result
            else:
                self.errors.append("%s: %s" % (name, result))


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


class Usage:
    """What the daemon holds: descriptors but those of its data's files, which come and go with
    flushes and merges, and resident memory."""

    def __init__(self, pid):
        folder = "/proc/%d/fd/" % pid
        self.descriptors = []
        for name in os.listdir(folder):
            try:
                target = os.readlink(folder + name)
            except OSError:
                continue
            kind = target.split(":")[0]
            if not target.startswith("/") or not os.path.isfile(target.split(" (deleted)")[0]):
                self.descriptors.append(kind)
        self.descriptors.sort()
        with open("/proc/%d/statm" % pid, encoding="ascii") as file:
            self.memory = int(file.read().split()[1]) * resource.getpagesize()


def settled(port, pid, before=None):
    """The usage when no connection is left but the one that asks, and descriptors are as before;
    or after a long wait."""
    deadline = time.monotonic() + SETTLE_S
    with Connection(port) as conn:
        while True:
            left = conn.request("GET", "/stats").json()["server"]["connections"]
            now = Usage(pid)
            same = before is None or now.descriptors == before.descriptors
            if (left == 1 and same) or time.monotonic() > deadline:
                return now
            time.sleep(0.1)


def attack_once(port, pid, seconds, senders, lockstep, before):
    """(errors, the round, the usage after it)."""
    seed = int(os.environ.get("VARVE_SEED") or random.SystemRandom().getrandbits(32))
    marching = subprocess.Popen([*lockstep, "--address", "127.0.0.1:%d" % port,
                                 "--seconds", str(int(seconds))], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
    attack = Round(port, seconds, senders, seed)
    attack.finish()
    output = marching.communicate()[0].strip()
    attack.results["lockstep"] = output
    errors = list(attack.errors)
    if marching.returncode != 0:
        errors.append("lockstep: " + output)
    after = settled(port, pid, before)
    if after.descriptors != before.descriptors:
        errors.append("descriptors before: %s, after: %s" % (before.descriptors,
                                                             after.descriptors))
    with Connection(port) as conn:
        if conn.request("GET", "/health/ready").status != 200:
            errors.append("not ready afterwards")
        if conn.request("GET", "/kv/hidden").status != 404:
            errors.append("a hidden request was taken")
    return errors, attack, after


def prepare(port):
    with Connection(port) as conn:
        for number in range(3):
            conn.request("PUT", "/kv/big%s" % (number or ""), os.urandom(BIG_BYTES), RAW)


def raise_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--lockstep", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--senders", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=1024)
    parser.add_argument("--p99-ms-max", type=float)
    parser.add_argument("--growth-mib-max", type=float, default=16)
    arguments = parser.parse_args()
    port = int(arguments.address.rpartition(":")[2])
    lockstep = [arguments.lockstep, "--clients", str(arguments.clients)]
    raise_limit()
    prepare(port)
    before = settled(port, arguments.pid)
    errors, _, base = attack_once(port, arguments.pid, WARM_UP_S, arguments.senders, lockstep,
                                  before)
    more, attack, after = attack_once(port, arguments.pid, arguments.seconds, arguments.senders,
                                      lockstep, before)
    errors += more
    growth = (after.memory - base.memory) / (1 << 20)
    if growth > arguments.growth_mib_max:
        errors.append("memory grew by %.1f MiB" % growth)
    took = attack.results.pop("healthy", None)
    if took:
        p99 = percentile(took, 0.99)
        print("healthy client: %d requests, p50 %.1f ms, p99 %.1f ms, longest %.1f ms"
              % (len(took), percentile(took, 0.5), p99, took[-1]))
        if arguments.p99_ms_max and p99 > arguments.p99_ms_max:
            errors.append("p99 is %.1f ms" % p99)
    for name, result in attack.results.items():
        print("%s: %s" % (name, result))
    print("memory: %.1f MiB at first, %.1f after %d s, %.1f after %d s more; descriptors: %d"
          % (before.memory / (1 << 20), base.memory / (1 << 20), WARM_UP_S,
             after.memory / (1 << 20), arguments.seconds, len(after.descriptors)))
    for error in errors:
        print("FAILED: " + error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
