"""HTTP itself: framing, smuggling, methods, keep-alive, pipelining, chunks, ids, errors."""

from harness import Case, ClosedError, b64, chunked, make_request

RAW = [("Content-Type", "application/octet-stream")]
CHUNKED = RAW + [("Transfer-Encoding", "chunked")]


class Framing(Case):
    """Requests whose end two parties could see differently: one 400, then the end."""

    def attack(self, head, body=b"", method=b"PUT"):
        """Sends a request with a second one hidden behind it; only one 400 may come back."""
        hidden = b"PUT /kv/" + self.prefix.encode() + b"hidden HTTP/1.1\r\nHost: a\r\n" \
                 b"Content-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nx"
        with self.connect() as conn:
            conn.send(method + b" /kv/" + self.prefix.encode() + b"seen HTTP/1.1\r\n" + head
                      + b"\r\n" + body + hidden)
            answer = conn.response()
            self.assertEqual(answer.status, 400, (head, answer))
            rest = conn.read_to_end()
            self.assertNotIn(b"HTTP/1.1", rest, head)
        self.assertIsNone(self.get(self.key("hidden")), head)
        self.assertIsNone(self.get(self.key("seen")), head)
        return answer

    def attack_raw(self, head, body=b""):
        return self.attack(b"Host: a\r\nContent-Type: application/octet-stream\r\n" + head, body)

    def test_transfer_encoding_with_content_length(self):
        for head in (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                     b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                     b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
                     b"content-length: 5\r\ntransfer-encoding: CHUNKED\r\n"):
            answer = self.attack_raw(head, b"0\r\n\r\n")
            self.assertTrue(answer.says_close(), answer)

    def test_transfer_encoding_that_is_not_chunked(self):
        for value in (b"gzip", b"identity", b"xchunked", b"chunkedx", b"gzip, chunked",
                      b"chunked, gzip", b"chunked ", b"chunked\t", b"chunked, chunked",
                      b"chunked;q=1", b"\"chunked\"", b"chunk", b""):
            answer = self.attack_raw(b"Transfer-Encoding: " + value + b"\r\n", b"0\r\n\r\n")
            self.assertTrue(answer.says_close(), answer)

    def test_repeated_transfer_encoding(self):
        self.attack_raw(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                        b"0\r\n\r\n")
        self.attack_raw(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                        b"0\r\n\r\n")

    def test_repeated_content_length(self):
        for head in (b"Content-Length: 4\r\nContent-Length: 4\r\n",
                     b"Content-Length: 4\r\nContent-Length: 0\r\n",
                     b"Content-Length: 0\r\nContent-Length: 4\r\n",
                     b"Content-Length: 4\r\ncontent-length: 4\r\n"):
            answer = self.attack_raw(head, b"abcd")
            self.assertTrue(answer.says_close(), answer)

    def test_content_length_that_is_no_number(self):
        for value in (b"4, 4", b"+4", b"-4", b"0x4", b"4x", b"4 4", b"", b"4.0", b"1e1", b"four",
                      b"\xb2"):
            self.attack_raw(b"Content-Length: " + value + b"\r\n", b"abcd")

    def test_content_length_beyond_all_numbers(self):
        for value in (b"18446744073709551616", b"99999999999999999999999999"):
            with self.connect() as conn:
                conn.send(b"PUT /kv/a HTTP/1.1\r\nHost: a\r\n"
                          b"Content-Length: " + value + b"\r\n\r\n")
                answer = conn.response()
                self.assertIn(answer.status, (400, 413))
                self.assertTrue(answer.says_close(), answer)
                conn.read_to_end()  # libmicrohttpd's own answer repeats its head here

    def test_repeated_host(self):
        for head in (b"Host: a\r\nHost: a\r\n", b"Host: a\r\nhost: b\r\n"):
            answer = self.attack(head + b"Content-Length: 0\r\n")
            self.assertTrue(answer.says_close(), answer)

    def test_repeated_authorization(self):
        answer = self.attack_raw(b"Authorization: Bearer a\r\nAuthorization: Bearer a\r\n"
                                 b"Content-Length: 0\r\n")
        self.assertTrue(answer.says_close(), answer)

    def test_missing_host(self):
        answer = self.attack(b"Content-Type: application/octet-stream\r\nContent-Length: 0\r\n")
        self.assertEqual(answer.status, 400)

    def test_header_names_that_are_no_tokens(self):
        for line in (b"Content-Length : 4", b"X Y: 1", b": 1", b"X(Y): 1", b"X\"Y: 1", b"X/Y: 1",
                     b"X[Y]: 1", b"X{Y}: 1", b"X@Y: 1", b"X\x01Y: 1", b"X\x7fY: 1", b"X\xe9Y: 1",
                     b"X\tY: 1", b"X;Y: 1", b"X=Y: 1", b"X,Y: 1", b"Transfer-Encoding : chunked"):
            self.attack_raw(line + b"\r\nContent-Length: 0\r\n")

    def test_header_line_without_a_colon(self):
        self.attack_raw(b"nonsense\r\nContent-Length: 0\r\n")

    def test_space_before_the_first_header(self):
        with self.connect() as conn:
            conn.send(b"GET /health HTTP/1.1\r\n Host: a\r\n\r\n")
            self.assertEqual(conn.response().status, 400)
            self.assertTrue(conn.closed())

    def test_malformed_request_lines(self):
        for line in (b"GET /a b c HTTP/1.1", b"GET /health", b"GET  /health  HTTP/1.1", b"GET",
                     b"GET /health HTTP/x.y", b"GET /health HTTPS/1.1", b"GET /health FTP/1.1",
                     b"/health HTTP/1.1", b"G@T\x01 /health HTTP/1.1"):
            with self.connect() as conn:
                conn.send(line + b"\r\nHost: a\r\n\r\n")
                conn.end_sending()
                try:
                    status = conn.response().status
                    self.assertTrue(400 <= status < 600, (line, status))
                except ClosedError as error:
                    self.assertIn("b''", str(error), line)
                self.assertTrue(conn.closed(), line)

    def test_noise_instead_of_a_request(self):
        for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"\0" * 100,
                      b"\r\n" * 50 + b"x\r\n\r\n", b"\xff" * 5000 + b"\r\n\r\n", b"a" * 40000):
            with self.connect() as conn:
                try:
                    conn.send(noise)
                    conn.end_sending()
                except OSError:
                    pass
                self.assertNotIn(b" 200 ", conn.read_to_end())
        self.assertEqual(self.request("GET", "/health").status, 200)

    def test_header_section_over_its_limit(self):
        for headers in ([("X-Big", "x" * 40000)], [("X-%d" % i, "x" * 100) for i in range(400)]):
            with self.connect() as conn:
                try:
                    conn.send(make_request("GET", "/health", None, headers))
                    answer = conn.response()
                except (ClosedError, BrokenPipeError, ConnectionResetError):
                    continue  # the answer may be lost when the rest of the request meets a close
                self.assertIn(answer.status, (413, 431), answer)
                self.assertTrue(answer.says_close(), answer)

    def test_header_over_16_kib_is_told_so(self):
        headers = [("X-%03d" % i, "x" * 100) for i in range(160)]
        with self.connect() as conn:
            conn.send(make_request("GET", "/health", None, headers))
            answer = conn.response()
            self.assertEqual(answer.status, 431)
            self.assertTrue(answer.says_close(), answer)

    def test_transfer_encoding_of_http_1_0(self):
        with self.connect() as conn:
            conn.send(b"PUT /kv/x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      b"0\r\n\r\n")
            answer = conn.response()
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.says_close(), answer)

    def test_bad_chunks(self):
        for body in (b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\na\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n",
                     b"3\r\nabcX\r\n0\r\n\r\n", b"\r\nabc\r\n0\r\n\r\n",
                     b"fffffffffffffffffff\r\nabc\r\n0\r\n\r\n", b" 3\r\nabc\r\n0\r\n\r\n"):
            with self.connect() as conn:
                conn.send(make_request("PUT", "/kv/" + self.prefix, body, CHUNKED))
                try:
                    answer = conn.response()
                    self.assertIn(answer.status, (400, 413), (body, answer))
                except ClosedError as error:
                    self.assertIn("b''", str(error), body)
                self.assertTrue(conn.closed(), body)
            self.assertIsNone(self.get(self.key()), body)

    def test_body_that_ends_early_changes_nothing(self):
        for data in (make_request("PUT", "/kv/" + self.prefix, b"abc",
                                  RAW + [("Content-Length", 4)]),
                     make_request("PUT", "/kv/" + self.prefix, b"3\r\nabc\r\n", CHUNKED),
                     make_request("PUT", "/kv/" + self.prefix, b"3\r\nabc\r\n0\r\n", CHUNKED)):
            with self.connect() as conn:
                conn.send(data)
                conn.end_sending()
                self.assertNotIn(b" 200 ", conn.read_to_end())
            self.assertIsNone(self.get(self.key()))


