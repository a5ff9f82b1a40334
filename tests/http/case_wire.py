"""How requests come over the wire: cut in two and cut off at every byte, in odd forms."""

from case_process import ProcessCase
from harness import Case, ClosedError, b64, chunked, make_request, parse_head

RAW = [("Content-Type", "application/octet-stream")]
CHUNKED = RAW + [("Transfer-Encoding", "chunked")]


class CutInTwo(Case):
    """A request that comes in two pieces means the same, wherever the cut is."""

    def each_cut(self, data, check):
        with self.connect() as conn:
            for at in range(1, len(data)):
                conn.send(data[:at])
                conn.send(data[at:])
                check(conn, at)

    def test_raw_put(self):
        data = make_request("PUT", "/kv/%s?sync=false" % self.prefix, b"a\r\n\r\nb", RAW)

        def check(conn, at):
            self.assertEqual(conn.response().status, 200, at)
        self.each_cut(data, check)
        self.assertEqual(self.get(self.key()), b"a\r\n\r\nb")

    def test_chunked_put(self):
        data = make_request("PUT", "/kv/%s?sync=false" % self.prefix,
                            b"3;x=\"y\"\r\n\r\n0\r\n002\r\n\r\n\r\n0\r\nX: y\r\n\r\n", CHUNKED)

        def check(conn, at):
            self.assertEqual(conn.response().status, 200, at)
        self.each_cut(data, check)
        self.assertEqual(self.get(self.key()), b"\r\n0\r\n")

    def test_json_put(self):
        data = make_request("PUT", "/kv/%s?sync=false" % self.prefix,
                            {"encoding": "utf8", "value": "\u00e9\U0001f600"})

        def check(conn, at):
            self.assertEqual(conn.response().status, 200, at)
        self.each_cut(data, check)
        self.assertEqual(self.get(self.key()), "\u00e9\U0001f600".encode())

    def test_get(self):
        self.put(self.key("a b"), b"v")
        data = make_request("GET", "/kv/%sa%%20b?raw" % self.prefix)

        def check(conn, at):
            self.assertEqual(conn.response().body, b"v", at)
        self.each_cut(data, check)

    def test_pipelined_pair(self):
        put = make_request("PUT", "/kv/%s?sync=false" % self.prefix, b"pair", RAW)
        data = put + make_request("GET", "/kv/%s?raw" % self.prefix)

        def check(conn, at):
            self.assertEqual(conn.response().status, 200, at)
            self.assertEqual(conn.response().body, b"pair", at)
        self.each_cut(data, check)

    def test_pipelined_error_and_batch(self):
        bad = make_request("PUT", "/kv/" + self.prefix, b"{")
        data = bad + make_request("POST", "/kv/batch", {"ops": [{"op": "get", "key": "a"}]})

        def check(conn, at):
            self.assertEqual(conn.response().status, 400, at)
            self.assertEqual(conn.response().status, 200, at)
        self.each_cut(data, check)


class CutOff(ProcessCase):
    """A request whose end never comes does nothing, wherever it ends."""

    env = {"VARVE_REQUEST_TIMEOUT_MS": "3s", "VARVE_HEADER_TIMEOUT_MS": "3s"}

    def each_end(self, data):
        held = [self.daemon.connect() for _ in data]
        for at, conn in enumerate(held):
            conn.send(data[:at])
            conn.end_sending()
        for at, conn in enumerate(held):
            self.assertNotIn(b"HTTP/1.1 2", conn.read_to_end(), at)
            conn.close()
        self.assertEqual(self.daemon.request("GET", "/health").status, 200)

    def test_writes(self):
        for data in (make_request("PUT", "/kv/a", b"some value", RAW),
                     make_request("PUT", "/kv/a", {"value": "aGk="}),
                     make_request("PUT", "/kv/a", chunked(b"some value", [3]), CHUNKED),
                     make_request("POST", "/kv/batch",
                                  {"ops": [{"op": "put", "key": "a", "value": b64(b"some")}]})):
            self.each_end(data)
            self.assertIsNone(self.get("a"), data)

    def test_delete(self):
        self.put("kept", b"v")
        self.each_end(make_request("DELETE", "/kv/kept"))
        self.assertEqual(self.get("kept"), b"v")


