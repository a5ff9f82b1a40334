"""Limits that settings make small: deadlines, budgets, sizes, and where the daemon listens."""

import json
import os
import socket
import time

from case_process import RAW, ProcessCase
from harness import b64, chunked, free_port, make_request, run_varved


class HeaderDeadline(ProcessCase):
    env = {"VARVE_HEADER_TIMEOUT_MS": "300ms"}

    def test_connections_without_a_whole_header_are_closed(self):
        starts = (b"", b"\r\n", b"\0" * 100, b"G", b"GET /health",
                  b"GET /health HTTP/1.1\r\nHost: a\r\n")
        held = [self.daemon.connect() for _ in starts]
        for conn, start in zip(held, starts):
            conn.send(start)
        for conn, start in zip(held, starts):
            self.assertNotIn(b" 200 ", conn.read_to_end(), start)
            conn.close()
        self.assertEqual(self.daemon.request("GET", "/health").status, 200)
        server = self.daemon.request("GET", "/stats").json()["server"]
        self.assertEqual(server["connections_timed_out"], len(starts))


class ClientsThatLeave(ProcessCase):
    def test_they_are_not_counted_as_timed_out(self):
        for start in (b"", b"G", b"GET /health HTTP/1.1\r\nHost: a\r\n"):
            with self.daemon.connect() as conn:
                conn.send(start)
        with self.daemon.connect() as conn:
            self.assertEqual(conn.request("GET", "/health").status, 200)
            conn.send(b"GET /hea")
        deadline = time.monotonic() + 30
        while True:
            server = self.daemon.request("GET", "/stats").json()["server"]
            if server["connections"] == 1:
                break
            self.assertLess(time.monotonic(), deadline, server)
            time.sleep(0.01)
        self.assertEqual(server["connections_timed_out"], 0)


class IdleDeadline(ProcessCase):
    env = {"VARVE_IDLE_TIMEOUT_MS": "300ms"}

    def test_idle_connection_is_closed(self):
        with self.daemon.connect() as conn:
            self.assertEqual(conn.request("GET", "/health").status, 200)
            self.assertEqual(conn.read_to_end(), b"")


class RequestDeadline(ProcessCase):
    env = {"VARVE_REQUEST_TIMEOUT_MS": "500ms"}

    def test_body_that_does_not_come(self):
        with self.daemon.connect() as conn:
            conn.send(make_request("PUT", "/kv/a", b"abc", RAW + [("Content-Length", 100)]))
            self.assertNotIn(b" 200 ", conn.read_to_end())
        self.assertIsNone(self.get("a"))


