"""Starts the real daemon for black-box tests and speaks plain HTTP/1.1 to it over raw sockets.

The daemon is the program that the environment variable VARVED names; with VARVED_TLS=1 all that is
here goes over TLS. Each Daemon has a port and a
temporary data directory of its own; what it logged is printed when a test fails. Nothing here is
lenient: a response that breaks RFC 9112 is an error of the test that received it.
"""

import base64
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 60
LOG_TAIL_BYTES = 8000
ENDS_AT_ONCE = {"VARVE_DRAIN_DELAY_MS": "0"}
PORT_LOWEST, PORT_HIGHEST = 10000, 32000  # below the range that the kernel hands out by itself

BUDGET = os.environ.get("VARVE_BUDGET")  # tests/lib/budget.h

SANITIZER_REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


def varved_path():
    path = os.environ.get("VARVED")
    if not path:
        raise unittest.SkipTest("the environment variable VARVED names no daemon")
    return os.path.abspath(path)


def budget_choose(small, standard, large):
    return {"small": small, "long": large}.get(BUDGET, standard)


def clean_env(extra=None):
    """The environment without settings of varve, so that only a test's own count, and without what
    is set for the clients' memory."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VARVE_", "MALLOC_"))}
    env.update(extra or {})
    return {k: v for k, v in env.items() if v is not None}


def free_port():
    source = random.SystemRandom()
    while True:
        port = source.randint(PORT_LOWEST, PORT_HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def run_varved(*args, env=None, timeout=30):
    """Runs the daemon's program to its end; for flags that do not serve."""
    return subprocess.run([varved_path(), *args], env=clean_env(env), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, check=False)


