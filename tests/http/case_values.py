"""One key's value: JSON and raw, in and out; what is refused and with which answer."""

import json

from harness import Case, b64, chunked, make_request, percent

VALUE_BYTES_MAX = 16 << 20
BODY_BYTES_MAX = 32 << 20
JSON_DEPTH_MAX = 64
RAW = [("Content-Type", "application/octet-stream")]
JSON = [("Content-Type", "application/json")]

BAD_BASE64 = ("a", "ab", "abc", "YQ", "YQ=", "YQ===", "Y===", "YR==", "YWJ=", "YW=I", "=YWJ",
              "YWJj\n",
              "YW\nJj", "YW Jj", " YWJj", "YWJj ", "YWJj\r\n", "-_-_", "YQ==YQ==", "YWJj=", "====",
              "=",
              "YWJ.", "YW\tJj", "é===", "YWJjY")
TEXTS = ("", "plain", "é", "日本語", "😀", "\x01\x02\x1f", '"\\/\b\f\n\r\t', "\x7f", "\u2028", "\ufeff",
         "\ufffe\uffff", "\U0010ffff", "</script>")
NOT_TEXT = (b"\0", b"a\0b", b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
            b"\xe2\x82",
            b"abc\xf0\x9f\x98")


def pattern(count):
    return (bytes(range(256)) * (count // 256 + 1))[:count]


class ReadJson(Case):
    def test_members_of_a_key_answer(self):
        revision = self.put(self.key("user/1"), b"hi")
        answer = self.request("GET", "/kv/" + self.prefix + "user/1")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("Content-Type").split(";")[0], "application/json")
        self.assertEqual(answer.json(), {"key": self.prefix + "user/1", "value": "aGk=",
                                         "encoding": "base64", "revision": revision})

    def test_etag_and_revision_headers(self):
        revision = self.put(self.key(), b"v")
        for query, tag in (("", '"%d-json"'), ("?encoding=base64", '"%d-json"'),
                           ("?encoding=utf8", '"%d-utf8"'), ("?raw", '"%d"')):
            answer = self.request("GET", "/kv/" + self.prefix + query)
            self.assertEqual(answer.header("ETag"), tag % revision, query)
            self.assertEqual(answer.header("X-Varve-Revision"), str(revision), query)

    def test_absent_key_has_neither_etag_nor_revision(self):
        for query in ("", "?raw", "?encoding=utf8"):
            answer = self.request("GET", "/kv/" + self.prefix + "absent" + query)
            self.assert_problem(answer, 404)
            self.assertIsNone(answer.header("ETag"))
            self.assertIsNone(answer.header("X-Varve-Revision"))

    def test_base64_of_each_length_is_canonical_and_unbroken(self):
        for count in (*range(0, 80), 255, 256, 1000, 4095, 4096, 65537):
            self.put(self.key(), pattern(count))
            document = self.request("GET", "/kv/" + self.prefix).json()
            self.assertEqual(document["value"], b64(pattern(count)), count)

    def test_utf8_encoding_of_text(self):
        for text in TEXTS:
            self.put(self.key(), text.encode())
            answer = self.request("GET", "/kv/" + self.prefix + "?encoding=utf8")
            self.assertEqual(answer.json()["value"], text)
            self.assertEqual(answer.json()["encoding"], "utf8")

    def test_utf8_encoding_of_what_is_no_text(self):
        for value in NOT_TEXT:
            self.put(self.key(), value)
            document = self.request("GET", "/kv/" + self.prefix + "?encoding=utf8").json()
            self.assertEqual((document["value"], document["encoding"]), (b64(value), "base64"))

    def test_accept_that_json_satisfies(self):
        self.put(self.key(), b"v")
        for accept in ("*/*", "application/json", "application/*", "APPLICATION/JSON",
                       "text/html, */*;q=0.1", "application/json;q=0.5",
                       "text/plain,application/json",
                       "application/octet-stream;q=0.1, application/json",
                       "application/json; q=1.000",
                       "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"):
            answer = self.request("GET", "/kv/" + self.prefix, headers=[("Accept", accept)])
            self.assertEqual(answer.status, 200, (accept, answer))
            self.assertEqual(answer.json()["value"], b64(b"v"), accept)

    def test_accept_that_raw_satisfies(self):
        self.put(self.key(), b"\0v")
        for accept in ("application/octet-stream", "application/octet-stream;q=0.3",
                       "application/json;q=0.1, application/octet-stream",
                       "Application/Octet-Stream",
                       "application/octet-stream, */*;q=0.5",
                       "text/plain, application/octet-stream",
                       "application/json;q=0, application/octet-stream"):
            answer = self.request("GET", "/kv/" + self.prefix, headers=[("Accept", accept)])
            self.assertEqual((answer.status, answer.body), (200, b"\0v"), (accept, answer))

    def test_accept_that_nothing_satisfies(self):
        self.put(self.key(), b"v")
        for accept in ("text/plain", "image/*", "application/xml", "application/octet-stream;q=0",
                       "application/json;q=0", "application/jsonx", "text/*, image/png", "*/*;q=0"):
            self.refused_and_kept("GET", "/kv/" + self.prefix, 406, headers=[("Accept", accept)])

    def test_revisions_grow_strictly(self):
        last = 0
        for turn in range(50):
            key = self.key("k%d" % (turn % 3))
            revision = self.delete(key) if turn % 5 == 4 else self.put(key, b"v")
            self.assertGreater(revision, last)
            last = revision

    def test_revision_names_the_last_write_of_the_key(self):
        first = self.put(self.key("a"), b"1")
        second = self.put(self.key("b"), b"1")
        self.assertEqual(self.request("GET", "/kv/" + self.prefix + "a").json()["revision"], first)
        self.assertEqual(self.request("GET", "/kv/" + self.prefix + "b").json()["revision"], second)


class ReadRaw(Case):
    def test_bytes_themselves(self):
        self.put(self.key(), pattern(1000))
        answer = self.request("GET", "/kv/" + self.prefix + "?raw")
        self.assertEqual((answer.status, answer.body), (200, pattern(1000)))
        self.assertEqual(answer.header("Content-Type"), "application/octet-stream")
        self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
        self.assertEqual(answer.header("Content-Length"), "1000")

    def test_raw_by_accept_has_nosniff_too(self):
        self.put(self.key(), b"<html>")
        answer = self.request("GET", "/kv/" + self.prefix,
                              headers=[("Accept", "application/octet-stream")])
        self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
        self.assertEqual(answer.body, b"<html>")

    def test_raw_parameter_beats_accept(self):
        self.put(self.key(), b"v")
        for accept in ("application/json", "text/plain", "*/*"):
            answer = self.request("GET", "/kv/" + self.prefix + "?raw",
                                  headers=[("Accept", accept)])
            self.assertEqual((answer.status, answer.body), (200, b"v"), accept)

    def test_raw_with_encoding(self):
        for query in ("?raw&encoding=utf8", "?encoding=base64&raw"):
            self.refused_and_kept("GET", "/kv/" + self.prefix + query, 400)

    def test_raw_takes_no_value(self):
        self.refused_and_kept("GET", "/kv/" + self.prefix + "?raw=1", 400, names="raw")

    def test_raw_answer_of_an_absent_key(self):
        self.assert_problem(self.request("GET", "/kv/" + self.prefix + "?raw"), 404)

    def test_range_header_is_ignored(self):
        self.put(self.key(), b"0123456789")
        for value in ("bytes=0-3", "bytes=-2", "bytes=99-", "junk"):
            answer = self.request("GET", "/kv/" + self.prefix + "?raw", headers=[("Range", value)])
            self.assertEqual((answer.status, answer.body), (200, b"0123456789"), value)

    def test_raw_by_key_and_key64_parameter(self):
        self.put(self.key(), b"v")
        for query in ("key=" + percent(self.key()) + "&raw", "raw&key=" + percent(self.key())):
            self.assertEqual(self.request("GET", "/kv?" + query).body, b"v")

    def test_if_none_match_is_200_or_304(self):
        revision = self.put(self.key(), b"v")
        answer = self.request("GET", "/kv/" + self.prefix,
                              headers=[("If-None-Match", '"%d-json"' % revision)])
        self.assertIn(answer.status, (200, 304))


class Head(Case):
    def test_head_has_the_headers_of_get_and_no_body(self):
        self.put(self.key(), pattern(500))
        for query in ("", "?raw", "?encoding=utf8"):
            target = "/kv/" + self.prefix + query
            full = self.request("GET", target)
            with self.connect() as conn:
                head = conn.request("HEAD", target)
                self.assertEqual(head.status, 200)
                for name in ("Content-Type", "Content-Length", "ETag", "X-Varve-Revision"):
                    self.assertEqual(head.header(name), full.header(name), (query, name))
                self.assertEqual(conn.request("GET", target).body, full.body)

    def test_length_is_that_of_get(self):
        for size in (0, 1, 2, 3, 4, 5, 1000, 1000001):
            for value in (b"t" * size, b"\n" * size, b"\xff" * size):
                self.put(self.key(), value, "?ttl=1000" if size % 2 else "")
                for query in ("", "?raw", "?encoding=utf8"):
                    full = self.request("GET", "/kv/" + self.prefix + query)
                    head = self.request("HEAD", "/kv/" + self.prefix + query)
                    same = self.request("GET", "/kv/" + self.prefix + query,
                                        headers=[("If-None-Match", full.header("ETag"))])
                    self.assertEqual((head.status, same.status), (200, 304))
                    for answer in (head, same):
                        self.assertEqual(answer.header("Content-Length"), str(len(full.body)),
                                         (size, query))

    def test_head_of_an_absent_key(self):
        with self.connect() as conn:
            answer = conn.request("HEAD", "/kv/" + self.prefix)
            self.assertEqual(answer.status, 404)
            self.assertIsNone(answer.header("ETag"))
            self.assertTrue(answer.header("X-Request-Id"))
            self.assertEqual(conn.request("GET", "/health").status, 200)

    def test_head_of_range_and_of_the_service(self):
        for target in ("/kv/range?limit=1", "/health", "/version", "/stats"):
            with self.connect() as conn:
                self.assertEqual(conn.request("HEAD", target).status, 200, target)
                self.assertEqual(conn.request("GET", "/health").status, 200, target)

    def test_head_with_bad_parameters(self):
        with self.connect() as conn:
            self.assertEqual(conn.request("HEAD", "/kv/a?nonsense=1").status, 400)
            self.assertEqual(conn.request("GET", "/health").status, 200)


class PutJson(Case):
    def target(self):
        return "/kv/" + self.prefix

    def put_text(self, text, headers=(), query=""):
        return self.request("PUT", self.target() + query, text, headers)

    def assert_untouched(self):
        self.assertEqual(self.get(self.key()), b"before")

    def refuse_each(self, bodies, status=400, headers=()):
        """Each body is refused, the connection goes on and the old value stays."""
        self.put(self.key(), b"before")
        for body in bodies:
            with self.subTest(body=body[:80]):
                self.refused_and_kept("PUT", self.target(), status, body, headers)
        self.assert_untouched()

    def test_base64_value(self):
        answer = self.put_text('{"value":"aGk="}', JSON)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json(), {"key": self.prefix, "revision": answer.json()["revision"]})
        self.assertEqual(answer.header("X-Varve-Revision"), str(answer.json()["revision"]))
        self.assertEqual(self.get(self.key()), b"hi")

    def test_named_encodings(self):
        self.assertEqual(self.put_text('{"value":"aGk=","encoding":"base64"}', JSON).status, 200)
        self.assertEqual(self.get(self.key()), b"hi")
        self.assertEqual(self.put_text('{"encoding":"utf8","value":"aGk="}', JSON).status, 200)
        self.assertEqual(self.get(self.key()), b"aGk=")

    def test_utf8_value_round_trip(self):
        for text in TEXTS:
            for ascii_only in (True, False):
                body = json.dumps({"value": text, "encoding": "utf8"}, ensure_ascii=ascii_only)
                answer = self.put_text(body.encode(), JSON)
                self.assertEqual(answer.status, 200, (text, answer))
                self.assertEqual(self.get(self.key()), text.encode())

    def test_base64_value_round_trip_of_each_length(self):
        for count in (*range(0, 20), 71, 72, 73, 1000):
            self.assertEqual(self.put_text('{"value":"%s"}' % b64(pattern(count)), JSON).status,
                             200)
            self.assertEqual(self.get(self.key()), pattern(count))

    def test_put_answers_200_for_new_and_old_keys(self):
        for _ in range(2):
            self.assertEqual(self.put_text('{"value":""}', JSON).status, 200)

    def test_space_around_the_document(self):
        answer = self.put_text(' \r\n\t{ "value" : "aGk=" }\r\n ', JSON)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.get(self.key()), b"hi")

    def test_content_types_read_as_json(self):
        for headers in ([], [("Content-Type", "application/x-www-form-urlencoded")],
                        [("Content-Type", "application/json; charset=utf-8")],
                        [("Content-Type", "Application/JSON")],
                        [("Content-Type", "application/json;charset=UTF-8")]):
            answer = self.put_text('{"value":"aGk="}', headers)
            self.assertEqual(answer.status, 200, (headers, answer))

    def test_other_content_types(self):
        self.put(self.key(), b"before")
        for kind in ("text/plain", "application/xml", "application/jsonx", "text/json", "json",
                     "multipart/form-data; boundary=x", "application/octet-streams", "*/*"):
            problem = self.refused("PUT", self.target(), 415, '{"value":""}',
                                   [("Content-Type", kind)])
            self.assertIn("application/json", json.dumps(problem))
        self.assert_untouched()

    def test_base64_that_is_not_canonical(self):
        self.refuse_each([json.dumps({"value": text}) for text in BAD_BASE64])

    def test_empty_body(self):
        self.refuse_each([b"", b" ", b"\n"])

    def test_documents_that_are_no_json(self):
        self.refuse_each(["{", "}", "{]", "{\"value\"}", "{\"value\":}", "{value:\"\"}",
                          "{'value':''}",
                          "{\"value\":\"\",}", "nonsense", "{\"value\":\"a}",
                          "{\"value\":\"\\x41\"}",
                          "{\"value\":\"\\u12\"}", "{\"value\":\"\n\"}", "\ufeff{\"value\":\"\"}",
                          "{\"value\":\"\"/**/}", "{\"value\":NaN}", "{\"value\":01}"])

    def test_documents_of_another_type(self):
        self.refuse_each(["[]", "\"aGk=\"", "1", "null", "true", "{}", "[{\"value\":\"\"}]"])

    def test_value_of_another_type(self):
        self.refuse_each(['{"value":%s}' % text for text in
                          ("null", "1", "true", "[]", "{}", "[\"aGk=\"]")])

    def test_encoding_that_is_unknown(self):
        self.refuse_each(['{"value":"aGk=","encoding":%s}' % text for text in
                          ('"hex"', '"UTF8"', '"utf-8"', '""', "null", "1", "[]")])

    def test_unknown_member_is_named(self):
        self.put(self.key(), b"before")
        self.refused_and_kept("PUT", self.target(), 400, '{"value":"","colour":1}', JSON,
                              names="colour")
        self.assert_untouched()

    def test_repeated_member(self):
        self.refuse_each(['{"value":"","value":""}',
                          '{"value":"","encoding":"utf8","encoding":"utf8"}',
                          '{"value":"aGk=","\\u0076alue":"aGk="}'])

    def test_text_behind_the_document(self):
        self.refuse_each(['{"value":""}{"value":""}', '{"value":""} x', '{"value":""},',
                          '{"value":""}]',
                          b'{"value":""}\0'])

    def test_bad_utf8(self):
        self.refuse_each([b'{"value":"' + bad + b'","encoding":"utf8"}' for bad in NOT_TEXT]
                         + [b'{"val\xff":""}'])

    def test_lone_surrogates(self):
        self.refuse_each(['{"value":"%s","encoding":"utf8"}' % text for text in
                          ("\\ud800", "\\udc00", "\\ud800a", "\\ud800\\ud800", "\\udc00\\ud800")])

    def test_nesting_beyond_the_limit(self):
        for depth in (JSON_DEPTH_MAX + 1, 1000, 200000):
            self.refuse_each(['{"value":' + "[" * depth + "]" * depth + "}", "[" * depth,
                              '{"a":' * depth])

    def test_unknown_parameter_is_named(self):
        self.put(self.key(), b"before")
        for query in ("?colour=1", "?sync=true&colour=1", "?limit=1", "?raw", "?encoding=utf8"):
            name = query.lstrip("?").split("&")[-1].split("=")[0]
            self.refused("PUT", self.target() + query, 400, '{"value":""}', JSON, names=name)
        self.assert_untouched()

    def test_repeated_parameter_is_named(self):
        self.refused("PUT", self.target() + "?sync=true&sync=true", 400, '{"value":""}', JSON,
                     names="sync")

    def test_sync_parameter(self):
        for query in ("?sync=true", "?sync=false"):
            self.assertEqual(self.put_text('{"value":"aGk="}', JSON, query).status, 200)
            self.assertEqual(self.get(self.key()), b"hi")
        for query in ("?sync=yes", "?sync=1", "?sync", "?sync=", "?sync=TRUE"):
            self.refused("PUT", self.target() + query, 400, '{"value":""}', JSON, names="sync")

    def test_largest_value_as_json(self):
        value = pattern(VALUE_BYTES_MAX)
        answer = self.put_text('{"value":"%s"}' % b64(value), JSON)
        self.assertEqual(answer.status, 200, answer)
        self.assertTrue(self.get(self.key()) == value, "the largest value came back changed")
        document = self.request("GET", self.target()).json()
        self.assertTrue(document["value"] == b64(value), "the largest value came back changed")
        self.delete(self.key())

    def test_value_over_the_limit_as_json(self):
        self.put(self.key(), b"before")
        problem = self.refused("PUT", self.target(), 413,
                               '{"value":"%s"}' % b64(pattern(VALUE_BYTES_MAX + 1)), JSON,
                               code="value_too_large")
        self.assertEqual((problem["limit"], problem["actual"]),
                         (VALUE_BYTES_MAX, VALUE_BYTES_MAX + 1))
        self.assert_untouched()


