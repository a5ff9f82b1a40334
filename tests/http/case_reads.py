"""What a read answers: 304, HEAD beside GET, Accept in all its forms, the query in all of its."""

from harness import Case, b64, make_request, percent, url64

FORMS = (("?raw", '"%d"'), ("", '"%d-json"'), ("?encoding=utf8", '"%d-utf8"'))


class NotModified(Case):
    def setUp(self):
        super().setUp()
        self.old = self.put(self.key(), b"old")
        self.revision = self.put(self.key(), b"now")

    def asked(self, query, *values, method="GET"):
        return self.request(method, "/kv/" + self.prefix + query, None,
                            [("If-None-Match", value) for value in values])

    def unchanged(self, query, tag, *values):
        for method in ("GET", "HEAD"):
            answer = self.asked(query, *values, method=method)
            self.assertEqual((answer.status, answer.body), (304, b""), (query, values, answer))
            self.assertEqual(answer.header("ETag"), tag % self.revision)
            self.assertTrue(answer.header("X-Request-Id"))
            self.assertIn(answer.header("X-Varve-Revision"), (None, str(self.revision)))

    def changed(self, query, *values):
        for method in ("GET", "HEAD"):
            answer = self.asked(query, *values, method=method)
            self.assertEqual(answer.status, 200, (query, values, answer))

    def test_own_tag_of_each_form(self):
        for query, tag in FORMS:
            self.unchanged(query, tag, tag % self.revision)

    def test_tag_that_a_read_answered(self):
        for query, tag in FORMS:
            self.unchanged(query, tag, self.asked(query).header("ETag"))

    def test_any(self):
        for query, tag in FORMS:
            self.unchanged(query, tag, "*")

    def test_lists_and_several_fields(self):
        for query, tag in FORMS:
            now, old = tag % self.revision, tag % self.old
            self.unchanged(query, tag, "%s, %s" % (old, now))
            self.unchanged(query, tag, "%s,,%s" % (now, old))
            self.unchanged(query, tag, old, now)

    def test_other_revisions(self):
        for query, tag in FORMS:
            for revision in (self.old, self.revision + 1, 0, self.revision * 10):
                self.changed(query, tag % revision)
            self.changed(query, '"x"')
            self.changed(query, '""')

    def test_malformed(self):
        for value in ("", "42", '"42', '"42" "43"', '*, "42"', "* *"):
            answer = self.asked("", value)
            self.assert_problem(answer, 400, names="If-None-Match")

    def test_absent_key(self):
        for value in ("*", '"1"'):
            answer = self.request("GET", "/kv/%sabsent" % self.prefix, None,
                                  [("If-None-Match", value)])
            self.assert_problem(answer, 404)

    def test_connection_goes_on_behind_a_304(self):
        with self.connect() as conn:
            request = make_request("GET", "/kv/" + self.prefix, None, [("If-None-Match", "*")])
            conn.send((request + make_request("GET", "/health/live")) * 5)
            for _ in range(5):
                self.assertEqual(conn.response().status, 304)
                self.assertEqual(conn.response().status, 200)

    def test_tag_changes_with_each_write(self):
        tags = set()
        for _ in range(10):
            self.put(self.key(), b"same")
            tags.add(self.asked("").header("ETag"))
        self.assertEqual(len(tags), 10)

    def test_tag_stays_without_a_write(self):
        tag = self.asked("").header("ETag")
        self.put(self.key("other"), b"x")
        self.assertEqual(self.request("POST", "/admin/flush?wait=true").status, 200)
        self.assertEqual(self.request("POST", "/admin/compact?wait=true").status, 200)
        self.assertEqual(self.asked("").header("ETag"), tag)


