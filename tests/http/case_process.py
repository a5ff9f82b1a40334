"""The process: start, signals, drain, what outlives a restart."""

import signal
import socket
import threading
import time
import unittest

from harness import (ClosedError, Connection, Daemon, ProtocolError, b64, budget_choose, free_port,
                     make_request, percent, run_varved)

RAW = [("Content-Type", "application/octet-stream")]


class ProcessCase(unittest.TestCase):
    """Each test has a daemon of its own."""

    args = ()
    env = None

    def setUp(self):
        self.daemon = Daemon(self.args, self.env)
        self.addCleanup(self.daemon.remove)
        self.daemon.start()

    def put(self, key, value, query=""):
        answer = self.daemon.request("PUT", "/kv/" + key + query, value, RAW)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["revision"]

    def get(self, key):
        answer = self.daemon.request("GET", "/kv/" + key + "?raw")
        self.assertIn(answer.status, (200, 404), answer)
        return answer.body if answer.status == 200 else None


class Restart(ProcessCase):
    def test_data_outlives_a_clean_restart(self):
        values = {"k%d" % n: b"v" * (n * 37 % 500) for n in range(300)}
        for key, value in values.items():
            self.put(key, value, "?sync=%s" % ("true" if len(value) % 2 else "false"))
        self.daemon.request("DELETE", "/kv/k7")
        self.daemon.stop()
        self.daemon.start()
        values["k7"] = None
        for key, value in values.items():
            self.assertEqual(self.get(key), value, key)

    def test_data_outlives_a_kill(self):
        values = {"k%d" % n: b"v" * (n * 37 % 500) for n in range(300)}
        for key, value in values.items():
            self.put(key, value, "?sync=%s" % ("true" if len(value) % 2 else "false"))
        self.daemon.kill()
        self.daemon.start()
        for key, value in values.items():
            self.assertEqual(self.get(key), value, key)

    def test_largest_value_outlives_restarts(self):
        value = bytes(range(256)) * budget_choose(16384, 65536, 65536)
        self.put("big", value)
        for end in (self.daemon.kill, self.daemon.stop, self.daemon.kill):
            end()
            self.daemon.start()
            self.assertTrue(self.get("big") == value)

    def test_revisions_grow_over_restarts(self):
        last = 0
        for end in (self.daemon.stop, self.daemon.kill, self.daemon.stop, self.daemon.kill):
            revision = self.put("a", b"v")
            self.assertGreater(revision, last)
            page = self.daemon.request("GET", "/kv/range").json()
            self.assertEqual(page["items"][0]["revision"], revision)
            end()
            self.daemon.start()
            page = self.daemon.request("GET", "/kv/range").json()
            self.assertEqual(page["items"][0]["revision"], revision)
            self.assertGreaterEqual(page["revision"], revision)
            last = revision

    def test_cursor_outlives_a_restart(self):
        for n in range(10):
            self.put("c%d" % n, b"v")
        for query in ("prefix=c", "start=c2&end=c9&reverse=true"):
            page = self.daemon.request("GET", "/kv/range?limit=3&" + query).json()
            target = "/kv/range?cursor=" + percent(page["next_cursor"].encode())
            before = self.daemon.request("GET", target).json()["items"]
            self.daemon.stop()
            self.daemon.start()
            self.assertEqual(self.daemon.request("GET", target).json()["items"], before)

    def test_batch_is_whole_after_a_kill(self):
        ops = [{"op": "put", "key": "b%d" % n, "value": b64(b"%d" % n)} for n in range(1000)]
        answer = self.daemon.request("POST", "/kv/batch?sync=true", {"ops": ops})
        self.daemon.kill()
        self.daemon.start()
        page = self.daemon.request("GET", "/kv/range?limit=1000&keys_only=true").json()
        self.assertEqual(page["count"], 1000)
        self.assertEqual({item["revision"] for item in page["items"]}, {answer.json()["revision"]})

    def test_many_restarts(self):
        turns = budget_choose(4, 8, 8)
        for turn in range(turns):
            self.put("t%d" % turn, b"%d" % turn)
            if turn % 3 == 2:
                self.daemon.request("POST", "/admin/flush?wait=true")
            (self.daemon.kill if turn % 2 else self.daemon.stop)()
            self.daemon.start()
        for turn in range(turns):
            self.assertEqual(self.get("t%d" % turn), b"%d" % turn)


