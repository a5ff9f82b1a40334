"""Whole ranges: counts."""

import time

from harness import Case, Daemon, b64, percent

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
        name = 'varve_http_request_duration_seconds_count{op="scan"}'
        before = metric(self.daemon, name)
        self.count(self.below())
        self.assertEqual(metric(self.daemon, name), before + 1)
        self.assertEqual(self.request("GET", "/stats").json()["ops"]["scan"]["count"], before + 1)


class CountOfMany(Case):
    """Against a daemon of its own, with enough keys for a count to be met under way."""

    KEYS = 200000

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