class HeaderForms(Case):
    def put_with(self, *lines):
        """A PUT whose header lines are sent as they are."""
        with self.connect() as conn:
            conn.send(b"PUT /kv/" + self.prefix.encode() + b" HTTP/1.1\r\n" + b"\r\n".join(lines)
                      + b"\r\n\r\nvalue")
            answer = conn.response()
            self.assertEqual(answer.status, 200, (lines, answer))
            self.assertEqual(conn.request("GET", "/health/live").status, 200)
        self.assertEqual(self.get(self.key()), b"value")

    def test_names_of_either_case(self):
        self.put_with(b"host: a", b"CONTENT-TYPE: application/octet-stream", b"content-LENGTH: 5")

    def test_space_around_values(self):
        self.put_with(b"Host:a", b"Content-Type:application/octet-stream", b"Content-Length:5")
        self.put_with(b"Host: \t a \t", b"Content-Type: \t application/octet-stream \t",
                      b"Content-Length: \t 5")

    def test_length_with_leading_zeros(self):
        self.put_with(b"Host: a", b"Content-Type: application/octet-stream",
                      b"Content-Length: 0005")

    def test_unknown_fields_are_passed_over(self):
        self.put_with(b"Host: a", b"Content-Type: application/octet-stream", b"X-Unknown: \xff\x80",
                      b"X-Empty:", b"X-Colons: a:b:c", b"X-Unknown: again", b"Content-Length: 5")

    def test_repeated_fields_of_no_consequence(self):
        self.put_with(b"Host: a", b"Content-Type: application/octet-stream", b"User-Agent: a",
                      b"User-Agent: b", b"Cookie: a=b", b"Cookie: c=d", b"Content-Length: 5")

    def test_folded_lines_are_refused(self):
        for line in (b"X: a\r\n b", b"X: a\r\n\tb", b"Content-Length:\r\n 5"):
            with self.connect() as conn:
                conn.send(b"PUT /kv/" + self.prefix.encode() + b" HTTP/1.1\r\nHost: a\r\n" + line
                          + b"\r\nContent-Length: 5\r\n\r\nvalue")
                self.assertEqual(conn.response().status, 400, line)
                self.assertNotIn(b"HTTP/1.1", conn.read_to_end(), line)
        self.assertIsNone(self.get(self.key()))

    def test_nul_and_carriage_return_in_values_are_refused(self):
        for value in (b"a\0b", b"\0", b"a\rb", b"a\r"):
            with self.connect() as conn:
                conn.send(b"PUT /kv/" + self.prefix.encode() + b" HTTP/1.1\r\nHost: a\r\nX: "
                          + value + b"\r\nContent-Type: application/octet-stream\r\n"
                            b"Content-Length: 5\r\n\r\nvalue")
                conn.end_sending()
                self.assertNotIn(b"HTTP/1.1 2", conn.read_to_end(), value)
        self.assertIsNone(self.get(self.key()))

    def test_nul_and_carriage_return_in_the_target_are_refused(self):
        for byte in (b"\0", b"\r"):
            for target in (b"/health" + byte, b"/kv/a" + byte + b"b", b"/health?" + byte):
                with self.connect() as conn:
                    conn.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
                    conn.end_sending()
                    self.assertNotIn(b"HTTP/1.1 2", conn.read_to_end(), target)

    def test_bare_line_feeds_hide_no_request(self):
        """Whether they end a line or not, what stands in a body is no request."""
        hidden = b"PUT /kv/" + self.key("hidden") + b" HTTP/1.1\r\nHost: a\r\n" \
                 b"Content-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nx"
        for head in (b"Host: a\nContent-Length: %d\r\n\r\n", b"Host: a\r\nContent-Length: %d\n\r\n",
                     b"Host: a\r\nX: y\nContent-Length: %d\r\n\r\n",
                     b"Host: a\r\nContent-Length: %d\r\nX: y\nContent-Length: 0\r\n\r\n"):
            with self.connect() as conn:
                conn.send(b"PUT /kv/" + self.prefix.encode() + b" HTTP/1.1\r\n"
                          b"Content-Type: application/octet-stream\r\n" + head % len(hidden)
                          + hidden)
                conn.end_sending()
                conn.read_to_end()
            self.assertIsNone(self.get(self.key("hidden")), head)

    def test_chunks_that_end_with_a_bare_line_feed(self):
        for body in (b"5\nvalue\r\n0\r\n\r\n", b"5\r\nvalue\n0\r\n\r\n", b"5\r\nvalue\r\n0\n\n"):
            with self.connect() as conn:
                conn.send(make_request("PUT", "/kv/" + self.prefix, body, CHUNKED)
                          + make_request("GET", "/health/live"))
                conn.end_sending()
                conn.read_to_end()
            self.assertIn(self.get(self.key()), (None, b"value"), body)