class BodyBudget(ProcessCase):
    env = {"VARVE_BODIES_IN_FLIGHT_BYTES": "2MiB", "VARVE_MAX_BODY_BYTES": "1MiB",
           "VARVE_MAX_VALUE_BYTES": "1MiB"}

    def test_bodies_over_the_budget_are_told_to_come_later(self):
        body = bytes(900000)
        held = [self.daemon.connect() for _ in range(2)]
        for number, conn in enumerate(held):
            conn.send(make_request("PUT", "/kv/%d" % number, None,
                                   RAW + [("Content-Length", 1000000), ("Expect", "100-continue")]))
            self.assertEqual(conn.response(interim=True).status, 100)
            conn.send(body)
        self.wait_for_bodies(2 * len(body))
        for request in (
                make_request("PUT", "/kv/a", None, RAW + [("Content-Length", len(body))]),
                make_request("PUT", "/kv/a", chunked(body, [50000]),
                             RAW + [("Transfer-Encoding", "chunked")])):
            with self.daemon.connect() as conn:
                conn.send(request)
                answer = conn.response()
                self.assertIn(answer.status, (429, 503), answer)
                self.assertTrue(answer.header("Retry-After"), answer)
        for small in (b"x", bytes(65536)):  # not kept out by large ones that do not come
            self.put("small", small)
            self.assertEqual(self.daemon.request("PUT", "/kv/small", chunked(small, [5000]), RAW + [
                ("Transfer-Encoding", "chunked")]).status, 200)
        for conn in held:
            conn.send(bytes(100000))
            self.assertEqual(conn.response().status, 200)
            conn.close()
        self.put("a", body)

    def wait_for_bodies(self, size):
        deadline = time.monotonic() + 60
        while self.daemon.request("GET", "/stats").json()["server"]["body_bytes_in_flight"] < size:
            self.assertLess(time.monotonic(), deadline)

    def announce(self, target, length):
        conn = self.daemon.connect()
        self.addCleanup(conn.close)
        conn.send(make_request("PUT", target, None,
                               RAW + [("Content-Length", length), ("Expect", "100-continue")]))
        self.assertEqual(conn.response(interim=True).status, 100)
        return conn

    def test_bodies_that_do_not_come_take_no_room(self):
        held = [self.announce("/kv/held", 1000000) for _ in range(8)]
        for conn in held:
            conn.send(bytes(1000))
        self.put("a", bytes(900000))
        self.assertIsNone(self.get("held"))

    def test_who_finds_no_room_while_the_body_comes_is_told_behind_it(self):
        late = self.announce("/kv/late", 1000000)
        held = [self.announce("/kv/%d" % n, 1000000) for n in range(2)]
        for conn in held:
            conn.send(bytes(999999))
        self.wait_for_bodies(2 * 999999)
        late.send(bytes(1000000))
        answer = late.response()
        self.assertEqual((answer.status, answer.json()["code"]), (503, "busy"), answer)
        self.assertTrue(answer.header("Retry-After"), answer)
        for conn in held:
            conn.send(b"x")
            self.assertEqual(conn.response().status, 200)
        self.assertEqual(late.request("PUT", "/kv/late", bytes(1000000), RAW).status, 200)

    def test_dropped_body_over_the_limit(self):
        """Where a route takes none."""
        with self.daemon.connect() as conn:
            conn.send(make_request("DELETE", "/kv/a", chunked(bytes(1500000), [50000]),
                                   RAW + [("Transfer-Encoding", "chunked")]))
            answer = conn.response()
            self.assertEqual((answer.status, answer.json()["code"]), (413, "body_too_large"))
            self.assertEqual(answer.json()["limit"], 1 << 20)