class PutRaw(Case):
    def target(self):
        return "/kv/" + self.prefix

    def test_values_of_many_lengths(self):
        for count in (0, 1, 2, 3, 100, 4095, 4096, 4097, 65535, 65536, 1 << 20, (1 << 20) + 1):
            self.put(self.key(), pattern(count))
            self.assertTrue(self.get(self.key()) == pattern(count), count)

    def test_each_byte_value(self):
        for byte in range(256):
            self.put(self.key(), bytes([byte]))
            self.assertEqual(self.get(self.key()), bytes([byte]))

    def test_json_text_is_stored_as_it_is(self):
        self.put(self.key(), b'{"value":"aGk="}')
        self.assertEqual(self.get(self.key()), b'{"value":"aGk="}')

    def test_content_type_with_a_parameter(self):
        answer = self.request("PUT", self.target(), b"v",
                              [("Content-Type", "application/octet-stream; x=y")])
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.get(self.key()), b"v")

    def test_largest_value(self):
        value = pattern(VALUE_BYTES_MAX)
        self.put(self.key(), value)
        self.assertTrue(self.get(self.key()) == value, "the largest value came back changed")
        self.delete(self.key())

    def test_one_byte_over_the_limit(self):
        self.put(self.key(), b"before")
        with self.connect() as conn:
            conn.send(make_request("PUT", self.target(), None,
                                   RAW + [("Content-Length", VALUE_BYTES_MAX + 1)]))
            problem = self.assert_problem(answer := conn.response(), 413)
            self.assertTrue(answer.says_close(), answer)
            self.assertTrue(conn.closed())
        self.assertEqual((problem["limit"], problem["actual"]),
                         (VALUE_BYTES_MAX, VALUE_BYTES_MAX + 1))
        self.assertEqual(self.get(self.key()), b"before")

    def test_body_over_its_limit_is_refused_before_it_comes(self):
        for headers in (RAW, JSON):
            for length in (BODY_BYTES_MAX + 1, 1 << 40, (1 << 63) - 1):
                with self.connect() as conn:
                    conn.send(make_request("PUT", self.target(), None,
                                           headers + [("Content-Length", length)]))
                    answer = conn.response()
                    self.assert_problem(answer, 413)
                    self.assertTrue(answer.says_close(), answer)
                    self.assertTrue(conn.closed())

    def test_chunked_body_over_the_limit(self):
        self.put(self.key(), b"before")
        body = pattern(VALUE_BYTES_MAX + 1000)
        with self.connect() as conn:
            conn.send(make_request("PUT", self.target(), chunked(body, [1 << 18]),
                                   RAW + [("Transfer-Encoding", "chunked")]))
            answer = conn.response()
            self.assert_problem(answer, 413)
            self.assertTrue(answer.says_close(), answer)
            self.assertTrue(conn.closed())
        self.assertEqual(self.get(self.key()), b"before")

    def test_chunked_body_without_end(self):
        """413 or a closed connection, and memory is not asked for without a bound."""
        chunk = b"40000\r\n" + bytes(0x40000) + b"\r\n"
        with self.connect() as conn:
            conn.send(make_request("PUT", self.target(), b"",
                                   RAW + [("Transfer-Encoding", "chunked")]))
            sent = 0
            try:
                while sent < BODY_BYTES_MAX + (64 << 20):
                    conn.send(chunk)
                    sent += len(chunk)
                self.fail("took %d bytes of a body" % sent)
            except (BrokenPipeError, ConnectionResetError):
                pass
        self.assertIsNone(self.get(self.key()))

    def test_put_and_delete_by_key_parameter(self):
        target = "/kv?key=" + percent(self.key())
        self.assertEqual(self.request("PUT", target + "&sync=false", b"v", RAW).status, 200)
        self.assertEqual(self.get(self.key()), b"v")
        self.assertEqual(self.request("DELETE", target + "&sync=false").status, 204)
        self.assertIsNone(self.get(self.key()))


