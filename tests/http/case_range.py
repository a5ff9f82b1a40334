"""Range pages: bounds, limits, both directions, cursors."""

import random
import string

from harness import Case, Daemon, b64, percent, url64

PAGE_DEFAULT = 100
PAGE_MAX = 1000
PAGE_BYTES_MAX = 4 << 20


class RangeCase(Case):
    """Twelve keys a0 … l0 below a prefix of the test's own."""

    def setUp(self):
        super().setUp()
        self.names = ["%s0" % letter for letter in "abcdefghijkl"]
        self.batch([{"op": "put", "key": self.prefix + name, "value": b64(name.encode())}
                    for name in self.names])

    def found(self, query):
        """The names that a scan gives, in its order."""
        page = self.scan(query)
        return [item["key"].removeprefix(self.prefix) for item in page["items"]]

    def bounds(self, start, end):
        return "start=%s&end=%s" % (percent(self.key(start)), percent(self.key(end)))

    def below(self):
        return "prefix=" + percent(self.key())

    def all_pages(self, query, limit):
        """The names of all pages one after the other; each but the last has `limit` items."""
        names, cursor = [], ""
        while True:
            page = self.scan("%s&limit=%d%s" % (query, limit, cursor))
            names += [item["key"].removeprefix(self.prefix) for item in page["items"]]
            if not page["truncated"]:
                return names
            self.assertEqual(page["count"], limit)
            cursor = "&cursor=" + percent(page["next_cursor"].encode())