class AnswerBudget(ProcessCase):
    env = {"VARVE_ANSWERS_IN_FLIGHT_BYTES": "1KiB", "VARVE_ANSWER_MIN_RATE": "0"}
    size = 16 << 20  # more than the kernel takes for a client that does not read

    def in_flight(self):
        return self.daemon.request("GET", "/stats").json()["server"]["answer_bytes_in_flight"]

    def wait_for_none_in_flight(self):
        """They are given back behind the last byte."""
        while self.in_flight() != 0:
            time.sleep(0.005)

    def hold(self, target):
        """A connection that has asked and reads no more than the first byte."""
        conn = self.daemon.connect()
        self.addCleanup(conn.close)
        conn.send(make_request("GET", target))
        conn.pending = conn.socket.recv(1)
        return conn

    def assert_later(self, target):
        with self.daemon.connect() as conn:
            answer = conn.request("GET", target)
            self.assertEqual((answer.status, answer.json()["code"]), (503, "busy"), answer)
            self.assertTrue(answer.header("Retry-After"), answer)
            self.assertEqual(conn.request("GET", "/kv/small").status, 200)

    def assert_length_costs_nothing(self):
        for query, length in (("?raw", self.size), ("", (self.size + 2) // 3 * 4),
                              ("?encoding=utf8", (self.size + 2) // 3 * 4)):
            head = self.daemon.request("HEAD", "/kv/big" + query)
            self.assertEqual(head.status, 200)
            self.assertGreaterEqual(int(head.header("Content-Length")), length)
            same = self.daemon.request("GET", "/kv/big" + query,
                                       headers=[("If-None-Match", head.header("ETag"))])
            self.assertEqual(same.status, 304)

    def setUp(self):
        super().setUp()
        self.put("big", b"\xff" + os.urandom(self.size - 1))
        self.put("text", b"\n" * 1000000)
        self.put("small", b"x")

    def test_one_large_answer_passes_and_others_come_later(self):
        for target, least in (("/kv/big?raw", self.size), ("/kv/big", self.size // 3 * 4),
                              ("/kv/range?prefix=big", self.size // 3 * 4)):
            conn = self.hold(target)
            self.assertGreaterEqual(self.in_flight(), least)
            for other in ("/kv/big?raw", "/kv/big", "/kv/range?prefix=b"):
                self.assert_later(other)
            self.assert_length_costs_nothing()
            # Its length is that of an answer which has to be made.
            self.assertEqual(self.daemon.request("HEAD", "/kv/text?encoding=utf8").status, 503)
            self.assertEqual(conn.response().status, 200)
            self.wait_for_none_in_flight()
            self.assertEqual(len(self.get("big")), self.size)
            self.wait_for_none_in_flight()
        self.assertGreaterEqual(
            self.daemon.request("GET", "/stats").json()["server"]["answers_refused"], 9)
        metrics = self.daemon.request("GET", "/metrics").body.decode()
        self.assertIn("\nvarve_http_answer_bytes_in_flight 0\n", metrics)

    def test_room_is_given_back_by_clients_that_leave(self):
        for target in ("/kv/big?raw", "/kv/big"):
            self.hold(target).close()
            self.wait_for_none_in_flight()
            self.assertEqual(len(self.get("big")), self.size)
            self.wait_for_none_in_flight()

    def test_value_that_is_being_sent_may_go(self):
        value = self.get("big")
        self.wait_for_none_in_flight()
        conn = self.hold("/kv/big?raw")
        self.put("big", b"new")
        for step in ("/admin/flush?wait=true", "/admin/compact?wait=true"):
            self.assertEqual(self.daemon.request("POST", step).status, 200)
        self.assertEqual(conn.response().body, value)
        self.assertEqual(self.get("big"), b"new")


class LargeValueCase(ProcessCase):
    size = 8 << 20

    def setUp(self):
        super().setUp()
        self.put("big", bytes(self.size))

    def read_slowly(self):
        """A socket that has asked for the value, and for which the kernel takes little of it."""
        peer = socket.socket()
        self.addCleanup(peer.close)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", self.daemon.port))
        peer.sendall(make_request("GET", "/kv/big?raw"))
        peer.settimeout(0)
        return peer

    def timed_out(self):
        return self.daemon.request("GET", "/stats").json()["server"]["connections_timed_out"]


def take_some(peer):
    """Reads a little of an answer, if there is any."""
    try:
        peer.recv(1024)
    except OSError:
        pass  # there is nothing yet, or the connection has gone


class SlowReadersOfLargeAnswers(LargeValueCase):
    """Their time runs with what they take, not with the size of what they have asked for."""

    env = {"VARVE_BODY_MIN_RATE": "16KiB", "VARVE_IDLE_TIMEOUT_MS": "3s"}

    def test_trickle_is_no_progress(self):
        peer = self.read_slowly()
        deadline = time.monotonic() + 200  # the value at the least rate would take 512 s
        while self.timed_out() == 0:
            self.assertLess(time.monotonic(), deadline)
            take_some(peer)
            time.sleep(0.1)


class SlowReadersThatFillTheBudget(LargeValueCase):
    env = {"VARVE_ANSWERS_IN_FLIGHT_BYTES": "24MiB", "VARVE_IDLE_TIMEOUT_MS": "60m"}

    def test_others_get_room(self):
        peers = [self.read_slowly() for _ in range(60)]
        deadline = time.monotonic() + 60
        while True:
            answer = self.daemon.request("GET", "/kv/big")
            if answer.status == 200:
                break
            self.assertEqual(answer.json()["code"], "busy", answer)
            self.assertLess(time.monotonic(), deadline)
            for peer in peers:
                take_some(peer)
            time.sleep(0.1)
        self.assertEqual(len(answer.json()["value"]), (self.size + 2) // 3 * 4)
        self.assertGreater(self.timed_out(), 0)


class SmallValues(ProcessCase):
    env = {"VARVE_MAX_VALUE_BYTES": "1000"}

    def test_limit_holds_in_each_form(self):
        self.put("a", bytes(1000))
        over = b"x" * 1001
        for answer in (
                self.daemon.request("PUT", "/kv/a", over, RAW),
                self.daemon.request("PUT", "/kv/a", chunked(over, [100]),
                                    RAW + [("Transfer-Encoding", "chunked")]),
                self.daemon.request("PUT", "/kv/a", {"value": b64(over)}),
                self.daemon.request("PUT", "/kv/a", {"value": over.decode(), "encoding": "utf8"}),
                self.daemon.request("POST", "/kv/batch", {"ops": [
                    {"op": "put", "key": "a", "value": b64(over)}]})):
            self.assertEqual(answer.status, 413, answer)
            self.assertEqual(answer.json()["code"], "value_too_large")
            self.assertEqual((answer.json()["limit"], answer.json()["actual"]), (1000, 1001))
        self.assertEqual(self.get("a"), bytes(1000))


class DrainDeadline(ProcessCase):
    env = {"VARVE_DRAIN_DELAY_MS": "100ms", "VARVE_DRAIN_TIMEOUT_MS": "500ms"}

    def test_client_that_does_not_read_does_not_hold_the_end(self):
        self.put("big", bytes(16 << 20))
        with self.daemon.connect() as conn:
            conn.send(make_request("GET", "/kv/big") * 2)
            conn.socket.recv(1)  # the answer is on its way
            self.daemon.stop()
        self.daemon.start()
        self.assertEqual(self.get("big"), bytes(16 << 20))


class SlowReader(ProcessCase):
    def test_client_that_does_not_read_holds_no_memtable(self):
        self.put("big", bytes(8 << 20))
        self.put("beside", bytes(16 << 20))
        with self.daemon.connect() as conn:
            conn.send(make_request("GET", "/kv/big?raw"))
            conn.socket.recv(1)  # the answer is on its way
            self.assertGreater(self.memtables(), 24 << 20)
            self.daemon.request("POST", "/admin/flush?wait=true")
            deadline = time.monotonic() + 60
            while self.memtables() > 4 << 20:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)

    def memtables(self):
        return self.daemon.request("GET", "/stats").json()["memory"]["memtable_bytes"]


class FewDescriptors(ProcessCase):
    """More tables than what connections leave of the files that the process may have."""

    env = {"VARVE_MAX_CONNECTIONS": "8", "VARVE_MEMTABLE_BYTES": "64KiB",
           "VARVE_TABLE_BYTES": "64KiB", "VARVE_COMPRESSION_BOTTOM": "none"}
    descriptors, tables = 330, 66  # 8 for connections, 256 beside

    def setUp(self):
        varved = os.environ.get("VARVED")
        super().setUp()
        self.daemon.stop()
        script = os.path.join(self.daemon.dir, "varved")
        with open(script, "w", encoding="utf-8") as out:
            out.write('#!/bin/sh\nulimit -n %d\nexec "%s" "$@"\n'
                      % (self.descriptors, os.path.abspath(varved)))
        os.chmod(script, 0o755)
        os.environ["VARVED"] = script
        try:
            self.daemon.start()
        finally:
            os.environ["VARVED"] = varved

    def test_tables_leave_enough_to_connections(self):
        values = {"k%d" % n: bytes([n % 256]) * 60000 for n in range(4 * self.tables)}
        for key, value in values.items():
            self.put(key, value, "?sync=false")
        answer = self.daemon.request("POST", "/admin/compact?wait=true")
        self.assertEqual(answer.status, 200, answer)
        for key, value in values.items():
            self.assertEqual(self.get(key), value)
        index = self.daemon.request("GET", "/stats").json()["index"]
        self.assertGreater(index["tables_open"], self.tables // 2)  # of twice as many
        self.assertLessEqual(index["tables_open"], self.tables)


class JsonLog(ProcessCase):
    env = {"VARVE_LOG_FORMAT": "json", "VARVE_LOG_LEVEL": "debug"}

    def test_each_line_is_a_document(self):
        for target in ("/kv/%0A%1B", '/kv/"a\\', "/kv/a?%22=1", b"/kv/\x1b\x80\xff"):
            self.daemon.request("GET", target, headers=[("X-Request-Id", 'quote"\\')])
        self.daemon.stop()
        lines = self.daemon.log().splitlines()
        self.assertGreater(len(lines), 4)
        for line in lines:
            self.assertIsInstance(json.loads(line), dict, line)
        self.daemon.start()


class Listening(ProcessCase):
    def test_other_addresses_than_loopback_need_a_word(self):
        for address in ("0.0.0.0", "[::]"):
            result = run_varved("--data-dir", self.daemon.dir + "/none", "--listen",
                                "%s:%d" % (address, free_port()), timeout=10)
            self.assertGreater(result.returncode, 0, result)
            self.assertIn("insecure", result.stderr)