class Delete(Case):
    def test_present_and_absent_keys_are_204(self):
        self.put(self.key(), b"v")
        first = self.delete(self.key())
        self.assertIsNone(self.get(self.key()))
        second = self.delete(self.key())
        self.assertGreater(second, first)

    def test_answer_has_no_body_and_keeps_the_connection(self):
        with self.connect() as conn:
            for _ in range(3):
                answer = conn.request("DELETE", "/kv/" + self.prefix)
                self.assertEqual(answer.status, 204)
                self.assertIn(answer.header("Content-Length"), (None, "0"))
                self.assertGreater(int(answer.header("X-Varve-Revision")), 0)
                self.assertIsNone(answer.header("ETag"))

    def test_key_may_come_back(self):
        for turn in range(5):
            self.put(self.key(), b"%d" % turn)
            self.assertEqual(self.get(self.key()), b"%d" % turn)
            self.delete(self.key())
            self.assertIsNone(self.get(self.key()))

    def test_neighbours_stay(self):
        for name in ("a", "a0", "b"):
            self.put(self.key(name), b"v")
        self.delete(self.key("a0"))
        self.assertEqual(self.get(self.key("a")), b"v")
        self.assertEqual(self.get(self.key("b")), b"v")

    def test_parameters(self):
        for query in ("?sync=true", "?sync=false"):
            self.assertEqual(self.request("DELETE", "/kv/" + self.prefix + query).status, 204)
        for query in ("?sync=x", "?colour=1", "?raw", "?sync=true&sync=false", "?encoding=utf8"):
            self.refused_and_kept("DELETE", "/kv/" + self.prefix + query, 400)