class Range(RangeCase):
    def test_start_is_inclusive_and_end_exclusive(self):
        self.assertEqual(self.found(self.bounds("b0", "e0")), ["b0", "c0", "d0"])
        self.assertEqual(self.found(self.bounds("b00", "e00")), ["c0", "d0", "e0"])

    def test_items_of_a_page(self):
        page = self.scan(self.bounds("c0", "d0"))
        item = page["items"][0]
        self.assertEqual(item,
                         {"key": self.prefix + "c0", "value": b64(b"c0"), "encoding": "base64",
                                "revision": item["revision"]})
        self.assertGreaterEqual(page["revision"], item["revision"])
        self.assertIs(page["truncated"], False)

    def test_prefix(self):
        self.assertEqual(self.found(self.below()), self.names)
        self.assertEqual(self.found("prefix=" + percent(self.key("c"))), ["c0"])
        self.assertEqual(self.found("prefix=" + percent(self.key("c0"))), ["c0"])
        self.assertEqual(self.found("prefix=" + percent(self.key("c00"))), [])

    def test_prefix_of_highest_bytes(self):
        keys = [b"\xff\xff\xff" + name for name in (b"", b"\0", b"a", b"\xff", b"\xff\xff")]
        for key in keys:
            self.put(key, b"v")
        page = self.scan("prefix64=" + url64(b"\xff\xff\xff"))
        self.assertEqual([item["key64"] for item in page["items"]], [url64(key) for key in keys])
        page = self.scan("prefix64=" + url64(b"\xff\xff\xff") + "&reverse=true&limit=2")
        self.assertEqual([item["key64"] for item in page["items"]],
                         [url64(key) for key in reversed(keys)][:2])
        for key in keys:
            self.delete(key)

    def test_bounds_as_base64(self):
        start, end = url64(self.key("b0")), url64(self.key("e0"))
        self.assertEqual(self.found("start64=%s&end64=%s" % (start, end)), ["b0", "c0", "d0"])
        self.assertEqual(self.found("prefix64=" + url64(self.key("c"))), ["c0"])
        self.assertEqual(self.found("start64=%s&end=%s" % (start, percent(self.key("c0")))), ["b0"])

    def test_bounds_are_form_decoded(self):
        self.put(self.key("x y"), b"")
        self.assertEqual(self.found("prefix=" + self.prefix + "x+y"), ["x y"])

    def test_empty_bound_is_no_bound(self):
        rest = "&end=" + percent(self.key("c0")) + "&reverse=true&limit=2"
        self.assertEqual(self.found("start=" + rest), ["b0", "a0"])
        self.assertEqual(self.found("start64=" + rest), ["b0", "a0"])
        self.assertEqual(self.found("start=%s&end=&limit=2" % percent(self.key("k0"))),
                         ["k0", "l0"])
        for query in ("prefix=", "start=&end=", "prefix64=", "start64=&end64=", ""):
            self.assertTrue(self.scan(query)["items"])

    def test_equal_bounds_are_empty(self):
        page = self.scan(self.bounds("c0", "c0"))
        self.assertEqual((page["items"], page["truncated"]), ([], False))

    def test_start_after_end(self):
        self.refused_and_kept("GET", "/kv/range?" + self.bounds("d0", "c0"), 400)
        self.refused_and_kept("GET", "/kv/range?reverse=true&" + self.bounds("d0", "c0"), 400)

    def test_bounds_that_exclude_each_other(self):
        for query in ("start=a&start64=YQ", "end=a&end64=YQ", "prefix=a&prefix64=YQ",
                      "prefix=a&start=a",
                      "prefix=a&end=b", "prefix64=YQ&start64=YQ", "prefix=a&end64=Yg"):
            self.refused_and_kept("GET", "/kv/range?" + query, 400)

    def test_bad_base64_bounds(self):
        for query in ("start64=Y", "end64=*", "prefix64=YR", "start64=YQ=", "end64=a%2Bb"):
            self.refused_and_kept("GET", "/kv/range?" + query, 400)

    def test_long_bounds(self):
        key = self.key("m") + b"x" * (4096 - len(self.key("m")))
        self.put(key, b"long")
        query = "start64=%s&end64=%s" % (url64(key[:-1]), url64(key[:-1] + b"y"))
        self.assertEqual(self.found(query), [key.decode().removeprefix(self.prefix)])

    def test_limits(self):
        for limit in (1, 2, 11, 12, 13, PAGE_MAX):
            page = self.scan("%s&limit=%d" % (self.below(), limit))
            self.assertEqual(page["count"], min(limit, 12))
            self.assertEqual(page["truncated"], limit < 12, limit)

    def test_limits_that_are_refused(self):
        for text in ("0", "1001", "-1", "", "abc", "1.5", "1e2", "%2B5", "5x", "0x5", "%205",
                     "99999999999999999999", "18446744073709551617", "4294967297"):
            self.refused_and_kept("GET", "/kv/range?limit=" + text, 400, names="limit")

    def test_default_and_greatest_limit(self):
        for start in (0, 500):
            self.batch([{"op": "put", "key": "%sn/%04d" % (self.prefix, number), "value": ""}
                        for number in range(start, start + 500 + (start > 0))])
        below = "prefix=" + percent(self.key("n/"))
        self.assertEqual(self.scan(below)["count"], PAGE_DEFAULT)
        page = self.scan(below + "&limit=1000")
        self.assertEqual((page["count"], page["truncated"]), (PAGE_MAX, True))
        page = self.scan(below + "&limit=1000&cursor=" + percent(page["next_cursor"].encode()))
        self.assertEqual((page["count"], page["truncated"]), (1, False))

    def test_reverse(self):
        self.assertEqual(self.found(self.below() + "&reverse=true"), self.names[::-1])
        self.assertEqual(self.found(self.bounds("b0", "e0") + "&reverse=true"), ["d0", "c0", "b0"])
        self.assertEqual(self.found(self.below() + "&reverse=false"), self.names)

    def test_reverse_with_another_value(self):
        for text in ("", "1", "yes", "TRUE"):
            self.refused_and_kept("GET", "/kv/range?reverse=" + text, 400, names="reverse")
            self.refused_and_kept("GET", "/kv/range?keys_only=" + text, 400, names="keys_only")

    def test_keys_only(self):
        page = self.scan(self.below() + "&keys_only=true")
        self.assertEqual([sorted(item) for item in page["items"]], [["key", "revision"]] * 12)
        self.assertEqual([item["key"] for item in page["items"]],
                         [self.prefix + name for name in self.names])

    def test_utf8_encoding(self):
        self.put(self.key("text"), "é".encode())
        self.put(self.key("binary"), b"\xff")
        items = self.scan(self.below() + "&encoding=utf8")["items"]
        found = {item["key"].removeprefix(self.prefix): (item["value"], item["encoding"])
                 for item in items}
        self.assertEqual(found["a0"], ("a0", "utf8"))
        self.assertEqual(found["text"], ("é", "utf8"))
        self.assertEqual(found["binary"], ("/w==", "base64"))

    def test_unknown_and_repeated_parameters(self):
        for query, name in (("colour=1", "colour"), ("limit=1&limit=1", "limit"), ("raw", "raw"),
                            ("start=a&start=a", "start"), ("sync=true", "sync"), ("key=a", "key"),
                            ("encoding=hex", "encoding")):
            self.refused_and_kept("GET", "/kv/range?" + query, 400, names=name)

    def test_accept(self):
        self.assertEqual(self.request("GET", "/kv/range", headers=[("Accept", "*/*")]).status, 200)
        for accept in ("application/octet-stream", "text/plain"):
            self.refused_and_kept("GET", "/kv/range", 406, headers=[("Accept", accept)])

    def test_deleted_keys_are_not_there(self):
        self.delete(self.key("c0"))
        self.delete(self.key("l0"))
        rest = [name for name in self.names if name not in ("c0", "l0")]
        self.assertEqual(self.found(self.below()), rest)
        page = self.scan(self.below() + "&limit=10")
        self.assertIs(page["truncated"], False)

    def test_truncated_looks_behind_deleted_keys(self):
        for name in self.names[3:]:
            self.delete(self.key(name))
        page = self.scan(self.below() + "&limit=3")
        self.assertEqual((page["count"], page["truncated"]), (3, False))

    def test_keys_come_in_byte_order(self):
        source = random.Random(7)
        names = {bytes(source.choices(b"\0\x01/az\x7f\x80\xff", k=source.randint(1, 6)))
                 for _ in range(200)}
        for name in names:
            self.put(self.key("o/") + name, b"")
        keys, cursor = [], ""
        while True:
            page = self.scan("limit=37&prefix=" + percent(self.key("o/")) + cursor)
            keys += [item.get("key64") or url64(item["key"].encode()) for item in page["items"]]
            if not page["truncated"]:
                break
            cursor = "&cursor=" + page["next_cursor"]
        self.assertEqual(keys, [url64(self.key("o/") + name) for name in sorted(names)])

    def test_revision_of_a_page(self):
        revision = self.put(self.key("a0"), b"new")
        page = self.scan(self.below())
        self.assertGreaterEqual(page["revision"], revision)
        self.assertEqual(page["items"][0]["revision"], revision)

    def test_page_ends_at_its_bytes(self):
        for number in range(6):
            self.put(self.key("p/%d" % number), bytes(1 << 20))
        pages, names, cursor = 0, [], ""
        while True:
            page = self.scan("prefix=" + percent(self.key("p/")) + cursor)
            names += [item["key"][-1] for item in page["items"]]
            pages += 1
            if not page["truncated"]:
                break
            cursor = "&cursor=" + page["next_cursor"]
        self.assertEqual("".join(names), "012345")
        self.assertGreaterEqual(pages, 2)
        self.assertEqual(self.scan("prefix=%s&keys_only=true" % percent(self.key("p/")))["count"],
                         6)

    def test_page_has_at_least_one_item(self):
        for number in range(2):
            self.put(self.key("q/%d" % number), bytes(2 * PAGE_BYTES_MAX))
        page = self.scan("prefix=" + percent(self.key("q/")))
        self.assertEqual((page["count"], page["truncated"]), (1, True))
        page = self.scan("cursor=" + page["next_cursor"])
        self.assertEqual((page["count"], page["truncated"]), (1, False))

    def test_empty_store(self):
        daemon = Daemon().start()
        try:
            for query in ("", "?reverse=true", "?start=a&end=b", "?prefix=a&limit=1"):
                page = daemon.request("GET", "/kv/range" + query).json()
                self.assertEqual(page, {"items": [], "count": 0, "truncated": False,
                                        "revision": page["revision"]})
            daemon.stop()
        finally:
            daemon.remove()