class Chunks(Case):
    def put_chunked(self, data, headers=(), slowly=0):
        with self.connect() as conn:
            request = make_request("PUT", "/kv/" + self.prefix, data, CHUNKED + list(headers))
            if slowly:
                conn.send_slowly(request, slowly)
            else:
                conn.send(request)
            answer = conn.response()
            self.assertEqual(answer.status, 200, (data[:60], answer))
            self.assertEqual(conn.request("GET", "/health/live").status, 200)

    def test_odd_chunk_sizes(self):
        value = bytes(range(256)) * 20
        for sizes in ([1], [1, 2, 3], [7, 1, 4095], [4096], [100000], [1, 5000]):
            self.put_chunked(chunked(value, sizes))
            self.assertEqual(self.get(self.key()), value, sizes)

    def test_empty_chunked_body(self):
        self.put_chunked(b"0\r\n\r\n")
        self.assertEqual(self.get(self.key()), b"")

    def test_forms_of_a_chunk_size(self):
        for size in (b"a", b"A", b"0a", b"0000000a"):
            self.put_chunked(size + b"\r\n0123456789\r\n0\r\n\r\n")
            self.assertEqual(self.get(self.key()), b"0123456789", size)

    def test_chunk_extensions(self):
        self.put_chunked(b"3;a=b\r\nabc\r\n2;c=\"d\"\r\nde\r\n0;e\r\n\r\n")
        self.assertEqual(self.get(self.key()), b"abcde")

    def test_trailer_fields(self):
        self.put_chunked(b"3\r\nabc\r\n0\r\nX-Trailer: a\r\nX-Other: b\r\n\r\n")
        self.assertEqual(self.get(self.key()), b"abc")

    def test_bytes_that_come_one_by_one(self):
        self.put_chunked(chunked(b"slow value", [3]), slowly=1)
        self.assertEqual(self.get(self.key()), b"slow value")

    def test_upper_case_name_of_the_coding(self):
        with self.connect() as conn:
            answer = conn.request("PUT", "/kv/" + self.prefix, b"1\r\nx\r\n0\r\n\r\n",
                                  RAW + [("Transfer-Encoding", "Chunked")])
            self.assertEqual(answer.status, 200, answer)

    def test_chunked_json_and_batch(self):
        body = chunked(b'{"value":"aGk="}', [1, 2])
        answer = self.request("PUT", "/kv/" + self.prefix, body, [("Transfer-Encoding", "chunked")])
        self.assertEqual(answer.status, 200, answer)
        body = chunked(b'{"ops":[{"op":"get","key":"%s"}]}' % self.key(), [5, 1])
        answer = self.request("POST", "/kv/batch", body, [("Transfer-Encoding", "chunked")])
        self.assertEqual(answer.json()["results"][0]["value"], "aGk=")