class ReadParameters(Case):
    def test_unknown_parameter_is_named(self):
        for query in ("colour=1", "colour", "encoding=utf8&colour=1", "limit=1", "sync=true", "Raw",
                      "ENCODING=utf8"):
            name = query.split("&")[-1].split("=")[0]
            self.refused_and_kept("GET", "/kv/a?" + query, 400, names=name)

    def test_repeated_parameter_is_named(self):
        for query, name in (("encoding=utf8&encoding=utf8", "encoding"), ("raw&raw", "raw"),
                            ("encoding=utf8&raw&encoding=base64", "encoding")):
            self.refused_and_kept("GET", "/kv/a?" + query, 400, names=name)

    def test_repeated_key_parameter(self):
        self.refused_and_kept("GET", "/kv?key=a&key=a", 400, names="key")
        self.refused_and_kept("GET", "/kv?key64=YQ&key64=YQ", 400, names="key64")

    def test_encoding_that_is_unknown(self):
        for text in ("hex", "UTF8", "utf-8", "", "base64url"):
            self.refused_and_kept("GET", "/kv/a?encoding=" + text, 400, names="encoding")

    def test_encoded_parameter_name(self):
        self.put(self.key(), b"v")
        answer = self.request("GET", "/kv/" + self.prefix + "?%72aw")
        self.assertEqual((answer.status, answer.body), (200, b"v"), answer)