class Bodies(Case):
    """Bodies where none is due must not be taken for the next request."""

    def test_get_with_a_body(self):
        body = make_request("PUT", "/kv/%shidden" % self.prefix, b"x", RAW)
        for headers in ([], [("Transfer-Encoding", "chunked")]):
            for method in ("GET", "DELETE", "HEAD"):
                with self.connect() as conn:
                    sent = chunked(body, [7]) if headers else body
                    conn.send(make_request(method, "/kv/" + self.prefix, sent, headers)
                              + make_request("GET", "/health/live"))
                    answer = conn.response(method)
                    if not answer.says_close():
                        self.assertEqual(conn.response().json(), {"status": "ok"})
        self.assertIsNone(self.get(self.key("hidden")))

    def test_delete_with_an_empty_body(self):
        with self.connect() as conn:
            answer = conn.request("DELETE", "/kv/" + self.prefix, b"")
            self.assertEqual(answer.status, 204, answer)
            self.assertEqual(conn.request("GET", "/health/live").status, 200)

    def test_refusal_before_the_body_comes(self):
        """What the head alone shows to be wrong is answered without waiting for the body."""
        for method, target, headers, status in (
                ("PUT", "/kv/a", [("Content-Type", "text/plain")], 415),
                ("POST", "/kv/batch", [("Content-Type", "text/plain")], 415)):
            with self.connect() as conn:
                conn.send(make_request(method, target, None, headers + [("Content-Length", 9)]))
                answer = conn.response()
                self.assert_problem(answer, status)
                self.assertTrue(answer.says_close(), answer)
                self.assertTrue(conn.closed())

    def test_expect_with_a_chunked_body(self):
        with self.connect() as conn:
            conn.send(make_request("PUT", "/kv/" + self.prefix, b"",
                                   CHUNKED + [("Expect", "100-continue")]))
            self.assertEqual(conn.response(interim=True).status, 100)
            conn.send(chunked(b"value", [2]))
            self.assertEqual(conn.response().status, 200)
        self.assertEqual(self.get(self.key()), b"value")

    def test_expect_of_either_case(self):
        with self.connect() as conn:
            conn.send(make_request("PUT", "/kv/" + self.prefix, None,
                                   RAW + [("expect", "100-Continue"), ("Content-Length", 5)]))
            self.assertEqual(conn.response(interim=True).status, 100)
            conn.send(b"value")
            self.assertEqual(conn.response().status, 200)

    def test_expect_without_a_body(self):
        with self.connect() as conn:
            answer = conn.request("GET", "/health/live", None, [("Expect", "100-continue")])
            self.assertEqual(answer.status, 200)

    def test_no_100_for_a_client_of_http_1_0(self):
        with self.connect() as conn:
            conn.send(make_request("PUT", "/kv/" + self.prefix, b"value",
                                   RAW + [("Expect", "100-continue")], version="HTTP/1.0"))
            self.assertEqual(conn.response(interim=True).status, 200)


class Versions(Case):
    def test_other_versions_are_refused(self):
        for version in (b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.10", b"HTTP/11", b"http/1.1"):
            with self.connect() as conn:
                conn.send(b"GET /health " + version + b"\r\nHost: a\r\n\r\n")
                conn.end_sending()
                answer = conn.read_to_end()
                self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0], version)

    def test_preface_of_http_2(self):
        with self.connect() as conn:
            conn.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            conn.end_sending()
            self.assertNotIn(b" 200 ", conn.read_to_end())

    def test_http_1_0_may_ask_for_keep_alive(self):
        with self.connect() as conn:
            conn.send(make_request("GET", "/health", headers=[("Connection", "keep-alive")],
                                   version="HTTP/1.0"))
            answer = conn.response()
            self.assertEqual(answer.status, 200)
            if (answer.header("Connection") or "").lower() == "keep-alive":
                self.assertEqual(conn.request("GET", "/health").status, 200)
            else:
                self.assertTrue(conn.closed())

    def test_answers_are_http_1_1(self):
        for target in ("/health", "/none", "/kv/%zz"):
            self.assertEqual(self.request("GET", target).version, "HTTP/1.1")

    def test_connection_is_a_list(self):
        for value in ("close, te", "TE, Close", "te,close"):
            with self.connect() as conn:
                answer = conn.request("GET", "/health", None, [("Connection", value)])
                self.assertEqual(answer.status, 200)
                self.assertTrue(conn.closed(), value)

    def test_connections_are_kept_by_default(self):
        for headers in ([], [("Connection", "keep-alive")], [("Connection", "Keep-Alive")]):
            with self.connect() as conn:
                for _ in range(3):
                    answer = conn.request("GET", "/health", None, headers)
                    self.assertFalse(answer.says_close(), answer)