class Expect(Case):
    def test_100_continue(self):
        head = RAW + [("Expect", "100-continue"), ("Content-Length", 5)]
        with self.connect() as conn:
            conn.send(make_request("PUT", "/kv/" + self.prefix, None, head))
            self.assertEqual(conn.response(interim=True).status, 100)
            conn.send(b"12345")
            self.assertEqual(conn.response().status, 200)
        self.assertEqual(self.get(self.key()), b"12345")

    def test_100_continue_with_the_body_at_once(self):
        head = RAW + [("Expect", "100-continue")]
        with self.connect() as conn:
            conn.send(make_request("PUT", "/kv/" + self.prefix, b"12345", head))
            self.assertEqual(conn.response().status, 200)
        self.assertEqual(self.get(self.key()), b"12345")

    def test_too_large_body_gets_413_instead_of_100(self):
        head = RAW + [("Expect", "100-continue"), ("Content-Length", 1 << 30)]
        with self.connect() as conn:
            conn.send(make_request("PUT", "/kv/" + self.prefix, None, head))
            answer = conn.response(interim=True)
            self.assert_problem(answer, 413)
            self.assertTrue(answer.says_close(), answer)
            self.assertTrue(conn.closed())

    def test_unsupported_type_gets_415_instead_of_100(self):
        head = [("Content-Type", "text/plain"), ("Expect", "100-continue"), ("Content-Length", 5)]
        with self.connect() as conn:
            conn.send(make_request("PUT", "/kv/" + self.prefix, None, head))
            answer = conn.response(interim=True)
            self.assert_problem(answer, 415)


