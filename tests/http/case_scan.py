"""Whole ranges: counts and streams."""

import glob
import json
import os
import random
import shutil
import threading
import time

from harness import Case, Daemon, b64, budget_choose, make_request, percent, url64

NDJSON = [("Accept", "application/x-ndjson")]
PATIENCE_S = 120
BATCH_OPS_MAX = 10000


def load(daemon, count, value=""):
    """Keys n/0000000 and so on, not synced."""
    for start in range(0, count, BATCH_OPS_MAX):
        ops = [{"op": "put", "key": "n/%07d" % number, "value": value}
               for number in range(start, min(count, start + BATCH_OPS_MAX))]
        answer = daemon.request("POST", "/kv/batch?sync=false", {"ops": ops})
        if answer.status != 200:
            raise AssertionError(answer)


def stream_request(query=""):
    return make_request("GET", "/kv/range?" + query, headers=NDJSON)


def cut_off(daemon, reason):
    return metric(daemon, 'varve_scans_cut_off_total{reason="%s"}' % reason)


def metric(daemon, name):
    for line in daemon.request("GET", "/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split()[-1])
    raise AssertionError("no metric " + name)


def wait_for(condition):
    """Polls: nothing here depends on how long it takes."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in %d s" % PATIENCE_S)
        time.sleep(0.02)


class Count(Case):
    def setUp(self):
        super().setUp()
        self.batch([{"op": "put", "key": "%s%03d" % (self.prefix, number), "value": b64(b"v")}
                    for number in range(250)])

    def below(self):
        return "prefix=" + percent(self.key())

    def count(self, query):
        answer = self.request("GET", "/kv/range?count_only=true&" + query)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.header("Content-Type"), "application/json")
        self.assertEqual(sorted(answer.json()), ["count", "revision"])
        return answer.json()["count"]

    def test_whole_range(self):
        self.assertEqual(self.count(self.below()), 250)
        self.assertEqual(self.count(self.below() + "&reverse=true&keys_only=true&encoding=utf8"),
                         250)
        self.assertEqual(self.count("start=%s&end=%s" % (percent(self.key("010")),
                                                         percent(self.key("020")))), 10)
        self.assertEqual(self.count("prefix=" + percent(self.key("x"))), 0)
        self.assertEqual(self.count("start=a&end=a"), 0)
        self.assertGreaterEqual(self.count(""), 250)

    def test_deleted_keys_do_not_count(self):
        for number in range(0, 250, 10):
            self.delete(self.key("%03d" % number))
        self.assertEqual(self.count(self.below()), 225)

    def test_revision(self):
        revision = self.put(self.key("new"), b"")
        answer = self.request("GET", "/kv/range?count_only=true&" + self.below())
        self.assertGreaterEqual(answer.json()["revision"], revision)
        self.assertEqual(answer.json()["count"], 251)

    def test_off_is_a_page(self):
        self.assertEqual(self.scan("count_only=false&limit=3&" + self.below())["count"], 3)

    def test_head(self):
        target = "/kv/range?count_only=true&" + self.below()
        with self.connect() as conn:
            answer = conn.request("HEAD", target)
            self.assertEqual((answer.status, answer.header("Content-Type")),
                             (200, "application/json"))
            length = len(conn.request("GET", target).body)
        self.assertEqual(int(answer.header("Content-Length")), length)

    def test_not_with_limit_or_cursor(self):
        cursor = self.scan("limit=1&" + self.below())["next_cursor"]
        for query in ("limit=5", "cursor=" + percent(cursor.encode())):
            self.refused_and_kept("GET", "/kv/range?count_only=true&" + query, 400,
                                  code="invalid_parameter", names="count_only")

    def test_refused(self):
        for query in ("count_only", "count_only=1", "count_only=", "count_only=TRUE"):
            self.refused_and_kept("GET", "/kv/range?" + query, 400, names="count_only")
        self.refused_and_kept("GET", "/kv/range?count_only=true&start=b&end=a", 400)
        self.refused_and_kept("GET", "/kv/range?count_only=true", 406,
                              headers=[("Accept", "text/plain")])

    def test_connection_goes_on(self):
        with self.connect() as conn:
            for _ in range(3):
                target = "/kv/range?count_only=true&" + self.below()
                self.assertEqual(conn.request("GET", target).json()["count"], 250)
                self.assertEqual(conn.request("GET", "/health/live").status, 200)

    def test_metrics(self):
        wait_for(lambda: metric(self.daemon, "varve_scans") == 0)
        self.assertEqual(metric(self.daemon, "varve_scans_limit"), 64)
        before = self.request("GET", "/stats").json()["ops"]["scan"]["count"]
        self.count(self.below())
        self.assertEqual(self.request("GET", "/stats").json()["ops"]["scan"]["count"], before + 1)


class CountOfMany(Case):
    """Against a daemon of its own, with enough keys for a count to be met under way."""

    KEYS = budget_choose(20000, 100000, 200000)

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(["--max-streams", "48"]).start()
        load(cls.daemon, cls.KEYS)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        cls.daemon.remove()

    def setUp(self):
        self.prefix = "t/"

    def test_given_up_when_the_client_has_gone(self):
        """The server looks now and then; a count that is quicker than that is tried again."""
        gone = 'varve_scans_cut_off_total{reason="client_gone"}'

        def try_it():
            connections = [self.connect() for _ in range(40)]
            for conn in connections:
                conn.send(b"GET /kv/range?count_only=true HTTP/1.1\r\nHost: a\r\n\r\n")
            for conn in connections:
                conn.close()
            wait_for(lambda: metric(self.daemon, "varve_scans") == 0)
            return metric(self.daemon, gone) > 0
        wait_for(try_it)
        self.assertEqual(metric(self.daemon, "varve_iterators"), 0)

    def test_no_more_than_the_limit(self):
        """So many counts at once that some are refused, and none of them is wrong."""
        seen = set()

        def try_it():
            connections = [self.connect() for _ in range(200)]
            for conn in connections:
                conn.send(b"GET /kv/range?count_only=true HTTP/1.1\r\nHost: a\r\n\r\n")
            for conn in connections:
                answer = conn.response()
                seen.add(answer.status)
                if answer.status == 200:
                    self.assertEqual(answer.json()["count"], self.KEYS)
                else:
                    self.assert_problem(answer, 503, "busy")
                    self.assertEqual(answer.header("Retry-After"), "1")
                conn.close()
            return seen == {200, 503}
        wait_for(try_it)


class Stream(Case):
    def setUp(self):
        super().setUp()
        self.names = ["%03d" % number for number in range(250)]
        self.batch([{"op": "put", "key": self.prefix + name, "value": b64(name.encode())}
                    for name in self.names])

    def below(self):
        return "prefix=" + percent(self.key())

    def stream(self, query):
        """The items and the last line."""
        answer = self.request("GET", "/kv/range?" + query, headers=NDJSON)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.header("Content-Type"), "application/x-ndjson")
        self.assertEqual(answer.body[-1:], b"\n")
        lines = [json.loads(line) for line in answer.body.decode().split("\n")[:-1]]
        last = lines.pop()
        more = {"next_cursor"} if last["truncated"] else set()
        self.assertEqual(set(last), {"count", "revision", "truncated"} | more)
        self.assertEqual(last["count"], len(lines))
        return lines, last

    def test_items_are_those_of_pages(self):
        for query in ("", "&reverse=true", "&keys_only=true", "&encoding=utf8",
                      "&encoding=utf8&reverse=true"):
            items, last = self.stream(self.below() + query)
            self.assertEqual(items, self.scan(self.below() + query + "&limit=1000")["items"])
            self.assertIs(last["truncated"], False)
            self.assertEqual(len(items), 250)

    def test_bounds(self):
        query = "start64=%s&end=%s" % (url64(self.key("010")), percent(self.key("013")))
        self.assertEqual([item["key"] for item in self.stream(query)[0]],
                         [self.prefix + name for name in ("010", "011", "012")])

    def test_empty(self):
        for query in ("prefix=" + percent(self.key("x")), "start=a&end=a"):
            items, last = self.stream(query)
            self.assertEqual((items, last["count"], last["truncated"]), ([], 0, False))

    def test_values_of_all_sizes(self):
        source = random.Random(3)
        values = [source.randbytes(size) for size in (0, 1, 100, 98304, 98305, 131072, 400000,
                                                      1 << 20, 5, 3 << 20, 1)]
        for number, value in enumerate(values):
            self.put(self.key("v/%02d" % number), value)
        self.put(self.key("v/t"), ("\x01\"\\é" * 50000).encode())
        items = self.stream("prefix=" + percent(self.key("v/")))[0]
        self.assertEqual([item["value"] for item in items[:-1]], [b64(value) for value in values])
        items = self.stream("encoding=utf8&prefix=" + percent(self.key("v/t")))[0]
        self.assertEqual(items[0]["value"], "\x01\"\\é" * 50000)
        for number in range(len(values)):
            self.delete(self.key("v/%02d" % number))

    def test_binary_keys_and_expiry(self):
        self.put(self.key("z\xff").replace(b"\xc3\xbf", b"\xff"), b"")
        self.put(self.key("z0"), b"", "?ttl=1000")
        items = self.stream("prefix=" + percent(self.key("z")))[0]
        self.assertIn("expires_at", items[0])
        self.assertEqual(items[1]["key64"], url64(self.key("z") + b"\xff"))

    def test_limit_and_cursor(self):
        items, last = self.stream(self.below() + "&limit=100")
        self.assertEqual((len(items), last["truncated"]), (100, True))
        rest, end = self.stream("cursor=" + percent(last["next_cursor"].encode()))
        self.assertEqual([item["key"] for item in items + rest],
                         [self.prefix + name for name in self.names])
        self.assertIs(end["truncated"], False)
        page = self.scan("limit=1&cursor=" + percent(last["next_cursor"].encode()))
        self.assertEqual(page["items"], rest[:1])
        items, last = self.stream(self.below() + "&limit=250")
        self.assertEqual((len(items), last["truncated"]), (250, False))
        self.assertEqual(len(self.stream(self.below() + "&limit=99999999999")[0]), 250)

    def test_refused(self):
        for query in ("limit=0", "limit=x", "start=b&end=a", "colour=1", "cursor=x", "raw"):
            self.refused_and_kept("GET", "/kv/range?" + query, 400, headers=NDJSON)
        self.refused_and_kept("GET", "/kv/range?count_only=true", 406, headers=NDJSON)

    def test_accept(self):
        for accept, kind in (("application/x-ndjson;q=0.5, application/json", "application/json"),
                             ("application/x-ndjson, application/json;q=0.5",
                              "application/x-ndjson"),
                             ("*/*", "application/json"), ("application/*", "application/json")):
            answer = self.request("GET", "/kv/range?" + self.below(),
                                  headers=[("Accept", accept)])
            self.assertEqual(answer.header("Content-Type"), kind)

    def test_head(self):
        with self.connect() as conn:
            answer = conn.request("HEAD", "/kv/range?" + self.below(), headers=NDJSON)
            self.assertEqual((answer.status, answer.header("Content-Type")),
                             (200, "application/x-ndjson"))
            self.assertIsNone(answer.header("Transfer-Encoding"))
            self.assertEqual(conn.request("GET", "/health/live").status, 200)

    def test_connection_goes_on(self):
        with self.connect() as conn:
            conn.send(3 * stream_request(self.below()) + make_request("GET", "/health/live"))
            bodies = {conn.response().body for _ in range(3)}
            self.assertEqual(len(bodies), 1)
            self.assertEqual(conn.response().json(), {"status": "ok"})

    def test_http_1_0(self):
        with self.connect() as conn:
            conn.send(make_request("GET", "/kv/range?" + self.below(), headers=NDJSON,
                                   version="HTTP/1.0"))
            answer = conn.response()
        self.assertEqual(answer.header("Transfer-Encoding"), None)
        self.assertEqual(json.loads(answer.body.splitlines()[-1])["count"], 250)

    def test_metrics(self):
        names = ("varve_streams_started_total", "varve_stream_items_total")
        before = [metric(self.daemon, name) for name in names]
        self.stream(self.below())
        self.assertEqual([metric(self.daemon, name) for name in names],
                         [before[0] + 1, before[1] + 250])
        wait_for(lambda: metric(self.daemon, "varve_scans") == 0)


class StreamOfMany(Case):
    """Against daemons of their own, with more than what a connection holds on its way. The keys are
    loaded once; each daemon has a copy of the store."""

    KEYS = budget_choose(3000, 10000, 20000)
    VALUE = "x" * budget_choose(4000, 1000, 1000)
    LONGEST = (KEYS + 1) * (len(VALUE) * 4 // 3 + 100)

    @classmethod
    def setUpClass(cls):
        cls.loaded = Daemon().start()
        cls.addClassCleanup(cls.loaded.remove)
        load(cls.loaded, cls.KEYS, b64(cls.VALUE.encode()))
        cls.loaded.stop()

    def begin(self, *args):
        daemon = Daemon(["--stream-idle-ms", "60m", "--drain-delay-ms", "0", *args])
        self.addCleanup(daemon.remove)
        shutil.copytree(self.loaded.data_dir, daemon.data_dir)
        return daemon.start()

    def setUp(self):
        self.prefix = "t/"

    def open_stream(self, daemon):
        """A stream of which only the beginning is read."""
        conn = daemon.connect()
        self.addCleanup(conn.close)
        conn.send(stream_request())
        head = conn.read_until(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        return conn

    def assert_cut_off(self, conn):
        """Neither the last line nor the last chunk ever comes."""
        rest = conn.read_to_end()
        self.assertLess(len(rest), self.LONGEST)
        self.assertFalse(rest.endswith(b"0\r\n\r\n"))
        self.assertNotIn(b'"truncated"', rest)

    def assert_all_gone(self, daemon):
        wait_for(lambda: metric(daemon, "varve_scans") == 0)
        self.assertEqual(metric(daemon, "varve_iterators"), 0)
        self.assertEqual(metric(daemon, "varve_http_answer_bytes_in_flight"), 0)

    def test_one_view_however_long_it_takes(self):
        daemon = self.begin()
        conn = self.open_stream(daemon)
        daemon.request("PUT", "/kv/z?sync=false", {"value": ""})
        daemon.request("DELETE", "/kv/n/%07d" % (self.KEYS - 1))
        self.assertGreater(metric(daemon, "varve_iterators"), 0)
        lines = conn.read_chunks().splitlines()
        last = json.loads(lines.pop())
        self.assertEqual((last["count"], last["truncated"]), (self.KEYS, False))
        self.assertEqual([json.loads(line)["key"] for line in lines],
                         ["n/%07d" % number for number in range(self.KEYS)])
        self.assert_all_gone(daemon)
        daemon.stop()

    def test_client_that_takes_nothing(self):
        daemon = self.begin("--stream-idle-ms", "200")
        conn = self.open_stream(daemon)
        wait_for(lambda: cut_off(daemon, "idle") == 1)
        self.assert_cut_off(conn)
        self.assert_all_gone(daemon)
        daemon.stop()

    def test_stream_that_takes_too_long(self):
        daemon = self.begin("--stream-timeout-ms", "3000")
        conn = self.open_stream(daemon)
        wait_for(lambda: cut_off(daemon, "timeout") == 1)
        self.assert_cut_off(conn)
        self.assert_all_gone(daemon)
        daemon.stop()

    def test_client_that_goes(self):
        daemon = self.begin()
        connections = [self.open_stream(daemon) for _ in range(8)]
        for conn in connections:
            conn.close()
        wait_for(lambda: cut_off(daemon, "client_gone") == 8)
        self.assert_all_gone(daemon)
        daemon.stop()

    def test_shutdown_does_not_wait_for_it(self):
        daemon = self.begin("--drain-timeout-ms", "100")
        conn = self.open_stream(daemon)
        daemon.stop()
        self.assert_cut_off(conn)

    def test_no_more_than_the_limit(self):
        daemon = self.begin("--max-streams", "2")
        connections = [self.open_stream(daemon) for _ in range(2)]
        for headers in (NDJSON, ()):
            target = "/kv/range" + ("" if headers else "?count_only=true")
            answer = daemon.request("GET", target, headers=headers)
            self.assert_problem(answer, 503, "busy")
            self.assertEqual(answer.header("Retry-After"), "1")
        connections[0].close()
        wait_for(lambda: metric(daemon, "varve_scans") == 1)
        conn = self.open_stream(daemon)
        self.assertEqual(len(conn.read_chunks().splitlines()), self.KEYS + 1)
        connections[1].close()
        self.assert_all_gone(daemon)
        daemon.stop()

    def test_budget_of_answers(self):
        daemon = self.begin("--answers-in-flight-bytes", "400000")
        conn = self.open_stream(daemon)
        self.assert_problem(daemon.request("GET", "/kv/range", headers=NDJSON), 503, "busy")
        conn.close()
        self.assert_all_gone(daemon)
        daemon.stop()

    def test_many_at_once(self):
        daemon = self.begin()
        count = self.KEYS // 2
        query = "start=n/%07d&keys_only=true" % count
        expected = daemon.request("GET", "/kv/range?" + query, headers=NDJSON).body
        self.assertEqual(expected.count(b"\n"), count + 1)
        wrong = []

        def read():
            with daemon.connect() as conn:
                for _ in range(3):
                    answer = conn.request("GET", "/kv/range?" + query, headers=NDJSON)
                    if answer.body != expected:
                        wrong.append(answer)
        threads = [threading.Thread(target=read) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assert_all_gone(daemon)
        daemon.stop()

    def damage(self, daemon, place):
        """Flips a byte at `place`, a share of the table that holds the first keys."""
        self.assertEqual(daemon.request("POST", "/admin/compact?wait=true").status, 200)
        daemon.stop()
        tables = glob.glob(os.path.join(daemon.data_dir, "**", "*.sst"), recursive=True)
        self.assertTrue(tables)
        path = max(tables, key=os.path.getsize)
        with open(path, "r+b") as file:
            at = int(os.path.getsize(path) * place)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 0x40]))
        daemon.start()

    def test_damage_in_the_middle(self):
        daemon = self.begin()
        self.damage(daemon, 0.5)
        conn = self.open_stream(daemon)
        self.assert_cut_off(conn)
        wait_for(lambda: cut_off(daemon, "error") == 1)
        self.assertIn("the stream is cut off after", daemon.log())
        self.assert_all_gone(daemon)
        self.assert_problem(daemon.request("GET", "/kv/range?count_only=true"), 500, "corruption")
        daemon.stop()

    def test_damage_at_the_start(self):
        daemon = self.begin()
        self.damage(daemon, 0.0001)
        self.assert_problem(daemon.request("GET", "/kv/range", headers=NDJSON), 500, "corruption")
        self.assert_all_gone(daemon)
        daemon.stop()