class Floods(Case):
    def test_very_many_requests_in_one_segment(self):
        with self.connect() as conn:
            conn.send(make_request("GET", "/health/live") * 1000)
            for number in range(1000):
                self.assertEqual(conn.response().status, 200, number)

    def test_very_many_requests_and_the_end_of_sending(self):
        """What was asked before the client ended its side is answered still."""
        with self.connect() as conn:
            conn.send(make_request("GET", "/health/live") * 50)
            conn.end_sending()
            data = conn.read_to_end()
        heads = data.count(b"HTTP/1.1 200 ")
        self.assertEqual(heads, data.count(b"HTTP/1.1 "))
        self.assertIn(heads, range(0, 51))

    def test_end_of_sending_behind_one_request(self):
        with self.connect() as conn:
            conn.send(make_request("GET", "/health/live"))
            conn.end_sending()
            try:
                self.assertEqual(conn.response().status, 200)
            except ClosedError as error:
                self.assertIn("b''", str(error))

    def test_large_answers_to_pipelined_requests(self):
        value = bytes(range(256)) * 4096
        self.put(self.key(), value)
        with self.connect() as conn:
            conn.send(make_request("GET", "/kv/%s?raw" % self.prefix) * 20)
            for _ in range(20):
                self.assertTrue(conn.response().body == value)

    def test_head_that_takes_its_time(self):
        """Each line of the head in a segment of its own, more of them than a burst has."""
        lines = make_request("GET", "/health", None, [("X-%d" % n, "y") for n in range(50)])
        with self.connect() as conn:
            for line in lines.split(b"\r\n")[:-2]:
                conn.send(line + b"\r\n")
            conn.send(b"\r\n")
            self.assertEqual(conn.response().status, 200)

    def test_one_hundred_connections_that_take_turns(self):
        held = [self.connect() for _ in range(100)]
        try:
            for turn in range(3):
                for number, conn in enumerate(held):
                    conn.send(make_request("PUT", "/kv/%s%d?sync=false" % (self.prefix, number),
                                           b"%d" % turn, RAW))
                for conn in held:
                    self.assertEqual(conn.response().status, 200)
        finally:
            for conn in held:
                conn.close()
        for number in range(100):
            self.assertEqual(self.get(self.key(str(number))), b"2")


class Heads(Case):
    def test_heads_of_answers_are_well_formed(self):
        """No field twice that may stand once only, no control bytes, the length right."""
        self.put(self.key(), b"v")
        single = {"content-length", "content-type", "etag", "date", "connection", "x-request-id",
                  "x-varve-revision", "allow", "retry-after", "transfer-encoding"}
        for method, target in (("GET", "/kv/" + self.prefix), ("GET", "/kv/none"),
                               ("DELETE", "/kv/none"), ("PATCH", "/kv/a"), ("GET", "/metrics"),
                               ("GET", "/kv/range?limit=1"), ("GET", "/stats"), ("HEAD", "/stats")):
            with self.connect() as conn:
                conn.send(make_request(method, target, None, [("Connection", "close")]))
                data = conn.read_to_end()
            head, _, body = data.partition(b"\r\n\r\n")
            _, status, _, headers = parse_head(head)
            names = [name for name, _ in headers]
            for name in single:
                self.assertLessEqual(names.count(name), 1, (target, headers))
            if method != "HEAD" and status != 204 and "content-length" in names:
                self.assertEqual(int(dict(headers)["content-length"]), len(body), target)
            if method == "HEAD":
                self.assertEqual(body, b"")
