"""Each status with its code and members, what ends a connection and what does not."""

import json
import os

from case_process import ProcessCase
from harness import Case, b64, budget_choose, chunked, make_request

RAW = [("Content-Type", "application/octet-stream")]
VALUE_BYTES_MAX = 16 << 20
OPS_MAX = 10000


class Closing(Case):
    """An error keeps the connection, but 413, 414, 431 and bad framing, which say that they do
    not."""

    def closes(self, data, status, method="GET"):
        with self.connect() as conn:
            conn.send(data)
            answer = conn.response(method)
            self.assertEqual(answer.status, status, answer)
            self.assertTrue(answer.says_close(), answer)
            self.assertTrue(conn.closed())
        return answer

    def test_413_of_a_json_value(self):
        body = json.dumps({"value": "x" * (VALUE_BYTES_MAX + 1), "encoding": "utf8"}).encode()
        self.closes(make_request("PUT", "/kv/" + self.prefix, body), 413)

    def test_413_of_a_batch_with_too_many_ops(self):
        ops = [{"op": "get", "key": "a"}] * (OPS_MAX + 1)
        self.closes(make_request("POST", "/kv/batch", {"ops": ops}), 413)

    def test_413_of_a_result(self):
        self.put(self.key(), bytes(VALUE_BYTES_MAX))
        ops = [{"op": "get", "key": self.prefix}] * 3
        answer = self.closes(make_request("POST", "/kv/batch", {"ops": ops}), 413)
        self.assertEqual(answer.json()["code"], "result_too_large")
        self.delete(self.key())

    def test_413_of_a_chunked_body(self):
        body = chunked(bytes(VALUE_BYTES_MAX + 1), [1 << 20])
        self.closes(make_request("PUT", "/kv/" + self.prefix, body,
                                 RAW + [("Transfer-Encoding", "chunked")]), 413)

    def test_414(self):
        self.closes(make_request("GET", "/kv/" + "x" * (15 * 1024 - 3)), 414)
        self.closes(make_request("PUT", "/kv/" + "x" * (15 * 1024 - 3), b"v", RAW), 414)
        self.closes(make_request("GET", "/kv/a?x=" + "y" * 16000), 414)

    def test_what_target_and_header_may_have_together(self):
        """18 KiB with 64 bytes a field: neither is over its own limit then."""
        for target_size, fields in ((3000, 1), (3000, 100), (9000, 20), (14000, 4), (15000, 30)):
            with self.connect() as conn:
                line = b"GET /kv?key=a&%s HTTP/1.1\r\nHost: a\r\n" % (b"x" * (target_size - 11))
                rest = 18432 - len(line) - 2 - 64 * (fields + 1)
                size = rest // fields - len(b"X-100: \r\n")
                conn.send(line + b"".join(b"X-%d: %s\r\n" % (100 + number, b"y" * size)
                                          for number in range(fields)) + b"\r\n")
                answer = conn.response()
                self.assertEqual(answer.status, 400, answer)
                self.assertEqual(answer.json()["code"], "invalid_parameter")

    def test_431(self):
        headers = [("X-%03d" % number, "x" * 100) for number in range(160)]
        self.closes(make_request("GET", "/health", None, headers), 431)
        self.closes(make_request("GET", "/kv/a", None, [("X", "x" * 17000)]), 431)

    def test_framing(self):
        for lines in (b"Transfer-Encoding: gzip\r\n", b"Content-Length: 1\r\nContent-Length: 2\r\n",
                      b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", b"Host: b\r\n"):
            self.closes(b"PUT /kv/a HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n", 400)

    def test_all_others_go_on(self):
        revision = self.put(self.key(), b"v")
        batch = {"ops": [{"op": "check", "key": self.prefix, "revision": revision + 1}]}
        with self.connect() as conn:
            for method, target, body, headers, status in (
                    ("PUT", "/kv/" + self.prefix, b"v", RAW + [("If-Match", '"1"')], 412),
                    ("DELETE", "/kv/" + self.prefix, None, [("If-Match", '"1"')], 412),
                    ("PUT", "/kv/" + self.prefix, b"v", RAW + [("If-Match", "1")], 400),
                    ("POST", "/kv/batch", batch, (), 412),
                    ("POST", "/kv/batch", "[]", (), 400),
                    ("PUT", "/kv/" + self.prefix, {"value": "", "ttl": 0}, (), 400),
                    ("POST", "/admin/flush?wait=x", b"", (), 400),
                    ("POST", "/admin/none", b"", (), 404),
                    ("GET", "/admin/flush", None, (), 405),
                    ("PATCH", "/kv/range", None, (), 405),
                    ("GET", "/kv/range?start=b&end=a", None, (), 400),
                    ("GET", "/kv/range", None, [("Accept", "text/plain")], 406)):
                answer = conn.request(method, target, body, headers)
                self.assert_problem(answer, status)
                self.assertFalse(answer.says_close(), (method, target, answer))
        self.assertEqual(self.get(self.key()), b"v")

    def test_refused_chunked_body_of_a_bad_target(self):
        """The body is read away or the connection closed; it is never taken for a request."""
        body = make_request("PUT", "/kv/%shidden" % self.prefix, b"x", RAW)
        for target in ("/kv/%zz", "/kv/", "/none", "/kv/a?colour=1", "/health"):
            for framed, headers in ((body, []), (chunked(body, [9]),
                                                 [("Transfer-Encoding", "chunked")])):
                with self.connect() as conn:
                    conn.send(make_request("PUT", target, framed, RAW + headers))
                    answer = conn.response()
                    self.assertIn(answer.status, (400, 404, 405))
                    if not answer.says_close():
                        self.assertEqual(conn.request("GET", "/health/live").status, 200)
        self.assertIsNone(self.get(self.key("hidden")))


class Methods(Case):
    def allow(self, method, target):
        answer = self.request(method, target)
        self.assert_problem(answer, 405)
        return {name.strip() for name in answer.header("Allow").split(",")}

    def test_allow_is_exact(self):
        for method, target, expected in (
                ("PATCH", "/kv/a", "GET HEAD PUT DELETE"),
                ("POST", "/kv?key=a", "GET HEAD PUT DELETE"),
                ("PATCH", "/kv/range", "GET HEAD PUT DELETE"),
                ("PATCH", "/kv/batch", "GET HEAD PUT DELETE POST"),
                ("DELETE", "/health", "GET HEAD"), ("DELETE", "/metrics", "GET HEAD"),
                ("DELETE", "/stats", "GET HEAD"), ("DELETE", "/version", "GET HEAD"),
                ("DELETE", "/openapi.json", "GET HEAD"), ("GET", "/admin/flush", "POST"),
                ("GET", "/admin/compact", "POST"), ("GET", "/admin/backup", "POST")):
            allowed = self.allow(method, target) - {"OPTIONS"}
            self.assertEqual(allowed, set(expected.split()), (method, target))

    def test_what_is_allowed_is_not_405(self):
        for target in ("/kv/a", "/kv/range", "/health", "/stats", "/metrics", "/version"):
            for method in self.allow("PATCH", target):
                if method in ("GET", "HEAD"):
                    self.assertNotEqual(self.request(method, target).status, 405)

    def test_parameters_of_another_method(self):
        """What a method does not know is refused, even if another one does."""
        for method, target, name in (
                ("GET", "/kv/a?sync=true", "sync"), ("GET", "/kv/a?ttl=5", "ttl"),
                ("DELETE", "/kv/a?encoding=utf8", "encoding"), ("DELETE", "/kv/a?ttl=5", "ttl"),
                ("PUT", "/kv/a?limit=1", "limit"), ("POST", "/kv/batch?prefix=a", "prefix"),
                ("PUT", "/kv/range?prefix=a", "prefix"), ("POST", "/admin/flush?sync=true", "sync"),
                ("GET", "/kv/batch?limit=1", "limit"), ("DELETE", "/kv/range?limit=1", "limit")):
            body = {"value": ""} if method == "PUT" else {"ops": []} if "batch" in target \
                and method == "POST" else None
            self.refused(method, target, 400, body, names=name)


class Admin(Case):
    def test_compact(self):
        self.put(self.key(), b"v")
        self.assertEqual(self.request("POST", "/admin/compact").status, 202)
        self.assertEqual(self.request("POST", "/admin/compact?wait=false").status, 202)
        self.assertEqual(self.request("POST", "/admin/compact?wait=true").status, 200)
        self.assertEqual(self.get(self.key()), b"v")

    def test_compact_with_bad_parameters(self):
        for query, name in (("wait=1", "wait"), ("wait", "wait"), ("colour=1", "colour"),
                            ("wait=true&wait=false", "wait")):
            self.refused("POST", "/admin/compact?" + query, 400, names=name)

    def test_expired_and_deleted_keys_stay_away(self):
        for number in range(20):
            self.put(self.key(str(number)), b"v")
        self.request("POST", "/admin/flush?wait=true")
        for number in range(0, 20, 2):
            self.delete(self.key(str(number)))
        for _ in range(2):
            self.assertEqual(self.request("POST", "/admin/compact?wait=true").status, 200)
            found = [item["key"] for item in self.scan("prefix=" + self.prefix)["items"]]
            self.assertEqual(found, sorted(self.prefix + str(n) for n in range(1, 20, 2)))

    def test_paths_beside(self):
        for target in ("/admin/flush/", "/admin/compactx", "/admin//flush", "/admin/FLUSH"):
            self.assert_problem(self.request("POST", target, b""), 404)


class Documents(Case):
    def test_openapi(self):
        answer = self.request("GET", "/openapi.json")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("Content-Type").split(";")[0], "application/json")
        document = answer.json()
        self.assertTrue(document["openapi"].startswith("3.1"))
        self.assertTrue({"/kv/{key}", "/kv/range", "/kv/batch", "/health", "/stats", "/metrics",
                         "/version"} <= set(document["paths"]))

    def test_stats_has_what_the_contract_names(self):
        document = self.request("GET", "/stats").json()
        for member in ("server", "config", "ops", "memtable", "wal", "levels", "compaction",
                       "amplification", "bloom", "index", "cache", "stalls", "disk"):
            self.assertIn(member, document)
        for what in ("write", "read", "space"):
            self.assertTrue(any(what in member for member in document["amplification"]), what)

    def test_every_error_has_a_type_of_its_own(self):
        self.put(self.key(), b"v")
        seen = {}
        for method, target, body, headers in (
                ("GET", "/kv/none", None, ()), ("GET", "/kv/", None, ()),
                ("PATCH", "/kv/a", None, ()), ("PUT", "/kv/a", None, ()),
                ("GET", "/kv/a", None, [("Accept", "text/plain")]),
                ("GET", "/kv/range?cursor=x", None, ()),
                ("PUT", "/kv/" + self.prefix, {"value": ""}, [("If-None-Match", "*")]),
                ("POST", "/kv/batch", {"ops": [{"op": "check", "key": "a", "revision": 9}]}, ())):
            answer = self.request(method, target, body, headers)
            problem = self.assert_problem(answer, answer.status)
            self.assertGreaterEqual(answer.status, 400)
            seen.setdefault((problem["code"], problem["title"]), set()).add(answer.status)
        for statuses in seen.values():
            self.assertEqual(len(statuses), 1, seen)