class LengthRequired(Case):
    def test_put_without_a_length(self):
        for headers in ([], RAW, [("Content-Type", "application/json")]):
            self.refused("PUT", "/kv/" + self.prefix, 411, None, headers)
        self.assertIsNone(self.get(self.key()))

    def test_post_of_a_batch_without_a_length(self):
        self.refused("POST", "/kv/batch", 411, None)


class Methods(Case):
    def allowed(self, method, target, expected):
        with self.connect() as conn:
            answer = conn.request(method, target)
            self.assert_problem(answer, 405)
            allow = {name.strip() for name in answer.header("Allow").split(",")}
            self.assertTrue(set(expected.split()) <= allow, (method, target, allow))
            self.assertNotIn(method, allow)
            if answer.says_close():
                self.assertTrue(conn.closed())
            else:
                self.assertEqual(conn.request("GET", "/health/live").status, 200)

    def test_methods_that_a_key_does_not_have(self):
        for method in ("POST", "PATCH", "TRACE", "PROPFIND", "FOO"):
            self.allowed(method, "/kv/" + self.prefix, "GET HEAD PUT DELETE")
            self.allowed(method, "/kv?key=a", "GET HEAD PUT DELETE")

    def test_post_to_range(self):
        self.allowed("POST", "/kv/range", "GET HEAD PUT DELETE")

    def test_patch_of_the_batch(self):
        self.allowed("PATCH", "/kv/batch", "GET PUT DELETE POST")

    def test_methods_are_case_sensitive(self):
        for method in ("get", "Put", "delete"):
            status = self.request(method, "/kv/" + self.prefix).status
            self.assertIn(status, (400, 405, 501), method)

    def test_service_resources_are_read_only(self):
        for target in ("/health", "/health/live", "/health/ready", "/stats", "/metrics",
                       "/version"):
            for method in ("DELETE", "PATCH"):
                self.allowed(method, target, "GET")

    def test_flush_is_post_only(self):
        for method in ("GET", "DELETE"):
            self.allowed(method, "/admin/flush", "POST")

    def test_put_with_a_body_to_a_read_only_resource(self):
        answer = self.request("PUT", "/health", b"body", RAW)
        self.assert_problem(answer, 405)


