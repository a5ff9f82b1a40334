"""Keys that expire: `ttl` in and `expires_at` out."""

import time

from harness import Case, b64, percent

RAW = [("Content-Type", "application/octet-stream")]
TTL_MAX = 315360000
LONG = 1000


class Expiry(Case):
    def put_ttl(self, name, ttl, raw=False):
        """Puts a value that expires and gives when it does, which the answer tells."""
        before = time.time()
        if raw:
            answer = self.request("PUT", "/kv/%s?ttl=%d" % (percent(self.key(name)), ttl), b"v",
                                  RAW)
        else:
            answer = self.request("PUT", "/kv/" + percent(self.key(name)),
                                  {"value": b64(b"v"), "ttl": ttl})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(sorted(answer.json()), ["key", "revision"])
        return self.checked(self.item(name)["expires_at"], before, ttl)

    def checked(self, expires_at, before, ttl):
        self.assertIs(type(expires_at), int)
        self.assertGreaterEqual(expires_at, before + ttl)
        self.assertLess(expires_at, time.time() + ttl + 1)
        return expires_at

    def item(self, name):
        answer = self.request("GET", "/kv/" + percent(self.key(name)))
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def test_expires_at_in_every_answer(self):
        for ttl in (LONG, TTL_MAX):
            for raw in (False, True):
                expires_at = self.put_ttl("a", ttl, raw)
                self.put(self.key("b"), b"v")
                self.assertEqual(set(self.item("a")),
                                 {"key", "value", "encoding", "revision", "expires_at"})
                self.assertNotIn("expires_at", self.item("b"))
                for query in ("", "&keys_only=true", "&reverse=true"):
                    items = self.scan("prefix=" + self.prefix + query)["items"]
                    times = {item["key"][-1]: item.get("expires_at") for item in items}
                    self.assertEqual(times, {"a": expires_at, "b": None})
                results = self.batch([{"op": "get", "key": self.prefix + name}
                                      for name in ("a", "b", "c")])["results"]
                self.assertEqual([r.get("expires_at") for r in results], [expires_at, None, None])

    def test_batch(self):
        key = {"key": self.prefix + "a"}
        before = time.time()
        results = self.batch([{"op": "put", **key, "value": "", "ttl": LONG}, {"op": "get", **key},
                              {"op": "put", **key, "value": "", "ttl": LONG + 50},
                              {"op": "get", **key},
                              {"op": "put", "key": self.prefix + "b", "value": ""},
                              {"op": "get", "key": self.prefix + "b"}])["results"]
        first = self.checked(results[1]["expires_at"], before, LONG)
        self.assertEqual(results[3]["expires_at"], first + 50)
        self.assertEqual(self.item("a")["expires_at"], first + 50)
        self.assertEqual(results[0], {"op": "put"})
        self.assertNotIn("expires_at", results[5])

    def test_later_put_decides(self):
        first = self.put_ttl("a", LONG)
        self.assertGreater(self.put_ttl("a", LONG + 100), first)
        self.put(self.key("a"), b"v")
        self.assertNotIn("expires_at", self.item("a"))

    def test_bad_ttl(self):
        target = "/kv/" + percent(self.key("a"))
        for ttl in (0, -1, TTL_MAX + 1, 1 << 40, 1.0, 1.5, "1", True, None, []):
            for method, where, body, pointer in (
                    ("PUT", target, {"value": "", "ttl": ttl}, "/ttl"),
                    ("POST", "/kv/batch", {"ops": [{"op": "put", "key": self.prefix + "a",
                                                    "value": "", "ttl": ttl}]}, "/ops/0/ttl")):
                problem = self.refused_and_kept(method, where, 400, body)
                self.assertEqual(problem["errors"][0]["pointer"], pointer)
        for text in ("0", "-1", "%d" % (TTL_MAX + 1), "9" * 30, "1.5", "", "x", "1s", "%201"):
            self.refused("PUT", target + "?ttl=" + text, 400, b"v", RAW, names="ttl")
        for op in ("get", "delete"):
            problem = self.refused_and_kept("POST", "/kv/batch", 400, {"ops": [
                {"op": op, "key": self.prefix + "a", "ttl": 1}]})
            self.assertEqual(problem["errors"][0]["pointer"], "/ops/0/ttl")
        self.assertIsNone(self.get(self.key("a")))

    def test_parameter_is_for_raw_puts(self):
        target = "/kv/" + percent(self.key("a")) + "?ttl=5"
        self.refused("PUT", target, 400, {"value": ""}, names="ttl")
        for method in ("GET", "DELETE"):
            self.refused(method, target, 400, names="ttl")
        self.refused("POST", "/kv/batch?ttl=5", 400, {"ops": []}, names="ttl")

    def test_expired_key_is_absent_everywhere(self):
        self.put(self.key("z"), b"stays")
        last = max(self.put_ttl("a", 1), self.put_ttl("b", 1, raw=True))
        revision = self.item("a")["revision"] if time.time() < last - 0.5 else 1
        while any(self.get(self.key(name)) is not None for name in "ab"):
            self.assertLess(time.time(), last + 30, "it lives too long")
            time.sleep(0.05)
        self.assertGreaterEqual(time.time(), last)
        self.assertEqual([item["key"] for item in self.scan("prefix=" + self.prefix)["items"]],
                         [self.prefix + "z"])
        self.assertEqual(self.batch([{"op": "get", "key": self.prefix + "a"},
                                     {"op": "check", "key": self.prefix + "a", "revision": 0}]
                                    )["results"][0], {"op": "get", "found": False})
        target = "/kv/" + percent(self.key("a"))
        answer = self.request("PUT", target, b"v", RAW + [("If-Match", '"%d"' % revision)])
        self.assertEqual(self.assert_problem(answer, 412)["current_revision"], 0)
        answer = self.request("PUT", target, b"again", RAW + [("If-None-Match", "*")])
        self.assertEqual(answer.status, 200)
        self.assertNotIn("expires_at", self.item("a"))