class HeadBesideGet(Case):
    def same(self, target, headers=(), but=()):
        full = self.request("GET", target, None, headers)
        with self.connect() as conn:
            head = conn.request("HEAD", target, None, headers)
            self.assertEqual(conn.request("GET", "/health/live").status, 200)
        self.assertEqual(head.status, full.status, target)
        for name in {"content-type", "content-length", "etag", "x-varve-revision",
                     "x-content-type-options", "allow"} - set(but):
            self.assertEqual(head.header(name), full.header(name), (target, name))
        self.assertTrue(head.header("X-Request-Id"))

    def test_keys(self):
        self.put(self.key(), b"\xff" * 1000)
        for query in ("", "?raw", "?encoding=utf8", "?encoding=base64"):
            self.same("/kv/" + self.prefix + query)
        self.same("/kv?key=" + percent(self.key()))
        self.same("/kv?raw&key64=" + url64(self.key()))
        self.same("/kv/" + self.prefix, [("Accept", "application/octet-stream")])

    def test_empty_and_large_values(self):
        for value in (b"", bytes(1 << 20), bytes(16 << 20)):
            self.put(self.key(), value)
            self.same("/kv/" + self.prefix)
            self.same("/kv/" + self.prefix + "?raw")
        self.delete(self.key())

    def test_ranges(self):
        for number in range(3):
            self.put(self.key(str(number)), b"v")
        for query in ("", "&limit=2", "&reverse=true", "&keys_only=true", "&encoding=utf8"):
            self.same("/kv/range?prefix=" + self.prefix + query)

    def test_service(self):
        for target in ("/health", "/health/live", "/health/ready", "/version", "/openapi.json"):
            self.same(target)
        for target in ("/stats", "/metrics", "/stats?format=prometheus"):
            self.same(target, but=["content-length"])

    def test_errors(self):
        for target in ("/kv/" + self.prefix, "/none", "/kv/", "/kv/%zz", "/kv/a?colour=1",
                       "/kv/range?limit=0", "/stats?format=x", "/admin/flush"):
            self.same(target, but=["content-length"])
        self.same("/kv/a", [("Accept", "text/plain")], but=["content-length"])


class AcceptForms(Case):
    def setUp(self):
        super().setUp()
        self.put(self.key(), b"v")

    def kind(self, *values):
        answer = self.request("GET", "/kv/" + self.prefix, None,
                              [("Accept", value) for value in values])
        if answer.status == 406:
            self.assert_problem(answer, 406)
            return None
        self.assertEqual(answer.status, 200, (values, answer))
        return answer.header("Content-Type").split(";")[0].rpartition("/")[2]

    def test_none(self):
        self.assertEqual(self.kind(), "json")

    def test_several_fields_are_one_list(self):
        self.assertEqual(self.kind("text/html", "application/json"), "json")
        self.assertEqual(self.kind("text/html", "application/octet-stream"), "octet-stream")
        self.assertIsNone(self.kind("text/html", "image/png"))

    def test_greater_weight_wins(self):
        for json, raw, kind in (("0.9", "0.8", "json"), ("0.8", "0.9", "octet-stream"),
                                ("0.001", "0", "json"), ("0", "0.001", "octet-stream"),
                                ("1", "0.999", "json"), ("0.999", "1.0", "octet-stream")):
            for order in (0, 1):
                values = ["application/json;q=" + json, "application/octet-stream;q=" + raw]
                self.assertEqual(self.kind(", ".join(values[::-1] if order else values)), kind)

    def test_most_exact_range_decides(self):
        self.assertEqual(self.kind("application/json;q=0, */*"), "octet-stream")
        self.assertEqual(self.kind("application/*;q=0.1, application/octet-stream;q=0"), "json")
        self.assertEqual(self.kind("*/*;q=0, application/json"), "json")
        self.assertIsNone(self.kind("application/*;q=0, */*"))

    def test_space_and_empty_members(self):
        for value in ("application/json ; q=0.5", " application/json ", ",application/json,",
                      "application/json;Q=0.5", "\tapplication/json\t;\tq=1"):
            self.assertEqual(self.kind(value), "json", value)