class KeepAlive(Case):
    def test_many_requests_on_one_connection(self):
        with self.connect() as conn:
            for turn in range(300):
                target = "/kv/" + self.prefix + str(turn % 7)
                answer = conn.request("PUT", target + "?sync=false", b"%d" % turn, RAW)
                self.assertEqual(answer.status, 200)
                self.assertEqual(conn.request("GET", target + "?raw").body, b"%d" % turn)

    def test_connection_goes_on_after_each_kind_of_error(self):
        with self.connect() as conn:
            for method, target, body, headers, status in (
                    ("GET", "/kv/" + self.prefix, None, (), 404),
                    ("GET", "/none", None, (), 404),
                    ("GET", "/kv/%zz", None, (), 400),
                    ("GET", "/kv/a?colour=1", None, (), 400),
                    ("GET", "/kv/a", None, [("Accept", "text/plain")], 406),
                    ("DELETE", "/stats", None, (), 405),
                    ("PUT", "/kv/a", "{", (), 400),
                    ("PUT", "/kv/a", '{"value":"?"}', (), 400),
                    ("PUT", "/kv/a", "", (), 400),
                    ("POST", "/kv/batch", '{"ops":[]}', (), 400),
                    ("POST", "/kv/batch", {"ops": [{"op": "put", "key": "", "value": ""}]}, (),
                     400),
                    ("GET", "/kv/range?cursor=x", None, (), 400),
                    ("GET", "/kv/range?limit=0", None, (), 400)):
                answer = conn.request(method, target, body, headers)
                self.assert_problem(answer, status)
                self.assertFalse(answer.says_close(), (method, target, answer))
                self.assertEqual(conn.request("GET", "/health/live").status, 200, (method, target))

    def test_connection_close_is_honoured(self):
        for method, body in (("GET", None), ("PUT", b"v"), ("DELETE", None)):
            with self.connect() as conn:
                answer = conn.request(method, "/kv/" + self.prefix, body,
                                      RAW + [("Connection", "close")])
                self.assertTrue(answer.says_close(), answer)
                self.assertTrue(conn.closed())

    def test_http_1_0(self):
        self.put(self.key(), b"v")
        with self.connect() as conn:
            conn.send(make_request("GET", "/kv/" + self.prefix + "?raw", version="HTTP/1.0"))
            self.assertEqual(conn.response().body, b"v")
            self.assertTrue(conn.closed())

    def test_request_that_comes_byte_by_byte(self):
        with self.connect() as conn:
            conn.send_slowly(make_request("PUT", "/kv/" + self.prefix, b"slow", RAW))
            self.assertEqual(conn.response().status, 200)
            conn.send_slowly(make_request("GET", "/kv/" + self.prefix + "?raw"))
            self.assertEqual(conn.response().body, b"slow")

    def test_empty_line_before_a_request(self):
        with self.connect() as conn:
            conn.send(b"\r\n" + make_request("GET", "/health/live"))
            self.assertEqual(conn.response().status, 200)

    def test_client_that_leaves_without_reading(self):
        self.put(self.key(), bytes(4 << 20))
        for _ in range(30):
            with self.connect() as conn:
                conn.send(make_request("GET", "/kv/" + self.prefix + "?raw") * 3)
        for turn in range(30):
            with self.connect() as conn:
                conn.send(make_request("PUT", "/kv/" + self.prefix + str(turn), b"v", RAW))
        self.assertEqual(self.request("GET", "/health/ready").status, 200)


class Pipelining(Case):
    def test_answers_come_in_order(self):
        requests, expected = [], []
        for turn in range(200):
            target = "/kv/" + self.prefix + str(turn % 5)
            value = b"%d" % turn
            requests += [make_request("PUT", target, value, RAW),
                         make_request("GET", target + "?raw")]
            expected += [(200, None), (200, value)]
        with self.connect() as conn:
            conn.send(b"".join(requests))
            for number, (status, body) in enumerate(expected):
                answer = conn.response()
                self.assertEqual(answer.status, status, (number, answer))
                if body is not None:
                    self.assertEqual(answer.body, body, number)

    def test_errors_in_the_middle(self):
        good = make_request("GET", "/health/live")
        parts = [good, make_request("GET", "/kv/" + self.prefix), good,
                 make_request("PUT", "/kv/" + self.prefix, "{"), good,
                 make_request("GET", "/kv/%x"),
                 good, make_request("HEAD", "/health/live"), good]
        with self.connect() as conn:
            conn.send(b"".join(parts))
            statuses = [conn.response("HEAD" if p.startswith(b"HEAD") else "GET").status
                        for p in parts]
        self.assertEqual(statuses, [200, 404, 200, 400, 200, 400, 200, 200, 200])

    def test_deletes_and_batches(self):
        key = self.key().decode()
        put = make_request("POST", "/kv/batch",
                           {"ops": [{"op": "put", "key": key, "value": b64(b"x")}]})
        parts = [put, make_request("GET", "/kv/" + key), make_request("DELETE", "/kv/" + key),
                 make_request("GET", "/kv/" + key)] * 20
        with self.connect() as conn:
            conn.send(b"".join(parts))
            statuses = [conn.response().status for _ in parts]
        self.assertEqual(statuses, [200, 200, 204, 404] * 20)

    def test_pipelined_requests_cut_at_odd_places(self):
        data = b"".join(make_request("PUT", "/kv/" + self.prefix + str(i), b"%d" % i, RAW)
                        for i in range(40))
        for piece in (1, 7, 61, 1000):
            with self.connect() as conn:
                conn.send_slowly(data, piece)
                for _ in range(40):
                    self.assertEqual(conn.response().status, 200)

    def test_request_behind_connection_close_is_not_answered(self):
        with self.connect() as conn:
            conn.send(make_request("GET", "/health/live", headers=[("Connection", "close")])
                      + make_request("PUT", "/kv/" + self.prefix, b"v", RAW))
            self.assertEqual(conn.response().status, 200)
            self.assertNotIn(b"HTTP/1.1", conn.read_to_end())
        self.assertIsNone(self.get(self.key()))