def make_certificate(folder, name="server"):
    """A certificate for 127.0.0.1 that signs itself, and its key: two paths."""
    paths = [os.path.join(folder, name + ending) for ending in (".pem", ".key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name, "-addext",
                    "subjectAltName=IP:127.0.0.1", "-days", "30", "-out", paths[0],
                    "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def client_context(certificate):
    """Trusts that certificate alone."""
    return ssl.create_default_context(cafile=certificate)


class Daemon:
    """One running varved. The data directory outlives stop() and kill() and goes with remove().
    Unless `env` says otherwise it ends at once when told to; None leaves a setting out."""

    def __init__(self, args=(), env=None):
        self.dir = tempfile.mkdtemp(prefix="varve-http-")
        self.data_dir = os.path.join(self.dir, "data")
        self.log_path = os.path.join(self.dir, "log")
        self.port = free_port()
        self.args = list(args)
        self.env = env
        self.process = None
        self.tls = None  # the clients' ssl.SSLContext
        if os.environ.get("VARVED_TLS") == "1":
            self.use_tls()

    def use_tls(self):
        certificate, key = make_certificate(self.dir)
        self.args += ["--tls-cert-file", certificate, "--tls-key-file", key]
        self.tls = client_context(certificate)

    def start(self, wait=True):
        command = [varved_path(), "--listen", "127.0.0.1:%d" % self.port,
                   "--data-dir", self.data_dir, *self.args]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, env=clean_env(ENDS_AT_ONCE | (self.env or {})),
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError("varved ended with %d while it started\n%s"
                                     % (self.process.returncode, self.log_tail()))
            try:
                with self.connect() as conn:
                    if conn.request("GET", "/health/ready").status == 200:
                        return
            except (OSError, ProtocolError):
                pass
            time.sleep(0.01)
        raise AssertionError("varved was not ready in %d s\n%s" % (START_TIMEOUT_S,
                                                                   self.log_tail()))

    def signal(self, number):
        self.process.send_signal(number)

    def wait_end(self):
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("varved did not end in %d s\n%s"
                                 % (STOP_TIMEOUT_S, self.log_tail())) from None

    def stop(self):
        """Ends it as an init system does; anything but a clean end is an error."""
        self.signal(signal.SIGTERM)
        code = self.wait_end()
        log = self.log()
        if code != 0 or any(report in log for report in SANITIZER_REPORTS):
            raise AssertionError("varved ended with %d\n%s" % (code, self.log_tail()))

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_tail(self):
        return "--- end of the log of varved\n%s\n---" % self.log()[-LOG_TAIL_BYTES:]

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def connect(self):
        return Connection(self.port, self.tls)

    def request(self, method, target, body=None, headers=()):
        """One request on a connection of its own."""
        with self.connect() as conn:
            return conn.request(method, target, body, headers)


class ProtocolError(Exception):
    """The peer did not send a well-formed HTTP/1.1 response."""


class ClosedError(ProtocolError):
    """The peer closed where a response was due."""


class Response:
    def __init__(self, version, status, reason, headers, body):
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = headers  # list of (lower-case name, value) as received
        self.body = body

    def header(self, name):
        """The one value of a header, or None; a header that is repeated is an error."""
        values = [v for k, v in self.headers if k == name.lower()]
        if len(values) > 1:
            raise ProtocolError("header %s is repeated: %r" % (name, values))
        return values[0] if values else None

    def json(self):
        def refuse_repeated(pairs):
            names = [k for k, _ in pairs]
            if len(names) != len(set(names)):
                raise ProtocolError("repeated JSON member in %r" % self.body)
            return dict(pairs)
        return json.loads(self.body.decode("utf-8"), object_pairs_hook=refuse_repeated)

    def says_close(self):
        return (self.header("Connection") or "").lower() == "close"

    def __repr__(self):
        return "<%d %s %r %r>" % (self.status, self.reason, self.headers, self.body[:300])


class Connection:
    def __init__(self, port, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except ssl.SSLEOFError as error:
            raise BrokenPipeError from error

    def send_slowly(self, data, piece=1):
        for at in range(0, len(data), piece):
            self.send(data[at:at + piece])

    def end_sending(self):
        """Half closes it; below TLS, where there is such."""
        socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def request(self, method, target, body=None, headers=()):
        self.send(make_request(method, target, body, headers))
        return self.response(method)

    def response(self, method="GET", interim=False):
        """The next response; 1xx ones are skipped unless asked for."""
        while True:
            head = self.read_until(b"\r\n\r\n")
            version, status, reason, headers = parse_head(head)
            if 100 <= status < 200:
                if interim:
                    return Response(version, status, reason, headers, b"")
                continue
            answer = Response(version, status, reason, headers, b"")
            if method != "HEAD" and status not in (204, 304):
                answer.body = self._read_body(answer)
            return answer

    def closed(self, timeout=10):
        """Whether the peer has ended the connection and sent nothing more before."""
        if self.pending:
            return False
        self.socket.settimeout(timeout)
        try:
            self.pending = self.socket.recv(1)
            return not self.pending
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(ANSWER_TIMEOUT_S)

    def read_to_end(self):
        """Everything up to the end of the connection, whether it ends in order or by a reset."""
        parts = [self.pending]
        self.pending = b""
        try:
            while piece := self.socket.recv(65536):
                parts.append(piece)
        except ConnectionResetError:
            pass
        return b"".join(parts)

    def _receive(self):
        try:
            # More would be mapped and unmapped for each answer, however small that is.
            piece = self.socket.recv(1 << 16)
        except TimeoutError:
            raise ProtocolError("no answer in %d s, received %r"
                                % (ANSWER_TIMEOUT_S, self.pending[:300])) from None
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise ClosedError("closed after %r" % self.pending[:300])
        return piece

    def read_until(self, mark):
        while mark not in self.pending:
            self.pending += self._receive()
        head, _, self.pending = self.pending.partition(mark)
        return head

    def _read_exactly(self, count):
        parts, have = [self.pending], len(self.pending)
        while have < count:
            parts.append(self._receive())
            have += len(parts[-1])
        data = b"".join(parts)
        self.pending = data[count:]
        return data[:count]

    def _read_body(self, answer):
        encoding = answer.header("Transfer-Encoding")
        length = answer.header("Content-Length")
        if encoding is not None:
            if encoding.lower() != "chunked" or length is not None:
                raise ProtocolError("bad framing %r" % answer.headers)
            return self.read_chunks()
        if length is not None:
            if not re.fullmatch(r"[0-9]+", length):
                raise ProtocolError("bad Content-Length %r" % length)
            return self._read_exactly(int(length))
        if not answer.says_close() and answer.version != "HTTP/1.0":
            raise ProtocolError("no framing at all %r" % answer.headers)
        return self.read_to_end()

    def read_chunks(self):
        parts = []
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n"):
                    pass
                return b"".join(parts)
            parts.append(self._read_exactly(size))
            if self._read_exactly(2) != b"\r\n":
                raise ProtocolError("a chunk does not end in CR LF")


def parse_head(head):
    lines = head.split(b"\r\n")
    match = re.fullmatch(rb"(HTTP/1\.[01]) ([1-5][0-9][0-9]) ([\x20-\x7e]*)", lines[0])
    if not match:
        raise ProtocolError("bad status line %r" % lines[0][:200])
    headers = []
    for line in lines[1:]:
        field = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*", line)
        if not field:
            raise ProtocolError("bad header line %r" % line[:200])
        headers.append((field[1].decode().lower(), field[2].decode()))
    return match[1].decode(), int(match[2]), match[3].decode(), headers


def make_request(method, target, body=None, headers=(), version="HTTP/1.1"):
    """The bytes of a request. `target` may be str or bytes and is sent as it is. A body that is a
    dict or list is sent as JSON; a body brings its Content-Length unless the headers frame it."""
    if isinstance(target, str):
        target = target.encode("latin-1")
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers = [("Content-Type", "application/json"), *headers]
    elif isinstance(body, str):
        body = body.encode()
    names = {name.lower() for name, _ in headers}
    lines = [method.encode() + b" " + target + b" " + version.encode()]
    if "host" not in names:
        lines.append(b"Host: localhost")
    for name, value in headers:
        value = value if isinstance(value, bytes) else str(value).encode("latin-1")
        lines.append(name.encode("latin-1") + b": " + value)
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def chunked(data, sizes):
    """`data` as chunks whose sizes are taken from `sizes` in turn, round and round."""
    out, at, turn = [], 0, 0
    while at < len(data):
        size = min(sizes[turn % len(sizes)], len(data) - at)
        out.append(b"%x\r\n%s\r\n" % (size, data[at:at + size]))
        at, turn = at + size, turn + 1
    return b"".join(out) + b"0\r\n\r\n"


def percent(data, upper=True):
    """Every byte percent-encoded."""
    return "".join(("%%%02X" if upper else "%%%02x") % byte for byte in data)


def b64(data):
    return base64.b64encode(data).decode()


def url64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def key_member(key):
    """The member by which JSON names a key: valid UTF-8 without NUL as text, else base64url."""
    try:
        if b"\0" not in key:
            return {"key": key.decode("utf-8")}
    except UnicodeDecodeError:
        pass
    return {"key64": url64(key)}


class Case(unittest.TestCase):
    """A test against one daemon that all tests of a module share."""

    daemon = None
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        if Case.daemon is None or not Case.daemon.alive():
            Case.daemon = Daemon().start()

    def setUp(self):
        if not Case.daemon.alive():
            tail = Case.daemon.log_tail()
            Case.daemon.remove()
            Case.daemon = Daemon().start()
            self.fail("varved had died before this test\n" + tail)
        self.prefix = "t/%s/" % "/".join(self.id().split(".")[-2:])

    def key(self, name=""):
        """A key that no other test uses."""
        return (self.prefix + name).encode()

    def request(self, method, target, body=None, headers=()):
        return self.daemon.request(method, target, body, headers)

    def connect(self):
        return self.daemon.connect()

    # Shorthands that check what every such answer must be.

    def put(self, key, value, query=""):
        answer = self.request("PUT", "/kv/" + percent(key) + query, value,
                              [("Content-Type", "application/octet-stream")])
        self.assertEqual(answer.status, 200, answer)
        document = answer.json()
        self.assertEqual(document, {**key_member(key), "revision": document["revision"]})
        self.assertGreater(document["revision"], 0)
        return document["revision"]

    def delete(self, key):
        answer = self.request("DELETE", "/kv/" + percent(key))
        self.assertEqual((answer.status, answer.body), (204, b""), answer)
        return int(answer.header("X-Varve-Revision"))

    def get(self, key):
        """The value, or None where there is none."""
        answer = self.request("GET", "/kv/" + percent(key) + "?raw")
        if answer.status == 404:
            self.assert_problem(answer, 404)
            return None
        self.assertEqual(answer.status, 200, answer)
        return answer.body

    def batch(self, ops, query=""):
        answer = self.request("POST", "/kv/batch" + query, {"ops": ops})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(sorted(answer.json()), ["results", "revision"])
        self.assertEqual(len(answer.json()["results"]), len(ops))
        return answer.json()

    def scan(self, query):
        answer = self.request("GET", "/kv/range?" + query)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.header("Content-Type").split(";")[0], "application/json")
        page = answer.json()
        self.assertEqual(page["count"], len(page["items"]))
        self.assertIs(type(page["truncated"]), bool)
        members = {"items", "count", "truncated", "revision"}
        self.assertEqual(set(page), members | ({"next_cursor"} if page["truncated"] else set()))
        return page

    def assert_problem(self, answer, status, code=None, names=None):
        """An error of a handler: RFC 9457, with the request id, naming what was wrong."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.header("Content-Type"), "application/problem+json")
        request_id = answer.header("X-Request-Id")
        self.assertTrue(request_id, answer)
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["instance"], "urn:varve:request:" + request_id)
        self.assertRegex(problem["code"], r"\A[a-z][a-z0-9_]*\Z")
        self.assertEqual(problem["type"], "/errors/" + problem["code"].replace("_", "-"))
        for member in ("title", "detail"):
            self.assertIsInstance(problem[member], str)
            self.assertTrue(problem[member])
        if code is not None:
            self.assertEqual(problem["code"], code)
        if names is not None:
            self.assertIn(names, answer.body.decode())
        return problem

    def refused(self, method, target, status, body=None, headers=(), code=None, names=None):
        """A refused request; its connection is kept exactly if the answer does not say close."""
        with self.connect() as conn:
            answer = conn.request(method, target, body, headers)
            problem = self.assert_problem(answer, status, code, names)
            if answer.says_close():
                self.assertTrue(conn.closed(), "says close but keeps the connection")
            else:
                self.assertEqual(conn.request("GET", "/health/live").status, 200)
        return problem

    def refused_and_kept(self, method, target, status, body=None, headers=(), code=None,
                         names=None):
        """A refused request after which the connection must go on."""
        with self.connect() as conn:
            answer = conn.request(method, target, body, headers)
            problem = self.assert_problem(answer, status, code, names)
            self.assertFalse(answer.says_close(), answer)
            self.assertEqual(conn.request("GET", "/health/live").status, 200)
        return problem