class QueryForms(Case):
    def setUp(self):
        super().setUp()
        self.put(self.key(), b"v")

    def test_empty_query(self):
        self.assertEqual(self.request("GET", "/kv/" + self.prefix + "?").status, 200)
        self.assertEqual(self.request("GET", "/health?").status, 200)
        self.assertEqual(self.request("GET", "/kv/range?").status, 200)

    def test_names_are_decoded(self):
        for query in ("%72aw", "r%61w", "%72%61%77"):
            answer = self.request("GET", "/kv/%s?%s" % (self.prefix, query))
            self.assertEqual(answer.body, b"v", query)
        self.refused_and_kept("GET", "/kv/%s?%%72aw&raw" % self.prefix, 400, names="raw")

    def test_values_are_decoded(self):
        answer = self.request("GET", "/kv/%s?encoding=%%75tf8" % self.prefix)
        self.assertEqual(answer.json()["value"], "v")
        self.assertEqual(self.request("GET", "/kv/range?limit=%31").status, 200)

    def test_every_bad_digit_of_an_escape(self):
        digits = set(b"0123456789abcdefABCDEF")
        with self.connect() as conn:
            for byte in range(0x21, 0x7f):
                if byte in digits or byte in b"#?":
                    continue
                for form in (b"%%%c0" % byte, b"%%0%c" % byte):
                    answer = conn.request("GET", b"/kv/a" + form + b"?raw")
                    self.assert_problem(answer, 400)

    def test_every_escape_in_a_bound(self):
        """Each byte, written as an escape, is itself."""
        with self.connect() as conn:
            for byte in range(256):
                key = self.key("x") + bytes([byte])
                conn.send(make_request("PUT", "/kv/%s?sync=false" % percent(key), {"value": ""}))
                self.assertEqual(conn.response().status, 200)
                answer = conn.request("GET", "/kv/range?start=%s&limit=1" % percent(key))
                item = answer.json()["items"][0]
                found = item["key"].encode() if "key" in item else None
                self.assertTrue(found == key or item.get("key64") == url64(key), item)

    def test_repeated_parameter_of_either_form(self):
        for query in ("key=a&key=a", "key64=YQ&key64=Yg", "key=a&%6bey=a"):
            self.refused_and_kept("GET", "/kv?" + query, 400)

    def test_fragment_is_part_of_nothing(self):
        """A client never sends one; if it does, it is refused or a byte of the key."""
        answer = self.request("GET", "/kv/%s#x" % self.prefix)
        self.assertIn(answer.status, (400, 404))


class LargestKeys(Case):
    def test_longest_key_in_every_place(self):
        key = self.key() + b"k" * (4096 - len(self.key()))
        text = key.decode()
        answer = self.request("PUT", "/kv?key64=" + url64(key), {"value": b64(b"v")})
        self.assertEqual(answer.json()["key"], text)
        for target in ("/kv/" + text, "/kv?key=" + text, "/kv?key64=" + url64(key)):
            self.assertEqual(self.request("GET", target).json()["key"], text)
            self.assertEqual(self.request("HEAD", target).status, 200)
        for query in ("prefix=" + text, "prefix64=" + url64(key),
                      "start=" + text + "&limit=1", "start64=" + url64(key) + "&limit=1"):
            self.assertEqual(self.scan(query)["items"][0]["key"], text)
        results = self.batch([{"op": "get", "key": text}, {"op": "get", "key64": url64(key)},
                              {"op": "delete", "key": text}])["results"]
        self.assertEqual([result.get("value") for result in results], [b64(b"v")] * 2 + [None])
        self.assertEqual(self.request("GET", "/kv/" + text).status, 404)

    def test_one_byte_more_in_every_place(self):
        key = b"k" * 4097
        for op in ({"op": "get"}, {"op": "delete"}, {"op": "check", "revision": 0},
                   {"op": "put", "value": ""}):
            for member, text in (("key", key.decode()), ("key64", url64(key))):
                problem = self.refused_and_kept("POST", "/kv/batch", 400,
                                                {"ops": [{**op, member: text}]})
                self.assertEqual(problem["errors"][0]["pointer"], "/ops/0/" + member)

    def test_longest_key_of_characters_of_several_bytes(self):
        """The limit counts bytes."""
        key = ("\u20ac" * 1365 + "x").encode()
        self.assertEqual(len(key), 4096)
        self.put(key, b"v")
        self.assertEqual(self.get(key), b"v")
        self.batch([{"op": "delete", "key": key.decode()}])
        self.refused_and_kept("POST", "/kv/batch", 400,
                              {"ops": [{"op": "get", "key": key.decode() + "x"}]})