class RequestIds(Case):
    def sent(self, value):
        answer = self.request("GET", "/kv/" + self.prefix, headers=[("X-Request-Id", value)])
        self.assert_problem(answer, 404)
        return answer.header("X-Request-Id")

    def test_each_kind_of_answer_has_one(self):
        self.put(self.key(), b"v")
        for method, target, body in (("GET", "/kv/" + self.prefix, None),
                                     ("GET", "/kv/" + self.prefix + "?raw", None),
                                     ("PUT", "/kv/" + self.prefix, b'{"value":""}'),
                                     ("DELETE", "/kv/" + self.prefix, None),
                                     ("GET", "/kv/range?limit=1", None), ("GET", "/health", None),
                                     ("GET", "/stats", None), ("GET", "/metrics", None),
                                     ("GET", "/version", None), ("GET", "/none", None),
                                     ("POST", "/kv/batch", b'{"ops":[{"op":"get","key":"a"}]}')):
            answer = self.request(method, target, body)
            self.assertTrue(answer.header("X-Request-Id"), (method, target, answer))

    def test_fresh_ids_differ(self):
        ids = {self.request("GET", "/health").header("X-Request-Id") for _ in range(100)}
        self.assertEqual(len(ids), 100)
        for text in ids:
            self.assertRegex(text, r"\A[\x21-\x7e]{1,128}\Z")

    def test_own_id_comes_back(self):
        for text in ("a", "x" * 128, "0189-abc.DEF_~", "{braces}", "a:b/c?d#e"):
            self.assertEqual(self.sent(text), text)

    def test_own_id_is_escaped_in_the_problem(self):
        for text in ('a"b', "a\\b", '"', "\\u0041", "</script>"):
            self.assertEqual(self.sent(text), text)

    def test_unfit_ids_are_replaced(self):
        for value in (b"x" * 129, b"", b"a\x01b", b"a\x7fb", b"a\x80b", b"\xc3\xa9", b"x" * 4000):
            answer = self.sent(value)
            self.assertNotEqual(answer.encode("latin-1"), value)
            self.assertRegex(answer, r"\A[\x21-\x7e]{1,128}\Z")


class Problems(Case):
    def test_details_quote_nothing_raw(self):
        """What a client sent is escaped where it is named."""
        for name in ("%22", "%5C", "%0A", "%00", "%FF", "%3Cscript%3E", "%E2%80%A8"):
            self.refused_and_kept("GET", "/kv/a?" + name + "=1", 400)

    def test_code_and_type_match_for_each_status(self):
        seen = {}
        for method, target, body, headers, status in (
                ("GET", "/kv/" + self.prefix, None, (), 404), ("GET", "/kv/", None, (), 400),
                ("PATCH", "/kv/a", None, (), 405), ("PUT", "/kv/a", None, (), 411),
                ("GET", "/kv/a", None, [("Accept", "text/plain")], 406),
                ("PUT", "/kv/a", b"", [("Content-Type", "text/plain")], 415),
                ("PUT", "/kv/a", b"x" * ((16 << 20) + 1), RAW, 413)):
            try:
                problem = self.assert_problem(self.request(method, target, body, headers), status)
            except (BrokenPipeError, ConnectionResetError, ClosedError):
                continue  # a refusal before the body may be lost while the body is being sent
            seen[status] = problem["code"]
        self.assertEqual(len(set(seen.values())), len(seen), seen)

    def test_problem_of_head_has_the_headers(self):
        answer = self.request("HEAD", "/kv/a?colour=1")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.header("Content-Type"), "application/problem+json")