class Lock(ProcessCase):
    def test_second_start_on_the_directory_is_refused(self):
        self.put("a", b"before")
        result = run_varved("--data-dir", self.daemon.data_dir, "--listen",
                            "127.0.0.1:%d" % free_port())
        self.assertGreater(result.returncode, 0, result)
        self.assertIn(self.daemon.data_dir, result.stderr)
        self.assertEqual(self.get("a"), b"before")
        self.put("a", b"after")
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.get("a"), b"after")

    def test_second_start_on_the_address_is_refused(self):
        second = Daemon()
        self.addCleanup(second.remove)
        result = run_varved("--data-dir", second.data_dir, "--listen",
                            "127.0.0.1:%d" % self.daemon.port, timeout=10)
        self.assertGreater(result.returncode, 0, result)
        self.assertEqual(self.daemon.request("GET", "/health").status, 200)

    def test_data_directory_that_cannot_be_made(self):
        result = run_varved("--data-dir", "/proc/none/data", "--listen",
                            "127.0.0.1:%d" % free_port())
        self.assertGreater(result.returncode, 0, result)
        self.assertIn("/proc/none/data", result.stderr)


class Signals(ProcessCase):
    env = {"VARVE_DRAIN_DELAY_MS": "1s"}

    def test_sigterm_and_sigint_end_it_with_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.daemon.signal(number)
            self.assertEqual(self.daemon.wait_end(), 0, self.daemon.log_tail())
            self.daemon.start()

    def test_sigpipe_is_ignored(self):
        self.daemon.signal(signal.SIGPIPE)
        self.assertEqual(self.daemon.request("GET", "/health").status, 200)

    def test_idle_connections_do_not_hold_the_end(self):
        idle = [self.daemon.connect() for _ in range(20)]
        for conn in idle[::2]:
            self.assertEqual(conn.request("GET", "/health").status, 200)
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.wait_end(), 0, self.daemon.log_tail())
        for conn in idle:
            conn.close()

    def test_requests_in_flight_are_finished(self):
        """What was acknowledged up to the end is there after it; no answer is cut short."""
        acknowledged, errors = [{} for _ in range(8)], []

        def write(number):
            try:
                with self.daemon.connect() as conn:
                    for turn in range(1000000):
                        key, value = "w%d/%d" % (number, turn % 10), b"%d" % turn
                        answer = conn.request("PUT", "/kv/" + key, value, RAW)
                        if answer.status == 503:
                            return
                        if answer.status != 200:
                            errors.append(answer)
                            return
                        acknowledged[number][key] = value
            except ClosedError as error:
                if not str(error).endswith("b''"):
                    errors.append(error)
            except OSError:
                pass
            except ProtocolError as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        while not all(acknowledged) and not errors:
            time.sleep(0.01)
        self.daemon.stop()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        self.daemon.start()
        for number, known in enumerate(acknowledged):
            for key, value in known.items():
                found = self.get(key)
                self.assertTrue(found is not None and int(found) >= int(value),
                                (number, key, found))

    def test_second_sigterm_changes_nothing(self):
        self.put("a", b"v")
        self.daemon.signal(signal.SIGTERM)
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.wait_end(), 0, self.daemon.log_tail())