class Damage(ProcessCase):
    """A damaged block is a 500 that says so: never a 404, never a wrong value, never a shorter
    page."""

    def setUp(self):
        super().setUp()
        ops = [{"op": "put", "key": "d%04d" % n, "value": b64(os.urandom(200))}
               for n in range(budget_choose(500, 2000, 2000))]
        self.assertEqual(self.daemon.request("POST", "/kv/batch", {"ops": ops}).status, 200)
        self.values = {op["key"]: op["value"] for op in ops}
        for step in ("flush", "compact"):
            self.assertEqual(self.daemon.request("POST", "/admin/%s?wait=true" % step).status, 200)
        self.daemon.stop()

    def damage_largest_table(self):
        paths = [os.path.join(folder, name)
                 for folder, _, names in os.walk(self.daemon.data_dir) for name in names]
        path = max((path for path in paths if path.endswith(".sst")), key=os.path.getsize)
        with open(path, "r+b") as file:
            file.seek(50000)
            old = file.read(1)
            file.seek(50000)
            file.write(bytes([old[0] ^ 0x10]))

    def test_damaged_block(self):
        self.damage_largest_table()
        self.daemon.start()
        damaged = 0
        with self.daemon.connect() as conn:
            for key, value in self.values.items():
                answer = conn.request("GET", "/kv/" + key)
                if answer.status == 200:
                    self.assertEqual(answer.json()["value"], value)
                    continue
                problem = Case.assert_problem(self, answer, 500, "corruption")
                self.assertNotIn(self.daemon.dir, json.dumps(problem))
                damaged += 1
        self.assertIn(damaged, range(1, 200))
        self.assertEqual(self.daemon.request("GET", "/health/live").status, 200)

    def test_scans_and_batches_over_a_damaged_block(self):
        self.damage_largest_table()
        self.daemon.start()
        lost = []
        for key, value in self.values.items():
            one = self.daemon.request("GET", "/kv/" + key).status
            answer = self.daemon.request("GET", "/kv/range?start=%s&limit=1" % key)
            if one == 500:
                lost.append(key)
                Case.assert_problem(self, answer, 500, "corruption")
            elif answer.status == 200:
                page = answer.json()
                self.assertEqual([(i["key"], i["value"]) for i in page["items"]], [(key, value)])
            else:  # whether there is more could not be told
                Case.assert_problem(self, answer, 500, "corruption")
        self.assertTrue(lost)
        for query in ("limit=1000&start=%s" % lost[0], "reverse=true&end=%s0" % lost[-1],
                      "count_only=true", "keys_only=true&limit=1000&start=%s" % lost[0]):
            answer = self.daemon.request("GET", "/kv/range?" + query)
            Case.assert_problem(self, answer, 500, "corruption")
        lost = lost[0]
        answer = self.daemon.request("POST", "/kv/batch", {"ops": [
            {"op": "get", "key": lost}, {"op": "put", "key": "new", "value": ""}]})
        Case.assert_problem(self, answer, 500, "corruption")
        self.assertIsNone(self.get("new"))
        for query in ("", "?raw", "?encoding=utf8"):
            self.assertEqual(self.daemon.request("HEAD", "/kv/" + lost + query).status, 500)