class Cursors(RangeCase):
    def first(self, query=None, limit=4):
        page = self.scan("%s&limit=%d" % (query or self.below(), limit))
        self.assertTrue(page["truncated"])
        return page["next_cursor"]

    def refuse_cursor(self, query):
        self.refused_and_kept("GET", "/kv/range?" + query, 400, code="invalid_cursor")

    def test_pages_of_every_size_make_the_whole(self):
        for limit in range(1, 14):
            self.assertEqual(self.all_pages(self.below(), limit), self.names, limit)
            self.assertEqual(self.all_pages(self.below() + "&reverse=true", limit),
                             self.names[::-1])

    def test_cursor_carries_bounds_and_direction(self):
        cursor = self.first(self.bounds("b0", "k0") + "&reverse=true")
        self.assertEqual(self.found("cursor=" + cursor), ["f0", "e0", "d0", "c0", "b0"])
        cursor = self.first()
        self.assertEqual(self.found("cursor=" + cursor), self.names[4:])

    def test_bounds_may_be_given_again(self):
        for query in (self.below(), self.below() + "&reverse=true", self.bounds("a0", "z"),
                      self.bounds("a0", "z") + "&reverse=true"):
            cursor = self.first(query)
            self.assertEqual(self.found(query + "&cursor=" + cursor),
                             self.found("cursor=" + cursor))

    def test_other_bounds_or_direction(self):
        cursor = "&cursor=" + self.first()
        for query in ("prefix=" + percent(self.key("a")), "start=a", "end=z", "reverse=true",
                      "prefix=x", self.bounds("a0", "z")):
            self.refuse_cursor(query + cursor)
        cursor = "&cursor=" + self.first(self.bounds("a0", "z") + "&reverse=true")
        for query in (self.bounds("a0", "y"), self.bounds("b0", "z"), "reverse=false",
                      self.below()):
            self.refuse_cursor(query + cursor)

    def test_limit_and_form_may_change(self):
        cursor = "cursor=" + self.first()
        self.assertEqual(self.found(cursor + "&limit=1"), ["e0"])
        self.assertEqual(self.found(cursor + "&limit=1000"), self.names[4:])
        self.assertNotIn("value", self.scan(cursor + "&keys_only=true")["items"][0])
        self.assertEqual(self.scan(cursor + "&encoding=utf8")["items"][0]["value"], "e0")

    def test_resumes_behind_a_deleted_last_key(self):
        cursor = self.first()
        self.delete(self.key("d0"))
        self.delete(self.key("e0"))
        self.put(self.key("d00"), b"between")
        self.put(self.key("c00"), b"before")
        self.assertEqual(self.found("cursor=" + cursor)[:2], ["d00", "f0"])

    def test_resumes_strictly_behind_in_reverse(self):
        cursor = self.first(self.below() + "&reverse=true")
        self.put(self.key("i0\0"), b"passed")
        self.put(self.key("h1"), b"ahead")
        self.assertEqual(self.found("cursor=" + cursor)[:2], ["h1", "h0"])

    def test_same_cursor_twice(self):
        cursor = "cursor=" + self.first()
        self.assertEqual(self.found(cursor), self.found(cursor))

    def test_each_byte_altered(self):
        for query in (self.below(), self.bounds("a0", "z") + "&reverse=true"):
            cursor = self.first(query)
            self.assertRegex(cursor, r"\A[\x21-\x7e]+\Z")
            source = random.Random(11)
            with self.connect() as conn:
                for at, old in enumerate(cursor):
                    for new in source.sample(string.ascii_letters + string.digits + "-_.", 3):
                        if new == old:
                            continue
                        text = cursor[:at] + new + cursor[at + 1:]
                        answer = conn.request("GET", "/kv/range?cursor=" + percent(text.encode()))
                        self.assert_problem(answer, 400, "invalid_cursor")

    def test_last_characters_altered_in_every_way(self):
        cursor = self.first()
        alphabet = string.ascii_letters + string.digits + "-_=+/.~!"
        with self.connect() as conn:
            for at in range(len(cursor) - 3, len(cursor)):
                for new in alphabet.replace(cursor[at], ""):
                    text = cursor[:at] + new + cursor[at + 1:]
                    answer = conn.request("GET", "/kv/range?cursor=" + percent(text.encode()))
                    self.assert_problem(answer, 400, "invalid_cursor")

    def test_each_length_cut(self):
        cursor = self.first()
        with self.connect() as conn:
            for length in range(len(cursor)):
                answer = conn.request("GET",
                                      "/kv/range?cursor=" + percent(cursor[:length].encode()))
                self.assert_problem(answer, 400, "invalid_cursor")

    def test_lengthened_cursor(self):
        cursor = self.first()
        for tail in ("A", "AA", "AAA", "AAAA", "=", "==", "%00", "%20", "%0A", cursor):
            self.refuse_cursor("cursor=" + cursor + tail)

    def test_nonsense_cursors(self):
        for text in ("x", "AAAA", "null", "%00", "%FF%FF", "A" * 1000, "e30", "MQ", "..%2F.."):
            self.refuse_cursor("cursor=" + text)

    def test_cursor_with_the_longest_keys(self):
        keys = [b"\xfe" * 4095 + bytes([last]) for last in (1, 2, 3)]
        for key in keys:
            self.put(key, b"")
        page = self.scan("limit=1&prefix64=" + url64(b"\xfe" * 3000))
        for key in keys[1:]:
            page = self.scan("limit=1&cursor=" + page["next_cursor"])
            self.assertEqual(page["items"][0]["key64"], url64(key))
        self.assertIs(page["truncated"], False)
        for key in keys:
            self.delete(key)

    def test_cursor_with_equal_meaning_of_bounds(self):
        """A bound may be given again in its other form."""
        cursor = self.first()
        self.assertEqual(self.found("prefix64=%s&cursor=%s" % (url64(self.key()), cursor)),
                         self.names[4:])