class Drain(ProcessCase):
    """It goes on for as long as the test looks at it: a second signal ends it."""

    env = {"VARVE_DRAIN_DELAY_MS": "10m", "VARVE_IDLE_TIMEOUT_MS": "10m"}

    def test_drain_is_told_before_the_listener_closes(self):
        self.assertEqual(self.daemon.request("GET", "/health/ready").status, 200)
        self.daemon.signal(signal.SIGTERM)
        answer = self.until_draining()
        self.assertEqual(answer.json()["status"], "draining")
        self.assertTrue(answer.header("Retry-After"), answer)
        live = self.daemon.request("GET", "/health/live")  # a new connection is still accepted
        self.assertEqual(live.status, 200)
        self.assertEqual(self.daemon.request("GET", "/kv/none").status, 404)
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.wait_end(), 0, self.daemon.log_tail())
        with self.assertRaises(OSError):
            Connection(self.daemon.port)

    def test_kept_connections_are_told_before_they_close(self):
        with self.daemon.connect() as conn:
            self.assertIsNone(conn.request("GET", "/health").header("Connection"))
            self.daemon.signal(signal.SIGTERM)
            self.until_draining()
            answer = conn.request("GET", "/health")
            self.assertEqual(answer.status, 503)
            self.assertEqual(answer.header("Connection"), "close")
            self.assertTrue(conn.closed(timeout=60))
            self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.wait_end(), 0, self.daemon.log_tail())

    def until_draining(self):
        """On a new connection each time: where the drain begins between its status and its headers
        an answer says 200, and closes."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self.daemon.request("GET", "/health")
            if answer.status == 503:
                return answer
            time.sleep(0.005)
        self.fail("no 503 after SIGTERM")


class DrainDeadline(ProcessCase):
    env = {"VARVE_DRAIN_TIMEOUT_MS": "1s"}

    def test_half_a_request_does_not_hold_the_end(self):
        with self.daemon.connect() as conn:
            conn.send(make_request("PUT", "/kv/half", b"abc", RAW + [("Content-Length", 10)]))
            self.assertEqual(self.daemon.request("GET", "/health").status, 200)
            self.daemon.signal(signal.SIGTERM)
            self.assertEqual(self.daemon.wait_end(), 0, self.daemon.log_tail())
        self.daemon.start()
        self.assertIsNone(self.get("half"))


class Logs(ProcessCase):
    args = ("--log-level", "debug")

    def log_lines(self, mark):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            lines = [line for line in self.daemon.log().splitlines() if mark in line]
            if lines:
                return lines
            time.sleep(0.01)
        self.fail("no line with %r in the log\n%s" % (mark, self.daemon.log_tail()))

    def test_one_line_a_request(self):
        self.daemon.request("GET", "/kv/some-key", headers=[("X-Request-Id", "id-one")])
        self.daemon.request("GET", "/health", headers=[("X-Request-Id", "id-two")])
        self.assertEqual(len(self.log_lines("id-two")), 1)
        lines = self.log_lines("id-one")
        self.assertEqual(len(lines), 1)
        self.assertIn("404", lines[0])

    def test_values_are_not_logged(self):
        self.daemon.request("PUT", "/kv/a", b"SECRET-RAW", RAW)
        self.daemon.request("PUT", "/kv/a", '{"value":"SECRET-BAD', [("X-Request-Id", "id-bad")])
        self.daemon.request("PUT", "/kv/a", {"value": "SECRET-JSON", "encoding": "utf8"})
        self.daemon.request("GET", "/kv/a?raw", headers=[("Authorization", "Bearer SECRET-TOKEN"),
                                                         ("X-Request-Id", "id-end")])
        self.log_lines("id-end")
        self.assertNotIn("SECRET", self.daemon.log())

    def test_control_bytes_do_not_reach_the_log(self):
        self.daemon.request("GET", "/kv/%0Aforged%1B%5B31m%00", headers=[("X-Request-Id", "id-a")])
        self.daemon.request("GET", "/kv/a?%0Aforged=1", headers=[("X-Request-Id", "id-b")])
        self.daemon.request("GET", b"/kv/\x1braw", headers=[("X-Request-Id", "id-c")])
        self.log_lines("id-c")
        log = self.daemon.log()
        self.assertNotIn("\x1b", log)
        self.assertNotIn("\0", log)
        self.assertFalse([line for line in log.splitlines() if line.startswith("forged")])


class ConnectionLimit(ProcessCase):
    env = {"VARVE_MAX_CONNECTIONS": "8"}

    def test_one_connection_too_many(self):
        held = [self.daemon.connect() for _ in range(8)]
        try:
            for conn in held:
                self.assertEqual(conn.request("GET", "/health").status, 200)
            with self.daemon.connect() as conn:
                answer = conn.request("GET", "/health")
                self.assertEqual(answer.status, 503, answer)
                self.assertTrue(answer.says_close(), answer)
                self.assertTrue(answer.header("Retry-After"), answer)
                self.assertTrue(conn.closed())
            for conn in held:
                self.assertEqual(conn.request("GET", "/health").status, 200)
        finally:
            for conn in held:
                conn.close()
        deadline = time.monotonic() + 10
        while self.daemon.request("GET", "/health").status != 200:
            self.assertLess(time.monotonic(), deadline, "the limit holds on after the clients left")
            time.sleep(0.01)


class ManyClients(ProcessCase):
    def test_threads_that_write_and_read_their_own(self):
        errors = []

        def work(number):
            try:
                with self.daemon.connect() as conn:
                    for turn in range(budget_choose(30, 60, 150)):
                        target = "/kv/m%d/%d" % (number, turn % 5)
                        value = b"%d.%d" % (number, turn)
                        put = conn.request("PUT", target, value, RAW)
                        got = conn.request("GET", target + "?raw")
                        if (put.status, got.body) != (200, value):
                            errors.append((number, turn, put, got))
            except Exception as error:  # a thread's error must reach the test
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        page = self.daemon.request("GET", "/kv/range?prefix=m&limit=1000&keys_only=true").json()
        self.assertEqual(page["count"], 32 * 5)

    def test_same_key_from_many_connections(self):
        """The key ends with the value of the greatest acknowledged revision."""
        acknowledged, lock = [], threading.Lock()

        def work(number):
            with self.daemon.connect() as conn:
                for turn in range(100):
                    value = b"%d.%d" % (number, turn)
                    answer = conn.request("PUT", "/kv/same", value, RAW)
                    with lock:
                        acknowledged.append((answer.json()["revision"], value))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(acknowledged), 800)
        self.assertEqual(self.get("same"), max(acknowledged)[1])

    def test_half_open_clients(self):
        sockets = []
        for turn in range(100):
            peer = socket.create_connection(("127.0.0.1", self.daemon.port))
            if turn % 2:
                peer.sendall(b"GET /health HTTP/1.1\r\nHost")
            sockets.append(peer)
        self.assertEqual(self.daemon.request("GET", "/health").status, 200)
        for peer in sockets:
            peer.close()
        self.assertEqual(self.daemon.request("GET", "/health").status, 200)
